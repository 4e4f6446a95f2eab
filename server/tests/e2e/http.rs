//! What a browser, a load balancer or a curious person gets over plain HTTP.

use crate::relay::Relay;
use crate::wire::{Response, Wire};

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
