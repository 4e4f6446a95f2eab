//! Every way in which a connection ends that is nobody's violation: close handshakes, FIN, RST, silence.

use rustix::process::Signal;

use crate::patience;
use crate::relay::Relay;
use crate::wire::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, Wire, close_payload, frame, upgrade_request,
};

/// RFC 6455 5.5.1 and 7.1.1: the code comes back, and the server closes TCP first.
#[test]
fn a_valid_close_is_echoed_and_the_relay_closes_first() {
    let relay = Relay::start(&[]);
    for code in [
        1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
    ] {
        let mut wire = Wire::join(relay.addr(), "/rooms/leaving");
        wire.message(CLOSE, &close_payload(code, "auf Wiedersehen…".as_bytes()));
        assert_eq!(wire.next().close_code(), Some(code));
        wire.expect_end();
    }
    let mut wire = Wire::join(relay.addr(), "/rooms/leaving");
    wire.message(CLOSE, b"");
    let answer = wire.next();
    assert!(
        matches!(answer.close_code(), None | Some(1000)),
        "{answer:?}"
    );
    wire.expect_end();
}

/// What comes after a close frame is discarded, whatever it is.
#[test]
fn nothing_counts_after_a_close_frame() {
    let relay = Relay::start(&[]);
    let mut witness = Wire::join(relay.addr(), "/rooms/after");
    let mut leaving = Wire::join(relay.addr(), "/rooms/after");
    let bytes = [
        frame(FIN | BINARY, b"last"),
        frame(FIN | CLOSE, &close_payload(1000, b"")),
        frame(FIN | BINARY, b"too late"),
        vec![0xff; 100],
    ];
    leaving.send(&bytes.concat());
    assert_eq!(leaving.read_to_close_frame(), Some(1000));
    leaving.expect_end();
    witness.expect(BINARY, b"last");
    let mut other = Wire::join(relay.addr(), "/rooms/after");
    other.message(BINARY, b"next");
    witness.expect(BINARY, b"next");
}

#[test]
fn pings_are_answered_and_unasked_pongs_are_not() {
    let relay = Relay::start(&[]);
    for path in ["/rooms/ping", "/echo"] {
        let mut wire = Wire::join(relay.addr(), path);
        wire.message(PONG, b"nobody asked");
        for payload in [&b""[..], b"x", &[0xff; 125]] {
            wire.message(PING, payload);
            wire.expect(PONG, payload);
        }
    }
}

/// A peer that says FIN without a close frame is released at once, not by a timeout.
#[test]
fn a_bare_fin_releases_the_connection() {
    let relay = Relay::start(&[
        "--handshake-timeout",
        "1h",
        "--idle-timeout",
        "1h",
        "--close-timeout",
        "1h",
    ]);
    for path in [None, Some("/rooms/fin"), Some("/echo")] {
        let mut wire = Wire::connect(relay.addr());
        match path {
            None => wire.send(b"GET /rooms"),
            Some(path) => wire = wire.upgrade(path),
        }
        wire.finish_writing();
        wire.read_to_end();
    }
    let mut wire = Wire::connect(relay.addr());
    wire.finish_writing();
    wire.read_to_end();
    let mut mid_frame = Wire::join(relay.addr(), "/rooms/fin");
    mid_frame.send(&frame(FIN | BINARY, b"cut short")[..5]);
    mid_frame.finish_writing();
    mid_frame.read_to_end();
}

