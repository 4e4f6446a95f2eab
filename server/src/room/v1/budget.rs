//! How many packets a player may send: a bucket that fills steadily.
//!
//! Invariant: over any span a player has at most the bucket's size, what the span fills, and the debt that is allowed.

/// What the bucket is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Packets a second.
    pub per_second: u32,
    /// Packets at once: the size of the bucket.
    pub burst: u32,
}

/// What became of packets that were taken from a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// They were there.
    Within,
    /// They were borrowed: nothing more is to be read until it is paid back.
    Borrowed,
    /// More was borrowed than is lent.
    Over,
}

/// Seconds' worth of packets that are lent beyond the bucket: what one read may bring at once, by who then waits.
const LENT_SECONDS: u64 = 2;

/// Thousandths of a packet, so that no millisecond is lost.
const WHOLE: u64 = 1_000;

/// A bucket: what is missing in it, as of a time. It is full at first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    /// Of the most packets that may be asked for, what is lent and one more fit.
    missing: u32,
    at: u32,
}

impl Budget {
    /// Takes one packet at `now` (ms).
    pub fn take(&mut self, now: u32, rate: Rate) -> Spent {
        let missing = self.missing(now, rate) + WHOLE;
        self.missing = missing.min(u64::from(u32::MAX)) as u32;
        self.at = now;
        let size = u64::from(rate.burst) * WHOLE;
        let lent = u64::from(rate.per_second) * WHOLE * LENT_SECONDS;
        if missing <= size {
            Spent::Within
        } else if missing <= size + lent {
            Spent::Borrowed
        } else {
            Spent::Over
        }
    }

    /// Milliseconds until nothing is borrowed any more; 0 if nothing is.
    pub fn wait(&self, now: u32, rate: Rate) -> u32 {
        let borrowed = self
            .missing(now, rate)
            .saturating_sub(u64::from(rate.burst) * WHOLE);
        borrowed.div_ceil(u64::from(rate.per_second.max(1))) as u32
    }

    fn missing(&self, now: u32, rate: Rate) -> u64 {
        let filled = u64::from(now.wrapping_sub(self.at)) * u64::from(rate.per_second);
        u64::from(self.missing).saturating_sub(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 100,
        burst: 50,
    };

    #[test]
    fn a_burst_then_the_rate_then_a_debt_then_the_end() {
        let mut budget = Budget::default();
        for _ in 0..50 {
            assert_eq!(budget.take(7, RATE), Spent::Within);
        }
        assert_eq!((budget.wait(7, RATE), budget.wait(8, RATE)), (0, 0));
        for borrowed in 1..=200 {
            assert_eq!(budget.take(7, RATE), Spent::Borrowed);
            assert_eq!(budget.wait(7, RATE), borrowed * 10);
        }
        assert_eq!(budget.take(7, RATE), Spent::Over);
        assert_eq!(budget.wait(2_016, RATE), 1);
        assert_eq!(budget.wait(2_017, RATE), 0);
    }

    #[test]
    fn who_keeps_to_the_rate_never_waits() {
        let mut budget = Budget::default();
        for packet in 0..10_000 {
            assert_eq!(budget.take(packet * 10, RATE), Spent::Within);
        }
        // The bucket has been full all along.
        for _ in 0..49 {
            assert_eq!(budget.take(99_990, RATE), Spent::Within);
        }
    }
}
