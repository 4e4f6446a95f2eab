//! Segments on their way to one socket, in order, and the memory that they hold.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::ops::Range;
use std::rc::Rc;

use super::{Encoding, Said};
use crate::limits::{COPY_BELOW, PINNED_SHARE, SEGMENT_OVERHEAD};
use crate::planted::{self, Fault};

/// A segment of own bytes that has reached half of this size does not grow any more.
const OWN_SEGMENT: usize = 16 * 1024;

#[derive(Debug)]
enum Segment {
    /// Bytes of this receiver alone, or copied out of a batch.
    Own(Vec<u8>),
    /// A range of a frozen batch in the receiver's dialect, frames whole.
    Shared {
        encoding: Rc<Encoding>,
        start: u32,
        end: u32,
    },
}

impl Segment {
    fn shared(encoding: &Rc<Encoding>, range: Range<u32>) -> Self {
        Self::Shared {
            encoding: Rc::clone(encoding),
            start: range.start,
            end: range.end,
        }
    }

    fn is_part_of(&self, encoding: &Rc<Encoding>) -> bool {
        matches!(self, Self::Shared { encoding: own, .. } if Rc::ptr_eq(own, encoding))
    }

    /// Whether it is a part of the same buffer as the one before it.
    fn goes_on(&self, before: &Self) -> bool {
        matches!(self, Self::Shared { encoding, .. } if before.is_part_of(encoding))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared {
                encoding,
                start,
                end,
            } => encoding.slice(*start..*end),
        }
    }

    /// Bytes of memory that it keeps from being freed, behind `before` in its queue: parts of one buffer that follow
    /// one another pin it once.
    fn pins(&self, before: Option<&Self>) -> usize {
        match self {
            Self::Own(bytes) => bytes.capacity(),
            Self::Shared { .. } if before.is_some_and(|before| self.goes_on(before)) => 0,
            Self::Shared { encoding, .. } => encoding.capacity(),
        }
    }
}

/// Whether a reference to a range would cost or pin more than a copy of it.
fn is_copied(encoding: &Encoding, range: &Range<u32>) -> bool {
    let len = (range.end - range.start) as usize;
    len < COPY_BELOW || len * PINNED_SHARE < encoding.capacity()
}

/// What waits, from the front: frames whole, but for the first, of which a part may have left.
#[derive(Debug, Default)]
pub(super) struct Queue {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that have left.
    written: usize,
    /// Some of the first frame has left, if only before this was a segment of its own.
    begun: bool,
    /// Memory that all segments hold, and their overhead.
    charged: usize,
    /// The messages of all copies that wait: in a segment of its own each would make every segment two thirds larger.
    copied: Said,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Segments that wait.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Bytes charged: what is pinned (capacities, not lengths), and [`SEGMENT_OVERHEAD`] for each segment.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    /// Whether that is so.
    pub(super) fn is_accounted(&self) -> bool {
        let before = std::iter::once(None).chain(self.segments.iter().map(Some));
        let held = self.segments.iter().zip(before);
        let held = held.map(|(segment, before)| segment.pins(before) + SEGMENT_OVERHEAD);
        self.charged == held.sum::<usize>()
    }

    /// Queues a range of a batch: by reference, or copied where a reference would cost or pin more.
    #[inline]
    pub(super) fn push_shared(&mut self, encoding: &Rc<Encoding>, range: Range<u32>) {
        if is_copied(encoding, &range) {
            self.push_copy(encoding, range);
        } else {
            self.push(Segment::shared(encoding, range));
        }
    }

    #[inline(never)]
    fn push_copy(&mut self, encoding: &Encoding, range: Range<u32>) {
        self.copied.push(encoding.said(&range));
        self.append(|out| out.extend_from_slice(encoding.slice(range)));
    }

