//! How fast a client may send: the relay's bucket of packets, seen from the other side.
//!
//! Owns: how many packets may go now, and when the next one may.
//! Must not know: which packets.
//! Invariant: over any time, no more than the burst and the rate times that time are allowed.

#[derive(Default, Debug)]
pub(super) struct Pace {
    /// Nanoseconds that one packet takes; 0: there is no limit.
    each: u64,
    /// Packets at once.
    burst: u64,
    /// When the bucket is full again, in nanoseconds.
    full_at: u64,
}

impl Pace {
    /// What the welcome says.
    pub(super) fn limit(&mut self, per_second: Option<u64>, burst: Option<u64>) {
        // A limit of nothing would be no session; a packet a second is the least that heartbeats need.
        self.each = per_second.map_or(0, |packets| 1_000_000_000 / packets.max(1));
        self.burst = burst.unwrap_or(1).clamp(1, 1 << 20);
    }

    /// A new connection has a full bucket.
    pub(super) fn refill(&mut self) {
        self.full_at = 0;
    }

    /// Packets that may go now.
    pub(super) fn allowed(&self, now: u64) -> usize {
        if self.each == 0 {
            return usize::MAX;
        }
        let owed = self.full_at.saturating_sub(now * 1000).div_ceil(self.each);
        self.burst.saturating_sub(owed) as usize
    }

    /// So many have gone.
    pub(super) fn spend(&mut self, now: u64, packets: usize) {
        self.full_at = self.full_at.max(now * 1000) + self.each * packets as u64;
    }

    /// When one may go again, in microseconds.
    pub(super) fn next(&self) -> u64 {
        self.full_at
            .saturating_sub(self.each * (self.burst.max(1) - 1))
            .div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut pace = Pace::default();
        assert_eq!(pace.allowed(0), usize::MAX);
        pace.limit(Some(100), Some(3));
        assert_eq!(pace.allowed(5_000), 3);
        pace.spend(5_000, 3);
        assert_eq!((pace.allowed(5_000), pace.next()), (0, 15_000));
        assert_eq!((pace.allowed(14_999), pace.allowed(15_000)), (0, 1));
        assert_eq!(pace.allowed(1_000_000), 3);
        // A heartbeat goes anyway, and is owed.
        pace.spend(5_000, 1);
        assert_eq!((pace.allowed(15_000), pace.next()), (0, 25_000));
        pace.refill();
        assert_eq!(pace.allowed(5_000), 3);
    }
}
