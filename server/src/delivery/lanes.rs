//! Lanes: what waits for one player, whole frames all.
//!
//! There is one: events, in order. States, of which only the newest of a key matters, will have a lane of their own here.

use std::io::IoSlice;
use std::ops::Range;
use std::rc::Rc;

use super::queue::Queue;
use super::{Encoding, Outbox, Said};

/// Clear (8 bytes, no allocation), or what its player's connection has not taken.
#[derive(Debug, Default)]
pub struct Lanes {
    events: Option<Box<Queue>>,
}

impl Lanes {
    /// Nothing waits.
    pub fn is_clear(&self) -> bool {
        self.events.is_none()
    }

    /// Bytes charged: the memory that what waits holds, and the overhead of each segment.
    pub fn charged(&self) -> usize {
        self.events.as_ref().map_or(0, |events| events.charged())
    }

    /// Whether what is charged is what they hold.
    pub fn is_accounted(&self) -> bool {
        self.events
            .as_ref()
            .is_none_or(|events| events.is_accounted())
    }

    /// Queues a range of a batch: by reference, or copied where a reference would cost or pin more.
    #[inline]
    pub fn push_event(&mut self, encoding: &Rc<Encoding>, range: Range<u32>) {
        let events = self.events.get_or_insert_default();
        events.push_shared(encoding, range);
    }

    /// Drops what waits.
    pub fn clear(&mut self) {
        self.events = None;
    }

    /// What waits leaves with this connection, behind what waits there already: the player has gone.
    pub fn leave_to(&mut self, outbox: &mut Outbox) {
        if let Some(events) = self.events.take() {
            outbox.take_over(*events);
        }
    }

    pub(super) fn segments(&self) -> usize {
        self.events.as_ref().map_or(0, |events| events.segments())
    }

