//! The run's clock.
//!
//! Owns the epoch. Must not know what its readings are for.
//! Invariant: monotonic, and the same for every thread of a run.

use std::time::{Duration, Instant};

/// Nanoseconds since the run's epoch.
pub(crate) type Nanos = u64;

/// A clock that reads nanoseconds since its epoch; copies share the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock whose epoch is now.
    pub(crate) fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// Now.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        nanos(self.epoch.elapsed())
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
