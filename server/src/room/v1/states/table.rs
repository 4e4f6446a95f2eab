//! The newest value of each key of a room, once, in the order in which they were last said.
//!
//! Owns: values, who gets each, and what is remembered of keys that were deleted. Must not know: who has had what, the
//! log, packets' meaning. Invariants: a slot is in the order of changes exactly while it is in use; a deletion is
//! remembered until [`DELETIONS_MAX`] later ones, and [`Table::unremembered`] says from when on all are.

use std::collections::{BTreeMap, BTreeSet};

use super::To;
use crate::limits::{DELETIONS_MAX, FORMER_AUDIENCES};

/// Where a key is, until it is removed.
pub type Slot = u32;

/// No slot.
const NONE: Slot = Slot::MAX;

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A value.
    Here,
    /// None any more, or none yet.
    Gone,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Whose it is, and its number.
    pub name: (u32, u32),
    /// Whose earlier events it must not overtake: who said it last.
    pub writer: u32,
    /// Who gets it.
    pub to: To,
    /// Who got it before, the oldest first.
    pub former: Vec<To>,
    /// It is the room's once its author has left.
    pub stays: bool,
    pub value: Value,
    /// The packet that says so: STATE, or REMOVED.
    pub packet: Box<[u8]>,
    /// Bytes of the value.
    pub len: u32,
    /// When it was last said: a position of the stream.
    pub changed: u64,
    /// The position of what was said of it last, whoever it goes to since.
    pub said: u64,
    /// When that was to leave, ms.
    pub left: u32,
    /// And of the log: entries before it were said earlier.
    pub after: u64,
    older: Slot,
    newer: Slot,
}

/// All keys of a room.
#[derive(Debug)]
pub struct Table {
    keys: slab::Slab<Key>,
    index: BTreeMap<(u32, u32), Slot>,
    /// Keys that are addressed to a group, by it.
    grouped: BTreeSet<(u32, Slot)>,
    oldest: Slot,
    newest: Slot,
    /// Keys that were deleted, and are remembered for this alone.
    deletions: u32,
    unremembered: u64,
    /// Bytes of all values.
    bytes: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            keys: slab::Slab::new(),
            index: BTreeMap::new(),
            grouped: BTreeSet::new(),
            oldest: NONE,
            newest: NONE,
            deletions: 0,
            unremembered: 0,
            bytes: 0,
        }
    }
}

/// When something is said, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// Position of the stream.
    pub changed: u64,
    /// Position of the log.
    pub after: u64,
    /// Who says it.
    pub writer: u32,
    /// When it is to leave, ms.
    pub leaves: u32,
}

impl Table {
    pub fn get(&self, slot: Slot) -> Option<&Key> {
        self.keys.get(slot as usize)
    }

    pub fn find(&self, name: (u32, u32)) -> Option<Slot> {
        self.index.get(&name).copied()
    }

    /// Where the value under a key stands, and its bytes; nothing if there is none.
    pub fn value(&self, name: (u32, u32)) -> Option<(Slot, usize)> {
        let slot = self.find(name)?;
        let key = self.get(slot)?;
        (key.value == Value::Here).then_some((slot, key.len as usize))
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Deletions that were said before this position of the stream may have been forgotten.
    pub fn unremembered(&self) -> u64 {
        self.unremembered
    }

    /// Whether a key counts for its owner: it has a value, or goes to others than keys do by themselves.
    pub fn counts(&self, name: (u32, u32)) -> bool {
        let key = self.find(name).and_then(|slot| self.get(slot));
        key.is_some_and(|key| !key.is_forgettable())
    }

    /// Keys of an owner that count, and bytes of its values.
    pub fn held(&self, owner: u32) -> (usize, usize) {
        let slots = self.index.range((owner, 0)..=(owner, u32::MAX));
        let keys = slots.map(|(_, slot)| &self.keys[*slot as usize]);
        keys.fold((0, 0), |(count, bytes), key| {
            let counts = !key.is_forgettable();
            (count + usize::from(counts), bytes + key.len as usize)
        })
    }

    /// All keys, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Key)> {
        let slots = self.index.values();
        slots.map(|slot| (*slot, &self.keys[*slot as usize]))
    }

