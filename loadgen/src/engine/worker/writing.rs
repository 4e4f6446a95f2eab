//! Messages on their way to bytes.
//!
//! Owns the buffers. Must not know whose messages they are, or when they are due.
//! Invariant: what a frame takes of `out` is the same for every message.

use roomcast_protocol::frame;
use roomcast_protocol::v1::Payload;

use crate::engine::measure::Measure;
use crate::payload::Stamp;
use crate::scenario::MessageKind;

/// Messages on their way to bytes.
pub(super) struct Writing {
    pub(super) run: u32,
    pub(super) opcode: frame::Opcode,
    pub(super) kind: MessageKind,
    pub(super) frame_len: usize,
    pub(super) payload: Vec<u8>,
    /// What a player says at a time.
    pub(super) message: Vec<u8>,
    /// Whole messages, one after the other.
    pub(super) out: Vec<u8>,
}

impl Writing {
    /// How many messages are whole in the first `written` bytes, and the rest of one that was begun.
    pub(super) fn split(&self, written: usize) -> (u32, &[u8]) {
        let (whole, begun) = (written / self.frame_len, written % self.frame_len);
        let end = if begun > 0 {
            (whole + 1) * self.frame_len
        } else {
            written
        };
        (whole as u32, &self.out[written..end])
    }

    /// Makes the payload of a message.
    #[inline]
    pub(super) fn payload_of(&mut self, stamp: &Stamp, measure: &Measure) -> Payload<'_> {
        self.payload.clear();
        measure.codec().write(stamp, &mut self.payload);
        match (self.kind, std::str::from_utf8(&self.payload)) {
            (MessageKind::Text, Ok(text)) => Payload::Text(text),
            _ => Payload::Bytes(&self.payload),
        }
    }
}
