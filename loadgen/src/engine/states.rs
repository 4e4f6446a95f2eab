//! Which value of each key each receiver has, and what came of those that it was not sent.
//!
//! Owns the table of (receiver, sender, key), and what of the gaps in it nobody has answered for yet. Must not know sockets,
//! the clock or how results are counted.
//! Invariant: of a key only newer values are accepted, and each that was passed over is answered for once: by the relay, which
//! says how many there were, or by a connection that was lost meanwhile. What neither explains is lost.

use super::clock::Nanos;
use super::receiver::Receiver;
use crate::payload::{Room, Stamp};

/// In place of the next number: the receiver came later, any is right.
const UNKNOWN: u32 = u32::MAX;

/// What a value turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Newer than all of its key before.
    Fresh,
    /// The newest, said once more because a connection had been lost.
    Again,
    /// The newest, said once more without a reason.
    Duplicate,
    /// Older than one that came before it.
    Stale,
    /// It belongs to another room, another run, or to someone who never sends.
    Leaked,
    /// The receiver set it itself.
    Echo,
}

/// Values by where they are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    /// Of or for somebody who misbehaves.
    pub(crate) apart: u64,
    /// Between healthy players, of the warm-up.
    pub(crate) warmup: u64,
    /// Between healthy players, measured.
    pub(crate) measured: u64,
}

impl Values {
    pub(crate) const NONE: Self = Self {
        apart: 0,
        warmup: 0,
        measured: 0,
    };

    /// As many of them as `most` says, which is less afterwards by so many.
    fn take(&mut self, most: &mut u64) -> Self {
        let mut part = |values: &mut u64| {
            let taken = (*values).min(*most);
            *values -= taken;
            *most -= taken;
            taken
        };
        Self {
            apart: part(&mut self.apart),
            warmup: part(&mut self.warmup),
            measured: part(&mut self.measured),
        }
    }

    fn add(&mut self, other: Self) {
        self.apart += other.apart;
        self.warmup += other.warmup;
        self.measured += other.measured;
    }
}

/// A room as this sees it.
#[derive(Clone, Debug)]
struct RoomEntry {
    room: Room,
    /// Its members from 0 to this one are healthy, the others are not.
    healthy: u32,
    senders: u32,
    /// The client of its first member.
    first: u32,
    /// Where its part of the table begins.
    base: usize,
}

/// What a receiver has of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Had {
    /// The next number of the key.
    next: u32,
    /// When the newest was to be set.
    due: Nanos,
}

/// What a receiver was not sent.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// What nobody has answered for.
    open: Values,
    /// What the relay has said on this connection that newer ones took the place of, and how many of these have not been seen.
    told: u64,
    credit: u64,
}

/// The keys of one thread's rooms. Receiver by receiver, then sender by sender.
#[derive(Debug)]
pub(crate) struct States {
    keys: u32,
    rooms: Vec<RoomEntry>,
    had: Vec<Had>,
    /// By client.
    passed: Vec<Passed>,
    /// By client: the first value of the measured time.
    measured_from: Vec<u32>,
}

impl States {
    /// With so many keys of each sender; 0: nobody sets any.
    pub(crate) fn new(keys: u32) -> Self {
        Self {
            keys,
            rooms: Vec::new(),
            had: Vec::new(),
            passed: Vec::new(),
            measured_from: Vec::new(),
        }
    }

    /// Adds a room of `members`, of whom the first `senders` send and the first `healthy` behave.
    pub(crate) fn add_room(&mut self, room: Room, members: u32, senders: u32, healthy: u32) {
        let (base, first) = (self.had.len(), self.passed.len());
        self.rooms.push(RoomEntry {
            room,
            healthy,
            senders,
            first: first as u32,
            base,
        });
        let row = (senders * self.keys) as usize;
        let members = members as usize;
        self.had.resize(base + row * members, Had::default());
        self.passed.resize(first + members, Passed::default());
        self.measured_from.resize(first + members, u32::MAX);
    }

    /// A client sets a value of the measured time.
    #[inline]
    pub(crate) fn measured(&mut self, client: u32, sequence: u32) {
        let from = &mut self.measured_from[client as usize];
        *from = sequence.min(*from);
    }

