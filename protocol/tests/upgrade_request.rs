//! What the server takes, as tables; each row whole, byte by byte, cut at every point, and with frames
//! behind it (RFC 6455 section 4.2, RFC 9112).

mod upgrade_fixture;

use roomcast_protocol::upgrade::{Framing, Refusal, parse_request};
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
    #[rustfmt::skip]
    let rows: &[(&str, Vec<u8>)] = &[
        ("plain", head(&GOOD)),
        ("list with more before", instead(CONNECTION, &["Connection: keep-alive, Upgrade"])),
        ("list with more behind", instead(CONNECTION, &["Connection: upgrade,keep-alive"])),
        ("empty elements", instead(CONNECTION, &["Connection: , ,\tUpgrade ,,"])),
        ("any case of the token", instead(CONNECTION, &["Connection: uPGRADE"])),
        ("repeated Connection", instead(CONNECTION, &["Connection: keep-alive", "Connection: Upgrade"])),
        ("repeated Connection, other order", instead(CONNECTION, &["Connection: Upgrade", "Connection: TE"])),
        ("websocket first of two", instead(UPGRADE, &["Upgrade: websocket", "Upgrade: foo/2"])),
        ("any case of Upgrade", instead(UPGRADE, &["Upgrade: WebSocket"])),
        ("Upgrade is a list", instead(UPGRADE, &["Upgrade: foo, websocket"])),
        ("repeated Upgrade", instead(UPGRADE, &["Upgrade: foo/2", "Upgrade: websocket"])),
        ("any case of names", head(&[LINE, "HOST:relay.example:7777", "cOnNeCtIoN:UPGRADE", "uPGRADE:WEBSOCKET", "sec-websocket-VERSION:13", "SEC-websocket-key:dGhlIHNhbXBsZSBub25jZQ=="])),
        ("white space around values", head(&[LINE, "Host: \t relay.example:7777\t ", "Connection:\tUpgrade ", "Upgrade:  websocket\t", "Sec-WebSocket-Version:   13 ", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ== \t "])),
        ("Host last", head(&[LINE, CONNECTION, UPGRADE, VERSION, KEY, HOST])),
        ("extensions declined", with(&["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame"])),
        ("repeated extensions", with(&["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: permessage-bzip2"])),
        ("no content, said so", with(&["Content-Length: 0"])),
        ("no content, at length", with(&["Content-Length: 000"])),
        ("fields nobody asked for", with(&["X-Empty:", "Cookie: a=b; c=d", "User-Agent: x (y; z)", "TE: trailers"])),
        ("an empty protocol list", with(&["Sec-WebSocket-Protocol:"])),
        ("one empty line first", [b"\r\n", &head(&GOOD)[..]].concat()),
        ("a later HTTP/1", instead(LINE, &["GET /rooms/lobby HTTP/1.9"])),
    ];
    for (name, bytes) in rows {
        assert_eq!(judge(bytes, name), Ok(handshake()), "{name}");
    }
}

/// RFC 6455's own example of a key (section 4.1, item 7) has bits set that belong to no byte.
#[test]
fn keys_with_unused_bits() {
    for key in ["AQIDBAUGBwgJCgsMDQ4PEC==", "abcdefghijklmnopqrstuv=="] {
        let bytes = instead(KEY, &[&format!("Sec-WebSocket-Key: {key}")]);
        assert!(judge(&bytes, key).is_ok(), "{key}");
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
    #[rustfmt::skip]
    let rows: &[(&str, &str, Option<&str>)] = &[
        ("/", "/", None),
        ("/?", "/", Some("")),
        ("/rooms/a?ticket=x&y=%20", "/rooms/a", Some("ticket=x&y=%20")),
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
    #[rustfmt::skip]
    let rows: &[(&str, &str, &str, Option<&str>)] = &[
        ("http://other.example/rooms/a?b", "other.example", "/rooms/a", Some("b")),
        ("HTTPS://other.example:443/rooms/a", "other.example:443", "/rooms/a", None),
        ("http://other.example", "other.example", "/", None),
        ("http://other.example?a=/b", "other.example", "/", Some("a=/b")),
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
        "a%4z",
        "a%z4",
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

/// An image, a frame or a link of another origin: its browser says no Origin, and that.
#[test]
fn who_asks_for_a_page_of_another_origin() {
    let site = |site| format!("sec-fetch-site: {site}");
    for (fields, is_foreign) in [
        (vec![], false),
        (vec![site("none")], false),
        (vec![site("same-origin")], false),
        (vec![site("same-site")], true),
        (vec![site("cross-site")], true),
        (vec![site("")], true),
        (vec![site("none"), site("cross-site")], true),
        (vec![site("cross-site"), "Origin: https://a".into()], false),
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let bytes = with(&fields);
        let request = parse_request(&bytes).unwrap();
        assert_eq!(request.is_foreign, is_foreign, "{fields:?}");
    }
}

#[test]
fn subprotocols() {
    #[rustfmt::skip]
    let rows: &[(&[&str], &[&str])] = &[
        (&["Sec-WebSocket-Protocol: roomcast.v1"], &["roomcast.v1"]),
        (&["Sec-WebSocket-Protocol: a, b ,\tc"], &["a", "b", "c"]),
        (&["Sec-WebSocket-Protocol: a", "X: z", "SEC-WEBSOCKET-PROTOCOL:b,,c"], &["a", "b", "c"]),
        (&["Sec-WebSocket-Protocol: ,", "Sec-WebSocket-Protocol: b"], &["b"]),
        // Which the RFC forbids the client, and can't harm the server.
        (&["Sec-WebSocket-Protocol: a, a"], &["a", "a"]),
        (&["Sec-WebSocket-Protocol: A, a"], &["A", "a"]),
        (&["X-Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocols: b"], &[]),
    ];
    for (lines, expected) in rows {
        let seen = judge(&with(lines), lines[0]).unwrap();
        assert_eq!(seen.upgrade.unwrap().1, *expected, "{lines:?}");
    }
    for bad in ["a b", "a;b", "a/b", "\"a\"", "caf\u{e9}", "a, (b)"] {
        let bad = format!("Sec-WebSocket-Protocol: {bad}");
        let good = "Sec-WebSocket-Protocol: a";
        for lines in [[good, &bad], [&bad, good]] {
            assert_eq!(
                judge(&with(&lines), &bad),
                Err(Refusal::BadProtocol),
                "{lines:?}"
            );
        }
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
    #[rustfmt::skip]
    let rows: &[(&str, Vec<u8>)] = &[
        ("GET", get),
        // RFC 9110 section 7.8: an upgrade to something else may be ignored.
        ("h2c", page("GET /healthz HTTP/1.1", &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"])),
        ("websocket with a version", page("GET /healthz HTTP/1.1", &[CONNECTION, "Upgrade: websocket/13"])),
        // What proxies add to everything when they are set up for WebSocket.
        ("lone Connection: Upgrade", page("GET /healthz HTTP/1.1", &[CONNECTION])),
        ("no content", page("GET /healthz HTTP/1.1", &["Content-Length: 0"])),
    ];
    for (name, bytes) in rows {
        assert_eq!(judge(bytes, name), Ok(plain.clone()), "{name}");
    }
    let asked = judge(&page("HEAD /healthz HTTP/1.1", &[]), "HEAD");
    assert_eq!(
        asked,
        Ok(Seen {
            method: "HEAD".into(),
            ..plain.clone()
        })
    );
    // As HAProxy, ab, check_http and old proxies ask.
    #[rustfmt::skip]
    let rows: &[(&str, &str, Vec<u8>)] = &[
        ("relay.example:7777", "GET", page("GET /healthz HTTP/1.0", &[])),
        ("", "GET", head(&["GET /healthz HTTP/1.0"])),
        ("", "HEAD", head(&["HEAD /healthz HTTP/1.0", "User-Agent: check_http", "Connection: close"])),
        ("", "GET", head(&["GET /healthz HTTP/1.0", CONNECTION, "Upgrade: h2c"])),
        ("", "GET", head(&["GET /healthz HTTP/1.0", CONNECTION, "Connection: Keep-Alive", "Content-Length: 0"])),
        ("a:80", "GET", head(&["GET http://a:80/healthz HTTP/1.0"])),
    ];
    for (host, method, bytes) in rows {
        let expected = Seen {
            host: (*host).into(),
            method: (*method).into(),
            ..plain.clone()
        };
        assert_eq!(judge(bytes, "HTTP/1.0"), Ok(expected));
    }
}

#[test]
fn what_a_request_says_of_its_content_and_of_what_follows() {
    type Said = (Framing, bool, bool);
    let none = Framing::Length(0);
    #[rustfmt::skip]
    let rows: &[(&str, &[&str], Said)] = &[
        ("GET / HTTP/1.1", &[], (none, false, true)),
        ("GET / HTTP/1.1", &["Connection: Close"], (none, false, false)),
        ("GET / HTTP/1.0", &["Connection: keep-alive"], (none, false, false)),
        ("GET / HTTP/1.1", &["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"], (none, false, true)),
        ("OPTIONS / HTTP/1.1", &["Content-Length: 0"], (none, false, true)),
        ("POST / HTTP/1.1", &[], (none, false, true)),
        ("POST / HTTP/1.1", &["Content-Length: 012"], (Framing::Length(12), false, true)),
        ("POST / HTTP/1.1", &["Transfer-Encoding: Chunked"], (Framing::Chunked, false, true)),
        ("POST / HTTP/1.1", &["Content-Length: 5", "Expect: 100-Continue"], (Framing::Length(5), true, true)),
        ("POST / HTTP/1.0", &["Content-Length: 5", "Expect: 100-continue"], (Framing::Length(5), false, false)),
    ];
    for (line, fields, said) in rows {
        let bytes = page(line, fields);
        let request = parse_request(&bytes).expect("a good request");
        let found = (request.framing, request.expects_continue, request.keeps);
        assert_eq!(found, *said, "{line} {fields:?}");
    }
}
