//! What peers run into and only an operator can change: said once in a while, not once for each peer.

use std::fmt;

use super::Shard;
use super::newcomers::Unanswered;

/// Milliseconds between two lines about the same thing.
const TELL_EVERY_MS: u64 = 10_000;

/// What the operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice<'n> {
    /// A ClientHello where HTTP is spoken.
    TlsOnPlainPort,
    /// HTTP where TLS is spoken.
    PlainOnTlsPort,
    /// A player found no seat in the process.
    Full,
    /// A player found no seat in this room, as log lines name it.
    RoomFull(&'n str),
    /// A player asked for a subprotocol, and none is spoken here.
    UnknownSubprotocol,
    /// A player asked for a seat by a name that is not allowed.
    HostNotAllowed,
    /// A program of this machine says for whom it forwards, and is not trusted.
    UnnamedProxy,
    /// Somebody who is no proxy that is trusted came where PROXY headers are asked for.
    NotAProxy,
    /// A proxy that is trusted came there without one.
    NoHeader,
    /// A PROXY header came where none is asked for.
    UnaskedHeader,
    /// One address has as many connections, or joins as often, as it may.
    AddressFull,
    /// One address has more than half of all seats: so many.
    OneAddress(u32),
}

impl Notice<'_> {
    fn index(self) -> usize {
        match self {
            Self::TlsOnPlainPort => 0,
            Self::PlainOnTlsPort => 1,
            Self::Full => 2,
            Self::RoomFull(_) => 3,
            Self::UnknownSubprotocol => 4,
            Self::HostNotAllowed => 5,
            Self::AddressFull => 6,
            Self::OneAddress(_) => 7,
            Self::NotAProxy => 8,
            Self::UnnamedProxy => 9,
            Self::NoHeader => 10,
            Self::UnaskedHeader => 11,
        }
    }
}

/// A bound as its flag says it.
struct Most(u32);

impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u32::MAX => f.write_str("unlimited"),
            most => most.fmt(f),
        }
    }
}

/// What is to be done about an address that has much. Where a proxy is named already, the address is most likely one that it
/// names, and whoever believed that as well would believe anybody.
fn if_it_is_a_proxy(some_are_named: bool) -> &'static str {
    if some_are_named {
        "If it is another proxy of yours, name that with --trusted-proxy too"
    } else {
        "If it is a proxy, name it with --trusted-proxy"
    }
}

/// When each notice was last given (ms).
#[derive(Debug, Default)]
pub(super) struct Notices {
    told_at: [Option<u64>; 14],
}

impl Notices {
    /// Whether to say it now (ms), which then is not said again for a while.
    fn are_due(&mut self, index: usize, now: u64) -> bool {
        let told_at = &mut self.told_at[index];
        let is_due = told_at.is_none_or(|at| now >= at + TELL_EVERY_MS);
        if is_due {
            *told_at = Some(now);
        }
        is_due
    }
}

impl Shard {
    /// Logs that a connection is closed which has no slot, unless the like was logged a moment ago.
    pub(super) fn tell_unanswered(&mut self, why: Unanswered) {
        let index = match why {
            Unanswered::Crowded => 12,
            Unanswered::Undealt => 13,
        };
        if !self.notices.are_due(index, self.now) {
            return;
        }
        let connections = self.common.connections();
        match why {
            Unanswered::Crowded => tracing::warn!(
                connections,
                max_connections = self.common.limits.max_connections,
                "newcomers are closed as they come: there is no room even to answer them. If they are not a flood, raise --max-connections and the limit of open files"
            ),
            Unanswered::Undealt => tracing::warn!(
                connections,
                "newcomers are closed as they come: a reactor does not keep up with those that it is dealt. Add cores or relays"
            ),
        }
    }

    /// Logs this about the connection in `slot`, unless the like was logged a moment ago.
    pub(super) fn tell(&mut self, notice: Notice<'_>, slot: u32) {
        if !self.notices.are_due(notice.index(), self.now) {
            return;
        }
        let limits = &self.common.limits;
        let who = &self.connections[slot as usize].who;
        let (id, peer) = (who.id(), self.common.naming.peer(who));
        match notice {
            Notice::TlsOnPlainPort => tracing::warn!(
                id, %peer,
                "a client speaks TLS to the plain port and was closed: it should use ws://, or wss:// with the port of --listen-tls"
            ),
            Notice::PlainOnTlsPort => tracing::warn!(
                id, %peer,
                "a client speaks plain HTTP to the TLS port and got a 400: it should use wss:// (https://)"
            ),
            Notice::Full => tracing::warn!(
                id, %peer,
                max_connections = limits.max_connections,
                "full: players are answered 503; raise --max-connections (and the limit of open files) or start another relay"
            ),
            Notice::RoomFull(room) => tracing::warn!(
                id, %peer, room,
                max_room_members = limits.max_room_members,
                "a room is full: players are closed with 4000; raise --max-room-members"
            ),
            Notice::HostNotAllowed => tracing::warn!(
                id, %peer,
                "a client asks for a host name that is not allowed here and got a 403: name it with --allow-host (behind a proxy, the name that players use)"
            ),
            Notice::UnnamedProxy => tracing::warn!(
                id, %peer,
                "a program of this machine says for whom it forwards (X-Forwarded-For, Forwarded), and is not believed. If it is your proxy, name it (--trusted-proxy 127.0.0.1): until then what one address may have bounds nobody who comes by it"
            ),
            Notice::NotAProxy => tracing::warn!(
                id, %peer,
                "somebody who is no --trusted-proxy came to an address of --proxy-protocol and was closed. If it is your proxy, name it with --trusted-proxy"
            ),
            Notice::NoHeader => tracing::warn!(
                id, %peer,
                "a --trusted-proxy came without a PROXY header to an address of --proxy-protocol and was closed: have it send one (send-proxy-v2, proxy_protocol on), or take the address out of --proxy-protocol"
            ),
            Notice::UnaskedHeader => tracing::warn!(
                id, %peer,
                "a connection begins with a PROXY header, which is not asked for here, and was refused. If your proxy sends it, name this address with --proxy-protocol and the proxy with --trusted-proxy"
            ),
            Notice::AddressFull => tracing::warn!(
                id, %peer,
                connections_per_address = %Most(limits.per_source.connections),
                joins_per_address = %Most(limits.per_source.joins_per_second),
                "one address has as many connections, or joins as often, as it may: its players are answered 429. {}; if many people share it, raise --connections-per-address and --joins-per-address",
                if_it_is_a_proxy(self.common.proxies.are_named()),
            ),
            Notice::OneAddress(seats) => tracing::warn!(
                id, %peer, seats,
                players = self.common.seated(),
                "one address has more than half of all players. {}: all of them share what one address may have",
                if_it_is_a_proxy(self.common.proxies.are_named()),
            ),
            Notice::UnknownSubprotocol => tracing::warn!(
                id, %peer,
                "a client asks for a subprotocol that is not spoken here: browsers fail such a WebSocket without a word, so leave out its second argument, or say roomcast.v1 or roomcast.raw"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_none_is_no_number() {
        assert_eq!(Most(50).to_string(), "50");
        assert_eq!(Most(u32::MAX).to_string(), "unlimited");
    }

    #[test]
    fn who_has_named_a_proxy_is_not_told_to_name_a_player() {
        let advice = [false, true].map(if_it_is_a_proxy);
        assert!(!advice[0].contains("another") && advice[1].contains("another"));
    }
}
