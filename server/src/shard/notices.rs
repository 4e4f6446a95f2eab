//! What peers run into and only an operator can change: said once in a while, not once for each peer.

use super::Shard;

/// Milliseconds between two lines about the same thing.
const TELL_EVERY_MS: u64 = 10_000;

/// What the operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// A ClientHello where HTTP is spoken.
    TlsOnPlainPort,
    /// HTTP where TLS is spoken.
    PlainOnTlsPort,
    /// A player found no seat in the process.
    Full,
    /// A player found no seat in its room.
    RoomFull,
    /// A player asked for a subprotocol, and none is spoken here.
    UnknownSubprotocol,
}

/// When each notice was last given (ms).
#[derive(Debug, Default)]
pub(super) struct Notices {
    told_at: [Option<u64>; 5],
}

impl Shard {
    /// Logs this, unless it was logged a moment ago.
    pub(super) fn tell(&mut self, notice: Notice) {
        let told_at = &mut self.notices.told_at[notice as usize];
        if told_at.is_some_and(|at| self.now < at + TELL_EVERY_MS) {
            return;
        }
        *told_at = Some(self.now);
        let limits = &self.common.limits;
        match notice {
            Notice::TlsOnPlainPort => tracing::warn!(
                "a client speaks TLS to the plain port and was closed: it should use ws://, or wss:// with the port of --listen-tls"
            ),
            Notice::PlainOnTlsPort => tracing::warn!(
                "a client speaks plain HTTP to the TLS port and got a 400: it should use wss:// (https://)"
            ),
            Notice::Full => tracing::warn!(
                max_connections = limits.max_connections,
                "full: players are answered 503; raise --max-connections (and the limit of open files) or start another relay"
            ),
            Notice::RoomFull => tracing::warn!(
                max_room_members = limits.max_room_members,
                "a room is full: players are closed with 4000; raise --max-room-members"
            ),
            Notice::UnknownSubprotocol => tracing::warn!(
                "a client asks for a subprotocol, and there is none here: browsers fail such a WebSocket without a word, so leave out its second argument"
            ),
        }
    }
}
