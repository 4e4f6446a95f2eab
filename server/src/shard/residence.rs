//! How long messages are here: from when they may have come until they are written.
//!
//! Owns: the histogram, and what was written since the last look at the clock. Must not know: sockets, or the clock, of which
//! it is told (us). Invariant: of a batch that its receivers take whole nothing is done for each message or write, only for
//! each turn of its room and each look at the clock.

use super::Shard;
use crate::delivery::Said;
use crate::limits::{CALLS_PER_LOOK, RESIDENCE_BUCKETS, RESIDENCE_FIRST_US, RESIDENCE_WAITING};
use crate::room::RoomId;

/// Writes of one turn after which it is accounted for while it goes on: a shorter one, at its end.
const TURN_LOOKED_AT: u64 = CALLS_PER_LOOK as u64;

/// Messages by how long they were here, two buckets for each doubling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; RESIDENCE_BUCKETS],
    sum_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [0; RESIDENCE_BUCKETS],
            sum_us: 0,
        }
    }
}

impl Histogram {
    fn note(&mut self, us: u64, messages: u64) {
        self.counts[bucket(us)] += messages;
        self.sum_us += us * messages;
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts) {
            *own += other;
        }
        self.sum_us += other.sum_us;
    }

    /// Messages.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Microseconds of all of them together.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Messages that were here for less than so many microseconds, and not for less than the bucket before says; the last
    /// bucket has no end.
    pub fn rows(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let ends = (0..RESIDENCE_BUCKETS - 1).map(|index| Some(end(index)));
        ends.chain([None]).zip(self.counts)
    }
}

/// Halves of octaves from [`RESIDENCE_FIRST_US`] on, before them all that is shorter.
fn bucket(us: u64) -> usize {
    if us < RESIDENCE_FIRST_US {
        return 0;
    }
    let octave = us.ilog2();
    let half = (us >> (octave - 1)) & 1;
    let octaves = octave - RESIDENCE_FIRST_US.ilog2();
    (1 + 2 * octaves as usize + half as usize).min(RESIDENCE_BUCKETS - 1)
}

/// Where a bucket ends (us).
fn end(index: usize) -> u64 {
    match index.checked_sub(1) {
        None => RESIDENCE_FIRST_US,
        Some(index) => {
            let octave = RESIDENCE_FIRST_US << (index / 2);
            octave + octave / 2 * (1 + index as u64 % 2)
        }
    }
}

/// What was written since the last look at the clock.
#[derive(Debug, Default)]
struct Written {
    last: Said,
    /// What came at other times, most often nothing.
    earlier: Vec<Said>,
}

impl Written {
    #[inline]
    fn push(&mut self, said: Said) {
        if self.last.since != said.since && self.last.messages > 0 {
            self.make_place();
        }
        self.last.push(said);
    }

    /// Where there is none, two count together.
    #[cold]
    fn make_place(&mut self) {
        if self.earlier.len() < RESIDENCE_WAITING {
            self.earlier.push(std::mem::take(&mut self.last));
        }
    }

    fn is_empty(&self) -> bool {
        self.last.messages == 0
    }

    /// It was written by this time (us).
    #[inline]
    fn note_in(&mut self, histogram: &mut Histogram, now: u64) {
        let us = |since: u64| now.saturating_sub(since);
        histogram.note(us(self.last.since), self.last.messages.into());
        self.last.messages = 0;
        if !self.earlier.is_empty() {
            for said in self.earlier.drain(..) {
                histogram.note(us(said.since), said.messages.into());
            }
        }
    }
}

/// What is measured of one shard.
#[derive(Debug, Default)]
pub(super) struct Residence {
    /// Since when what this iteration hears may have waited in a socket (us).
    pub(super) since: u64,
    /// Writes that are accounted for, of all that were offered.
    pub(super) accounted: u64,
    written: Written,
}

impl Residence {
    /// These messages of a room have been written.
    #[inline]
    pub(super) fn note(&mut self, said: Said) {
        if said.messages > 0 {
            self.written.push(said);
        }
    }

    /// Since when something is here that was said at this time, as of now (ms, by the clock of the shard).
    pub(super) fn since(&self, said_at: u32, now: u32) -> u64 {
        let ago = u64::from(now.wrapping_sub(said_at));
        self.since.saturating_sub(1_000 * ago)
    }
}

impl Shard {
    /// What this iteration hears came after this (us, of the clock of [`Shard::written_by`]).
    pub fn heard_since(&mut self, since: u64) {
        self.residence.since = since;
    }

    /// Whether it matters to be told the time.
    pub fn has_written(&self) -> bool {
        !self.residence.written.is_empty() || self.counters.writes > self.residence.accounted
    }

    /// What has been written until now was written by this time (us).
    pub fn written_by(&mut self, now: u64) {
        if self.counters.writes - self.residence.accounted >= TURN_LOOKED_AT {
            self.account_for_turn();
        }
        if !self.residence.written.is_empty() {
            let residence = &mut self.residence;
            residence.written.note_in(&mut self.counters.residence, now);
        }
    }

    /// Accounts for what was written in the turn that goes on.
    #[inline(never)]
    fn account_for_turn(&mut self) {
        if let Some(room) = self.flush.served_now() {
            self.account(room);
        }
    }

    /// Accounts for what was written of the running fan-out of this room, of which alone that was.
    #[inline]
    pub(super) fn account(&mut self, room: RoomId) {
        let writes = self.counters.writes - self.residence.accounted;
        self.residence.accounted = self.counters.writes;
        self.residence.note(self.rooms[room].wrote(writes as u32));
    }

    /// The last write has not taken a batch whole: it counts for what has left of it, or is queued.
    pub(super) fn except_last(&mut self) {
        self.residence.accounted += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_where_the_next_one_begins() {
        for index in 0..RESIDENCE_BUCKETS - 1 {
            assert_eq!(bucket(end(index) - 1), index);
            assert_eq!(bucket(end(index)), index + 1);
        }
        assert_eq!(bucket(u64::MAX), RESIDENCE_BUCKETS - 1);
        let ends: Vec<u64> = (0..5).map(end).collect();
        assert_eq!(ends, [64, 96, 128, 192, 256]);
    }

    #[test]
    fn what_waits_for_the_clock_is_bounded() {
        let mut written = Written::default();
        for since in 0..10 * RESIDENCE_WAITING as u64 {
            written.push(Said { since, messages: 2 });
        }
        assert_eq!(written.earlier.len(), RESIDENCE_WAITING);
        let mut histogram = Histogram::default();
        written.note_in(&mut histogram, 1_000);
        assert_eq!(histogram.count(), 20 * RESIDENCE_WAITING as u64);
        assert!(written.is_empty() && written.earlier.is_empty());
    }
}
