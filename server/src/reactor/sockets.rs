//! The sockets of one reactor, by the slots of its shard, and the tokens by which a poll names them.

/// Token of the mailbox.
pub const MAILBOX: usize = usize::MAX;
/// The first door's token; those of connections are below.
const DOORS: usize = 1 << (usize::BITS - 1);

/// A slot at one moment of its history: what an event or a carried-over read refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// The slot.
    pub slot: u32,
    generation: u32,
}

impl Handle {
    /// As a token.
    pub fn token(self) -> usize {
        ((self.generation as usize) << 32) | self.slot as usize
    }
}

/// What a token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// The mailbox.
    Mailbox,
    /// The door of this number.
    Door(usize),
    /// A connection.
    Connection(Handle),
}

impl Named {
    /// What this token names.
    pub fn by(token: usize) -> Self {
        if token < DOORS {
            Self::Connection(Handle {
                slot: token as u32,
                generation: (token >> 32) as u32,
            })
        } else if token == MAILBOX {
            Self::Mailbox
        } else {
            Self::Door(token - DOORS)
        }
    }
}

/// The token of a door.
pub fn door(number: usize) -> usize {
    DOORS + number
}

#[derive(Debug)]
struct Entry<S> {
    socket: Option<S>,
    generation: u32,
    /// Its next read is on a list, once, and then goes on until there is nothing left (`Some(true)`) or not.
    carried: Option<bool>,
}

/// Sockets by slot.
#[derive(Debug)]
pub struct Sockets<S> {
    entries: Vec<Entry<S>>,
}

impl<S> Default for Sockets<S> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<S> Sockets<S> {
    /// What an event for this slot will carry from now on.
    pub fn reserve(&mut self, slot: u32) -> Handle {
        if self.entries.len() <= slot as usize {
            self.entries.resize_with(slot as usize + 1, || Entry {
                socket: None,
                generation: 0,
                carried: None,
            });
        }
        let entry = &mut self.entries[slot as usize];
        // 31 bits, so that no connection's token is a door's or the mailbox's.
        entry.generation = (entry.generation + 1) & (u32::MAX >> 1);
        entry.carried = None;
        Handle {
            slot,
            generation: entry.generation,
        }
    }

    /// Puts a socket into its slot.
    pub fn insert(&mut self, slot: u32, socket: S) {
        self.entries[slot as usize].socket = Some(socket);
    }

    /// The socket, if the slot still is what it was then.
    pub fn current(&self, handle: Handle) -> Option<&S> {
        let entry = self.entries.get(handle.slot as usize)?;
        if entry.generation == handle.generation {
            entry.socket.as_ref()
        } else {
            None
        }
    }

    /// Notes that a read of this socket is put off, and that it goes on until there is nothing left if it is
    /// `to_the_end`. False if there is nothing to put on a list: it is on one already, or the slot is not what it was.
    pub fn carry(&mut self, handle: Handle, to_the_end: bool) -> bool {
        match self.entries.get_mut(handle.slot as usize) {
            Some(entry) if entry.generation == handle.generation => {
                let fresh = entry.carried.is_none();
                *entry.carried.get_or_insert(false) |= to_the_end;
                fresh
            }
            _ => false,
        }
    }

    /// The read that was put off has its turn: whether it goes on until there is nothing left, `None` if the slot is
    /// not what it was.
    pub fn uncarry(&mut self, handle: Handle) -> Option<bool> {
        let entry = self.entries.get_mut(handle.slot as usize)?;
        if entry.generation == handle.generation {
            entry.carried.take()
        } else {
            None
        }
    }

    /// Whether a read of this socket is put off.
    pub fn is_carried(&self, handle: Handle) -> bool {
        let entry = self.entries.get(handle.slot as usize);
        entry.is_some_and(|entry| entry.generation == handle.generation && entry.carried.is_some())
    }

    /// Whether a read of the socket in this slot is put off.
    pub fn is_waiting(&self, slot: u32) -> bool {
        self.handle(slot)
            .is_some_and(|handle| self.is_carried(handle))
    }

    /// The handle for what is in the slot now.
    pub fn handle(&self, slot: u32) -> Option<Handle> {
        let entry = self.entries.get(slot as usize)?;
        entry.socket.as_ref().map(|_| Handle {
            slot,
            generation: entry.generation,
        })
    }

    /// The socket in this slot.
    pub fn get(&self, slot: u32) -> Option<&S> {
        self.entries.get(slot as usize)?.socket.as_ref()
    }

    /// Takes the socket out of its slot.
    pub fn take(&mut self, slot: u32) -> Option<S> {
        self.entries.get_mut(slot as usize)?.socket.take()
    }

    /// All of them, with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &S)> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(slot, entry)| Some((slot as u32, entry.socket.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_handle_does_not_reach_a_new_socket() {
        let mut sockets = Sockets::default();
        let old = sockets.reserve(3);
        let new = sockets.reserve(3);
        assert_ne!(old, new);
        sockets.insert(3, "socket");
        assert!(sockets.current(old).is_none());
        assert!(sockets.current(new).is_some());
        assert_eq!(sockets.handle(3), Some(new));
    }

    #[test]
    fn a_token_names_what_it_was_made_for() {
        let mut sockets = Sockets::<()>::default();
        let handle = sockets.reserve(7);
        assert_eq!(Named::by(handle.token()), Named::Connection(handle));
        assert_eq!(Named::by(MAILBOX), Named::Mailbox);
        for number in [0, 1, 200] {
            assert_eq!(Named::by(door(number)), Named::Door(number));
        }
    }
}