    /// What `member` of the room added as number `room` has.
    #[inline]
    pub(crate) fn row(&mut self, room: u32, member: u32) -> Row<'_> {
        let entry = &self.rooms[room as usize];
        let len = (entry.senders * self.keys) as usize;
        let start = entry.base + len * member as usize;
        let first = entry.first as usize;
        Row {
            had: &mut self.had[start..start + len],
            keys: self.keys,
            receiver: Receiver::new(entry.room, member, entry.healthy),
            passed: &mut self.passed[first + member as usize],
            measured_from: &self.measured_from[first..first + entry.senders as usize],
        }
    }

    /// When the newest value was due that `member` of the room has of each healthy sender.
    pub(crate) fn newest(&self, room: u32, member: u32) -> impl Iterator<Item = Nanos> + '_ {
        let entry = &self.rooms[room as usize];
        let keys = self.keys as usize;
        let len = entry.senders as usize * keys;
        let start = entry.base + len * member as usize;
        let healthy = entry.senders.min(entry.healthy) as usize;
        let of_senders = self.had[start..start + len].chunks_exact(keys.max(1));
        of_senders
            .take(healthy)
            .filter_map(|keys| keys.iter().map(|had| had.due).max())
            .filter(|due| *due > 0)
    }

    /// `member` has joined anew: what it missed is not missing, whatever comes next is right.
    pub(crate) fn rejoined(&mut self, room: u32, member: u32) {
        let row = self.row(room, member);
        *row.passed = Passed::default();
        for had in row.had {
            *had = Had {
                next: UNKNOWN,
                due: 0,
            };
        }
    }
}

/// What one receiver has.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// By sender, then by key.
    had: &'a mut [Had],
    keys: u32,
    pub(crate) receiver: Receiver,
    passed: &'a mut Passed,
    measured_from: &'a [u32],
}

