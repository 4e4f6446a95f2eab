//! What the server refuses and with which status, as tables; each row whole, byte by byte, cut at every point, and
//! with frames behind it (RFC 6455 section 4.2, RFC 9112).

mod upgrade_fixture;

use roomcast_protocol::upgrade::{MAX_FIELDS, MAX_HEAD, Refusal, parse_request};
use upgrade_fixture::{
    CONNECTION, GOOD, HOST, KEY, LINE, Seen, UPGRADE, VERSION, head, instead, judge, page, with,
};

#[test]
fn handshakes_refused() {
    let key = |value: &str| instead(KEY, &[&format!("Sec-WebSocket-Key: {value}")]);
    let version = |value: &str| instead(VERSION, &[&format!("Sec-WebSocket-Version: {value}")]);
    #[rustfmt::skip]
    let rows: &[(&str, Refusal, u16, Vec<u8>)] = &[
        ("version 8", Refusal::WebSocketVersion, 426, version("8")),
        ("version 0", Refusal::WebSocketVersion, 426, version("0")),
        ("version 14", Refusal::WebSocketVersion, 426, version("14")),
        ("version 013", Refusal::WebSocketVersion, 426, version("013")),
        ("version 13.0", Refusal::WebSocketVersion, 426, version("13.0")),
        ("version list", Refusal::WebSocketVersion, 426, version("13, 8")),
        ("version empty", Refusal::WebSocketVersion, 426, version("")),
        ("no version", Refusal::WebSocketVersion, 426, instead(VERSION, &[])),
        ("old version with an old key", Refusal::WebSocketVersion, 426, head(&[LINE, HOST, CONNECTION, UPGRADE, "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5"])),
        ("two versions", Refusal::RepeatedVersion, 400, with(&[VERSION])),
        ("no key", Refusal::NoKey, 400, instead(KEY, &[])),
        ("two keys", Refusal::RepeatedKey, 400, with(&[KEY])),
        ("two different keys", Refusal::RepeatedKey, 400, with(&["sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="])),
        ("three keys", Refusal::RepeatedKey, 400, with(&[KEY, KEY])),
        ("key list", Refusal::BadKey, 400, key("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==")),
        ("empty key", Refusal::BadKey, 400, key("")),
        ("15 bytes", Refusal::BadKey, 400, key("dGhlIHNhbXBsZSBub25j")),
        ("17 bytes", Refusal::BadKey, 400, key("dGhlIHNhbXBsZSBub25jZSE=")),
        ("no padding", Refusal::BadKey, 400, key("dGhlIHNhbXBsZSBub25jZQ")),
        ("pad bits set and half the padding", Refusal::BadKey, 400, key("dGhlIHNhbXBsZSBub25jZR=")),
        ("other alphabet", Refusal::BadKey, 400, key("dGhlIHNhbXBsZSBub25-_Q==")),
        ("not ASCII", Refusal::BadKey, 400, key("dGhlIHNhbXBsZSBub25\u{e9}Q==")),
        ("no Connection", Refusal::HalfUpgrade, 426, instead(CONNECTION, &[])),
        ("Connection: close", Refusal::HalfUpgrade, 426, instead(CONNECTION, &["Connection: close"])),
        ("Connection: not quite", Refusal::HalfUpgrade, 426, instead(CONNECTION, &["Connection: upgrade-insecure"])),
        ("no Upgrade", Refusal::HalfUpgrade, 426, instead(UPGRADE, &[])),
        ("Upgrade: h2c", Refusal::HalfUpgrade, 426, instead(UPGRADE, &["Upgrade: h2c"])),
        ("only the key came through", Refusal::HalfUpgrade, 426, page(LINE, &[KEY, VERSION])),
        ("POST", Refusal::UpgradeNeedsGet, 405, instead(LINE, &["POST /rooms/lobby HTTP/1.1"])),
        ("HEAD", Refusal::UpgradeNeedsGet, 405, instead(LINE, &["HEAD /rooms/lobby HTTP/1.1"])),
        ("get", Refusal::UpgradeNeedsGet, 405, instead(LINE, &["get /rooms/lobby HTTP/1.1"])),
    ];
    for (name, refusal, code, bytes) in rows {
        assert_eq!(judge(bytes, name), Err(*refusal), "{name}");
        assert_eq!(refusal.status().code(), *code, "{name}");
    }
}