    pub(super) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.events
            .as_ref()
            .map_or(0, |events| events.gather(slices))
    }

    pub(super) fn copy_to(&self, into: &mut Vec<u8>, most: usize) -> usize {
        self.events
            .as_ref()
            .map_or(0, |events| events.copy_to(into, most))
    }

    /// Notes that `written` bytes have left, and frees what they held. The rest of a frame that has begun to leave goes
    /// to the connection. These messages have left.
    pub fn advance(&mut self, written: usize, outbox: &mut Outbox) -> Said {
        let mut left = Said::default();
        let Some(events) = &mut self.events else {
            debug_assert_eq!(written, 0, "no more than was queued");
            return left;
        };
        let beyond = events.advance(written, &mut left);
        debug_assert_eq!(beyond, 0, "no more than was queued");
        outbox.take_over(events.take_begun(&mut left));
        if events.is_empty() {
            self.events = None;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::limits::SEGMENT_OVERHEAD;

    fn waiting(outbox: &Outbox, lanes: &Lanes) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = outbox.gather(lanes, &mut slices);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
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

    fn both() -> (Outbox, Lanes) {
        (Outbox::default(), Lanes::default())
    }

    #[test]
    fn who_is_clear_costs_a_word_each() {
        assert_eq!((size_of::<Outbox>(), size_of::<Lanes>()), (8, 8));
    }

    #[test]
    fn a_small_part_of_a_large_batch_is_not_pinned() {
        let batch = frozen(100, 1_000);
        let (mut outbox, mut lanes) = both();
        lanes.push_event(&batch, 0..1_000);
        assert_eq!(Rc::strong_count(&batch), 1);
        lanes.push_event(&batch, 0..50_000);
        assert_eq!(Rc::strong_count(&batch), 2);
        outbox.advance(&mut lanes, 51_000);
        assert_eq!(Rc::strong_count(&batch), 1);
        assert!(outbox.is_clear() && lanes.is_clear());
    }

    #[test]
    fn tiny_frames_are_charged_for_their_overhead() {
        let mut lanes = Lanes::default();
        for pushes in 1..100 {
            let batch = frozen(1, 600);
            lanes.push_event(&batch, 0..600);
            assert_eq!(
                lanes.charged(),
                pushes * (batch.capacity() + SEGMENT_OVERHEAD)
            );
        }
    }

    #[test]
    fn a_buffer_is_charged_once_for_all_its_parts_in_a_row() {
        let batch = frozen(10, 1_000);
        let (mut outbox, mut lanes) = both();
        for part in [0..4_000, 5_000..9_000] {
            lanes.push_event(&batch, part);
        }
        let whole = batch.capacity();
        assert_eq!(lanes.charged(), whole + 2 * SEGMENT_OVERHEAD);
        // As long as a byte of it waits, all of it is held.
        outbox.advance(&mut lanes, 4_000);
        assert_eq!(lanes.charged(), whole + SEGMENT_OVERHEAD);
        outbox.advance(&mut lanes, 4_000);
        assert_eq!(outbox.charged() + lanes.charged(), 0);
    }

    #[test]
    fn what_has_begun_to_leave_belongs_to_the_connection() {
        let batch = frozen(4, 1_000);
        let (mut outbox, mut lanes) = both();
        lanes.push_event(&batch, 0..4_000);
        outbox.advance(&mut lanes, 1_500);
        lanes.clear();
        outbox.push_own(|out| out.extend_from_slice(b"pong"));
        outbox.truncate();
        assert_eq!(waiting(&outbox, &lanes), vec![1u8; 500]);
        outbox.push_own(|out| out.extend_from_slice(b"close"));
        outbox.advance(&mut lanes, 500);
        assert_eq!(waiting(&outbox, &lanes), b"close");
        outbox.truncate();
        assert!(outbox.is_clear(), "nothing of it had left");
    }

    #[test]
    fn what_a_player_leaves_behind_leaves_in_order() {
        let batch = frozen(4, 1_000);
        let (mut outbox, mut lanes) = both();
        lanes.push_event(&batch, 0..4_000);
        outbox.advance(&mut lanes, 2_500);
        lanes.leave_to(&mut outbox);
        outbox.push_own(|out| out.extend_from_slice(b"close"));
        let expected = [vec![2u8; 500], vec![3u8; 1_000], b"close".to_vec()].concat();
        assert_eq!(waiting(&outbox, &lanes), expected);
    }

    #[test]
    fn a_segment_being_written_does_not_grow() {
        let (mut outbox, mut lanes) = both();
        outbox.push_own(|out| out.extend_from_slice(&[7; 100]));
        for _ in 0..10_000 {
            outbox.advance(&mut lanes, 50);
            outbox.push_own(|out| out.extend_from_slice(&[7; 50]));
            assert!(outbox.charged() < 1_000, "{}", outbox.charged());
        }
    }

    proptest! {
        /// Whatever is queued and however little is written at a time: events come whole and in order, so do own
        /// frames, and never is more memory held than charged.
        #[test]
        fn frames_come_whole_and_in_order(
            steps in prop::collection::vec((0u8..4, 0u32..20, 0usize..6_000), 1..100),
        ) {
            // A frame is its mark, its length, and so many bytes; own ones have the marks from 200 on.
            let frame = |mark: u8, len: usize| {
                let mut bytes = vec![mark, (len >> 8) as u8, len as u8];
                bytes.resize(3 + len, mark);
                bytes
            };
            let lens = [3, 900, 40, 1_500, 0, 700, 10, 2_000, 300, 60];
            let mut batch = Encoding::default();
            let mut ends = vec![0];
            for (index, len) in lens.into_iter().enumerate() {
                batch.append(index as u32, |out| out.extend(frame(index as u8, len)));
                ends.push(batch.len());
            }
            let batch = Rc::new(batch);
            let (mut outbox, mut lanes) = both();
            let (mut events, mut own) = (VecDeque::new(), VecDeque::new());
            let mut stream = Vec::new();
            let mut finish = false;
            let mut steps = steps.into_iter();
            while !finish || !outbox.is_clear() || !lanes.is_clear() {
                let (kind, size, written) = steps.next().unwrap_or_else(|| {
                    finish = true;
                    (3, 0, 50_000)
                });
                match kind {
                    0 => {
                        let bytes = frame(200 + size as u8, written / 5);
                        outbox.push_own(|out| out.extend_from_slice(&bytes));
                        own.push_back(bytes);
                    }
                    1 => {
                        let (from, to) = (size as usize % 10, 10 - written % (10 - size as usize % 10));
                        lanes.push_event(&batch, ends[from]..ends[to]);
                        events.extend((from..to).map(|index| frame(index as u8, lens[index])));
                    }
                    2 => {
                        let before = stream.len();
                        outbox.take_unsealed(&mut lanes, &mut stream, before + written);
                    }
                    _ => {
                        let front = waiting(&outbox, &lanes);
                        let n = written.min(front.len());
                        stream.extend_from_slice(&front[..n]);
                        outbox.advance(&mut lanes, n);
                    }
                }
                let pinned = if Rc::strong_count(&batch) > 1 { batch.capacity() } else { 0 };
                prop_assert!(outbox.charged() + lanes.charged() >= pinned);
            }
            let mut rest = &stream[..];
            while let [mark, high, low, ..] = *rest {
                let (whole, more) = rest.split_at(3 + (usize::from(high) << 8 | usize::from(low)));
                let of = if mark >= 200 { &mut own } else { &mut events };
                prop_assert_eq!(Some(whole.to_vec()), of.pop_front());
                rest = more;
            }
            prop_assert!(rest.is_empty() && own.is_empty() && events.is_empty());
            prop_assert_eq!((Rc::strong_count(&batch), outbox.charged(), lanes.charged()), (1, 0, 0));
        }
    }
}
