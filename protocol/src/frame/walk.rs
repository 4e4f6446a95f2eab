//! From frame to frame, without looking into them.
//!
//! Owns: how long an unmasked frame is. Must not know: whether it breaks a rule; who decodes it says so.

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
    (len <= bytes.len()).then_some(len)
}
