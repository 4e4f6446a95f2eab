//! Slices of an iteration: how long it reads, how long it writes.
//!
//! Must not know: what it does meanwhile. Invariant: the clock is looked at once in so many calls, and as many are done in any
//! case.

use super::net::Net;
use crate::limits::{CALLS_PER_LOOK, STRANGERS_PER_LOOK};

/// A slice of an iteration.
#[derive(Debug)]
pub(super) struct Slice {
    until: u64,
    /// Calls from one look at the clock to the next, and since the last.
    per_look: u32,
    calls: u32,
    pub(super) is_over: bool,
}

impl Slice {
    pub(super) fn new(net: &impl Net, us: u64) -> Self {
        Self {
            until: net.clock() + us,
            per_look: CALLS_PER_LOOK,
            calls: 0,
            is_over: false,
        }
    }

    /// For who does not play: kept to more closely, for each call costs more.
    pub(super) fn of_strangers(net: &impl Net, us: u64) -> Self {
        Self {
            per_look: STRANGERS_PER_LOOK,
            ..Self::new(net, us)
        }
    }

    /// Counts one call; whether it is one too many.
    pub(super) fn is_over(&mut self, net: &impl Net) -> bool {
        self.look(net);
        self.is_over
    }

    /// Counts one call; the time (us), if it is time for a look at the clock.
    #[inline]
    pub(super) fn look(&mut self, net: &impl Net) -> Option<u64> {
        self.calls += 1;
        if self.calls <= self.per_look || self.is_over {
            return None;
        }
        self.calls = 1;
        let now = net.clock();
        self.is_over = now >= self.until;
        Some(now)
    }
}