/// RST at every moment of a connection's life. The relay serves on, and no descriptor stays behind.
#[test]
fn a_reset_at_any_moment_leaves_nothing_behind() {
    let relay = Relay::start(&["--handshake-timeout", "1h", "--idle-timeout", "1h"]);
    let mut witness = Wire::join(relay.addr(), "/rooms/reset");
    let mut friend = Wire::join(relay.addr(), "/rooms/reset");
    exchange(&mut friend, &mut witness, b"before");
    let before = relay.descriptors();

    let request = upgrade_request("/rooms/reset").into_bytes();
    let message = frame(FIN | BINARY, &[7; 200]);
    let fragment = frame(BINARY, &[7; 200]);
    let close = frame(FIN | CLOSE, &close_payload(1000, b""));
    for bytes in [
        &b""[..],
        &request[..1],
        &request[..request.len() - 1],
        &request[..],
    ] {
        let mut wire = Wire::connect(relay.addr());
        wire.send(bytes);
        wire.reset();
    }
    for bytes in [
        &message[..1],
        &message[..6],
        &message[..100],
        &fragment[..],
        &close[..],
        &close[..3],
    ] {
        // In the same segment as the handshake, and after its answer.
        let mut eager = Wire::connect(relay.addr());
        eager.send(&[&request[..], bytes].concat());
        eager.reset();
        let mut wire = Wire::join(relay.addr(), "/rooms/reset");
        wire.send(bytes);
        wire.reset();
    }
    // With bytes on the way to it that it will never read.
    for round in 0..20_u8 {
        let wire = Wire::join(relay.addr(), "/rooms/reset");
        friend.message(BINARY, &[round; 5000]);
        wire.reset();
        witness.expect(BINARY, &[round; 5000]);
    }
    exchange(&mut friend, &mut witness, b"after");
    released(&relay, before);
}

/// Waits until the relay holds no more descriptors than that; every look is a round trip, so the relay has
/// run in between.
fn released(relay: &Relay, before: usize) {
    let mut echo = Wire::join(relay.addr(), "/echo");
    let patience = patience("the relay holds no more descriptors than before");
    while relay.descriptors() > before + 1 {
        patience.check();
        echo.message(TEXT, b"still there?");
        echo.expect(TEXT, b"still there?");
    }
}

fn exchange(from: &mut Wire, to: &mut Wire, bytes: &[u8]) {
    from.message(BINARY, bytes);
    to.expect(BINARY, bytes);
}

/// A half-open peer: its machine still takes the bytes, but nobody answers.
#[test]
fn a_peer_that_answers_no_ping_is_idle() {
    let relay = Relay::start(&["--ping-interval", "200ms", "--idle-timeout", "1s"]);
    let mut silent = Wire::join(relay.addr(), "/rooms/idle");
    let mut lively = Wire::join(relay.addr(), "/rooms/idle");
    let mut pings = 0;
    // The lively one answers its pings until the silent one has been given up.
    let patience = patience("the silent one is given up");
    while !silent_has_ended(&mut silent) {
        patience.check();
        if lively.readable_within(10) {
            let ping = lively.next_frame().expect("a ping");
            assert_eq!(ping.first, FIN | PING);
            lively.message(PONG, &ping.payload);
            pings += 1;
        }
    }
    assert!(pings > 0, "the relay pings");
    lively.message(PING, b"alive");
    lively.expect(PONG, b"alive");
}

/// Reads what is there without waiting; true when that was the close frame of an idle connection.
fn silent_has_ended(silent: &mut Wire) -> bool {
    while silent.readable_within(0) {
        let frame = silent.next_frame().expect("a ping or a close frame first");
        if frame.first != FIN | PING {
            assert_eq!(frame.close_code(), Some(4005));
            silent.answer_close(Some(4005));
            return true;
        }
    }
    false
}

/// A message that trickles in keeps a connection alive no longer than it should be, but an honest slow one
/// arrives.
#[test]
fn a_message_in_many_segments_arrives_whole() {
    let relay = Relay::start(&[]);
    let mut witness = Wire::join(relay.addr(), "/rooms/trickle");
    let mut slow = Wire::join(relay.addr(), "/rooms/trickle");
    let bytes = [
        frame(TEXT, "käse€".as_bytes()),
        frame(FIN | PING, b"!"),
        frame(FIN | CONTINUATION, "😀".as_bytes()),
    ];
    slow.send_byte_by_byte(&bytes.concat());
    witness.expect(TEXT, "käse€😀".as_bytes());
    slow.expect(PONG, b"!");
}

/// The relay was stopped for a while, as on an overcommitted host: what queued up is then delivered.
#[test]
fn a_stopped_relay_goes_on_where_it_was() {
    let relay = Relay::start(&[]);
    let mut witness = Wire::join(relay.addr(), "/rooms/stopped");
    let mut sender = Wire::join(relay.addr(), "/rooms/stopped");
    exchange(&mut sender, &mut witness, b"before");
    relay.signal(Signal::STOP);
    for at in 0..100_u8 {
        sender.message(BINARY, &[at; 64]);
    }
    relay.signal(Signal::CONT);
    for at in 0..100_u8 {
        witness.expect(BINARY, &[at; 64]);
    }
}
