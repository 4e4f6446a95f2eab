//! Bytes out: who is written next, and what becomes of what the socket did not take.
//!
//! A player for whom nothing waits gets its ranges straight from the shared batch: no queue, no copy, no reference
//! count. Only what the socket does not take is queued.

use std::io::IoSlice;
use std::mem;

use roomcast_protocol::v1::down::left;
use slab::Slab;

use super::connection::{Connection, Phase};
use super::player::{Link, Place, Player, RoomRef};
use super::pressure::{Pressure, Reading};
use super::secure::Sealer;
use super::{CloseReason, EndReason, Shard};
use crate::delivery::{Batch, Dialect, Encoding, Lanes, Outbox, Said};
use crate::limits::{DIRECT_RANGES, FANOUT_BUDGET, FANOUT_PORTION, SEAL_PORTION, SLICES_PER_WRITE};
use crate::room::{Receiver, RoomId};
use crate::transport::Security;

/// What the current write is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Current {
    Nothing,
    /// The first of `Flush::ranges`, of a room's batch.
    Batch(Direct),
    /// What waits, as it is.
    Waiting(u32),
    /// What was assembled for a player that speaks roomcast.v1.
    Bundles(u32),
    /// What several such players get, one after the other.
    Shared(u32),
    /// What was held back until now for a player that asked for a bad network.
    HeldBack(u32),
    /// What the sealer holds; it has been taken out of wherever it was.
    Sealed(u32),
}

/// A member's part of a batch on its way to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Direct {
    slot: u32,
    room: RoomId,
    dialect: Dialect,
    /// How many of `Flush::ranges`.
    ranges: usize,
    /// Bytes of all of them.
    bytes: usize,
}

/// Where the flush of this iteration stands.
#[derive(Debug)]
pub(super) struct Flush {
    /// Rooms with a running fan-out.
    fanouts: Vec<RoomId>,
    /// Which of them has its turn, and how many members it has served in this turn.
    turn: usize,
    served: u32,
    /// Connections to write in the next flush.
    pub(super) listed: Vec<u32>,
    /// Connections to write in this flush.
    writing: Vec<u32>,
    /// Connections of HTTP/2 to write in it, once all of their streams have been.
    last: Vec<u32>,
    /// They come before the fan-outs, because the last flush had no time for them.
    outboxes_first: bool,
    pub(super) current: Current,
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
            last: Vec::new(),
            outboxes_first: false,
            current: Current::Nothing,
            ranges: [(0, 0); DIRECT_RANGES],
            sealer: Sealer::default(),
        }
    }
}

impl Flush {
    /// Who is to be written next, besides members of fan-outs.
    fn next(&mut self) -> Option<u32> {
        self.writing.pop().or_else(|| self.last.pop())
    }

    pub(super) fn has_work(&self) -> bool {
        !self.fanouts.is_empty() || !self.listed.is_empty()
    }

    /// Rooms with a running fan-out.
    pub(super) fn fanouts(&self) -> &[RoomId] {
        &self.fanouts
    }

    /// The room whose members have their turn.
    pub(super) fn served_now(&self) -> Option<RoomId> {
        let room = self.fanouts.get(self.turn).copied();
        room.filter(|_| !self.outboxes_first)
    }

    /// Whether nothing is being written.
    pub(super) fn is_over(&self) -> bool {
        self.writing.is_empty() && self.last.is_empty() && self.current == Current::Nothing
    }
}

/// The bytes of the current write.
#[derive(Debug, Clone, Copy)]
pub enum Pending<'a> {
    /// One contiguous range.
    One(&'a [u8]),
    /// Ranges of one batch.
    Ranges(&'a Encoding, &'a [(u32, u32)]),
    /// What an outbox holds, and then the lanes of its player if it has one.
    Waiting(&'a Outbox, Option<&'a Lanes>),
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
            Self::Waiting(outbox, lanes) => {
                let none = Lanes::default();
                let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
                let filled = outbox.gather(lanes.unwrap_or(&none), &mut slices);
                write(&slices[..filled])
            }
        }
    }

    /// Bytes of one write, if more waits than that.
    fn offered_of_more(&self) -> Option<usize> {
        let Self::Waiting(outbox, lanes) = *self else {
            return None;
        };
        if outbox.is_whole_in(lanes.unwrap_or(&Lanes::default()), SLICES_PER_WRITE) {
            return None;
        }
        Some(self.with_slices(|slices| slices.iter().map(|slice| slice.len()).sum()))
    }
}

