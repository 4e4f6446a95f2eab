//! The run's clock.
//!
//! Owns what time is counted from. Must not know what its readings are for.
//! Invariant: monotonic, and the same for every thread of a run, and for every program of the machine: whoever reads
//! `CLOCK_MONOTONIC` beside loadgen can tell how old its messages are.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the epoch of `CLOCK_MONOTONIC`, the machine's start or thereabouts.
pub(crate) type Nanos = u64;

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock;

impl Clock {
    /// Now.
    #[inline]
    pub(crate) fn now(self) -> Nanos {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

/// A duration in nanoseconds, at most [`Nanos::MAX`].
#[inline]
pub(crate) fn nanos(duration: Duration) -> Nanos {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}