    /// The slots that were said from this position of the stream on, the newest first.
    pub fn since(&self, changed: u64) -> impl Iterator<Item = Slot> + '_ {
        let mut next = self.newest;
        std::iter::from_fn(move || {
            let slot = next;
            let key = self.keys.get(slot as usize)?;
            next = key.older;
            (key.changed >= changed).then_some(slot)
        })
    }

    /// The keys that are addressed to a group, found by their index, or to others, found among all: hosts seldom change.
    pub fn addressed(&self, to: To) -> impl Iterator<Item = Slot> + '_ {
        let (grouped, others) = match to {
            To::Group(group) => (Some((group, 0)..=(group, Slot::MAX)), None),
            _ => (None, Some(self.iter())),
        };
        let grouped = grouped
            .into_iter()
            .flat_map(|range| self.grouped.range(range));
        let others = others.into_iter().flatten();
        let others = others.filter(move |(_, key)| key.to == to);
        grouped
            .map(|(_, slot)| *slot)
            .chain(others.map(|(slot, _)| slot))
    }

    /// What is said of a key takes the place of what was said before: `packet` of a value with `len` bytes, or of its end.
    pub fn say(&mut self, slot: Slot, value: Value, packet: &[u8], len: usize, when: When) {
        let key = &mut self.keys[slot as usize];
        let was_forgettable = key.is_forgettable();
        self.bytes = self.bytes - key.len as usize + len;
        key.len = len as u32;
        key.value = value;
        (key.said, key.left) = (when.changed, when.leaves);
        if key.packet.len() == packet.len() {
            key.packet.copy_from_slice(packet);
        } else {
            key.packet = packet.into();
        }
        self.changed(slot, was_forgettable, when);
    }

    /// The slot of a key, which may be a new one that has no value yet.
    pub fn slot_of(&mut self, name: (u32, u32), when: When) -> Slot {
        if let Some(slot) = self.find(name) {
            return slot;
        }
        let slot = self.keys.insert(Key {
            name,
            writer: when.writer,
            to: To::Others,
            former: Vec::new(),
            stays: false,
            value: Value::Gone,
            packet: Box::default(),
            len: 0,
            said: when.changed,
            left: when.leaves,
            changed: when.changed,
            after: when.after,
            older: NONE,
            newer: NONE,
        }) as Slot;
        self.index.insert(name, slot);
        self.deletions += 1;
        self.append(slot);
        slot
    }

    /// A key goes to others from now on. Whoever says so, its value waits for the events of who said that.
    pub fn readdress(&mut self, slot: Slot, to: To, stays: bool, mut when: When) {
        let key = &mut self.keys[slot as usize];
        let was_forgettable = key.is_forgettable();
        if key.value == Value::Here {
            (when.writer, when.after) = (key.writer, key.after);
        }
        key.stays = stays;
        if key.to != to {
            key.former
                .retain(|former| *former != to && *former != key.to);
            key.former.push(key.to);
            if let To::Group(group) = key.to {
                self.grouped.remove(&(group, slot));
            }
            if let To::Group(group) = to {
                self.grouped.insert((group, slot));
            }
            key.to = to;
            if key.former.len() > FORMER_AUDIENCES {
                key.former.remove(0);
                // Who is so far behind is told all keys anew.
                self.unremembered = self.unremembered.max(when.changed + 1);
            }
        }
        self.changed(slot, was_forgettable, when);
    }

    /// Forgets a key altogether.
    pub fn remove(&mut self, slot: Slot) {
        self.unlink(slot);
        let key = self.keys.remove(slot as usize);
        self.index.remove(&key.name);
        if let To::Group(group) = key.to {
            self.grouped.remove(&(group, slot));
        }
        self.bytes -= key.len as usize;
        self.deletions -= u32::from(key.is_forgettable());
    }

    /// The keys of an owner.
    pub fn of(&self, owner: u32) -> Vec<Slot> {
        let slots = self.index.range((owner, 0)..=(owner, u32::MAX));
        slots.map(|(_, slot)| *slot).collect()
    }

    /// A key was said now, which may have been a deletion and may be one.
    fn changed(&mut self, slot: Slot, was_forgettable: bool, when: When) {
        let key = &mut self.keys[slot as usize];
        self.deletions -= u32::from(was_forgettable);
        self.deletions += u32::from(key.is_forgettable());
        key.changed = when.changed;
        key.after = when.after;
        key.writer = when.writer;
        if self.newest != slot {
            self.unlink(slot);
            self.append(slot);
        }
        self.forget();
    }

    /// Forgets the oldest deletions once there are twice as many as are remembered in any case, so that few are looked at
    /// for each.
    fn forget(&mut self) {
        if self.deletions <= 2 * DELETIONS_MAX {
            return;
        }
        let mut slot = self.oldest;
        while self.deletions > DELETIONS_MAX {
            let Some(key) = self.keys.get(slot as usize) else {
                return;
            };
            let newer = key.newer;
            if key.is_forgettable() {
                self.unremembered = self.unremembered.max(key.changed + 1);
                self.remove(slot);
            }
            slot = newer;
        }
    }

    fn append(&mut self, slot: Slot) {
        let newest = self.newest;
        let key = &mut self.keys[slot as usize];
        (key.older, key.newer) = (newest, NONE);
        match self.keys.get_mut(newest as usize) {
            Some(before) => before.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: Slot) {
        let key = &self.keys[slot as usize];
        let (older, newer) = (key.older, key.newer);
        match self.keys.get_mut(older as usize) {
            Some(key) => key.newer = newer,
            None => self.oldest = newer,
        }
        match self.keys.get_mut(newer as usize) {
            Some(key) => key.older = older,
            None => self.newest = older,
        }
    }
}

impl Key {
    /// Nothing is known of it but that it was deleted.
    fn is_forgettable(&self) -> bool {
        self.value == Value::Gone && self.to == To::Others && !self.stays
    }
}
