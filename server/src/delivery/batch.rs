//! The batch: all frames of one room and one iteration, in one contiguous buffer, with an index.

use std::ops::Range;
use std::rc::Rc;

use crate::limits::{SPARE_BATCH_BYTES, SPARE_BATCH_BYTES_EACH};

/// How a message wants to be treated when its receiver has fallen behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Must arrive, in order. In raw mode everything is an event.
    Event,
}

/// Where one frame lies in the batch, and whose it is.
#[derive(Debug, Clone, Copy)]
struct FrameRef {
    sender: u32,
    start: u32,
    end: u32,
}

/// Encoded frames with their senders. Open while messages are appended; frozen, it is immutable and shared.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// In order of `start` while open, of (`sender`, `start`) once frozen.
    frames: Vec<FrameRef>,
}

impl Batch {
    /// Appends what `encode` writes as one frame of `sender`.
    pub fn append(&mut self, sender: u32, class: Class, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        let end = self.bytes.len();
        debug_assert!(
            end <= u32::MAX as usize,
            "bounded by the batch limit and one receive buffer"
        );
        let (start, end) = (start as u32, end as u32);
        match class {
            Class::Event => self.frames.push(FrameRef { sender, start, end }),
        }
    }

    /// Sorts the index so that the frames of one sender are found at once.
    pub fn freeze(&mut self) {
        if self.frames.len() > 1 {
            self.frames.sort_unstable_by_key(|frame| {
                (u64::from(frame.sender) << 32) | u64::from(frame.start)
            });
        }
    }

    /// The byte ranges that a member gets: everything from `from` on, except its own frames. Adjoining frames form one
    /// range. The batch must be frozen.
    pub fn others(&self, member: u32, from: u32) -> impl Iterator<Item = Range<u32>> + Clone + '_ {
        let first = match self.frames.len() {
            0 => 0,
            1 => usize::from(self.frames[0].sender != member),
            _ => self.frames.partition_point(|frame| frame.sender < member),
        };
        let mut own = self.frames[first..]
            .iter()
            .take_while(move |frame| frame.sender == member);
        let len = self.bytes.len() as u32;
        let mut at = from;
        std::iter::from_fn(move || {
            loop {
                match own.next() {
                    Some(frame) if frame.start > at => {
                        let range = at..frame.start;
                        at = frame.end;
                        return Some(range);
                    }
                    Some(frame) => at = at.max(frame.end),
                    None if at < len => return Some(std::mem::replace(&mut at, len)..len),
                    None => return None,
                }
            }
        })
    }

    /// The bytes of a range that [`Batch::others`] gave.
    pub fn slice(&self, range: Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// Where the frame that contains byte `at` ends.
    pub fn frame_end(&self, at: u32) -> u32 {
        let frame = self
            .frames
            .iter()
            .find(|frame| frame.start <= at && at < frame.end);
        frame.map_or(self.bytes.len() as u32, |frame| frame.end)
    }

    /// Bytes of all frames.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory in use: the frames and their index, which outweighs them when they are tiny.
    pub fn footprint(&self) -> usize {
        self.bytes.len() + self.frames.len() * size_of::<FrameRef>()
    }

    /// No frame yet.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }

    fn capacity(&self) -> usize {
        self.bytes.capacity() + self.frames.capacity() * size_of::<FrameRef>()
    }
}

/// Batches that were delivered and wait for their next use, so that the steady state allocates nothing.
#[derive(Debug, Default)]
pub struct BatchPool {
    spare: Vec<Rc<Batch>>,
    bytes: usize,
}

impl BatchPool {
    /// An empty batch that nobody else refers to.
    pub fn take(&mut self) -> Rc<Batch> {
        let Some(batch) = self.spare.pop() else {
            return Rc::default();
        };
        self.bytes -= batch.capacity();
        batch
    }

    /// Takes a batch back if this was the last reference and the pool has room for it.
    pub fn give(&mut self, mut batch: Rc<Batch>) {
        let Some(unshared) = Rc::get_mut(&mut batch) else {
            return;
        };
        let capacity = unshared.capacity();
        if capacity <= SPARE_BATCH_BYTES_EACH && self.bytes + capacity <= SPARE_BATCH_BYTES {
            unshared.clear();
            self.bytes += capacity;
            self.spare.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch_of(senders: &[(u32, usize)]) -> Batch {
        let mut batch = Batch::default();
        for (index, &(sender, len)) in senders.iter().enumerate() {
            batch.append(sender, Class::Event, |out| {
                out.extend(std::iter::repeat_n(index as u8, len));
            });
        }
        batch.freeze();
        batch
    }

    fn received(batch: &Batch, member: u32, from: u32) -> Vec<u8> {
        batch
            .others(member, from)
            .flat_map(|range| batch.slice(range).to_vec())
            .collect()
    }

    #[test]
    fn a_lone_sender_gets_nothing_back() {
        let batch = batch_of(&[(3, 5), (3, 2)]);
        assert_eq!(batch.others(3, 0).count(), 0);
        let mut others = batch.others(4, 0);
        assert_eq!((others.next(), others.next()), (Some(0..7), None));
    }

    #[test]
    fn the_rest_of_a_frame_is_found() {
        let batch = batch_of(&[(9, 4), (1, 3), (9, 2)]);
        assert_eq!(batch.frame_end(0), 4);
        assert_eq!(batch.frame_end(5), 7);
        assert_eq!(batch.frame_end(8), 9);
    }

    #[test]
    fn the_pool_keeps_only_unshared_batches() {
        let mut pool = BatchPool::default();
        let mut batch = pool.take();
        Rc::get_mut(&mut batch)
            .unwrap()
            .append(1, Class::Event, |out| out.extend_from_slice(b"x"));
        let kept = Rc::clone(&batch);
        pool.give(batch);
        assert!(pool.spare.is_empty());
        pool.give(kept);
        assert!(pool.take().is_empty());
    }

    proptest! {
        #[test]
        fn everyone_gets_all_but_its_own(
            senders in prop::collection::vec((0u32..6, 1usize..9), 0..40),
            member in 0u32..7,
            joined_after in 0usize..40,
        ) {
            let batch = batch_of(&senders);
            let joined_after = joined_after.min(senders.len());
            let from: usize = senders[..joined_after].iter().map(|s| s.1).sum();
            let expected: Vec<u8> = senders.iter().enumerate().skip(joined_after)
                .filter(|(_, s)| s.0 != member)
                .flat_map(|(index, s)| std::iter::repeat_n(index as u8, s.1)).collect();
            prop_assert_eq!(received(&batch, member, from as u32), expected);
            // Ranges are as few as they can be: one more than the gaps that the member's own frames make.
            let own = senders.iter().filter(|s| s.0 == member).count();
            prop_assert!(batch.others(member, 0).count() <= own + 1);
        }
    }
}
