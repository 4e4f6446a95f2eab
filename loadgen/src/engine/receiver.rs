//! Who receives, as the tables of what it should have see it.

use crate::payload::{Room, Stamp};

/// A member of a room, of whose healthy members the first ones send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    room: Room,
    member: u32,
    healthy: bool,
    /// Senders below this one make a healthy pair with the receiver.
    healthy_senders: u32,
}

impl Receiver {
    /// `member` of a room whose members from 0 to `healthy` are healthy.
    #[inline]
    pub(super) fn new(room: Room, member: u32, healthy: u32) -> Self {
        let is_healthy = member < healthy;
        Self {
            room,
            member,
            healthy: is_healthy,
            healthy_senders: if is_healthy { healthy } else { 0 },
        }
    }

    /// Whether the receiver is healthy.
    #[inline]
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Whether both the receiver and this sender are healthy.
    #[inline]
    pub(crate) fn is_healthy_pair(&self, sender: u16) -> bool {
        u32::from(sender) < self.healthy_senders
    }

    /// Whether this belongs to the receiver's room.
    #[inline]
    pub(crate) fn is_of_room(&self, stamp: &Stamp) -> bool {
        stamp.room == self.room
    }

    /// Whether it is the receiver that sent this.
    #[inline]
    pub(super) fn is_sender(&self, stamp: &Stamp) -> bool {
        u32::from(stamp.sender) == self.member
    }
}
