//! What the server takes and refuses, as tables; each row whole, byte by byte, cut at every point, and with frames
//! behind it (RFC 6455 section 4.2, RFC 9112).

mod upgrade_fixture;

use roomcast_protocol::upgrade::{MAX_FIELDS, MAX_HEAD, Refusal, parse_request};
use upgrade_fixture::{
    CONNECTION, GOOD, HOST, KEY, LINE, Seen, UPGRADE, VERSION, head, instead, judge, page, with,
};

/// Of the key in the RFC's sample.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn handshake() -> Seen {
    Seen {
        method: "GET".into(),
        path: "/rooms/lobby".into(),
        query: None,
        host: "relay.example:7777".into(),
        origin: None,
        upgrade: Some((ACCEPT.into(), Vec::new())),
    }
}

#[test]
fn handshakes_in_every_spelling() {
    let rows: &[(&str, Vec<u8>)] = &[
        ("plain", head(&GOOD)),
        (
            "list with more before",
            instead(CONNECTION, &["Connection: keep-alive, Upgrade"]),
        ),
        (
            "list with more behind",
            instead(CONNECTION, &["Connection: upgrade,keep-alive"]),
        ),
        (
            "empty elements",
            instead(CONNECTION, &["Connection: , ,\tUpgrade ,,"]),
        ),
        (
            "any case of the token",
            instead(CONNECTION, &["Connection: uPGRADE"]),
        ),
        (
            "repeated Connection",
            instead(
                CONNECTION,
                &["Connection: keep-alive", "Connection: Upgrade"],
            ),
        ),
        (
            "repeated Connection, other order",
            instead(CONNECTION, &["Connection: Upgrade", "Connection: TE"]),
        ),
        (
            "any case of Upgrade",
            instead(UPGRADE, &["Upgrade: WebSocket"]),
        ),
        (
            "Upgrade is a list",
            instead(UPGRADE, &["Upgrade: foo, websocket"]),
        ),
        (
            "repeated Upgrade",
            instead(UPGRADE, &["Upgrade: foo/2", "Upgrade: websocket"]),
        ),
        (
            "any case of names",
            head(&[
                LINE,
                "HOST:relay.example:7777",
                "cOnNeCtIoN:UPGRADE",
                "uPGRADE:WEBSOCKET",
                "sec-websocket-VERSION:13",
                "SEC-websocket-key:dGhlIHNhbXBsZSBub25jZQ==",
            ]),
        ),
        ("white space around values", {
            head(&[
                LINE,
                "Host: \t relay.example:7777\t ",
                "Connection:\tUpgrade ",
                "Upgrade:  websocket\t",
                "Sec-WebSocket-Version:   13 ",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ== \t ",
            ])
        }),
        (
            "Host last",
            head(&[LINE, CONNECTION, UPGRADE, VERSION, KEY, HOST]),
        ),
        ("extensions declined", {
            with(&[
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame",
            ])
        }),
        ("repeated extensions", {
            with(&[
                "Sec-WebSocket-Extensions: permessage-deflate",
                "Sec-WebSocket-Extensions: permessage-bzip2",
            ])
        }),
        ("no content, said so", with(&["Content-Length: 0"])),
        ("no content, at length", with(&["Content-Length: 000"])),
        (
            "fields nobody asked for",
            with(&[
                "X-Empty:",
                "Cookie: a=b; c=d",
                "User-Agent: x (y; z)",
                "TE: trailers",
            ]),
        ),
        ("an empty protocol list", with(&["Sec-WebSocket-Protocol:"])),
        ("one empty line first", [b"\r\n", &head(&GOOD)[..]].concat()),
        (
            "a later HTTP/1",
            instead(LINE, &["GET /rooms/lobby HTTP/1.9"]),
        ),
    ];
    for (name, bytes) in rows {
        assert_eq!(judge(bytes, name), Ok(handshake()), "{name}");
    }
}

#[test]
fn bytes_beyond_ascii_in_fields_nobody_reads() {
    let mut bytes = head(&GOOD);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(b"User-Agent: caf\xe9 \xff\x80\r\nCookie: \xf0\x9f\x8e\xae\r\n\r\n");
    assert_eq!(judge(&bytes, "obs-text"), Ok(handshake()));
}

