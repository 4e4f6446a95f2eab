//! A batch's messages in one dialect: one contiguous buffer, and where each message ends.

use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::rc::Rc;

use super::Said;
use crate::limits::{COPY_BELOW, PINNED_SLACK};
use crate::planted::{self, Fault};

/// Grows by append with its batch; frozen, it is immutable, and shared with whoever could not take it at once.
#[derive(Debug, Default)]
pub struct Encoding {
    bytes: Vec<u8>,
    /// Where each message ends. What was said while nobody spoke the dialect has no bytes.
    ends: Vec<u32>,
    /// Once only outboxes refer to it: the sum in which its capacity counts until the last of them lets go.
    pinned: OnceCell<Rc<Cell<usize>>>,
    /// Since when its oldest message is here (us), for who can't take it at once.
    pub(super) since: u64,
}

impl Encoding {
    /// Appends what `encode` writes as the bytes of message `index`; those between the last one and it stay empty.
    #[inline(always)]
    pub(super) fn append(&mut self, index: u32, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.ends.len() < index as usize {
            self.ends.resize(index as usize, self.bytes.len() as u32);
        }
        encode(&mut self.bytes);
        let end = self.bytes.len();
        debug_assert!(
            end <= u32::MAX as usize,
            "bounded by the batch limit and one receive buffer"
        );
        self.ends.push(end as u32);
    }

    /// Calls `each` with the ranges between these messages, ascending, from message `from` to the end.
    #[inline(always)]
    pub(super) fn between(
        &self,
        from: u32,
        gaps: impl Iterator<Item = u32>,
        mut each: impl FnMut(Range<u32>),
    ) {
        let mut at = self.start(from);
        for gap in gaps {
            let (start, end) = (self.start(gap), self.end(gap));
            if start > at {
                each(at..start);
                if planted::is(Fault::WrongGap) {
                    at = start;
                    continue;
                }
            }
            at = at.max(end);
        }
        let len = self.len();
        if at < len {
            each(at..len);
        }
    }

    /// The byte at which message `index` begins.
    #[inline]
    fn start(&self, index: u32) -> u32 {
        match index.checked_sub(1) {
            None => 0,
            Some(before) => self.end(before),
        }
    }

    /// The byte at which message `index` ends.
    #[inline]
    fn end(&self, index: u32) -> u32 {
        let end = self.ends.get(index as usize);
        end.map_or(self.bytes.len() as u32, |&end| end)
    }

    /// The bytes of a range that [`Batch::others`](super::Batch::others) gave.
    pub fn slice(&self, range: Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// How many messages a range has, by its share of the bytes: exact for whole encodings and where messages are alike.
    pub fn said(&self, range: &Range<u32>) -> Said {
        let (len, whole) = (u64::from(range.end - range.start), self.bytes.len() as u64);
        let messages = len * self.ends.len() as u64 + whole / 2;
        Said {
            since: self.since,
            messages: messages.checked_div(whole).unwrap_or_default() as u32,
        }
    }

    /// Where the message that contains byte `at` ends.
    pub(super) fn message_end(&self, at: u32) -> u32 {
        let message = self.ends.partition_point(|&end| end <= at);
        self.end(message as u32)
    }

    /// Bytes of all messages.
    pub(super) fn len(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Bytes of memory in use: the messages, and where they end.
    pub(super) fn footprint(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<u32>()
    }

    /// Bytes of memory taken.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Gives back what it does not need, if that is much: who refers to it pins, and is charged, its capacity.
    pub(super) fn trim(&mut self) {
        let used = self.footprint();
        if self.bytes.len() >= COPY_BELOW && self.capacity() > used + used / PINNED_SLACK {
            self.bytes.shrink_to_fit();
            self.ends.shrink_to_fit();
        }
    }

    /// Counts its capacity in `sum` for as long as it lives.
    pub(super) fn count_in(&self, sum: &Rc<Cell<usize>>) {
        let counted = self.pinned.set(Rc::clone(sum));
        debug_assert!(counted.is_ok(), "its batch is given back once");
        sum.set(sum.get() + self.capacity());
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        if let Some(sum) = self.pinned.get() {
            sum.set(sum.get() - self.capacity());
        }
    }
}
