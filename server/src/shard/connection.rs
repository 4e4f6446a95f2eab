//! One connection: a socket's bytes, which phase they are in, what leaves first, when it was last heard.
//!
//! Invariant: an idle, seated connection owns no heap memory.

use roomcast_protocol::frame::Decoder;
use roomcast_protocol::proxy_header;

use super::DisconnectReason;
use super::ebb::Ebb;
use super::exchange::Exchange;
use super::http2::Multiplex;
use super::identity::Identity;
use super::player::PlayerId;
use super::pressure::Reading;
use super::sources::Counted;
use crate::delivery::Outbox;
use crate::limits::{FLOOD_BYTES_PER_MS, FLOOD_REMEMBERED};
use crate::transport::{Port, Security};

/// What is left to do before a closing connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Our close frame is on its way; the peer's is awaited.
    AwaitPeer,
    /// Nothing is awaited; the outbox is flushed, then our side of TCP ends.
    Flush,
    /// Nothing more is written. What still comes is thrown away until the peer has taken what the kernel holds and has
    /// ended its side too.
    Linger,
}

/// The life of a connection.
#[derive(Debug)]
pub(super) enum Phase {
    /// At a door where a proxy says first where it comes from: that is awaited, and then what this port speaks. What has come
    /// of it, if it did not come whole.
    Announced(Port, Option<Box<proxy_header::Decoder>>),
    /// On a port that speaks TLS: the first byte is awaited, nothing is kept until it comes.
    Hello,
    /// The TLS handshake goes on, or the request head is arriving; what has come of it, if it did not come whole.
    Handshake(Option<Box<PartialHead>>),
    /// A request whose content is awaited, or whose answer is.
    Exchange(Box<Exchange>),
    /// Its last request has been answered, and another one may come.
    Answered,
    /// It speaks HTTP/2: its requests are connections of their own.
    Http2(Box<Multiplex>),
    /// The WebSocket is open, and this player's link.
    Open(PlayerId),
    /// It ends, for a reason already counted.
    Closing(Closing, Box<Ebb>),
    /// Waits to be reaped, or to be taken to another reactor.
    Dead,
}

/// The beginning of a request head.
#[derive(Debug, Default)]
pub(super) struct PartialHead {
    pub(super) bytes: Vec<u8>,
    /// Bytes already searched for the end of the head.
    pub(super) scanned: usize,
}

/// One connection of a shard. Times are the low 32 bits of the shard's milliseconds, compared by distance.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) who: Identity,
    pub(super) security: Security,
    pub(super) phase: Phase,
    pub(super) decoder: Decoder,
    pub(super) outbox: Outbox,
    /// When bytes last came.
    pub(super) heard_at: u32,
    /// End of the handshake or of a stay that has an end, or the next look at what a closing connection holds.
    pub(super) deadline: u32,
    /// Leaky bucket of received bytes, see [`Connection::flood_level`].
    flood: u32,
    pub(super) reason: Option<DisconnectReason>,
    /// The socket can take bytes, as far as we know.
    pub(super) writable: bool,
    /// Waits in the shard's list of connections to be written.
    pub(super) listed: bool,
    pub(super) reading: Reading,
    /// `deadline` is the end of its stay, because the process drains.
    pub(super) draining: bool,
    /// `deadline` is the end of its stay, because its ticket says so.
    pub(super) stays: bool,
    /// As what it counts for its source.
    pub(super) counted: Counted,
    /// It has no socket: requests carry its bytes, see `sessions`.
    pub(super) carried: bool,
    /// It has bounds of its own, see `guard`.
    pub(super) guarded: bool,
    /// The peer has ended its side of TCP.
    pub(super) end_of_input: bool,
}

impl Connection {
    pub(super) fn new(
        who: Identity,
        security: Security,
        phase: Phase,
        now: u32,
        deadline: u32,
    ) -> Self {
        Self {
            who,
            security,
            phase,
            decoder: Decoder::default(),
            outbox: Outbox::default(),
            heard_at: now,
            deadline,
            flood: 0,
            reason: None,
            writable: true,
            listed: false,
            reading: Reading::Free,
            draining: false,
            stays: false,
            counted: Counted::Not,
            carried: false,
            guarded: false,
            end_of_input: false,
        }
    }

    /// Bytes this peer has sent beyond the sustainable rate, as of `now`.
    pub(super) fn flood_level(&self, now: u32) -> u32 {
        self.flood.saturating_sub(
            now.wrapping_sub(self.heard_at)
                .saturating_mul(FLOOD_BYTES_PER_MS),
        )
    }

    /// Notes that bytes came.
    pub(super) fn heard(&mut self, now: u32, bytes: usize) {
        self.who.note_received(bytes);
        self.flood = self
            .flood_level(now)
            .saturating_add(bytes as u32)
            .min(FLOOD_REMEMBERED);
        self.heard_at = now;
    }

    /// Notes that these bytes came, to another reactor.
    pub(super) fn came_with(&mut self, bytes: usize) {
        self.flood = bytes as u32;
    }

    /// It has no seat yet, and is not refused.
    pub(super) fn is_new(&self) -> bool {
        match &self.phase {
            Phase::Announced(..) | Phase::Hello | Phase::Handshake(_) | Phase::Answered => true,
            Phase::Exchange(exchange) => exchange.is_arriving(),
            Phase::Http2(multiplex) => multiplex.is_idle(),
            Phase::Open(_) | Phase::Closing(..) | Phase::Dead => false,
        }
    }

    /// It has no seat, and goes on.
    pub(super) fn is_unseated(&self) -> bool {
        self.is_new() || matches!(self.phase, Phase::Exchange(_) | Phase::Http2(_))
    }

    /// On to another step of its closing.
    pub(super) fn close_on(&mut self, to: Closing) {
        if let Phase::Closing(step, _) = &mut self.phase {
            *step = to;
        }
    }

    /// Its TLS handshake is not complete, or has not begun; or nobody has said yet where it comes from. So nothing can be said
    /// to it.
    pub(super) fn is_shaking_hands(&self) -> bool {
        match (&self.phase, &self.security) {
            (Phase::Announced(..) | Phase::Hello, _) => true,
            (Phase::Handshake(_), Security::Tls(tls)) => tls.is_handshaking(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_small() {
        assert!(
            size_of::<Connection>() <= 104,
            "{} bytes",
            size_of::<Connection>()
        );
    }

    #[test]
    fn the_flood_level_leaks() {
        let who = Identity::new(1, None, 0);
        let mut connection = Connection::new(who, Security::Plain, Phase::Handshake(None), 0, 0);
        connection.heard(1_000, 60_000);
        assert_eq!(connection.flood_level(1_000), 60_000);
        assert_eq!(
            connection.flood_level(1_100),
            60_000 - 100 * FLOOD_BYTES_PER_MS
        );
        assert_eq!(connection.flood_level(9_000), 0);
        for _ in 0..1_000 {
            connection.heard(10_000, 65_536);
        }
        assert_eq!(
            connection.flood_level(11_000),
            0,
            "an old flood is forgotten"
        );
    }
}
