//! The sockets of one reactor, by the slots of its shard, and the tokens by which a poll names them.

use crate::limits::FIRST_SLOTS;

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

/// Its next read is on a list.
const CARRIED: u32 = 1;
/// And goes on until there is nothing left.
const TO_THE_END: u32 = 2;
/// Bits of a generation: with those two they fill 32, and no connection's token is a door's or the mailbox's.
const GENERATION_BITS: u32 = 30;

#[derive(Debug)]
struct Entry<S> {
    socket: Option<S>,
    /// The generation, above [`CARRIED`] and [`TO_THE_END`]: there is one for each idle connection.
    state: u32,
}

impl<S> Entry<S> {
    fn generation(&self) -> u32 {
        self.state >> (32 - GENERATION_BITS)
    }

    fn is_carried(&self) -> bool {
        self.state & CARRIED != 0
    }
}

/// Sockets by slot.
#[derive(Debug)]
pub struct Sockets<S> {
    entries: Vec<Entry<S>>,
}

impl<S> Default for Sockets<S> {
    fn default() -> Self {
        Self {
            entries: Vec::with_capacity(FIRST_SLOTS),
        }
    }
}

impl<S> Sockets<S> {
    /// What an event for this slot will carry from now on.
    pub fn reserve(&mut self, slot: u32) -> Handle {
        if self.entries.len() <= slot as usize {
            self.entries.resize_with(slot as usize + 1, || Entry {
                socket: None,
                state: 0,
            });
        }
        let entry = &mut self.entries[slot as usize];
        entry.state = (entry.generation() + 1) << (32 - GENERATION_BITS);
        Handle {
            slot,
            generation: entry.generation(),
        }
    }

    /// Puts a socket into its slot.
    pub fn insert(&mut self, slot: u32, socket: S) {
        self.entries[slot as usize].socket = Some(socket);
    }

    /// The socket, if the slot still is what it was then.
    pub fn current(&self, handle: Handle) -> Option<&S> {
        let entry = self.entries.get(handle.slot as usize)?;
        if entry.generation() == handle.generation {
            entry.socket.as_ref()
        } else {
            None
        }
    }

    /// Notes that a read of this socket is put off, and that it goes on until there is nothing left if it is
    /// `to_the_end`. False if there is nothing to put on a list: it is on one already, or the slot is not what it was.
    pub fn carry(&mut self, handle: Handle, to_the_end: bool) -> bool {
        match self.entries.get_mut(handle.slot as usize) {
            Some(entry) if entry.generation() == handle.generation => {
                let fresh = !entry.is_carried();
                entry.state |= CARRIED | if to_the_end { TO_THE_END } else { 0 };
                fresh
            }
            _ => false,
        }
    }

    /// The read that was put off has its turn: whether it goes on until there is nothing left, `None` if the slot is
    /// not what it was.
    pub fn uncarry(&mut self, handle: Handle) -> Option<bool> {
        let entry = self.entries.get_mut(handle.slot as usize)?;
        if entry.generation() != handle.generation || !entry.is_carried() {
            return None;
        }
        let to_the_end = entry.state & TO_THE_END != 0;
        entry.state &= !(CARRIED | TO_THE_END);
        Some(to_the_end)
    }

    /// Whether a read of this socket is put off.
    pub fn is_carried(&self, handle: Handle) -> bool {
        let entry = self.entries.get(handle.slot as usize);
        entry.is_some_and(|entry| entry.generation() == handle.generation && entry.is_carried())
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
            generation: entry.generation(),
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
    fn an_entry_is_small() {
        // What a socket is in a release build; with debug assertions mio's knows its poll as well.
        assert_eq!(size_of::<Entry<std::os::fd::OwnedFd>>(), 8);
    }

    #[test]
    fn a_read_is_carried_once_and_only_for_who_was_there() {
        let mut sockets = Sockets::default();
        let handle = sockets.reserve(0);
        sockets.insert(0, "socket");
        assert_eq!(sockets.uncarry(handle), None);
        assert!(sockets.carry(handle, true) && !sockets.carry(handle, false));
        assert_eq!(sockets.uncarry(handle), Some(true));
        assert!(sockets.carry(handle, false));
        let next = sockets.reserve(0);
        assert!(!sockets.is_carried(next) && !sockets.carry(handle, true));
        assert_eq!(sockets.uncarry(handle), None);
        assert!(sockets.current(next).is_some());
    }

    #[test]
    fn generations_begin_anew_without_leaving_their_bits() {
        let mut sockets = Sockets::default();
        let first = sockets.reserve(0);
        sockets.insert(0, "socket");
        sockets.entries[0].state = u32::MAX;
        let last = sockets.handle(0).expect("it has a socket");
        assert_eq!(Named::by(last.token()), Named::Connection(last));
        sockets.reserve(0);
        assert_eq!(sockets.reserve(0), first);
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
