//! When each message is due: computed in advance, so that nothing the server does can move it.
//!
//! Owns the arithmetic and the order in which a thread's senders fall due. Must not know
//! sockets, nor what was sent.
//! Invariant: message `k` of a sender is due at `phase + k * period` after the start, whatever
//! happened to the messages before.

use super::clock::Nanos;
use crate::scenario::Schedule;

/// The period of a rate; offsets are rounded down to a nanosecond each by itself, so that a
/// period of a third of a second does not drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Period {
    ns: f64,
}

impl Period {
    /// Of `rate_hz > 0` messages per second.
    pub(crate) fn of_rate(rate_hz: f64) -> Self {
        Self { ns: 1e9 / rate_hz }
    }

    /// When event number `k` is due, after the phase.
    #[inline]
    pub(crate) fn offset(self, k: u64) -> Nanos {
        (k as f64 * self.ns) as Nanos
    }

    /// The phase that has the place in the period `to` that `phase` has in this one.
    pub(crate) fn scaled(self, phase: Nanos, to: Self) -> Nanos {
        (phase as f64 / self.ns * to.ns) as Nanos
    }

    /// A share of the period: `part / of`.
    fn share(self, part: usize, of: usize) -> Nanos {
        (self.ns * part as f64 / of as f64) as Nanos
    }
}

/// The phase of each of `senders`. Even: all the multiples of `period / senders`, each to one
/// sender, in an order drawn from `seed`, so that members of a room are not neighbours in time.
/// Burst: all zero.
pub(crate) fn phases(schedule: Schedule, period: Period, senders: usize, seed: u64) -> Vec<Nanos> {
    match schedule {
        Schedule::Burst => vec![0; senders],
        Schedule::Even => {
            let mut phases: Vec<_> = (0..senders).map(|i| period.share(i, senders)).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut phases);
            phases
        }
    }
}

/// Events that all recur with one period, in the order in which they fall due. Because the
/// period is shared, that order is the same in every round: no heap is needed.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// (Phase, whose), by phase.
    slots: Vec<(Nanos, u32)>,
    period: Period,
    start: Nanos,
    position: usize,
    round: u64,
    /// When the next event is due; `Nanos::MAX` if there is none.
    due: Nanos,
}

impl Ring {
    /// Of (phase, whose), in any order, from `start` on.
    pub(crate) fn new(mut slots: Vec<(Nanos, u32)>, period: Period, start: Nanos) -> Self {
        // Stable, so that equal phases keep the order they were given in.
        slots.sort_by_key(|&(phase, _)| phase);
        let mut ring = Self {
            slots,
            period,
            start,
            position: 0,
            round: 0,
            due: Nanos::MAX,
        };
        ring.due = ring.due_of(0, 0);
        ring
    }

    /// When the next event is due; `Nanos::MAX` if there are none.
    #[inline]
    pub(crate) fn due(&self) -> Nanos {
        self.due
    }

    /// Takes the next event: when it is due, and whose it is. `None` without any slot.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(Nanos, u32)> {
        let &(_, whose) = self.slots.get(self.position)?;
        let due = self.due;
        self.position += 1;
        if self.position == self.slots.len() {
            self.position = 0;
            self.round += 1;
        }
        self.due = self.due_of(self.position, self.round);
        Some((due, whose))
    }

    /// Whose event is next.
    #[inline]
    pub(crate) fn whose(&self) -> Option<u32> {
        self.slots.get(self.position).map(|&(_, whose)| whose)
    }

    fn due_of(&self, position: usize, round: u64) -> Nanos {
        self.slots.get(position).map_or(Nanos::MAX, |&(phase, _)| {
            self.start + phase + self.period.offset(round)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Nanos = 1_000_000_000;

    fn events(ring: &mut Ring, until: Nanos) -> Vec<(Nanos, u32)> {
        let mut events = Vec::new();
        while ring.due() < until {
            events.extend(ring.pop());
        }
        events
    }

    fn ring(schedule: Schedule, rate_hz: f64, senders: usize, start: Nanos) -> Ring {
        let period = Period::of_rate(rate_hz);
        let slots = phases(schedule, period, senders, 42).into_iter().zip(0..);
        Ring::new(slots.collect(), period, start)
    }

    proptest! {
        #[test]
        fn as_many_as_the_rate_says(
            rate in 0.5f64..3000.0, senders in 1usize..200, seconds in 1u64..5, start in 0u64..SECOND
        ) {
            let mut ring = ring(Schedule::Even, rate, senders, start);
            let count = events(&mut ring, start + seconds * SECOND).len() as f64;
            let expected = rate * senders as f64 * seconds as f64;
            // Each sender's last message may lie on either side of the end.
            prop_assert!((count - expected).abs() <= senders as f64 + 1e-6, "{} {}", count, expected);
            let total = rate * seconds as f64;
            if (total - total.round()).abs() < 1e-9 {
                prop_assert_eq!(count as u64, (total.round() as u64) * senders as u64);
            }
        }

        #[test]
        fn in_order_and_each_by_its_own_period(rate in 0.5f64..3000.0, senders in 1usize..50) {
            let period = Period::of_rate(rate);
            let phases = phases(Schedule::Even, period, senders, 42);
            let mut ring = ring(Schedule::Even, rate, senders, 5);
            let mut counts = vec![0u64; senders];
            let mut last = 0;
            for _ in 0..senders * 20 {
                let next = ring.whose();
                let (due, whose) = ring.pop().expect("never empty");
                prop_assert_eq!(next, Some(whose));
                let whose = whose as usize;
                prop_assert!(due >= last);
                prop_assert_eq!(due, 5 + phases[whose] + period.offset(counts[whose]));
                counts[whose] += 1;
                last = due;
            }
            prop_assert!(counts.iter().all(|&n| n == 20));
        }
    }

    #[test]
    fn even_is_evenly_spread() {
        let mut ring = ring(Schedule::Even, 20.0, 1000, 0);
        let events = events(&mut ring, SECOND);
        assert_eq!(events.len(), 20_000);
        for (i, &(due, _)) in events.iter().enumerate() {
            assert_eq!(due, 50_000 * i as u64);
        }
    }

    #[test]
    fn neighbours_in_a_room_are_not_neighbours_in_time() {
        let mut ring = ring(Schedule::Even, 1.0, 1000, 0);
        let events = events(&mut ring, SECOND);
        let near = events.windows(2).filter(|w| w[0].1.abs_diff(w[1].1) < 10);
        assert!(near.count() < 100);
    }

    #[test]
    fn a_seed_gives_the_same_phases_again() {
        let period = Period::of_rate(3.0);
        let of = |seed| phases(Schedule::Even, period, 100, seed);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn burst_is_everyone_at_once() {
        let mut ring = ring(Schedule::Burst, 4.0, 100, 7);
        let events = events(&mut ring, 7 + SECOND);
        assert_eq!(events.len(), 400);
        for (i, &(due, whose)) in events.iter().enumerate() {
            assert_eq!(due, 7 + SECOND / 4 * (i as u64 / 100));
            assert_eq!(whose as usize, i % 100);
        }
    }

    #[test]
    fn a_period_that_is_not_whole_does_not_drift() {
        let period = Period::of_rate(3.0);
        for second in 0..100_000 {
            let offset = period.offset(3 * second);
            assert!(offset.abs_diff(second * SECOND) <= 1, "{second} {offset}");
        }
    }

    #[test]
    fn nobody_is_never_due() {
        let mut ring = Ring::new(Vec::new(), Period::of_rate(1.0), 0);
        assert_eq!(ring.due(), Nanos::MAX);
        assert_eq!(ring.pop(), None);
    }
}
