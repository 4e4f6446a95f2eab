//! The rooms of one shard that speak in one way, by name. An empty room leaves no memory behind.

use std::collections::HashMap;
use std::hash::RandomState;
use std::ops::{Index, IndexMut};
use std::rc::Rc;

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
    by_name: HashMap<Rc<str>, RoomId>,
    rooms: Slab<R>,
}

impl<R: Named> Rooms<R> {
    /// No rooms yet. `names` hashes them, keyed, because peers choose the names.
    pub fn new(names: RandomState) -> Self {
        Self {
            by_name: HashMap::with_hasher(names),
            rooms: Slab::new(),
        }
    }

    /// The room of that name; opened, and empty, if there was none.
    pub fn open(&mut self, name: &str) -> RoomId {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let name: Rc<str> = Rc::from(name);
        let id = self.rooms.insert(R::named(Rc::clone(&name))) as RoomId;
        self.by_name.insert(name, id);
        id
    }

    /// The room of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<&R> {
        self.place(name).map(|id| &self.rooms[id as usize])
    }

    /// Its place.
    pub fn place(&self, name: &str) -> Option<RoomId> {
        self.by_name.get(name).copied()
    }

    /// Forgets a room that is empty; true if it is gone. Tables that have become much too large shrink.
    pub fn close_if_empty(&mut self, id: RoomId) -> bool {
        if !self.rooms[id as usize].is_empty() {
            return false;
        }
        let room = self.rooms.remove(id as usize);
        self.by_name.remove(room.name());
        if self.by_name.capacity() > 1024 && self.by_name.len() < self.by_name.capacity() / 8 {
            self.by_name.shrink_to(self.by_name.len() * 2);
        }
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
