//! Doors where a proxy says first, in a PROXY header, where a connection comes from.

use roomcast::limits::{Limits, PerSource};
use roomcast::shard::{Common, Gate, Network, Proxies};

use crate::net::WireId;
use crate::stage::Stage;

const PROXY: &str = "10.0.0.1";

fn stage() -> Stage {
    let limits = Limits {
        per_source: PerSource {
            connections: 2,
            unseated: 2,
            ..Limits::default().per_source
        },
        ..Limits::default()
    };
    let gate = Gate {
        loopback: vec![true],
        announced: vec![true],
        ..Gate::default()
    };
    let proxies = Proxies::new(Network::of(PROXY).into_iter().collect());
    let mut stage = Stage::of(Common::new(limits, 1).with_gate(gate).with_proxies(proxies));
    stage.caller = PROXY.parse().ok();
    stage
}

fn header(from: &str) -> Vec<u8> {
    format!("PROXY TCP4 {from} 198.51.100.1 1 2\r\n").into_bytes()
}

/// A connection that the proxy announces like this and that asks for a seat, and what it is told.
fn ask(stage: &mut Stage, header: &[u8]) -> (WireId, String) {
    let wire = stage.connect();
    let request = stage.request("/rooms/a");
    stage.send(wire, &[header, &request].concat());
    let heard = stage.heard(wire);
    (wire, heard)
}

#[test]
fn players_are_told_apart_by_what_the_proxy_says() {
    let mut stage = stage();
    let one = header("192.0.2.1");
    assert_eq!(ask(&mut stage, &one).1, "101");
    let (wire, heard) = ask(&mut stage, &one);
    assert_eq!(heard, "101");
    assert_eq!(ask(&mut stage, &one).1, "429, end");
    assert_eq!(ask(&mut stage, &header("192.0.2.2")).1, "101");
    // What it does not say counts as the proxy.
    for _ in 0..2 {
        assert_eq!(ask(&mut stage, b"PROXY UNKNOWN\r\n").1, "101");
    }
    assert_eq!(ask(&mut stage, b"PROXY UNKNOWN\r\n").1, "429, end");
    stage.hang_up(wire);
    assert_eq!(ask(&mut stage, &one).1, "101");
    stage.close();
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let mut stage = stage();
    let wire = stage.connect();
    let request = stage.request("/rooms/a");
    for byte in [header("192.0.2.1"), request].concat() {
        assert_eq!(stage.heard(wire), "");
        stage.send(wire, &[byte]);
    }
    assert_eq!(stage.heard(wire), "101");
    stage.close();
}

#[test]
fn nobody_comes_without_a_header_or_with_one_of_its_own() {
    let mut stage = stage();
    assert_eq!(ask(&mut stage, b"").1, "end");
    stage.caller = "192.0.2.9".parse().ok();
    let stranger = stage.connect();
    assert_eq!(stage.heard(stranger), "end", "before it says a word");
    assert_eq!(stage.ends(), "2 proxy_header");
    stage.close();
}

#[test]
fn who_says_nothing_is_waited_for_as_long_as_for_a_head() {
    let mut stage = stage();
    let silent = stage.connect();
    let slow = stage.connect();
    stage.send(slow, &header("192.0.2.1")[..20]);
    stage.pass(u64::from(Limits::default().handshake_ms) - 1_000);
    assert!(stage.is_there(silent) && stage.is_there(slow));
    stage.pass(2_000);
    assert!(!stage.is_there(silent) && !stage.is_there(slow));
    assert_eq!(stage.ends(), "2 handshake_timeout");
    stage.close();
}

#[test]
fn newcomers_count_for_the_address_that_is_announced() {
    let mut stage = stage();
    for _ in 0..5 {
        // As long as nothing is said they are the proxy's, which may have any number.
        stage.connect();
    }
    for _ in 0..2 {
        let wire = stage.connect();
        stage.send(wire, &header("192.0.2.1"));
        assert_eq!(stage.heard(wire), "");
    }
    assert_eq!(ask(&mut stage, &header("192.0.2.1")).1, "end");
    assert_eq!(stage.ends(), "address_handshakes");
    assert_eq!(ask(&mut stage, &header("192.0.2.2")).1, "101");
    stage.close();
}
