//! Which message each receiver should get next from each sender: the check of every delivery.
//!
//! Owns the table of (receiver, sender) pairs and the gaps in them. Must not know sockets, the
//! clock or how results are counted.
//! Invariant: each sequence number of a pair is accepted once; whatever else arrives has another
//! [`Verdict`].

use std::collections::HashMap;
use std::ops::Range;

use super::clock::Nanos;
use super::receiver::Receiver;
use crate::payload::{Room, Stamp};

/// Gaps that one thread follows one by one; 64 Ki ranges of 8 bytes.
const GAPS_MAX: usize = 1 << 16;
/// In place of the next sequence number: the receiver itself, who must get nothing.
const OWN: u32 = u32::MAX;
/// In place of the next sequence number: the receiver came later, any is right.
const UNKNOWN: u32 = u32::MAX - 1;
/// Above any sequence number that can be told from the two above.
pub(crate) const SEQUENCE_END: u32 = UNKNOWN;

/// What a delivery turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next of its sender, or one after a gap.
    Fresh,
    /// Fills a gap: it came after a later one of the same sender.
    Late,
    /// It has come before.
    Duplicate,
    /// It belongs to another room, another run, or to someone who never sends.
    Leaked,
    /// The receiver sent it itself.
    Echo,
}

/// A room as the ledger sees it.
#[derive(Clone, Debug)]
struct RoomEntry {
    room: Room,
    /// Its members from 0 to this one are healthy, the others are not.
    healthy: u32,
    senders: u32,
    /// Where its part of the table begins.
    base: usize,
}

/// The pairs of one thread's rooms. Receiver by receiver, so that what one receiver reads at a
/// time lies side by side.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rooms: Vec<RoomEntry>,
    next: Vec<u32>,
    gaps: Gaps,
}

impl Ledger {
    /// Adds a room of `members`, of whom the first `senders` send and the first `healthy` behave.
    pub(crate) fn add_room(&mut self, room: Room, members: u32, senders: u32, healthy: u32) {
        let base = self.next.len();
        self.rooms.push(RoomEntry {
            room,
            healthy,
            senders,
            base,
        });
        let row = senders as usize;
        self.next.resize(base + row * members as usize, 0);
        for sender in 0..row {
            self.next[base + sender * row + sender] = OWN;
        }
    }

    /// What `member` of the room added as number `room` should get.
    #[inline]
    pub(crate) fn row(&mut self, room: u32, member: u32) -> Row<'_> {
        let entry = &self.rooms[room as usize];
        let len = entry.senders as usize;
        let first_pair = entry.base + len * member as usize;
        Row {
            next: &mut self.next[first_pair..first_pair + len],
            receiver: Receiver::new(entry.room, member, entry.healthy),
            first_pair,
            gaps: &mut self.gaps,
        }
    }

    /// `member` has joined anew: what it missed is not missing, whatever comes next is right.
    pub(crate) fn rejoined(&mut self, room: u32, member: u32) {
        let row = self.row(room, member);
        for (sender, next) in row.next.iter_mut().enumerate() {
            if *next != OWN {
                *next = UNKNOWN;
            }
            row.gaps.forget(row.first_pair + sender);
        }
    }

    /// Takes what receivers have missed who were told so.
    pub(crate) fn take_excuses(&mut self) -> Vec<Excuse> {
        let resets = self.gaps.resets.drain();
        let open = resets.map(|(_, reset)| reset.excuse(u32::MAX));
        let mut excuses = std::mem::take(&mut self.gaps.excuses);
        excuses.extend(open);
        excuses
    }

    /// The same, so far.
    pub(crate) fn excuses(&self) -> impl Iterator<Item = Excuse> + '_ {
        let resets = self.gaps.resets.values();
        let open = resets.map(|reset| reset.excuse(u32::MAX));
        self.gaps.excuses.iter().cloned().chain(open)
    }

    /// Messages between healthy clients that are missing although a later one has come.
    pub(crate) fn missing(&self) -> u64 {
        self.gaps.missing
    }

    /// The same with a misbehaving client on either side, ever.
    pub(crate) fn missing_misbehaving(&self) -> u64 {
        self.gaps.missing_misbehaving
    }

    /// There were more gaps at once than are followed.
    pub(crate) fn overflowed(&self) -> bool {
        self.gaps.overflowed
    }
}

/// What one receiver should get.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    next: &'a mut [u32],
    pub(crate) receiver: Receiver,
    first_pair: usize,
    gaps: &'a mut Gaps,
}