    /// Appends to the last own segment, or to a new one. Never to one that is being written: its bytes that have left
    /// would stay for as long as there is something to append; nor to a long one that has no room: it would double.
    /// Returns how many bytes came.
    pub(super) fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let being_written = self.begun && self.segments.len() == 1;
        match self.segments.back_mut() {
            Some(Segment::Own(bytes))
                if !being_written
                    && (bytes.len() < OWN_SEGMENT / 2
                        || bytes.capacity() - bytes.len() > COPY_BELOW) =>
            {
                let before = bytes.len();
                self.charged -= bytes.capacity();
                encode(bytes);
                self.charged += bytes.capacity();
                bytes.len() - before
            }
            _ => {
                let mut bytes = Vec::new();
                encode(&mut bytes);
                let added = bytes.len();
                self.push(Segment::Own(bytes));
                added
            }
        }
    }

    #[inline]
    fn push(&mut self, segment: Segment) {
        self.charged += segment.pins(self.segments.back()) + SEGMENT_OVERHEAD;
        self.segments.push_back(segment);
    }

    fn pop(&mut self) -> Option<Segment> {
        let first = self.segments.pop_front()?;
        if !planted::is(Fault::Overcharge) {
            self.charged -= SEGMENT_OVERHEAD;
        }
        // What follows may be a part of the same buffer, and was charged nothing for it: then it holds that from now on.
        if self
            .segments
            .front()
            .is_none_or(|next| !next.goes_on(&first))
        {
            self.charged -= first.pins(None);
        }
        Some(first)
    }

    /// Takes over all that waits in `other`, behind what waits here.
    pub(super) fn take_over(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        debug_assert!(!other.begun, "whole frames wait behind others");
        self.copied.push(mem::take(&mut other.copied));
        while let Some(segment) = other.pop() {
            self.push(segment);
        }
    }

    /// Fills `slices` with what waits, from the front; returns how many were filled.
    pub(super) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut filled = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(&segment.bytes()[skip..]);
            skip = 0;
            filled += 1;
        }
        filled
    }

    /// Appends to `out` what waits, whole segments or parts, as long as it stays within `most` bytes; returns how much
    /// that was. It has not left yet.
    pub(super) fn copy_to(&self, out: &mut Vec<u8>, most: usize) -> usize {
        let mut skip = self.written;
        let before = out.len();
        for segment in &self.segments {
            let room = most - out.len();
            let bytes = &segment.bytes()[skip..];
            out.extend_from_slice(&bytes[..bytes.len().min(room)]);
            skip = 0;
            if out.len() == most {
                break;
            }
        }
        out.len() - before
    }

    /// Notes that `written` bytes have left, and in `left` which messages, those of all copies with the first of them; returns
    /// those bytes that were not from here.
    pub(super) fn advance(&mut self, mut written: usize, left: &mut Said) -> usize {
        let mut gone = 0;
        for segment in &self.segments {
            let rest = segment.bytes().len() - self.written;
            if written < rest {
                self.written += written;
                self.begun |= self.written > 0;
                self.drop_first(gone);
                return 0;
            }
            written -= rest;
            (self.written, self.begun) = (0, false);
            gone += 1;
            left.push(match segment {
                Segment::Own(_) => mem::take(&mut self.copied),
                Segment::Shared {
                    encoding,
                    start,
                    end,
                } => encoding.said(&(*start..*end)),
            });
        }
        self.drop_first(gone);
        written
    }

    /// So many segments have left: all, most often.
    fn drop_first(&mut self, gone: usize) {
        if gone == self.segments.len() && !planted::is(Fault::Overcharge) {
            self.segments.clear();
            self.charged = 0;
            return;
        }
        for _ in 0..gone {
            self.pop();
        }
    }

    /// Takes out the rest of a frame of which a byte has left, as a copy, so that it alone pins nothing. Of copied frames
    /// nobody knows where they end: such a segment (16 KiB, or one range) counts as one. Notes in `left` which messages have left
    /// before it.
    pub(super) fn take_begun(&mut self, left: &mut Said) -> Self {
        let mut begun = Self::default();
        if !self.begun {
            return begun;
        }
        let written = mem::take(&mut self.written);
        (self.begun, begun.begun) = (false, true);
        match self.pop() {
            Some(Segment::Shared {
                encoding,
                start,
                end,
            }) => {
                let at = start + written as u32;
                let cut = encoding.message_end(at);
                let mut said = encoding.said(&(start..cut));
                said.messages = said.messages.saturating_sub(1);
                left.push(said);
                said.messages = 1;
                begun.copied = said;
                begun.push(Segment::Own(encoding.slice(at..cut).to_vec()));
                if cut < end {
                    self.push_front(&encoding, cut..end);
                }
            }
            Some(own) => {
                begun.copied = mem::take(&mut self.copied);
                begun.push(own);
                begun.written = written;
            }
            None => {}
        }
        begun
    }

    fn push_front(&mut self, encoding: &Rc<Encoding>, range: Range<u32>) {
        let next = self.segments.front();
        let is_pinned = next.is_some_and(|next| next.is_part_of(encoding));
        let first = if is_copied(encoding, &range) && !is_pinned {
            let mut copied = encoding.said(&range);
            copied.push(self.copied);
            self.copied = copied;
            Segment::Own(encoding.slice(range).to_vec())
        } else {
            Segment::shared(encoding, range)
        };
        if let Some(next) = next {
            self.charged -= next.pins(None) - next.pins(Some(&first));
        }
        self.charged += first.pins(None) + SEGMENT_OVERHEAD;
        self.segments.push_front(first);
    }
}
