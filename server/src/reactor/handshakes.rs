//! Whose handshake goes on next: of TLS, or a request head whose ticket has to be verified.
//!
//! Owns: who has sent the first bytes of one, who has begun one, and what a step costs. Must not know: sockets, TLS.
//! Invariants: who has begun comes first, the oldest before the others, because its work would be lost; then the newest
//! beginner, because in a storm the oldest has given up or soon will. Every list has a bound.
//!
//! A queue in the order of arrival under an absolute deadline finishes nothing once there is more work than time: all of
//! them get their first flight, and none its second.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::limits::{HANDSHAKE_BEGINNERS, HANDSHAKE_STEP_US};

/// Weight of the newest measurement of the pace, as a shift.
const SMOOTHING: u32 = 3;

/// Somebody whose first bytes have come.
#[derive(Debug)]
struct Beginner<H> {
    who: H,
    /// When they came (ms).
    since: u64,
    /// When its handshake must be complete (ms).
    deadline: u64,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn<H> {
    /// The handshake of one that has begun goes on.
    GoOn(H),
    /// This one begins.
    Begin(H),
}

/// Everyone whose handshake waits for its turn. `H` names a connection at one moment of its history.
#[derive(Debug)]
pub struct Handshakes<H> {
    /// Half of the time that a handshake may take (ms).
    half: u64,
    /// Those that have begun and whose next bytes have come, by deadline (ms).
    ready: BinaryHeap<Reverse<(u64, H)>>,
    /// Those that have begun, in that order; some of them may have ended since.
    begun: VecDeque<H>,
    /// In the order in which their first bytes came.
    beginners: VecDeque<Beginner<H>>,
    /// Microseconds from one step to the next while there is always one to do, everything else in between included.
    pace: u64,
    /// When the last slice ended, if it left something to do (us).
    busy_since: Option<u64>,
}

impl<H: Copy + Ord> Handshakes<H> {
    /// Nobody waits. A handshake may take `handshake_ms`.
    pub fn new(handshake_ms: u32) -> Self {
        Self {
            half: u64::from(handshake_ms) / 2,
            ready: BinaryHeap::new(),
            begun: VecDeque::new(),
            beginners: VecDeque::new(),
            pace: HANDSHAKE_STEP_US,
            busy_since: None,
        }
    }

    /// Whether nobody waits for a turn.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.beginners.is_empty()
    }

    /// How many wait for a turn.
    pub fn len(&self) -> usize {
        self.ready.len() + self.beginners.len()
    }

    /// The first bytes of somebody have come. Returns who has to go for it, if there are too many.
    #[must_use]
    pub fn knock(&mut self, who: H, now: u64, deadline: u64) -> Option<H> {
        self.beginners.push_back(Beginner {
            who,
            since: now,
            deadline,
        });
        let full = self.beginners.len() > HANDSHAKE_BEGINNERS;
        full.then(|| self.beginners.pop_front().map(|oldest| oldest.who))?
    }

    /// Further bytes of somebody who has begun have come.
    pub fn answer(&mut self, who: H, deadline: u64) {
        self.ready.push(Reverse((deadline, who)));
    }

    /// The next beginner who can't make it: who has waited for half of the time, or for whom the work that comes first
    /// takes longer than there is left.
    pub fn hopeless(&mut self, now: u64) -> Option<H> {
        let oldest = self.beginners.front()?;
        let before = self.ready.len() + self.beginners.len() - 1;
        let work = before as u64 * self.pace / 1_000;
        let hopeless = now >= oldest.since + self.half || now + work >= oldest.deadline;
        hopeless.then(|| self.beginners.pop_front().map(|oldest| oldest.who))?
    }

    /// Whose turn it is. Who is not `alive` any longer uses up none.
    pub fn next(&mut self, alive: impl Fn(H) -> bool) -> Option<Turn<H>> {
        while let Some(Reverse((_, who))) = self.ready.pop() {
            if alive(who) {
                return Some(Turn::GoOn(who));
            }
        }
        while let Some(Beginner { who, .. }) = self.beginners.pop_back() {
            if alive(who) {
                return Some(Turn::Begin(who));
            }
        }
        None
    }

