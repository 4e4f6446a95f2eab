//! One wheel per reactor, one entry per connection.
//!
//! Owns: which connection wants to be looked at, and when. Must not know: why. Invariant: an armed entry is in
//! exactly one slot's list, and expires at or after its deadline, by at most one tick.
//!
//! A hashed wheel (Varghese & Lauck, 1987, scheme 6) with the lists threaded through one array, so that arming,
//! disarming and expiring cost a few cache lines and no allocation. A deadline beyond one turn is parked at the end of
//! the turn and looked at again there.

/// Milliseconds per slot.
const TICK_MS: u64 = 16;
/// Slots of the wheel: one turn is 16.4 s.
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;
/// The first of a list has no entry before it, but a slot of the wheel.
const FIRST: u32 = 1 << 31;

/// There is one for each idle connection: 12 bytes.
#[derive(Debug, Clone, Copy)]
struct Link {
    next: u32,
    /// The entry before it, or [`FIRST`] and the slot of the wheel; [`NONE`] if not armed.
    prev: u32,
    /// Deadline in ticks, truncated; compared by wrapping distance.
    tick: u32,
}

const IDLE: Link = Link {
    next: NONE,
    prev: NONE,
    tick: 0,
};

/// The wheel. Entries are named by small integers, the connection's slot in its slab.
#[derive(Debug)]
pub struct Wheel {
    heads: Box<[u32; SLOTS]>,
    occupied: [u64; WORDS],
    links: Vec<Link>,
    /// The last tick whose slot was emptied.
    current: u64,
    armed: usize,
}

