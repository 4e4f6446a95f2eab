//! Ends that need more than one connection, or that are not ends of a WebSocket.

use roomcast::limits::Limits;
use roomcast_protocol::frame::Opcode;

use crate::stage::{Stage, WIDE, frame, text};

#[test]
fn requests_that_are_no_players_are_answered() {
    for (request, answer, end) in [
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            "200, end",
            "answered",
        ),
        (
            "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
            "200, end",
            "answered",
        ),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200, end", "answered"),
        (
            "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
            "426, end",
            "refused",
        ),
        (
            "GET /rooms/r HTTP/1.1\r\nHost: a\r\n\r\n",
            "426, end",
            "refused",
        ),
        (
            "GET /rooms/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "404, end",
            "refused",
        ),
        (
            "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
            "404, end",
            "refused",
        ),
        ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "405, end", "refused"),
        ("GET / HTTP/1.1\r\n\r\n", "400, end", "refused"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505, end", "refused"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200, end", "answered"),
        // Nobody who speaks TLS would understand the answer.
        ("\x16\x03\x01\x02\x00", "end", "refused"),
    ] {
        let mut stage = Stage::new(Limits::default());
        let wire = stage.connect();
        stage.send(wire, request.as_bytes());
        assert_eq!(stage.heard(wire), answer, "{request:?}");
        assert_eq!(stage.ends(), end, "{request:?}");
        stage.close();
    }
}

/// The time for the head is absolute: a trickle does not renew it.
#[test]
fn a_head_that_trickles_ends_in_time() {
    let mut stage = Stage::new(Limits::default());
    let wire = stage.connect();
    let request = stage.request("/rooms/r");
    for byte in &request[..100] {
        stage.send(wire, &[*byte]);
        stage.pass(99);
        assert_eq!(stage.heard(wire), "");
    }
    stage.pass(200);
    assert_eq!(stage.heard(wire), "408, end");
    // What else it sends changes nothing.
    stage.send(wire, &request[100..]);
    assert_eq!(stage.heard(wire), "end");
    assert_eq!(stage.ends(), "handshake_timeout");
    stage.close();
}

#[test]
fn frames_behind_the_request_are_taken_with_it() {
    let mut stage = Stage::new(Limits::default());
    let other = stage.join("/rooms/r");
    let wire = stage.connect();
    let mut bytes = stage.request("/rooms/r");
    bytes.extend(text("first"));
    bytes.extend(frame(Opcode::Ping, b"x"));
    bytes.extend(frame(Opcode::Close, &1000_u16.to_be_bytes()));
    stage.send(wire, &bytes);
    assert_eq!(stage.heard(wire), "101, pong x, close 1000, end");
    assert_eq!(stage.heard(other), "text first");
    stage.close();
}

