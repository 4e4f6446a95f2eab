//! Sessions: rooms over plain HTTP, beside WebSockets, by raw sockets and by curl.

use std::process::Command;
use std::time::Instant;

use roomcast_protocol::frame::{self, Decoder, Item, Opcode, Role, Rules};
use roomcast_protocol::v1::Payload;
use roomcast_protocol::v1::client::{Client, Event, Kept};
use roomcast_protocol::v1::down::Packet;
use roomcast_protocol::v1::up::Audience;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::patience;
use crate::relay::Relay;
use crate::v1::join;
use crate::wire::{BINARY, Response, TEXT, Wire};

const DOCUMENT: &str = include_str!("../../../docs/HTTP.md");

/// Frames as a server sends them, and as they come up.
fn texts(texts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        frame::encode(&mut out, Opcode::Text, text.as_bytes());
    }
    out
}

fn ask(wire: &mut Wire, method: &str, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
    send(wire, method, target, body);
    let (response, body) = wire.answer();
    (response.status, body)
}

fn send(wire: &mut Wire, method: &str, target: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    );
    wire.send(&[head.as_bytes(), body].concat());
}

/// A session, and the path below which it is asked for.
fn open(wire: &mut Wire, room: &str, query: &str) -> String {
    let (status, body) = ask(wire, "POST", &format!("/rooms/{room}/http{query}"), b"");
    let body = String::from_utf8(body).expect("text");
    assert_eq!(status, 200, "{body}");
    let said: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    format!("/rooms/{room}/http/{}", said["id"].as_str().expect("an id"))
}

/// Rooms on both reactors; the connection goes to wherever its session is.
#[test]
fn polls_and_websockets_share_rooms() {
    let relay = Relay::start(&[]);
    let mut wire = Wire::connect(relay.addr());
    for room in ["lobby", "arena", "attic", "cellar"] {
        let mut other = Wire::join(relay.addr(), &format!("/rooms/{room}"));
        let at = open(&mut wire, room, "");
        let poll =
            |wire: &mut Wire, ack: u64| ask(wire, "GET", &format!("{at}/poll?ack={ack}"), b"");
        let up = |wire: &mut Wire, seq: u64, said: &[&str]| {
            ask(wire, "POST", &format!("{at}/up?seq={seq}"), &texts(said))
        };
        other.message(TEXT, b"hi");
        assert_eq!(poll(&mut wire, 0), (200, texts(&["hi"])));
        // The answer was lost, it seems.
        assert_eq!(poll(&mut wire, 0), (200, texts(&["hi"])));
        send(&mut wire, "GET", &format!("{at}/poll?ack=1"), b"");
        other.message(TEXT, b"still there?");
        let (held, body) = wire.answer();
        assert_eq!((held.status, body), (200, texts(&["still there?"])));
        assert_eq!(poll(&mut wire, 0).0, 409, "that was acknowledged");
        assert_eq!(poll(&mut wire, 3).0, 409, "that was never said");

        assert_eq!(up(&mut wire, 0, &["one", "two"]), (204, vec![]));
        assert_eq!(up(&mut wire, 0, &["one", "two"]), (204, vec![]), "known");
        assert_eq!(
            up(&mut wire, 1, &["two", "three"]),
            (204, vec![]),
            "in part"
        );
        assert_eq!(up(&mut wire, 4, &["five"]), (409, b"3\n".to_vec()));
        assert_eq!(up(&mut wire, 3, &["four"]), (204, vec![]));
        for said in ["one", "two", "three", "four"] {
            other.expect(TEXT, said.as_bytes());
        }
        assert_eq!(ask(&mut wire, "POST", &format!("{at}/close"), b"").0, 204);
        let left = poll(&mut wire, 2);
        assert_eq!(left.0, 200, "a last word");
        assert_eq!(poll(&mut wire, 3).0, 410);
        assert_eq!(up(&mut wire, 4, &["five"]).0, 410);
    }
    let (status, _) = ask(&mut wire, "GET", "/healthz", b"");
    assert_eq!(status, 200, "a page on the same connection");
    wire.expect_end();
}