#[test]
fn requests_refused() {
    let line = |line: &str| instead(LINE, &[line]);
    let target = |target: &str| instead(LINE, &[&format!("GET {target} HTTP/1.1")]);
    let swap = |from: &[u8], to: &[u8]| {
        let good = head(&GOOD);
        let at = good
            .windows(from.len())
            .position(|part| part == from)
            .expect("part of the head");
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    #[rustfmt::skip]
    let rows: &[(&str, Refusal, u16, Vec<u8>)] = &[
        // The request line.
        ("upgrade in HTTP/1.0", Refusal::UpgradeNeedsHttp11, 505, line("GET /rooms/lobby HTTP/1.0")),
        ("upgrade in HTTP/1.0 without Host", Refusal::UpgradeNeedsHttp11, 505, head(&["GET /rooms/lobby HTTP/1.0", CONNECTION, UPGRADE, VERSION, KEY])),
        ("upgrade in HTTP/1.0 to a page", Refusal::UpgradeNeedsHttp11, 505, line("GET /healthz HTTP/1.0")),
        ("key in HTTP/1.0", Refusal::UpgradeNeedsHttp11, 505, head(&["GET /rooms/lobby HTTP/1.0", KEY])),
        ("HTTP/1.0, two Hosts", Refusal::RepeatedHost, 400, head(&["GET / HTTP/1.0", HOST, HOST])),
        ("HTTP/1.0, bad Host", Refusal::BadHost, 400, head(&["GET / HTTP/1.0", "Host: a b"])),
        ("HTTP/1.0, empty Host", Refusal::BadHost, 400, head(&["GET / HTTP/1.0", "Host:"])),
        ("HTTP/1.0, chunked", Refusal::TransferEncoding, 400, head(&["GET / HTTP/1.0", "Transfer-Encoding: chunked"])),
        ("HTTP/0.9, with a version", Refusal::HttpVersion, 505, line("GET / HTTP/0.9")),
        ("HTTP/0.9", Refusal::HttpVersion, 505, head(&["GET /"])),
        ("HTTP/2.0", Refusal::HttpVersion, 505, line("GET / HTTP/2.0")),
        ("HTTP/2 preface", Refusal::HttpVersion, 505, head(&["PRI * HTTP/2.0"])),
        ("HTTP/1.0 POST in chunks", Refusal::TransferEncoding, 400, head(&["POST / HTTP/1.0", "Transfer-Encoding: chunked"])),
        ("HTTP/1.0 PUT", Refusal::MethodNotAllowed, 405, head(&["PUT / HTTP/1.0", "Content-Length: 0"])),
        ("minor version with two digits", Refusal::BadRequestLine, 400, head(&["GET / HTTP/1.00"])),
        ("http in small letters", Refusal::BadRequestLine, 400, line("GET / http/1.1")),
        ("no minor version", Refusal::BadRequestLine, 400, line("GET / HTTP/1")),
        ("letter for a minor version", Refusal::BadRequestLine, 400, line("GET / HTTP/1.x")),
        ("letter for a major version", Refusal::BadRequestLine, 400, line("GET / HTTP/x.1")),
        ("long minor version", Refusal::BadRequestLine, 400, line("GET / HTTP/1.10")),
        ("long major version", Refusal::BadRequestLine, 400, line("GET / HTTP/01.1")),
        ("another protocol", Refusal::BadRequestLine, 400, line("OPTIONS rtsp://a RTSP/1.0")),
        ("no target", Refusal::BadRequestLine, 400, line("GET  HTTP/1.1")),
        ("two spaces before the version", Refusal::BadRequestLine, 400, line("GET /  HTTP/1.1")),
        ("two spaces before the target", Refusal::BadRequestLine, 400, line("GET  / HTTP/1.1")),
        ("space behind the version", Refusal::BadRequestLine, 400, line("GET / HTTP/1.1 ")),
        ("tabs", Refusal::BadRequestLine, 400, line("GET\t/\tHTTP/1.1")),
        ("space in the target", Refusal::BadRequestLine, 400, target("/rooms/a b")),
        ("method not a token", Refusal::BadRequestLine, 400, line("G@T / HTTP/1.1")),
        ("only a word", Refusal::BadRequestLine, 400, head(&["QUIT"])),
        ("only a method", Refusal::BadRequestLine, 400, head(&["GET "])),
        ("a response", Refusal::BadRequestLine, 400, head(&["HTTP/1.1 200 OK"])),
        ("SSH", Refusal::BadRequestLine, 400, head(&["SSH-2.0-OpenSSH_9.6"])),
        // The target.
        ("asterisk", Refusal::BadTarget, 400, target("*")),
        ("authority", Refusal::BadTarget, 400, target("relay.example:80")),
        ("relative", Refusal::BadTarget, 400, target("rooms/lobby")),
        ("other scheme", Refusal::BadTarget, 400, target("ftp://relay.example/")),
        ("no scheme", Refusal::BadTarget, 400, target("://relay.example/")),
        ("fragment", Refusal::BadTarget, 400, target("/rooms/lobby#x")),
        ("fragment of an absolute target", Refusal::BadTarget, 400, target("http://a#x")),
        ("angle brackets", Refusal::BadTarget, 400, target("/<script>")),
        ("quotes", Refusal::BadTarget, 400, target("/\"")),
        ("not ASCII", Refusal::BadTarget, 400, target("/caf\u{e9}")),
        ("not UTF-8", Refusal::BadTarget, 400, swap(b"/rooms", b"/\xff")),
        ("DEL", Refusal::BadTarget, 400, target("/\u{7f}")),
        ("no host", Refusal::BadHost, 400, target("http:///rooms/lobby")),
        ("user information", Refusal::BadHost, 400, target("http://me:secret@relay.example/")),
        ("bad port", Refusal::BadHost, 400, target("http://relay.example:x/")),
        // Lines.
        ("bare LF behind the request line", Refusal::BareLineBreak, 400, swap(b"1.1\r\n", b"1.1\n")),
        ("bare LF behind a field", Refusal::BareLineBreak, 400, swap(b"Upgrade\r\n", b"Upgrade\n")),
        ("bare LF as the blank line", Refusal::BareLineBreak, 400, swap(b"\r\n\r\n", b"\r\n\n")),
        ("only LFs", Refusal::BareLineBreak, 400, b"GET / HTTP/1.1\nHost: a\n\n".to_vec()),
        ("LF first", Refusal::BadRequestLine, 400, [b"\n", &head(&GOOD)[..]].concat()),
        ("bare CR in a value", Refusal::BareLineBreak, 400, swap(b": websocket", b": web\rsocket")),
        ("bare CR in a name", Refusal::BareLineBreak, 400, swap(b"Upgrade:", b"Upg\rrade:")),
        ("bare CR in the request line", Refusal::BareLineBreak, 400, swap(b"/rooms", b"/\rrooms")),
        ("CR CR LF", Refusal::BareLineBreak, 400, swap(b"Upgrade\r\n", b"Upgrade\r\r\n")),
        ("CR first", Refusal::BareLineBreak, 400, [b"\r", &head(&GOOD)[..]].concat()),
        ("two empty lines first", Refusal::BadRequestLine, 400, [b"\r\n\r\n", &head(&GOOD)[..]].concat()),
        ("space first", Refusal::BadRequestLine, 400, [b" ", &head(&GOOD)[..]].concat()),
        ("NUL in a value", Refusal::ControlByte, 400, swap(b": websocket", b": websocket\0")),
        ("NUL in a name", Refusal::ControlByte, 400, swap(b"Upgrade:", b"Upgrade\0:")),
        ("NUL in the target", Refusal::ControlByte, 400, swap(b"/rooms", b"/\0rooms")),
        ("NUL for a blank line", Refusal::ControlByte, 400, swap(b"\r\n\r\n", b"\r\n\0\r\n\r\n")),
        ("ESC", Refusal::ControlByte, 400, with(&["X: \x1b[2J"])),
        ("DEL in a value", Refusal::BadField, 400, with(&["X: \x7f"])),
        // Fields.
        ("obs-fold with a space", Refusal::FoldedField, 400, with(&["X: a", " b"])),
        ("obs-fold with a tab", Refusal::FoldedField, 400, with(&["X: a", "\tb: c"])),
        ("obs-fold hiding a field", Refusal::FoldedField, 400, instead(HOST, &["X: a", " Host: a", HOST])),
        ("space before the first field", Refusal::FoldedField, 400, instead(HOST, &[" Host: relay.example"])),
        ("a line of a space", Refusal::FoldedField, 400, with(&[" "])),
        ("space before the colon", Refusal::SpaceBeforeColon, 400, with(&["X : a"])),
        ("tab before the colon", Refusal::SpaceBeforeColon, 400, with(&["X\t: a"])),
        ("hidden Transfer-Encoding", Refusal::SpaceBeforeColon, 400, with(&["Transfer-Encoding : chunked"])),
        ("space in a name", Refusal::BadField, 400, with(&["X Y: a"])),
        ("no colon", Refusal::BadField, 400, with(&["X"])),
        ("no name", Refusal::BadField, 400, with(&[": a"])),
        ("name not a token", Refusal::BadField, 400, with(&["X(Y): a"])),
        ("name not ASCII", Refusal::BadField, 400, with(&["Caf\u{e9}: a"])),
        // Host.
        ("no Host", Refusal::NoHost, 400, instead(HOST, &[])),
        ("no Host, absolute target", Refusal::NoHost, 400, head(&["GET http://a/ HTTP/1.1"])),
        ("nothing but a line", Refusal::NoHost, 400, head(&["GET / HTTP/1.1"])),
        ("two Authorizations", Refusal::RepeatedAuthorization, 400, with(&["Authorization: Bearer a", "authorization: Basic b"])),
        ("two Hosts", Refusal::RepeatedHost, 400, with(&["Host: other.example"])),
        ("one Host twice", Refusal::RepeatedHost, 400, with(&[HOST])),
        ("an empty second Host", Refusal::RepeatedHost, 400, with(&["host:"])),
        // Framing.
        ("chunked", Refusal::TransferEncoding, 400, with(&["Transfer-Encoding: chunked"])),
        ("identity", Refusal::TransferEncoding, 400, with(&["transfer-encoding: identity"])),
        ("empty Transfer-Encoding", Refusal::TransferEncoding, 400, with(&["Transfer-Encoding:"])),
        ("chunked and a length", Refusal::TransferEncoding, 400, with(&["Content-Length: 0", "Transfer-Encoding: chunked"])),
        ("a body", Refusal::RequestBody, 400, with(&["Content-Length: 5"])),
        ("a body beyond u64", Refusal::RequestBody, 400, with(&["Content-Length: 18446744073709551616"])),
        ("a body with zeros", Refusal::RequestBody, 400, with(&["Content-Length: 005"])),
        ("two lengths", Refusal::BadContentLength, 400, with(&["Content-Length: 0", "Content-Length: 0"])),
        ("two other lengths", Refusal::BadContentLength, 400, with(&["Content-Length: 0", "Content-Length: 5"])),
        ("list of lengths", Refusal::BadContentLength, 400, with(&["Content-Length: 0, 0"])),
        ("signed length", Refusal::BadContentLength, 400, with(&["Content-Length: +0"])),
        ("negative length", Refusal::BadContentLength, 400, with(&["Content-Length: -0"])),
        ("hexadecimal length", Refusal::BadContentLength, 400, with(&["Content-Length: 0x0"])),
        ("no length", Refusal::BadContentLength, 400, with(&["Content-Length:"])),
        ("PUT with a body", Refusal::RequestBody, 400, page("PUT / HTTP/1.1", &["Content-Length: 5"])),
        ("POST, chunked and a length", Refusal::TransferEncoding, 400, page("POST / HTTP/1.1", &["Transfer-Encoding: chunked", "Content-Length: 5"])),
        ("POST, a length and chunked", Refusal::TransferEncoding, 400, page("POST / HTTP/1.1", &["Content-Length: 0", "Transfer-Encoding: chunked"])),
        ("POST, chunked twice", Refusal::TransferEncoding, 400, page("POST / HTTP/1.1", &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"])),
        ("POST, chunked in chunks", Refusal::TransferEncoding, 400, page("POST / HTTP/1.1", &["Transfer-Encoding: chunked, chunked"])),
        ("POST, compressed chunks", Refusal::TransferEncoding, 400, page("POST / HTTP/1.1", &["Transfer-Encoding: gzip, chunked"])),
        ("POST, identity", Refusal::TransferEncoding, 400, page("POST / HTTP/1.1", &["Transfer-Encoding: identity"])),
        ("POST, two equal lengths", Refusal::BadContentLength, 400, page("POST / HTTP/1.1", &["Content-Length: 5", "Content-Length: 5"])),
        ("POST, list of lengths", Refusal::BadContentLength, 400, page("POST / HTTP/1.1", &["Content-Length: 5, 5"])),
        ("POST, signed length", Refusal::BadContentLength, 400, page("POST / HTTP/1.1", &["Content-Length: +5"])),
        ("POST, a body beyond u64", Refusal::BodyTooLarge, 413, page("POST / HTTP/1.1", &["Content-Length: 18446744073709551616"])),
        // Methods.
        ("PUT", Refusal::MethodNotAllowed, 405, page("PUT / HTTP/1.1", &["Content-Length: 0"])),
        ("small letters", Refusal::MethodNotAllowed, 405, page("get / HTTP/1.1", &[])),
        ("CONNECT", Refusal::MethodNotAllowed, 405, page("CONNECT relay.example:80 HTTP/1.1", &[])),
        ("OPTIONS of everything", Refusal::BadTarget, 400, page("OPTIONS * HTTP/1.1", &[])),
        ("unheard of", Refusal::MethodNotAllowed, 405, page("BREW / HTTP/1.1", &[])),
        // TLS.
        ("ClientHello", Refusal::TlsOnPlainPort, 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("SSLv2 hello", Refusal::BadRequestLine, 400, b"\x80\x2e\x01\x00\x02".to_vec()),
    ];
    for (name, refusal, code, bytes) in rows {
        assert_eq!(judge(bytes, name), Err(*refusal), "{name}");
        assert_eq!(refusal.status().code(), *code, "{name}");
    }
}

#[test]
fn fields_up_to_the_limit() {
    let mut lines = GOOD.map(str::to_owned).to_vec();
    while lines.len() < 1 + MAX_FIELDS {
        lines.push(format!("X-{}: y", lines.len()));
    }
    let head_of = |lines: &[String]| head(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(judge(&head_of(&lines), "100 fields").is_ok());
    lines.push("X: y".to_owned());
    assert_eq!(
        judge(&head_of(&lines), "101 fields"),
        Err(Refusal::TooManyFields)
    );
    assert_eq!(Refusal::TooManyFields.status().code(), 431);
}

#[test]
fn bytes_up_to_the_limit() {
    let padded = |len: usize| {
        let rest = len - with(&["X: "]).len();
        with(&[&format!("X: {}", "y".repeat(rest))])
    };
    let most = padded(MAX_HEAD);
    assert_eq!(most.len(), MAX_HEAD);
    assert!(parse_request(&most).is_ok());
    let more = padded(MAX_HEAD + 1);
    assert_eq!(
        parse_request(&more).map(Seen::from),
        Err(Refusal::HeadTooLarge)
    );
    assert_eq!(Refusal::HeadTooLarge.status().code(), 431);
}

#[test]
fn a_head_without_its_end() {
    let whole = head(&GOOD);
    for len in 0..whole.len() {
        assert_eq!(
            parse_request(&whole[..len]).map(Seen::from),
            Err(Refusal::IncompleteHead),
            "{len} bytes"
        );
    }
}
