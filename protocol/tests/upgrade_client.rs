//! The client's side: what it sends is what the server takes, and it trusts no answer but the right one
//! (RFC 6455 section 4.1).

mod upgrade_fixture;

use roomcast_protocol::upgrade::{
    ClientError, ClientKey, MAX_HEAD, Refusal, Status, parse_client_response, write_accept,
    write_client_request, write_refusal, write_response,
};
use upgrade_fixture::{FRAME, Seen, head, judge};

const STATUS: &str = "HTTP/1.1 101 Switching Protocols";
const CONNECTION: &str = "Connection: Upgrade";
const UPGRADE: &str = "Upgrade: websocket";
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const GOOD: [&str; 4] = [STATUS, CONNECTION, UPGRADE, ACCEPT];

fn key() -> ClientKey {
    ClientKey::from_bytes(*b"the sample nonce")
}

/// A good answer with `line` replaced by `others`.
fn instead(line: &str, others: &[&str]) -> Vec<u8> {
    let at = GOOD
        .iter()
        .position(|each| *each == line)
        .expect("a line of GOOD");
    head(&[&GOOD[..at], others, &GOOD[at + 1..]].concat())
}

fn with(more: &[&str]) -> Vec<u8> {
    head(&[&GOOD[..], more].concat())
}

/// The outcome for a client that offers `protocol`; byte by byte it is the same, and frames behind are left alone.
fn outcome(bytes: &[u8], protocol: Option<&str>, name: &str) -> Result<Option<usize>, ClientError> {
    let parse = |bytes: &[u8]| parse_client_response(bytes, &key(), protocol);
    let whole = parse(bytes);
    let first = (0..=bytes.len())
        .map(|len| parse(&bytes[..len]))
        .find(|result| *result != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole, "{name}: byte by byte");
    if whole != Ok(None) {
        assert_eq!(
            parse(&[bytes, FRAME].concat()),
            whole,
            "{name}: with a frame behind"
        );
    }
    whole
}

#[test]
fn the_server_takes_what_the_client_sends() {
    let mut request = Vec::new();
    let extra = [
        ("Origin", "https://game.example"),
        ("User-Agent", "loadgen"),
    ];
    write_client_request(
        &mut request,
        "[::1]:7777",
        "/rooms/a?b=c",
        &key(),
        Some("roomcast.v1"),
        &extra,
    );
    let expected = Seen {
        method: "GET".into(),
        path: "/rooms/a".into(),
        query: Some("b=c".into()),
        host: "[::1]:7777".into(),
        origin: Some("https://game.example".into()),
        upgrade: Some((
            key().expected_accept().as_str().into(),
            vec!["roomcast.v1".into()],
        )),
    };
    assert_eq!(judge(&request, "with everything"), Ok(expected));

    let mut request = b"before".to_vec();
    write_client_request(&mut request, "a", "/", &key(), None, &[]);
    let request = request.strip_prefix(b"before").expect("appended");
    let seen = judge(request, "with nothing").unwrap();
    assert_eq!(
        seen.upgrade,
        Some((key().expected_accept().as_str().into(), vec![]))
    );
}

#[test]
fn the_client_takes_what_the_server_accepts() {
    for protocol in [None, Some("roomcast.v1")] {
        let mut answer = Vec::new();
        write_accept(&mut answer, &key().expected_accept(), protocol);
        assert_eq!(outcome(&answer, protocol, "accept"), Ok(Some(answer.len())));
    }
}