    /// Somebody has begun. Returns who has to go for it: as many as can be finished in half of the time may have begun,
    /// so each had that long, and hellos that never go on fill nothing.
    #[must_use]
    pub fn begin(&mut self, who: H, goes_on: impl Fn(H) -> bool) -> Option<H> {
        self.begun.push_back(who);
        let most = (self.half * 1_000 / self.pace).max(1) as usize;
        if self.begun.len() > most {
            self.begun.retain(|&who| goes_on(who));
        }
        if self.begun.len() > most {
            return self.begun.pop_front();
        }
        None
    }

    /// The process stood still: that is no pace.
    pub fn stood_still(&mut self) {
        self.busy_since = None;
    }

    /// A slice of `steps` went from `began` to `ended` (us).
    pub fn measure(&mut self, steps: u64, began: u64, ended: u64) {
        let passed = ended - self.busy_since.unwrap_or(began);
        if let Some(measured) = passed.checked_div(steps) {
            self.pace = self.pace - (self.pace >> SMOOTHING) + (measured >> SMOOTHING);
            self.pace = self.pace.max(1);
        }
        self.busy_since = (!self.is_empty()).then_some(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: fn(u32) -> bool = |_| true;

    /// A second for each handshake, a step takes 5 ms.
    fn queue() -> Handshakes<u32> {
        let mut queue = Handshakes::new(1_000);
        queue.pace = 5_000;
        queue
    }

    #[test]
    fn the_begun_come_first_oldest_first_then_the_newest_beginner() {
        let mut queue = queue();
        for who in [1, 2, 3] {
            assert_eq!(queue.knock(who, 0, 1_000), None);
        }
        queue.answer(11, 700);
        queue.answer(10, 600);
        let order = std::iter::from_fn(|| queue.next(ALL));
        assert_eq!(
            order.collect::<Vec<_>>(),
            [
                Turn::GoOn(10),
                Turn::GoOn(11),
                Turn::Begin(3),
                Turn::Begin(2),
                Turn::Begin(1)
            ]
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn the_dead_use_up_no_turn() {
        let mut queue = queue();
        for who in 0..100 {
            assert_eq!(queue.knock(who, 0, 1_000), None);
        }
        queue.answer(100, 500);
        assert_eq!(queue.next(|who| who == 7), Some(Turn::Begin(7)));
    }

    #[test]
    fn who_can_not_make_it_is_named_oldest_first() {
        let mut queue = queue();
        for who in 0..300 {
            assert_eq!(queue.knock(who, 0, 1_000), None);
        }
        // 199 steps of 5 ms are less than a second, 200 are not.
        let hopeless = std::iter::from_fn(|| queue.hopeless(0));
        assert_eq!(hopeless.collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        // Whoever has waited for half of the time.
        assert_eq!(queue.hopeless(500), Some(100));
    }

    #[test]
    fn the_oldest_beginner_makes_room() {
        let mut queue = queue();
        for who in 0..HANDSHAKE_BEGINNERS as u32 {
            assert_eq!(queue.knock(who, 0, 1_000), None);
        }
        assert_eq!(queue.knock(9_999_999, 0, 1_000), Some(0));
    }

    /// Half of the time holds 100 steps.
    #[test]
    fn hellos_that_never_go_on_make_room() {
        let mut queue = queue();
        for who in 0..100 {
            assert_eq!(queue.begin(who, ALL), None);
        }
        assert_eq!(queue.begin(100, ALL), Some(0));
        // Those that are done count no longer.
        assert_eq!(queue.begin(101, |who| who >= 50), None);
    }

    #[test]
    fn the_pace_is_that_of_the_whole_loop_while_it_is_busy() {
        let mut queue = queue();
        assert_eq!(queue.knock(1, 0, 1_000), None);
        let mut now = 0;
        for _ in 0..100 {
            // One step of 1 ms, and 9 ms for the players.
            queue.measure(1, now + 9_000, now + 10_000);
            now += 10_000;
        }
        assert!((9_000..=10_000).contains(&queue.pace), "{}", queue.pace);
        assert_eq!(queue.next(ALL), Some(Turn::Begin(1)));
        for _ in 0..100 {
            queue.measure(1, now + 9_000, now + 10_000);
            now += 10_000;
        }
        assert!((900..=1_100).contains(&queue.pace), "{}", queue.pace);
        // Half a minute in which nothing ran says nothing about the next one.
        assert_eq!(queue.knock(2, 0, 1_000), None);
        queue.measure(1, now + 9_000, now + 10_000);
        queue.stood_still();
        queue.measure(1, now + 30_009_000, now + 30_010_000);
        assert!((900..=1_100).contains(&queue.pace), "{}", queue.pace);
    }
}
