//! By which names and from which pages a seat may be asked for.

use crate::relay::Relay;
use crate::wire::{Response, Wire};

/// Asks for a seat by this name; `fields` are further lines.
fn ask(relay: &Relay, host: &str, fields: &str) -> Response {
    let mut wire = Wire::connect(relay.addr());
    let request = format!(
        "GET /rooms/a HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    wire.send(request.as_bytes());
    wire.response_head()
}

/// What a page is told that asks without an upgrade.
fn told(relay: &Relay, path: &str, fields: &str) -> (Response, String) {
    let mut wire = Wire::connect(relay.addr());
    wire.send(format!("GET {path} HTTP/1.1\r\n{fields}\r\n").as_bytes());
    let (response, body) = wire.response();
    (response, String::from_utf8(body).expect("text"))
}

#[test]
fn a_name_that_leads_here_is_not_enough_at_a_loopback_address() {
    let relay = Relay::start(&[]);
    for host in ["localhost", "127.0.0.1:7777", "[::1]", "game.localhost"] {
        assert_eq!(ask(&relay, host, "").status, 101, "{host}");
    }
    assert_eq!(ask(&relay, "evil.example", "").status, 403);
    relay.logged("name it with --allow-host", 1);
    let (response, text) = told(&relay, "/rooms/a", "Host: evil.example\r\n");
    assert_eq!(response.status, 403);
    assert!(text.contains("--allow-host"), "{text}");
    assert_eq!(response.field("access-control-allow-origin"), None);
    // A balancer may ask by any name.
    let (response, _) = told(&relay, "/readyz", "Host: 10.0.0.1\r\n");
    assert_eq!(response.status, 200);
}

/// By way of a proxy that nobody named, every player has the address of this machine, which no limit is for.
#[test]
fn a_proxy_that_nobody_named_is_told_of() {
    let relay = Relay::start(&["--allow-host", "play.example.com"]);
    let field = "X-Forwarded-For: 192.0.2.1\r\n";
    for _ in 0..5 {
        assert_eq!(ask(&relay, "play.example.com", field).status, 101);
    }
    relay.logged("--trusted-proxy 127.0.0.1): until then", 1);
    let told = |line: &String| line.contains("is not believed");
    let lines = relay.log();
    let count = lines.iter().filter(|line| told(line)).count();
    assert!(count <= 2, "once by each reactor: {lines:#?}");
    let relay = Relay::start(&["--trusted-proxy", "127.0.0.1"]);
    assert_eq!(ask(&relay, "play.example.com", field).status, 101);
    assert!(!relay.log().iter().any(told));
}

#[test]
fn what_is_wrong_with_a_proxy_header_is_said_by_its_flag() {
    let relay = Relay::start(&[]);
    for header in [
        &b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n",
    ] {
        let mut wire = Wire::connect(relay.addr());
        wire.send(&[header, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat());
        assert_eq!(wire.response_head().status, 400);
    }
    relay.logged("name this address with --proxy-protocol", 1);
    let announced =
        |proxy: &str| Relay::start(&["--proxy-protocol=127.0.0.1:0", "--trusted-proxy", proxy]);
    let relay = announced("10.0.0.1");
    Wire::connect(relay.addr()).expect_gone();
    relay.logged("somebody who is no --trusted-proxy", 1);
    let relay = announced("127.0.0.1");
    let mut wire = Wire::connect(relay.addr());
    wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wire.expect_gone();
    relay.logged("came without a PROXY header", 1);
}

#[test]
fn names_that_are_allowed_are_the_only_ones() {
    let relay = Relay::start(&["--allow-host", "play.example.com,*.eu.example.com"]);
    for (host, status) in [
        ("play.example.com", 101),
        ("PLAY.example.com:443", 101),
        ("a.eu.example.com", 101),
        ("localhost", 101),
        ("eu.example.com", 403),
        ("evil.example", 403),
    ] {
        assert_eq!(ask(&relay, host, "").status, status, "{host}");
    }
}

#[test]
fn pages_that_are_allowed_connect_and_read_why_they_may_not() {
    let relay = Relay::start(&["--allow-origin", "https://play.example.com"]);
    let (ours, theirs) = (
        "Origin: https://play.example.com\r\n",
        "Origin: https://evil.example\r\n",
    );
    assert_eq!(ask(&relay, "localhost", ours).status, 101);
    assert_eq!(ask(&relay, "localhost", "").status, 101, "no page");
    assert_eq!(ask(&relay, "localhost", theirs).status, 403);
    for (path, fields, status, readers) in [
        ("/rooms/a", ours, 426, Some("*")),
        ("/rooms/a", theirs, 403, None),
        ("/healthz", ours, 200, Some("*")),
        ("/healthz", theirs, 200, None),
    ] {
        let (response, text) = told(&relay, path, &format!("Host: localhost\r\n{fields}"));
        assert_eq!(response.status, status, "{path} {fields}");
        let readable = response.field("access-control-allow-origin");
        assert_eq!(readable, readers, "{path} {fields}");
        assert_eq!(status == 403, text.contains("--allow-origin"), "{text}");
    }
}

/// An image or a frame needs no permission to ask, and would hold a seat for each of its page's visitors.
#[test]
fn no_page_has_its_visitors_take_seats_without_saying_whose_it_is() {
    for flags in [&[][..], &["--allow-origin", "https://play.example.com"]] {
        let relay = Relay::start(flags);
        let watch = |fields: &str| {
            let mut wire = Wire::connect(relay.addr());
            let head =
                format!("GET /rooms/a/http/events HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            wire.send(head.as_bytes());
            wire.response_head().status
        };
        for (fields, status) in [
            (
                "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
                403,
            ),
            (
                "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\n",
                403,
            ),
            (
                "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n",
                200,
            ),
            ("Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n", 200),
            (
                "Sec-Fetch-Site: cross-site\r\nOrigin: https://play.example.com\r\n",
                200,
            ),
            ("", 200),
        ] {
            assert_eq!(watch(fields), status, "{flags:?} {fields}");
        }
        // What takes no seat may be asked for from anywhere.
        let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
        assert_eq!(
            told(
                &relay,
                "/rooms?tag=a",
                &format!("Host: localhost\r\n{link}")
            )
            .0
            .status,
            200
        );
    }
}

/// Whatever a page asks for: nothing that it sends needs that, but it may send more.
#[test]
fn whoever_may_connect_is_told_so_beforehand() {
    let relay = Relay::start(&["--allow-origin", "https://game.example"]);
    for path in [
        "/",
        "/rooms",
        "/rooms/a",
        "/match?tag=a&max=4",
        "/rooms/a/http",
    ] {
        for (origin, status, readers) in [
            ("https://game.example", 204, Some("*")),
            ("https://other.example", 403, None),
        ] {
            let mut wire = Wire::connect(relay.addr());
            let head = format!(
                "OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
                 Access-Control-Request-Method: POST\r\n\r\n"
            );
            wire.send(head.as_bytes());
            let (response, _) = wire.answer();
            assert_eq!(response.status, status, "{path} {origin}");
            let field = response.field("access-control-allow-origin");
            assert_eq!(field, readers, "{path} {origin}");
            if status == 204 {
                assert_eq!(response.field("vary"), Some("Origin"));
            }
        }
    }
}
