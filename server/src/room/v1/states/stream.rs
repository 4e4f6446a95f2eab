//! What was said of keys lately, in order, for who keeps up: it gets all of it, from here.
//!
//! Owns: packets of one or two rounds, with their authors, audiences and places among the entries of the log. Must not know:
//! who is in the room, newest values. Invariant: from a position on that is still here, a receiver gets everything that was
//! for it when it was said, once and in order.

use std::collections::VecDeque;
use std::ops::Range;

use super::super::log::residue;
use super::super::noted::ones;
use super::{Ears, Slot, To};
use crate::limits::SHARED_ENTRIES;

/// One packet.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// Where it ends, in bytes since the room began.
    end: u64,
    /// Of the log: what stands before this position was said earlier.
    after: u64,
    author: u32,
    to: To,
    /// Those who get nothing of it all the same.
    but: Option<To>,
    /// The key of which it is, unless it repeats for some what others had before.
    key: Option<Slot>,
    /// The same have got something newer of its key since, before this was to leave.
    stale: bool,
}

impl Said {
    fn is_for(&self, ears: Ears<'_>) -> bool {
        ears.hears(self.author, self.to)
            && !self.but.is_some_and(|but| ears.hears(self.author, but))
    }
}

/// For whom a packet is.
#[derive(Debug, Clone, Copy)]
pub struct Whom {
    pub author: u32,
    pub to: To,
    pub but: Option<To>,
}

/// A part of the stream for one receiver.
#[derive(Debug, Clone, Copy)]
pub struct Portion {
    /// The position behind it.
    pub position: u64,
    /// Bytes of its packets.
    pub len: usize,
    /// The next packet finds no room.
    pub full: bool,
    /// Packets that were for it, and that something newer took the place of.
    pub superseded: u32,
}

/// How much of the stream somebody gets.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Only what was said before this position of the log, or at it.
    pub log: u64,
    /// Bytes that are in the bundle already, and bytes that may be.
    pub begun: usize,
    pub bytes: usize,
}

/// What was said lately. A position is the number of packets that were ever said before it.
#[derive(Debug, Default)]
pub struct Stream {
    said: VecDeque<Said>,
    first: u64,
    bytes: Vec<u8>,
    /// Bytes at the beginning of `bytes` that are gone.
    dead: usize,
    base: u64,
}

impl Stream {
    /// The position behind the last packet.
    pub fn position(&self) -> u64 {
        self.first + self.said.len() as u64
    }