#[test]
fn where_it_goes() {
    let rows: &[(&str, &str, Option<&str>)] = &[
        ("/", "/", None),
        ("/?", "/", Some("")),
        (
            "/rooms/a?ticket=x&y=%20",
            "/rooms/a",
            Some("ticket=x&y=%20"),
        ),
        ("/rooms/a?b?c/d", "/rooms/a", Some("b?c/d")),
        ("/rooms/lobb%79", "/rooms/lobb%79", None),
        ("/Rooms/LOBBY", "/Rooms/LOBBY", None),
        ("//rooms/a", "//rooms/a", None),
        ("/rooms/../rooms/a", "/rooms/../rooms/a", None),
        ("/a?{b}|c^d`e\\f", "/a", Some("{b}|c^d`e\\f")),
    ];
    for &(target, path, query) in rows {
        let expected = Seen {
            path: path.into(),
            query: query.map(str::to_owned),
            ..handshake()
        };
        assert_eq!(
            judge(&instead(LINE, &[&format!("GET {target} HTTP/1.1")]), target),
            Ok(expected),
            "{target}"
        );
    }
}

#[test]
fn absolute_targets_replace_the_host() {
    // RFC 9112 section 3.2.2; RFC 6455 section 4.1 lets clients send them.
    let rows: &[(&str, &str, &str, Option<&str>)] = &[
        (
            "http://other.example/rooms/a?b",
            "other.example",
            "/rooms/a",
            Some("b"),
        ),
        (
            "HTTPS://other.example:443/rooms/a",
            "other.example:443",
            "/rooms/a",
            None,
        ),
        ("http://other.example", "other.example", "/", None),
        (
            "http://other.example?a=/b",
            "other.example",
            "/",
            Some("a=/b"),
        ),
        ("http://[::1]:80/x", "[::1]:80", "/x", None),
    ];
    for &(target, host, path, query) in rows {
        let expected = Seen {
            host: host.into(),
            path: path.into(),
            query: query.map(str::to_owned),
            ..handshake()
        };
        assert_eq!(
            judge(&instead(LINE, &[&format!("GET {target} HTTP/1.1")]), target),
            Ok(expected),
            "{target}"
        );
    }
}

#[test]
fn hosts() {
    for good in [
        "a",
        "a:",
        "a:0",
        "a:65535",
        "localhost:7777",
        "127.0.0.1",
        "[::1]",
        "[2001:db8::192.0.2.1]:80",
        "a_b.c-d~e",
        "xn--bcher-kva.example",
        "caf%C3%A9",
        "a,b;c=d",
        "EXAMPLE.",
    ] {
        let bytes = instead(HOST, &[&format!("Host: {good}")]);
        assert_eq!(
            judge(&bytes, good),
            Ok(Seen {
                host: good.into(),
                ..handshake()
            }),
            "{good}"
        );
    }
    for bad in [
        "",
        " ",
        ":80",
        "a:65536",
        "a:000080",
        "a:+80",
        "a:b",
        "a:80:80",
        "a b",
        "a, b",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "a\\b",
        "a%",
        "a%4",
        "a%zz",
        "caf\u{e9}",
        "[::1",
        "::1",
        "[]",
        "[1.2.3.4]",
        "[::1]a",
        "[::1]:a",
        "[fe80::1%25eth0]",
        "http://a",
        "<a>",
        "\"a\"",
        "\u{7f}",
    ] {
        let expected = if bad == "\u{7f}" {
            Refusal::BadField
        } else {
            Refusal::BadHost
        };
        assert_eq!(
            judge(&instead(HOST, &[&format!("Host: {bad}")]), bad),
            Err(expected),
            "{bad:?}"
        );
    }
}

