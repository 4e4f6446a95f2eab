//! Links: answers to requests of other reactors that cross in pieces, as they would be written to a socket.
//!
//! Owns: how much of each answer is on its way. Must not know: what is answered. Invariants: of one answer no more than
//! [`LINK_CREDIT`] bytes are on their way and not taken, of all for one reactor no more than [`LINKS_CREDIT`] and one piece; what finds no
//! credit stays where it comes from; if one end goes, the other is told.

use std::collections::HashMap;

use super::connection::Phase;
use super::remote::{Asking, Remote, Said};
use super::{EndReason, Shard, Written};
use crate::limits::{LINK_CREDIT, LINK_SILENCE_MS, LINKS_CREDIT};

/// Where the answer to the request in a slot goes.
#[derive(Debug, Clone, Copy)]
struct Link {
    reactor: usize,
    to: Asking,
    /// Bytes that were given and not taken, as far as is known.
    given: usize,
}

/// The links of a shard whose answers come from here.
#[derive(Debug)]
pub(super) struct Links {
    by_slot: HashMap<u32, Link>,
    /// Their slots, by the reactor that asks and the number of its question.
    by_question: HashMap<(usize, u64), u32>,
    /// Bytes on their way to each reactor.
    given: Vec<usize>,
}

impl Links {
    pub(super) fn new(reactors: usize) -> Self {
        Self {
            by_slot: HashMap::new(),
            by_question: HashMap::new(),
            given: vec![0; reactors],
        }
    }

    /// Whether the answer in this slot crosses in pieces.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.by_slot.contains_key(&slot)
    }

    /// Whether there is credit for more of it.
    pub(super) fn has_room(&self, slot: u32) -> bool {
        let link = self.by_slot.get(&slot);
        link.is_some_and(|it| it.given < LINK_CREDIT && self.given[it.reactor] < LINKS_CREDIT)
    }

    /// The answer to the request in this slot crosses in pieces.
    pub(super) fn open(&mut self, slot: u32, remote: Remote) {
        let (reactor, to) = remote.whose();
        let given = 0;
        let link = Link { reactor, to, given };
        self.by_slot.insert(slot, link);
        self.by_question.insert((reactor, to.number()), slot);
    }

    /// It is whole, or does not cross any more.
    pub(super) fn close(&mut self, slot: u32) -> Option<(usize, Asking)> {
        let link = self.by_slot.remove(&slot)?;
        self.given[link.reactor] -= link.given;
        self.by_question.remove(&(link.reactor, link.to.number()));
        Some((link.reactor, link.to))
    }
}

impl Shard {
    /// Takes the current write, if its answer crosses in pieces. False if it does not.
    pub(super) fn link_write(&mut self, slot: u32) -> bool {
        let Some(link) = self.links.by_slot.get_mut(&slot) else {
            return false;
        };
        let Link { reactor, to, given } = *link;
        let mut bytes = Vec::new();
        let room = LINK_CREDIT.saturating_sub(given);
        self.pending().with_slices(|slices| {
            for slice in slices {
                let len = slice.len().min(room - bytes.len());
                bytes.extend_from_slice(&slice[..len]);
            }
        });
        let taken = bytes.len();
        if let Some(link) = self.links.by_slot.get_mut(&slot) {
            link.given += taken;
        }
        self.links.given[reactor] += taken;
        let carries = match &self.connections[slot as usize].phase {
            Phase::Exchange(exchange) => exchange.carries,
            _ => false,
        };
        let piece = Said::Piece {
            to,
            carries,
            bytes,
            ends: false,
        };
        self.say_to(reactor, piece);
        self.wrote_other(Written::Carried(taken));
        true
    }

    /// The answer in this slot is whole, or will not be.
    pub(super) fn end_link(&mut self, slot: u32) {
        if let Some((reactor, to)) = self.links.close(slot) {
            // It may have been what they had no room for.
            if self.links.given[reactor] + LINK_CREDIT >= LINKS_CREDIT {
                self.wake_links();
            }
            let last = Said::Piece {
                to,
                carries: false,
                bytes: Vec::new(),
                ends: true,
            };
            self.say_to(reactor, last);
        }
    }

    /// A piece of an answer came from another reactor.
    pub(super) fn hear_piece(
        &mut self,
        from: usize,
        to: Asking,
        carries: bool,
        bytes: &[u8],
        ends: bool,
    ) {
        if ends {
            self.answered_by(from, to);
        }
        let (slot, number) = (to.slot(), to.number());
        let connection = self.connections.get_mut(slot as usize);
        let waits = connection
            .filter(|it| matches!(&it.phase, Phase::Exchange(it) if it.awaits == Some(number)));
        let Some(connection) = waits else {
            if !ends {
                self.say_to(from, Said::Gone { number });
            }
            return;
        };
        if let Phase::Exchange(exchange) = &mut connection.phase {
            exchange.streams(bytes.len());
            exchange.awaits.take_if(|_| ends);
        }
        if !bytes.is_empty() {
            connection.outbox.push(|out| out.extend_from_slice(bytes));
        }
        self.list(slot);
        if carries {
            self.count_no_longer(to.counts());
        }
        if ends {
            self.close_answer(slot);
        } else {
            self.hold(slot, LINK_SILENCE_MS);
        }
    }

    /// In a flush: the connection in this slot has taken all that came for it from another reactor, which may give more.
    pub(super) fn credit_link(&mut self, slot: u32) {
        let Phase::Exchange(exchange) = &mut self.connections[slot as usize].phase else {
            return;
        };
        if let Some((number, bytes)) = exchange.take_owed()
            && let Some(home) = exchange.home(&self.common)
        {
            self.say_to(home, Said::Took { number, bytes });
        }
    }

    /// Another reactor has taken so many bytes of an answer.
    pub(super) fn hear_took(&mut self, from: usize, number: u64, bytes: usize) {
        let Some(&slot) = self.links.by_question.get(&(from, number)) else {
            return;
        };
        let was_full = self.links.given[from] >= LINKS_CREDIT;
        if let Some(link) = self.links.by_slot.get_mut(&slot) {
            link.given -= bytes;
            self.links.given[from] -= bytes;
        }
        self.list(slot);
        if was_full {
            self.wake_links();
        }
    }

    /// There may be room again for what all of them wait for.
    fn wake_links(&mut self) {
        let slots: Vec<u32> = self.links.by_slot.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.list(slot));
    }

    /// Nobody waits for the answer to this question of another reactor any more.
    pub(super) fn hear_gone(&mut self, from: usize, number: u64) {
        if let Some(&slot) = self.links.by_question.get(&(from, number)) {
            self.drop_connection(slot, EndReason::PeerGone);
        }
    }

    /// The connection in this slot dies: if another reactor answers it in pieces, that is told so.
    pub(super) fn forget_question(&mut self, slot: u32) {
        if let Phase::Exchange(exchange) = &self.connections[slot as usize].phase
            && let Some(number) = exchange.awaits
            && exchange.call.is_linked()
            && let Some(home) = exchange.home(&self.common)
        {
            self.say_to(home, Said::Gone { number });
        }
    }
}
