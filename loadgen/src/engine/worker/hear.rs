//! What a player hears, and what that is to the thread.
//!
//! Owns the reading of what the machine tells. Must not know connections.
//! Invariant: each event is judged, in the order in which it was told.

use roomcast_protocol::frame;
use roomcast_protocol::v1::client::{Event, Violation};
use roomcast_protocol::v1::down::Packet;
use roomcast_protocol::v1::{Payload, PlayerId};

use crate::engine::clock::Nanos;
use crate::engine::ledger::Row;
use crate::engine::measure::{Heard, Measure};
use crate::engine::session::{Seats, Session};

/// Who listens for one player.
pub(super) struct Ear<'a, 'r> {
    pub(super) measure: &'a mut Measure,
    pub(super) row: &'a mut Row<'r>,
    pub(super) seats: &'a mut Seats,
    /// Its client, and the first one of its room.
    pub(super) index: u32,
    pub(super) first: u32,
    pub(super) now: Nanos,
}

impl Ear<'_, '_> {
    /// A message has come for the player.
    #[inline]
    pub(super) fn hear(
        mut self,
        session: &mut Session,
        kind: frame::MessageKind,
        message: &[u8],
    ) -> Result<(), Violation> {
        if kind != frame::MessageKind::Binary {
            return Err(Violation::OutOfPlace("a text message"));
        }
        session.hear(message, self.now, &mut |told| self.told(told))
    }

    fn told(&mut self, told: Event<'_>) {
        match told {
            Event::Packet(Packet::Event {
                author,
                payload,
                by_host,
                addressed,
            }) => self.event(author, payload, !by_host && !addressed),
            Event::Welcome { welcome, .. } => self.seats.welcome(self.index, welcome.id),
            // Who is there and what is agreed on is nothing that was sent.
            _ => {}
        }
    }

    #[inline]
    fn event(&mut self, author: PlayerId, payload: Payload<'_>, is_plain: bool) {
        let (kind, payload) = match payload {
            Payload::Bytes(bytes) => (frame::MessageKind::Binary, bytes),
            Payload::Text(text) => (frame::MessageKind::Text, text.as_bytes()),
        };
        let event = Heard {
            payload,
            kind,
            is_plain,
        };
        let seats = &*self.seats;
        let sender = |member: u16| self.first + u32::from(member);
        let is_author = |member| seats.is_author(sender(member), author);
        self.measure.event(self.row, &event, is_author, self.now);
    }
}
