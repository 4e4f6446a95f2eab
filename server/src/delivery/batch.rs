//! The batch: all messages of one room and one iteration, with an index, and their bytes in each dialect.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::slice;

use super::{Dialect, Encoding, Speakers};
use crate::limits::{SPARE_BATCH_BYTES, SPARE_BATCH_BYTES_EACH};

/// How a message wants to be treated when its receiver has fallen behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// Must arrive, in order. In raw mode everything is an event.
    Event,
}

/// Who gets a message, of those who are in the room when it is said. Its author never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Everybody.
    All,
    /// These members.
    Few(&'a [u32]),
}

/// One message: whose it is. Which bytes are its own, each dialect knows for itself.
#[derive(Debug, Clone, Copy)]
struct Message {
    author: u32,
    index: u32,
}

/// A message for fewer than all.
#[derive(Debug, Clone)]
struct Few {
    index: u32,
    /// Its receivers in `Batch::receivers`.
    receivers: Range<u32>,
}

/// Messages with their authors. Open while messages are appended; frozen, it does not change any more. A position in it
/// is the index of a message.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order in which they were said while open, of (`author`, `index`) once frozen.
    messages: Vec<Message>,
    /// Those that are not for everybody, in the order in which they were said. Looked at only if there is one.
    few: Vec<Few>,
    /// Members, ascending within each message.
    receivers: Vec<u32>,
    encodings: [Rc<Encoding>; Dialect::ALL.len()],
    /// Since when its first message is here (us).
    pub since: u64,
}

impl Batch {
    /// Appends a message, encoded once for each dialect that somebody speaks.
    // Inlined into each of the two loops that say raw messages (shard::receive), with what it calls.
    #[inline(always)]
    pub fn append(
        &mut self,
        author: u32,
        class: Class,
        audience: Audience<'_>,
        speakers: &Speakers,
        mut encode: impl FnMut(Dialect, &mut Vec<u8>),
    ) {
        let index = self.messages.len() as u32;
        for dialect in Dialect::ALL {
            if speakers.any(dialect) {
                Rc::get_mut(&mut self.encodings[dialect.index()])
                    .expect("an open batch is not shared")
                    .append(index, |out| encode(dialect, out));
            }
        }
        match class {
            Class::Event => self.messages.push(Message { author, index }),
        }
        if let Audience::Few(receivers) = audience {
            let start = self.receivers.len();
            self.receivers.extend_from_slice(receivers);
            self.receivers[start..].sort_unstable();
            self.few.push(Few {
                index,
                receivers: start as u32..self.receivers.len() as u32,
            });
        }
    }

    /// Sorts the index so that the messages of one author are found at once.
    pub fn freeze(&mut self) {
        if self.messages.len() > 1 {
            self.messages.sort_unstable_by_key(|message| {
                (u64::from(message.author) << 32) | u64::from(message.index)
            });
        }
    }

    /// Calls `each` with the byte ranges of its dialect that a member gets, in order: everything from message `from` on,
    /// except what it said itself and what is for others only. Adjoining messages form one range. The batch must be
    /// frozen.
    // For each receiver: as an iterator, or called, it would keep all of its state in memory.
    #[inline(always)]
    pub fn others(&self, dialect: Dialect, member: u32, from: u32, each: impl FnMut(Range<u32>)) {
        let first = match self.messages.len() {
            0 => 0,
            1 => usize::from(self.messages[0].author != member),
            _ => self
                .messages
                .partition_point(|message| message.author < member),
        };
        let own = self.messages[first..].iter();
        let encoding = self.encoding(dialect);
        if self.few.is_empty() {
            let own = own.take_while(move |message| message.author == member);
            encoding.between(from, own.map(|message| message.index), each);
        } else {
            let gaps = GapsOfFew {
                receivers: &self.receivers,
                member,
                own,
                few: self.few.iter(),
            };
            encoding.between(from, gaps, each);
        }
    }

    /// The bytes of all messages in this dialect.
    pub fn encoding(&self, dialect: Dialect) -> &Rc<Encoding> {
        &self.encodings[dialect.index()]
    }

    /// Messages so far: the position of the next one.
    pub fn len(&self) -> u32 {
        self.messages.len() as u32
    }

    /// Whether all of them, which are frozen, were said by one.
    pub fn has_one_author(&self) -> bool {
        let ends = (self.messages.first(), self.messages.last());
        matches!(ends, (Some(first), Some(last)) if first.author == last.author)
    }

    /// Nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of memory in use: the messages in all dialects and their index, which outweighs them when they are tiny.
    pub fn footprint(&self) -> usize {
        let encodings = self.encodings.iter();
        self.messages.len() * size_of::<Message>()
            + self.few.len() * size_of::<Few>()
            + self.receivers.len() * size_of::<u32>()
            + encodings
                .map(|encoding| encoding.footprint())
                .sum::<usize>()
    }

