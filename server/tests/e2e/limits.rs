//! Limits on how many may come: the operator's, and the system's.

use std::time::Instant;

use crate::patience;
use crate::relay::Relay;
use crate::wire::{BINARY, Wire, upgrade_request};

fn exchange(from: &mut Wire, to: &mut Wire, bytes: &[u8]) {
    from.message(BINARY, bytes);
    to.expect(BINARY, bytes);
}

#[test]
fn a_full_relay_refuses_with_503_and_takes_in_again_when_someone_left() {
    let relay = Relay::start(&["--max-connections", "4"]);
    let mut inside: Vec<Wire> = (0..4)
        .map(|_| Wire::join(relay.addr(), "/rooms/full"))
        .collect();
    let mut late = Wire::connect(relay.addr());
    let _ = late.try_send(upgrade_request("/rooms/full").as_bytes());
    let (response, _) = late.response();
    assert_eq!(response.status, 503);
    assert!(
        response
            .field("retry-after")
            .is_some_and(|seconds| seconds.parse::<u32>().is_ok()),
        "{response:?}"
    );

    inside.pop().expect("a member").reset();
    let patience = patience("a place comes free, and someone is taken in");
    let mut newcomer = loop {
        patience.check();
        let mut wire = Wire::connect(relay.addr());
        let _ = wire.try_send(upgrade_request("/rooms/full").as_bytes());
        // The relay learns of a reset in its own time.
        if wire.peek_status() == 101 {
            wire.accepted();
            break wire;
        }
    };
    exchange(&mut newcomer, &mut inside[0], b"room for one more");
}

#[test]
fn a_full_room_refuses_with_4000() {
    let relay = Relay::start(&["--max-room-members", "2"]);
    let mut first = Wire::join(relay.addr(), "/rooms/duo");
    let mut second = Wire::join(relay.addr(), "/rooms/duo");
    exchange(&mut first, &mut second, b"two are company");
    let mut third = Wire::join(relay.addr(), "/rooms/duo");
    assert_eq!(third.read_to_close(), Some(4000));
    let mut elsewhere = Wire::join(relay.addr(), "/rooms/other");
    exchange(&mut first, &mut second, b"and still are");
    let mut friend = Wire::join(relay.addr(), "/rooms/other");
    exchange(&mut friend, &mut elsewhere, b"there is room elsewhere");
    second.reset();
    let patience = patience("a seat comes free, and someone gets it");
    loop {
        patience.check();
        let mut fourth = Wire::join(relay.addr(), "/rooms/duo");
        first.message(BINARY, b"who is there?");
        if fourth.next().first == crate::wire::FIN | BINARY {
            return;
        }
    }
}

/// The relay raises its soft limit to the hard one.
#[test]
fn the_soft_limit_on_descriptors_is_raised() {
    let relay = Relay::start_with_descriptors(256, 2048, &["--reactors", "1"]);
    assert_eq!(relay.descriptor_limits(), (2048, 2048));
    assert!(
        relay.log().iter().any(|line| line.contains("2048")),
        "and says what it got: {:?}",
        relay.log()
    );
}

/// It would stand still for a moment whenever that has to grow.
#[test]
#[cfg(target_os = "linux")]
fn the_table_of_descriptors_has_room_for_all_players_at_once() {
    let relay = Relay::start_with_descriptors(4096, 4096, &["--max-connections", "2000"]);
    assert!(
        relay.descriptor_table() > 2_000,
        "{}",
        relay.descriptor_table()
    );
    let relay = Relay::start_with_descriptors(256, 256, &["--max-connections", "200"]);
    assert!(relay.descriptor_table() >= 256, "as far as is allowed");
}

/// Without a free descriptor the relay serves those it has, does not spin, and accepts again later.
#[test]
fn when_descriptors_run_out_the_relay_serves_on_and_recovers() {
    // What the limit was at start decides how many may play: lowered later, descriptors run out first.
    let relay = Relay::start_with_descriptors(1024, 1024, &["--reactors", "1"]);
    relay.lower_descriptors(40);
    let mut first = Wire::join(relay.addr(), "/rooms/tight");
    let mut second = Wire::join(relay.addr(), "/rooms/tight");
    exchange(&mut first, &mut second, b"before");
    // The kernel completes these handshakes whether or not the relay accepts.
    let mut waiting: Vec<Wire> = (0..60)
        .map(|_| {
            let mut wire = Wire::connect(relay.addr());
            wire.send(upgrade_request("/rooms/crowd").as_bytes());
            wire
        })
        .collect();
    waiting[0].accepted();
    // The last one cannot get in: for a second nothing comes, and the relay must not burn it away.
    let (ticks, start) = (relay.cpu_ticks(), Instant::now());
    assert!(
        !waiting[59].readable_within(1000),
        "40 descriptors cannot serve 60 connections"
    );
    let used = (relay.cpu_ticks() - ticks) as f64 / rustix::param::clock_ticks_per_second() as f64;
    assert!(
        used < start.elapsed().as_secs_f64() / 2.0,
        "the relay spun for {used} s"
    );
    exchange(&mut first, &mut second, b"meanwhile");
    // Those inside leave, and everyone who still waits gets in.
    for wire in waiting.drain(..40) {
        wire.reset();
    }
    for wire in &mut waiting {
        wire.accepted();
    }
    exchange(&mut first, &mut second, b"after");
    let (left, right) = waiting.split_at_mut(1);
    exchange(&mut left[0], &mut right[0], b"also among the late");
}

/// More players than there are descriptors for are promised to nobody.
#[test]
fn more_players_than_descriptors_are_cut_down_and_get_503() {
    let flags = ["--reactors", "1", "--max-connections", "1000"];
    let relay = Relay::start_with_descriptors(40, 40, &flags);
    let log = relay.log();
    let line = log
        .iter()
        .find(|line| line.contains("WARN"))
        .expect("a warning");
    assert!(line.contains("1000") && line.contains("21"), "{line}");
    let _inside: Vec<Wire> = (0..21)
        .map(|_| Wire::join(relay.addr(), "/rooms/tight"))
        .collect();
    let mut late = Wire::connect(relay.addr());
    let _ = late.try_send(upgrade_request("/rooms/tight").as_bytes());
    assert_eq!(late.response().0.status, 503);
}
