//! Players who asked for a bad network: their connections' bytes are held back on the way to the socket.
//!
//! Owns: who has one, and when it has to be looked at. Invariant: a connection that ends takes what is held back with it,
//! unless it closes, and then that leaves first, as long as `--close-timeout` lasts.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};

use roomcast_protocol::v1::up::Impairment;

use crate::limits::IMPAIRED_MAX;
use crate::shard::connection::Phase;
use crate::shard::flush::Current;
use crate::shard::{EndReason, Shard, Written};
use crate::transport::Impaired;

/// The bad networks of one shard, by slot.
#[derive(Debug, Default)]
pub(in crate::shard) struct Impairments {
    by_slot: HashMap<u32, (Impaired, Option<u64>)>,
    /// When each has to be looked at (ms).
    wakes: BTreeSet<(u64, u32)>,
}

impl Impairments {
    /// The player of the connection in this slot asks for it. False if too many have one.
    pub(super) fn set(&mut self, slot: u32, to: Impairment, now: u64) -> bool {
        let others = self.by_slot.len();
        match self.by_slot.entry(slot) {
            Entry::Occupied(mut entry) => entry.get_mut().0.change(to, now),
            Entry::Vacant(_) if to == Impairment::default() => return true,
            Entry::Vacant(_) if others >= IMPAIRED_MAX => return false,
            Entry::Vacant(entry) => {
                entry.insert((Impaired::new(to, now), None));
            }
        }
        self.rearm(slot);
        true
    }

    /// Nobody is there any more.
    pub(in crate::shard) fn remove(&mut self, slot: u32) {
        if self.by_slot.is_empty() {
            return;
        }
        if let Some((_, Some(at))) = self.by_slot.remove(&slot) {
            self.wakes.remove(&(at, slot));
        }
    }

    /// When one of them has to be looked at (ms).
    pub(in crate::shard) fn next(&self) -> Option<u64> {
        self.wakes.first().map(|&(at, _)| at)
    }

    /// Bytes held back for the connection in this slot.
    pub(in crate::shard) fn held(&self, slot: u32) -> usize {
        let impaired = self.by_slot.get(&slot);
        impaired.map_or(0, |(impaired, _)| impaired.held())
    }

    /// What of it goes to the socket by now.
    pub(in crate::shard) fn due(&self, slot: u32, now: u64) -> &[u8] {
        let impaired = self.by_slot.get(&slot);
        impaired.map_or(&[], |(impaired, _)| impaired.due(now))
    }

    /// The socket in this slot takes bytes again. False if nothing is between it and its connection.
    pub(in crate::shard) fn unstick(&mut self, slot: u32) -> bool {
        let Some((impaired, _)) = self.by_slot.get_mut(&slot) else {
            return false;
        };
        impaired.unstick();
        self.rearm(slot);
        true
    }

    fn rearm(&mut self, slot: u32) {
        if let Some((impaired, at)) = self.by_slot.get_mut(&slot) {
            let next = impaired.wakes_at();
            if let Some(before) = std::mem::replace(at, next) {
                self.wakes.remove(&(before, slot));
            }
            self.wakes.extend(next.map(|at| (at, slot)));
        }
    }

    /// Those that have to be looked at by now.
    fn awake(&self, now: u64) -> impl Iterator<Item = u32> {
        self.wakes.range(..=(now, u32::MAX)).map(|&(_, slot)| slot)
    }
}

impl Shard {
    /// Holds the current write of this connection back, if it has a bad network, or no socket. True if there is none of it for the
    /// socket now.
    #[inline]
    pub(in crate::shard) fn hold_back(&mut self, slot: u32) -> bool {
        if self.carry_write(slot) {
            return true;
        }
        // Most relays have none at all.
        !self.v1.impairments.by_slot.is_empty() && self.impair(slot)
    }

    #[cold]
    fn impair(&mut self, slot: u32) -> bool {
        let Some((mut impaired, at)) = self.v1.impairments.by_slot.remove(&slot) else {
            return false;
        };
        let (now, mut random) = (self.now, self.random.clone());
        let taken = self
            .pending()
            .with_slices(|slices| impaired.take(slices, now, |most| random.u64(0..=most)));
        self.random = random;
        self.v1.impairments.by_slot.insert(slot, (impaired, at));
        self.v1.impairments.rearm(slot);
        self.wrote(match taken {
            0 => Written::Blocked,
            taken => Written::Bytes(taken),
        });
        // The socket has seen nothing of it.
        self.counters.writes -= 1;
        true
    }

    /// The next socket to which something goes that was held back until now.
    pub(in crate::shard) fn next_held_back(&mut self) -> Option<u32> {
        let impairments = &self.v1.impairments;
        let slot = impairments.awake(self.now).find(|&slot| {
            let dead = matches!(self.connections[slot as usize].phase, Phase::Dead);
            !dead && !impairments.due(slot, self.now).is_empty()
        })?;
        self.flush.current = Current::HeldBack(slot);
        Some(slot)
    }

    /// The socket took so many bytes of what was held back.
    pub(in crate::shard) fn held_back_written(&mut self, slot: u32, written: usize) {
        let now = self.now;
        if let Some((impaired, _)) = self.v1.impairments.by_slot.get_mut(&slot) {
            let is_stuck = written < impaired.due(now).len();
            impaired.sent(written, is_stuck);
            let is_empty = impaired.is_empty();
            self.look_at_impaired(slot);
            if is_empty && self.is_clear(slot) {
                self.flushed(slot);
            }
        }
    }

    /// Does what is due for those with a bad network, beside writing.
    pub(in crate::shard) fn expire_impairments(&mut self) {
        let awake: Vec<u32> = self.v1.impairments.awake(self.now).collect();
        for slot in awake {
            self.look_at_impaired(slot);
        }
    }

    fn look_at_impaired(&mut self, slot: u32) {
        let Some((impaired, _)) = self.v1.impairments.by_slot.get_mut(&slot) else {
            return;
        };
        if impaired.is_cut(self.now) {
            self.v1.impairments.remove(slot);
            return self.drop_connection(slot, EndReason::Cut);
        }
        let is_over = impaired.is_over();
        if impaired.takes_again(self.now) || is_over {
            if is_over {
                self.v1.impairments.remove(slot);
            }
            self.takes_again(slot);
        }
        self.v1.impairments.rearm(slot);
    }
}
