//! What a decoder keeps of an incomplete frame or message.
//!
//! Owns: the one buffer of a connection whose input ended in the middle of something.
//! Must not know: the rules of headers.
//! Invariant: the buffer grows with what arrives, never with what is only declared: its capacity is at most twice
//! what arrived (256 bytes at first), and never over the largest message plus one control payload.

use super::head::{Head, Open};
use super::{MAX_EMPTY_FRAGMENTS, MAX_HEADER, MessageKind, Opcode, Violation};
use crate::mask;
use crate::utf8;

/// The smallest capacity worth asking the allocator for, in bytes, unless the frame is shorter.
const FIRST_CAPACITY: usize = 256;

/// A frame whose header is complete and whose payload is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving {
    pub(super) head: Head,
    /// How much of the payload is in the buffer already.
    pub(super) taken: usize,
}

/// What the last call to the decoder lent out of the buffer, to be dropped by the next.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Lent {
    #[default]
    Nothing,
    Message,
    Control,
}

#[derive(Default, Debug)]
pub(super) struct Partial {
    /// The fragments of the message so far, then the payload of the frame that is arriving.
    pub(super) buffer: Vec<u8>,
    pub(super) open: Option<Open>,
    pub(super) arriving: Option<Arriving>,
    header: [u8; MAX_HEADER],
    header_len: u8,
    utf8: utf8::Stream,
    /// Fragments without payload so far.
    empty: u8,
    pub(super) lent: Lent,
    dead: Option<Violation>,
}

impl Partial {
    /// All that is left of a decoder after `violation`.
    pub(super) fn dead_of(violation: Violation) -> Self {
        Self {
            dead: Some(violation),
            ..Self::default()
        }
    }

    /// The violation that ended the decoder.
    pub(super) fn dead(&self) -> Option<Violation> {
        self.dead
    }

    /// Heap bytes held by this and its buffer.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.buffer.capacity()
    }

    /// Bytes of the fragmented message before the frame that is arriving.
    pub(super) fn message_len(&self) -> usize {
        self.open.map_or(0, |open| open.len)
    }

    /// The kind of the message that a data frame with `opcode` belongs to; None for control frames.
    pub(super) fn kind(&self, opcode: Opcode) -> Option<MessageKind> {
        match opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            Opcode::Continuation => self.open.map(|open| open.kind),
            Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        }
    }

    /// The beginning of a header.
    pub(super) fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    /// Adds to the beginning of a header as much of `input` as a header can have; returns how much that was.
    pub(super) fn extend_header(&mut self, input: &[u8]) -> usize {
        let free = &mut self.header[usize::from(self.header_len)..];
        let len = free.len().min(input.len());
        free[..len].copy_from_slice(&input[..len]);
        self.header_len += len as u8;
        len
    }

    /// Forgets the beginning of a header, once it was read.
    pub(super) fn clear_header(&mut self) {
        self.header_len = 0;
    }

    /// Whether nothing is incomplete, so that all of this can be freed.
    pub(super) fn is_idle(&self) -> bool {
        let incomplete = self.open.is_some() || self.arriving.is_some() || self.header_len > 0;
        self.lent == Lent::Message || !incomplete && self.dead.is_none()
    }

    /// Unmasks `payload`, the next piece of `arriving`, into the buffer. `limit` bounds the message.
    pub(super) fn append(
        &mut self,
        arriving: &Arriving,
        payload: &[u8],
        limit: usize,
    ) -> Result<(), Violation> {
        let Arriving { head, taken } = *arriving;
        let start = self.buffer.len();
        self.grow(
            payload.len(),
            if head.fin {
                start - taken + head.len
            } else {
                limit
            },
        );
        match head.key {
            Some(key) => mask::unmask_to_vec(payload, key, taken, &mut self.buffer),
            None => self.buffer.extend_from_slice(payload),
        }
        if self.kind(head.opcode) == Some(MessageKind::Text) {
            self.utf8
                .push(&self.buffer[start..])
                .map_err(|_| Violation::InvalidUtf8)?;
        }
        Ok(())
    }

    /// Notes that a fragment, not the message's last, is whole.
    pub(super) fn end_fragment(&mut self, head: &Head) -> Result<(), Violation> {
        self.empty += u8::from(head.len == 0);
        if self.empty > MAX_EMPTY_FRAGMENTS {
            return Err(Violation::TooManyEmptyFragments);
        }
        Ok(())
    }

    /// Ends the text, if the message is one: no code point may be incomplete.
    pub(super) fn finish_text(&mut self) -> Result<(), Violation> {
        self.utf8.finish().map_err(|_| Violation::InvalidUtf8)
    }

    /// Makes room for `more` bytes. `most` is the length that the buffer will not go beyond for now.
    fn grow(&mut self, more: usize, most: usize) {
        let (len, capacity) = (self.buffer.len(), self.buffer.capacity());
        let needed = len + more;
        if needed > capacity {
            let wanted = (2 * needed).max(FIRST_CAPACITY);
            self.buffer
                .reserve_exact(wanted.min(most).max(needed) - len);
        }
    }
}
