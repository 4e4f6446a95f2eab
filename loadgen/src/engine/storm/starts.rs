//! When one thread begins its handshakes, if they are offered at a rate.
//!
//! Owns the numbers of the starts that are this thread's. Must not know what becomes of them.
//! Invariant: start `k` of all threads is due at `k` periods after the beginning and is one
//! thread's alone, whatever happened to the starts before.

use crate::engine::clock::Nanos;
use crate::engine::schedule::Period;

/// The starts of one thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts {
    from: Nanos,
    until: Nanos,
    period: Period,
    next: u64,
    threads: u64,
}

impl Starts {
    /// Those of thread `index` of `threads`: all together `rate_hz` in a second, from `from` on,
    /// before `until`.
    pub(super) fn new(
        rate_hz: f64,
        from: Nanos,
        until: Nanos,
        index: usize,
        threads: usize,
    ) -> Self {
        Self {
            from,
            until,
            period: Period::of_rate(rate_hz),
            next: index as u64,
            threads: threads as u64,
        }
    }

    /// When the next is due; `None` when all were taken.
    pub(super) fn due(&self) -> Option<Nanos> {
        let due = self.from + self.period.offset(self.next);
        (due < self.until).then_some(due)
    }

    /// The next is taken.
    pub(super) fn take(&mut self) {
        self.next += self.threads;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_one_schedule() {
        const SECOND: Nanos = 1_000_000_000;
        for threads in 1..5 {
            let mut all = Vec::new();
            for index in 0..threads {
                let mut starts = Starts::new(1_000.0, 7, 7 + SECOND, index, threads);
                while let Some(due) = starts.due() {
                    all.push(due);
                    starts.take();
                }
            }
            all.sort_unstable();
            let want: Vec<_> = (0..1_000).map(|k| 7 + k * SECOND / 1_000).collect();
            assert_eq!(all, want, "{threads}");
        }
    }
}
