//! Waking a thread's poll at a precise time.
//!
//! Owns the timer descriptor. Must not know what the time is for.
//! Invariant: a poll that follows [`Alarm::arm`] returns at the latest at that time, give or take
//! what the kernel needs to wake a thread. (The poll's own timeout is rounded up to whole
//! milliseconds, and the kernel may stretch it by the timer slack; a timer descriptor has
//! neither.)
//!
//! What the kernel needs is 5 to 100 us, and would be part of every latency. [`Lateness`] learns
//! it, so that a thread can have itself woken earlier by that much; if it is awake too soon, it
//! waits the rest by polling without sleeping.

use super::clock::Nanos;

/// What a wake-up is ahead of its time at most: the most that a thread ever polls without
/// sleeping for one thing that is due.
const AHEAD_MAX: Nanos = 100_000;
/// How far one wake-up moves the estimate.
const STEP: Nanos = 500;

/// How late wake-ups are: a running median, so that the rare wake-up which came milliseconds
/// late because another program had the core does not count for more than any other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lateness {
    median: Nanos,
}

impl Lateness {
    /// A wake-up was this late.
    pub(crate) fn observe(&mut self, late: Nanos) {
        self.median = if late > self.median {
            (self.median + STEP).min(AHEAD_MAX)
        } else {
            self.median.saturating_sub(STEP)
        };
    }

    /// By how much to wake up early.
    #[inline]
    pub(crate) fn ahead(self) -> Nanos {
        self.median
    }
}

#[cfg(target_os = "linux")]
pub(crate) use timer::Alarm;

#[cfg(not(target_os = "linux"))]
pub(crate) use timeout::Alarm;

#[cfg(target_os = "linux")]
mod timer {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use crate::engine::clock::Nanos;

    /// A timer whose descriptor is registered with a poll. Registered edge-triggered: an expiry
    /// wakes without ever being read.
    #[derive(Debug)]
    pub(crate) struct Alarm {
        timer: OwnedFd,
        /// What it is set to; `Nanos::MAX` if it has gone off.
        armed: Nanos,
    }

    impl Alarm {
        /// Registers with `token`, which will report nothing of interest.
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self {
                timer,
                armed: Nanos::MAX,
            })
        }

        /// Sets the time to wake at, if it is not set to that, and gives the timeout to poll
        /// with. `Nanos::MAX` is never.
        pub(crate) fn arm(&mut self, at: Nanos, now: Nanos) -> io::Result<Option<Duration>> {
            if at == self.armed || at == Nanos::MAX {
                return Ok(None);
            }
            let wait = at.saturating_sub(now).max(1);
            let value = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec {
                    tv_sec: (wait / 1_000_000_000) as _,
                    tv_nsec: (wait % 1_000_000_000) as _,
                },
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)?;
            self.armed = at;
            Ok(None)
        }

        /// Its token was reported: it has to be set again. Gives the time it was set to.
        pub(crate) fn went_off(&mut self) -> Nanos {
            std::mem::replace(&mut self.armed, Nanos::MAX)
        }
    }
}

/// Elsewhere (kqueue) the poll's timeout is precise enough by itself.
#[cfg(not(target_os = "linux"))]
mod timeout {
    use std::io;
    use std::time::Duration;

    use mio::{Registry, Token};

    use crate::engine::clock::Nanos;

    /// The timeout of the poll itself.
    #[derive(Debug)]
    pub(crate) struct Alarm;

    impl Alarm {
        /// Nothing to register.
        pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Self> {
            Ok(Self)
        }

        /// The timeout to poll with. `Nanos::MAX` is never.
        pub(crate) fn arm(&mut self, at: Nanos, now: Nanos) -> io::Result<Option<Duration>> {
            Ok((at != Nanos::MAX).then(|| Duration::from_nanos(at.saturating_sub(now))))
        }

        /// Its token is never reported.
        pub(crate) fn went_off(&mut self) -> Nanos {
            Nanos::MAX
        }
    }
}

#[cfg(test)]
mod lateness_tests {
    use super::*;

    #[test]
    fn learns_the_median_and_stays_within_its_bound() {
        let mut lateness = Lateness::default();
        for round in 0..1000 {
            // One in four is very late.
            let late = if round % 4 == 0 { 5_000_000 } else { 20_000 };
            lateness.observe(late);
        }
        assert!(lateness.ahead().abs_diff(20_000) <= 2 * STEP);
        for _ in 0..1000 {
            lateness.observe(5_000_000);
        }
        assert_eq!(lateness.ahead(), AHEAD_MAX);
        for _ in 0..1000 {
            lateness.observe(0);
        }
        assert_eq!(lateness.ahead(), 0);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::engine::clock::{Clock, Nanos};
    use mio::{Events, Poll, Token};

    #[test]
    fn wakes_again_and_again_without_being_read() {
        let mut poll = Poll::new().expect("poll");
        let mut alarm = Alarm::new(poll.registry(), Token(3)).expect("alarm");
        let mut events = Events::with_capacity(4);
        let clock = Clock;
        for _ in 0..20 {
            let now = clock.now();
            let at = now + 300_000;
            let timeout = alarm.arm(at, now).expect("armed");
            poll.poll(&mut events, timeout).expect("polled");
            assert!(events.iter().all(|event| event.token() == Token(3)));
            assert_eq!(events.iter().count(), 1);
            assert!(clock.now() >= at);
            assert_eq!(alarm.went_off(), at);
        }
    }

    #[test]
    fn an_earlier_time_replaces_a_later_one() {
        let mut poll = Poll::new().expect("poll");
        let mut alarm = Alarm::new(poll.registry(), Token(3)).expect("alarm");
        let mut events = Events::with_capacity(4);
        assert_eq!(alarm.arm(Nanos::MAX, 0).expect("never"), None);
        alarm.arm(3_600_000_000_000, 0).expect("in an hour");
        let timeout = alarm.arm(1, 0).expect("at once");
        poll.poll(&mut events, timeout).expect("polled");
        assert_eq!(events.iter().count(), 1);
    }
}
