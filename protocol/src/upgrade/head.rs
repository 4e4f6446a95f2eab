//! Where a head ends.
//!
//! Owns the line discipline of a request head: every line ends in CR LF (RFC 9112 section 2.2 lets a server take a
//! bare LF; this one does not, because proxies that disagree about it can be smuggled past), and no control byte
//! but HTAB stands in it. Must not know what the lines say.
//!
//! Invariant: a byte is looked at a bounded number of times however it is split into segments.

use super::{MAX_HEAD, Refusal, fields::is_token_byte};

/// First byte of a TLS record that carries a handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Length of the head at the front of `bytes` with its blank line, `None` while that has not arrived.
///
/// `bytes` is everything received so far and `scanned` how many of them an earlier call has seen (0 at first), so
/// that a head arriving one byte at a time is linear work. Bytes behind the head are not looked at. One empty line
/// before the request line is passed over (RFC 9112 section 2.2) and counts as part of the head.
///
/// # Errors
///
/// As soon as it is certain that no good head can follow: [`Refusal::TlsOnPlainPort`], [`Refusal::BadRequestLine`]
/// when the first byte can't begin a method, [`Refusal::BareLineBreak`], [`Refusal::ControlByte`], and
/// [`Refusal::HeadTooLarge`] when [`MAX_HEAD`] bytes hold no end.
pub fn find_head_end(bytes: &[u8], scanned: usize) -> Result<Option<usize>, Refusal> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    // A CR that was the last byte has not been judged yet: what follows it decides.
    let resume = scanned.saturating_sub(1).min(window.len());
    if resume == 0 {
        match first {
            TLS_HANDSHAKE => return Err(Refusal::TlsOnPlainPort),
            b'\r' => {}
            _ if !is_token_byte(first) => return Err(Refusal::BadRequestLine),
            _ => {}
        }
    }
    let mut at = resume;
    while let Some(found) = window[at..].iter().position(|&byte| byte < b' ') {
        at += found;
        match window[at] {
            b'\r' => {
                if window.get(at + 1).is_some_and(|&next| next != b'\n') {
                    return Err(Refusal::BareLineBreak);
                }
            }
            b'\n' => match window[..at] {
                [.., b'\r', b'\n', b'\r'] if at > 3 => return Ok(Some(at + 1)),
                // Two empty lines and still no request line.
                [.., b'\r', b'\n', b'\r'] => return Err(Refusal::BadRequestLine),
                [.., b'\r'] => {}
                _ => return Err(Refusal::BareLineBreak),
            },
            b'\t' => {}
            _ => return Err(Refusal::ControlByte),
        }
        at += 1;
    }
    if window.len() == MAX_HEAD {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(None)
}

/// Whether what has been received is a HEAD request, also when the rest of it is refused: its answer carries no
/// content (RFC 9110 section 9.3.2). For [`write_refusal_for`](super::write_refusal_for).
pub fn asks_for_head_only(bytes: &[u8]) -> bool {
    bytes
        .strip_prefix(b"\r\n")
        .unwrap_or(bytes)
        .starts_with(b"HEAD ")
}
