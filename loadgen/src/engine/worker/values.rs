//! The values of one thread's senders: when they are due, and which is set next.
//!
//! Owns the schedule of states. Must not know sockets, nor how a value travels.
//! Invariant: a sender sets its keys in turn, each time to the newest value that is due; what it could not set in time is
//! passed over by newer ones, and counts as offered and never sent.

use super::writing::Writing;
use crate::engine::client::Client;
use crate::engine::clock::Nanos;
use crate::engine::measure::Measure;
use crate::engine::plan::RoomPlan;
use crate::engine::schedule::{Period, Ring};
use crate::engine::session::Session;
use crate::engine::states::States;
use crate::payload::{Room, Stamp};
use crate::scenario::Scenario;

/// How far a sender is.
#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    phase: Nanos,
    /// Values that have fallen due.
    due: u64,
    /// Of these, those that were set or passed over.
    done: u64,
    /// Values set: the next one's sequence number.
    sequence: u32,
}

/// A thread's values.
#[derive(Debug)]
pub(super) struct Values {
    keys: u32,
    period: Period,
    start: Nanos,
    ring: Ring,
    /// There are ticks, which senders align with.
    aligned: bool,
    /// By client.
    senders: Vec<Sender>,
    /// Values of healthy senders that are due and neither set nor passed over.
    unsaid: u64,
    pub(super) ledger: States,
}

impl Values {
    /// Of these rooms; nothing is due yet.
    pub(super) fn new(run: u32, scenario: &Scenario, rooms: &[RoomPlan]) -> Self {
        let keys = match scenario.play.has_states() {
            true => scenario.play.keys,
            false => 0,
        };
        let mut ledger = States::new(keys);
        for room in rooms {
            let name = Room::of_states(run, room.number);
            ledger.add_room(name, room.members, room.senders, room.healthy);
        }
        let members: u32 = rooms.iter().map(|room| room.members).sum();
        let period = Period::of_rate(scenario.play.states_hz);
        Self {
            keys,
            period,
            start: 0,
            ring: Ring::new(Vec::new(), period, 0),
            aligned: scenario.play.tick_hz > 0,
            senders: vec![Sender::default(); members as usize],
            unsaid: 0,
            ledger,
        }
    }

    /// They are due from `start` on, each sender's at the place in the period that it has in that of its messages.
    pub(super) fn begin(&mut self, start: Nanos, messages: Period, clients: &[Client]) {
        self.start = start;
        if self.keys == 0 {
            return;
        }
        let mut slots = Vec::new();
        for (client, index) in clients.iter().zip(0..) {
            let Some(phase) = client.plan.phase else {
                continue;
            };
            let phase = messages.scaled(phase, self.period);
            self.senders[index as usize].phase = phase;
            slots.push((phase, index));
        }
        self.ring = Ring::new(slots, self.period, start);
    }

    /// When the next value is due; `Nanos::MAX`: never.
    #[inline]
    pub(super) fn due(&self) -> Nanos {
        self.ring.due()
    }

    /// Takes the next value: when it is due, and whose it is.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(Nanos, u32)> {
        self.ring.pop()
    }

    /// How many values a client would set now.
    #[inline]
    pub(super) fn ready(&self, index: u32) -> usize {
        let sender = &self.senders[index as usize];
        (sender.due - sender.done).min(u64::from(self.keys)) as usize
    }

    /// Whether a client has values to set.
    #[inline]
    pub(super) fn are_pending(&self, index: u32) -> bool {
        let sender = &self.senders[index as usize];
        sender.done < sender.due
    }

    /// Whether all that are due were set, or passed over.
    pub(super) fn are_said(&self) -> bool {
        self.unsaid == 0
    }

    /// A value of this client is due. Tells whether it is to be set.
    #[inline]
    pub(super) fn fell_due(
        &mut self,
        (index, client): (u32, &Client),
        due: Nanos,
        now: Nanos,
        measure: &mut Measure,
    ) -> bool {
        let healthy = client.is_healthy();
        measure.fell_due(healthy, due);
        let sender = &mut self.senders[index as usize];
        sender.due += 1;
        if !client.is_playing() {
            sender.done = sender.due;
            measure.unconnected(healthy, due);
            return false;
        }
        measure.tried(healthy, due, now);
        self.unsaid += u64::from(healthy);
        if client.blocked {
            measure.blocked(healthy, due);
        }
        true
    }

    /// Sets the newest of each key that is due, if all of them may be said now; `others` healthy players must get each.
    pub(super) fn say(
        &mut self,
        (index, client): (u32, &Client),
        session: &mut Session,
        (measure, writing): (&mut Measure, &mut Writing),
        (room, others): (Room, u64),
        now: Nanos,
    ) {
        let sender = &mut self.senders[index as usize];
        let pending = sender.due - sender.done;
        let count = pending.min(u64::from(self.keys));
        if count == 0 || (session.allowance(now) as u64) < count {
            return;
        }
        let healthy = client.is_healthy();
        let (start, phase, period) = (self.start, sender.phase, self.period);
        let due_at = |which| start + phase + period.offset(which);
        let newest = sender.due - count;
        if self.aligned {
            // Who sends once in a tick does not offer what a newer one takes the place of until then.
            for which in sender.done..newest {
                measure.withdrawn(healthy, due_at(which));
            }
        }
        sender.done = newest;
        if healthy {
            self.unsaid -= pending - count;
        }
        while sender.done < sender.due {
            let due = due_at(sender.done);
            let stamp = Stamp {
                room,
                sender: client.plan.member as u16,
                sequence: sender.sequence,
                intended_ns: due,
                delay_ns: now.saturating_sub(due),
            };
            let payload = writing.payload_of(&stamp, measure);
            if !session.set(sender.sequence % self.keys, payload) {
                return;
            }
            if due >= measure.window.from {
                self.ledger.measured(index, sender.sequence);
            }
            measure.sent(healthy, due, now, others);
            sender.sequence += 1;
            sender.done += 1;
            if healthy {
                self.unsaid -= 1;
            }
        }
    }

    /// The client's connection is ending: what it has to set is never set. `counted`: it is not the generator that gives
    /// that up.
    pub(super) fn give_up(
        &mut self,
        (index, client): (u32, &Client),
        counted: bool,
        measure: &mut Measure,
    ) {
        let healthy = client.is_healthy();
        let sender = &mut self.senders[index as usize];
        let given_up = sender.done..sender.due;
        sender.done = sender.due;
        if healthy {
            self.unsaid -= given_up.end - given_up.start;
        }
        if !counted {
            return;
        }
        for which in given_up {
            let due = self.start + sender.phase + self.period.offset(which);
            measure.unconnected(healthy, due);
        }
    }
}
