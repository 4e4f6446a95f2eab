//! Hosts whose connections end in the middle of the game, and the snapshots that they leave.
//!
//! Owns whose turn it is. Must not know what a successor is told.
//! Invariant: a host whose room waits for a successor already is not lost once more.

use super::Worker;
use crate::engine::clock::Nanos;
use crate::engine::schedule::{Period, Ring};
use crate::engine::socket;
use crate::scenario::Scenario;

/// When the hosts of a thread's rooms are lost: the rooms in turn, at its part of the rate.
pub(super) fn kills(start: Nanos, scenario: &Scenario, rooms: u32) -> Ring {
    let rate = scenario.play.host_kills;
    if rate <= 0.0 || rooms == 0 {
        return Ring::new(Vec::new(), Period::of_rate(1.0), 0);
    }
    let period = scenario.rooms() as f64 / rate;
    let share = period * 1e9 / f64::from(rooms);
    let slots = (0..rooms).map(|room| ((f64::from(room + 1) * share) as Nanos, room));
    Ring::new(slots.collect(), Period::of_rate(1.0 / period), start)
}

impl Worker {
    /// Ends the connections of the hosts whose turn it is.
    pub(super) fn kill_hosts(&mut self) {
        while let Some(room) = self.misbehaviour.pop_kill(self.io.now()) {
            let Some(index) = self.hosts.of(room) else {
                continue;
            };
            let client = &self.clients[index as usize];
            if client.is_joined()
                && client.is_healthy()
                && let Some(stream) = &client.stream
            {
                socket::reset_at_close(stream);
                self.endings.connections.drops += 1;
                self.endings.connections.host_kills += 1;
                let now = self.io.stamp();
                self.lose(index);
                self.hosts.lost(room, now);
            }
        }
    }

    /// Leaves a snapshot with the relay, if the client is a host that is to do so and knows how far it has got.
    pub(super) fn leave_snapshot(&mut self, index: u32) {
        let client = &mut self.clients[index as usize];
        let plan = client.plan;
        let Some(session) = client.speech.session() else {
            return;
        };
        let Some(term) = session.owes_snapshot() else {
            return;
        };
        let stamp = self.hosts.stamp(plan.room, plan.member, term);
        let traffic = &mut self.traffic;
        let payload = traffic.writing.payload_of(&stamp, &traffic.measure);
        session.keep(term, payload.bytes());
    }
}