    /// The bytes of all messages in this dialect, for somebody who can't take them at once. A reference pins the whole
    /// buffer, so there is no slack in it.
    pub fn lend(&mut self, dialect: Dialect) -> &Rc<Encoding> {
        let encoding = &mut self.encodings[dialect.index()];
        if let Some(unshared) = Rc::get_mut(encoding) {
            unshared.trim();
            unshared.since = self.since;
        }
        encoding
    }

    /// Forgets all messages. An encoding that somebody refers to stays with them, and counts in `pinned`.
    fn clear(&mut self, pinned: &Rc<Cell<usize>>) {
        self.messages.clear();
        self.few.clear();
        self.receivers.clear();
        for encoding in &mut self.encodings {
            match Rc::get_mut(encoding) {
                Some(unshared) => unshared.clear(),
                None => std::mem::take(encoding).count_in(pinned),
            }
        }
    }

    fn capacity(&self) -> usize {
        let encodings = self.encodings.iter();
        self.messages.capacity() * size_of::<Message>()
            + self.few.capacity() * size_of::<Few>()
            + self.receivers.capacity() * size_of::<u32>()
            + encodings.map(|encoding| encoding.capacity()).sum::<usize>()
    }
}

/// What one member does not get of a batch with messages for fewer than all, ascending.
#[derive(Debug)]
struct GapsOfFew<'b> {
    receivers: &'b [u32],
    member: u32,
    /// Its own messages, and whatever is sorted behind them.
    own: slice::Iter<'b, Message>,
    few: slice::Iter<'b, Few>,
}

impl Iterator for GapsOfFew<'_> {
    type Item = u32;

    #[cold]
    #[inline(never)]
    fn next(&mut self) -> Option<u32> {
        let own = self.own.as_slice().first();
        let own = own.filter(|message| message.author == self.member);
        let for_others = loop {
            let Some(few) = self.few.as_slice().first() else {
                break None;
            };
            let receivers = few.receivers.start as usize..few.receivers.end as usize;
            if self.receivers[receivers]
                .binary_search(&self.member)
                .is_err()
            {
                break Some(few.index);
            }
            self.few.next();
        };
        match (own.map(|message| message.index), for_others) {
            (Some(own), Some(other)) if own > other => self.few.next().map(|few| few.index),
            (Some(_), _) => self.own.next().map(|message| message.index),
            (None, _) => self.few.next().map(|few| few.index),
        }
    }
}

/// Batches that were delivered and wait for their next use, so that the steady state allocates nothing.
#[derive(Debug, Default)]
pub struct BatchPool {
    #[expect(clippy::vec_box, reason = "a batch goes to and fro as one pointer")]
    spare: Vec<Box<Batch>>,
    bytes: usize,
    pinned: Rc<Cell<usize>>,
}

impl BatchPool {
    /// An empty batch.
    pub fn take(&mut self) -> Box<Batch> {
        let Some(batch) = self.spare.pop() else {
            return Box::default();
        };
        self.bytes -= batch.capacity();
        batch
    }

    /// Takes a batch back if the pool has room for it.
    pub fn give(&mut self, mut batch: Box<Batch>) {
        batch.clear(&self.pinned);
        let capacity = batch.capacity();
        if capacity <= SPARE_BATCH_BYTES_EACH && self.bytes + capacity <= SPARE_BATCH_BYTES {
            self.bytes += capacity;
            self.spare.push(batch);
        }
    }

    /// Bytes of the buffers that it keeps for the next batches.
    pub fn spare(&self) -> usize {
        self.bytes
    }

    /// Whether the bytes that it counts are those that it keeps.
    pub fn is_accounted(&self) -> bool {
        let kept = self.spare.iter().map(|batch| batch.capacity());
        self.bytes == kept.sum::<usize>()
    }

