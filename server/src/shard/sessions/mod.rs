//! Sessions: connections without a socket, whose bytes are carried by HTTP requests.
//!
//! Owns: the frames on their way down that were not acknowledged, and how many came up. Must not know: rooms, sockets, and
//! what the frames say. Invariants: frames down and up are numbered from 0, none is lost or comes twice as long as the
//! session lives; what a session holds is bounded; a session is named by a secret.
//!
//! For everything else a session is a connection like any other: what is written for it goes here instead of to a socket
//! ([`Shard::carry_write`](super::Shard)), and what a request brings is heard by the gate that a socket's bytes pass.

mod call;
mod carry;
mod serve;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::mem;

use roomcast_protocol::frame::first_len;

pub(super) use self::call::Call;
use self::call::Id;
use self::stream::{Events, Stream};
use super::remote::Afar;
use crate::limits::SESSIONS_ENDED;

/// Hexadecimal digits of a session's name: its reactor, its slot, its secret.
const NAME_DIGITS: [usize; 3] = [4, 8, 32];

/// A connection that carries a request of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Carrier {
    slot: u32,
    /// Tells it from a later connection in the same slot.
    id: u64,
}

/// Who asks for the frames of a session.
#[derive(Debug)]
enum Asker {
    /// It waits for some.
    Poll(Carrier),
    /// It gets all that come.
    Stream(Stream),
}

impl Asker {
    fn carrier(&self) -> Carrier {
        match self {
            Self::Poll(carrier) | Self::Stream(Stream { carrier, .. }) => *carrier,
        }
    }
}

/// A session. Its player, if it has one, is that of the connection in its slot.
#[derive(Debug)]
struct Session {
    secret: u128,
    /// Frames that were not acknowledged, whole ones.
    down: Vec<u8>,
    /// The number of the first of them, and how many there are.
    first: u64,
    count: u64,
    /// Bytes of them beyond which it takes no more.
    most: usize,
    /// Frames that have come up.
    up: u64,
    /// It ends: what is still said must find room.
    is_ending: bool,
    asker: Option<Asker>,
    /// Who brings something, as long as that is not whole.
    bringing: Option<Carrier>,
    /// Who waits until what it brought has been heard.
    verdict: Option<Carrier>,
    /// On the list of those whose polls have an answer.
    is_told: bool,
    /// Connections that count for no address, because this session does.
    carriers: Vec<Carrier>,
    /// The same of other reactors, the oldest first: whether they are still there is not known.
    afar: Vec<Afar>,
}

impl Session {
    fn new(secret: u128, most: usize) -> Self {
        Self {
            secret,
            down: Vec::new(),
            first: 0,
            count: 0,
            most,
            up: 0,
            is_ending: false,
            asker: None,
            bringing: None,
            verdict: None,
            is_told: false,
            carriers: Vec::new(),
            afar: Vec::new(),
        }
    }

    /// Takes whole frames of the slices, each of which has such, until it has enough. Returns how many bytes they have.
    fn take(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let before = self.down.len();
        for slice in slices {
            if self.down.len() >= self.most && !self.is_ending {
                break;
            }
            // Twice as much each time, but not beyond what it may have.
            let (len, room) = (self.down.len(), self.down.capacity());
            if room - len < slice.len() {
                let room = self.most.min(2 * room).max(len + slice.len());
                self.down.reserve_exact(room - len);
            }
            self.down.extend_from_slice(slice);
        }
        self.count += frames(&self.down[before..]).count() as u64;
        self.down.len() - before
    }

    /// Whole frames from this byte on, at most so many bytes of them, unless the first alone has more.
    fn front(&self, from: usize, most: usize) -> &[u8] {
        let down = &self.down[from..];
        let mut ends = frames(down);
        let first = ends.next().unwrap_or(0);
        let end = ends.take_while(|&end| end <= most).last();
        &down[..end.unwrap_or(first)]
    }

    /// Whether the frames from that of this number on are still there.
    fn reaches(&self, number: u64) -> bool {
        (self.first..=self.first + self.count).contains(&number)
    }

