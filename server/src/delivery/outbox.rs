//! The outbox: what one receiver has not taken yet.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::rc::Rc;

use super::Encoding;
use crate::limits::{COPY_BELOW, PINNED_SHARE, SEGMENT_OVERHEAD};

/// A segment of own bytes that has reached this size is not appended to.
const OWN_SEGMENT: usize = 16 * 1024;

#[derive(Debug)]
enum Segment {
    /// Bytes of this connection alone, or copied out of a batch.
    Own(Vec<u8>),
    /// A range of a frozen batch in the receiver's dialect, frames whole.
    Shared {
        encoding: Rc<Encoding>,
        start: u32,
        end: u32,
    },
}

impl Segment {
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
            Self::Shared { encoding, .. } => match before {
                Some(Self::Shared { encoding: same, .. }) if Rc::ptr_eq(encoding, same) => 0,
                _ => encoding.capacity(),
            },
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// TLS records, which leave before all segments: they can be neither cut nor reordered.
    sealed: Vec<u8>,
    /// Bytes of them that have left.
    sealed_written: usize,
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that have left.
    written: usize,
    /// Memory of the sealed bytes and of all segments, and their overhead.
    charged: usize,
    /// Bytes of the connection's own answers (pongs, echoes) among them; a bound, not an exact count, until clear.
    answers: usize,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// Within the limit.
    Within,
    /// Queued, but the charge is now over the limit: the receiver is a slow consumer.
    Over,
}

/// Clear (8 bytes, no allocation) or a bounded queue of segments.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Option<Box<Queue>>,
}

impl Outbox {
    /// Nothing waits.
    pub fn is_clear(&self) -> bool {
        self.queue.is_none()
    }

    /// Bytes charged: what is pinned (capacities, not lengths), and [`SEGMENT_OVERHEAD`] for each segment.
    pub fn charged(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.charged)
    }

    /// Bytes of own answers that may still wait.
    pub fn answers(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.answers)
    }

    /// Appends bytes meant for this connection alone, whole frames.
    pub fn push_own(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let queue = self.queue.get_or_insert_default();
        let added = queue.append(encode);
        queue.answers += added;
    }

    /// Queues a range of a batch: by reference, or copied where a reference would cost or pin more.
    pub fn push_shared(
        &mut self,
        encoding: &Rc<Encoding>,
        range: Range<u32>,
        limit: usize,
    ) -> Queued {
        let queue = self.queue.get_or_insert_default();
        let len = (range.end - range.start) as usize;
        if len < COPY_BELOW || len * PINNED_SHARE < encoding.capacity() {
            queue.append(|out| out.extend_from_slice(encoding.slice(range)));
        } else {
            queue.push(Segment::Shared {
                encoding: Rc::clone(encoding),
                start: range.start,
                end: range.end,
            });
        }
        if queue.charged > limit {
            Queued::Over
        } else {
            Queued::Within
        }
    }

    /// Queues TLS records before everything that is not sealed yet.
    pub fn push_sealed(&mut self, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        let queue = self.queue.get_or_insert_default();
        queue.charged -= queue.sealed.capacity();
        queue.sealed.extend_from_slice(records);
        queue.charged += queue.sealed.capacity();
    }

    /// The TLS records that wait.
    pub fn sealed(&self) -> &[u8] {
        self.queue
            .as_ref()
            .map_or(&[], |queue| &queue.sealed[queue.sealed_written..])
    }

    /// Appends to `out` what waits and is not sealed, whole segments or parts, as long as it stays within `most` bytes.
    /// What was taken has left.
    pub fn take_unsealed(&mut self, out: &mut Vec<u8>, most: usize) {
        let Some(queue) = &mut self.queue else { return };
        let mut skip = queue.written;
        let before = out.len();
        for segment in &queue.segments {
            let room = most - out.len();
            let bytes = &segment.bytes()[skip..];
            out.extend_from_slice(&bytes[..bytes.len().min(room)]);
            skip = 0;
            if out.len() == most {
                break;
            }
        }
        let taken = out.len() - before;
        queue.advance(taken);
        if queue.is_done() {
            self.queue = None;
        }
    }

    /// Takes the TLS records and drops everything else: nothing more can be sealed.
    pub fn keep_sealed(&mut self) {
        let sealed = self.sealed().to_vec();
        self.queue = None;
        self.push_sealed(&sealed);
    }

    /// Fills `slices` with what waits, from the front; returns how many were filled. Sealed records come alone.
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(queue) = &self.queue else { return 0 };
        if !self.sealed().is_empty() {
            slices[0] = IoSlice::new(self.sealed());
            return 1;
        }
        let mut skip = queue.written;
        let mut filled = 0;
        for (slice, segment) in slices.iter_mut().zip(&queue.segments) {
            *slice = IoSlice::new(&segment.bytes()[skip..]);
            skip = 0;
            filled += 1;
        }
        filled
    }

    /// Notes that `written` bytes have left. Frees what they held; a drained outbox is clear again.
    pub fn advance(&mut self, mut written: usize) {
        let Some(queue) = &mut self.queue else {
            debug_assert_eq!(written, 0, "nothing was queued");
            return;
        };
        if !queue.sealed.is_empty() {
            let rest = queue.sealed.len() - queue.sealed_written;
            if written < rest {
                queue.sealed_written += written;
                return;
            }
            written -= rest;
            queue.charged -= queue.sealed.capacity();
            queue.sealed = Vec::new();
            queue.sealed_written = 0;
        }
        queue.advance(written);
        if queue.is_done() {
            self.queue = None;
        }
    }

    /// Drops everything but TLS records and the rest of a frame of which a byte has left, so that a close frame can
    /// follow.
    pub fn truncate(&mut self) {
        let Some(queue) = &mut self.queue else { return };
        if queue.written == 0 {
            return self.keep_sealed();
        }
        queue.segments.truncate(1);
        if let Some(Segment::Shared {
            encoding,
            start,
            end,
        }) = queue.segments.front_mut()
        {
            *end = encoding.message_end(*start + queue.written as u32);
        }
        let first = queue.segments.front();
        let charged = first.map_or(0, |first| first.pins(None) + SEGMENT_OVERHEAD);
        queue.charged = queue.sealed.capacity() + charged;
        queue.answers = 0;
    }
}

