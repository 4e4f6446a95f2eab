//! When a client sends what it has in a room with ticks (section 13 of `docs/PROTOCOL.md`).
//!
//! Owns: the moment in the length of a tick at which it sends, and how what the relay tells moves it.
//! Must not know: what is sent, what time it is for the relay.
//! Invariant: whatever the relay tells, nothing waits for longer than the length of a tick.

use std::mem;

/// Slacks that are remembered.
const SLACKS: usize = 8;

/// Microseconds by which packets are to come before the tick, unless that is more than a quarter of its length.
const AIM: i64 = 2_000;

/// Microseconds for which a moment lasts: what is sent in it may be several messages.
const LASTS: u64 = 1_000;

/// Microseconds by which it is worth to move: the relay's clock goes in such steps.
const STEP: i64 = 1_000;

#[derive(Clone, Default, Debug)]
pub(super) struct Align {
    /// It is asked for.
    wanted: bool,
    /// The page is hidden: its timers are not to be relied on.
    hidden: bool,
    /// Microseconds from tick to tick; 0: there are none.
    length: u64,
    /// The next moment at which something may be sent, and the last; None: nothing was sent yet.
    next: Option<u64>,
    last: Option<u64>,
    /// Something waits for the next.
    waiting: bool,
    /// When something was sent first since the moments moved.
    first_at: Option<u64>,
    /// What the relay tells next may be of packets that were sent before the moment moved.
    moved: bool,
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

    /// When that may be sent which waits; None: nothing does.
    pub(super) fn due(&self) -> Option<u64> {
        self.next.filter(|_| self.is_on() && self.waiting)
    }

    /// Whether something may be sent now; `any`: there is something to send. What was not there when a moment came waits for the next,
    /// what waited for it goes however late it has become: so whoever is late is no later the next time.
    pub(super) fn allows(&mut self, now: u64, any: bool) -> bool {
        if !self.is_on() {
            return true;
        }
        let next = self.next.get_or_insert(now);
        if let Some(passed) = now.checked_sub(*next) {
            if self.waiting || passed % self.length < LASTS {
                self.last = Some(now);
            }
            *next += (passed / self.length + 1) * self.length;
            self.waiting = false;
        }
        let is_open = { self.last }.is_some_and(|last| now < last + LASTS);
        self.waiting |= any && !is_open;
        is_open
    }

    /// Something is sent, which may be one of several messages.
    pub(super) fn sent(&mut self, now: u64) {
        self.first_at.get_or_insert(now);
    }

    /// A new connection: what is known of an earlier one, and of the way that it took, counts no longer.
    pub(super) fn lost(&mut self) {
        self.first_at = None;
        self.moved = false;
        self.slacks = [None; SLACKS];
    }

    /// The answer to a ping of the time `asked`: the packets since the one before came so many microseconds before the tick.
    pub(super) fn told(&mut self, asked: u64, ahead: i64, now: u64) {
        if !self.is_on()
            || self.first_at.is_none_or(|first| asked <= first)
            || mem::take(&mut self.moved)
        {
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
        let next = self.next.unwrap_or(now) as i64 - now as i64;
        let next = (next + later).rem_euclid(self.length as i64);
        self.next = Some(now + next as u64);
        self.first_at = None;
        self.moved = true;
    }

    /// The least of the slacks, but that one of all that are remembered may be a chance.
    fn slack(&self) -> Option<i64> {
        let mut slacks: Vec<i64> = self.slacks.iter().flatten().copied().collect();
        slacks.sort_unstable();
        slacks.get(usize::from(slacks.len() == SLACKS)).copied()
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

    /// When that is sent which is said now.
    fn sends_at(align: &Align, now: u64) -> u64 {
        let mut then = align.clone();
        match then.allows(now, true) {
            true => now,
            false => then.due().expect("it waits"),
        }
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
                last = sends_at(align, now);
                assert!(align.allows(last, true));
                align.sent(last);
                now = last + LASTS;
            }
            align.told(now, slack(last), now + 2 * way);
            now += 2 * way + 1;
        }
        slack(sends_at(align, now))
    }

    #[test]
    fn a_moment_is_found_little_before_the_tick_and_kept() {
        for (hz, aim) in [(20, 2_000), (1, 2_000), (128, 1_953)] {
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
        let before = send(&mut align, 70_000_000);
        align.told(before + 1, -9_000, before + 2);
        assert_eq!(sends_at(&align, before + LASTS), before + 50_000);
    }

    /// Sends what is said at this time, when it may; answers when that was.
    fn send(align: &mut Align, now: u64) -> u64 {
        let at = sends_at(align, now);
        assert!(align.allows(at, true));
        align.sent(at);
        at
    }

    #[test]
    fn what_was_sent_before_it_moved_says_nothing() {
        let mut align = align(20);
        send(&mut align, 1_000_000);
        let next = |align: &Align| sends_at(align, 1_010_000);
        align.told(1_000_000, 20_000, 1_000_500);
        assert_eq!(next(&align), 1_050_000, "it went with that");
        align.told(1_000_001, 20_000, 1_000_500);
        assert_eq!(next(&align), 1_018_000);
        align.told(1_000_002, 20_000, 1_000_600);
        assert_eq!(next(&align), 1_018_000, "nothing was sent since");
        assert_eq!(send(&mut align, 1_010_000), 1_018_000);
        let next = |align: &Align| sends_at(align, 1_020_000);
        align.told(1_018_001, 20_000, 1_018_600);
        assert_eq!(next(&align), 1_068_000, "it may be of what was sent before");
        align.told(1_018_002, 0, 1_018_700);
        assert_eq!(next(&align), 1_066_000);
    }

    /// Whoever says something just after each moment would never be aligned if it went at once.
    #[test]
    fn what_was_not_there_when_a_moment_came_waits_for_the_next() {
        let mut align = align(20);
        assert_eq!(send(&mut align, 5), 5);
        assert_eq!(send(&mut align, 53_000), 100_005);
        // It waited, and whoever was to send it is late.
        assert!(!align.allows(103_000, true));
        assert_eq!(align.due(), Some(150_005));
        assert!(align.allows(180_000, true));
        align.sent(180_000);
        assert_eq!(
            sends_at(&align, 181_000),
            200_005,
            "the moments are where they were"
        );
        assert!(!align.allows(190_000, false));
        assert!(!align.allows(203_000, true), "nothing waited for it");
        assert_eq!(align.due(), Some(250_005));
    }

    #[test]
    fn several_messages_go_together_and_a_hidden_page_waits_for_nothing() {
        let mut align = align(20);
        assert!(align.allows(5, true));
        align.sent(5);
        assert!(align.allows(1_004, true) && !align.allows(1_005, true));
        align.hide(true);
        assert!(align.allows(1_005, true));
        align.hide(false);
        assert!(!align.allows(50_004, true) && align.allows(50_005, true));
        align.ticks(0);
        assert!(align.allows(50_005, true), "no ticks");
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
                if send && align.allows(now, true) {
                    align.sent(now);
                }
                align.told(now, ahead, now + 1);
                let at = sends_at(&align, now + 1);
                prop_assert!((now + 1..=now + 1 + 1_000_000 / hz).contains(&at), "{at} at {now}");
            }
        }
    }
}
