//! Between connections that have no socket and the requests that carry their bytes.

use roomcast_protocol::upgrade::{Reply, Status};

use super::{Carrier, Session};
use crate::limits::POLL_BYTES;
use crate::shard::connection::Phase;
use crate::shard::sources::Counted;
use crate::shard::{Shard, Written};

impl Shard {
    /// Takes the current write, if the connection that it is for has no socket. True if it has none.
    #[inline]
    pub(in crate::shard) fn carry_write(&mut self, slot: u32) -> bool {
        // Most relays have no session.
        !self.sessions.is_empty() && self.carry_some(slot)
    }

    #[inline(never)]
    fn carry_some(&mut self, slot: u32) -> bool {
        let Some(mut session) = self.sessions.by_slot.remove(&slot) else {
            return false;
        };
        let taken = self.pending().with_slices(|slices| session.take(slices));
        self.sessions.by_slot.insert(slot, session);
        self.sessions.tell(slot);
        self.wrote(Written::Bytes(taken));
        // No socket has seen anything of it.
        self.counters.writes -= 1;
        self.counters.sent -= taken as u64;
        true
    }

    /// Those that may be heard again, and have no socket that the loop could read, are heard from here.
    pub(in crate::shard) fn set_sessions_aside(&mut self) {
        if self.sessions.is_empty() {
            return;
        }
        let Self {
            unpaused,
            sessions,
            connections,
            ..
        } = self;
        unpaused.retain(|&slot| {
            let carried = connections[slot as usize].carried;
            if carried {
                sessions.unpaused.push(slot);
            }
            !carried
        });
    }

    /// Goes on with what sessions could not be told or heard before: what one flush had for a session is one answer.
    pub(in crate::shard) fn carry_on(&mut self) {
        for slot in std::mem::take(&mut self.sessions.unpaused) {
            if self.sessions.by_slot.contains_key(&slot) {
                self.hear_aside(slot);
                self.give_verdict(slot);
            }
        }
        for slot in std::mem::take(&mut self.sessions.told) {
            self.answer_poll(slot);
        }
    }

    /// Answers who polls the session in this slot, if there is something to answer.
    pub(super) fn answer_poll(&mut self, slot: u32) {
        let now = self.now32();
        let Some(session) = self.sessions.by_slot.get_mut(&slot) else {
            return;
        };
        session.is_told = false;
        if session.down.is_empty() {
            return;
        }
        let Some(carrier) = session.poll.take() else {
            return;
        };
        if !self.is_asking(carrier) {
            return;
        }
        self.connections[slot as usize].heard(now, 0);
        let body = self.sessions.by_slot[&slot].front(POLL_BYTES).to_vec();
        self.respond(
            carrier.slot,
            Reply {
                status: Status::Ok200,
                kind: "application/octet-stream",
                body: &body,
            },
        );
    }

    /// Tells who brought something that all of it has been heard, once it has.
    pub(super) fn give_verdict(&mut self, slot: u32) {
        if self.unread.of(slot) > 0 {
            return;
        }
        let session = self.sessions.by_slot.get_mut(&slot);
        let carrier = session.and_then(|session| session.verdict.take());
        if let Some(carrier) = carrier.filter(|&carrier| self.is_asking(carrier)) {
            self.respond_done(carrier.slot);
        }
    }

    /// The connection in this slot, as a carrier.
    pub(super) fn carrier(&self, slot: u32) -> Carrier {
        let id = self.connections[slot as usize].who.id();
        Carrier { slot, id }
    }

    fn is_there(&self, carrier: Carrier) -> bool {
        let connection = self.connections.get(carrier.slot as usize);
        connection.is_some_and(|connection| connection.who.id() == carrier.id)
    }

    /// Whether its request still waits for an answer.
    pub(super) fn is_asking(&self, carrier: Carrier) -> bool {
        let connection = self.connections.get(carrier.slot as usize);
        let asks = connection.is_some_and(|it| matches!(it.phase, Phase::Exchange(_)));
        asks && self.is_there(carrier)
    }

    /// The connection in slot `of` carries requests of the session in this slot: as long as they are few, only the session
    /// counts for its address.
    pub(super) fn count_carrier(&mut self, slot: u32, of: u32, most: usize) {
        let carrier = self.carrier(of);
        let Some(mut session) = self.sessions.by_slot.remove(&slot) else {
            return;
        };
        if !session.carriers.contains(&carrier) {
            session.carriers.retain(|&other| self.is_there(other));
            if session.carriers.len() < most {
                session.carriers.push(carrier);
                let source = self.take_source(of);
                self.depart(source, Counted::Unseated);
            }
        }
        self.sessions.by_slot.insert(slot, session);
    }

    /// The session in this slot is gone: what carried it counts for itself again.
    pub(in crate::shard) fn forget_session(&mut self, slot: u32) {
        let Some(session) = self.sessions.by_slot.remove(&slot) else {
            return;
        };
        let Session {
            carriers,
            poll,
            verdict,
            ..
        } = session;
        for carrier in carriers {
            if self.is_there(carrier)
                && self.connections[carrier.slot as usize].counted == Counted::Not
            {
                self.count_newcomer(carrier.slot);
            }
        }
        for carrier in [poll, verdict].into_iter().flatten() {
            if self.is_asking(carrier) {
                self.respond_gone(carrier.slot, None);
            }
        }
    }
}
