//! Bytes out: who is written next, and what becomes of what the socket did not take.
//!
//! A member whose outbox is clear gets its ranges straight from the shared batch: no queue, no copy, no reference count.
//! Only what the socket does not take is queued.

use std::io::IoSlice;
use std::mem;

use super::connection::{Phase, Seat};
use super::secure::Sealer;
use super::{CloseReason, EndReason, Shard};
use crate::delivery::{Dialect, Encoding, Outbox, Queued};
use crate::limits::{DIRECT_RANGES, FANOUT_BUDGET, FANOUT_PORTION, SEAL_PORTION, SLICES_PER_WRITE};
use crate::room::{Receiver, RoomId};
use crate::transport::Security;

/// What the current write is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    Nothing,
    /// The first `usize` of `Flush::ranges`, of this room's batch in this dialect.
    Batch(u32, RoomId, Dialect, usize),
    /// What the outbox holds, as it is.
    Outbox(u32),
    /// What the sealer holds; it has been taken out of wherever it was.
    Sealed(u32),
}

/// Where the flush of this iteration stands.
#[derive(Debug)]
pub(super) struct Flush {
    /// Rooms with a running fan-out.
    fanouts: Vec<RoomId>,
    /// Which of them has its turn, and how many members it has served in this turn.
    turn: usize,
    served: u32,
    /// Outboxes to write in the next flush.
    pub(super) listed: Vec<u32>,
    /// Outboxes to write in this flush.
    writing: Vec<u32>,
    current: Current,
    ranges: [(u32, u32); DIRECT_RANGES],
    pub(super) sealer: Sealer,
}

impl Default for Flush {
    fn default() -> Self {
        Self {
            fanouts: Vec::new(),
            turn: 0,
            served: 0,
            listed: Vec::new(),
            writing: Vec::new(),
            current: Current::Nothing,
            ranges: [(0, 0); DIRECT_RANGES],
            sealer: Sealer::default(),
        }
    }
}

impl Flush {
    pub(super) fn has_work(&self) -> bool {
        !self.fanouts.is_empty() || !self.listed.is_empty()
    }
}

/// The bytes of the current write.
#[derive(Debug, Clone, Copy)]
pub enum Pending<'a> {
    /// One contiguous range.
    One(&'a [u8]),
    /// Ranges of one batch.
    Ranges(&'a Encoding, &'a [(u32, u32)]),
    /// What an outbox holds.
    Outbox(&'a Outbox),
}

impl Pending<'_> {
    /// Calls `write` once with all slices, at most [`SLICES_PER_WRITE`].
    pub fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        match *self {
            Self::One(bytes) => write(&[IoSlice::new(bytes)]),
            Self::Ranges(encoding, ranges) => {
                let mut slices = [IoSlice::new(&[]); DIRECT_RANGES];
                for (slice, &(start, end)) in slices.iter_mut().zip(ranges) {
                    *slice = IoSlice::new(encoding.slice(start..end));
                }
                write(&slices[..ranges.len()])
            }
            Self::Outbox(outbox) => {
                let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
                let filled = outbox.gather(&mut slices);
                write(&slices[..filled])
            }
        }
    }
}

/// What the socket made of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It took this many bytes.
    Bytes(usize),
    /// It takes nothing now.
    Blocked,
    /// It is broken.
    Failed,
}

impl Shard {
    /// Turns what the rooms have gathered into batches. A room whose last fan-out is still running goes on gathering.
    pub fn freeze(&mut self) {
        let interval = u64::from(self.common.limits.flush_interval_ms);
        if !self.dirty.is_empty() && self.now >= self.frozen_at + interval {
            self.frozen_at = self.now;
            let Self {
                dirty,
                rooms,
                flush,
                ..
            } = self;
            dirty.retain(|&id| {
                let Some(room) = rooms.get_mut(id) else {
                    return false;
                };
                if room.freeze() {
                    flush.fanouts.push(id);
                }
                room.dirty = room.has_open();
                room.dirty
            });
        }
        self.flush.turn = 0;
        self.flush.served = 0;
        debug_assert!(
            self.flush.writing.is_empty(),
            "the last flush was carried through"
        );
        mem::swap(&mut self.flush.writing, &mut self.flush.listed);
    }

