//! Violations of RFC 6455 by a peer that has joined: each has its close code, the relay lets go of the
//! connection, and nobody else in the room notices.

use crate::relay::Relay;
use crate::wire::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, Wire, close_payload, frame, header,
    upgrade_request,
};

type Row = (String, Vec<u8>, u16);

/// Frames that no client may send (RFC 6455 5.2 to 5.5, 7.4).
fn protocol_errors() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| rows.push((what.to_owned(), bytes, 1002));
    add("an unmasked frame", vec![FIN | BINARY, 2, b'h', b'i']);
    add("an unmasked ping", vec![FIN | PING, 0]);
    for (name, bit) in [("RSV1", 0x40), ("RSV2", 0x20), ("RSV3", 0x10)] {
        add(&format!("{name} on data"), frame(FIN | bit | TEXT, b"hi"));
        add(&format!("{name} on a ping"), frame(FIN | bit | PING, b"hi"));
    }
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        add(&format!("opcode {opcode:#x}"), frame(FIN | opcode, b""));
    }
    add("a ping of 126 bytes", frame(FIN | PING, &[0; 126]));
    add(
        "a pong of 126 bytes, its header alone",
        header(FIN | PONG, 126),
    );
    add(
        "a close frame of 126 bytes",
        frame(FIN | CLOSE, &close_payload(1000, &[b'x'; 124])),
    );
    add("a fragmented ping", frame(PING, b"hi"));
    add(
        "a fragmented close frame",
        frame(CLOSE, &close_payload(1000, b"")),
    );
    add(
        "a continuation of nothing",
        frame(FIN | CONTINUATION, b"hi"),
    );
    add(
        "a first fragment that continues nothing",
        frame(CONTINUATION, b"hi"),
    );
    add(
        "a message inside a message",
        [frame(BINARY, b"a"), frame(FIN | BINARY, b"b")].concat(),
    );
    add(
        "text inside a message, and not its end",
        [frame(BINARY, b"a"), frame(TEXT, b"b")].concat(),
    );
    add(
        "125 in two bytes",
        [
            &[FIN | BINARY, 0x80 | 126, 0, 125, 1, 2, 3, 4][..],
            &[0; 125],
        ]
        .concat(),
    );
    add(
        "0 in two bytes",
        vec![FIN | BINARY, 0x80 | 126, 0, 0, 1, 2, 3, 4],
    );
    add(
        "1 in eight bytes",
        vec![
            FIN | BINARY,
            0x80 | 127,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            1,
            1,
            2,
            3,
            4,
            5,
        ],
    );
    add(
        "65,535 in eight bytes",
        vec![
            FIN | BINARY,
            0x80 | 127,
            0,
            0,
            0,
            0,
            0,
            0,
            0xff,
            0xff,
            1,
            2,
            3,
            4,
        ],
    );
    add(
        "a length with the highest bit",
        header(FIN | BINARY, 1 << 63),
    );
    add("a close frame of one byte", frame(FIN | CLOSE, &[3]));
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        add(
            &format!("close code {code}"),
            frame(FIN | CLOSE, &close_payload(code, b"")),
        );
    }
    rows
}

/// Text that is none (RFC 6455 8.1), noticed as soon as the first bad byte is there.
fn bad_text() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| rows.push((what.to_owned(), bytes, 1007));
    for (what, text) in [
        ("a byte that never occurs", &[b'a', 0xff][..]),
        ("a lone continuation", &[0x80]),
        ("a start without its continuation", &[0xc3, b'(']),
        ("an overlong slash", &[0xc0, 0xaf]),
        ("an overlong NUL in three", &[0xe0, 0x80, 0x80]),
        ("an overlong form in four", &[0xf0, 0x80, 0x80, 0xaf]),
        ("a surrogate", &[0xed, 0xa0, 0x80]),
        (
            "a pair of surrogates",
            &[0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
        ),
        ("above U+10FFFF", &[0xf4, 0x90, 0x80, 0x80]),
        ("a start for five bytes", &[0xf8, 0x88, 0x80, 0x80, 0x80]),
        (
            "a character cut by the end of the message",
            &[b'a', 0xe2, 0x82],
        ),
    ] {
        add(what, frame(FIN | TEXT, text));
    }
    let mut arriving = header(FIN | TEXT, 1000);
    arriving.extend(&frame(FIN | TEXT, &[b'o', b'k', 0xff])[6..]);
    add("inside a frame that is still arriving", arriving);
    let cut = [frame(TEXT, &[0xe2, 0x82]), frame(FIN, b"a")].concat();
    add("a character cut by a fragment and not continued", cut);
    add(
        "a bad first half before the second came",
        frame(TEXT, &[0xf4, 0x90]),
    );
    let end = [
        frame(TEXT, b"fine"),
        frame(CONTINUATION, &[0xe2]),
        frame(FIN, b""),
    ]
    .concat();
    add("a character that the last fragment leaves open", end);
    add(
        "the reason of a close frame",
        frame(FIN | CLOSE, &close_payload(1000, &[0xff])),
    );
    rows
}

