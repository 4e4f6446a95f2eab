//! What may be wrong with a message.
//!
//! Owns: the faults and their texts, which become the reason of close code 4006.
//! Must not know: who sent it, or what is done about it.
//! Invariant: a text fits into a close frame.

/// A packet that no honest peer sends: what `4006 …` says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("{packet}: {fault}")]
pub struct Malformed {
    /// The packet's name in `docs/PROTOCOL.md`, or what else it was in.
    pub packet: &'static str,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong, and with which field of the packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A message up without a packet.
    #[error("the message is empty")]
    Empty,
    /// No packet has this kind, or none that the peer may send.
    #[error("no such kind: 0x{0:02x}")]
    UnknownKind(u8),
    /// The bytes end inside this field.
    #[error("{0} ends too early")]
    Truncated(&'static str),
    /// A varint with zeros at its end.
    #[error("{0} is not in its shortest form")]
    NotShortest(&'static str),
    /// A number, a length or a count above its bound.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// A count or a name of nothing.
    #[error("{0} is empty")]
    Nothing(&'static str),
    /// Bytes that say they are text.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A name with a control character.
    #[error("{0} has a control character")]
    ControlCharacter(&'static str),
    /// Author 0 where a player must stand.
    #[error("{0} is 0, which is no player")]
    NoPlayer(&'static str),
    /// What must ascend does not, or something stands there twice.
    #[error("{0} do not ascend")]
    NotAscending(&'static str),
    /// Two properties of one packet have the same key.
    #[error("two properties have the same key")]
    SameKey,
    /// A deleted property where only values may stand.
    #[error("a property without a value")]
    Deleted,
    /// A mode that does not exist.
    #[error("no such mode: {0}")]
    UnknownMode(u8),
    /// Flags of which one does not exist.
    #[error("no such flags: {0}")]
    UnknownFlags(u8),
    /// A cursor, and no token that it could belong to.
    #[error("a cursor without a token")]
    CursorWithoutToken,
    /// The body is longer than what it says.
    #[error("bytes are left over")]
    LeftOver,
}

impl Fault {
    /// The same, said of a packet.
    #[must_use]
    pub const fn of(self, packet: &'static str) -> Malformed {
        Malformed {
            packet,
            fault: self,
        }
    }
}
