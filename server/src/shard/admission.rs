//! Admission: everything that was learnt from a request head, kept together until there is a seat.
//!
//! It goes along when its connection is handed to the reactor that is home to the room.

use roomcast_protocol::upgrade::{self, AcceptKey, RoomName, Upgrade};
use roomcast_protocol::v1::SUBPROTOCOL;

use super::tickets::Pass;
use crate::delivery::{Dialect, Outbox};

/// The subprotocol of messages as they are. Nobody needs to ask for it but pages that offer something else beside it, a
/// ticket for example: browsers fail a connection that offered some and got none.
const RAW: &str = "roomcast.raw";

/// What a handshake wants to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// Messages, which a room gathers in batches.
    Messages(Dialect),
    /// The packets of roomcast.v1.
    V1,
}

/// A request for a seat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    /// The room; none for who wants to hear itself.
    pub(super) room: Option<RoomName>,
    pub(super) speaks: Speaks,
    /// Whether messages as they are were asked for by name.
    by_name: bool,
    /// What a 101 would have to say; none for who has no WebSocket.
    accept: Option<AcceptKey>,
    /// What its ticket lets it do.
    pub(super) pass: Pass,
    /// The player who comes back, as it was told when it joined.
    #[cfg(feature = "test-dialect")]
    pub(super) returns: Option<super::player::PlayerId>,
}

impl Admission {
    pub(super) fn new(room: Option<RoomName>, upgrade: &Upgrade<'_>) -> Self {
        Self {
            room,
            by_name: upgrade.protocols().any(|name| name == RAW),
            accept: Some(upgrade.accept),
            pass: Pass::default(),
            speaks: match room {
                Some(_) if upgrade.protocols().any(|name| name == SUBPROTOCOL) => Speaks::V1,
                #[cfg(not(feature = "test-dialect"))]
                _ => Speaks::Messages(Dialect::Raw),
                #[cfg(feature = "test-dialect")]
                _ => Speaks::Messages(super::reattach::dialect(upgrade, room.is_some())),
            },
            #[cfg(feature = "test-dialect")]
            returns: super::reattach::returns(upgrade),
        }
    }

    /// Of a request that asks for a session in this room, and to speak this.
    pub(super) fn by_http(room: RoomName, protocol: Option<&str>) -> Self {
        Self {
            room: Some(room),
            by_name: false,
            accept: None,
            pass: Pass::default(),
            speaks: match protocol {
                Some(SUBPROTOCOL) => Speaks::V1,
                _ => Speaks::Messages(Dialect::Raw),
            },
            #[cfg(feature = "test-dialect")]
            returns: None,
        }
    }

    /// Whether it is to speak roomcast.v1.
    pub(super) fn is_v1(&self) -> bool {
        self.speaks == Speaks::V1
    }

    /// Whether the 101 selects a subprotocol.
    pub(super) fn names_dialect(&self) -> bool {
        self.by_name || self.speaks != Speaks::Messages(Dialect::Raw)
    }

    /// Queues the 101, if there is a WebSocket.
    pub(super) fn accept(&self, outbox: &mut Outbox) {
        let Some(accept) = &self.accept else { return };
        let subprotocol = match self.speaks {
            Speaks::V1 => Some(SUBPROTOCOL),
            Speaks::Messages(Dialect::Raw) => self.by_name.then_some(RAW),
            #[cfg(feature = "test-dialect")]
            Speaks::Messages(Dialect::Test) => Some(super::reattach::SUBPROTOCOL),
        };
        outbox.push_own(|out| upgrade::write_accept(out, accept, subprotocol));
    }
}
