//! The sockets of one reactor, by the slots of its shard.

use mio::Token;
use mio::net::TcpStream;

/// Token of the listeners for ws.
pub const PLAIN_LISTENER: Token = Token(usize::MAX - 1);
/// Token of the listeners for wss.
pub const TLS_LISTENER: Token = Token(usize::MAX - 2);
/// Token of the mailbox.
pub const MAILBOX: Token = Token(usize::MAX);

/// A slot at one moment of its history: what an event or a carried-over read refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    /// The slot.
    pub slot: u32,
    generation: u32,
}

impl Handle {
    /// As a mio token.
    pub fn token(self) -> Token {
        Token(((self.generation as usize) << 32) | self.slot as usize)
    }

    /// From a mio token.
    pub fn from_token(token: Token) -> Self {
        Self {
            slot: token.0 as u32,
            generation: (token.0 >> 32) as u32,
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    stream: Option<TcpStream>,
    generation: u32,
    /// Its next read is on a list, once, and then goes on until there is nothing left (`Some(true)`) or not.
    carried: Option<bool>,
}

/// Sockets by slot.
#[derive(Debug, Default)]
pub struct Sockets {
    entries: Vec<Entry>,
}

impl Sockets {
    /// What an event for this slot will carry from now on.
    pub fn reserve(&mut self, slot: u32) -> Handle {
        if self.entries.len() <= slot as usize {
            self.entries.resize_with(slot as usize + 1, Entry::default);
        }
        let entry = &mut self.entries[slot as usize];
        // 31 bits, so that no connection's token is a listener's or the mailbox's.
        entry.generation = (entry.generation + 1) & (u32::MAX >> 1);
        entry.carried = None;
        Handle {
            slot,
            generation: entry.generation,
        }
    }

    /// Puts a socket into its slot.
    pub fn insert(&mut self, slot: u32, stream: TcpStream) {
        self.entries[slot as usize].stream = Some(stream);
    }

    /// The socket, if the slot still is what it was then.
    pub fn current(&mut self, handle: Handle) -> Option<&mut TcpStream> {
        let entry = self.entries.get_mut(handle.slot as usize)?;
        if entry.generation == handle.generation {
            entry.stream.as_mut()
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

    /// The handle for what is in the slot now.
    pub fn handle(&self, slot: u32) -> Option<Handle> {
        let entry = self.entries.get(slot as usize)?;
        entry.stream.as_ref().map(|_| Handle {
            slot,
            generation: entry.generation,
        })
    }

    /// The socket in this slot.
    pub fn get(&self, slot: u32) -> Option<&TcpStream> {
        self.entries.get(slot as usize)?.stream.as_ref()
    }

    /// Takes the socket out of its slot.
    pub fn take(&mut self, slot: u32) -> Option<TcpStream> {
        self.entries.get_mut(slot as usize)?.stream.take()
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
        assert_eq!(Handle::from_token(new.token()), new);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        sockets.insert(3, TcpStream::from_std(stream));
        assert!(sockets.current(old).is_none());
        assert!(sockets.current(new).is_some());
        assert_eq!(sockets.handle(3), Some(new));
    }
}
