//! The upgrade as hostile and as odd peers ask for it: each row's status, and that the relay then closes.

use crate::patience;
use crate::relay::Relay;
use crate::wire::{BINARY, FIN, Wire, frame, upgrade_request};

/// The right request with lines added and taken away.
struct Request {
    line: &'static str,
    fields: Vec<&'static str>,
}

fn request() -> Request {
    Request {
        line: "GET /rooms/a HTTP/1.1",
        fields: vec![
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ],
    }
}

impl Request {
    fn line(mut self, line: &'static str) -> Self {
        self.line = line;
        self
    }

    fn without(mut self, name: &str) -> Self {
        let before = self.fields.len();
        self.fields.retain(|field| !field.starts_with(name));
        assert!(self.fields.len() < before, "{name} was there");
        self
    }

    fn with(mut self, field: &'static str) -> Self {
        self.fields.push(field);
        self
    }

    /// Puts another field in the place of the one with the same name.
    fn instead(self, field: &'static str) -> Self {
        let name = field.split(':').next().expect("a name");
        self.without(name).with(field)
    }

    fn bytes(&self) -> Vec<u8> {
        format!("{}\r\n{}\r\n\r\n", self.line, self.fields.join("\r\n")).into_bytes()
    }
}

type Row = (&'static str, Vec<u8>, u16);

fn row(what: &'static str, request: &Request, status: u16) -> Row {
    (what, request.bytes(), status)
}

/// After the blueprint's section on exactness, RFC 6455 4.2.1, RFC 9112 and the smuggling shapes.
fn refused() -> Vec<Row> {
    let long_room = "/rooms/".to_owned() + &"r".repeat(65);
    let mut rows = vec![
        row("no key", &request().without("Sec-WebSocket-Key"), 400),
        row(
            "a doubled key",
            &request().with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
            400,
        ),
        row(
            "a key of 15 bytes",
            &request().instead("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"),
            400,
        ),
        row(
            "a key of 17 bytes",
            &request().instead("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE="),
            400,
        ),
        row(
            "a key that is not base64",
            &request().instead("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!!=="),
            400,
        ),
        row(
            "an empty key",
            &request().instead("Sec-WebSocket-Key: "),
            400,
        ),
        row(
            "version 8",
            &request().instead("Sec-WebSocket-Version: 8"),
            426,
        ),
        row(
            "version 0",
            &request().instead("Sec-WebSocket-Version: 0"),
            426,
        ),
        row(
            "version 013",
            &request().instead("Sec-WebSocket-Version: 013"),
            426,
        ),
        row(
            "no version",
            &request().without("Sec-WebSocket-Version"),
            426,
        ),
        row(
            "no upgrade",
            &request().without("Upgrade").without("Connection"),
            426,
        ),
        row("no Connection", &request().without("Connection"), 426),
        row(
            "an upgrade to something else",
            &request().instead("Upgrade: h2c"),
            426,
        ),
        row(
            "a Connection without upgrade",
            &request().instead("Connection: keep-alive"),
            426,
        ),
        row("no Host", &request().without("Host"), 400),
        row("a doubled Host", &request().with("Host: other"), 400),
        row(
            "Transfer-Encoding",
            &request().with("Transfer-Encoding: chunked"),
            400,
        ),
        row(
            "a strange Transfer-Encoding",
            &request().with("Transfer-Encoding: \x0bchunked"),
            400,
        ),
        row(
            "a body announced",
            &request().with("Content-Length: 5"),
            400,
        ),
        row(
            "two lengths",
            &request()
                .with("Content-Length: 0")
                .with("Content-Length: 5"),
            400,
        ),
        row(
            "a length that is no number",
            &request().with("Content-Length: +0"),
            400,
        ),
        row("a folded field", &request().with("X-Folded: a\r\n b"), 400),
        row("NUL in a value", &request().with("X-Nul: a\0b"), 400),
        row("a bare CR in a value", &request().with("X-Cr: a\rb"), 400),
        row(
            "a bare LF between fields",
            &request().with("X-A: a\nX-B: b"),
            400,
        ),
        row(
            "a space before the colon",
            &request().with("X-Space : a"),
            400,
        ),
        row("a field without a name", &request().with(": a"), 400),
        row("a field without a colon", &request().with("nothing"), 400),
        row("HTTP/1.0", &request().line("GET /rooms/a HTTP/1.0"), 505),
        row(
            "HTTP/1.0 without Host",
            &request().line("GET /rooms/a HTTP/1.0").without("Host"),
            505,
        ),
        row("HTTP/2.0", &request().line("GET /rooms/a HTTP/2.0"), 505),
        row("POST", &request().line("POST /rooms/a HTTP/1.1"), 405),
        row("PUT", &request().line("PUT /rooms/a HTTP/1.1"), 405),
        row(
            "an unknown path",
            &request().line("GET /nowhere HTTP/1.1"),
            404,
        ),
        row("no room name", &request().line("GET /rooms/ HTTP/1.1"), 404),
        row(
            "no room at all",
            &request().line("GET /rooms HTTP/1.1"),
            404,
        ),
        row(
            "a room below a room",
            &request().line("GET /rooms/a/b HTTP/1.1"),
            404,
        ),
        row(
            "a slash after the room",
            &request().line("GET /rooms/a/ HTTP/1.1"),
            404,
        ),
        row(
            "a percent-encoded slash",
            &request().line("GET /rooms/a%2Fb HTTP/1.1"),
            404,
        ),
        row(
            "percent-encoding twice",
            &request().line("GET /rooms/%2561 HTTP/1.1"),
            404,
        ),
        row("room .", &request().line("GET /rooms/. HTTP/1.1"), 404),
        row("room ..", &request().line("GET /rooms/.. HTTP/1.1"), 404),
        row(
            "room .. in disguise",
            &request().line("GET /rooms/%2E%2e HTTP/1.1"),
            404,
        ),
        row(
            "a character that no name has",
            &request().line("GET /rooms/a+b HTTP/1.1"),
            404,
        ),
        row(
            "another case",
            &request().line("GET /Rooms/a HTTP/1.1"),
            404,
        ),
        row(
            "two spaces in the request line",
            &request().line("GET  /rooms/a HTTP/1.1"),
            400,
        ),
        row("no target", &request().line("GET HTTP/1.1"), 400),
        (
            "bytes that begin no request",
            b"\0\x01\x02\x03\r\n\r\n".to_vec(),
            400,
        ),
    ];
    rows.push((
        "a room name of 65 characters",
        upgrade_request(&long_room).into_bytes(),
        404,
    ));
    let mut long = request().bytes();
    long.truncate(long.len() - 2);
    let many = [long.clone(), b"X: y\r\n".repeat(96), b"\r\n".to_vec()].concat();
    let large = [
        long,
        b"X: ".to_vec(),
        vec![b'x'; 8192],
        b"\r\n\r\n".to_vec(),
    ]
    .concat();
    rows.push(("101 fields", many, 431));
    rows.push(("a head over 8 KiB", large, 431));
    rows.push(("a head over 8 KiB that does not end", vec![b'G'; 9000], 431));
    rows
}

#[test]
fn every_bad_handshake_has_its_status_and_then_the_connection_ends() {
    let relay = Relay::start(&[]);
    let mut wrong = Vec::new();
    for (what, bytes, status) in refused() {
        for split in [false, true] {
            let mut wire = Wire::connect(relay.addr());
            if split {
                wire.send_byte_by_byte(&bytes);
            } else {
                // The relay may answer and close before it has taken all of it.
                let _ = wire.try_send(&bytes);
            }
            let Some((response, body)) = wire.try_response() else {
                wrong.push(format!(
                    "{what} (split: {split}): no answer instead of {status}"
                ));
                continue;
            };
            if response.status != status {
                let came = response.status;
                wrong.push(format!(
                    "{what} (split: {split}): {came} instead of {status}"
                ));
            }
            assert_eq!(
                response
                    .field("content-length")
                    .and_then(|len| len.parse().ok()),
                Some(body.len()),
                "{what}: the body is as long as announced"
            );
            assert!(!body.is_empty(), "{what}: a refusal says why");
            match status {
                405 => assert_eq!(response.field("allow"), Some("GET"), "{what}"),
                426 => {
                    assert_eq!(response.field("upgrade"), Some("websocket"), "{what}");
                    assert_eq!(
                        response.field("sec-websocket-version"),
                        Some("13"),
                        "{what}"
                    );
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a strict reading allows, and what proxies and odd clients really send.
#[test]
fn every_odd_but_right_handshake_is_accepted() {
    let relay = Relay::start(&[]);
    let name = "aZ09._~-".repeat(8);
    let longest = upgrade_request(&format!("/rooms/{name}")).into_bytes();
    let rows = [
        ("as it should be", request().bytes()),
        (
            "a list of connection options",
            request().instead("Connection: keep-alive, Upgrade").bytes(),
        ),
        (
            "Connection in two fields",
            request()
                .instead("Connection: keep-alive")
                .with("Connection: upgrade")
                .bytes(),
        ),
        (
            "a list with empty elements",
            request().instead("Connection: ,, Upgrade ,").bytes(),
        ),
        (
            "any case of values",
            request()
                .instead("Upgrade: WebSocket")
                .instead("Connection: UPGRADE")
                .bytes(),
        ),
        (
            "any case of names",
            request()
                .without("Host")
                .with("hOST: localhost")
                .without("Upgrade")
                .with("UPGRADE: websocket")
                .bytes(),
        ),
        (
            "several upgrades offered",
            request().instead("Upgrade: h2c, websocket").bytes(),
        ),
        (
            "no space after the colon",
            request().without("Host").with("Host:localhost").bytes(),
        ),
        (
            "tabs around a value",
            request().instead("Upgrade: \t websocket\t ").bytes(),
        ),
        (
            "an empty body announced",
            request().with("Content-Length: 0").bytes(),
        ),
        (
            "a compression offered",
            request()
                .with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
                .bytes(),
        ),
        (
            "a subprotocol nobody knows",
            request()
                .with("Sec-WebSocket-Protocol: chat, superchat")
                .bytes(),
        ),
        (
            "a query",
            request().line("GET /rooms/a?name=x&y=%20 HTTP/1.1").bytes(),
        ),
        ("the longest room name", longest),
    ];
    for (what, bytes) in rows {
        for split in [false, true] {
            let mut wire = Wire::connect(relay.addr());
            if split {
                wire.send_byte_by_byte(&bytes);
            } else {
                wire.send(&bytes);
            }
            let response = wire.accepted();
            assert_eq!(
                response.field("sec-websocket-protocol"),
                None,
                "{what}: none was agreed"
            );
        }
    }
}

/// A query is no part of the room's name, and a name's case is.
#[test]
fn which_room_a_target_names() {
    let relay = Relay::start(&[]);
    let mut plain = Wire::join(relay.addr(), "/rooms/arena");
    let mut other_case = Wire::join(relay.addr(), "/rooms/Arena");
    let mut with_query = Wire::join(relay.addr(), "/rooms/arena?token=1");
    let mut encoded = Wire::join(relay.addr(), "/rooms/%61ren%61");
    other_case.message(BINARY, b"from Arena");
    with_query.message(BINARY, b"from arena");
    plain.expect(BINARY, b"from arena");
    plain.message(BINARY, b"back");
    with_query.expect(BINARY, b"back");
    encoded.expect(BINARY, b"from arena");
    encoded.expect(BINARY, b"back");
}

#[test]
fn frames_sent_along_with_the_handshake_are_not_lost() {
    let relay = Relay::start(&[]);
    let mut waiting = Wire::join(relay.addr(), "/rooms/eager");
    for attempt in 0..20_u8 {
        let mut eager = Wire::connect(relay.addr());
        let mut bytes = upgrade_request("/rooms/eager").into_bytes();
        bytes.extend(frame(FIN | BINARY, &[attempt; 300]));
        bytes.extend(frame(FIN | BINARY, &[attempt, 1]));
        // The third frame is cut: its rest follows after the answer.
        let cut = frame(FIN | BINARY, &[attempt, 2]);
        bytes.extend(&cut[..cut.len() - 1]);
        eager.send(&bytes);
        eager.accepted();
        eager.send(&cut[cut.len() - 1..]);
        waiting.expect(BINARY, &[attempt; 300]);
        waiting.expect(BINARY, &[attempt, 1]);
        waiting.expect(BINARY, &[attempt, 2]);
        eager.reset();
    }
}

/// A peer that speaks TLS could not read an HTTP answer; it is let go without one, at once.
#[test]
fn a_tls_peer_is_let_go_without_an_answer() {
    let relay = Relay::start(&["--handshake-timeout", "1h"]);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for len in [1, hello.len()] {
        let mut wire = Wire::connect(relay.addr());
        wire.send(&hello[..len]);
        assert!(wire.try_response().is_none());
    }
}

/// Nothing that a peer chose may stand in a head: that would split responses.
#[test]
fn a_refused_path_is_never_reflected() {
    let relay = Relay::start(&[]);
    let mut wire = Wire::connect(relay.addr());
    wire.send(upgrade_request("/rooms/%0d%0aset-cookie:tasty").as_bytes());
    let (response, body) = wire.response();
    assert_eq!(response.status, 404);
    assert!(!format!("{response:?}").contains("tasty"), "{response:?}");
    assert!(!String::from_utf8_lossy(&body).contains("tasty"));
}

/// The time for a head is counted from the connection on, and no byte renews it.
#[test]
fn a_head_that_only_trickles_runs_out_of_time() {
    let relay = Relay::start(&["--handshake-timeout", "1s"]);
    let mut silent = Wire::connect(relay.addr());
    let mut trickling = Wire::connect(relay.addr());
    trickling.send(b"GET /rooms/a HTTP/1.1\r\nX: ");
    let patience = patience("the time for a head is over");
    while !trickling.readable_within(100) {
        patience.check();
        trickling.send(b"x");
    }
    assert_eq!(trickling.response_head().status, 408);
    assert_eq!(silent.response().0.status, 408);
    trickling.expect_gone();
    silent.expect_gone();
    // Whoever has upgraded is out of its reach.
    let mut late = Wire::join(relay.addr(), "/echo");
    late.message(BINARY, b"in time");
    late.expect(BINARY, b"in time");
}
