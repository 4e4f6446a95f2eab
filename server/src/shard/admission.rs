//! Admission: everything that was learnt from a request head, kept together until there is a seat.
//!
//! It goes along when its connection is handed to the reactor that is home to the room.

use roomcast_protocol::upgrade::{self, AcceptKey, RoomName, Upgrade};

use crate::delivery::Dialect;

/// A request for a seat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    /// The room; none for who wants to hear itself.
    pub(super) room: Option<RoomName>,
    pub(super) dialect: Dialect,
    accept: AcceptKey,
    /// The player who comes back, as it was told when it joined.
    #[cfg(feature = "test-dialect")]
    pub(super) returns: Option<super::player::PlayerId>,
}

impl Admission {
    pub(super) fn new(room: Option<RoomName>, upgrade: &Upgrade<'_>) -> Self {
        Self {
            room,
            accept: upgrade.accept,
            #[cfg(not(feature = "test-dialect"))]
            dialect: Dialect::Raw,
            #[cfg(feature = "test-dialect")]
            dialect: super::reattach::dialect(upgrade, room.is_some()),
            #[cfg(feature = "test-dialect")]
            returns: super::reattach::returns(upgrade),
        }
    }

    /// The 101.
    pub(super) fn write_accept(&self, out: &mut Vec<u8>) {
        let subprotocol = match self.dialect {
            Dialect::Raw => None,
            #[cfg(feature = "test-dialect")]
            Dialect::Test => Some(super::reattach::SUBPROTOCOL),
        };
        upgrade::write_accept(out, &self.accept, subprotocol);
    }
}
