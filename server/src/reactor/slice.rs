//! Slices of an iteration: how long it reads, how long it writes.
//!
//! Must not know: what it does meanwhile. Invariant: the clock is looked at once in [`CALLS_PER_LOOK`] calls, and so many are done
//! in any case.

use super::net::Net;
use crate::limits::CALLS_PER_LOOK;

/// A slice of an iteration.
#[derive(Debug)]
pub(super) struct Slice {
    until: u64,
    calls: u32,
    pub(super) is_over: bool,
}

impl Slice {
    pub(super) fn new(net: &impl Net, us: u64) -> Self {
        Self {
            until: net.clock() + us,
            calls: 0,
            is_over: false,
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
        if self.calls <= CALLS_PER_LOOK || self.is_over {
            return None;
        }
        self.calls = 1;
        let now = net.clock();
        self.is_over = now >= self.until;
        Some(now)
    }
}
