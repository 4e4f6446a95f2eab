//! What was said in rooms of roomcast.v1, so that what is heard can be compared with it.
//!
//! Owns: one thing that was said, and for whom. Must not know: who heard it.

use roomcast_protocol::v1::{Owner, Payload, PlayerId, Term, down, up};

/// For whom something is.
#[derive(Debug)]
pub(crate) enum To {
    Others,
    All,
    Some(Vec<u32>),
}

/// Something that was said in a room.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) author: u32,
    pub(crate) to: To,
    pub(crate) what: Vec<u8>,
    pub(crate) droppable: bool,
    /// As the host of this term, which the relay may refuse.
    pub(crate) term: Option<Term>,
}

impl Said {
    /// Whether it may not have been applied, or was left out for who is behind.
    pub(crate) fn may_be_missing(&self) -> bool {
        self.droppable || self.term.is_some()
    }

    /// An event of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.what.len() <= 1
    }

    /// It is not for some alone.
    pub(crate) fn is_for_many(&self) -> bool {
        !matches!(self.to, To::Some(_))
    }

    pub(crate) fn is_for(&self, player: u32) -> bool {
        match &self.to {
            To::Others => self.author != player,
            To::All => true,
            To::Some(players) => players.contains(&player),
        }
    }
}

/// An event, to be compared.
pub(crate) fn event(payload: Payload<'_>) -> Vec<u8> {
    let kind = if payload.is_text() { b't' } else { b'b' };
    [&[kind], payload.bytes()].concat()
}

/// Changes of properties, to be compared.
pub(crate) fn changes<'a>(
    owner: Owner,
    changes: impl Iterator<Item = (&'a str, Option<Payload<'a>>)>,
) -> Vec<u8> {
    let mut what = format!("p{}", number(owner)).into_bytes();
    for (key, value) in changes {
        what.extend_from_slice(format!(" {key}=").as_bytes());
        what.extend(value.map(event).unwrap_or_default());
    }
    what
}

/// What else has a number, to be compared.
pub(crate) fn numbered(packet: up::Packet<'_>) -> Vec<u8> {
    format!("{packet:?}").into_bytes()
}

/// When a bundle was written, by the relay's time (µs), and when the tick was of which it is, as far as it says so.
pub(crate) fn times(bundle: &[u8]) -> (Option<u64>, Option<u64>) {
    let packets = down::Bundle::decode(bundle).map(|bundle| bundle.packets);
    let (mut written, mut tick) = (None, None);
    for packet in packets.into_iter().flatten().flatten() {
        match packet {
            down::Packet::Resumed { time, .. } | down::Packet::KeepAlive { time } => {
                written = Some(time);
            }
            down::Packet::Tick { time, .. } => tick = Some(time),
            _ => {}
        }
    }
    (written, tick)
}

/// A player's id, or 0 for the room.
pub(crate) fn number(owner: Owner) -> u32 {
    owner.map_or(0, PlayerId::get)
}
