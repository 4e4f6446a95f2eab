//! Close codes: which exist, and which may be sent.
//!
//! Owns: the numbers of RFC 6455 section 7.4 and Roomcast's own in the private range.
//! Must not know: frames, or why a connection ends (the server maps its reasons to these).
//! Invariant: a code the decoder lends to a caller satisfies [`CloseCode::is_valid_on_wire`].

/// A close code, RFC 6455 section 7.4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: done, nothing wrong.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint is going away.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1007: text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the peer broke a policy, such as a rate limit.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message over the size limit.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server failed.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the server restarts, come back.
    pub const RESTART: Self = Self(1012);
    /// 1013: the server is overloaded, come back later.
    pub const OVERLOADED: Self = Self(1013);
    /// 4000: the room is full.
    pub const ROOM_FULL: Self = Self(4000);
    /// 4001: removed from the room by its host or an operator.
    pub const KICKED: Self = Self(4001);
    /// 4002: the receiver did not keep up.
    pub const SLOW_CONSUMER: Self = Self(4002);
    /// 4003: the room was closed.
    pub const ROOM_CLOSED: Self = Self(4003);
    /// 4004: a resumed connection took this one's place.
    pub const REPLACED: Self = Self(4004);
    /// 4005: nothing was heard from the peer for too long.
    pub const IDLE: Self = Self(4005);
    /// 4006: a roomcast.v1 packet that cannot be read.
    pub const MALFORMED_PACKET: Self = Self(4006);
    /// 4007: the room lets nobody in.
    pub const ROOM_LOCKED: Self = Self(4007);
    /// 4008: there is no such room, and it was not to be made.
    pub const NO_SUCH_ROOM: Self = Self(4008);
    /// 4009: there is such a room, and it was to be made.
    pub const ROOM_EXISTS: Self = Self(4009);
    /// 4010: the room does not let this player in any more.
    pub const BARRED: Self = Self(4010);
    /// 4011: the room speaks the other dialect: raw, or roomcast.v1.
    pub const OTHER_DIALECT: Self = Self(4011);

    /// Whether the code may stand in a close frame (RFC 6455 section 7.4.2 and the IANA registry: 1000-1003,
    /// 1007-1014, 3000-4999). 1004-1006 and 1015 are for reports inside a program only.
    #[must_use]
    pub const fn is_valid_on_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    #[test]
    fn valid_on_wire_is_exactly_the_three_ranges() {
        for code in 0..=u16::MAX {
            let expected = (1000..=1003).contains(&code)
                || (1007..=1014).contains(&code)
                || (3000..=4999).contains(&code);
            assert_eq!(CloseCode(code).is_valid_on_wire(), expected, "{code}");
        }
    }
}