#[test]
fn answers_in_every_spelling() {
    #[rustfmt::skip]
    let rows: &[(&str, Vec<u8>)] = &[
        ("plain", head(&GOOD)),
        ("another phrase", instead(STATUS, &["HTTP/1.1 101 Web Socket Protocol Handshake"])),
        ("no phrase", instead(STATUS, &["HTTP/1.1 101"])),
        ("any case", instead(UPGRADE, &["UPGRADE:WebSocket"])),
        ("list", instead(CONNECTION, &["connection: keep-alive, upgrade"])),
        ("repeated", instead(CONNECTION, &["Connection: keep-alive", "Connection: upgrade"])),
        ("no extension", with(&["Sec-WebSocket-Extensions: ,"])),
        ("other fields", with(&["Server: x", "Date: Thu, 01 Jan 1970 00:00:00 GMT", "Set-Cookie: a=b"])),
    ];
    for (name, bytes) in rows {
        assert_eq!(outcome(bytes, None, name), Ok(Some(bytes.len())), "{name}");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    // RFC 9110 section 15.2.
    let early = head(&["HTTP/1.1 103 Early Hints", "Link: </style.css>"]);
    let bytes = [&early[..], &early, &head(&GOOD)].concat();
    assert_eq!(outcome(&bytes, None, "103"), Ok(Some(bytes.len())));
    let endless = early.repeat(MAX_HEAD / early.len() + 1);
    assert_eq!(
        outcome(&endless, None, "only 103s"),
        Err(ClientError::TooLarge)
    );
}

#[test]
fn answers_refused() {
    let accept = |value: &str| instead(ACCEPT, &[&format!("Sec-WebSocket-Accept: {value}")]);
    #[rustfmt::skip]
    let rows: &[(&str, ClientError, Vec<u8>)] = &[
        ("200", ClientError::Status(200), instead(STATUS, &["HTTP/1.1 200 OK"])),
        ("301", ClientError::Status(301), head(&["HTTP/1.1 301 Moved Permanently", "Location: /"])),
        ("HTTP/1.0 404", ClientError::Status(404), head(&["HTTP/1.0 404 Not Found"])),
        ("HTTP/1.0 101", ClientError::Malformed, instead(STATUS, &["HTTP/1.0 101 Switching Protocols"])),
        ("HTTP/2", ClientError::Malformed, instead(STATUS, &["HTTP/2 101"])),
        ("a request", ClientError::Malformed, head(&["GET / HTTP/1.1"])),
        ("SSH", ClientError::Malformed, b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("a TLS alert", ClientError::Malformed, b"\x15\x03\x01\x00\x02\x02\x46".to_vec()),
        ("folded", ClientError::Malformed, with(&["X: a", " b"])),
        ("NUL", ClientError::Malformed, with(&["X: \0"])),
        ("no Upgrade", ClientError::NotWebSocket, instead(UPGRADE, &[])),
        ("h2c", ClientError::NotWebSocket, instead(UPGRADE, &["Upgrade: h2c"])),
        ("more than one", ClientError::NotWebSocket, instead(UPGRADE, &["Upgrade: websocket, foo"])),
        ("two Upgrades", ClientError::NotWebSocket, with(&[UPGRADE])),
        ("no Connection", ClientError::NoConnectionUpgrade, instead(CONNECTION, &[])),
        ("close", ClientError::NoConnectionUpgrade, instead(CONNECTION, &["Connection: close"])),
        ("no Accept", ClientError::BadAccept, instead(ACCEPT, &[])),
        ("two Accepts", ClientError::BadAccept, with(&[ACCEPT])),
        ("empty Accept", ClientError::BadAccept, accept("")),
        ("the key", ClientError::BadAccept, accept(key().as_str())),
        ("another case", ClientError::BadAccept, accept("S3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("without padding", ClientError::BadAccept, accept("s3pPLMBiTxaQ9kYGzzhZRbK+xOo")),
        ("of another key", ClientError::BadAccept, accept(ClientKey::from_bytes([0; 16]).expected_accept().as_str())),
        ("extension", ClientError::UnexpectedExtension, with(&["Sec-WebSocket-Extensions: permessage-deflate"])),
        ("protocol", ClientError::UnexpectedProtocol, with(&["Sec-WebSocket-Protocol: a"])),
        ("empty protocol", ClientError::UnexpectedProtocol, with(&["Sec-WebSocket-Protocol:"])),
        ("101 fields", ClientError::TooLarge, with(&["X: y"; 98])),
    ];
    for (name, error, bytes) in rows {
        assert_eq!(outcome(bytes, None, name), Err(*error), "{name}");
    }
}

#[test]
fn the_protocol_that_was_asked_for() {
    let answer = |lines: &[&str]| {
        let bytes = with(lines);
        outcome(&bytes, Some("a"), &format!("{lines:?}")).map(|len| len == Some(bytes.len()))
    };
    assert_eq!(answer(&["Sec-WebSocket-Protocol: a"]), Ok(true));
    assert_eq!(answer(&[]), Err(ClientError::MissingProtocol));
    for lines in [
        &["Sec-WebSocket-Protocol: b"][..],
        &["Sec-WebSocket-Protocol: A"],
        &["Sec-WebSocket-Protocol: a, b"],
        &["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"],
    ] {
        assert_eq!(
            answer(lines),
            Err(ClientError::UnexpectedProtocol),
            "{lines:?}"
        );
    }
}

#[test]
fn an_endless_head() {
    let mut bytes = format!("{STATUS}\r\nX: ").into_bytes();
    bytes.resize(MAX_HEAD - 1, b'y');
    assert_eq!(outcome(&bytes, None, "one byte left"), Ok(None));
    bytes.push(b'y');
    assert_eq!(outcome(&bytes, None, "full"), Err(ClientError::TooLarge));
}

#[test]
fn every_refusal_arrives_as_its_status() {
    for &refusal in Refusal::ALL {
        let mut answer = Vec::new();
        write_refusal(&mut answer, refusal);
        let expected = match refusal {
            Refusal::TlsOnPlainPort => Ok(None),
            _ => Err(ClientError::Status(refusal.status().code())),
        };
        assert_eq!(outcome(&answer, None, "refusal"), expected, "{refusal:?}");
    }
    for &status in Status::ALL {
        let mut answer = Vec::new();
        write_response(&mut answer, status, "text/plain", b"", false);
        assert_eq!(
            outcome(&answer, None, "response"),
            Err(ClientError::Status(status.code()))
        );
    }
}

#[test]
fn a_redirection_names_a_place() {
    for (answer, location) in [
        ("HTTP/1.1 307 Go\r\nLocation: /x\r\n\r\n", Some("/x")),
        (
            "HTTP/1.0 301 Go\r\nlocation: ws://b/y\r\n\r\nbody",
            Some("ws://b/y"),
        ),
        (
            "HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 302 Go\r\nLocation: z\r\n\r\n",
            Some("z"),
        ),
        ("HTTP/1.1 302 Go\r\nLocation: z\r\n", None),
        ("HTTP/1.1 302 Go\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nLocation: z\r\n\r\n", None),
        ("", None),
        ("garbage", None),
    ] {
        let found = roomcast_protocol::upgrade::redirect_location(answer.as_bytes());
        assert_eq!(found, location, "{answer:?}");
    }
}
