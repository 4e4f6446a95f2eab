//! When a client sends what it has in a room with ticks (section 13 of `docs/PROTOCOL.md`).
//!
//! Owns: the moment in the length of a tick at which it sends, and how what the relay tells moves it.
//! Must not know: what is sent, what time it is for the relay.
//! Invariant: whatever the relay tells, nothing waits for longer than the length of a tick.

/// Slacks that are remembered.
const SLACKS: usize = 8;

/// Microseconds by which packets are to come before the tick, unless that is more than a quarter of its length.
const AIM: i64 = 3_000;

/// Microseconds by which it is worth to move: the relay's clock goes in such steps.
const STEP: i64 = 1_000;

#[derive(Default, Debug)]
pub(super) struct Align {
    /// It is asked for.
    wanted: bool,
    /// The page is hidden: its timers are not to be relied on.
    hidden: bool,
    /// Microseconds from tick to tick; 0: there are none.
    length: u64,
    /// The next moment at which something may be sent.
    next: u64,
    /// When something was sent last, and first at the present moment in a tick's length.
    sent_at: Option<u64>,
    first_at: Option<u64>,
    /// How many microseconds before a tick the packets came, as they would have at the present moment.
    slacks: [Option<i64>; SLACKS],
    oldest: usize,
}

impl Align {
    /// Whether to.
    pub(super) fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Whether the page is hidden.
    pub(super) fn hide(&mut self, hidden: bool) {
        self.hidden = hidden;
    }

    /// The room ticks so often in a second, or not at all.
    pub(super) fn ticks(&mut self, hz: u64) {
        let length = 1_000_000_u64.checked_div(hz).unwrap_or(0);
        if length != self.length {
            *self = Self {
                wanted: self.wanted,
                hidden: self.hidden,
                length,
                ..Self::default()
            };
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether what is to be sent waits for its moment.
    pub(super) fn is_on(&self) -> bool {
        self.wanted && !self.hidden && self.length > 0
    }

    /// The next moment at which something may be sent; 0: at once.
    pub(super) fn next(&self) -> u64 {
        if self.is_on() { self.next } else { 0 }
    }

    /// Whether something may be sent now.
    pub(super) fn allows(&self, now: u64) -> bool {
        now >= self.next() || self.sent_at == Some(now)
    }

    /// Something is sent, which may be one of several messages.
    pub(super) fn sent(&mut self, now: u64) {
        if !self.is_on() {
            return;
        }
        if self.sent_at.is_none() {
            self.next = now;
        }
        if now >= self.next {
            self.next += ((now - self.next) / self.length + 1) * self.length;
        }
        self.sent_at = Some(now);
        self.first_at.get_or_insert(now);
    }

    /// A new connection: what is known of an earlier one, and of the way that it took, counts no longer.
    pub(super) fn lost(&mut self) {
        self.first_at = None;
        self.slacks = [None; SLACKS];
    }

    /// The answer to a ping of the time `asked`: the packets before that came so many microseconds before the tick.
    pub(super) fn told(&mut self, asked: u64, ahead: i64, now: u64) {
        if !self.is_on() || self.first_at.is_none_or(|first| asked <= first) {
            return;
        }
        let half = self.length as i64 / 2;
        self.slacks[self.oldest] = Some(ahead.clamp(-half, half));
        self.oldest = (self.oldest + 1) % SLACKS;
        let aim = AIM.min(self.length as i64 / 4);
        let later = self.slack().map_or(0, |slack| slack - aim);
        if later.abs() < STEP {
            return;
        }
        for slack in self.slacks.iter_mut().flatten() {
            *slack -= later;
        }
        let next = (self.next as i64 - now as i64 + later).rem_euclid(self.length as i64);
        self.next = now + next as u64;
        self.first_at = None;
    }

    /// The least of the slacks, but that one among several may be a chance.
    fn slack(&self) -> Option<i64> {
        let mut slacks: Vec<i64> = self.slacks.iter().flatten().copied().collect();
        slacks.sort_unstable();
        slacks.get(1).or_else(|| slacks.first()).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn align(hz: u64) -> Align {
        let mut align = Align::default();
        align.want(true);
        align.ticks(hz);
        align
    }

    /// Plays with a relay whose ticks are at `phase` and its multiples, `way` away; answers how much before a tick the packets
    /// come in the end.
    fn play(align: &mut Align, length: u64, phase: u64, way: u64, rounds: u64) -> i64 {
        let slack = |at: u64| {
            let after = (at + way + length - phase) % length;
            match after < length - after {
                true => -(after as i64),
                false => (length - after) as i64,
            }
        };
        let mut now = 10_000_000;
        for _ in 0..rounds {
            // A few are sent; then it pings, and hears of the last.
            let mut last = now;
            for _ in 0..4 {
                last = now.max(align.next());
                now = last;
                assert!(align.allows(now));
                align.sent(now);
                now += 1;
            }
            align.told(now, slack(last), now + 2 * way);
            now += 2 * way + 1;
        }
        slack(align.next())
    }

    #[test]
    fn a_moment_is_found_little_before_the_tick_and_kept() {
        for (hz, aim) in [(20, 3_000), (1, 3_000), (128, 1_953)] {
            for phase in [0, 1_000, 4_000, 7_000] {
                let length = 1_000_000 / hz;
                let mut align = align(hz);
                let slack = play(&mut align, length, phase, 700, 20);
                assert!((slack - aim).abs() <= STEP, "{hz} Hz, {phase}: {slack}");
            }
        }
    }

    #[test]
    fn one_that_came_late_by_chance_does_not_count() {
        let mut align = align(20);
        play(&mut align, 50_000, 0, 500, 12);
        let before = align.next();
        align.sent(before);
        align.told(before + 1, -9_000, before + 2);
        assert_eq!(align.next(), before + 50_000);
    }

    #[test]
    fn what_was_sent_before_it_moved_says_nothing() {
        let mut align = align(20);
        align.sent(1_000_000);
        align.told(1_000_000, 20_000, 1_000_500);
        assert_eq!(align.next(), 1_050_000, "it went with that");
        align.told(1_000_001, 20_000, 1_000_500);
        assert_eq!(align.next(), 1_017_000);
        align.told(1_000_002, 20_000, 1_000_600);
        assert_eq!(align.next(), 1_017_000, "nothing was sent since");
    }

    #[test]
    fn several_messages_go_together_and_a_hidden_page_waits_for_nothing() {
        let mut align = align(20);
        assert!(align.allows(5));
        align.sent(5);
        assert!(align.allows(5) && !align.allows(6));
        align.hide(true);
        assert!(align.allows(6));
        align.hide(false);
        assert!(!align.allows(50_004) && align.allows(50_005));
        align.ticks(0);
        assert!(align.allows(6), "no ticks");
    }

    proptest! {
        #[test]
        fn nothing_waits_for_longer_than_a_tick(
            hz in 1u64..=128,
            steps in prop::collection::vec((0u64..3_000_000, -(1i64 << 52)..(1i64 << 52), any::<bool>()), 1..60),
        ) {
            let mut align = align(hz);
            let mut now = 1;
            for (wait, ahead, send) in steps {
                now += wait;
                if send && align.allows(now) {
                    align.sent(now);
                }
                align.told(now, ahead, now + 1);
                prop_assert!(align.next() <= now + 1 + 1_000_000 / hz, "{} at {}", align.next(), now);
            }
        }
    }
}
