//! What a browser, a load balancer or a curious person gets over plain HTTP.

use rustix::process::Signal;

use crate::patience;
use crate::relay::Relay;
use crate::wire::{Response, Wire, upgrade_request};

fn ask(relay: &Relay, method: &str, path: &str) -> (Response, String) {
    let mut wire = Wire::connect(relay.addr());
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    let (response, body) = wire.response();
    (response, String::from_utf8(body).expect("a body of text"))
}

#[test]
fn health_and_readiness_are_told() {
    let relay = Relay::start(&[]);
    for path in ["/healthz", "/readyz"] {
        let (response, body) = ask(&relay, "GET", path);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(
            response
                .field("content-length")
                .and_then(|len| len.parse().ok()),
            Some(body.len())
        );
        assert_eq!(response.field("cache-control"), Some("no-store"), "{path}");
    }
}

/// As load balancers and monitors do by default.
#[test]
fn http_1_0_is_answered_with_and_without_host() {
    let relay = Relay::start(&[]);
    for method in ["GET", "HEAD"] {
        for path in ["/", "/healthz", "/readyz"] {
            for fields in ["", "Host: relay\r\n", "Connection: Keep-Alive\r\n"] {
                let mut wire = Wire::connect(relay.addr());
                wire.send(format!("{method} {path} HTTP/1.0\r\n{fields}\r\n").as_bytes());
                let (response, body) = wire.response();
                assert_eq!(response.status, 200, "{method} {path} with {fields:?}");
                assert_eq!(body.is_empty(), method == "HEAD");
            }
        }
    }
}

#[test]
fn head_is_get_without_a_body() {
    let relay = Relay::start(&[]);
    for path in ["/", "/healthz", "/readyz"] {
        let (got, body) = ask(&relay, "GET", path);
        let (head, nothing) = ask(&relay, "HEAD", path);
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(nothing, "", "{path}");
        assert_eq!(
            head.field("content-length"),
            got.field("content-length"),
            "{path}"
        );
        assert!(!body.is_empty(), "{path}");
    }
}

#[test]
fn the_page_at_the_root_says_what_this_is() {
    let relay = Relay::start(&[]);
    let (response, body) = ask(&relay, "GET", "/");
    assert_eq!(response.status, 200);
    assert!(
        response
            .field("content-type")
            .is_some_and(|kind| kind.starts_with("text/html")),
        "{response:?}"
    );
    assert_eq!(response.field("x-content-type-options"), Some("nosniff"));
    assert!(body.contains("Roomcast"), "{body}");
    assert!(body.contains("/rooms/"), "it says where to connect: {body}");
}

#[test]
fn the_demo_is_served_if_that_was_asked_for_and_no_page_loads_anything_from_elsewhere() {
    let parts = ["/demo.js", "/world.js", "/draw.js"];
    let always = [
        "/start.js",
        "/style.css",
        "/icon.svg",
        "/roomcast.js",
        "/roomcast-host.js",
        "/roomcast-find.js",
        "/roomcast-ticks.js",
        "/roomcast-schema.js",
        "/roomcast-carriers.js",
    ];
    for demo in [false, true] {
        let relay = Relay::start(if demo { &["--demo"] } else { &[] });
        let found = |path: &str| ask(&relay, "GET", path).0.status == 200;
        assert!(always.iter().all(|path| found(path)));
        assert!(parts.iter().all(|path| found(path) == demo));
        let (response, _) = ask(&relay, "GET", "/demo");
        assert_eq!(response.status, if demo { 200 } else { 404 });
        let pages: &[&str] = if demo { &["/", "/demo"] } else { &["/"] };
        for page in pages {
            let (response, body) = ask(&relay, "GET", page);
            let policy = response.field("content-security-policy").unwrap_or("");
            assert!(
                policy.contains("default-src 'none'; script-src 'self'"),
                "{policy}"
            );
            assert!(!policy.contains("unsafe"), "{policy}");
            assert!(
                !body.contains("<script>") && !body.contains(" style="),
                "{page}"
            );
            // What it names is there.
            let named = body.split(['"']).filter(|text| text.starts_with('/'));
            for path in named {
                assert_eq!(
                    ask(&relay, "GET", path).0.status == 404,
                    path == "/demo" && !demo
                );
            }
        }
    }
}

/// A browser hides from a page why its WebSocket was refused; the page fetches the same URL instead, from any origin.
#[test]
fn a_page_can_ask_why_its_websocket_was_refused() {
    let mut relay = Relay::start(&["--max-connections", "1", "--drain", "1h"]);
    let why = |relay: &Relay, path: &str| {
        let mut wire = Wire::connect(relay.addr());
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://game.example\r\n\r\n"
        );
        wire.send(request.as_bytes());
        let (response, body) = wire.response();
        let any = response.field("access-control-allow-origin");
        assert_eq!(any, Some("*"), "{path}");
        (response.status, String::from_utf8_lossy(&body).into_owned())
    };
    let (status, body) = why(&relay, "/rooms/lobby");
    assert_eq!((status, body.contains("WebSocket")), (426, true), "{body}");
    let (status, body) = why(&relay, "/rooms/a%20b");
    assert_eq!((status, body.contains("room name")), (404, true), "{body}");
    let _player = Wire::join(relay.addr(), "/rooms/lobby");
    for path in ["/rooms/lobby", "/rooms/other", "/echo"] {
        let (status, body) = why(&relay, path);
        assert_eq!(
            (status, body.contains("all the connections")),
            (503, true),
            "{body}"
        );
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(why(&relay, path).0, 200, "{path} of a full relay");
    }
    relay.signal(Signal::TERM);
    let patience = patience("the relay drains");
    while why(&relay, "/readyz").0 != 503 {
        patience.check();
    }
    let (status, body) = why(&relay, "/rooms/lobby");
    assert_eq!(
        (status, body.contains("about to stop")),
        (503, true),
        "{body}"
    );
    assert_eq!(why(&relay, "/healthz").0, 200);
    relay.end_at_once();
}

#[test]
fn a_subprotocol_that_nobody_speaks_is_told_to_the_operator() {
    let relay = Relay::start(&[]);
    let mut wire = Wire::connect(relay.addr());
    let request = upgrade_request("/rooms/a");
    let request = request.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
    wire.send(request.as_bytes());
    let response = wire.accepted();
    assert_eq!(response.field("sec-websocket-protocol"), None);
    relay.logged("asks for a subprotocol", 1);
}

#[test]
fn other_methods_and_paths_are_refused() {
    let relay = Relay::start(&[]);
    for (method, path, status) in [
        ("POST", "/healthz", 405),
        ("DELETE", "/", 405),
        ("GET", "/health", 404),
        ("GET", "/rooms/a", 426),
        ("GET", "/echo", 426),
        ("GET", "/rooms/a%20b", 404),
        ("GET", "/../etc/passwd", 404),
    ] {
        let (response, body) = ask(&relay, method, path);
        assert_eq!(response.status, status, "{method} {path}");
        assert!(
            body.trim_end().lines().count() == 1,
            "one line that says why: {body:?}"
        );
    }
}
