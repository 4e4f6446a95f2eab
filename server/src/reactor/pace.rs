//! How a reactor's loop goes: how often it iterates, for how long it is busy, how late it is.
//!
//! Must not know: what an iteration does. Invariant: keeping this costs a few additions for each iteration, nothing for a
//! message.

use crate::shard::Pace;

/// A poll that took longer (us) has slept: what it reports came when it ended. One that did not has found what came while
/// the iteration before it ran.
const SLEPT_US: u64 = 50;

/// Counts while the loop runs.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    total: Pace,
    /// The end of the last poll (us).
    began: u64,
    /// The end of the last iteration (us).
    ended: u64,
    /// The longest iteration since the last publication (us).
    longest: u64,
    /// By how much a poll that nothing woke overslept at most, since then (us).
    late: u64,
}

impl Pacer {
    /// A poll has ended at this time (us) that was to sleep until then (us) at most, and reported so many events. Returns since
    /// when what it reports may have waited (us).
    pub(super) fn polled(&mut self, now: u64, until: u64, events: u64) -> u64 {
        let before = std::mem::replace(&mut self.began, now);
        self.total.iterations += 1;
        self.total.events += events;
        self.late = self.late.max(now.saturating_sub(until));
        let slept = now.saturating_sub(self.ended) > SLEPT_US;
        if slept { now } else { before }
    }

    /// What the iteration had to do is done (us).
    pub(super) fn worked(&mut self, now: u64) {
        self.ended = now;
        let took = now.saturating_sub(self.began);
        self.total.busy_us += took;
        self.longest = self.longest.max(took);
    }

    /// All of it, for who reads; the longest begin anew.
    pub(super) fn publish(&mut self, handshakes: usize) -> Pace {
        self.total.handshakes_waiting = handshakes as u64;
        self.total.longest_us = std::mem::take(&mut self.longest);
        self.total.late_us = std::mem::take(&mut self.late);
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_while_the_loop_was_busy_has_waited_since() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.polled(1_000, 0, 1), 1_000);
        pacer.worked(3_000);
        assert_eq!(pacer.polled(3_000 + SLEPT_US, 0, 1), 1_000);
        pacer.worked(3_500);
        assert_eq!(pacer.polled(3_501 + SLEPT_US, 0, 1), 3_501 + SLEPT_US);
    }

    #[test]
    fn what_is_longest_is_of_the_time_between_two_publications() {
        let mut pacer = Pacer::default();
        for (end, until, busy) in [(1_000, 900, 50), (2_000, 3_000, 700), (4_000, 4_000, 20)] {
            pacer.polled(end, until, 3);
            pacer.worked(end + busy);
        }
        let first = pacer.publish(7);
        let expected = Pace {
            iterations: 3,
            events: 9,
            busy_us: 770,
            longest_us: 700,
            late_us: 100,
            handshakes_waiting: 7,
        };
        assert_eq!(first, expected);
        pacer.polled(5_000, 6_000, 0);
        pacer.worked(5_010);
        let second = pacer.publish(0);
        assert_eq!(
            (second.busy_us, second.longest_us, second.late_us),
            (780, 10, 0)
        );
    }
}