#[test]
fn a_full_room_says_so() {
    let limits = Limits {
        max_room_members: 2,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let first = stage.join("/rooms/r");
    let second = stage.join("/rooms/r");
    let third = stage.connect();
    let mut bytes = stage.request("/rooms/r");
    bytes.extend(text("unheard"));
    stage.send(third, &bytes);
    assert_eq!(stage.heard(third), "101, close 4000");
    assert_eq!(stage.heard(first), "");
    assert_eq!(
        (stage.ends().as_str(), stage.common.seated()),
        ("room_full", 2)
    );
    stage.send(third, &frame(Opcode::Close, &4000_u16.to_be_bytes()));
    assert_eq!(stage.heard(third), "end");
    // Another room has room, and so has this one once somebody has left.
    stage.join("/rooms/other");
    stage.hang_up(second);
    stage.join("/rooms/r");
    stage.close();
}

#[test]
fn a_full_process_says_so() {
    let limits = Limits {
        max_connections: 2,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let first = stage.join("/rooms/r");
    stage.join("/echo");
    for path in ["/rooms/r", "/echo"] {
        let wire = stage.connect();
        stage.send(wire, &stage.request(path));
        assert_eq!(stage.heard(wire), "503, end");
    }
    assert_eq!(stage.ends(), "2 full");
    // Who asks for no seat is answered.
    let wire = stage.connect();
    stage.send(wire, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(stage.heard(wire), "200, end");
    stage.hang_up(first);
    stage.join("/rooms/r");
    stage.close();
}

#[test]
fn text_is_judged_at_its_first_bad_byte() {
    for (bytes, code) in [
        (&b"\x81\x82\0\0\0\0\xc3\x28"[..], 1007),
        // The frame is not whole, the message not even near.
        (b"\x01\x8a\0\0\0\0a\xf5", 1007),
        (b"\x01\x81\0\0\0\0\xe2\x80\x81\0\0\0\0\x28", 1007),
        (b"\x81\x02hi", 1002),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x89\xfe\0\x7e", 1002),
        (b"\x82\xff\0\0\0\0\0\x01\0\x01", 1009),
    ] {
        let mut stage = Stage::new(Limits::default());
        let wire = stage.join("/rooms/r");
        let other = stage.join("/rooms/r");
        stage.send(
            wire,
            &[text("before"), bytes.to_vec(), text("after")].concat(),
        );
        assert_eq!(stage.heard(wire), format!("close {code}, end"), "{bytes:?}");
        // What was said before it was said.
        assert_eq!(stage.heard(other), "text before");
        let label = match code {
            1007 => "bad_text",
            1009 => "too_big",
            _ => "violation",
        };
        assert_eq!(stage.ends(), label);
        stage.hang_up(wire);
        assert!(
            !stage.is_there(wire),
            "released as soon as the peer ends too"
        );
        stage.close();
    }
}

#[test]
fn silence_is_answered_with_pings_and_a_pong_is_a_sign_of_life() {
    let mut stage = Stage::new(Limits::default());
    let wire = stage.join("/rooms/r");
    let silent = stage.join("/rooms/r");
    for _ in 0..5 {
        stage.pass(20_050);
        assert_eq!(stage.heard(wire), "ping");
        stage.send(wire, &frame(Opcode::Pong, &[]));
    }
    assert_eq!(stage.heard(silent), "ping, ping, close 4005, end");
    assert_eq!(stage.ends(), "idle");
    assert!(!stage.is_there(silent));
    stage.close();
}

#[test]
fn drain_is_spread_and_refuses_newcomers() {
    let mut stage = Stage::new(Limits::default());
    let join = |room| stage.join(&format!("/rooms/{room}"));
    let players: Vec<_> = (0..100).map(join).collect();
    let fresh = stage.connect();
    let idle = stage.connect();
    stage.drain(10_000);
    stage.pass(1_000);
    // Who came before and asks only now is told to come back later.
    stage.send(fresh, &stage.request("/rooms/r"));
    assert_eq!(stage.heard(fresh), "503, end");
    stage.pass(4_000);
    assert_eq!(
        stage.heard(idle),
        "408, end",
        "nobody waits for it while draining"
    );
    let told = |stage: &mut Stage| {
        let told = |wire: &&usize| stage.heard(**wire).starts_with("close 1012");
        players.iter().filter(told).count()
    };
    let first_half = told(&mut stage);
    assert!(
        (30..70).contains(&first_half),
        "{first_half} of 100 in half of the time"
    );
    let late = stage.connect();
    stage.send(late, &stage.request("/rooms/r"));
    assert_eq!(stage.heard(late), "503, end");
    let ready = stage.connect();
    stage.send(ready, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(stage.heard(ready), "503, end");
    stage.pass(5_032);
    assert_eq!(first_half + told(&mut stage), 100);
    assert_eq!(stage.ends(), "refused, handshake_timeout, 102 drain");
    stage.pass(2_032);
    assert!(players.iter().all(|&wire| !stage.is_there(wire)));
    stage.close();
}

/// It ends while it waits to be written to once more: the list of the next flush must not outlive it.
#[test]
fn an_end_in_the_middle_of_a_long_goodbye() {
    let limits = Limits {
        outbox_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let wire = stage.join("/rooms/r");
    let other = stage.join("/rooms/r");
    stage.net().wires[wire].resize(0);
    // More pieces than one write takes, four times over.
    for _ in 0..300 {
        stage.send(other, &frame(Opcode::Binary, &[0; 600]));
        stage.pass(5);
    }
    stage.send(wire, b"\xff");
    assert_eq!(stage.ends(), "violation");
    // Its time is up in the very iteration in which the socket takes bytes again.
    stage.pass(1_000);
    stage.now += u64::from(stage.common.limits.close_ms) - 1_000 + 32;
    stage.net().wires[wire].resize(WIDE);
    stage.turn();
    stage.settle();
    assert!(!stage.is_there(wire));
    // Its slot is used again at once.
    let next = stage.join("/rooms/r");
    stage.send(other, &text("still here"));
    assert_eq!(stage.heard(next), "text still here");
    stage.close();
}

/// Whoever balances by `/readyz` has time to notice, and who was sent here meanwhile is let in.
#[test]
fn a_delayed_drain_is_only_said_at_first() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let early = stage.join("/rooms/a");
    // Both rooms may be at home at the other reactor, and a reactor that has nobody ends at once.
    let echo = stage.join("/echo");
    stage.common.order_drain_after(5_000, 0);
    stage.net().wake_all();
    stage.settle();
    let ready = |stage: &mut Stage| {
        let wire = stage.connect();
        stage.send(wire, b"GET /readyz HTTP/1.0\r\n\r\n");
        stage.heard(wire)
    };
    assert_eq!(ready(&mut stage), "503, end");
    let late = stage.join("/rooms/b");
    stage.pass(4_900);
    assert!(stage.is_seated(early) && stage.is_seated(late));
    stage.pass(200);
    for wire in [early, late, echo] {
        assert_eq!(stage.heard(wire), "close 1012");
    }
    let refused = stage.connect();
    let request = stage.request("/rooms/a");
    stage.send(refused, &request);
    assert_eq!(stage.heard(refused), "503, end");
}