/// What the socket made of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It took this many bytes.
    Bytes(usize),
    /// A session took this many instead: no socket has seen them.
    Carried(usize),
    /// It takes nothing now.
    Blocked,
    /// It is broken.
    Failed,
}

impl Shard {
    /// Turns what the rooms have gathered into batches. A room whose last fan-out is still running goes on gathering.
    pub fn freeze(&mut self) {
        let interval = u64::from(self.common.limits.flush_interval_ms);
        if self.sessions.has_work() {
            self.carry_on();
        }
        if self.streams.has_work() {
            self.carry_on_streams();
        }
        self.v1.is_carried = self.v1.has_work();
        self.v1.restart();
        self.v1.heed_ticks(self.now);
        let waiting = !self.dirty.is_empty() || self.v1.has_dirty();
        if waiting && self.now >= self.frozen_at + interval {
            self.frozen_at = self.now;
            let now = self.now;
            let Self {
                dirty,
                rooms,
                flush,
                strains,
                v1,
                counters,
                ..
            } = self;
            v1.begin_rounds(strains, now);
            dirty.retain(|&id| {
                let Some(room) = rooms.get_mut(id) else {
                    return false;
                };
                let said = if strains.are_any() {
                    room.open_bytes()
                } else {
                    0
                };
                if room.freeze() {
                    counters.batches.note(room.batch().map_or(0, Batch::len));
                    strains.say(RoomRef::Batches(id), said, now as u32);
                    flush.fanouts.push(id);
                }
                room.has_open()
            });
        }
        self.flush.turn = 0;
        self.flush.served = 0;
        self.residence.accounted = self.counters.writes;
        debug_assert!(
            self.flush.writing.is_empty(),
            "the last flush was carried through"
        );
        mem::swap(&mut self.flush.writing, &mut self.flush.listed);
    }

    /// The next socket to write, with what [`Shard::pending`] holds; `None` when this iteration is done.
    pub fn next_write(&mut self) -> Option<u32> {
        if self.flush.outboxes_first {
            if let Some(slot) = self.next_outbox() {
                return Some(slot);
            }
            self.flush.outboxes_first = false;
            self.residence.accounted = self.counters.writes;
        }
        if let Some(slot) = self.next_in_fanouts() {
            return Some(slot);
        }
        while let Some(slot) = self.next_in_rounds() {
            if !self.hold_back(slot) {
                return Some(slot);
            }
        }
        self.next_outbox().or_else(|| self.next_held_back())
    }

    /// The next member of a running fan-out to write.
    fn next_in_fanouts(&mut self) -> Option<u32> {
        loop {
            let Self {
                flush,
                rooms,
                players,
                connections,
                ..
            } = self;
            let id = *flush.fanouts.get(flush.turn)?;
            if flush.served >= FANOUT_BUDGET {
                self.end_turn(id);
                continue;
            }
            let Some((receiver, batch)) = rooms[id].next_receiver() else {
                self.finish_fanout(id);
                continue;
            };
            flush.served += 1;
            let player = &players[receiver.player as usize];
            if let Link::Here(slot) = player.link
                && player.lanes.is_clear()
                && let connection = &connections[slot as usize]
                && connection.writable
                && connection.outbox.is_clear()
                && let Some((ranges, bytes)) = cut(batch, &receiver, &mut flush.ranges)
            {
                flush.served += (bytes / FANOUT_PORTION) as u32;
                if ranges == 0 {
                    continue;
                }
                // Built where it is used, so that it is not put together for one and copied for the other.
                let direct = || Direct {
                    slot,
                    room: id,
                    dialect: receiver.dialect,
                    ranges,
                    bytes,
                };
                if matches!(connection.security, Security::Plain) {
                    flush.current = Current::Batch(direct());
                    return Some(slot);
                }
                if self.seal_direct(direct(), receiver) {
                    return Some(slot);
                }
            } else {
                self.queue(id, receiver);
            }
        }
    }

    /// A room has had its turn, and goes on in the next iteration. Apart: what only this needs would be kept for each member.
    #[cold]
    #[inline(never)]
    fn end_turn(&mut self, id: RoomId) {
        self.account(id);
        self.flush.turn += 1;
        self.flush.served = 0;
    }