#[test]
fn origins() {
    for origin in ["https://game.example", "null", "http://localhost:8080"] {
        let expected = Seen {
            origin: Some(origin.into()),
            ..handshake()
        };
        assert_eq!(
            judge(&with(&[&format!("origin: {origin}")]), origin),
            Ok(expected)
        );
    }
    let rows = [
        ("twice", with(&["Origin: https://a", "Origin: https://a"])),
        ("not ASCII", with(&["Origin: https://caf\u{e9}"])),
    ];
    for (name, bytes) in rows {
        assert_eq!(judge(&bytes, name), Err(Refusal::BadOrigin), "{name}");
    }
}

#[test]
fn subprotocols() {
    let rows: &[(&[&str], &[&str])] = &[
        (&["Sec-WebSocket-Protocol: roomcast.v1"], &["roomcast.v1"]),
        (&["Sec-WebSocket-Protocol: a, b ,\tc"], &["a", "b", "c"]),
        (
            &[
                "Sec-WebSocket-Protocol: a",
                "X: z",
                "SEC-WEBSOCKET-PROTOCOL:b,,c",
            ],
            &["a", "b", "c"],
        ),
        (
            &["Sec-WebSocket-Protocol: ,", "Sec-WebSocket-Protocol: b"],
            &["b"],
        ),
        // Which the RFC forbids the client, and can't harm the server.
        (&["Sec-WebSocket-Protocol: a, a"], &["a", "a"]),
        (&["Sec-WebSocket-Protocol: A, a"], &["A", "a"]),
        (
            &["X-Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocols: b"],
            &[],
        ),
    ];
    for (lines, expected) in rows {
        let seen = judge(&with(lines), lines[0]).unwrap();
        assert_eq!(seen.upgrade.unwrap().1, *expected, "{lines:?}");
    }
    for bad in ["a b", "a;b", "a/b", "\"a\"", "caf\u{e9}", "a, (b)"] {
        let bytes = with(&[
            "Sec-WebSocket-Protocol: a",
            &format!("Sec-WebSocket-Protocol: {bad}"),
        ]);
        assert_eq!(judge(&bytes, bad), Err(Refusal::BadProtocol), "{bad}");
    }
}

#[test]
fn pages() {
    let get = page("GET /healthz HTTP/1.1", &[]);
    let plain = Seen {
        method: "GET".into(),
        path: "/healthz".into(),
        query: None,
        host: "relay.example:7777".into(),
        origin: None,
        upgrade: None,
    };
    let rows: &[(&str, Vec<u8>)] = &[
        ("GET", get),
        // RFC 9110 section 7.8: an upgrade to something else may be ignored.
        (
            "h2c",
            page(
                "GET /healthz HTTP/1.1",
                &[
                    "Connection: Upgrade, HTTP2-Settings",
                    "Upgrade: h2c",
                    "HTTP2-Settings: AAMAAABk",
                ],
            ),
        ),
        (
            "websocket with a version",
            page(
                "GET /healthz HTTP/1.1",
                &[CONNECTION, "Upgrade: websocket/13"],
            ),
        ),
        // What proxies add to everything when they are set up for WebSocket.
        (
            "lone Connection: Upgrade",
            page("GET /healthz HTTP/1.1", &[CONNECTION]),
        ),
        (
            "no content",
            page("GET /healthz HTTP/1.1", &["Content-Length: 0"]),
        ),
    ];
    for (name, bytes) in rows {
        assert_eq!(judge(bytes, name), Ok(plain.clone()), "{name}");
    }
    let head = judge(&page("HEAD /healthz HTTP/1.1", &[]), "HEAD");
    assert_eq!(
        head,
        Ok(Seen {
            method: "HEAD".into(),
            ..plain
        })
    );
}

