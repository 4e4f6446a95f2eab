//! What one address may have, as its players and the operator see it.

use rustix::process::Signal;

use crate::patience;
use crate::relay::{Relay, ends};
use crate::wire::{Response, Wire, upgrade_request};

fn ask(relay: &Relay, request: &str) -> (Response, String) {
    let mut wire = Wire::connect(relay.addr());
    wire.send(request.as_bytes());
    let (response, body) = wire.response();
    (response, String::from_utf8(body).expect("text"))
}

#[test]
fn one_address_has_its_share_and_is_told_so() {
    let flags = [
        "--limit-loopback",
        "--connections-per-address",
        "2",
        "--log-level",
        "debug",
    ];
    let mut relay = Relay::start(&flags);
    let inside = [0, 1].map(|_| Wire::join(relay.addr(), "/rooms/a"));
    let page = "GET /rooms/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for request in [upgrade_request("/rooms/b"), page.to_owned()] {
        let (response, text) = ask(&relay, &request);
        assert_eq!(response.status, 429);
        assert!(response.field("retry-after").is_some(), "{response:?}");
        assert!(text.contains("--connections-per-address"), "{text}");
    }
    relay.logged("answered 429", 1);
    let (response, _) = ask(&relay, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(response.status, 200, "that needs no seat");
    for wire in inside {
        wire.reset();
    }
    relay.ended(5);
    Wire::join(relay.addr(), "/rooms/b").reset();
    let expected = [
        ("address_connections", 2),
        ("answered", 1),
        ("connection_lost", 3),
    ];
    assert_eq!(relay.ends(), ends(&expected));
}

#[test]
fn one_address_joins_so_often_and_shakes_hands_so_often() {
    let flags = [
        "--limit-loopback",
        "--joins-per-address",
        "1",
        "--handshakes-per-address",
        "2",
        "--log-level",
        "debug",
    ];
    let mut relay = Relay::start(&flags);
    // Two at once, and then one a second: whoever asks more often is told so.
    let patience = patience("somebody joins too often");
    let mut inside = Vec::new();
    loop {
        patience.check();
        let mut wire = Wire::connect(relay.addr());
        wire.send(upgrade_request("/rooms/a").as_bytes());
        if wire.peek_status() != 101 {
            let (response, text) = wire.response();
            assert_eq!(response.status, 429);
            let text = String::from_utf8(text).expect("text");
            assert!(text.contains("--joins-per-address"), "{text}");
            break;
        }
        inside.push(wire);
    }
    relay.ended(1);
    let slow = [0, 1].map(|_| Wire::connect(relay.addr()));
    Wire::connect(relay.addr()).expect_gone();
    drop((slow, inside));
    relay.signal(Signal::TERM);
    assert_eq!(relay.exit().code(), Some(0));
    relay.logged("thronged=1", 1);
}
