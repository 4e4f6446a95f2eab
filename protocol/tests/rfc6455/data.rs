//! First bytes, masks, fragments.

use roomcast_protocol::frame::{MAX_EMPTY_FRAGMENTS, Role, Violation};

use crate::table::*;
use crate::wire::{Seen, frame};

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

/// They cost no memory, so that only a count of them ends a message that is made of nothing.
#[test]
fn empty_fragments_come_to_an_end() {
    let mut table = Table::default();
    let most = usize::from(MAX_EMPTY_FRAGMENTS);
    for first in [&b""[..], b"a"] {
        let begun = usize::from(first.is_empty());
        let mut frames: Vec<(u8, &[u8])> = vec![(TEXT, first)];
        frames.extend(vec![(CONTINUATION, &b""[..]); most - begun]);
        let mut good = frames.clone();
        // The last one may be empty too; and a ping between them is none of them.
        good.extend([(FIN | PING, &b""[..]), (FIN | CONTINUATION, b"")]);
        // Each message has its own.
        let twice = [&good[..], &good[..]].concat();
        let message = || text(std::str::from_utf8(first).unwrap());
        let ping = || Seen::Ping(vec![]);
        let items = [ping(), message(), ping(), message()];
        table.frames("as many as may be", &twice, &items, None);
        frames.push((CONTINUATION, b""));
        table.frames(
            "one more",
            &frames,
            &[],
            Some(Violation::TooManyEmptyFragments),
        );
    }
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
