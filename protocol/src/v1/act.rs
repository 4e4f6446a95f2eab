//! What only the host of a room may do, beside speaking as its host.
//!
//! Owns: the bodies of these packets, both ways.
//! Must not know: who is the host, and in which term.
//! Invariant: as for every packet, one encoding.

use super::bytes::{Reader, write_owner};
use super::{Fault, PlayerId, write_varint};

/// Something that only the host of a room may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Act<'a> {
    /// Somebody else is the host from now on.
    HandOver(PlayerId),
    /// A player is put out, for good.
    Kick(PlayerId),
    /// Nobody new is let in (true), or everybody again.
    Lock(bool),
    /// All players are put out, and the room is at its end.
    Close,
    /// The state of the game, for who becomes the host and for who joins late.
    Snapshot {
        /// The last entry that is in it.
        seq: u64,
        /// The game's own bytes.
        state: &'a [u8],
    },
    /// Asks for everybody's round-trip time.
    Trips,
}

pub(super) mod kind {
    pub(in crate::v1) const HAND_OVER: u8 = 0x88;
    pub(in crate::v1) const KICK: u8 = 0x90;
    pub(in crate::v1) const LOCK: u8 = 0x98;
    pub(in crate::v1) const CLOSE: u8 = 0xa0;
    pub(in crate::v1) const SNAPSHOT: u8 = 0xa8;
    pub(in crate::v1) const TRIPS: u8 = 0xb0;
}

impl<'a> Act<'a> {
    /// Its kind and its name in `docs/PROTOCOL.md`.
    pub(super) const fn kind(&self) -> (u8, &'static str) {
        match self {
            Self::HandOver(_) => (kind::HAND_OVER, "HAND_OVER"),
            Self::Kick(_) => (kind::KICK, "KICK"),
            Self::Lock(_) => (kind::LOCK, "LOCK"),
            Self::Close => (kind::CLOSE, "CLOSE"),
            Self::Snapshot { .. } => (kind::SNAPSHOT, "SNAPSHOT"),
            Self::Trips => (kind::TRIPS, "TRIPS"),
        }
    }

    /// What follows the term in a body of this kind.
    pub(super) fn read(kind: u8, body: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(match kind {
            kind::HAND_OVER => Self::HandOver(body.player("the id")?),
            kind::KICK => Self::Kick(body.player("the id")?),
            kind::LOCK => Self::Lock(body.flag("locked")?),
            kind::CLOSE => Self::Close,
            kind::SNAPSHOT => Self::Snapshot {
                seq: body.varint("the seq")?,
                state: body.rest(),
            },
            _ => Self::Trips,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::HandOver(id) | Self::Kick(id) => write_owner(out, Some(id)),
            Self::Lock(locked) => out.push(u8::from(locked)),
            Self::Close | Self::Trips => {}
            Self::Snapshot { seq, state } => {
                write_varint(out, seq);
                out.extend_from_slice(state);
            }
        }
    }
}
