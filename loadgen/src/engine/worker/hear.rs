//! What a player hears, and what that is to the thread.
//!
//! Owns the reading of what the machine tells. Must not know connections.
//! Invariant: each event is judged, in the order in which it was told.

use roomcast_protocol::frame;
use roomcast_protocol::v1::client::{Event, Violation};
use roomcast_protocol::v1::down::Packet;
use roomcast_protocol::v1::{Key, Payload, PlayerId, Term};

use crate::engine::clock::Nanos;
use crate::engine::groups::Layout;
use crate::engine::hosts::Hosts;
use crate::engine::ledger::Row;
use crate::engine::measure::{Heard, Measure, Stated, Wrong};
use crate::engine::session::{Seats, Session, Welcomed};
use crate::engine::states;

/// What a player has heard about itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// It goes on where it was.
    resumed: bool,
    /// Times it was told that it can't, and what holds now.
    pub(super) resets: u64,
    /// Messages of its own that no relay will ever apply.
    pub(super) dropped: usize,
    /// It is the host in this term, and a snapshot of its is wanted.
    pub(super) crowned: Option<Term>,
}

/// Who listens for one player.
pub(super) struct Ear<'a, 'r> {
    pub(super) measure: &'a mut Measure,
    pub(super) row: &'a mut Row<'r>,
    pub(super) keys: &'a mut states::Row<'r>,
    pub(super) seats: &'a mut Seats,
    pub(super) hosts: &'a mut Hosts,
    pub(super) layout: Layout,
    pub(super) room: u32,
    /// Its client, and the first one of its room.
    pub(super) index: u32,
    pub(super) first: u32,
    pub(super) now: Nanos,
    pub(super) news: &'a mut News,
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
        let is_new = session.is_new();
        let heard = session.hear(message, self.now, &mut |told| self.told(told, is_new));
        if self.news.resumed {
            session.resumed();
        }
        self.measure
            .superseded(self.keys.told(session.superseded()));
        heard
    }

    fn told(&mut self, told: Event<'_>, is_new: bool) {
        match told {
            Event::Packet(Packet::Event {
                author,
                payload,
                by_host,
                addressed,
            }) => {
                let is_addressed = self.layout != Layout::Whole;
                self.event(author, payload, !by_host && addressed == is_addressed);
            }
            // Values of the room are nobody's here.
            Event::Packet(Packet::State {
                author: Some(author),
                key,
                payload,
                ..
            }) => self.state(author, key, payload),
            Event::Packet(Packet::Host { term, id, given })
                if id.is_some_and(|id| self.seats.is_author(self.index, id)) =>
            {
                self.hosts.named(self.room, self.index, term, given);
                self.news.crowned = Some(term);
            }
            Event::Packet(Packet::SnapshotWanted { term }) => self.news.crowned = Some(term),
            Event::Packet(Packet::Snapshot { state, .. }) => {
                let is_right = self
                    .hosts
                    .snapshot(self.room, self.index, state, self.measure);
                self.measure.corrupted(self.row, !is_right);
            }
            Event::Tail(Packet::Event { payload, .. }) => {
                let (_, payload) = parts(payload);
                let is_right = self
                    .hosts
                    .tail(self.room, self.index, payload, self.measure);
                self.measure.corrupted(self.row, !is_right);
            }
            Event::Packet(Packet::Ready) => self.hosts.ready(self.room, self.index, self.now),
            Event::Resumed => {
                self.news.resumed = true;
                self.seats.back(self.index, self.now);
            }
            Event::Welcome { welcome, dropped } => {
                if self.seats.welcome(self.index, welcome.id) == Welcomed::Again {
                    self.row.reset(self.first, self.now);
                }
                if !is_new {
                    self.measure.excuse_values(self.keys.begin_anew());
                    self.news.resets += 1;
                    self.news.dropped += dropped;
                    self.seats.back(self.index, self.now);
                }
            }
            // Who is there and what is agreed on is nothing that was sent.
            _ => {}
        }
    }

    #[inline]
    fn event(&mut self, author: PlayerId, payload: Payload<'_>, is_plain: bool) {
        let (kind, payload) = parts(payload);
        let event = Heard {
            payload,
            kind,
            is_plain,
        };
        let since = since(self.seats, (self.index, self.first), self.layout, author);
        self.measure.event(self.row, &event, since, self.now);
    }

    #[inline]
    fn state(&mut self, author: PlayerId, key: Key, payload: Payload<'_>) {
        let (kind, payload) = parts(payload);
        let stated = Stated { payload, kind, key };
        let since = since(self.seats, (self.index, self.first), self.layout, author);
        self.measure.state(self.keys, &stated, since, self.now);
    }
}

fn parts(payload: Payload<'_>) -> (frame::MessageKind, &[u8]) {
    match payload {
        Payload::Bytes(bytes) => (frame::MessageKind::Binary, bytes),
        Payload::Text(text) => (frame::MessageKind::Text, text.as_bytes()),
    }
}

/// For a member of the room whose first client is `first`: since when it and the client `index`, that hears it, could be
/// reached, if it is this author.
#[inline]
fn since(
    seats: &Seats,
    (index, first): (u32, u32),
    layout: Layout,
    author: PlayerId,
) -> impl Fn(u16) -> Result<Nanos, Wrong> + '_ {
    move |member| {
        let sender = first + u32::from(member);
        if !seats.is_author(sender, author) {
            Err(Wrong::Author)
        } else if !layout.hears(index - first, member.into()) {
            Err(Wrong::Audience)
        } else {
            Ok(seats.since(index, sender))
        }
    }
}
