//! Emitting frames.
//!
//! Owns: the shortest header for a payload, and whole frames appended to a buffer.
//! Must not know: where the bytes go.
//! Invariant: what is emitted, a [`Decoder`](super::Decoder) of the other role reads back unchanged.

use super::{MAX_CONTROL_PAYLOAD, MAX_HEADER, Opcode};
use crate::close::CloseCode;
use crate::mask::{MaskKey, unmask_to_vec};

/// The header of one frame, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl Header {
    /// The header as it goes on the wire: 2 to 14 bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The header of a frame with `len` bytes of payload, the length in its shortest form.
#[must_use]
#[inline]
pub fn header(fin: bool, opcode: Opcode, len: usize, mask: Option<MaskKey>) -> Header {
    let mut bytes = [0; MAX_HEADER];
    bytes[0] = u8::from(fin) << 7 | opcode as u8;
    let mask_bit = u8::from(mask.is_some()) << 7;
    let mut at = 2;
    if len < 126 {
        bytes[1] = mask_bit | len as u8;
    } else if let Ok(len) = u16::try_from(len) {
        bytes[1] = mask_bit | 126;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        at = 4;
    } else {
        bytes[1] = mask_bit | 127;
        bytes[2..10].copy_from_slice(&(len as u64).to_be_bytes());
        at = 10;
    }
    if let Some(key) = mask {
        bytes[at..at + 4].copy_from_slice(&key);
        at += 4;
    }
    Header {
        bytes,
        len: at as u8,
    }
}

/// Size on the wire of an unmasked frame with `payload` bytes of payload.
#[must_use]
#[inline]
pub const fn encoded_len(payload: usize) -> usize {
    let header = match payload {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    header + payload
}

/// Appends one whole unmasked frame: the server's side.
///
/// # Examples
/// ```
/// use roomcast_protocol::frame::{Opcode, encode, encoded_len};
///
/// let mut out = Vec::new();
/// encode(&mut out, Opcode::Text, b"hello");
/// assert_eq!(out, b"\x81\x05hello");
/// assert_eq!(out.len(), encoded_len(5));
/// ```
#[inline]
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    encode_head(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends the header of a whole unmasked frame, whose `payload` bytes follow; there is room for them then.
#[inline]
pub fn encode_head(out: &mut Vec<u8>, opcode: Opcode, payload: usize) {
    out.reserve(encoded_len(payload));
    let first = 0x80 | opcode as u8;
    // Headers of a fixed size each: a `Header` would be copied with a length that is only known at run time.
    if payload < 126 {
        out.extend_from_slice(&[first, payload as u8]);
    } else if let Ok(len) = u16::try_from(payload) {
        let [high, low] = len.to_be_bytes();
        out.extend_from_slice(&[first, 126, high, low]);
    } else {
        out.extend_from_slice(header(true, opcode, payload, None).as_bytes());
    }
}

/// Appends one whole frame masked with `key`: the client's side.
#[inline]
pub fn encode_masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: MaskKey) {
    out.reserve(encoded_len(payload.len()) + key.len());
    let first = 0x80 | opcode as u8;
    let [a, b, c, d] = key;
    if payload.len() < 126 {
        out.extend_from_slice(&[first, 0x80 | payload.len() as u8, a, b, c, d]);
    } else if let Ok(len) = u16::try_from(payload.len()) {
        let [high, low] = len.to_be_bytes();
        out.extend_from_slice(&[first, 0x80 | 126, high, low, a, b, c, d]);
    } else {
        out.extend_from_slice(header(true, opcode, payload.len(), Some(key)).as_bytes());
    }
    unmask_to_vec(payload, key, 0, out);
}

/// Appends a close frame; `reason` is cut at a character boundary to the 123 bytes that fit.
/// `mask` is None on the server's side.
pub fn encode_close(out: &mut Vec<u8>, code: CloseCode, reason: &str, mask: Option<MaskKey>) {
    let mut fits = reason.len().min(MAX_CONTROL_PAYLOAD - 2);
    while !reason.is_char_boundary(fits) {
        fits -= 1;
    }
    let reason = &reason[..fits];
    let mut body = [0; MAX_CONTROL_PAYLOAD];
    body[..2].copy_from_slice(&code.0.to_be_bytes());
    body[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
    let body = &body[..2 + reason.len()];
    match mask {
        None => encode(out, Opcode::Close, body),
        Some(key) => encode_masked(out, Opcode::Close, body, key),
    }
}
