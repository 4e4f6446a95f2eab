//! How a reactor's loop goes: how often it iterates, for how long it is busy, how late it is.
//!
//! Must not know: what an iteration does. Invariant: keeping this costs a few additions for each iteration, nothing for a
//! message.

use crate::limits::PEAK_WINDOW_MS;
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
    /// The longest iteration (us).
    longest: Peak,
    /// By how much a poll that nothing woke overslept at most (us).
    late: Peak,
    /// When the windows of both began (us).
    windows_began: u64,
}

/// The most in this window and in the one before: of [`PEAK_WINDOW_MS`] at least.
#[derive(Debug, Default)]
struct Peak {
    now: u64,
    before: u64,
}

impl Peak {
    fn note(&mut self, value: u64) {
        self.now = self.now.max(value);
    }

    fn most(&self) -> u64 {
        self.now.max(self.before)
    }

    fn next_window(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

impl Pacer {
    /// A poll has ended at this time (us) that was to sleep until then (us) at most, and reported so many events. Returns since
    /// when what it reports may have waited (us).
    pub(super) fn polled(&mut self, now: u64, until: u64, events: u64) -> u64 {
        let before = std::mem::replace(&mut self.began, now);
        self.total.iterations += 1;
        self.total.events += events;
        self.late.note(now.saturating_sub(until));
        let slept = now.saturating_sub(self.ended) > SLEPT_US;
        if slept { now } else { before }
    }

    /// What the iteration had to do is done (us).
    pub(super) fn worked(&mut self, now: u64) {
        self.ended = now;
        let took = now.saturating_sub(self.began);
        self.total.busy_us += took;
        self.longest.note(took);
    }

    /// A connection could not go to another reactor.
    pub(super) fn mail_refused(&mut self) {
        self.total.mails_refused += 1;
    }

    /// All of it, for who reads, with the handshakes that wait, and the connections that wait to be accepted.
    pub(super) fn publish(&mut self, handshakes: usize, queued: usize) -> Pace {
        self.total.handshakes_waiting = handshakes as u64;
        self.total.queued = queued as u64;
        self.total.longest_us = self.longest.most();
        self.total.late_us = self.late.most();
        if self.began >= self.windows_began + 1_000 * PEAK_WINDOW_MS {
            self.windows_began = self.began;
            self.longest.next_window();
            self.late.next_window();
        }
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
    fn what_is_longest_is_told_for_a_window_at_least() {
        let mut pacer = Pacer::default();
        for (end, until, busy) in [(1_000, 900, 50), (2_000, 3_000, 700), (4_000, 4_000, 20)] {
            pacer.polled(end, until, 3);
            pacer.worked(end + busy);
        }
        pacer.mail_refused();
        let first = pacer.publish(7, 5);
        let expected = Pace {
            iterations: 3,
            events: 9,
            busy_us: 770,
            longest_us: 700,
            late_us: 100,
            handshakes_waiting: 7,
            queued: 5,
            mails_refused: 1,
        };
        assert_eq!(first, expected);
        let mut at = |seconds: u64| {
            pacer.polled(seconds * 1_000_000, u64::MAX, 0);
            pacer.worked(seconds * 1_000_000 + 10);
            let told = pacer.publish(0, 0);
            (told.longest_us, told.late_us)
        };
        assert_eq!(PEAK_WINDOW_MS, 60_000);
        for seconds in [1, 59, 60, 61, 119, 120] {
            assert_eq!(at(seconds), (700, 100), "{seconds} s");
        }
        assert_eq!(at(121), (10, 0));
    }
}