    /// The position of the first that is still here.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Bytes that were ever said.
    pub fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Appends the packet that `encode` writes, said of a key when the log had come to `after`; answers its bytes.
    pub fn append(
        &mut self,
        whom: Whom,
        (key, after): (Option<Slot>, u64),
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> &[u8] {
        if self.dead * 2 > self.bytes.len() {
            self.bytes.drain(..self.dead);
            self.base += self.dead as u64;
            self.dead = 0;
        }
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.said.push_back(Said {
            end: self.end(),
            after,
            author: whom.author,
            to: whom.to,
            but: whom.but,
            key,
            stale: false,
        });
        &self.bytes[start..]
    }

    /// Which packets from a position that is still here are for a receiver, the first as the lowest bit: of those among `noted`, if
    /// that is known. None if there are more than [`SHARED_ENTRIES`].
    pub fn heard_by(&self, position: u64, ears: Ears<'_>, noted: Option<u64>) -> Option<u64> {
        let index = position.saturating_sub(self.first) as usize;
        let count = self.said.len().checked_sub(index)?;
        if count > SHARED_ENTRIES {
            return None;
        }
        let maybe = noted.unwrap_or(u64::MAX >> (u64::BITS as usize - count.max(1)));
        Some(ones(maybe).fold(0, |which, nth| {
            let said = self.said.get(index + nth);
            which | u64::from(said.is_some_and(|said| said.is_for(ears))) << nth
        }))
    }

    /// Appends packets that are here, at most `most` bytes: the one behind a position if the lowest bit of `which` is set, and so
    /// on. False if they are more.
    pub fn copy(&self, position: u64, which: u64, most: usize, out: &mut Vec<u8>) -> bool {
        let index = position.saturating_sub(self.first) as usize;
        let until = out.len() + most;
        for nth in ones(which).map(|nth| index + nth) {
            let Some(said) = self.said.get(nth) else {
                return false;
            };
            let packet = self.start(nth) - self.base..said.end - self.base;
            let packet = packet.start as usize..packet.end as usize;
            if out.len() + packet.len() > until {
                return false;
            }
            out.extend_from_slice(&self.bytes[packet]);
        }
        true
    }

    /// Who may lack one of the packets from a position on: a bit for the ids that leave the same when divided by their number.
    pub fn lacked_by(&self, position: u64) -> u64 {
        let index = position.saturating_sub(self.first) as usize;
        let said = self.said.range(index.min(self.said.len())..);
        said.fold(0, |lacked, said| {
            lacked
                | match (said.to, said.but) {
                    (To::All, None) => 0,
                    (To::Others, None) => residue(said.author),
                    _ => u64::MAX,
                }
        })
    }

    /// Something newer takes the place of this packet, which went to these and was said at `position` if it is there.
    pub fn outdate(&mut self, position: u64, to: To, packet: &[u8]) {
        let Some(index) = position.checked_sub(self.first) else {
            return;
        };
        let start = self.start(index as usize) - self.base;
        if let Some(said) = self.said.get_mut(index as usize) {
            let bytes = &self.bytes[start as usize..(said.end - self.base) as usize];
            said.stale |= said.to == to && bytes == packet;
        }
    }

    /// Where the log was when the packet at `position` was said.
    pub fn after(&self, position: u64) -> Option<u64> {
        let index = position.checked_sub(self.first)? as usize;
        self.said.get(index).map(|said| said.after)
    }

    /// What comes next for a receiver, from a position that is still here, before the position `until`; `run` is told ranges of [`Stream::slice`].
    pub fn next(
        &self,
        (position, until): (u64, u64),
        ears: Ears<'_>,
        most: Most,
        run: &mut impl FnMut(Range<usize>),
    ) -> Portion {
        let index = position.saturating_sub(self.first) as usize;
        let mut portion = Portion {
            position,
            len: 0,
            full: false,
            superseded: 0,
        };
        let mut start = (self.start(index) - self.base) as usize;
        let mut open: Option<Range<usize>> = None;
        for said in self.said.range(index..) {
            if said.after > most.log || portion.position >= until {
                break;
            }
            let end = (said.end - self.base) as usize;
            let heard = said.is_for(ears);
            portion.superseded += u32::from(heard && said.stale);
            if heard && !said.stale {
                let len = most.begun + portion.len;
                if len > 0 && len + end - start > most.bytes {
                    portion.full = true;
                    break;
                }
                portion.len += end - start;
                match &mut open {
                    Some(open) if open.end == start => open.end = end,
                    open => {
                        if let Some(before) = open.replace(start..end) {
                            run(before);
                        }
                    }
                }
            }
            portion.position += 1;
            start = end;
        }
        open.into_iter().for_each(run);
        portion
    }

    /// Where something was said of a key to a receiver, from a position on or from the first that is still here, and of which.
    pub fn of_keys(&self, position: u64, ears: Ears<'_>) -> impl Iterator<Item = (u64, Slot)> {
        let start = position.max(self.first);
        let said = self.said.range((start - self.first) as usize..);
        (start..)
            .zip(said)
            .filter(move |(_, said)| said.is_for(ears))
            .filter_map(|(position, said)| Some((position, said.key?)))
    }

    /// Bytes of packets.
    pub fn slice(&self, run: Range<usize>) -> &[u8] {
        &self.bytes[run]
    }

    /// Lets go of what was said before `position`.
    pub fn forget(&mut self, position: u64) {
        let count = position.saturating_sub(self.first) as usize;
        self.dead = (self.start(count) - self.base) as usize;
        self.said.drain(..count);
        self.first += count as u64;
    }

    /// Lets go of everything, and of the memory that it took.
    pub fn clear(&mut self) {
        self.first = self.position();
        self.base = self.end();
        self.dead = 0;
        self.bytes = Vec::new();
        self.said = VecDeque::new();
    }

    fn start(&self, index: usize) -> u64 {
        match index.checked_sub(1) {
            Some(before) => self.said[before].end,
            None => self.base + self.dead as u64,
        }
    }
}
