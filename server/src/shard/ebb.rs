//! Connections that end while their peers have not taken everything: how long each may go on, and what they hold together.
//!
//! Owns: what was taken since the last look, and whom the next one is for. Must not know: sockets; the reactor looks, see
//! [`Shard::weighed`]. Invariant: who takes nothing is gone after `close_ms`, and everybody after `congested_ms_max` more.

use std::collections::BTreeMap;

use super::connection::{Closing, Phase};
use super::deadlines::left;
use super::pressure::Reading;
use super::{Action, Shard};
use crate::limits::{
    DISCARD_WHILE_CLOSING, EBB_BYTES_PER_S, EBB_LOOK_MS, EBB_UNCOUNTED, FIN, LAST_WORDS_MS,
    LINGERING, LINGERING_BYTES, Limits,
};
use crate::planted::{self, Fault};
use crate::transport::Security;

/// How far a closing connection is. Times are the low 32 bits of milliseconds.
#[derive(Debug, Default)]
pub(super) struct Ebb {
    /// Bytes thrown away.
    discarded: u32,
    began: u32,
    /// When its peer was last seen to take enough.
    taken_at: u32,
    /// The last look, and the low 32 bits of all bytes that the peer had acknowledged by then.
    look: Option<(u32, u32)>,
    /// Its peer has acknowledged all that it is told.
    has_all: bool,
    /// Our side of TCP has ended.
    pub(super) is_shut: bool,
    /// Its entry among those that linger.
    entry: Option<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    place: u64,
    bytes: usize,
}

impl Ebb {
    /// Its place among those that linger, and how much is held for it.
    pub(super) fn entry(&self) -> Option<(u64, usize)> {
        self.entry.map(|entry| (entry.place, entry.bytes))
    }

    pub(super) fn new(now: u32) -> Self {
        Self {
            began: now,
            taken_at: now,
            ..Self::default()
        }
    }

    /// Notes what the peer has acknowledged. True if that is enough to go on.
    fn look(&mut self, now: u32, acknowledged: u32, has_all: bool) -> bool {
        let before = self.look.replace((now, acknowledged));
        let had_all = self.has_all;
        self.has_all |= has_all;
        let Some((at, by_then)) = before else {
            return false;
        };
        let span = u64::from(now.wrapping_sub(at));
        let due = (u64::from(EBB_BYTES_PER_S) * span / 1_000).max(1);
        let taken = acknowledged.wrapping_sub(by_then) as i32;
        let is_enough = i64::from(taken) >= due as i64 || self.has_all && !had_all;
        if is_enough {
            self.taken_at = now;
        }
        is_enough
    }

    /// Milliseconds until it has to go.
    fn left(&self, now: u32, limits: &Limits) -> u32 {
        let longest = limits.close_ms.saturating_add(limits.congested_ms_max);
        left(now, self.taken_at, limits.close_ms).min(left(now, self.began, longest))
    }
}

/// Those for whom more than a little is held, by when they were last seen to take enough.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    queue: BTreeMap<u64, u32>,
    next: u64,
    bytes: usize,
}

impl Lingering {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether these are all of them: slots, places, and bytes held.
    pub(super) fn are(&self, all: impl Iterator<Item = (u32, u64, usize)>) -> bool {
        let (mut count, mut bytes) = (0, 0);
        let mut all = all.inspect(|(_, _, held)| {
            count += 1;
            bytes += held;
        });
        let queued = all.all(|(slot, place, _)| self.queue.get(&place) == Some(&slot));
        queued && count == self.queue.len() && bytes == self.bytes
    }

    fn leave(&mut self, entry: &mut Option<Entry>) {
        if let Some(Entry { place, bytes }) = entry.take() {
            self.queue.remove(&place);
            self.bytes -= bytes;
        }
    }

    /// This much is held for a connection. If it has taken enough lately, it is the last to have to go.
    fn update(&mut self, entry: &mut Option<Entry>, slot: u32, bytes: usize, is_enough: bool) {
        let place = entry.map(|entry| entry.place).filter(|_| !is_enough);
        self.leave(entry);
        if bytes > EBB_UNCOUNTED {
            let place = place.unwrap_or_else(|| {
                self.next += 1;
                self.next
            });
            self.queue.insert(place, slot);
            self.bytes += bytes;
            *entry = Some(Entry { place, bytes });
        }
    }

