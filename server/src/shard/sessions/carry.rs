//! Between connections that have no socket and the requests that carry their bytes.

use std::mem;

use roomcast_protocol::upgrade::{Reply, Status};

use super::{Asker, Carrier, Session};
use crate::limits::{POLL_BUDGET, POLL_BYTES, SESSION_CONNECTIONS};
use crate::shard::connection::Phase;
use crate::shard::remote::Afar;
use crate::shard::{Shard, Written};

impl Shard {
    /// Takes the current write, if the connection that it is for has no socket. True if it has none.
    #[inline]
    pub(in crate::shard) fn carry_write(&mut self, slot: u32) -> bool {
        self.connections[slot as usize].carried && self.carry_some(slot)
    }

    /// Whether what stands in for the socket of the connection in this slot takes what is written for it.
    pub(in crate::shard) fn takes_more(&self, slot: u32) -> bool {
        let streams = &self.streams;
        self.sessions.has_room(slot) || streams.has_room(slot) || self.links.has_room(slot)
    }

    #[inline(never)]
    fn carry_some(&mut self, slot: u32) -> bool {
        // Taken out, because what is written may lie anywhere else in the shard.
        let mut sessions = mem::take(&mut self.sessions);
        let session = sessions.by_slot.get_mut(&slot);
        let taken =
            session.map(|session| self.pending().with_slices(|slices| session.take(slices)));
        self.sessions = sessions;
        let Some(taken) = taken else {
            return self.stream_write(slot) || self.link_write(slot);
        };
        self.sessions.tell(slot);
        self.wrote_other(Written::Carried(taken));
        self.pour(slot);
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
        for slot in mem::take(&mut self.sessions.unpaused) {
            if self.sessions.by_slot.contains_key(&slot) {
                self.hear_aside(slot);
                self.give_verdict(slot);
            }
        }
        let now = self.sessions.told.len().min(POLL_BUDGET);
        let told: Vec<u32> = self.sessions.told.drain(..now).collect();
        for slot in told {
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
        let Some(Asker::Poll(carrier)) = session.asker else {
            return;
        };
        let remote = self.is_asking(carrier).then(|| self.remote(carrier.slot));
        let Some(session) = self.sessions.by_slot.get_mut(&slot) else {
            return;
        };
        let Some(remote) = remote else {
            session.asker = None;
            return;
        };
        let front = session.front(0, POLL_BYTES);
        if let Some(remote) = remote
            && !self.remotes.has_credit(remote, front.len(), slot)
        {
            return;
        }
        let body = front.to_vec();
        session.asker = None;
        self.connections[slot as usize].heard(now, 0);
        let reply = Reply {
            status: Status::Ok200,
            kind: "application/octet-stream",
            body: &body,
        };
        self.respond(carrier.slot, reply);
    }

    /// There may be room for the answer to who polls the session in this slot.
    pub(in crate::shard) fn tell_again(&mut self, slot: u32) {
        self.sessions.tell(slot);
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

    /// Whether what it brings has not come whole.
    pub(super) fn is_bringing(&self, carrier: Carrier) -> bool {
        let connection = self.connections.get(carrier.slot as usize);
        let brings = connection
            .is_some_and(|it| matches!(&it.phase, Phase::Exchange(it) if it.is_arriving()));
        brings && self.is_there(carrier)
    }

    /// The connection in slot `of` carries requests of the session in this slot: as long as they are few, only the session
    /// counts for its address.
    pub(super) fn count_carrier(&mut self, slot: u32, of: u32) {
        let of = self.streams.parent(of);
        if let Some(afar) = self.afar(of) {
            return self.count_carrier_afar(slot, of, afar);
        }
        let carrier = self.carrier(of);
        let Self {
            sessions,
            connections,
            ..
        } = self;
        let Some(Session { carriers, afar, .. }) = sessions.by_slot.get_mut(&slot) else {
            return;
        };
        if carriers.contains(&carrier) {
            return;
        }
        carriers.retain(|other| {
            let connection = connections.get(other.slot as usize);
            connection.is_some_and(|connection| connection.who.id() == other.id)
        });
        if carriers.len() + afar.len() < SESSION_CONNECTIONS {
            carriers.push(carrier);
            self.count_no_longer(of);
        }
    }

    /// The same of one at another reactor, which is told with the answer. In the place of an older one, if need be, of which
    /// nobody says here when it is gone.
    fn count_carrier_afar(&mut self, slot: u32, of: u32, one: Afar) {
        let Some(Session { carriers, afar, .. }) = self.sessions.by_slot.get_mut(&slot) else {
            return;
        };
        let known = afar.iter().position(|other| *other == one);
        let is_full = carriers.len() + afar.len() >= SESSION_CONNECTIONS;
        let older = match known {
            Some(place) => {
                afar.remove(place);
                None
            }
            None if is_full && afar.is_empty() => return,
            None => is_full.then(|| afar.remove(0)),
        };
        afar.push(one);
        if let Phase::Exchange(exchange) = &mut self.connections[of as usize].phase {
            exchange.carries = true;
        }
        if let Some(older) = older {
            self.say_counts_again(older);
        }
    }

    /// The session in this slot says its last words, and is remembered for a while, unless many have ended since.
    pub(in crate::shard) fn end_session(&mut self, slot: u32) {
        let session = self.carrier(slot);
        self.sessions.end(session);
        // Nobody follows those of a process that ends.
        while !self.draining
            && let Some(oldest) = self.sessions.one_ended_too_many()
        {
            if self.is_there(oldest) {
                self.bury(oldest.slot);
            }
        }
    }

    /// The session in this slot is gone: what carried it counts for itself again, and who waits for it is told why.
    pub(in crate::shard) fn forget_session(&mut self, slot: u32) {
        let Some(session) = self.sessions.by_slot.remove(&slot) else {
            return;
        };
        for carrier in session.carriers {
            if self.is_there(carrier) {
                self.count_again(carrier.slot);
            }
        }
        for carrier in session.afar {
            self.say_counts_again(carrier);
        }
        let asker = session.asker.map(|asker| asker.carrier());
        for carrier in [asker, session.verdict].into_iter().flatten() {
            if self.is_asking(carrier) {
                self.respond_gone(carrier.slot, Some(slot));
            }
        }
    }
}