    /// Bytes of the buffers that only slow receivers still refer to.
    pub fn pinned(&self) -> usize {
        self.pinned.get()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn speakers(dialects: &[Dialect]) -> Speakers {
        let mut speakers = Speakers::default();
        dialects.iter().for_each(|&dialect| speakers.add(dialect));
        speakers
    }

    /// Raw, a message is its index, so many times; in the other dialect the author follows.
    fn write(dialect: Dialect, out: &mut Vec<u8>, author: u32, index: usize, len: usize) {
        out.extend(std::iter::repeat_n(index as u8, len));
        if dialect != Dialect::Raw {
            out.push(author as u8);
        }
    }

    fn batch_of(authors: &[(u32, usize)]) -> Batch {
        let mut batch = Batch::default();
        let speakers = speakers(&[Dialect::Raw]);
        for (index, &(author, len)) in authors.iter().enumerate() {
            batch.append(
                author,
                Class::Event,
                Audience::All,
                &speakers,
                |dialect, out| write(dialect, out, author, index, len),
            );
        }
        batch.freeze();
        batch
    }

    fn received(batch: &Batch, dialect: Dialect, member: u32, from: u32) -> Vec<u8> {
        let ranges = ranges(batch, dialect, member, from);
        let bytes = |range| batch.encoding(dialect).slice(range).to_vec();
        ranges.into_iter().flat_map(bytes).collect()
    }

    fn ranges(batch: &Batch, dialect: Dialect, member: u32, from: u32) -> Vec<Range<u32>> {
        let mut ranges = Vec::new();
        batch.others(dialect, member, from, |range| ranges.push(range));
        ranges
    }

    #[test]
    fn a_lone_author_gets_nothing_back() {
        let batch = batch_of(&[(3, 5), (3, 2)]);
        assert_eq!(ranges(&batch, Dialect::Raw, 3, 0), []);
        let all = slice::from_ref(&(0..7));
        assert_eq!(ranges(&batch, Dialect::Raw, 4, 0), all);
    }

    #[test]
    fn the_rest_of_a_message_is_found() {
        let batch = batch_of(&[(9, 4), (1, 3), (9, 2)]);
        let raw = batch.encoding(Dialect::Raw);
        assert_eq!(raw.message_end(0), 4);
        assert_eq!(raw.message_end(5), 7);
        assert_eq!(raw.message_end(8), 9);
    }

    #[test]
    fn what_somebody_refers_to_stays_as_it_is() {
        let mut pool = BatchPool::default();
        let mut batch = pool.take();
        let raw = speakers(&[Dialect::Raw]);
        batch.append(1, Class::Event, Audience::All, &raw, |_, out| {
            out.extend_from_slice(b"x");
        });
        let kept = Rc::clone(batch.lend(Dialect::Raw));
        pool.give(batch);
        assert_eq!(pool.pinned(), kept.capacity());
        let mut again = pool.take();
        assert!(again.is_empty());
        again.append(1, Class::Event, Audience::All, &raw, |_, out| {
            out.extend_from_slice(b"y");
        });
        assert_eq!(kept.slice(0..1), b"x");
        drop(kept);
        assert_eq!(pool.pinned(), 0);
    }

    /// A spare buffer of 64 KiB is not pinned by a message of 600 B.
    #[test]
    fn what_is_lent_has_no_slack() {
        let mut pool = BatchPool::default();
        let raw = speakers(&[Dialect::Raw]);
        for len in [60_000, 600] {
            let mut batch = pool.take();
            batch.append(1, Class::Event, Audience::All, &raw, |_, out| {
                out.extend(std::iter::repeat_n(7, len));
            });
            if len == 600 {
                assert!(
                    batch.encoding(Dialect::Raw).capacity() >= 60_000,
                    "a spare one"
                );
                let capacity = batch.lend(Dialect::Raw).capacity();
                assert!(capacity < 700, "{capacity} bytes for one message of {len}");
            }
            pool.give(batch);
        }
    }

    #[test]
    fn a_dialect_that_nobody_speaks_costs_nothing() {
        let mut batch = Batch::default();
        let nobody = Speakers::default();
        batch.append(1, Class::Event, Audience::All, &nobody, |_, _| {
            panic!("nobody would read it")
        });
        let encodings = batch.encodings.iter();
        assert_eq!(
            encodings.map(|encoding| encoding.capacity()).sum::<usize>(),
            0
        );
    }

    /// Who says what, to whom, while which dialects are spoken.
    type Said = (u32, usize, Option<Vec<u32>>, bool);

    proptest! {
        #[test]
        fn everyone_gets_what_is_for_it_but_its_own(
            said in prop::collection::vec(
                (
                    0u32..6,
                    1usize..9,
                    prop::option::weighted(0.3, prop::collection::vec(0u32..7, 0..4)),
                    any::<bool>(),
                ),
                0..40,
            ),
            broadcasts_only: bool,
            member in 0u32..7,
            joined_after in 0usize..40,
        ) {
            let mut said: Vec<Said> = said;
            if broadcasts_only {
                said.iter_mut().for_each(|said| said.2 = None);
            }
            let mut batch = Batch::default();
            for (index, (author, len, audience, both)) in said.iter().enumerate() {
                let audience = audience.as_deref().map_or(Audience::All, Audience::Few);
                let spoken = if *both { &Dialect::ALL[..] } else { &[Dialect::Raw] };
                let encode = |dialect, out: &mut Vec<u8>| write(dialect, out, *author, index, *len);
                batch.append(*author, Class::Event, audience, &speakers(spoken), encode);
            }
            batch.freeze();
            let joined_after = joined_after.min(said.len());
            let heard = |dialect| {
                let mut out = Vec::new();
                for (index, (author, len, audience, both)) in said.iter().enumerate().skip(joined_after) {
                    let for_it = audience.as_ref().is_none_or(|few| few.contains(&member));
                    if *author != member && for_it && (*both || dialect == Dialect::Raw) {
                        write(dialect, &mut out, *author, index, *len);
                    }
                }
                out
            };
            for dialect in Dialect::ALL {
                prop_assert_eq!(received(&batch, dialect, member, joined_after as u32), heard(dialect));
            }
            // Ranges are as few as they can be: one more than the gaps.
            let gaps = said.iter().filter(|(author, _, audience, _)| {
                *author == member || audience.as_ref().is_some_and(|few| !few.contains(&member))
            });
            let gaps = gaps.count();
            prop_assert!(ranges(&batch, Dialect::Raw, member, 0).len() <= gaps + 1);
        }
    }
}
