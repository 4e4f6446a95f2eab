//! Close, ping and pong, alone and between fragments.

use roomcast_protocol::frame::Violation;

use crate::table::*;
use crate::wire::{Seen, frame, head, head_in_form};

#[test]
fn control_frames() {
    let mut table = Table::default();
    for len in [0, 1, 124, 125] {
        let payload = pattern(len);
        let ping = [Seen::Ping(payload.clone())];
        table.frames(
            &format!("ping of {len}"),
            &[(FIN | PING, &payload)],
            &ping,
            None,
        );
        let pong = [Seen::Pong(payload.clone())];
        table.frames(
            &format!("pong of {len}"),
            &[(FIN | PONG, &payload)],
            &pong,
            None,
        );
    }
    for role in BOTH {
        for first in [FIN | CLOSE, FIN | PING, FIN | PONG] {
            for len in [126, 127, 65_535, 65_536] {
                let wire = head(role, first, len);
                table.row("too long", role, wire, &[], Some(Violation::ControlTooLong));
            }
            // Also when the form is longer than the length: the second byte already says too much.
            let wire = head_in_form(role, first, 5, 2);
            table.row(
                "long form",
                role,
                wire,
                &[],
                Some(Violation::ControlTooLong),
            );
        }
        // The message limit is not for control frames.
        let wire = frame(role, FIN | PING, &pattern(125));
        table.limited(
            "ping over limit",
            role,
            10,
            wire,
            &[Seen::Ping(pattern(125))],
            None,
        );
    }
    table.check();
}

#[test]
fn control_frames_between_fragments() {
    let mut table = Table::default();
    let long = pattern(125);
    table.frames(
        "interleaved",
        &[
            (BINARY, b"one "),
            (FIN | PING, b"p"),
            (CONTINUATION, b"two "),
            (FIN | PONG, &long),
            (FIN | PING, b""),
            (FIN | CONTINUATION, b"three"),
            (FIN | PING, b"after"),
            (FIN | TEXT, b"next"),
        ],
        &[
            Seen::Ping(b"p".to_vec()),
            Seen::Pong(long.clone()),
            Seen::Ping(vec![]),
            binary(b"one two three"),
            Seen::Ping(b"after".to_vec()),
            text("next"),
        ],
        None,
    );
    table.frames(
        "ping in a code point",
        &[
            (TEXT, b"\xf0\x9f"),
            (FIN | PING, b"\xff\xff"),
            (FIN | CONTINUATION, b"\x8e\xb2"),
        ],
        &[Seen::Ping(b"\xff\xff".to_vec()), text("\u{1f3b2}")],
        None,
    );
    table.frames(
        "close between fragments",
        &[(BINARY, b"never finished"), (FIN | CLOSE, b"\x03\xe8bye")],
        &[Seen::Close(Some(1000), "bye".to_owned())],
        None,
    );
    table.check();
}

#[test]
fn close_payloads() {
    let mut table = Table::default();
    let close = |code: u16, reason: &str| [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    table.frames(
        "empty",
        &[(FIN | CLOSE, b"")],
        &[Seen::Close(None, String::new())],
        None,
    );
    table.frames(
        "one byte",
        &[(FIN | CLOSE, b"\x03")],
        &[],
        Some(Violation::BadCloseLength),
    );
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        for reason in ["", "bye", "\u{1f44b} later", &"r".repeat(123)] {
            let payload = close(code, reason);
            let seen = Seen::Close(Some(code), reason.to_owned());
            table.frames(
                &format!("{code} {reason}"),
                &[(FIN | CLOSE, &payload)],
                &[seen],
                None,
            );
        }
    }
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        let payload = close(code, "");
        let end = Some(Violation::BadCloseCode);
        table.frames(&format!("{code}"), &[(FIN | CLOSE, &payload)], &[], end);
        // The code comes before the reason, so it is judged before it.
        let payload = [&code.to_be_bytes()[..], b"\xff"].concat();
        table.frames(
            &format!("{code} bad reason"),
            &[(FIN | CLOSE, &payload)],
            &[],
            end,
        );
    }
    for reason in [
        &b"\xff"[..],
        b"ok\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        let payload = [&1000_u16.to_be_bytes()[..], reason].concat();
        let end = Some(Violation::InvalidUtf8);
        table.frames("bad reason", &[(FIN | CLOSE, &payload)], &[], end);
    }
    table.frames(
        "after a message",
        &[(FIN | TEXT, b"last"), (FIN | CLOSE, b"\x03\xe8")],
        &[text("last"), Seen::Close(Some(1000), String::new())],
        None,
    );
    table.check();
}