    /// The next outbox to write.
    #[inline(never)]
    fn next_outbox(&mut self) -> Option<u32> {
        while let Some(slot) = self.flush.next() {
            let connection = &mut self.connections[slot as usize];
            connection.listed = false;
            if matches!(connection.phase, Phase::Dead) {
                continue;
            }
            let writable = connection.writable || connection.carried && self.takes_more(slot);
            if self.is_clear(slot) {
                if let Some((room, seat)) = self.seat_of(slot) {
                    if self.offer_bundles(slot, room, seat) && !self.hold_back(slot) {
                        return Some(slot);
                    }
                } else {
                    self.flushed(slot);
                }
            } else if writable {
                self.flush.current = if self.seal_next(slot) {
                    Current::Sealed(slot)
                } else {
                    Current::Waiting(slot)
                };
                if !self.hold_back(slot) {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// This flush has taken long enough: the next one goes on with the rest of it. Fan-outs and outboxes take turns in who
    /// comes first, so that neither waits for ever.
    pub fn carry_writes(&mut self) {
        self.account_for_turn();
        let in_rounds = self.v1.carry_rounds();
        let flush = &mut self.flush;
        let turn = flush.turn.min(flush.fanouts.len());
        flush.outboxes_first = !flush.outboxes_first && (turn < flush.fanouts.len() || in_rounds);
        flush.fanouts.rotate_left(turn);
        // Taken from the end, so what has waited longest is there.
        flush.listed.append(&mut flush.last);
        flush.listed.append(&mut flush.writing);
    }

    /// The bytes for the socket that [`Shard::next_write`] named.
    pub fn pending(&self) -> Pending<'_> {
        match self.flush.current {
            Current::Nothing => Pending::One(&[]),
            Current::Batch(direct) => {
                let batch = self.rooms[direct.room]
                    .batch()
                    .expect("its fan-out is running");
                let encoding = batch.encoding(direct.dialect);
                match self.flush.ranges[..direct.ranges] {
                    [(start, end)] => Pending::One(encoding.slice(start..end)),
                    _ => Pending::Ranges(encoding, &self.flush.ranges[..direct.ranges]),
                }
            }
            Current::Bundles(_) => Pending::One(self.v1.assembled()),
            Current::Shared(_) => Pending::One(self.v1.shared()),
            Current::Waiting(slot) => self.waiting(slot),
            Current::HeldBack(slot) => Pending::One(self.v1.impairments.due(slot, self.now)),
            Current::Sealed(_) => Pending::One(self.flush.sealer.sealed()),
        }
    }

    /// What became of the write that [`Shard::next_write`] named. Inlined, for it ends each delivery.
    #[inline]
    pub fn wrote(&mut self, written: Written) {
        self.counters.writes += 1;
        let (slot, n) = match (&self.flush.current, written) {
            (Current::Batch(direct), Written::Bytes(n)) if n == direct.bytes => (direct.slot, n),
            (Current::Shared(slot), Written::Bytes(n)) if n == self.v1.shared().len() => (*slot, n),
            _ => return self.wrote_other(written),
        };
        self.flush.current = Current::Nothing;
        self.took(slot, n);
    }

    /// The same for what is not all of a player's part of what several get, or not for a socket.
    #[inline(never)]
    pub(super) fn wrote_other(&mut self, written: Written) {
        let current = mem::replace(&mut self.flush.current, Current::Nothing);
        if matches!(current, Current::Batch(_)) {
            self.except_last();
        }
        let slot = match current {
            Current::Nothing => return,
            Current::Batch(Direct { slot, .. })
            | Current::Bundles(slot)
            | Current::Shared(slot)
            | Current::Waiting(slot)
            | Current::HeldBack(slot)
            | Current::Sealed(slot) => slot,
        };
        let n = match written {
            Written::Failed => return self.failed(slot),
            Written::Blocked => 0,
            Written::Carried(n) => {
                self.connections[slot as usize].who.note_sent(n);
                n
            }
            Written::Bytes(n) => {
                // What was held back counted when it was.
                if !matches!(current, Current::HeldBack(_)) {
                    self.took(slot, n);
                }
                n
            }
        };
        match current {
            Current::Nothing => {}
            Current::Batch(direct) => self.keep_rest(direct, n),
            Current::Bundles(_) => self.bundles_written(slot, n),
            Current::Shared(_) => self.shared_written(slot, n),
            Current::Waiting(_) => self.waiting_written(slot, n),
            Current::HeldBack(_) => self.held_back_written(slot, n),
            Current::Sealed(_) => self.sealed_written(slot, n),
        }
    }

    /// The socket took so many bytes.
    fn took(&mut self, slot: u32, n: usize) {
        self.connections[slot as usize].who.note_sent(n);
        self.counters.sent += n as u64;
    }

    /// What waits for the connection in this slot.
    fn waiting(&self, slot: u32) -> Pending<'_> {
        let connection = &self.connections[slot as usize];
        let lanes = match connection.phase {
            Phase::Open(player) => Some(&self.players[player as usize].lanes),
            _ => None,
        };
        Pending::Waiting(&connection.outbox, lanes)
    }

    /// Seals a member's part of the batch. True if it is to be written now; else it was queued, or the connection ends.
    #[inline(never)]
    fn seal_direct(&mut self, direct: Direct, receiver: Receiver) -> bool {
        let Direct { slot, room, .. } = direct;
        let Security::Tls(tls) = &mut self.connections[slot as usize].security else {
            return false;
        };
        if tls.is_spent() {
            self.close(slot, CloseReason::TlsSpent);
            return false;
        }
        if direct.bytes > SEAL_PORTION {
            self.queue(room, receiver);
            return false;
        }
        let batch = self.rooms[room].batch().expect("its fan-out is running");
        let encoding = batch.encoding(direct.dialect);
        let ranges = self.flush.ranges[..direct.ranges].iter();
        let parts = ranges.map(|&(start, end)| encoding.slice(start..end));
        if !self.flush.sealer.seal_parts(tls, parts) {
            // It would miss something. Only a fault of ours gets here.
            self.drop_connection(slot, EndReason::Internal);
            return false;
        }
        self.flush.current = Current::Sealed(slot);
        true
    }

    /// Queues the part of a member that is behind or away, or that gets too many pieces. What is not behind leaves in this
    /// very flush.
    #[inline(never)]
    fn queue(&mut self, id: RoomId, receiver: Receiver) {
        let more = self.keep(id, receiver);
        let limit = self.common.limits.outbox_bytes_max;
        let player = &self.players[receiver.player as usize];
        let charged = player.lanes.charged();
        let Link::Here(slot) = player.link else {
            if charged > limit {
                self.leave(receiver.player, left::LEFT);
            }
            return;
        };
        let connection = &self.connections[slot as usize];
        let is_behind = player.pressure != Pressure::Clear;
        if is_behind && more && connection.outbox.charged() + charged > limit {
            self.close(slot, CloseReason::SlowConsumer);
        } else if connection.writable || connection.carried && self.sessions.has_room(slot) {
            self.write_on(slot);
        } else if !is_behind {
            self.fell_behind(slot, false);
        }
    }

    /// Queues a member's part of the batch in its lanes. True if there is one.
    fn keep(&mut self, id: RoomId, receiver: Receiver) -> bool {
        let Receiver {
            member,
            from,
            dialect,
            ..
        } = receiver;
        let batch = self.rooms[id].lend(dialect);
        let batch = batch.expect("its fan-out is running");
        let encoding = batch.encoding(dialect);
        let lanes = &mut self.players[receiver.player as usize].lanes;
        let mut more = false;
        batch.others(dialect, member, from, |range| {
            lanes.push_event(encoding, range);
            more = true;
        });
        more
    }

    #[inline(never)]
    fn finish_fanout(&mut self, id: RoomId) {
        self.account(id);
        self.flush.fanouts.swap_remove(self.flush.turn);
        self.flush.served = 0;
        let Self {
            rooms,
            pool,
            players,
            ..
        } = self;
        rooms[id].finish_fanout(pool, |player, seat| {
            players[player as usize].place = Place::Room { room: id, seat };
        });
        self.unpause_room(RoomRef::Batches(id));
        self.close_if_empty(id);
    }

    /// The socket took only `written` bytes of the batch's ranges; the rest is queued.
    #[cold]
    fn keep_rest(&mut self, direct: Direct, written: usize) {
        let Direct {
            slot,
            room,
            dialect,
            ranges,
            ..
        } = direct;
        let ranges = &self.flush.ranges[..ranges];
        let batch = self.rooms[room].lend(dialect);
        let batch = batch.expect("its fan-out is running");
        let encoding = batch.encoding(dialect);
        let Some((connection, player)) = seated(&mut self.connections, &mut self.players, slot)
        else {
            return;
        };
        let (mut skip, mut left) = (written, Said::default());
        for &(start, end) in ranges {
            let len = (end - start) as usize;
            if skip >= len {
                skip -= len;
                left.push(encoding.said(&(start..end)));
                continue;
            }
            player.lanes.push_event(encoding, start..end);
            // Of the first frame of the rest some may have left; that is the connection's from now on.
            let written = mem::take(&mut skip);
            left.push(player.lanes.advance(written, &mut connection.outbox));
        }
        connection.writable = false;
        self.residence.note(RoomRef::Batches(room), left);
        self.fell_behind(slot, written > 0);
    }

    fn waiting_written(&mut self, slot: u32, written: usize) {
        // Whoever was offered all of it has taken all of it if nothing is left.
        let offered = self.waiting(slot).offered_of_more();
        if let Some((connection, player)) = seated(&mut self.connections, &mut self.players, slot) {
            let room = player.room();
            let left = connection.outbox.advance(&mut player.lanes, written);
            if let Some(room) = room {
                self.residence.note(room, left);
            }
        } else {
            let outbox = &mut self.connections[slot as usize].outbox;
            outbox.advance(&mut Lanes::default(), written);
        }
        if self.is_clear(slot) {
            self.took_all(slot);
        } else if offered == Some(written) {
            self.write_on(slot);
        } else {
            self.connections[slot as usize].writable = false;
            self.fell_behind(slot, written > 0);
        }
    }

    /// The socket took this much of what the sealer holds; the rest must leave before anything else.
    fn sealed_written(&mut self, slot: u32, written: usize) {
        let connection = &mut self.connections[slot as usize];
        let rest = &self.flush.sealer.sealed()[written..];
        if !rest.is_empty() {
            connection.outbox.push_sealed(rest);
            connection.writable = false;
            self.fell_behind(slot, written > 0);
        } else if self.is_clear(slot) {
            self.took_all(slot);
        } else {
            self.write_on(slot);
        }
    }

    /// The socket took all there was.
    #[inline]
    pub(super) fn took_all(&mut self, slot: u32) {
        let connection = &self.connections[slot as usize];
        let Phase::Open(id) = connection.phase else {
            return self.flushed(slot);
        };
        let player = &self.players[id as usize];
        if let Place::V1 { room, seat } = player.place
            && self.v1.took_all(room, seat)
        {
            // But not all of what its room has for it.
            self.write_on(slot);
        } else if player.pressure != Pressure::Clear || connection.reading == Reading::Paused {
            self.caught_up(slot, id);
        }
    }

    /// What streams of the connection in this slot were given leaves together.
    pub(super) fn write_last(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !mem::replace(&mut connection.listed, true) {
            self.flush.last.push(slot);
        }
    }

    /// The socket took all of one write's worth, and more waits: that leaves in this flush too. So whoever is not clear
    /// after a flush is behind, and is held to the bounds of those; else who takes everything, but is owed more than
    /// one write's worth in each iteration, would be owed ever more.
    pub(super) fn write_on(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !mem::replace(&mut connection.listed, true) {
            self.flush.writing.push(slot);
        }
    }
}

/// Cuts a member's own messages out of the batch: how many ranges are left, and bytes of all of them. `None` if they are
/// too many.
#[inline(always)]
fn cut(
    batch: &Batch,
    receiver: &Receiver,
    ranges: &mut [(u32, u32); DIRECT_RANGES],
) -> Option<(usize, usize)> {
    let (mut count, mut bytes) = (0, 0);
    batch.others(receiver.dialect, receiver.member, receiver.from, |range| {
        if let Some(one) = ranges.get_mut(count) {
            *one = (range.start, range.end);
        }
        bytes += (range.end - range.start) as usize;
        count += 1;
    });
    (count <= DIRECT_RANGES).then_some((count, bytes))
}

/// A connection and its player, if it has one.
pub(super) fn seated<'s>(
    connections: &'s mut Slab<Connection>,
    players: &'s mut Slab<Player>,
    slot: u32,
) -> Option<(&'s mut Connection, &'s mut Player)> {
    let connection = &mut connections[slot as usize];
    let Phase::Open(player) = connection.phase else {
        return None;
    };
    Some((connection, &mut players[player as usize]))
}