    /// The next socket to write, with what [`Shard::pending`] holds; `None` when this iteration is done.
    pub fn next_write(&mut self) -> Option<u32> {
        while let Some(&id) = self.flush.fanouts.get(self.flush.turn) {
            if self.flush.served >= FANOUT_BUDGET {
                self.flush.turn += 1;
                self.flush.served = 0;
            } else if let Some(receiver) = self.rooms[id].next_receiver() {
                self.flush.served += 1;
                if self.offer(id, receiver) {
                    return Some(receiver.connection);
                }
            } else {
                self.finish_fanout(id);
            }
        }
        while let Some(slot) = self.flush.writing.pop() {
            let connection = &mut self.connections[slot as usize];
            connection.listed = false;
            if matches!(connection.phase, Phase::Dead) {
                continue;
            }
            if connection.outbox.is_clear() {
                self.flushed(slot);
            } else if connection.writable {
                self.flush.current = if self.seal_next(slot) {
                    Current::Sealed(slot)
                } else {
                    Current::Outbox(slot)
                };
                return Some(slot);
            }
        }
        None
    }

    /// The bytes for the socket that [`Shard::next_write`] named.
    pub fn pending(&self) -> Pending<'_> {
        match self.flush.current {
            Current::Nothing => Pending::One(&[]),
            Current::Batch(_, room, dialect, count) => {
                let batch = self.rooms[room].batch().expect("its fan-out is running");
                let encoding = batch.encoding(dialect);
                match self.flush.ranges[..count] {
                    [(start, end)] => Pending::One(encoding.slice(start..end)),
                    _ => Pending::Ranges(encoding, &self.flush.ranges[..count]),
                }
            }
            Current::Outbox(slot) => Pending::Outbox(&self.connections[slot as usize].outbox),
            Current::Sealed(_) => Pending::One(self.flush.sealer.sealed()),
        }
    }

    /// What became of the write that [`Shard::next_write`] named.
    pub fn wrote(&mut self, written: Written) {
        self.counters.writes += 1;
        let (current, count) = (
            mem::replace(&mut self.flush.current, Current::Nothing),
            written,
        );
        match (current, count) {
            (Current::Nothing, _) => {}
            (
                Current::Batch(slot, ..) | Current::Outbox(slot) | Current::Sealed(slot),
                Written::Failed,
            ) => {
                self.failed(slot);
            }
            (Current::Batch(slot, room, dialect, ranges), Written::Bytes(n)) => {
                self.took(slot, n);
                self.batch_written(slot, room, dialect, ranges, n);
            }
            (Current::Batch(slot, room, dialect, ranges), Written::Blocked) => {
                self.batch_written(slot, room, dialect, ranges, 0);
            }
            (Current::Outbox(slot), Written::Bytes(n)) => {
                self.took(slot, n);
                self.outbox_written(slot, n);
            }
            (Current::Outbox(slot), Written::Blocked) => self.outbox_written(slot, 0),
            (Current::Sealed(slot), Written::Bytes(n)) => {
                self.took(slot, n);
                self.sealed_written(slot, n);
            }
            (Current::Sealed(slot), Written::Blocked) => self.sealed_written(slot, 0),
        }
    }

    /// The socket took so many bytes.
    fn took(&mut self, slot: u32, n: usize) {
        self.connections[slot as usize].who.sent += n as u64;
        self.counters.sent += n as u64;
    }

    /// Offers a member its part of the batch. True if it is to be written now; else it was queued or there is nothing
    /// in it for this member.
    fn offer(&mut self, id: RoomId, receiver: Receiver) -> bool {
        let slot = receiver.connection;
        let connection = &mut self.connections[slot as usize];
        if connection.outbox.is_clear() && connection.writable {
            let batch = self.rooms[id].batch().expect("its fan-out is running");
            let encoding = batch.encoding(receiver.dialect);
            let mut others = batch.others(receiver.dialect, receiver.member, receiver.from);
            let mut count = 0;
            let direct = loop {
                match others.next() {
                    None => break true,
                    Some(_) if count == DIRECT_RANGES => break false,
                    Some(range) => {
                        self.flush.ranges[count] = (range.start, range.end);
                        count += 1;
                    }
                }
            };
            if direct {
                let bytes: usize = self.flush.ranges[..count]
                    .iter()
                    .map(|(start, end)| (end - start) as usize)
                    .sum();
                self.flush.served += (bytes / FANOUT_PORTION) as u32;
                match &mut connection.security {
                    Security::Plain => {
                        self.flush.current = Current::Batch(slot, id, receiver.dialect, count);
                        return count > 0;
                    }
                    Security::Tls(_) if count == 0 => return false,
                    Security::Tls(tls) if tls.is_spent() => {
                        self.close(slot, CloseReason::TlsSpent);
                        return false;
                    }
                    Security::Tls(tls) if bytes <= SEAL_PORTION => {
                        let ranges = self.flush.ranges[..count].iter();
                        let parts = ranges.map(|&(start, end)| encoding.slice(start..end));
                        if self.flush.sealer.seal_parts(tls, parts) {
                            self.flush.current = Current::Sealed(slot);
                            return true;
                        }
                        // It would miss something. Only a fault of ours gets here.
                        self.drop_connection(slot, EndReason::Internal);
                        return false;
                    }
                    Security::Tls(_) => {}
                }
            }
        }
        // Behind, or in too many pieces: over the outbox. What is not congested leaves in this very flush.
        let limit = self.common.limits.outbox_bytes_max;
        let mut queued = Queued::Within;
        self.rooms[id].lend(receiver.dialect);
        let batch = self.rooms[id].batch().expect("its fan-out is running");
        let encoding = batch.encoding(receiver.dialect);
        for range in batch.others(receiver.dialect, receiver.member, receiver.from) {
            queued = connection.outbox.push_shared(encoding, range, limit);
        }
        if connection.congested && queued == Queued::Over {
            self.close(slot, CloseReason::SlowConsumer);
            return false;
        }
        if connection.writable && !mem::replace(&mut connection.listed, true) {
            self.flush.writing.push(slot);
        }
        if !connection.writable && !connection.congested {
            self.congest(slot, false);
        }
        false
    }

    fn finish_fanout(&mut self, id: RoomId) {
        self.flush.fanouts.swap_remove(self.flush.turn);
        self.flush.served = 0;
        let Self {
            rooms,
            pool,
            connections,
            ..
        } = self;
        let room = &mut rooms[id];
        room.finish_fanout(pool, |slot, seat| {
            connections[slot as usize].phase = Phase::Open(Seat::Room { room: id, seat });
        });
        self.unpause_room(id);
        let room = &mut self.rooms[id];
        if room.is_empty() {
            room.discard_open(&mut self.pool);
            self.rooms.close_if_empty(id);
        }
    }

    /// The socket took `written` bytes of the batch's ranges; the rest is queued.
    fn batch_written(
        &mut self,
        slot: u32,
        room: RoomId,
        dialect: Dialect,
        ranges: usize,
        written: usize,
    ) {
        let ranges = &self.flush.ranges[..ranges];
        let total: usize = ranges
            .iter()
            .map(|(start, end)| (end - start) as usize)
            .sum();
        if written == total {
            return;
        }
        self.rooms[room].lend(dialect);
        let batch = self.rooms[room].batch().expect("its fan-out is running");
        let encoding = batch.encoding(dialect);
        let connection = &mut self.connections[slot as usize];
        let mut skip = written;
        for &(start, end) in ranges {
            let len = (end - start) as usize;
            if skip >= len {
                skip -= len;
                continue;
            }
            connection
                .outbox
                .push_shared(encoding, start..end, usize::MAX);
            // Of the first frame of the rest some may have left; the outbox must know how much.
            connection.outbox.advance(std::mem::take(&mut skip));
        }
        connection.writable = false;
        self.congest(slot, written > 0);
    }

    fn outbox_written(&mut self, slot: u32, written: usize) {
        let connection = &mut self.connections[slot as usize];
        let offered: usize = Pending::Outbox(&connection.outbox)
            .with_slices(|slices| slices.iter().map(|slice| slice.len()).sum());
        connection.outbox.advance(written);
        if connection.outbox.is_clear() {
            self.clear(slot);
        } else if written == offered {
            self.write_on(slot);
        } else {
            connection.writable = false;
            self.congest(slot, written > 0);
        }
    }

    /// The socket took this much of what the sealer holds; the rest must leave before anything else.
    fn sealed_written(&mut self, slot: u32, written: usize) {
        let connection = &mut self.connections[slot as usize];
        let rest = &self.flush.sealer.sealed()[written..];
        if !rest.is_empty() {
            connection.outbox.push_sealed(rest);
            connection.writable = false;
            self.congest(slot, written > 0);
        } else if connection.outbox.is_clear() {
            self.clear(slot);
        } else {
            self.write_on(slot);
        }
    }

    /// The socket took all of one write's worth, and more waits: that leaves in this flush too. So whoever is not clear
    /// after a flush is congested, and is held to the bounds of those; else who takes everything, but is owed more than
    /// one write's worth in each iteration, would be owed ever more.
    fn write_on(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !mem::replace(&mut connection.listed, true) {
            self.flush.writing.push(slot);
        }
    }

    /// The socket did not take everything, but `progressed` if it took something.
    fn congest(&mut self, slot: u32, progressed: bool) {
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        let Phase::Open(seat) = connection.phase else {
            return;
        };
        // Who was clear until now has taken everything so far.
        let fresh = !mem::replace(&mut connection.congested, true);
        if fresh {
            connection.congested_at = now;
        }
        if fresh || progressed {
            connection.progress_at = now;
            if let Seat::Room { room, .. } = seat
                && !mem::replace(&mut connection.pressing, true)
            {
                self.rooms[room].pressing += 1;
            }
        }
        self.rearm(slot);
    }

    /// Everything was taken.
    fn clear(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        connection.congested = false;
        if connection.pressing {
            self.no_longer_pressing(slot);
        }
        let connection = &mut self.connections[slot as usize];
        if let Phase::Open(seat) = connection.phase
            && connection.unpause()
        {
            if let Seat::Room { room, .. } = seat {
                self.rooms[room].paused -= 1;
            }
            self.unpaused.push(slot);
        }
        self.flushed(slot);
    }

    /// A member has caught up or stands still: either way nobody is slowed for it any longer.
    pub(super) fn no_longer_pressing(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        connection.pressing = false;
        if let Phase::Open(Seat::Room { room, .. }) = connection.phase {
            self.relieve(room);
        }
    }

    /// One pressing member less.
    pub(super) fn relieve(&mut self, id: RoomId) {
        let room = &mut self.rooms[id];
        room.pressing -= 1;
        if room.pressing == 0 {
            self.unpause_room(id);
        }
    }

    /// Lets the paused members of a room be read again; whoever still has to wait is paused anew before its read.
    fn unpause_room(&mut self, id: RoomId) {
        let now = self.now32();
        let Self {
            rooms,
            connections,
            unpaused,
            random,
            ..
        } = self;
        let room = &mut rooms[id];
        if room.paused == 0 {
            return;
        }
        room.paused = 0;
        let before = unpaused.len();
        for slot in room.connections() {
            if connections[slot as usize].unpause() {
                unpaused.push(slot);
            }
        }
        // Whoever has sent least comes first, and among equals not always the same one: what one batch takes must not
        // go to one flooder, time after time.
        let turns = &mut unpaused[before..];
        if turns.len() > 1 {
            turns.rotate_left(random.usize(..turns.len()));
            turns.sort_by_key(|&slot| connections[slot as usize].flood_level(now));
        }
    }
}