/// More than `--max-message`, here its default of 64 KiB: refused on the length that a header declares.
fn too_big() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| rows.push((what.to_owned(), bytes, 1009));
    add(
        "one byte over, its header alone",
        header(FIN | BINARY, 65_537),
    );
    add("text, its header alone", header(FIN | TEXT, 65_537));
    add("4 GiB", header(FIN | BINARY, 1 << 32));
    add(
        "the longest length there is",
        header(FIN | BINARY, (1 << 63) - 1),
    );
    add("a first fragment", header(BINARY, 65_537));
    add(
        "the sum of two fragments",
        [frame(BINARY, &[0; 40_000]), header(FIN, 40_000)].concat(),
    );
    add(
        "one byte after the limit",
        [frame(BINARY, &[0; 65_536]), header(FIN, 1)].concat(),
    );
    rows
}

/// Runs each row on a connection of its own, in the room of a witness, and returns them still open.
fn run(relay: &Relay, rows: &[Row], byte_by_byte: bool) -> Vec<Wire> {
    let mut witness = Wire::join(relay.addr(), "/rooms/rude");
    let mut friend = Wire::join(relay.addr(), "/rooms/rude");
    let mut ended = Vec::new();
    let mut wrong = Vec::new();
    for (what, bytes, code) in rows {
        let mut rude = Wire::join(relay.addr(), "/rooms/rude");
        if byte_by_byte {
            rude.send_byte_by_byte(bytes);
        } else {
            rude.send(bytes);
        }
        let close = rude.next_frame();
        match close {
            Some(close) if close.first == FIN | CLOSE && close.close_code() == Some(*code) => {}
            other => wrong.push(format!(
                "{what}: {other:?} instead of a close frame with {code}"
            )),
        }
        ended.push(rude);
        // Nothing of the violation reaches the others, and nothing of theirs is lost.
        friend.message(TEXT, what.as_bytes());
        let next = witness.next();
        assert_eq!(
            String::from_utf8_lossy(&next.payload),
            *what,
            "the others got something else"
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    ended
}

/// Also when the peer never answers the close frame and just goes on sending.
fn expect_all_gone(ended: Vec<Wire>) {
    for mut wire in ended {
        wire.expect_end();
        wire.expect_gone();
    }
}

fn rows() -> Vec<Row> {
    [protocol_errors(), bad_text(), too_big()].concat()
}

#[test]
fn every_violation_has_its_close_code() {
    let relay = Relay::start(&["--close-timeout", "300ms"]);
    expect_all_gone(run(&relay, &rows(), false));
}

#[test]
fn every_violation_has_its_close_code_also_byte_by_byte() {
    let relay = Relay::start(&["--close-timeout", "300ms"]);
    let short: Vec<Row> = rows()
        .into_iter()
        .filter(|(_, bytes, _)| bytes.len() < 2000)
        .collect();
    expect_all_gone(run(&relay, &short, true));
}

#[test]
fn a_violation_sent_along_with_the_handshake_is_answered_after_it() {
    let relay = Relay::start(&[]);
    for (what, bytes, code) in rows() {
        let mut rude = Wire::connect(relay.addr());
        let _ = rude.try_send(&[upgrade_request("/echo").as_bytes(), &bytes].concat());
        rude.accepted();
        assert_eq!(rude.read_to_close(), Some(code), "{what}");
    }
}

/// What was right before the violation has been delivered; what came after it never is.
#[test]
fn a_violation_ends_the_message_stream_exactly_there() {
    let relay = Relay::start(&[]);
    let mut witness = Wire::join(relay.addr(), "/rooms/edge");
    let mut rude = Wire::join(relay.addr(), "/rooms/edge");
    let continued = [
        frame(TEXT, b"be"),
        frame(FIN | CONTINUATION, b"fore"),
        frame(FIN | CONTINUATION, b""),
    ];
    rude.send(&[&continued.concat()[..], &frame(FIN | TEXT, b"after")].concat());
    witness.expect(TEXT, b"before");
    assert_eq!(rude.read_to_close(), Some(1002));
    let mut other = Wire::join(relay.addr(), "/rooms/edge");
    other.message(TEXT, b"still fine");
    witness.expect(TEXT, b"still fine");
}

/// The default of `--close-timeout`, with a peer that ignores the close frame and keeps its side open.
#[test]
fn who_ignores_the_close_is_let_go_all_the_same() {
    let relay = Relay::start(&[]);
    let mut stubborn = Wire::join(relay.addr(), "/echo");
    stubborn.send(&frame(FIN | 3, b""));
    assert_eq!(stubborn.read_to_close_frame(), Some(1002));
    stubborn.expect_end();
    stubborn.expect_gone();
}
