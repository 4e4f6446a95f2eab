//! How old the newest value of each sender is at each receiver.
//!
//! Owns the moments at which that is looked at. Must not know how values come.
//! Invariant: moments are evenly spread over the measured time and fixed in advance, so that a time without news is seen for as
//! long as it lasts; each receiver has its turn equally often.

use super::Worker;
use crate::engine::clock::Nanos;
use crate::engine::recorder::Recorder;

/// From one moment to the next.
const APART: Nanos = 10_000_000;
/// Receivers that are looked at in one moment, at least; each has its turn once a second at least.
const RECEIVERS_MIN: usize = 16;

/// The ages of one thread's values.
#[derive(Debug)]
pub(super) struct Ages {
    pub(super) recorder: Recorder,
    /// The next moment; `Nanos::MAX`: never.
    due: Nanos,
    /// Whose turn it is.
    turn: usize,
}

impl Ages {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            recorder: Recorder::new(),
            due: Nanos::MAX,
            turn: 0,
        }
    }

    /// The measured time begins at `from`.
    pub(super) fn begin(&mut self, from: Nanos) {
        self.due = from;
    }

    /// When the next moment is.
    pub(super) fn due(&self) -> Nanos {
        self.due
    }
}

impl Worker {
    /// Looks at those whose turn it is, as of each moment that has passed: nothing was read since.
    pub(super) fn look_at_ages(&mut self) {
        let until = self.io.now().min(self.traffic.measure.window.to);
        while self.ages.due < until {
            let at = self.ages.due;
            self.ages.due += APART;
            let clients = self.clients.len();
            let count = clients.div_ceil((1_000_000_000 / APART) as usize);
            for _ in 0..count.max(RECEIVERS_MIN).min(clients) {
                let client = &self.clients[self.ages.turn];
                self.ages.turn = (self.ages.turn + 1) % clients;
                if !client.is_healthy() || !client.is_joined() {
                    continue;
                }
                let (room, member) = (client.plan.room, client.plan.member);
                for newest in self.traffic.values.ledger.newest(room, member) {
                    self.ages.recorder.record(at.saturating_sub(newest));
                }
            }
        }
    }
}