    /// Forgets the frames before that of this number, which have arrived. False if there was none of it yet, or if it was
    /// forgotten before.
    fn acknowledge(&mut self, number: u64) -> bool {
        if !self.reaches(number) {
            return false;
        }
        let gone = number - self.first;
        if gone == self.count {
            self.down = Vec::new();
        } else if gone > 0 {
            let end = frames(&self.down).nth(gone as usize - 1);
            self.down.drain(..end.unwrap_or_default());
        }
        self.first = number;
        self.count -= gone;
        true
    }
}

/// Where each of these whole, unmasked frames ends.
fn frames(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += first_len(&bytes[at..])?;
        Some(at)
    })
}

/// The sessions of a shard, by the slots of their connections.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_slot: HashMap<u32, Session>,
    /// Those whose polls have an answer.
    told: Vec<u32>,
    /// Those that may be heard again.
    unpaused: Vec<u32>,
    events: Events,
    /// Those that have ended, the oldest first, and some that are gone.
    ended: VecDeque<Carrier>,
}

impl Sessions {
    fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// Who has one.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_slot.keys().copied()
    }

    /// Whether something is to be done in the next iteration.
    pub(super) fn has_work(&self) -> bool {
        !self.told.is_empty() || !self.unpaused.is_empty()
    }

    /// Whether the session in this slot takes what is written for it.
    pub(super) fn has_room(&self, slot: u32) -> bool {
        self.by_slot
            .get(&slot)
            .is_some_and(|session| session.is_ending || session.down.len() < session.most)
    }

    /// The session of this connection says its last words.
    fn end(&mut self, of: Carrier) {
        if let Some(session) = self.by_slot.get_mut(&of.slot)
            && !mem::replace(&mut session.is_ending, true)
        {
            self.ended.push_back(of);
        }
    }

    /// The one that has ended first, if too many have.
    fn one_ended_too_many(&mut self) -> Option<Carrier> {
        if self.ended.len() > SESSIONS_ENDED {
            self.ended.pop_front()
        } else {
            None
        }
    }

    /// Bytes that the session in this slot holds.
    pub(super) fn held(&self, slot: u32) -> usize {
        self.by_slot
            .get(&slot)
            .map_or(0, |session| session.down.capacity())
    }

    /// The slot of the session of this name, if it has the secret. Compared whole: how long that takes says nothing.
    fn find(&self, id: Id) -> Option<u32> {
        let session = self.by_slot.get(&id.slot)?;
        (session.secret ^ id.secret == 0).then_some(id.slot)
    }

    /// There is something for who polls the session in this slot.
    fn tell(&mut self, slot: u32) {
        if let Some(session) = self.by_slot.get_mut(&slot)
            && matches!(session.asker, Some(Asker::Poll(_)))
            && !session.is_told
        {
            session.is_told = true;
            self.told.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_given_and_forgotten() {
        let mut session = Session::new(0, 9_999);
        let hello: &[u8] = b"\x81\x05hello";
        let long = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
        let slices = [
            IoSlice::new(hello),
            IoSlice::new(&long),
            IoSlice::new(hello),
        ];
        assert_eq!(session.take(&slices), 14 + 260);
        assert_eq!((session.first, session.count), (0, 3));
        assert_eq!(session.front(0, 0), hello, "one in any case");
        assert_eq!(session.front(0, 266), hello);
        assert_eq!(session.front(0, 267).len(), 267);
        assert_eq!(session.front(0, 9_999).len(), 274);
        assert!(!session.acknowledge(4));
        assert!(session.acknowledge(0) && session.acknowledge(1));
        assert_eq!(session.front(0, 0), long);
        assert!(!session.acknowledge(0), "it is forgotten");
        session.take(&[IoSlice::new(hello)]);
        assert!(session.acknowledge(3));
        assert_eq!((session.front(0, 9_999), session.first), (hello, 3));
        assert!(session.acknowledge(4));
        assert_eq!((session.front(0, 9_999), session.count), (&[][..], 0));
    }

    #[test]
    fn no_more_is_taken_than_is_enough_nor_much_more_held() {
        let mut session = Session::new(0, 1_000);
        let frame = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
        let slices = [(); 9].map(|()| IoSlice::new(&frame));
        assert_eq!(session.take(&slices), 4 * 260);
        assert!(session.down.capacity() <= 1_040);
        session.is_ending = true;
        assert_eq!(session.take(&slices), 9 * 260, "last words");
        assert_eq!(session.count, 13);
    }
}
