//! From frame to frame, without looking into them.
//!
//! Owns: how long an unmasked frame is. Must not know: whether it breaks a rule; who decodes it says so.

use super::Opcode;

/// Bytes of the unmasked frame at the front of `bytes`; `None` if not all of it is there, or if it is masked.
///
/// ```
/// use roomcast_protocol::frame::first_len;
///
/// assert_eq!(first_len(b"\x81\x05hello\x81"), Some(7));
/// assert_eq!(first_len(b"\x81\x05hell"), None);
/// ```
#[must_use]
pub fn first_len(bytes: &[u8]) -> Option<usize> {
    lens(bytes).map(|(head, payload)| head + payload)
}

/// The opcode and the payload of the unmasked frame at the front of `bytes`; `None` if not all of it is there, it is masked or
/// of no known kind.
///
/// ```
/// use roomcast_protocol::frame::{Opcode, parts};
///
/// assert_eq!(parts(b"\x81\x05hello\x81"), Some((Opcode::Text, &b"hello"[..])));
/// ```
#[must_use]
pub fn parts(bytes: &[u8]) -> Option<(Opcode, &[u8])> {
    let (head, payload) = lens(bytes)?;
    let opcode = Opcode::from_bits(bytes[0] & 0x0f)?;
    Some((opcode, &bytes[head..head + payload]))
}

/// Bytes of the head and of the payload of the frame at the front, if all of it is there.
fn lens(bytes: &[u8]) -> Option<(usize, usize)> {
    let &[_, second, ref rest @ ..] = bytes else {
        return None;
    };
    let (head, payload) = match second {
        0..=125 => (2, usize::from(second)),
        126 => (4, u16::from_be_bytes(*rest.first_chunk()?).into()),
        127 => {
            let payload = u64::from_be_bytes(*rest.first_chunk()?);
            (10, usize::try_from(payload).ok()?)
        }
        _ => return None,
    };
    let len = payload.checked_add(head)?;
    (len <= bytes.len()).then_some((head, payload))
}