impl Wheel {
    /// A wheel whose time begins at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            heads: Box::new([NONE; SLOTS]),
            occupied: [0; WORDS],
            links: Vec::new(),
            current: now_ms / TICK_MS,
            armed: 0,
        }
    }

    /// The same, with room for so many entries.
    pub fn with_capacity(now_ms: u64, entries: usize) -> Self {
        Self {
            links: Vec::with_capacity(entries),
            ..Self::new(now_ms)
        }
    }

    /// Arms `entry` for `deadline_ms`, replacing its earlier deadline if it had one.
    pub fn arm(&mut self, entry: u32, deadline_ms: u64) {
        if self.links.len() <= entry as usize {
            self.links.resize(entry as usize + 1, IDLE);
        }
        self.disarm(entry);
        // Rounded up, so that nothing expires early; the slot being emptied now is never armed again.
        let tick = deadline_ms.div_ceil(TICK_MS).max(self.current + 1);
        let parked = tick.min(self.current + SLOTS as u64 - 1);
        let slot = (parked % SLOTS as u64) as u32;
        let head = self.heads[slot as usize];
        self.links[entry as usize] = Link {
            next: head,
            prev: FIRST | slot,
            tick: tick as u32,
        };
        if head != NONE {
            self.links[head as usize].prev = entry;
        }
        self.heads[slot as usize] = entry;
        self.occupied[slot as usize / 64] |= 1 << (slot % 64);
        self.armed += 1;
    }

    /// Forgets `entry`; nothing happens if it is not armed.
    pub fn disarm(&mut self, entry: u32) {
        let Some(link) = self.links.get(entry as usize).copied() else {
            return;
        };
        if link.prev == NONE {
            return;
        }
        if link.prev & FIRST != 0 {
            let slot = link.prev & !FIRST;
            self.heads[slot as usize] = link.next;
            if link.next == NONE {
                self.occupied[slot as usize / 64] &= !(1 << (slot % 64));
            }
        } else {
            self.links[link.prev as usize].next = link.next;
        }
        if link.next != NONE {
            self.links[link.next as usize].prev = link.prev;
        }
        self.links[entry as usize] = IDLE;
        self.armed -= 1;
    }

    /// Appends every entry whose deadline has come to `expired` and disarms it.
    pub fn expire(&mut self, now_ms: u64, expired: &mut Vec<u32>) {
        let now = now_ms / TICK_MS;
        if now <= self.current {
            return;
        }
        // After a stall longer than one turn every slot is visited once, not once per missed turn.
        let first = self.current + 1;
        let last = now.min(self.current + SLOTS as u64);
        self.current = now;
        for tick in first..=last {
            let slot = (tick % SLOTS as u64) as usize;
            if self.occupied[slot / 64] & (1 << (slot % 64)) != 0 {
                self.empty_slot(slot, now, expired);
            }
        }
    }

    fn empty_slot(&mut self, slot: usize, now: u64, expired: &mut Vec<u32>) {
        let mut entry = std::mem::replace(&mut self.heads[slot], NONE);
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        while entry != NONE {
            let link = std::mem::replace(&mut self.links[entry as usize], IDLE);
            self.armed -= 1;
            let ahead = link.tick.wrapping_sub(now as u32) as i32;
            if ahead <= 0 {
                expired.push(entry);
            } else {
                self.arm(entry, (now + ahead as u64) * TICK_MS);
            }
            entry = link.next;
        }
    }

    /// Milliseconds at which the wheel wants to be looked at next, `None` if nothing is armed.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        let first = ((self.current + 1) % SLOTS as u64) as usize;
        // The first word is read twice: its high bits first, its low bits after one whole turn.
        for step in 0..=WORDS {
            let word = (first / 64 + step) % WORDS;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (first % 64);
            } else if step == WORDS {
                bits &= !(u64::MAX << (first % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let distance = (slot + SLOTS - first) % SLOTS;
                return Some((self.current + 1 + distance as u64) * TICK_MS);
            }
        }
        None
    }

    /// Whether this entry is armed.
    pub fn is_armed(&self, entry: u32) -> bool {
        let link = self.links.get(entry as usize);
        link.is_some_and(|link| link.prev != NONE)
    }

    /// Armed entries.
    pub fn armed(&self) -> usize {
        self.armed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expires_at_or_after_the_deadline_by_at_most_a_tick() {
        let mut wheel = Wheel::new(1_000);
        wheel.arm(7, 1_500);
        let mut expired = Vec::new();
        wheel.expire(1_499, &mut expired);
        assert!(expired.is_empty());
        wheel.expire(1_500 + TICK_MS, &mut expired);
        assert_eq!(expired, [7]);
        assert_eq!(wheel.armed(), 0);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn a_link_is_small() {
        assert_eq!(size_of::<Link>(), 12);
    }

    #[test]
    fn arming_again_moves_the_only_entry() {
        let mut wheel = Wheel::new(0);
        wheel.arm(1, 10_000);
        wheel.arm(1, 100);
        let mut expired = Vec::new();
        wheel.expire(200, &mut expired);
        assert_eq!(expired, [1]);
        wheel.expire(20_000, &mut expired);
        assert_eq!(expired, [1]);
    }

    proptest! {
        /// Against a sorted map: the same entries, never early, at most a tick late once looked at, and
        /// `next_deadline` never later than the earliest one.
        #[test]
        fn equals_a_sorted_map(steps in prop::collection::vec((0u32..40, 0u64..60_000, 0u64..20_000, any::<bool>()), 1..200)) {
            let mut now = 5_000u64;
            let mut wheel = Wheel::new(now);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (entry, ahead, advance, disarm) in steps {
                if disarm {
                    wheel.disarm(entry);
                    model.remove(&entry);
                } else {
                    wheel.arm(entry, now + ahead);
                    model.insert(entry, now + ahead);
                }
                prop_assert_eq!(wheel.armed(), model.len());
                if let Some(first) = model.values().min() {
                    let next = wheel.next_deadline().expect("something is armed");
                    prop_assert!(next <= first.max(&now) + 2 * TICK_MS);
                }
                now += advance;
                let mut expired = Vec::new();
                wheel.expire(now, &mut expired);
                for entry in &expired {
                    let deadline = model.remove(entry).expect("expired entries were armed");
                    prop_assert!(deadline <= now);
                }
                for deadline in model.values() {
                    prop_assert!(deadline + 2 * TICK_MS > now, "late: {} at {}", deadline, now);
                }
            }
        }
    }
}
