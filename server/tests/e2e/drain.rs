//! Graceful shutdown: told to everyone, spread over time, over at last, and cut short on demand.

use rustix::process::Signal;

use crate::patience;
use crate::relay::Relay;
use crate::wire::{BINARY, PING, PONG, Wire, upgrade_request};

fn status_of(relay: &Relay, request: &str) -> u16 {
    let mut wire = Wire::connect(relay.addr());
    wire.send(request.as_bytes());
    wire.response().0.status
}

const READYZ: &str = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A signal is asynchronous: asks until the answer has changed.
fn wait_until_draining(relay: &Relay) {
    let patience = patience("the relay drains");
    while status_of(relay, READYZ) != 503 {
        patience.check();
    }
}

#[test]
fn a_drain_closes_everyone_with_1012_and_ends_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut relay = Relay::start(&["--drain", "1s"]);
        let paths = ["/rooms/a", "/rooms/a", "/rooms/b", "/rooms/c", "/echo"];
        let mut peers: Vec<Wire> = paths
            .iter()
            .map(|path| Wire::join(relay.addr(), path))
            .collect();
        relay.signal(signal);
        for peer in &mut peers {
            assert_eq!(peer.read_to_close(), Some(1012));
        }
        assert_eq!(relay.exit().code(), Some(0));
    }
}

#[test]
fn a_draining_relay_says_so_and_takes_nobody_in() {
    // Long enough that this test is over before the drain is; nobody is closed at its very beginning
    // for certain, so the ones inside are many.
    let mut relay = Relay::start(&["--drain", "1h"]);
    let mut inside: Vec<Wire> = (0..20)
        .map(|_| Wire::join(relay.addr(), "/rooms/full"))
        .collect();
    relay.signal(Signal::TERM);
    wait_until_draining(&relay);
    let mut late = Wire::connect(relay.addr());
    late.send(upgrade_request("/rooms/full").as_bytes());
    let (response, _) = late.response();
    assert_eq!(response.status, 503);
    assert!(
        response
            .field("retry-after")
            .is_some_and(|seconds| seconds.parse::<u32>().is_ok()),
        "{response:?}"
    );
    assert_eq!(
        status_of(&relay, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        200,
        "it is alive all the same"
    );
    // Who is inside is served until its turn comes.
    let served = inside
        .iter_mut()
        .filter(|peer| !peer.readable_within(0))
        .map(|peer| {
            peer.message(PING, b"still served?");
            peer.expect(PONG, b"still served?");
        });
    assert!(
        served.count() > 0,
        "a drain over an hour closes not all at once"
    );
    assert_eq!(relay.end_at_once(), Some(143));
}

/// As who tells the process and its group does, or a wrapper that passes on what the terminal has said already.
#[test]
fn a_stop_that_arrives_twice_is_one_stop() {
    for signals in [
        [Signal::TERM, Signal::TERM],
        [Signal::INT, Signal::INT],
        [Signal::INT, Signal::TERM],
    ] {
        let mut relay = Relay::start(&["--drain", "300ms"]);
        let mut peers: Vec<Wire> = (0..10)
            .map(|_| Wire::join(relay.addr(), "/rooms/a"))
            .collect();
        for signal in signals {
            relay.signal(signal);
        }
        for peer in &mut peers {
            assert_eq!(peer.read_to_close(), Some(1012));
        }
        assert_eq!(relay.exit().code(), Some(0));
    }
}

/// Nobody to wait for, so the drain is over at once, however long it may take.
#[test]
fn an_empty_relay_drains_at_once() {
    let mut relay = Relay::start(&["--drain", "1h"]);
    relay.signal(Signal::TERM);
    assert_eq!(relay.exit().code(), Some(0));
}

/// Peers that ignore the close frame, have not upgraded, or do not read, do not hold the relay up.
#[test]
fn nobody_holds_up_a_drain() {
    let mut relay = Relay::start(&[
        "--drain",
        "300ms",
        "--close-timeout",
        "300ms",
        "--handshake-timeout",
        "1h",
    ]);
    let mut stubborn = Wire::join(relay.addr(), "/rooms/a");
    let silent = Wire::connect(relay.addr());
    let mut half_a_head = Wire::connect(relay.addr());
    half_a_head.send(b"GET / HTTP/1.1\r\n");
    relay.signal(Signal::TERM);
    assert_eq!(relay.exit().code(), Some(0));
    assert_eq!(stubborn.next().close_code(), Some(1012));
    drop((silent, half_a_head));
}

#[test]
fn a_delay_is_for_balancers_and_a_second_signal_waits_for_nothing() {
    let mut relay = Relay::start(&["--drain-delay", "1h"]);
    let mut early = Wire::join(relay.addr(), "/rooms/a");
    relay.signal(Signal::TERM);
    wait_until_draining(&relay);
    relay.logged("the drain begins in", 1);
    let mut late = Wire::join(relay.addr(), "/rooms/a");
    late.message(BINARY, b"still in time");
    early.expect(BINARY, b"still in time");
    assert_eq!(relay.end_at_once(), Some(143));
    let mut relay = Relay::start(&["--drain-delay", "1ms", "--drain", "0"]);
    let mut player = Wire::join(relay.addr(), "/rooms/a");
    relay.signal(Signal::TERM);
    assert_eq!(player.read_to_close(), Some(1012));
    assert_eq!(relay.exit().code(), Some(0));
}
