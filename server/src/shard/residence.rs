//! How long messages are here: from when they may have come until they are written.
//!
//! Owns: the histograms, and what was written since the last look at the clock. Must not know: sockets, or the clock, of which
//! it is told (us). Invariant: of a batch that its receivers take whole nothing is done for each message or write, only for
//! each turn of its room and each look at the clock.

use std::sync::Arc;

use serde::Serialize;

use super::Shard;
use super::player::RoomRef;
use crate::delivery::Said;
use crate::limits::{
    CALLS_PER_LOOK, RESIDENCE_BUCKETS, RESIDENCE_FIRST_US, RESIDENCE_ROOM_MS, RESIDENCE_ROOMS,
    RESIDENCE_WAITING,
};
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

/// One room, of which somebody wants to know how long messages are there.
#[derive(Debug)]
struct Watched {
    name: Arc<str>,
    room: RoomRef,
    /// When that began, and when it was last asked for (ms).
    began: u64,
    asked: u64,
    written: Written,
    histogram: Histogram,
}

/// How long messages are in one room, since that was first asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomResidence {
    /// So long ago.
    pub seconds: u64,
    /// Messages that were written, each as often as it had receivers.
    pub messages: u64,
    /// Microseconds of all of them together.
    pub sum_us: u64,
    /// The same by time; what has none is left out.
    pub buckets: Vec<Bucket>,
}

/// Messages that were here for less than this, and not for less than an earlier bucket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Microseconds; none in the last one.
    pub below_us: Option<u64>,
    /// See there.
    pub messages: u64,
}

/// What is measured of one shard.
#[derive(Debug, Default)]
pub(super) struct Residence {
    /// Since when what this iteration hears may have waited in a socket (us).
    pub(super) since: u64,
    /// Writes that are accounted for, of all that were offered.
    pub(super) accounted: u64,
    written: Written,
    /// Rooms that somebody wants to know more of.
    watched: Vec<Watched>,
}

impl Residence {
    /// These messages of a room have been written.
    #[inline]
    pub(super) fn note(&mut self, room: RoomRef, said: Said) {
        if said.messages > 0 {
            self.written.push(said);
            if !self.watched.is_empty() {
                self.note_watched(room, said);
            }
        }
    }

    #[cold]
    fn note_watched(&mut self, room: RoomRef, said: Said) {
        let mut watched = self.watched.iter_mut();
        if let Some(watched) = watched.find(|watched| watched.room == room) {
            watched.written.push(said);
        }
    }

    /// A player of a roomcast.v1 room was given what its log had for it between two positions, if anything: in the first of them
    /// stands what was said first, and when (ms). Entries for others count too, and what is no entry as one message.
    pub(super) fn note_given(
        &mut self,
        room: RoomRef,
        ((before, said_at), after, is_nothing): ((u64, Option<u32>), u64, bool),
        now: u32,
    ) {
        if !is_nothing {
            let since = self.since(said_at.unwrap_or(now), now);
            let messages = after.saturating_sub(before).max(1) as u32;
            self.note(room, Said { since, messages });
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
            for watched in &mut residence.watched {
                watched.written.note_in(&mut watched.histogram, now);
            }
        }
    }

    /// Accounts for what was written in the turn that goes on.
    #[inline(never)]
    pub(super) fn account_for_turn(&mut self) {
        if let Some(room) = self.flush.served_now() {
            self.account(room);
        }
    }

    /// Accounts for what was written of the running fan-out of this room, of which alone that was.
    #[inline]
    pub(super) fn account(&mut self, room: RoomId) {
        let writes = self.counters.writes - self.residence.accounted;
        self.residence.accounted = self.counters.writes;
        let said = self.rooms[room].wrote(writes as u32);
        self.residence.note(RoomRef::Batches(room), said);
    }

