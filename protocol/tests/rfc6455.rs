//! RFC 6455 as a table. Every row is decoded whole, byte by byte, and split at every point, with the same result.

mod wire;

use roomcast_protocol::frame::{Role, Rules, Violation};
use wire::{Outcome, Seen, decode, frame, head, head_in_form};

const BOTH: [Role; 2] = [Role::Server, Role::Client];
const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The limit of every row that does not set its own, in bytes.
const LIMIT: usize = 70_000;

struct Row {
    name: String,
    rules: Rules,
    wire: Vec<u8>,
    expected: Outcome,
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn row(
        &mut self,
        name: &str,
        role: Role,
        wire: Vec<u8>,
        items: &[Seen],
        end: Option<Violation>,
    ) {
        self.limited(name, role, LIMIT, wire, items, end);
    }

    fn limited(
        &mut self,
        name: &str,
        role: Role,
        max_message: usize,
        wire: Vec<u8>,
        items: &[Seen],
        end: Option<Violation>,
    ) {
        self.0.push(Row {
            name: format!("{name} ({role:?})"),
            rules: Rules { role, max_message },
            wire,
            expected: (items.to_vec(), end),
        });
    }

    /// For both roles: well-formed frames of (first byte, payload).
    fn frames(
        &mut self,
        name: &str,
        frames: &[(u8, &[u8])],
        items: &[Seen],
        end: Option<Violation>,
    ) {
        for role in BOTH {
            let wire = frames
                .iter()
                .flat_map(|(first, payload)| frame(role, *first, payload));
            self.row(name, role, wire.collect(), items, end);
        }
    }

    fn check(self) {
        assert!(!self.0.is_empty());
        for Row {
            name,
            rules,
            wire,
            expected,
        } in self.0
        {
            assert_eq!(decode(&rules, [&wire[..]]), expected, "{name}: whole");
            assert_eq!(
                decode(&rules, wire.chunks(1)),
                expected,
                "{name}: byte by byte"
            );
            for at in split_points(wire.len()) {
                let (left, right) = wire.split_at(at);
                assert_eq!(
                    decode(&rules, [left, right]),
                    expected,
                    "{name}: split at {at}"
                );
            }
            for chunk in [2, 3, 5, 7] {
                assert_eq!(
                    decode(&rules, wire.chunks(chunk)),
                    expected,
                    "{name}: by {chunk}"
                );
            }
        }
    }
}

/// Every point of an input of up to 4 KiB; of a longer one those around headers and ends, and a sample.
fn split_points(len: usize) -> impl Iterator<Item = usize> {
    (0..=len).filter(move |at| len <= 4096 || *at < 64 || len - at < 64 || at % 1021 == 0)
}

fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

fn binary(bytes: &[u8]) -> Seen {
    Seen::Binary(bytes.to_vec())
}

/// Bytes that are no two alike nearby, so that a lost or doubled one shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn examples_of_section_5_7() {
    let mut table = Table::default();
    let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    table.row(
        "unmasked text",
        Role::Client,
        hello.to_vec(),
        &[text("Hello")],
        None,
    );
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    table.row(
        "masked text",
        Role::Server,
        masked.to_vec(),
        &[text("Hello")],
        None,
    );
    let fragmented = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    table.row(
        "fragmented text",
        Role::Client,
        fragmented.to_vec(),
        &[text("Hello")],
        None,
    );
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    table.row(
        "ping",
        Role::Client,
        ping.to_vec(),
        &[Seen::Ping(b"Hello".to_vec())],
        None,
    );
    let pong = [
        0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    table.row(
        "masked pong",
        Role::Server,
        pong.to_vec(),
        &[Seen::Pong(b"Hello".to_vec())],
        None,
    );
    let mut long = vec![0x82, 0x7e, 0x01, 0x00];
    long.extend(pattern(256));
    table.row(
        "256 bytes",
        Role::Client,
        long,
        &[binary(&pattern(256))],
        None,
    );
    let mut longer = vec![0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0];
    longer.extend(pattern(65_536));
    table.row(
        "64 KiB",
        Role::Client,
        longer,
        &[binary(&pattern(65_536))],
        None,
    );
    table.check();
}

#[test]
fn lengths_in_all_three_forms() {
    let mut table = Table::default();
    for len in [
        0, 1, 2, 63, 64, 124, 125, 126, 127, 128, 255, 256, 1000, 65_534, 65_535, 65_536, 65_537,
    ] {
        let payload = pattern(len);
        let name = format!("binary of {len}");
        table.frames(
            &name,
            &[(FIN | BINARY, &payload)],
            &[binary(&payload)],
            None,
        );
        let letters = "x".repeat(len);
        let name = format!("text of {len}");
        table.frames(
            &name,
            &[(FIN | TEXT, letters.as_bytes())],
            &[text(&letters)],
            None,
        );
    }
    table.check();
}