/// Whose frames break a rule is told so, and so is who polls: in frames.
#[test]
fn sessions_end_as_websockets_do() {
    let mut relay = Relay::start(&["--drain", "0s"]);
    let mut wire = Wire::connect(relay.addr());
    let at = open(&mut wire, "lobby", "");
    let up = format!("{at}/up?seq=0");
    assert_eq!(ask(&mut wire, "POST", &up, b"\x83\x00").0, 204);
    let close = |code: u16, text: &str| {
        let mut out = Vec::new();
        frame::encode_close(
            &mut out,
            roomcast_protocol::close::CloseCode(code),
            text,
            None,
        );
        out
    };
    let poll = |at: &str, ack: u64| format!("{at}/poll?ack={ack}");
    let told = ask(&mut wire, "GET", &poll(&at, 0), b"");
    assert_eq!(told, (200, close(1002, "protocol error")));
    let told = ask(&mut wire, "GET", &poll(&at, 1), b"");
    assert_eq!(told, (410, b"{\"code\":1002}\n".to_vec()));
    // Cut frames and masked ones are none, and nothing of them is taken.
    for body in [&b"\x81\x05hell"[..], b"\x81\x80\0\0\0\0"] {
        let at = open(&mut wire, "lobby", "");
        let told = ask(&mut wire, "POST", &format!("{at}/up?seq=0"), body);
        assert_eq!(told.0, 400);
        wire = Wire::connect(relay.addr());
    }
    // A newer poll ends an older one; a drain is said to whoever waits.
    let at = open(&mut wire, "lobby", "");
    send(&mut wire, "GET", &poll(&at, 0), b"");
    let mut newer = Wire::connect(relay.addr());
    // Two reactors may have them: the older one is given time to come home.
    assert!(!wire.readable_within(500), "it is held");
    send(&mut newer, "GET", &poll(&at, 0), b"");
    assert_eq!(wire.answer().0.status, 204);
    relay.signal(Signal::TERM);
    let (response, body) = newer.answer();
    assert_eq!(response.status, 200);
    assert_eq!(body, close(1012, "the server restarts; reconnect"));
    let ends = relay.farewell();
    assert_eq!((ends["drain"], ends["violation"]), (3, 1), "{ends:?}");
}

