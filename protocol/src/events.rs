//! Frames as events that a page's EventSource reads (WHATWG HTML, section 9.2).
//!
//! Owns: how a frame is written as lines. Must not know: who reads them. Invariant: no payload can end its event or begin
//! another.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::frame::{Opcode, parts};

/// Appends the unmasked, whole frame as an event, for which a line with its `id` may stand before. Text is as it is; bytes, and
/// text with a carriage return, which lines can't hold, are base64 in events named `b` and `t`. A close frame is one named
/// `close`, with its code. Pings and pongs say nothing. Nothing is appended for what is no whole frame.
///
/// ```
/// use roomcast_protocol::events;
///
/// let mut out = Vec::new();
/// events::encode(&mut out, b"\x81\x05a\nb c");
/// assert_eq!(out, b"data: a\ndata: b c\n\n");
/// ```
pub fn encode(out: &mut Vec<u8>, frame: &[u8]) {
    let Some((opcode, payload)) = parts(frame) else {
        return;
    };
    match opcode {
        Opcode::Text if !payload.contains(&b'\r') => {
            for line in payload.split(|&byte| byte == b'\n') {
                data(out, line);
            }
        }
        Opcode::Text => in_base64(out, "t", payload),
        Opcode::Binary => in_base64(out, "b", payload),
        Opcode::Close => {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            name(out, "close");
            data(out, code.unwrap_or(1005).to_string().as_bytes());
        }
        Opcode::Ping | Opcode::Pong | Opcode::Continuation => {}
    }
    out.push(b'\n');
}

/// Appends an event of this name with this one line of text.
pub fn tell(out: &mut Vec<u8>, event: &str, line: &str) {
    name(out, event);
    data(out, line.as_bytes());
    out.push(b'\n');
}

/// Appends a line that readers pass over.
pub fn comment(out: &mut Vec<u8>) {
    out.extend_from_slice(b":\n\n");
}

fn in_base64(out: &mut Vec<u8>, event: &str, payload: &[u8]) {
    name(out, event);
    let text = Base64Display::new(payload, &STANDARD).to_string();
    data(out, text.as_bytes());
}

fn name(out: &mut Vec<u8>, event: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.push(b'\n');
}

fn data(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_events_and_nothing_breaks_out_of_one() {
        for (frame, event) in [
            (&b"\x81\x00"[..], "data: \n"),
            (b"\x81\x02hi\x81\x01x", "data: hi\n"),
            (
                b"\x81\x0da\n\nevent: c\nb",
                "data: a\ndata: \ndata: event: c\ndata: b\n",
            ),
            (b"\x81\x03a\rb", "event: t\ndata: YQ1i\n"),
            (b"\x82\x03\n\n\0", "event: b\ndata: CgoA\n"),
            (b"\x88\x02\x03\xf4", "event: close\ndata: 1012\n"),
            (b"\x88\x00", "event: close\ndata: 1005\n"),
            (b"\x8a\x01p", ""),
        ] {
            let mut out = b"id: 7\n".to_vec();
            encode(&mut out, frame);
            let expected = format!("id: 7\n{event}\n");
            assert_eq!(String::from_utf8_lossy(&out), expected, "{frame:?}");
        }
        let mut out = Vec::new();
        encode(&mut out, b"\x81\x05hell");
        assert!(out.is_empty());
    }
}