impl Row<'_> {
    /// The key of a value, by its place among all that its sender sets.
    #[inline]
    pub(crate) fn key_of(&self, stamp: &Stamp) -> u32 {
        stamp.sequence.checked_rem(self.keys).unwrap_or(0)
    }

    /// Judges a value and remembers it. Neither receiver nor sender have lost a connection since `since`. Answers also what was
    /// passed over while one was lost, for which nobody answers.
    #[inline]
    pub(crate) fn check(&mut self, stamp: &Stamp, since: Nanos) -> (Verdict, Values) {
        let sender = usize::from(stamp.sender);
        if !self.receiver.is_of_room(stamp) || sender >= self.measured_from.len() {
            return (Verdict::Leaked, Values::NONE);
        }
        if self.receiver.is_sender(stamp) {
            return (Verdict::Echo, Values::NONE);
        }
        let key = self.key_of(stamp);
        let number = stamp.sequence / self.keys;
        let had = &mut self.had[sender * self.keys as usize + key as usize];
        let before = *had;
        if before.next == UNKNOWN || number >= before.next {
            *had = Had {
                next: number + 1,
                due: stamp.intended_ns,
            };
            if before.next == UNKNOWN || number == before.next {
                return (Verdict::Fresh, Values::NONE);
            }
            let passed = self.passed_over(stamp.sender, key, before.next..number);
            // The first one that was due since is told after the connection is back: what lay between is nobody's.
            if before.due < since {
                return (Verdict::Fresh, passed);
            }
            self.passed.open.add(passed);
            return (Verdict::Fresh, Values::NONE);
        }
        let verdict = match (number + 1 == before.next, since > 0) {
            (true, true) => Verdict::Again,
            (true, false) => Verdict::Duplicate,
            (false, _) => Verdict::Stale,
        };
        (verdict, Values::NONE)
    }

    /// Values of a key, by their numbers, and where they are counted.
    #[cold]
    fn passed_over(&self, sender: u16, key: u32, numbers: std::ops::Range<u32>) -> Values {
        let count = u64::from(numbers.end - numbers.start);
        if !self.receiver.is_healthy_pair(sender) {
            return Values {
                apart: count,
                ..Values::NONE
            };
        }
        // The first number whose place among all values is in the measured time.
        let from = self.measured_from[usize::from(sender)];
        let first = from.saturating_sub(key).div_ceil(self.keys);
        let measured = u64::from(numbers.end.saturating_sub(first.max(numbers.start)));
        Values {
            apart: 0,
            warmup: count - measured,
            measured,
        }
    }

    /// The relay has said on this connection that `told` values were superseded. Answers those that are explained by that.
    #[inline]
    pub(crate) fn told(&mut self, told: u64) -> Values {
        let passed = &mut *self.passed;
        passed.credit += told.saturating_sub(passed.told);
        passed.told = told;
        if passed.credit == 0 || passed.open == Values::NONE {
            return Values::NONE;
        }
        passed.open.take(&mut passed.credit)
    }

    /// The connection is lost, or the relay begins anew: what it has not said by now it will not say. Answers what that leaves
    /// without an explanation.
    pub(crate) fn begin_anew(&mut self) -> Values {
        std::mem::take(self.passed).open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room::new(1, 2);

    fn stamp(sender: u16, sequence: u32) -> Stamp {
        Stamp {
            room: ROOM,
            sender,
            sequence,
            intended_ns: 100 + u64::from(sequence),
            delay_ns: 0,
        }
    }

    /// Three senders of two keys among four members, of whom the last misbehaves; measured from the fifth value on.
    fn states() -> States {
        let mut states = States::new(2);
        states.add_room(Room::new(1, 1), 2, 2, 2);
        states.add_room(ROOM, 4, 3, 3);
        (2..6).for_each(|client| states.measured(client, 4));
        states
    }

    fn values(apart: u64, warmup: u64, measured: u64) -> Values {
        Values {
            apart,
            warmup,
            measured,
        }
    }

    #[test]
    fn each_key_goes_its_own_way() {
        use Verdict::{Again, Duplicate, Echo, Fresh, Leaked, Stale};
        let mut states = states();
        let mut row = states.row(1, 1);
        for (sender, sequence, since, verdict) in [
            (0, 0, 0, Fresh),
            (0, 1, 0, Fresh),
            (0, 3, 0, Fresh),
            (0, 2, 0, Fresh),
            (0, 2, 0, Duplicate),
            (0, 2, 1, Again),
            (0, 0, 1, Stale),
            (0, 8, 0, Fresh),
            (2, 0, 0, Fresh),
            (1, 0, 0, Echo),
            (3, 0, 0, Leaked),
        ] {
            let (got, passed) = row.check(&stamp(sender, sequence), since);
            assert_eq!(
                (got, passed),
                (verdict, Values::NONE),
                "{sender} {sequence}"
            );
        }
        let elsewhere = Stamp {
            room: Room::new(1, 1),
            ..stamp(0, 9)
        };
        assert_eq!(row.check(&elsewhere, 0).0, Leaked);
        // 4 and 6 of the first key were passed over.
        assert_eq!(row.told(1), values(0, 0, 1));
        assert_eq!(row.told(1), Values::NONE);
        assert_eq!(row.begin_anew(), values(0, 0, 1));
        assert_eq!(row.begin_anew(), Values::NONE);
    }

    #[test]
    fn what_the_relay_says_explains_no_more_than_it_says() {
        let mut states = states();
        let mut row = states.row(1, 0);
        // It may say so before a newer value has come.
        assert_eq!(row.told(3), Values::NONE);
        row.check(&stamp(1, 6), 0); // 0, 2 in the warm-up, 4 measured
        row.check(&stamp(2, 5), 0); // 1, 3 in the warm-up
        assert_eq!(row.told(3), values(0, 3, 0));
        assert_eq!(row.told(4), values(0, 1, 0));
        assert_eq!(row.told(9), values(0, 0, 1));
        // Another connection counts anew.
        row.begin_anew();
        row.check(&stamp(1, 10), 0);
        assert_eq!(row.told(1), values(0, 0, 1));
    }

    #[test]
    fn nobody_answers_for_what_passed_while_a_connection_was_lost() {
        let mut states = states();
        let mut row = states.row(1, 0);
        row.check(&stamp(1, 0), 0);
        // Due at 106, and the connection is back since 105.
        let (verdict, excused) = row.check(&stamp(1, 6), 105);
        assert_eq!((verdict, excused), (Verdict::Fresh, values(0, 1, 1)));
        let (verdict, excused) = row.check(&stamp(1, 10), 105);
        assert_eq!((verdict, excused), (Verdict::Fresh, Values::NONE));
        assert_eq!(row.begin_anew(), values(0, 0, 1));
    }

    #[test]
    fn the_misbehaving_are_counted_apart() {
        let mut states = states();
        let mut row = states.row(1, 3);
        row.check(&stamp(0, 4), 0);
        assert_eq!(row.told(9), values(2, 0, 0));
        states.rejoined(1, 3);
        let mut row = states.row(1, 3);
        assert_eq!(row.check(&stamp(0, 20), 0).0, Verdict::Fresh);
        assert_eq!(row.begin_anew(), Values::NONE);
    }

    #[test]
    fn the_newest_of_a_sender_is_that_of_its_keys() {
        let mut states = states();
        assert_eq!(states.newest(1, 2).count(), 0);
        let mut row = states.row(1, 2);
        row.check(&stamp(0, 3), 0);
        row.check(&stamp(0, 2), 0);
        row.check(&stamp(1, 0), 0);
        assert_eq!(states.newest(1, 2).collect::<Vec<_>>(), [103, 100]);
        assert_eq!(states.newest(1, 0).count(), 0);
    }
}