/// RFC 9112: what is read, what is not, and when the connection goes on.
#[test]
fn requests_are_read_by_the_book() {
    let relay = Relay::start(&[]);
    let mut wire = Wire::connect(relay.addr());
    let at = open(&mut wire, "lobby", "");
    let mut other = Wire::join(relay.addr(), "/rooms/lobby");
    let head = |seq: u64, fields: &str| {
        format!("POST {at}/up?seq={seq} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
    };
    let connection = |response: &Response| response.field("connection").map(str::to_owned);
    let chunks = b"4;x=y\r\n\x81\x04in\r\n2\r\n a\r\n0\r\nX: y\r\n\r\n";
    wire.send(&[head(0, "Transfer-Encoding: chunked\r\n").as_bytes(), chunks].concat());
    let (response, _) = wire.answer();
    assert_eq!(
        (response.status, connection(&response).as_deref()),
        (204, Some("keep-alive"))
    );
    assert_eq!(response.field("access-control-allow-origin"), Some("*"));
    other.expect(TEXT, b"in a");
    wire.send(head(1, "Content-Length: 4\r\nExpect: 100-continue\r\n").as_bytes());
    assert_eq!(wire.response_head().status, 100);
    wire.send(b"\x81\x02ok");
    assert_eq!(wire.answer().0.status, 204);
    other.expect(TEXT, b"ok");
    // One byte a segment, and the next request behind it.
    let whole = [head(2, "Content-Length: 4\r\n").as_bytes(), b"\x81\x02hi"].concat();
    wire.send_byte_by_byte(&whole);
    assert_eq!(wire.answer().0.status, 204);
    other.expect(TEXT, b"hi");
    wire.send(&[&whole[..], b"GET / HTTP/1.1\r\n"].concat());
    let (response, _) = wire.answer();
    assert_eq!(
        (response.status, connection(&response).as_deref()),
        (204, Some("close"))
    );
    wire.expect_end();

    let poll = format!("GET {at}/poll?ack=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut early = Wire::connect(relay.addr());
    early.send(&[poll.as_bytes(), b"GET / HTTP/1.1\r\n"].concat());
    other.message(TEXT, b"to who pipelines");
    let (response, _) = early.answer();
    assert_eq!(
        (response.status, connection(&response).as_deref()),
        (200, Some("close"))
    );
    early.expect_end();

    for (request, status) in [
        (
            head(3, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
            400,
        ),
        (head(3, "Content-Length: 4\r\nContent-Length: 4\r\n"), 400),
        (head(3, "Transfer-Encoding: gzip, chunked\r\n"), 400),
        (head(3, "Transfer-Encoding: chunked\r\n") + "4\n", 400),
        (head(3, "Content-Length: 99999999\r\n"), 413),
        (head(3, "").replace("?seq=3", ""), 400),
        (
            format!("GET {at}/up?seq=3 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            405,
        ),
        (head(3, "").replace("up?seq", "poll?ack"), 405),
        (head(3, "").replace("up?seq", "push?seq"), 404),
        ("PRI * HTTP/2.0\r\n\r\n".into(), 505),
    ] {
        let mut wire = Wire::connect(relay.addr());
        // Also behind an answered request.
        assert_eq!(ask(&mut wire, "OPTIONS", &format!("{at}/up"), b"").0, 204);
        wire.send(request.as_bytes());
        let (response, _) = wire.answer();
        assert_eq!(
            (response.status, connection(&response).as_deref()),
            (status, Some("close")),
            "{request}"
        );
        wire.expect_end();
    }
    // As nginx asks unless it is told otherwise.
    let mut old = Wire::connect(relay.addr());
    old.send(
        poll.replace("ack=0", "ack=1")
            .replace("1.1", "1.0")
            .as_bytes(),
    );
    other.message(TEXT, b"still");
    let (response, body) = old.answer();
    assert_eq!((response.status, body), (200, texts(&["still"])));
    old.expect_end();
}

#[test]
fn a_session_needs_a_ticket_where_players_do_and_its_secret() {
    let folder = TempDir::new().expect("a folder");
    let key = crate::tickets::secret(&folder, crate::tickets::SECRET);
    let relay = Relay::start(&["--ticket-key", &key]);
    let ticket = crate::tickets::ticket(&key, &["lobby"], "1h");
    for (target, body, status) in [
        ("/rooms/lobby/http".to_owned(), "", 401),
        ("/rooms/lobby/http".to_owned(), "no.such.ticket", 401),
        ("/rooms/other/http".to_owned(), &*ticket, 401),
        ("/rooms/lobby/http".to_owned(), &*ticket, 200),
        (format!("/rooms/lobby/http?ticket={ticket}"), "", 200),
    ] {
        let mut wire = Wire::connect(relay.addr());
        let told = ask(&mut wire, "POST", &target, body.as_bytes());
        assert_eq!(told.0, status, "{target} {body}");
    }
    let mut wire = Wire::connect(relay.addr());
    let (_, body) = ask(&mut wire, "POST", "/rooms/lobby/http", ticket.as_bytes());
    let said: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let id = said["id"].as_str().expect("an id");
    let last = if id.ends_with('0') { "1" } else { "0" };
    let guessed = format!("/rooms/lobby/http/{}{last}/poll?ack=0", &id[..id.len() - 1]);
    assert_eq!(
        ask(&mut wire, "GET", &guessed, b""),
        (410, b"{}\n".to_vec())
    );
}

/// The client of roomcast.v1, whose packets go by requests.
#[test]
fn roomcast_v1_over_polls() {
    let relay = Relay::start(&[]);
    let start = Instant::now();
    let now = || start.elapsed().as_micros() as u64;
    let mut players: Vec<_> = ["Ada", "Bob"]
        .iter()
        .map(|name| {
            let kept = Kept {
                packets: 64,
                bytes: 65_536,
            };
            let mut client = Client::new(&join(name), kept);
            let mut wire = Wire::connect(relay.addr());
            let at = open(&mut wire, "lobby", "?protocol=roomcast.v1");
            let link = client.open(now());
            (client, link, wire, at, 0, 0)
        })
        .collect();
    let mut heard = [String::new(), String::new()];
    let patience = patience("both hear each other");
    let mut said = [false; 2];
    while heard[0] != "Bob was here" || heard[1] != "Ada was here" {
        patience.check();
        for (who, (client, link, wire, at, ack, seq)) in players.iter_mut().enumerate() {
            if client.is_live() && !std::mem::replace(&mut said[who], true) {
                let text = ["Ada was here", "Bob was here"][who];
                let sent = client.event(Audience::Others, Payload::Text(text), false);
                sent.expect("it keeps little");
                // Whoever joined later has not heard it.
                said[who] = who == 1 || heard[0] == "Bob was here";
            }
            let (mut message, mut body) = (Vec::new(), Vec::new());
            let mut count = 0;
            while client.transmit(now(), &mut message) {
                frame::encode(&mut body, Opcode::Binary, &message);
                message.clear();
                count += 1;
            }
            if count > 0 {
                let told = ask(wire, "POST", &format!("{at}/up?seq={seq}"), &body);
                assert_eq!(told.0, 204);
                *seq += count;
            }
            let (status, mut body) = ask(wire, "GET", &format!("{at}/poll?ack={ack}"), b"");
            assert_eq!(status, 200);
            let rules = Rules {
                role: Role::Client,
                max_message: 1 << 20,
            };
            let (mut decoder, mut input) = (Decoder::default(), &mut body[..]);
            while let Some(item) = decoder.next(&rules, &mut input).expect("good frames") {
                *ack += 1;
                let Item::Message { payload, .. } = item else {
                    continue;
                };
                let heard = &mut heard[who];
                let tell = &mut |event: Event<'_>| {
                    if let Event::Packet(Packet::Event {
                        payload: Payload::Text(text),
                        ..
                    }) = event
                    {
                        *heard = text.to_owned();
                    }
                };
                let received = client.receive(*link, now(), payload, tell);
                received.expect("the relay keeps to the protocol");
            }
        }
    }
}

/// A stream goes on where a poll was, events where a stream was, and each ends the one before.
#[test]
fn streams_and_events_say_what_polls_do() {
    let relay = Relay::start(&[]);
    for room in ["lobby", "arena", "attic", "cellar"] {
        let mut other = Wire::join(relay.addr(), &format!("/rooms/{room}"));
        let mut wire = Wire::connect(relay.addr());
        let at = open(&mut wire, room, "");
        other.message(TEXT, b"zero");
        let first = ask(&mut wire, "GET", &format!("{at}/poll?ack=0"), b"");
        assert_eq!(first, (200, texts(&["zero"])));
        let mut stream = Wire::connect(relay.addr());
        send(&mut stream, "GET", &format!("{at}/stream?ack=1"), b"");
        let head = stream.response_head();
        assert_eq!(
            (head.status, head.field("connection")),
            (200, Some("close"))
        );
        assert_eq!(head.field("x-accel-buffering"), Some("no"));
        assert_eq!(head.field("access-control-allow-origin"), Some("*"));
        for said in ["one", "two"] {
            other.message(TEXT, said.as_bytes());
            stream.expect(TEXT, said.as_bytes());
        }
        let mut events = Wire::connect(relay.addr());
        let request = format!(
            "GET {at}/events?ack=0 HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 2\r\n\r\n"
        );
        events.send(request.as_bytes());
        let head = events.response_head();
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        stream.expect_end();
        assert!(events.line().starts_with("retry: "));
        other.message(BINARY, b"\0");
        other.message(TEXT, b"a\nb");
        let mut lines = String::new();
        while !lines.ends_with("data: b\n\n") {
            lines += &events.line();
        }
        let expected = "\nid: 3\ndata: two\n\nid: 4\nevent: b\ndata: AA==\n\n\
                        id: 5\ndata: a\ndata: b\n\n";
        assert_eq!(lines, expected);
        assert_eq!(ask(&mut wire, "POST", &format!("{at}/close"), b"").0, 204);
        let left = ["id: 6\n", "event: close\n", "data: 1000\n", "\n"];
        assert_eq!(left.map(|_| events.line()), left);
        events.expect_end();
        let gone = ask(&mut wire, "GET", &format!("{at}/stream?ack=6"), b"");
        assert_eq!(gone.0, 410);
    }
}

/// Who has nothing but EventSource has a seat, speaks, and comes back to it.
#[test]
fn a_watcher_needs_no_more_than_a_get() {
    let relay = Relay::start(&[]);
    for room in ["lobby", "arena", "attic", "cellar"] {
        let mut other = Wire::join(relay.addr(), &format!("/rooms/{room}"));
        let watch = |last: &str| {
            let mut events = Wire::connect(relay.addr());
            let request =
                format!("GET /rooms/{room}/http/events HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
            events.send(request.as_bytes());
            assert_eq!(events.response_head().status, 200);
            assert!(events.line().starts_with("retry: "));
            let lines = [(); 4].map(|()| events.line());
            assert_eq!((&*lines[0], &*lines[1]), ("\n", "event: session\n"));
            let said = lines[2].strip_prefix("data: ").expect("data");
            let said: serde_json::Value = serde_json::from_str(said).expect("JSON");
            (events, said["id"].as_str().expect("an id").to_owned())
        };
        let (mut events, id) = watch("");
        for said in ["one", "two"] {
            other.message(TEXT, said.as_bytes());
        }
        let lines = [(); 3].map(|()| events.line());
        let expected = [&format!("id: {id}:1\n"), "data: one\n", "\n"];
        assert_eq!(lines, expected);
        let mut wire = Wire::connect(relay.addr());
        let text = |wire: &mut Wire, query: &str, said: &[u8]| {
            let target = format!("/rooms/{room}/http/{id}/text{query}");
            ask(wire, "POST", &target, said).0
        };
        assert_eq!(text(&mut wire, "", b"hi"), 204);
        for _ in 0..2 {
            assert_eq!(text(&mut wire, "?seq=1", b"once"), 204);
        }
        assert_eq!(text(&mut wire, "?seq=3", b"too soon"), 409);
        other.expect(TEXT, b"hi");
        other.expect(TEXT, b"once");
        // Its connection was lost behind the first event.
        let (mut again, same) = watch(&format!("Last-Event-ID: {id}:1\r\n"));
        assert_eq!(same, id);
        let lines = [(); 3].map(|()| again.line());
        assert_eq!(lines[..2], [format!("id: {id}:2\n"), "data: two\n".into()]);
        let (_, new) = watch(&format!("Last-Event-ID: {id}:9\r\n"));
        assert_ne!(new, id, "there was no such event");
    }
}

/// What docs/HTTP.md shows, word for word but for the address.
#[test]
fn the_examples_of_the_document_run() {
    let relay = Relay::start(&[]);
    let mut blocks = DOCUMENT.split("```sh\n").skip(1);
    let script: String = blocks
        .by_ref()
        .filter_map(|block| Some(block.split_once("```")?.0))
        .collect();
    assert!(script.contains("127.0.0.1:7777"), "{script}");
    let script = script.replace("127.0.0.1:7777", &relay.addr().to_string());
    let output = Command::new("bash").arg("-euc").arg(&script).output();
    let output = output.expect("bash starts");
    let (_, printed) = DOCUMENT.split_once("```text\n").expect("what it prints");
    let (printed, _) = printed.split_once("```").expect("its end");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        printed,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