#[test]
fn lengths_must_be_in_shortest_form() {
    let mut table = Table::default();
    for role in BOTH {
        for (len, form) in [
            (0, 2),
            (1, 2),
            (125, 2),
            (0, 8),
            (125, 8),
            (126, 8),
            (65_535, 8),
        ] {
            let mut wire = frame(role, FIN | BINARY, b"before");
            wire.extend(head_in_form(role, FIN | BINARY, len, form));
            let name = format!("{len} in {form} bytes");
            let end = Some(Violation::NonMinimalLength);
            table.row(&name, role, wire, &[binary(b"before")], end);
        }
    }
    table.check();
}

#[test]
fn lengths_of_64_bits() {
    let mut table = Table::default();
    for role in BOTH {
        for len in [1 << 63, u64::MAX, 1 << 63 | 5] {
            let wire = head_in_form(role, FIN | BINARY, len, 8);
            table.row("top bit", role, wire, &[], Some(Violation::LengthOverflow));
        }
        for len in [(1 << 63) - 1, 1 << 62, 1 << 32, LIMIT as u64 + 1] {
            let wire = head_in_form(role, FIN | BINARY, len, 8);
            table.row("too long", role, wire, &[], Some(Violation::MessageTooBig));
            // With no limit at all, a giant length is believed and nothing is reserved for it.
            let wire = head_in_form(role, FIN | BINARY, len, 8);
            if usize::try_from(len).is_ok() {
                table.limited("no limit", role, usize::MAX, wire, &[], None);
            }
        }
    }
    table.check();
}

#[test]
fn every_first_byte() {
    let mut table = Table::default();
    for first in 0..=u8::MAX {
        let fin = first & FIN != 0;
        let (items, end) = match first & 0x0f {
            _ if first & 0x70 != 0 => (vec![], Some(Violation::ReservedBits)),
            3..=7 | 11..=15 => (vec![], Some(Violation::UnknownOpcode)),
            CONTINUATION => (vec![], Some(Violation::UnexpectedContinuation)),
            CLOSE | PING | PONG if !fin => (vec![], Some(Violation::ControlFragmented)),
            TEXT | BINARY if !fin => (vec![], None),
            TEXT => (vec![text("")], None),
            BINARY => (vec![binary(b"")], None),
            CLOSE => (vec![Seen::Close(None, String::new())], None),
            PING => (vec![Seen::Ping(vec![])], None),
            _ => (vec![Seen::Pong(vec![])], None),
        };
        table.frames(
            &format!("first byte {first:#04x}"),
            &[(first, b"")],
            &items,
            end,
        );
    }
    table.check();
}

#[test]
fn every_first_byte_between_fragments() {
    let mut table = Table::default();
    for first in 0..=u8::MAX {
        let fin = first & FIN != 0;
        let (items, end) = match first & 0x0f {
            _ if first & 0x70 != 0 => (vec![], Some(Violation::ReservedBits)),
            3..=7 | 11..=15 => (vec![], Some(Violation::UnknownOpcode)),
            CLOSE | PING | PONG if !fin => (vec![], Some(Violation::ControlFragmented)),
            TEXT | BINARY => (vec![], Some(Violation::ExpectedContinuation)),
            CONTINUATION if !fin => (vec![text("ab")], None),
            // The message ended, so the continuation after it is one too many.
            CONTINUATION => (vec![text("a")], Some(Violation::UnexpectedContinuation)),
            CLOSE => (vec![Seen::Close(None, String::new())], None),
            PING => (vec![Seen::Ping(vec![]), text("ab")], None),
            _ => (vec![Seen::Pong(vec![]), text("ab")], None),
        };
        let frames: [(u8, &[u8]); 3] = [(TEXT, b"a"), (first, b""), (FIN | CONTINUATION, b"b")];
        table.frames(&format!("between: {first:#04x}"), &frames, &items, end);
    }
    table.check();
}

#[test]
fn masks_are_required_of_clients_and_forbidden_to_servers() {
    let mut table = Table::default();
    for first in [
        FIN | TEXT,
        FIN | BINARY,
        BINARY,
        FIN | CLOSE,
        FIN | PING,
        FIN | PONG,
    ] {
        for len in [0, 2, 125] {
            let unmasked = frame(Role::Client, first, &pattern(len));
            table.row(
                "unmasked",
                Role::Server,
                unmasked,
                &[],
                Some(Violation::UnmaskedFrame),
            );
            let masked = frame(Role::Server, first, &pattern(len));
            table.row(
                "masked",
                Role::Client,
                masked,
                &[],
                Some(Violation::MaskedFrame),
            );
        }
    }
    table.check();
}

