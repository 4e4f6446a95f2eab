//! The rooms of one shard that speak in one way, by name. An empty room leaves no memory behind.

use std::hash::{BuildHasher, RandomState};
use std::ops::{Index, IndexMut};
use std::rc::Rc;

use hashbrown::HashTable;
use slab::Slab;

/// What a table asks of its rooms.
pub trait Named {
    /// A room of this name, with nobody in it.
    fn named(name: Rc<str>) -> Self;

    /// Its name.
    fn name(&self) -> &Rc<str>;

    /// Nobody is here and nothing is running: the room can go.
    fn is_empty(&self) -> bool;
}

/// A room's place in its table, valid while it is not empty.
pub type RoomId = u32;

/// Rooms by name and by id.
#[derive(Debug)]
pub struct Rooms<R> {
    /// Keyed, because peers choose the names.
    hasher: RandomState,
    /// Places, by the names of the rooms there: a name beside each would be most of what this takes.
    by_name: HashTable<RoomId>,
    rooms: Slab<R>,
}

impl<R: Named> Rooms<R> {
    /// No rooms yet. `names` hashes them.
    pub fn new(names: RandomState) -> Self {
        Self {
            hasher: names,
            by_name: HashTable::new(),
            rooms: Slab::new(),
        }
    }

    /// The room of that name; opened, and empty, if there was none.
    pub fn open(&mut self, name: &str) -> RoomId {
        if let Some(id) = self.place(name) {
            return id;
        }
        let id = self.rooms.insert(R::named(Rc::from(name))) as RoomId;
        let (hasher, rooms) = (&self.hasher, &self.rooms);
        let hash = |id: &RoomId| hasher.hash_one(name_of(rooms, *id));
        self.by_name.insert_unique(hash(&id), id, hash);
        id
    }

    /// The room of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<&R> {
        self.place(name).map(|id| &self.rooms[id as usize])
    }

    /// Its place.
    pub fn place(&self, name: &str) -> Option<RoomId> {
        let is_it = |id: &RoomId| name_of(&self.rooms, *id) == name;
        self.by_name
            .find(self.hasher.hash_one(name), is_it)
            .copied()
    }

    /// Forgets a room that is empty; true if it is gone. Tables that have become much too large shrink.
    pub fn close_if_empty(&mut self, id: RoomId) -> bool {
        if !self.rooms[id as usize].is_empty() {
            return false;
        }
        let (hasher, rooms) = (&self.hasher, &self.rooms);
        let hash = |id: &RoomId| hasher.hash_one(name_of(rooms, *id));
        if let Ok(place) = self.by_name.find_entry(hash(&id), |other| *other == id) {
            place.remove();
        }
        if self.by_name.capacity() > 1024 && self.by_name.len() < self.by_name.capacity() / 8 {
            self.by_name.shrink_to(self.by_name.len() * 2, hash);
        }
        self.rooms.remove(id as usize);
        if self.rooms.is_empty() {
            self.rooms.shrink_to_fit();
        }
        true
    }

    /// The room in this place, if there is one.
    pub fn get(&self, id: RoomId) -> Option<&R> {
        self.rooms.get(id as usize)
    }

    /// Beyond this place there are no rooms.
    pub fn span(&self) -> RoomId {
        self.rooms.capacity() as RoomId
    }

    /// The room, unless it has been closed.
    pub fn get_mut(&mut self, id: RoomId) -> Option<&mut R> {
        self.rooms.get_mut(id as usize)
    }

    /// Each room that is open, with its place.
    pub fn iter(&self) -> impl Iterator<Item = (RoomId, &R)> {
        self.rooms.iter().map(|(id, room)| (id as RoomId, room))
    }

    /// Rooms that are open.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// No room is open.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

/// The name of the room in this place.
fn name_of<R: Named>(rooms: &Slab<R>, id: RoomId) -> &str {
    rooms[id as usize].name()
}

impl<R> Index<RoomId> for Rooms<R> {
    type Output = R;

    fn index(&self, id: RoomId) -> &R {
        &self.rooms[id as usize]
    }
}

impl<R> IndexMut<RoomId> for Rooms<R> {
    fn index_mut(&mut self, id: RoomId) -> &mut R {
        &mut self.rooms[id as usize]
    }
}