impl Queue {
    fn is_done(&self) -> bool {
        self.sealed.is_empty() && self.segments.is_empty()
    }

    /// This many bytes of the segments have left.
    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.segments.front() {
            let len = first.bytes().len();
            let rest = len - self.written;
            if written < rest {
                self.written += written;
                return;
            }
            written -= rest;
            self.written = 0;
            self.pop();
        }
        debug_assert_eq!(written, 0, "no more than was queued");
    }

    fn push(&mut self, segment: Segment) {
        self.charged += segment.pins(self.segments.back()) + SEGMENT_OVERHEAD;
        self.segments.push_back(segment);
    }

    fn pop(&mut self) {
        let Some(first) = self.segments.pop_front() else {
            return;
        };
        // What follows may be a part of the same buffer, and was charged nothing for it; so it still is.
        self.charged -= first.pins(None) + SEGMENT_OVERHEAD;
        if let Some(next) = self.segments.front() {
            self.charged += next.pins(None) - next.pins(Some(&first));
        }
    }

    /// Appends to the last own segment, or to a new one. Never to a segment that is being written: its bytes that
    /// have left would stay for as long as there is something to append.
    fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let being_written = self.written > 0 && self.segments.len() == 1;
        match self.segments.back_mut() {
            Some(Segment::Own(bytes)) if !being_written && bytes.len() < OWN_SEGMENT => {
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = outbox.gather(&mut slices);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    /// Bytes of memory that an outbox keeps from being freed.
    fn held(outbox: &Outbox) -> usize {
        let segments = outbox.queue.iter().flat_map(|queue| &queue.segments);
        let mut buffers = std::collections::BTreeMap::new();
        for segment in segments {
            let (at, capacity) = match segment {
                Segment::Own(bytes) => (bytes.as_ptr().addr(), bytes.capacity()),
                Segment::Shared { encoding, .. } => {
                    (Rc::as_ptr(encoding).addr(), encoding.capacity())
                }
            };
            buffers.insert(at, capacity);
        }
        buffers.values().sum()
    }

    fn frozen(messages: usize, len: usize) -> Rc<Encoding> {
        let mut encoding = Encoding::default();
        for index in 0..messages {
            encoding.append(index as u32, |out| {
                out.extend(std::iter::repeat_n(index as u8, len));
            });
        }
        encoding.trim();
        Rc::new(encoding)
    }

    #[test]
    fn a_clear_outbox_is_one_word() {
        assert_eq!(size_of::<Outbox>(), 8);
    }

    #[test]
    fn a_small_part_of_a_large_batch_is_not_pinned() {
        let batch = frozen(100, 1_000);
        let mut outbox = Outbox::default();
        assert_eq!(
            outbox.push_shared(&batch, 0..1_000, 1 << 20),
            Queued::Within
        );
        assert_eq!(Rc::strong_count(&batch), 1);
        outbox.push_shared(&batch, 0..50_000, 1 << 20);
        assert_eq!(Rc::strong_count(&batch), 2);
        outbox.advance(51_000);
        assert_eq!(Rc::strong_count(&batch), 1);
        assert!(outbox.is_clear());
    }

    #[test]
    fn tiny_frames_are_charged_for_their_overhead() {
        let mut outbox = Outbox::default();
        let each = frozen(1, 600).capacity() + SEGMENT_OVERHEAD;
        let mut pushes = 0;
        while outbox.push_shared(&frozen(1, 600), 0..600, 64 * 1024) == Queued::Within {
            pushes += 1;
        }
        assert_eq!(pushes, 64 * 1024 / each);
    }

    #[test]
    fn a_buffer_is_charged_once_for_all_its_parts_in_a_row() {
        let batch = frozen(10, 1_000);
        let mut outbox = Outbox::default();
        for part in [0..4_000, 5_000..9_000] {
            outbox.push_shared(&batch, part, 1 << 20);
        }
        let whole = batch.capacity();
        assert_eq!(outbox.charged(), whole + 2 * SEGMENT_OVERHEAD);
        // As long as a byte of it waits, all of it is held.
        outbox.advance(4_001);
        assert_eq!(outbox.charged(), whole + SEGMENT_OVERHEAD);
        outbox.advance(3_999);
        assert_eq!(outbox.charged(), 0);
    }

    #[test]
    fn truncation_keeps_the_frame_that_has_begun_to_leave() {
        let batch = frozen(4, 1_000);
        let mut outbox = Outbox::default();
        outbox.push_shared(&batch, 0..4_000, 1 << 20);
        outbox.push_own(|out| out.extend_from_slice(b"later"));
        outbox.advance(1_500);
        outbox.truncate();
        assert_eq!(waiting(&outbox), vec![1u8; 500]);
        outbox.push_own(|out| out.extend_from_slice(b"close"));
        outbox.advance(500);
        assert_eq!(waiting(&outbox), b"close");
        let mut untouched = Outbox::default();
        untouched.push_shared(&batch, 0..4_000, 1 << 20);
        untouched.truncate();
        assert!(untouched.is_clear());
    }

    #[test]
    fn a_segment_being_written_does_not_grow() {
        let mut outbox = Outbox::default();
        outbox.push_own(|out| out.extend_from_slice(&[7; 100]));
        for _ in 0..10_000 {
            outbox.advance(50);
            outbox.push_own(|out| out.extend_from_slice(&[7; 50]));
            assert!(outbox.charged() < 1_000, "{}", outbox.charged());
        }
    }

    proptest! {
        /// Whatever is queued and however little is written at a time: the same bytes, in order, and never more memory
        /// than is charged.
        #[test]
        fn is_a_queue_of_bytes(steps in prop::collection::vec((0u8..3, 0u32..5_000, 0usize..6_000), 1..100)) {
            let batch = frozen(5, 1_000);
            let mut outbox = Outbox::default();
            let mut model: VecDeque<u8> = VecDeque::new();
            for (kind, size, written) in steps {
                match kind {
                    0 => {
                        outbox.push_own(|out| out.extend((0..size % 700).map(|b| b as u8)));
                        model.extend((0..size % 700).map(|b| b as u8));
                    }
                    1 => {
                        let range = size.min(4_999)..5_000;
                        model.extend(batch.slice(range.clone()));
                        outbox.push_shared(&batch, range, usize::MAX);
                    }
                    _ => {
                        let front = waiting(&outbox);
                        let n = written.min(front.len());
                        prop_assert!(front.iter().eq(model.iter().take(front.len())));
                        outbox.advance(n);
                        model.drain(..n);
                    }
                }
                prop_assert!(outbox.charged() >= held(&outbox));
            }
            let mut rest = Vec::new();
            while !outbox.is_clear() {
                let front = waiting(&outbox);
                outbox.advance(front.len());
                rest.extend(front);
            }
            prop_assert_eq!(rest, Vec::from(model));
            prop_assert_eq!(Rc::strong_count(&batch), 1);
        }
    }
}
