//! The relay's time, as a client knows it (section 10 of `docs/PROTOCOL.md`).
//!
//! Owns: samples of offset and round trip, and the estimate.
//! Must not know: when to ask.
//! Invariant: the estimate never goes backwards, whatever the relay answers.

/// Samples that are kept.
const SAMPLES: usize = 8;

/// Microseconds by which the target is ahead, or behind, from which on it is not slewed to at leisure.
const FAR: i64 = 1_000_000;

/// Microseconds of a round trip that says nothing any more.
const TRIP_MAX: u64 = 60_000_000;

#[derive(Clone, Copy, Debug)]
struct Sample {
    trip: u64,
    offset: i64,
}

#[derive(Default, Debug)]
pub(super) struct Clock {
    samples: [Option<Sample>; SAMPLES],
    next: usize,
    estimate: Option<Estimate>,
    /// The latest time that the relay has stated.
    floor: u64,
}

/// An offset that moves towards a target.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    /// What it was at `since`.
    offset: i64,
    since: u64,
    target: i64,
    /// It moves by one microsecond in so many.
    pace: i64,
}

impl Estimate {
    fn offset(&self, now: u64) -> i64 {
        let most = now.saturating_sub(self.since) as i64 / self.pace;
        self.offset + (self.target - self.offset).clamp(-most, most)
    }
}

impl Clock {
    /// The relay has said what time it is, if not how long ago.
    pub(super) fn stated(&mut self, time: u64) {
        self.floor = self.floor.max(time);
    }

    /// A question of the time `asked` was answered with `time`.
    pub(super) fn answered(&mut self, asked: u64, time: u64, now: u64) {
        let Some(trip) = now.checked_sub(asked).filter(|trip| *trip <= TRIP_MAX) else {
            return;
        };
        let offset = time as i64 - (asked + trip / 2) as i64;
        self.samples[self.next] = Some(Sample { trip, offset });
        self.next = (self.next + 1) % SAMPLES;
        let target = self.best().map_or(offset, |best| best.offset);
        let estimate = match self.estimate {
            None => target,
            Some(estimate) => estimate.offset(now),
        };
        let behind = target - estimate;
        self.estimate = Some(Estimate {
            offset: if behind > FAR { target } else { estimate },
            since: now,
            target,
            pace: if behind < -FAR { 2 } else { 20 },
        });
    }

    /// Of samples that are as good, the latest.
    fn best(&self) -> Option<Sample> {
        let (newer, older) = self.samples.split_at(self.next);
        let latest_first = newer.iter().rev().chain(older.iter().rev()).flatten();
        latest_first.min_by_key(|sample| sample.trip).copied()
    }

    pub(super) fn trip(&self) -> Option<u64> {
        self.best().map(|best| best.trip)
    }

    pub(super) fn time(&self, now: u64) -> Option<u64> {
        let estimate = now as i64 + self.estimate?.offset(now);
        Some(u64::try_from(estimate).unwrap_or(0).max(self.floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shortest_trip_wins_and_the_rest_is_slewed() {
        let mut clock = Clock::default();
        // Nothing is learnt from one of more than a minute, not even if there is no other, or that ended before it began.
        clock.answered(0, 900_000_000, 60_000_001);
        clock.answered(9, 900_000_000, 8);
        assert_eq!((clock.time(5), clock.trip()), (None, None));
        // 100 ms there and back, evenly: exact.
        clock.answered(1_000_000, 51_050_000, 1_100_000);
        assert_eq!(clock.time(1_100_000), Some(51_100_000));
        // A longer trip changes nothing.
        clock.answered(2_000_000, 52_500_000, 2_600_000);
        assert_eq!(clock.time(2_600_000), Some(52_600_000));
        // A shorter one says 10 ms more: that takes 200 ms.
        clock.answered(3_000_000, 53_015_000, 3_010_000);
        assert_eq!(clock.trip(), Some(10_000));
        assert_eq!(clock.time(3_010_000), Some(53_010_000));
        assert_eq!(clock.time(3_110_000), Some(53_115_000));
        assert_eq!(clock.time(4_010_000), Some(54_020_000));
        // Two seconds ahead is believed at once.
        clock.answered(5_000_000, 57_000_000, 5_000_000);
        assert_eq!(clock.time(5_000_000), Some(57_000_000));
        // Two seconds behind is approached at half speed.
        clock.answered(6_000_000, 56_000_000, 6_000_000);
        assert_eq!(clock.time(6_000_000), Some(58_000_000));
        assert_eq!(clock.time(7_000_000), Some(58_500_000));
        assert_eq!(clock.time(10_000_000), Some(60_000_000));
        // What was stated is never undercut.
        clock.stated(70_000_000);
        assert_eq!(clock.time(10_000_000), Some(70_000_000));
    }

    #[test]
    fn eight_samples_later_an_old_one_is_forgotten() {
        let mut clock = Clock::default();
        clock.answered(0, 1, 2);
        for at in 1..=8 {
            clock.answered(at * 100, at * 100, at * 100 + 50);
        }
        assert_eq!(clock.trip(), Some(50));
        clock.answered(5, 5, 4);
        assert_eq!(
            clock.trip(),
            Some(50),
            "an answer from before its question is none"
        );
    }

    proptest! {
        #[test]
        fn it_never_goes_backwards(steps in proptest::collection::vec((0..3_000_000u64, 0..1_000_000u64, 0..1u64 << 53, any::<bool>()), 1..40)) {
            let mut clock = Clock::default();
            let mut now = 1_000_000;
            let mut before = 0;
            for (wait, trip, time, near) in steps {
                now += wait;
                let time = if near { now + time % 5_000_000 } else { time };
                clock.answered(now.saturating_sub(trip), time, now);
                for later in [0, 1, 19, 1000] {
                    let time = clock.time(now + later).unwrap();
                    prop_assert!(time >= before, "{time} after {before}");
                    before = time;
                }
                now += 1000;
            }
        }
    }
}
