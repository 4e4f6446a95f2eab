//! The rooms of one shard that speak roomcast.v1, by name. An empty room leaves no memory behind.

use std::collections::HashMap;
use std::hash::RandomState;
use std::ops::{Index, IndexMut};
use std::rc::Rc;

use slab::Slab;

use super::Room;

/// A room's place in its shard, valid while somebody is in it or at its door.
pub type RoomId = u32;

/// Rooms by name and by id.
#[derive(Debug)]
pub struct Rooms {
    by_name: HashMap<Rc<str>, RoomId>,
    rooms: Slab<Room>,
}

impl Rooms {
    /// No rooms yet. `names` hashes them, keyed, because peers choose the names.
    pub fn new(names: RandomState) -> Self {
        Self {
            by_name: HashMap::with_hasher(names),
            rooms: Slab::new(),
        }
    }

    /// The room of that name, for somebody at its door; it has no players if there was none.
    pub fn open(&mut self, name: &str) -> RoomId {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let name: Rc<str> = Rc::from(name);
        let id = self.rooms.insert(Room::new(Rc::clone(&name))) as RoomId;
        self.by_name.insert(name, id);
        id
    }

    /// Whether a room of that name has players.
    pub fn has_players(&self, name: &str) -> bool {
        let id = self.by_name.get(name);
        id.is_some_and(|&id| self.rooms[id as usize].players() > 0)
    }

    /// Forgets a room that is empty. True if it is gone.
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

    /// The room, unless it has been closed.
    pub fn get_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.rooms.get_mut(id as usize)
    }

    /// Rooms with players or somebody at their doors.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

impl Index<RoomId> for Rooms {
    type Output = Room;

    fn index(&self, id: RoomId) -> &Room {
        &self.rooms[id as usize]
    }
}

impl IndexMut<RoomId> for Rooms {
    fn index_mut(&mut self, id: RoomId) -> &mut Room {
        &mut self.rooms[id as usize]
    }
}