    /// Who has to go, if more is held than may be.
    fn one_too_many(&self, reactors: usize) -> Option<u32> {
        let is_over =
            self.queue.len() > LINGERING / reactors || self.bytes > LINGERING_BYTES / reactors;
        let (_, &slot) = self.queue.first_key_value()?;
        is_over.then_some(slot)
    }
}

impl Shard {
    /// The answer to [`Action::Weigh`]: so many bytes that this socket took have not been
    /// acknowledged by its peer. The end of our side counts as one.
    pub fn weighed(&mut self, slot: u32, unsent: usize) {
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        let Phase::Closing(step, ebb) = &mut connection.phase else {
            if unsent == 0 {
                self.has_all(slot);
            }
            return;
        };
        if *step == Closing::Linger {
            if connection.end_of_input && unsent <= FIN {
                return self.bury(slot);
            }
            if !std::mem::replace(&mut ebb.is_shut, true) {
                self.actions.push(Action::ShutdownWrite(slot));
            }
        }
        if (now.wrapping_sub(connection.deadline) as i32) < 0 {
            // It was weighed because its peer's side has ended. The next look has its time.
            return;
        }
        let acknowledged = (connection.who.sent() as u32).wrapping_sub(unsent as u32);
        let has_all = connection.outbox.is_clear() && unsent == 0;
        let is_enough = ebb.look(now, acknowledged, has_all);
        let left = ebb.left(now, &self.common.limits);
        if left == 0 && !planted::is(Fault::EndlessEbb) {
            return self.give_up(slot);
        }
        let held = unsent + connection.outbox.charged();
        self.lingering.update(&mut ebb.entry, slot, held, is_enough);
        let wait = if ebb.has_all {
            left
        } else {
            left.min(EBB_LOOK_MS)
        };
        connection.deadline = now.wrapping_add(wait.max(1));
        self.rearm(slot);
        while let Some(slot) = self.lingering.one_too_many(self.common.reactors) {
            self.counters.cut_off += 1;
            self.bury(slot);
        }
    }

    /// The time of a closing connection is up.
    fn give_up(&mut self, slot: u32) {
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        let Phase::Closing(step, ebb) = &mut connection.phase else {
            return;
        };
        if *step == Closing::AwaitPeer
            && matches!(connection.security, Security::Tls(_))
            && ebb.has_all
        {
            // The peer's close frame did not come, but ours did arrive: with a close_notify behind it the end is told from
            // an attack that cuts.
            *step = Closing::Flush;
            connection.deadline = now.wrapping_add(LAST_WORDS_MS);
            self.rearm(slot);
            return self.list(slot);
        }
        if !ebb.has_all {
            self.counters.cut_off += 1;
        }
        self.bury(slot);
    }

    /// Throws bytes away that came while closing. Beyond a bound no more of them are read.
    pub(super) fn discard(&mut self, slot: u32, len: usize) {
        let connection = &mut self.connections[slot as usize];
        if let Phase::Closing(_, ebb) = &mut connection.phase {
            ebb.discarded = ebb.discarded.saturating_add(len as u32);
            if ebb.discarded > DISCARD_WHILE_CLOSING {
                // It has no player any more, so nobody unpauses it.
                connection.reading = Reading::Paused;
            }
        }
    }

    /// Whether so much was thrown away that no more is read. Once its peer's side has ended, only little can still come.
    pub fn is_sated(&self, slot: u32) -> bool {
        let connection = &self.connections[slot as usize];
        connection.reading == Reading::Paused && matches!(connection.phase, Phase::Closing(..))
    }

    /// Nothing more is held for a connection.
    pub(super) fn forget_ebb(&mut self, slot: u32) {
        if let Phase::Closing(_, ebb) = &mut self.connections[slot as usize].phase {
            self.lingering.leave(&mut ebb.entry);
        }
    }
}