    /// How long messages are in a room, from the first time on that this is asked; none if there is no such room. Of
    /// [`RESIDENCE_ROOMS`] that is known; the one that was not asked for for longest makes room for another.
    pub(super) fn residence_in(&mut self, name: &str) -> Option<RoomResidence> {
        let room = self.place_of(name)?;
        let now = self.now;
        let all = &mut self.residence.watched;
        let at = all
            .iter()
            .position(|watched| *watched.name == *name && watched.room == room);
        let at = at.unwrap_or_else(|| {
            all.retain(|watched| watched.room != room && *watched.name != *name);
            if all.len() >= RESIDENCE_ROOMS {
                let oldest = (0..all.len()).min_by_key(|&at| all[at].asked);
                oldest.map(|at| all.remove(at));
            }
            all.push(Watched {
                name: name.into(),
                room,
                began: now,
                asked: now,
                written: Written::default(),
                histogram: Histogram::default(),
            });
            all.len() - 1
        });
        let watched = &mut all[at];
        watched.asked = now;
        let rows = watched
            .histogram
            .rows()
            .filter(|(_, messages)| *messages > 0);
        Some(RoomResidence {
            seconds: (now - watched.began) / 1_000,
            messages: watched.histogram.count(),
            sum_us: watched.histogram.sum_us(),
            buckets: rows
                .map(|(below_us, messages)| Bucket { below_us, messages })
                .collect(),
        })
    }

    /// Lets go of rooms that are gone, or that nobody asks for any more.
    pub(super) fn forget_unasked(&mut self) {
        let mut watched = std::mem::take(&mut self.residence.watched);
        watched.retain(|watched| {
            let is_asked = watched.asked + RESIDENCE_ROOM_MS > self.now;
            is_asked && self.place_of(&watched.name) == Some(watched.room)
        });
        self.residence.watched = watched;
    }

    fn place_of(&self, name: &str) -> Option<RoomRef> {
        let raw = self.rooms.place(name).map(RoomRef::Batches);
        raw.or_else(|| self.v1.rooms.place(name).map(RoomRef::V1))
    }

    /// The last write has not taken a batch whole: it counts for what has left of it, or is queued.
    pub(super) fn except_last(&mut self) {
        self.residence.accounted += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::fixture::{members, seated, write};

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

    fn say(shard: &mut Shard, slot: u32, at_us: u64) {
        shard.heard_since(0);
        shard.receive(slot, &mut [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        write(shard);
        shard.written_by(at_us);
    }

    #[test]
    fn a_room_is_told_from_when_it_is_asked_for_until_nobody_does() {
        let mut shard = members();
        say(&mut shard, 0, 10);
        let first = shard.residence_in("arena").unwrap();
        assert_eq!((first.messages, first.buckets), (0, vec![]));
        assert_eq!(shard.residence_in("nowhere"), None);
        let other = [(); 2].map(|()| seated(&mut shard, "other"));
        write(&mut shard);
        say(&mut shard, 1, 100);
        say(&mut shard, other[0], 100);
        shard.advance(3_000, 3_000);
        let told = shard.residence_in("arena").unwrap();
        let bucket = Bucket {
            below_us: Some(128),
            messages: 1,
        };
        assert_eq!((told.seconds, told.messages, told.sum_us), (3, 1, 100));
        assert_eq!(told.buckets, [bucket]);
        assert_eq!(shard.counters().residence.count(), 3);
        shard.advance(3_000 + RESIDENCE_ROOM_MS, 0);
        shard.take_stock();
        assert!(shard.residence.watched.is_empty());
    }

    #[test]
    fn rooms_that_are_watched_are_few_and_go_with_their_names() {
        let mut shard = members();
        for n in 0..=RESIDENCE_ROOMS {
            seated(&mut shard, &format!("room-{n}"));
            shard.advance(n as u64, 0);
            assert!(shard.residence_in(&format!("room-{n}")).is_some());
        }
        let names = |shard: &Shard| {
            let watched = shard.residence.watched.iter();
            watched
                .map(|watched| watched.name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&shard).len(), RESIDENCE_ROOMS);
        assert!(!names(&shard).contains(&"room-0".to_owned()));
        // The room's place is another one's now.
        shard.failed(3);
        shard.reap(|_| {});
        seated(&mut shard, "another");
        shard.take_stock();
        assert!(!names(&shard).contains(&"room-1".to_owned()));
        assert_eq!(names(&shard).len(), RESIDENCE_ROOMS - 1);
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