#[test]
fn handshakes_refused() {
    let key = |value: &str| instead(KEY, &[&format!("Sec-WebSocket-Key: {value}")]);
    let version = |value: &str| instead(VERSION, &[&format!("Sec-WebSocket-Version: {value}")]);
    let rows: &[(&str, Refusal, u16, Vec<u8>)] = &[
        ("version 8", Refusal::WebSocketVersion, 426, version("8")),
        ("version 0", Refusal::WebSocketVersion, 426, version("0")),
        ("version 14", Refusal::WebSocketVersion, 426, version("14")),
        (
            "version 013",
            Refusal::WebSocketVersion,
            426,
            version("013"),
        ),
        (
            "version 13.0",
            Refusal::WebSocketVersion,
            426,
            version("13.0"),
        ),
        (
            "version list",
            Refusal::WebSocketVersion,
            426,
            version("13, 8"),
        ),
        ("version empty", Refusal::WebSocketVersion, 426, version("")),
        (
            "no version",
            Refusal::WebSocketVersion,
            426,
            instead(VERSION, &[]),
        ),
        (
            "old version with an old key",
            Refusal::WebSocketVersion,
            426,
            {
                head(&[
                    LINE,
                    HOST,
                    CONNECTION,
                    UPGRADE,
                    "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5",
                ])
            },
        ),
        (
            "two versions",
            Refusal::RepeatedVersion,
            400,
            with(&[VERSION]),
        ),
        ("no key", Refusal::NoKey, 400, instead(KEY, &[])),
        ("two keys", Refusal::RepeatedKey, 400, with(&[KEY])),
        (
            "two different keys",
            Refusal::RepeatedKey,
            400,
            with(&["sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="]),
        ),
        ("three keys", Refusal::RepeatedKey, 400, with(&[KEY, KEY])),
        (
            "key list",
            Refusal::BadKey,
            400,
            key("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
        ),
        ("empty key", Refusal::BadKey, 400, key("")),
        (
            "15 bytes",
            Refusal::BadKey,
            400,
            key("dGhlIHNhbXBsZSBub25j"),
        ),
        (
            "17 bytes",
            Refusal::BadKey,
            400,
            key("dGhlIHNhbXBsZSBub25jZSE="),
        ),
        (
            "no padding",
            Refusal::BadKey,
            400,
            key("dGhlIHNhbXBsZSBub25jZQ"),
        ),
        (
            "pad bits set",
            Refusal::BadKey,
            400,
            key("dGhlIHNhbXBsZSBub25jZR=="),
        ),
        (
            "other alphabet",
            Refusal::BadKey,
            400,
            key("dGhlIHNhbXBsZSBub25-_Q=="),
        ),
        (
            "not ASCII",
            Refusal::BadKey,
            400,
            key("dGhlIHNhbXBsZSBub25\u{e9}Q=="),
        ),
        (
            "no Connection",
            Refusal::HalfUpgrade,
            426,
            instead(CONNECTION, &[]),
        ),
        (
            "Connection: close",
            Refusal::HalfUpgrade,
            426,
            instead(CONNECTION, &["Connection: close"]),
        ),
        (
            "Connection: not quite",
            Refusal::HalfUpgrade,
            426,
            instead(CONNECTION, &["Connection: upgrade-insecure"]),
        ),
        (
            "no Upgrade",
            Refusal::HalfUpgrade,
            426,
            instead(UPGRADE, &[]),
        ),
        (
            "Upgrade: h2c",
            Refusal::HalfUpgrade,
            426,
            instead(UPGRADE, &["Upgrade: h2c"]),
        ),
        (
            "only the key came through",
            Refusal::HalfUpgrade,
            426,
            page(LINE, &[KEY, VERSION]),
        ),
        (
            "POST",
            Refusal::UpgradeNeedsGet,
            405,
            instead(LINE, &["POST /rooms/lobby HTTP/1.1"]),
        ),
        (
            "HEAD",
            Refusal::UpgradeNeedsGet,
            405,
            instead(LINE, &["HEAD /rooms/lobby HTTP/1.1"]),
        ),
        (
            "get",
            Refusal::UpgradeNeedsGet,
            405,
            instead(LINE, &["get /rooms/lobby HTTP/1.1"]),
        ),
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
    let rows: &[(&str, Refusal, u16, Vec<u8>)] = &[
        // The request line.
        (
            "HTTP/1.0",
            Refusal::HttpVersion,
            505,
            line("GET /rooms/lobby HTTP/1.0"),
        ),
        (
            "HTTP/0.9, with a version",
            Refusal::HttpVersion,
            505,
            line("GET / HTTP/0.9"),
        ),
        ("HTTP/0.9", Refusal::HttpVersion, 505, head(&["GET /"])),
        (
            "HTTP/2.0",
            Refusal::HttpVersion,
            505,
            line("GET / HTTP/2.0"),
        ),
        (
            "HTTP/2 preface",
            Refusal::HttpVersion,
            505,
            head(&["PRI * HTTP/2.0"]),
        ),
        (
            "HTTP/1.0 POST",
            Refusal::HttpVersion,
            505,
            head(&["POST / HTTP/1.0", "Content-Length: 5"]),
        ),
        (
            "http in small letters",
            Refusal::BadRequestLine,
            400,
            line("GET / http/1.1"),
        ),
        (
            "no minor version",
            Refusal::BadRequestLine,
            400,
            line("GET / HTTP/1"),
        ),
        (
            "long minor version",
            Refusal::BadRequestLine,
            400,
            line("GET / HTTP/1.10"),
        ),
        (
            "long major version",
            Refusal::BadRequestLine,
            400,
            line("GET / HTTP/01.1"),
        ),
        (
            "another protocol",
            Refusal::BadRequestLine,
            400,
            line("OPTIONS rtsp://a RTSP/1.0"),
        ),
        (
            "two spaces before the version",
            Refusal::BadRequestLine,
            400,
            line("GET /  HTTP/1.1"),
        ),
        (
            "two spaces before the target",
            Refusal::BadRequestLine,
            400,
            line("GET  / HTTP/1.1"),
        ),
        (
            "space behind the version",
            Refusal::BadRequestLine,
            400,
            line("GET / HTTP/1.1 "),
        ),
        (
            "tabs",
            Refusal::BadRequestLine,
            400,
            line("GET\t/\tHTTP/1.1"),
        ),
        (
            "space in the target",
            Refusal::BadRequestLine,
            400,
            target("/rooms/a b"),
        ),
        (
            "method not a token",
            Refusal::BadRequestLine,
            400,
            line("G@T / HTTP/1.1"),
        ),
        ("only a word", Refusal::BadRequestLine, 400, head(&["QUIT"])),
        (
            "only a method",
            Refusal::BadRequestLine,
            400,
            head(&["GET "]),
        ),
        (
            "a response",
            Refusal::BadRequestLine,
            400,
            head(&["HTTP/1.1 200 OK"]),
        ),
        (
            "SSH",
            Refusal::BadRequestLine,
            400,
            head(&["SSH-2.0-OpenSSH_9.6"]),
        ),
        // The target.
        ("asterisk", Refusal::BadTarget, 400, target("*")),
        (
            "authority",
            Refusal::BadTarget,
            400,
            target("relay.example:80"),
        ),
        ("relative", Refusal::BadTarget, 400, target("rooms/lobby")),
        (
            "other scheme",
            Refusal::BadTarget,
            400,
            target("ftp://relay.example/"),
        ),
        (
            "no scheme",
            Refusal::BadTarget,
            400,
            target("://relay.example/"),
        ),
        (
            "fragment",
            Refusal::BadTarget,
            400,
            target("/rooms/lobby#x"),
        ),
        (
            "fragment of an absolute target",
            Refusal::BadTarget,
            400,
            target("http://a#x"),
        ),
        (
            "angle brackets",
            Refusal::BadTarget,
            400,
            target("/<script>"),
        ),
        ("quotes", Refusal::BadTarget, 400, target("/\"")),
        ("not ASCII", Refusal::BadTarget, 400, target("/caf\u{e9}")),
        (
            "not UTF-8",
            Refusal::BadTarget,
            400,
            swap(b"/rooms", b"/\xff"),
        ),
        ("DEL", Refusal::BadTarget, 400, target("/\u{7f}")),
        (
            "no host",
            Refusal::BadHost,
            400,
            target("http:///rooms/lobby"),
        ),
        (
            "user information",
            Refusal::BadHost,
            400,
            target("http://me:secret@relay.example/"),
        ),
        (
            "bad port",
            Refusal::BadHost,
            400,
            target("http://relay.example:x/"),
        ),
        // Lines.
        (
            "bare LF behind the request line",
            Refusal::BareLineBreak,
            400,
            swap(b"1.1\r\n", b"1.1\n"),
        ),
        (
            "bare LF behind a field",
            Refusal::BareLineBreak,
            400,
            swap(b"Upgrade\r\n", b"Upgrade\n"),
        ),
        (
            "bare LF as the blank line",
            Refusal::BareLineBreak,
            400,
            swap(b"\r\n\r\n", b"\r\n\n"),
        ),
        (
            "only LFs",
            Refusal::BareLineBreak,
            400,
            b"GET / HTTP/1.1\nHost: a\n\n".to_vec(),
        ),
        (
            "LF first",
            Refusal::BadRequestLine,
            400,
            [b"\n", &head(&GOOD)[..]].concat(),
        ),
        (
            "bare CR in a value",
            Refusal::BareLineBreak,
            400,
            swap(b": websocket", b": web\rsocket"),
        ),
        (
            "bare CR in a name",
            Refusal::BareLineBreak,
            400,
            swap(b"Upgrade:", b"Upg\rrade:"),
        ),
        (
            "bare CR in the request line",
            Refusal::BareLineBreak,
            400,
            swap(b"/rooms", b"/\rrooms"),
        ),
        (
            "CR CR LF",
            Refusal::BareLineBreak,
            400,
            swap(b"Upgrade\r\n", b"Upgrade\r\r\n"),
        ),
        (
            "CR first",
            Refusal::BareLineBreak,
            400,
            [b"\r", &head(&GOOD)[..]].concat(),
        ),
        (
            "two empty lines first",
            Refusal::BadRequestLine,
            400,
            [b"\r\n\r\n", &head(&GOOD)[..]].concat(),
        ),
        (
            "space first",
            Refusal::BadRequestLine,
            400,
            [b" ", &head(&GOOD)[..]].concat(),
        ),
        (
            "NUL in a value",
            Refusal::ControlByte,
            400,
            swap(b": websocket", b": websocket\0"),
        ),
        (
            "NUL in a name",
            Refusal::ControlByte,
            400,
            swap(b"Upgrade:", b"Upgrade\0:"),
        ),
        (
            "NUL in the target",
            Refusal::ControlByte,
            400,
            swap(b"/rooms", b"/\0rooms"),
        ),
        (
            "NUL for a blank line",
            Refusal::ControlByte,
            400,
            swap(b"\r\n\r\n", b"\r\n\0\r\n\r\n"),
        ),
        ("ESC", Refusal::ControlByte, 400, with(&["X: \x1b[2J"])),
        ("DEL in a value", Refusal::BadField, 400, with(&["X: \x7f"])),
        // Fields.
        (
            "obs-fold with a space",
            Refusal::FoldedField,
            400,
            with(&["X: a", " b"]),
        ),
        (
            "obs-fold with a tab",
            Refusal::FoldedField,
            400,
            with(&["X: a", "\tb: c"]),
        ),
        (
            "obs-fold hiding a field",
            Refusal::FoldedField,
            400,
            instead(HOST, &["X: a", " Host: a", HOST]),
        ),
        (
            "space before the first field",
            Refusal::FoldedField,
            400,
            instead(HOST, &[" Host: relay.example"]),
        ),
        ("a line of a space", Refusal::FoldedField, 400, with(&[" "])),
        (
            "space before the colon",
            Refusal::SpaceBeforeColon,
            400,
            with(&["X : a"]),
        ),
        (
            "tab before the colon",
            Refusal::SpaceBeforeColon,
            400,
            with(&["X\t: a"]),
        ),
        (
            "hidden Transfer-Encoding",
            Refusal::SpaceBeforeColon,
            400,
            with(&["Transfer-Encoding : chunked"]),
        ),
        ("space in a name", Refusal::BadField, 400, with(&["X Y: a"])),
        ("no colon", Refusal::BadField, 400, with(&["X"])),
        ("no name", Refusal::BadField, 400, with(&[": a"])),
        (
            "name not a token",
            Refusal::BadField,
            400,
            with(&["X(Y): a"]),
        ),
        (
            "name not ASCII",
            Refusal::BadField,
            400,
            with(&["Caf\u{e9}: a"]),
        ),
        // Host.
        ("no Host", Refusal::NoHost, 400, instead(HOST, &[])),
        (
            "no Host, absolute target",
            Refusal::NoHost,
            400,
            head(&["GET http://a/ HTTP/1.1"]),
        ),
        (
            "nothing but a line",
            Refusal::NoHost,
            400,
            head(&["GET / HTTP/1.1"]),
        ),
        (
            "two Hosts",
            Refusal::RepeatedHost,
            400,
            with(&["Host: other.example"]),
        ),
        ("one Host twice", Refusal::RepeatedHost, 400, with(&[HOST])),
        (
            "an empty second Host",
            Refusal::RepeatedHost,
            400,
            with(&["host:"]),
        ),
        // Framing.
        (
            "chunked",
            Refusal::TransferEncoding,
            400,
            with(&["Transfer-Encoding: chunked"]),
        ),
        (
            "identity",
            Refusal::TransferEncoding,
            400,
            with(&["transfer-encoding: identity"]),
        ),
        (
            "empty Transfer-Encoding",
            Refusal::TransferEncoding,
            400,
            with(&["Transfer-Encoding:"]),
        ),
        ("chunked and a length", Refusal::TransferEncoding, 400, {
            with(&["Content-Length: 0", "Transfer-Encoding: chunked"])
        }),
        (
            "a body",
            Refusal::RequestBody,
            400,
            with(&["Content-Length: 5"]),
        ),
        (
            "a body beyond u64",
            Refusal::RequestBody,
            400,
            with(&["Content-Length: 18446744073709551616"]),
        ),
        (
            "a body with zeros",
            Refusal::RequestBody,
            400,
            with(&["Content-Length: 005"]),
        ),
        (
            "two lengths",
            Refusal::BadContentLength,
            400,
            with(&["Content-Length: 0", "Content-Length: 0"]),
        ),
        (
            "two other lengths",
            Refusal::BadContentLength,
            400,
            with(&["Content-Length: 0", "Content-Length: 5"]),
        ),
        (
            "list of lengths",
            Refusal::BadContentLength,
            400,
            with(&["Content-Length: 0, 0"]),
        ),
        (
            "signed length",
            Refusal::BadContentLength,
            400,
            with(&["Content-Length: +0"]),
        ),
        (
            "negative length",
            Refusal::BadContentLength,
            400,
            with(&["Content-Length: -0"]),
        ),
        (
            "hexadecimal length",
            Refusal::BadContentLength,
            400,
            with(&["Content-Length: 0x0"]),
        ),
        (
            "no length",
            Refusal::BadContentLength,
            400,
            with(&["Content-Length:"]),
        ),
        (
            "POST with a body",
            Refusal::RequestBody,
            400,
            page("POST / HTTP/1.1", &["Content-Length: 5"]),
        ),
        // Methods.
        (
            "POST",
            Refusal::MethodNotAllowed,
            405,
            page("POST / HTTP/1.1", &["Content-Length: 0"]),
        ),
        (
            "small letters",
            Refusal::MethodNotAllowed,
            405,
            page("get / HTTP/1.1", &[]),
        ),
        (
            "CONNECT",
            Refusal::MethodNotAllowed,
            405,
            page("CONNECT relay.example:80 HTTP/1.1", &[]),
        ),
        (
            "OPTIONS",
            Refusal::MethodNotAllowed,
            405,
            page("OPTIONS * HTTP/1.1", &[]),
        ),
        (
            "unheard of",
            Refusal::MethodNotAllowed,
            405,
            page("BREW / HTTP/1.1", &[]),
        ),
        // TLS.
        (
            "ClientHello",
            Refusal::TlsOnPlainPort,
            400,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "SSLv2 hello",
            Refusal::BadRequestLine,
            400,
            b"\x80\x2e\x01\x00\x02".to_vec(),
        ),
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
    assert_eq!(judge(&head_of(&lines), "100 fields"), Ok(handshake()));
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
    let seen = parse_request(&most).map(Seen::from);
    assert_eq!(seen, Ok(handshake()));
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
