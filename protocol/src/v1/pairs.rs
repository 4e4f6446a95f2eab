//! Pairs of a key and a value: limits, settings, wishes.
//!
//! Owns: how they are read and written, and the keys of the first part.
//! Must not know: what a limit does.
//! Invariant: keys ascend; a reader skips those it does not know.

use std::fmt;

use super::bytes::Reader;
use super::{Fault, NUMBER_MAX, write_varint};

/// Keys of the limits in a *welcome*.
pub mod limit {
    /// Bytes of one message up.
    pub const MESSAGE_BYTES: u64 = 2;
    /// Packets a second, sustained.
    pub const PACKETS_PER_SECOND: u64 = 4;
    /// Packets at once.
    pub const PACKETS_BURST: u64 = 6;
    /// Properties of one owner.
    pub const PROPERTIES: u64 = 8;
    /// Bytes of the keys and values of one owner.
    pub const PROPERTY_BYTES: u64 = 10;
    /// Keys of one player's states.
    pub const KEYS: u64 = 12;
    /// Bytes of the values of one player's states.
    pub const STATE_BYTES: u64 = 14;
    /// Keys of the room's own states.
    pub const ROOM_KEYS: u64 = 16;
    /// Bytes of the values of the room's own states.
    pub const ROOM_STATE_BYTES: u64 = 18;
    /// Groups of one player.
    pub const GROUPS: u64 = 20;
    /// Bytes of a snapshot.
    pub const SNAPSHOT_BYTES: u64 = 22;
}

/// Keys of the settings of a room.
pub mod setting {
    /// Under what the room is listed: a text of the form of a name.
    pub const TAG: u64 = 1;
    /// Players at most.
    pub const PLAYERS_MAX: u64 = 2;
    /// Milliseconds that an away player keeps its seat.
    pub const GRACE_MS: u64 = 4;
    /// Whether all may write the room's properties (1), or its host alone (0).
    pub const PROPERTIES_BY_ALL: u64 = 6;
    /// Whether raw players are let in too (1).
    pub const RAW: u64 = 8;
    /// Milliseconds after which a host that has lost its connection has lost the role.
    pub const HOST_GRACE_MS: u64 = 10;
    /// Ticks a second, up to [`TICK_HZ_MAX`](super::super::TICK_HZ_MAX); 0: there are none.
    pub const TICK_HZ: u64 = 12;
    /// What the host may do: bits of [`power`](super::power).
    pub const POWERS: u64 = 14;
    /// Whether all may write keys of the room (1), or its host alone (0).
    pub const KEYS_BY_ALL: u64 = 16;
}

/// Bits of [`setting::POWERS`].
pub mod power {
    /// Putting players out.
    pub const KICK: u64 = 1;
    /// Keeping new ones out.
    pub const LOCK: u64 = 2;
    /// Ending the room.
    pub const CLOSE: u64 = 4;
    /// All of these.
    pub const ALL: u64 = KICK | LOCK | CLOSE;
}

/// What a key has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PairValue<'a> {
    /// Under an even key.
    Number(u64),
    /// Under an odd key.
    Bytes(&'a [u8]),
}

/// Pairs as they stand in a packet. Checked when they were made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    /// No pairs.
    pub const EMPTY: Self = Self(&[]);

    /// Writes pairs into `buffer`, of which the earlier content is gone, and lends them.
    ///
    /// # Errors
    /// If keys do not ascend, a value has not the form that its key asks for, or a number is too large.
    pub fn encode<'v>(
        pairs: impl IntoIterator<Item = (u64, PairValue<'v>)>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Self, Fault> {
        buffer.clear();
        let mut least = 0;
        for (key, value) in pairs {
            if key < least {
                return Err(Fault::NotAscending("the keys"));
            }
            least = key + 1;
            match value {
                PairValue::Number(number) if key % 2 == 0 && key.max(number) <= NUMBER_MAX => {
                    write_varint(buffer, key);
                    write_varint(buffer, number);
                }
                PairValue::Bytes(bytes) if key % 2 == 1 && key <= NUMBER_MAX => {
                    write_varint(buffer, key);
                    write_varint(buffer, bytes.len() as u64);
                    buffer.extend_from_slice(bytes);
                }
                _ => return Err(Fault::TooLarge("the value")),
            }
        }
        Ok(Self(buffer))
    }

    /// All that is left of a body.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let pairs = Self(reader.0);
        let mut least = 0;
        while !reader.0.is_empty() {
            let (key, _) = pair(reader)?;
            if key < least {
                return Err(Fault::NotAscending("the keys"));
            }
            least = key + 1;
        }
        Ok(pairs)
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    /// The pairs in the order of their keys.
    pub fn iter(self) -> impl Iterator<Item = (u64, PairValue<'a>)> {
        let mut reader = Reader(self.0);
        // They were read once already, so it fails only at the end.
        std::iter::from_fn(move || pair(&mut reader).ok())
    }

    /// The number under a key that is even.
    ///
    /// ```
    /// use roomcast_protocol::v1::{PairValue, Pairs, setting};
    ///
    /// let mut buffer = Vec::new();
    /// let wishes = Pairs::encode([(setting::PLAYERS_MAX, PairValue::Number(8))], &mut buffer)?;
    /// assert_eq!(wishes.number(setting::PLAYERS_MAX), Some(8));
    /// assert_eq!(wishes.number(setting::GRACE_MS), None);
    /// # Ok::<(), roomcast_protocol::v1::Fault>(())
    /// ```
    #[must_use]
    pub fn number(self, key: u64) -> Option<u64> {
        self.iter().find_map(|(other, value)| match value {
            PairValue::Number(number) if other == key => Some(number),
            _ => None,
        })
    }

    /// The bytes under a key that is odd.
    #[must_use]
    pub fn bytes(self, key: u64) -> Option<&'a [u8]> {
        self.iter().find_map(|(other, value)| match value {
            PairValue::Bytes(bytes) if other == key => Some(bytes),
            _ => None,
        })
    }
}

fn pair<'a>(reader: &mut Reader<'a>) -> Result<(u64, PairValue<'a>), Fault> {
    let key = reader.varint("a key")?;
    let value = reader.varint("a value")?;
    if key % 2 == 0 {
        return Ok((key, PairValue::Number(value)));
    }
    let len = usize::try_from(value).map_err(|_| Fault::TooLarge("a value"))?;
    Ok((key, PairValue::Bytes(reader.bytes(len, "a value")?)))
}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
