//! The outbox: what one connection has to write before anything that waits for its player.

use std::io::IoSlice;

use super::queue::Queue;
use super::{Lanes, Said};

#[derive(Debug, Default)]
struct Out {
    /// TLS records, which leave before all frames: they can be neither cut nor reordered.
    sealed: Vec<u8>,
    /// Bytes of them that have left.
    sealed_written: usize,
    /// The rest of a frame that has begun to leave, and what is for this connection alone.
    frames: Queue,
    /// Bytes of the connection's own answers (pongs, echoes) among them; a bound, not an exact count, until clear.
    answers: usize,
}

/// Clear (8 bytes, no allocation), or what leaves first.
#[derive(Debug, Default)]
pub struct Outbox {
    out: Option<Box<Out>>,
}

impl Outbox {
    /// Nothing waits.
    pub fn is_clear(&self) -> bool {
        self.out.is_none()
    }

    /// Bytes charged: the memory that what waits holds, and the overhead of each segment.
    pub fn charged(&self) -> usize {
        self.out
            .as_ref()
            .map_or(0, |out| out.sealed.capacity() + out.frames.charged())
    }

    /// Whether what is charged for its frames is what they hold.
    pub fn is_accounted(&self) -> bool {
        self.out
            .as_ref()
            .is_none_or(|out| out.frames.is_accounted())
    }

    /// Bytes of own answers that may still wait.
    pub fn answers(&self) -> usize {
        self.out.as_ref().map_or(0, |out| out.answers)
    }

    /// Appends bytes meant for this connection alone, whole frames.
    pub fn push_own(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let out = self.out.get_or_insert_default();
        out.answers += out.frames.append(encode);
    }

    /// Queues TLS records before everything that is not sealed yet.
    pub fn push_sealed(&mut self, records: &[u8]) {
        if !records.is_empty() {
            let out = self.out.get_or_insert_default();
            out.sealed.extend_from_slice(records);
        }
    }

    /// Appends whole frames meant for this connection alone that are no answers to what it sent.
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.out.get_or_insert_default().frames.append(encode);
    }

    /// Queues the rest of bytes that have begun to leave, before everything else.
    pub fn push_begun(&mut self, rest: &[u8]) {
        self.push_sealed(rest);
    }

    /// Takes over what waits: a frame that has begun to leave, or all that a player leaves behind.
    pub(super) fn take_over(&mut self, frames: Queue) {
        if !frames.is_empty() {
            self.out.get_or_insert_default().frames.take_over(frames);
        }
    }

    /// The TLS records that wait.
    pub fn sealed(&self) -> &[u8] {
        self.out
            .as_ref()
            .map_or(&[], |out| &out.sealed[out.sealed_written..])
    }

    /// Appends to `into` what waits here, then in `lanes`, and is not sealed, whole segments or parts, as long as it
    /// stays within `most` bytes. What was taken has left: these messages.
    pub fn take_unsealed(&mut self, lanes: &mut Lanes, into: &mut Vec<u8>, most: usize) -> Said {
        let (mut taken, mut left) = (0, Said::default());
        if let Some(out) = &self.out {
            taken += out.frames.copy_to(into, most);
        }
        taken += lanes.copy_to(into, most);
        if let Some(out) = &mut self.out {
            taken = out.frames.advance(taken, &mut left);
        }
        self.clear_if_done();
        left.push(lanes.advance(taken, self));
        left
    }

    /// The TLS records that wait have left.
    pub fn sealed_left(&mut self) {
        if let Some(out) = &mut self.out {
            out.sealed = Vec::new();
            out.sealed_written = 0;
            self.clear_if_done();
        }
    }

    /// Takes the TLS records and drops everything else: nothing more can be sealed.
    pub fn keep_sealed(&mut self) {
        let sealed = self.sealed().to_vec();
        self.out = None;
        self.push_sealed(&sealed);
    }

    /// Fills `slices` with what waits here, then in `lanes`; returns how many were filled. Sealed records come alone.
    pub fn gather<'a>(&'a self, lanes: &'a Lanes, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        if let Some(out) = &self.out {
            if !out.sealed.is_empty() {
                slices[0] = IoSlice::new(self.sealed());
                return 1;
            }
            filled = out.frames.gather(slices);
        }
        filled + lanes.gather(&mut slices[filled..])
    }

    /// Whether [`Outbox::gather`] gives all that waits if there are so many `slices`.
    pub fn is_whole_in(&self, lanes: &Lanes, slices: usize) -> bool {
        let here = match &self.out {
            None => 0,
            Some(out) if out.sealed.is_empty() => out.frames.segments(),
            Some(_) => return false,
        };
        here + lanes.segments() <= slices
    }

    /// Notes that `written` bytes of what [`Outbox::gather`] gave have left, and frees what they held. A drained outbox
    /// is clear again. Of a frame that has begun to leave, the rest comes here: it must leave whatever becomes of the
    /// player. These messages have left.
    pub fn advance(&mut self, lanes: &mut Lanes, mut written: usize) -> Said {
        let mut left = Said::default();
        if let Some(out) = &mut self.out
            && !out.sealed.is_empty()
        {
            let rest = out.sealed.len() - out.sealed_written;
            if written < rest {
                out.sealed_written += written;
                return left;
            }
            written -= rest;
            self.sealed_left();
        }
        if let Some(out) = &mut self.out {
            written = out.frames.advance(written, &mut left);
            self.clear_if_done();
        }
        left.push(lanes.advance(written, self));
        left
    }

    fn clear_if_done(&mut self) {
        if let Some(out) = &self.out
            && out.sealed.is_empty()
            && out.frames.is_empty()
        {
            self.out = None;
        }
    }

    /// Drops everything but TLS records and the rest of a frame of which a byte has left, so that a close frame can
    /// follow.
    pub fn truncate(&mut self) {
        if let Some(out) = &mut self.out {
            out.frames = out.frames.take_begun(&mut Said::default());
            out.answers = 0;
            self.clear_if_done();
        }
    }

    /// The same, but for those frames among what is dropped which `keep` appends again.
    pub fn truncate_but(&mut self, keep: impl FnOnce(&mut [u8], &mut Vec<u8>)) {
        let Some(out) = &mut self.out else { return };
        let begun = out.frames.take_begun(&mut Said::default());
        let (mut dropped, mut kept) = (Vec::new(), Vec::new());
        out.frames.copy_to(&mut dropped, usize::MAX);
        keep(&mut dropped, &mut kept);
        out.frames = begun;
        out.answers = kept.len();
        if !kept.is_empty() {
            out.frames.append(|frames| frames.append(&mut kept));
        }
        self.clear_if_done();
    }
}
