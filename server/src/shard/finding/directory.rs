//! The directory: rooms that were made with a tag, as each reactor has published them.
//!
//! Owns: what is told of each, in which order, how old it may be, and which part of it one answer has. Must not know:
//! requests, connections. Invariants: what a reactor lists it publishes as a whole, at most once in [`LISTING_EVERY_MS`], and
//! only if something has changed; a lock is held for as long as a pointer is copied, and never for a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::limits::{LISTED_PROPERTY_BYTES, LISTING_EVERY_MS, LISTING_PAGE, LISTING_PAGE_BYTES};
use crate::room::v1::{Room, RoomId, Rooms, Standing};

/// One room, as it is told.
#[derive(Debug)]
pub(super) struct Entry {
    tag: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) standing: Standing,
    json: String,
}

/// What stands for a room in an answer.
#[derive(Serialize)]
struct Told<'r> {
    name: &'r str,
    players: u32,
    players_max: u32,
    open: bool,
    properties: BTreeMap<&'r str, &'r str>,
}

impl Entry {
    fn new(tag: &Arc<str>, name: &Arc<str>, room: &Room) -> Self {
        let standing = room.standing();
        let told = Told {
            name,
            players: standing.players,
            players_max: standing.players_max,
            open: standing.is_open,
            properties: room.told_properties(LISTED_PROPERTY_BYTES).collect(),
        };
        Self {
            tag: Arc::clone(tag),
            name: Arc::clone(name),
            standing,
            json: json(&told),
        }
    }

    fn key(&self) -> (&str, &str) {
        (&self.tag, &self.name)
    }
}

/// What a text or a room is in JSON. Nothing that is told has a form that JSON lacks.
fn json(told: &impl Serialize) -> String {
    serde_json::to_string(told).unwrap_or_default()
}

/// What one reactor lists, by tags and names: all, and those that are open.
#[derive(Debug, Default)]
pub(super) struct Listing {
    all: Vec<Arc<Entry>>,
    open: Vec<Arc<Entry>>,
}

impl Listing {
    /// Those with this tag and a name behind `after`.
    pub(super) fn of<'l>(
        &'l self,
        tag: &'l str,
        only_open: bool,
        after: &str,
    ) -> impl Iterator<Item = &'l Arc<Entry>> {
        let entries = if only_open { &self.open } else { &self.all };
        let first = entries.partition_point(|entry| entry.key() <= (tag, after));
        entries[first..]
            .iter()
            .take_while(move |entry| *entry.tag == *tag)
    }

    /// Whether this room is listed, open or not.
    pub(super) fn has(&self, tag: &str, name: &str) -> bool {
        let found = self
            .all
            .binary_search_by(|entry| entry.key().cmp(&(tag, name)));
        found.is_ok()
    }
}

/// What all reactors list.
#[derive(Debug)]
pub(in crate::shard) struct Directory(Box<[Mutex<Arc<Listing>>]>);

impl Directory {
    /// Nothing is listed yet.
    pub(in crate::shard) fn new(reactors: usize) -> Self {
        Self((0..reactors).map(|_| Mutex::default()).collect())
    }

    /// As it is now.
    pub(super) fn listings(&self) -> Vec<Arc<Listing>> {
        let shares = self.0.iter();
        shares.map(|share| Arc::clone(&share.lock())).collect()
    }

    /// The rooms with this tag behind the name `after`, by their names: as many as one answer has, and behind which name
    /// there are more.
    pub(super) fn page(&self, tag: &str, only_open: bool, after: &str) -> String {
        let listings = self.listings();
        let found = listings.iter().flat_map(|listing| {
            let behind = listing.of(tag, only_open, after);
            behind.take(LISTING_PAGE + 1)
        });
        let mut found: Vec<&Arc<Entry>> = found.collect();
        found.sort_unstable_by_key(|entry| &entry.name);
        let (mut rooms, mut last) = (String::new(), None);
        let mut left = found.len();
        for entry in found.iter().take(LISTING_PAGE) {
            if !rooms.is_empty() {
                if rooms.len() + entry.json.len() > LISTING_PAGE_BYTES {
                    break;
                }
                rooms.push(',');
            }
            rooms.push_str(&entry.json);
            last = Some(&*entry.name);
            left -= 1;
        }
        let after = json(&last.filter(|_| left > 0));
        format!("{{\"rooms\":[{rooms}],\"after\":{after}}}\n")
    }
}

/// A tag, and the name of a room.
type Key = (Arc<str>, Arc<str>);

/// The rooms that a shard lists, with what was told of each last, and when it has published them.
#[derive(Debug, Default)]
pub(in crate::shard) struct Listed {
    rooms: BTreeMap<Key, (RoomId, Option<Arc<Entry>>)>,
    /// Some came or went since then.
    changed: bool,
    published_at: Option<u64>,
}

impl Listed {
    /// A room begins its life, with this tag.
    pub(super) fn add(&mut self, tag: &Arc<str>, name: &str, id: RoomId) {
        let key = (Arc::clone(tag), Arc::from(name));
        self.rooms.insert(key, (id, None));
        self.changed = true;
    }

    /// It has ended.
    pub(super) fn remove(&mut self, tag: Arc<str>, name: &str) {
        self.rooms.remove(&(tag, Arc::from(name)));
        self.changed = true;
    }

    /// The rooms that it lists.
    pub(in crate::shard) fn ids(&self) -> impl Iterator<Item = RoomId> + '_ {
        self.rooms.values().map(|(id, _)| *id)
    }

    /// When something is to be published (ms), if there may be.
    pub(in crate::shard) fn due(&self) -> Option<u64> {
        let may_have_changed = self.changed || !self.rooms.is_empty();
        let due = self.published_at.map_or(0, |at| at + LISTING_EVERY_MS);
        may_have_changed.then_some(due)
    }

    /// Publishes what has changed, if it is time for that.
    pub(super) fn publish(
        &mut self,
        rooms: &Rooms,
        directory: &Directory,
        reactor: usize,
        now: u64,
    ) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        self.published_at = Some(now);
        let mut changed = std::mem::take(&mut self.changed);
        for ((tag, name), (id, entry)) in &mut self.rooms {
            let room = &rooms[*id];
            let same = |entry: &Arc<Entry>| entry.standing == room.standing();
            if !entry.as_ref().is_some_and(same) {
                *entry = Some(Arc::new(Entry::new(tag, name, room)));
                changed = true;
            }
        }
        if changed {
            let entries = self.rooms.values().filter_map(|(_, entry)| entry.as_ref());
            let all: Vec<Arc<Entry>> = entries.map(Arc::clone).collect();
            let open = all.iter().filter(|entry| entry.standing.is_open);
            let open = open.map(Arc::clone).collect();
            let listing = Arc::new(Listing { all, open });
            // The old one goes when nobody holds the lock.
            let _old = std::mem::replace(&mut *directory.0[reactor].lock(), listing);
        }
    }
}
