//! Text: valid and invalid UTF-8 in every position, and that bad bytes are noticed at once.

mod wire;

use roomcast_protocol::frame::{Decoder, Role, Rules, Violation};
use wire::{Seen, decode, frame, head};

const RULES: Rules = Rules {
    role: Role::Server,
    max_message: 100_000,
};
const FIN: u8 = 0x80;

/// Well-formed sequences: the edges of each range of Unicode table 3-7.
const GOOD: [&str; 14] = [
    "\u{0}",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{fff}",
    "\u{1000}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{ffff}",
    "\u{10000}",
    "\u{3ffff}",
    "\u{40000}",
    "\u{10ffff}",
];

/// Ill-formed sequences, and how many bytes are good before the one that cannot stand there.
const BAD: [(&[u8], usize); 22] = [
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\xc0\x80", 0),
    (b"\xc1\xbf", 0),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfe", 0),
    (b"\xff", 0),
    (b"\xc2A", 1),
    (b"\xc2\xc2", 1),
    (b"\xe0\x80\x80", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xe1\x80A", 2),
    (b"\xed\xa0\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xef\xbf\xff", 2),
    (b"\xf0\x80\x80\x80", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf0\x90\x80A", 3),
    (b"\xf1\x80\xc2", 2),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf4\xbf\xbf\xbf", 1),
];

/// Lead-ins of several lengths, so that the vector paths of the validator meet the sequence at various places.
fn lead_ins() -> impl Iterator<Item = String> {
    [0, 1, 15, 31, 62, 63, 64, 65, 127, 130]
        .into_iter()
        .map(|len| "l".repeat(len))
}

#[test]
fn good_text_in_one_frame_and_in_every_pair_of_fragments() {
    for lead_in in lead_ins() {
        let text = format!("{lead_in}{}", GOOD.concat());
        let bytes = text.as_bytes();
        let expected = (vec![Seen::Text(text.clone())], None);
        assert_eq!(
            decode(&RULES, [&frame(RULES.role, FIN | 1, bytes)[..]]),
            expected
        );
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            let wire = [frame(RULES.role, 1, left), frame(RULES.role, FIN, right)].concat();
            assert_eq!(decode(&RULES, [&wire[..]]), expected, "cut at {at}");
            assert_eq!(
                decode(&RULES, wire.chunks(1)),
                expected,
                "cut at {at}, byte by byte"
            );
        }
    }
}

#[test]
fn bad_text_is_refused_however_it_is_cut() {
    let expected = (vec![], Some(Violation::InvalidUtf8));
    for lead_in in lead_ins() {
        for (bad, _) in BAD {
            for follow in [&b""[..], b"tail", &[b't'; 100]] {
                let bytes = [lead_in.as_bytes(), bad, follow].concat();
                let wire = frame(RULES.role, FIN | 1, &bytes);
                assert_eq!(decode(&RULES, [&wire[..]]), expected, "{bad:x?}");
                assert_eq!(
                    decode(&RULES, wire.chunks(1)),
                    expected,
                    "{bad:x?} byte by byte"
                );
                for at in lead_in.len()..=lead_in.len() + bad.len() {
                    let (left, right) = bytes.split_at(at);
                    let wire = [frame(RULES.role, 1, left), frame(RULES.role, FIN, right)].concat();
                    assert_eq!(
                        decode(&RULES, [&wire[..]]),
                        expected,
                        "{bad:x?} cut at {at}"
                    );
                }
            }
        }
    }
}

#[test]
fn text_must_not_end_within_a_code_point() {
    let expected = (vec![], Some(Violation::InvalidUtf8));
    for good in GOOD {
        for len in 1..good.len() {
            let bytes = &good.as_bytes()[..len];
            let wire = frame(RULES.role, FIN | 1, bytes);
            assert_eq!(decode(&RULES, [&wire[..]]), expected, "{bytes:x?}");
            assert_eq!(
                decode(&RULES, wire.chunks(1)),
                expected,
                "{bytes:x?} byte by byte"
            );
            let wire = [frame(RULES.role, 1, bytes), frame(RULES.role, FIN, b"")].concat();
            assert_eq!(
                decode(&RULES, [&wire[..]]),
                expected,
                "{bytes:x?} then nothing"
            );
        }
    }
}

/// Feeds a frame that declares more than it brings, byte by byte; returns after how many payload bytes it failed.
fn fails_after(first: u8, before: &[u8], payload: &[u8]) -> Option<usize> {
    let mut decoder = Decoder::default();
    let mut wire = before.to_vec();
    wire.extend(head(RULES.role, first, 50_000));
    let start = wire.len();
    let whole = frame(RULES.role, 0, payload);
    wire.extend_from_slice(&whole[whole.len() - payload.len()..]);
    for (at, byte) in wire.iter_mut().enumerate() {
        let mut input = std::slice::from_mut(byte);
        match decoder.next(&RULES, &mut input) {
            Ok(None) => {}
            Ok(Some(item)) => panic!("nothing is complete, but got {item:?}"),
            Err(Violation::InvalidUtf8) => return Some(at + 1 - start),
            Err(violation) => panic!("{violation}"),
        }
    }
    None
}

#[test]
fn the_first_bad_byte_fails_while_its_frame_is_still_arriving() {
    for lead_in in lead_ins() {
        for (bad, good) in BAD {
            let bytes = [lead_in.as_bytes(), bad].concat();
            let expected = Some(lead_in.len() + good + 1);
            assert_eq!(fails_after(FIN | 1, b"", &bytes), expected, "{bad:x?}");
            assert_eq!(
                fails_after(1, b"", &bytes),
                expected,
                "{bad:x?} in a first fragment"
            );
            // The code point began in the fragment before.
            let (begun, rest) = bytes.split_at(lead_in.len() + good);
            let before = frame(RULES.role, 1, begun);
            assert_eq!(
                fails_after(FIN, &before, rest),
                Some(1),
                "{bad:x?} over two fragments"
            );
        }
    }
    for good in GOOD {
        assert_eq!(fails_after(FIN | 1, b"", good.as_bytes()), None, "{good:?}");
    }
}

#[test]
fn binary_messages_are_not_looked_at() {
    for (bad, _) in BAD {
        let expected = (vec![Seen::Binary(bad.to_vec())], None);
        let wire = frame(RULES.role, FIN | 2, bad);
        assert_eq!(decode(&RULES, wire.chunks(1)), expected);
        let wire = [frame(RULES.role, 2, bad), frame(RULES.role, FIN, b"")].concat();
        assert_eq!(decode(&RULES, wire.chunks(1)), expected);
    }
}