impl Row<'_> {
    /// The receiver is told at `now` that it goes on from now: it has missed what it has missed. `first` is the client
    /// of the room's first member.
    #[cold]
    pub(crate) fn reset(&mut self, first: u32, now: Nanos) {
        for (sender, next) in (0_u16..).zip(self.next.iter_mut()) {
            if *next == OWN {
                continue;
            }
            let pair = self.first_pair + usize::from(sender);
            self.gaps.forget(pair);
            if self.receiver.is_healthy_pair(sender) {
                let before = *next;
                let reset = self.gaps.resets.entry(pair).or_insert(Reset {
                    sender: first + u32::from(sender),
                    before,
                    at: now,
                });
                reset.at = now;
            }
            *next = UNKNOWN;
        }
    }

    /// Judges a delivery and remembers it.
    #[inline]
    pub(crate) fn check(&mut self, stamp: &Stamp) -> Verdict {
        if self.receiver.is_of_room(stamp)
            && let Some(next) = self.next.get_mut(usize::from(stamp.sender))
            && *next == stamp.sequence
            && stamp.sequence < SEQUENCE_END
        {
            *next += 1;
            return Verdict::Fresh;
        }
        self.check_uncommon(stamp)
    }

    #[cold]
    fn check_uncommon(&mut self, stamp: &Stamp) -> Verdict {
        let sender = usize::from(stamp.sender);
        let healthy = self.receiver.is_healthy_pair(stamp.sender);
        if !self.receiver.is_of_room(stamp) || stamp.sequence >= SEQUENCE_END {
            return Verdict::Leaked;
        }
        if self.receiver.is_sender(stamp) {
            return Verdict::Echo;
        }
        let Some(next) = self.next.get_mut(sender) else {
            return Verdict::Leaked;
        };
        let pair = self.first_pair + sender;
        if *next == UNKNOWN {
            if !self.gaps.goes_on(pair, stamp.sequence) {
                return Verdict::Duplicate;
            }
            *next = stamp.sequence + 1;
            return Verdict::Fresh;
        }
        if stamp.sequence >= *next {
            self.gaps.open(pair, *next..stamp.sequence, healthy);
            *next = stamp.sequence + 1;
            return Verdict::Fresh;
        }
        if self.gaps.fill(pair, stamp.sequence, healthy) {
            Verdict::Late
        } else {
            Verdict::Duplicate
        }
    }
}

/// Messages that one receiver need not get, because it was told that it has missed some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excuse {
    /// The client that sent them.
    pub(crate) sender: u32,
    /// Which they are, if they were due by then.
    pub(crate) sequences: Range<u32>,
    pub(crate) by: Nanos,
}

/// A receiver was told that it goes on from a certain time on.
#[derive(Clone, Copy, Debug)]
struct Reset {
    sender: u32,
    /// What it would have got next.
    before: u32,
    at: Nanos,
}

impl Reset {
    /// What was missed, if this came next.
    fn excuse(self, next: u32) -> Excuse {
        Excuse {
            sender: self.sender,
            sequences: self.before..next,
            by: self.at,
        }
    }
}

/// Sequence numbers that were skipped, by pair.
#[derive(Debug, Default)]
struct Gaps {
    /// Ascending and apart from each other.
    ranges: HashMap<usize, Vec<Range<u32>>>,
    followed: usize,
    overflowed: bool,
    missing: u64,
    missing_misbehaving: u64,
    /// By pair, of which nothing has come since.
    resets: HashMap<usize, Reset>,
    excuses: Vec<Excuse>,
}

impl Gaps {
    /// Whether this may be the first that comes after the receiver began anew.
    fn goes_on(&mut self, pair: usize, sequence: u32) -> bool {
        match self.resets.get(&pair) {
            Some(reset) if sequence < reset.before => return false,
            Some(reset) => self.excuses.push(reset.excuse(sequence)),
            None => {}
        }
        self.resets.remove(&pair);
        true
    }

    fn open(&mut self, pair: usize, skipped: Range<u32>, healthy: bool) {
        *self.missing_of(healthy) += u64::from(skipped.end - skipped.start);
        if self.has_room() {
            self.followed += 1;
            self.ranges.entry(pair).or_default().push(skipped);
        }
    }

    /// Whether `sequence` was missing; it no longer is.
    fn fill(&mut self, pair: usize, sequence: u32, healthy: bool) -> bool {
        let Some(ranges) = self.ranges.get(&pair) else {
            return false;
        };
        let at = ranges.partition_point(|range| range.end <= sequence);
        let Some(range) = ranges.get(at).filter(|range| range.contains(&sequence)) else {
            return false;
        };
        let (before, after) = (range.start..sequence, sequence + 1..range.end);
        let split = !before.is_empty() && !after.is_empty();
        let room = !split || self.has_room();
        let ranges = self.ranges.entry(pair).or_default();
        match (before.is_empty(), after.is_empty()) {
            (true, true) => {
                ranges.remove(at);
                self.followed -= 1;
                if ranges.is_empty() {
                    self.ranges.remove(&pair);
                }
            }
            (false, true) => ranges[at] = before,
            (true, false) => ranges[at] = after,
            (false, false) => {
                ranges[at] = after;
                if room {
                    ranges.insert(at, before);
                    self.followed += 1;
                }
            }
        }
        *self.missing_of(healthy) -= 1;
        true
    }

