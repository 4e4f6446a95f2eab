//! Tickets: what a player brings along to be let in.
//!
//! Owns: where in a request a ticket may stand. Must not know: keys, signatures, the time of day: whoever has those
//! judges. Invariant: where somebody judges, nobody gets a seat without a ticket.

use std::fmt::Debug;

use roomcast_protocol::upgrade::{Refusal, Request, RequestKind};

use crate::limits::Quota;

/// What a ticket stands behind where it is offered as a subprotocol: browsers let a page set nothing else. Never selected,
/// never echoed.
const OFFERED: &str = "roomcast.ticket.";
/// Its name in a query.
const QUERIED: &str = "ticket";

/// What a ticket lets its bearer do. Without tickets everybody may do all that the server lets players do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    /// Milliseconds that it may stay, below 2^31; as long as it likes, if none are said.
    pub stay_ms: Option<u32>,
    /// It only receives.
    pub spectates: bool,
    /// What it may send in a second.
    pub quota: Quota,
    /// Whose ticket it is.
    pub bearer: Option<Bearer>,
}

/// Whose a ticket is, and which, as keyed hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// Of its `sub`: what all have that say the same counts together.
    pub sub: u64,
    /// Of its id, if it has one.
    pub id: Option<u64>,
}

/// Who judges tickets.
pub trait Tickets: Debug + Send + Sync {
    /// What this ticket lets its bearer do in this room, or merely here.
    ///
    /// # Errors
    ///
    /// Why it does not let it in.
    fn judge(&self, ticket: &str, room: Option<&str>) -> Result<Pass, Refusal>;

    /// Another number whenever tickets may have been taken back.
    fn edition(&self) -> u64;

    /// Whether this one has been taken back.
    fn is_revoked(&self, bearer: Bearer) -> bool;
}

/// The ticket that a request carries: in its query, as a bearer token, or among the subprotocols, in this order.
pub(super) fn carried<'h>(request: &Request<'h>) -> Option<&'h str> {
    let pairs = request.query.unwrap_or_default().split('&');
    let mut queried = pairs.filter_map(|pair| pair.split_once('='));
    // A page that has none leaves its place empty.
    let queried = queried.find(|(name, ticket)| *name == QUERIED && !ticket.is_empty());
    let queried = queried.map(|(_, ticket)| ticket);
    queried.or(request.bearer).or_else(|| match &request.kind {
        RequestKind::Upgrade(upgrade) => upgrade
            .protocols()
            .find_map(|name| name.strip_prefix(OFFERED)),
        RequestKind::Plain => None,
    })
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::upgrade::parse_request;

    use super::*;

    fn found(target: &str, fields: &str) -> Option<String> {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        );
        carried(&parse_request(head.as_bytes()).unwrap()).map(str::to_owned)
    }

    #[test]
    fn a_ticket_may_stand_in_three_places() {
        let query = "/rooms/a?x=1&ticket=a.b.c";
        let bearer = "Authorization: bearer d.e.f\r\n";
        let offered = "Sec-WebSocket-Protocol: roomcast.raw, roomcast.ticket.g.h.i\r\n";
        let all = format!("{bearer}{offered}");
        for (target, fields, ticket) in [
            (query, "", Some("a.b.c")),
            ("/rooms/a", bearer, Some("d.e.f")),
            ("/rooms/a", offered, Some("g.h.i")),
            (query, all.as_str(), Some("a.b.c")),
            ("/rooms/a", all.as_str(), Some("d.e.f")),
            ("/rooms/a?tickets=a", "", None),
            ("/rooms/a", "Authorization: Basic YTpi\r\n", None),
            ("/rooms/a?ticket=", bearer, Some("d.e.f")),
            ("/rooms/a?ticket=&ticket=a.b.c", "", Some("a.b.c")),
            ("/rooms/a?ticket=", "", None),
            ("/rooms/a", "Sec-WebSocket-Protocol: roomcast.raw\r\n", None),
        ] {
            assert_eq!(
                found(target, fields).as_deref(),
                ticket,
                "{target} {fields}"
            );
        }
    }
}