#[test]
fn masking_keys_of_all_shapes() {
    let mut table = Table::default();
    for key in [[0; 4], [0xff; 4], [1, 2, 3, 4], [0, 0, 0, 0x80]] {
        let mut wire = vec![FIN | BINARY, 0x80 | 100];
        wire.extend_from_slice(&key);
        wire.extend(
            pattern(100)
                .iter()
                .enumerate()
                .map(|(i, byte)| byte ^ key[i % 4]),
        );
        table.row("key", Role::Server, wire, &[binary(&pattern(100))], None);
    }
    table.check();
}

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
fn fragments() {
    let mut table = Table::default();
    for kind in [TEXT, BINARY] {
        let whole = |bytes: &[u8]| match kind {
            TEXT => text(std::str::from_utf8(bytes).unwrap()),
            _ => binary(bytes),
        };
        table.frames("two", &[(kind, b"a"), (FIN, b"b")], &[whole(b"ab")], None);
        table.frames(
            "all empty",
            &[(kind, b""), (0, b""), (FIN, b"")],
            &[whole(b"")],
            None,
        );
        table.frames(
            "empty first",
            &[(kind, b""), (FIN, b"abc")],
            &[whole(b"abc")],
            None,
        );
        table.frames(
            "empty last",
            &[(kind, b"abc"), (FIN, b"")],
            &[whole(b"abc")],
            None,
        );
        table.frames(
            "empty within",
            &[(kind, b"a"), (0, b""), (FIN, b"b")],
            &[whole(b"ab")],
            None,
        );
        table.frames(
            "unfinished",
            &[(FIN | kind, b"x"), (kind, b"a"), (0, b"b")],
            &[whole(b"x")],
            None,
        );
        let twice: [(u8, &[u8]); 5] = [
            (kind, b"a"),
            (FIN, b"b"),
            (kind, b"c"),
            (0, b"d"),
            (FIN, b"e"),
        ];
        table.frames("twice", &twice, &[whole(b"ab"), whole(b"cde")], None);

        let message = vec![b'm'; 400];
        let mut frames: Vec<(u8, &[u8])> = message.chunks(1).map(|byte| (0, byte)).collect();
        frames[0].0 = kind;
        frames.push((FIN, b""));
        table.frames(
            "four hundred of one byte",
            &frames,
            &[whole(&message)],
            None,
        );
    }
    table.frames(
        "continuation after an unfragmented message",
        &[(FIN | TEXT, b"a"), (FIN | CONTINUATION, b"b")],
        &[text("a")],
        Some(Violation::UnexpectedContinuation),
    );
    table.frames(
        "third message inside",
        &[(TEXT, b"a"), (0, b"b"), (BINARY, b"c")],
        &[],
        Some(Violation::ExpectedContinuation),
    );
    table.check();
}

#[test]
fn limit_is_judged_on_declared_lengths() {
    let mut table = Table::default();
    let big = Some(Violation::MessageTooBig);
    for role in BOTH {
        for limit in [0, 1, 10, 125, 126, 200, 65_535, 65_536] {
            let exact = frame(role, FIN | BINARY, &pattern(limit));
            table.limited(
                "exact",
                role,
                limit,
                exact,
                &[binary(&pattern(limit))],
                None,
            );
            // The header is all there is: nothing of the payload is waited for.
            let over = head(role, FIN | BINARY, limit as u64 + 1);
            table.limited("one over", role, limit, over, &[], big);
            let over = head(role, FIN | TEXT, limit as u64 + 1);
            table.limited("text one over", role, limit, over, &[], big);
        }
        let mut sum = frame(role, BINARY, b"12345");
        sum.extend(frame(role, FIN | PING, b"0123456789"));
        sum.extend(frame(role, CONTINUATION, b"1234"));
        sum.extend(frame(role, CONTINUATION, b""));
        let ping = Seen::Ping(b"0123456789".to_vec());
        let fits = [&sum[..], &frame(role, FIN, b"5")].concat();
        table.limited(
            "sum exact",
            role,
            10,
            fits,
            &[ping.clone(), binary(b"1234512345")],
            None,
        );
        let over = [&sum[..], &head(role, FIN, 2)].concat();
        table.limited("sum over", role, 10, over, std::slice::from_ref(&ping), big);
        let far_over = [&sum[..], &head(role, 0, u64::MAX >> 1)].concat();
        table.limited("sum far over", role, 10, far_over, &[ping], big);
    }
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

#[test]
fn violations_have_the_close_codes_of_the_rfc() {
    for (violation, code) in [
        (Violation::ReservedBits, 1002),
        (Violation::UnknownOpcode, 1002),
        (Violation::UnmaskedFrame, 1002),
        (Violation::MaskedFrame, 1002),
        (Violation::NonMinimalLength, 1002),
        (Violation::LengthOverflow, 1002),
        (Violation::ControlTooLong, 1002),
        (Violation::ControlFragmented, 1002),
        (Violation::UnexpectedContinuation, 1002),
        (Violation::ExpectedContinuation, 1002),
        (Violation::BadCloseLength, 1002),
        (Violation::BadCloseCode, 1002),
        (Violation::InvalidUtf8, 1007),
        (Violation::MessageTooBig, 1009),
    ] {
        assert_eq!(violation.close_code().0, code, "{violation:?}");
        assert!(violation.close_code().is_valid_on_wire());
        assert!(!violation.to_string().is_empty());
    }
}