    fn forget(&mut self, pair: usize) {
        if let Some(ranges) = self.ranges.remove(&pair) {
            self.followed -= ranges.len();
        }
    }

    fn has_room(&mut self) -> bool {
        let room = self.followed < GAPS_MAX;
        self.overflowed |= !room;
        room
    }

    fn missing_of(&mut self, healthy: bool) -> &mut u64 {
        if healthy {
            &mut self.missing
        } else {
            &mut self.missing_misbehaving
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const ROOM: Room = Room::new(1, 2);

    fn stamp(sender: u16, sequence: u32) -> Stamp {
        Stamp {
            room: ROOM,
            sender,
            sequence,
            intended_ns: 0,
            delay_ns: 0,
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.add_room(Room::new(1, 1), 3, 3, 3);
        ledger.add_room(ROOM, 4, 3, 3);
        ledger
    }

    #[test]
    fn table() {
        use Verdict::{Duplicate, Echo, Fresh, Late, Leaked};
        // (sender, sequence) as member 1 reads them, and what each is.
        for (name, missing, reads) in [
            (
                "in order",
                0,
                &[(0, 0, Fresh), (0, 1, Fresh), (2, 0, Fresh), (0, 2, Fresh)][..],
            ),
            ("lost", 2, &[(0, 0, Fresh), (0, 3, Fresh), (0, 4, Fresh)]),
            ("lost at the start", 5, &[(2, 5, Fresh), (2, 6, Fresh)]),
            (
                "twice",
                0,
                &[
                    (0, 0, Fresh),
                    (0, 0, Duplicate),
                    (0, 1, Fresh),
                    (0, 0, Duplicate),
                ],
            ),
            (
                "swapped",
                0,
                &[
                    (0, 1, Fresh),
                    (0, 0, Late),
                    (0, 2, Fresh),
                    (0, 0, Duplicate),
                ],
            ),
            (
                "from within a gap",
                2,
                &[
                    (0, 4, Fresh),
                    (0, 2, Late),
                    (0, 2, Duplicate),
                    (0, 0, Late),
                    (0, 5, Fresh),
                ],
            ),
            ("own", 0, &[(1, 0, Echo), (1, 7, Echo)]),
            (
                "someone who does not send",
                0,
                &[(3, 0, Leaked), (999, 0, Leaked)],
            ),
            (
                "no such sequence",
                0,
                &[(0, u32::MAX, Leaked), (0, u32::MAX - 1, Leaked)],
            ),
        ] {
            let mut ledger = ledger();
            let mut row = ledger.row(1, 1);
            for &(sender, sequence, verdict) in reads {
                let got = row.check(&stamp(sender, sequence));
                assert_eq!(got, verdict, "{name}: {sender} {sequence}");
            }
            assert_eq!(ledger.missing(), missing, "{name}");
            assert_eq!(ledger.missing_misbehaving(), 0, "{name}");
            // Nobody else in the room, and no other room, is touched.
            for (room, member, sender) in [(1, 0, 2), (1, 2, 0), (1, 3, 0), (0, 1, 0)] {
                let mut row = ledger.row(room, member);
                let first = Stamp {
                    room: Room::new(1, 1 + room),
                    ..stamp(sender, 0)
                };
                assert_eq!(row.check(&first), Fresh, "{name}");
            }
        }
    }

    #[test]
    fn another_room_or_run_is_a_leak() {
        let mut ledger = ledger();
        let mut row = ledger.row(1, 1);
        for room in [Room::new(1, 1), Room::new(2, 2)] {
            let leaked = Stamp {
                room,
                ..stamp(0, 0)
            };
            assert_eq!(row.check(&leaked), Verdict::Leaked);
        }
        assert_eq!(row.check(&stamp(0, 0)), Verdict::Fresh);
    }

    #[test]
    fn who_only_receives_gets_from_all() {
        let mut ledger = ledger();
        let mut row = ledger.row(1, 3);
        for sender in 0..3 {
            assert_eq!(row.check(&stamp(sender, 0)), Verdict::Fresh);
        }
    }

    #[test]
    fn pairs_are_healthy_on_both_sides_or_not_at_all() {
        let mut ledger = Ledger::default();
        ledger.add_room(ROOM, 4, 4, 2);
        for (member, sender, healthy) in [
            (0, 1, true),
            (1, 0, true),
            (0, 2, false),
            (0, 3, false),
            (2, 0, false),
            (3, 2, false),
        ] {
            assert_eq!(
                ledger.row(0, member).receiver.is_healthy_pair(sender),
                healthy
            );
            assert_eq!(ledger.row(0, member).receiver.is_healthy(), member < 2);
        }
        ledger.row(0, 0).check(&stamp(1, 3));
        ledger.row(0, 0).check(&stamp(2, 4));
        ledger.row(0, 3).check(&stamp(1, 5));
        assert_eq!(ledger.missing(), 3);
        assert_eq!(ledger.missing_misbehaving(), 9);
    }

    #[test]
    fn who_rejoins_begins_anywhere() {
        let mut ledger = Ledger::default();
        ledger.add_room(ROOM, 3, 3, 2);
        ledger.row(0, 2).check(&stamp(0, 3));
        ledger.rejoined(0, 2);
        let mut row = ledger.row(0, 2);
        assert_eq!(row.check(&stamp(0, 100)), Verdict::Fresh);
        assert_eq!(row.check(&stamp(0, 101)), Verdict::Fresh);
        assert_eq!(row.check(&stamp(0, 103)), Verdict::Fresh);
        assert_eq!(row.check(&stamp(0, 1)), Verdict::Duplicate);
        assert_eq!(row.check(&stamp(1, 0)), Verdict::Fresh);
        assert_eq!(row.check(&stamp(2, 0)), Verdict::Echo);
        assert_eq!(ledger.missing_misbehaving(), 3 + 1);
    }

    #[test]
    fn who_is_reset_has_missed_what_came_before() {
        let excuse = |sender, sequences, by| Excuse {
            sender,
            sequences,
            by,
        };
        let mut ledger = Ledger::default();
        ledger.add_room(ROOM, 4, 4, 3);
        let mut row = ledger.row(0, 1);
        row.check(&stamp(0, 0));
        row.check(&stamp(2, 0));
        row.reset(10, 500);
        // Before anything came it is told once more.
        row.reset(10, 700);
        assert_eq!(row.check(&stamp(0, 0)), Verdict::Duplicate);
        assert_eq!(row.check(&stamp(0, 5)), Verdict::Fresh);
        assert_eq!(row.check(&stamp(0, 6)), Verdict::Fresh);
        assert_eq!(row.check(&stamp(0, 8)), Verdict::Fresh);
        assert_eq!(row.check(&stamp(3, 8)), Verdict::Fresh);
        let mut excuses: Vec<_> = ledger.excuses().collect();
        excuses.sort_by_key(|excuse| excuse.sender);
        let expected = [excuse(10, 1..5, 700), excuse(12, 1..u32::MAX, 700)];
        assert_eq!(excuses, expected);
        // A gap after that is one.
        assert_eq!(ledger.missing(), 1);
        assert_eq!(ledger.take_excuses().len(), 2);
        assert_eq!(ledger.excuses().count(), 0);
    }

    #[test]
    fn gaps_are_bounded_and_say_so() {
        let mut ledger = ledger();
        let mut row = ledger.row(1, 0);
        for i in 0..GAPS_MAX as u32 {
            row.check(&stamp(1, 2 * i + 1));
        }
        assert!(!row.gaps.overflowed);
        row.check(&stamp(1, 2 * GAPS_MAX as u32 + 1));
        assert!(row.gaps.overflowed);
        assert_eq!(row.check(&stamp(1, 0)), Verdict::Late);
        assert_eq!(ledger.missing(), GAPS_MAX as u64);
        assert_eq!(ledger.gaps.followed, GAPS_MAX - 1);
    }

    proptest! {
        #[test]
        fn as_a_set_would_say(reads in prop::collection::vec((0u16..3, 0u32..40), 0..300)) {
            let mut ledger = ledger();
            let mut seen = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
            for (sender, sequence) in reads {
                let verdict = ledger.row(1, 1).check(&stamp(sender, sequence));
                let seen = &mut seen[usize::from(sender)];
                let highest = seen.last().copied();
                let expected = if sender == 1 {
                    Verdict::Echo
                } else if !seen.insert(sequence) {
                    Verdict::Duplicate
                } else if highest.is_some_and(|highest| sequence < highest) {
                    Verdict::Late
                } else {
                    Verdict::Fresh
                };
                prop_assert_eq!(verdict, expected);
            }
            let missing = [0, 2].map(|sender| {
                let seen: &BTreeSet<u32> = &seen[sender];
                seen.last().map_or(0, |last| *last as usize + 1 - seen.len())
            });
            prop_assert_eq!(ledger.missing(), missing.iter().sum::<usize>() as u64);
            let followed: usize = ledger.gaps.ranges.values().map(Vec::len).sum();
            prop_assert_eq!(ledger.gaps.followed, followed);
        }
    }
}
