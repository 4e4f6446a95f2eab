//! Time: the slices of an iteration, and a process that stood still.

use roomcast::limits::{
    CALLS_PER_LOOK, Limits, READ_SLICE_US, STRANGERS_SLICE_MAX_US, WRITE_SLICE_US,
};
use roomcast_protocol::frame::Opcode;

use crate::net::WireId;
use crate::stage::{Stage, frame, text};

/// Microseconds that a read or write takes on a bad day.
const SLOW_US: u64 = 1_000;

/// Players who hear themselves.
fn crowd(players: usize) -> (Stage, Vec<WireId>) {
    let mut stage = Stage::new(Limits::default());
    let wires = (0..players).map(|_| stage.join("/echo")).collect();
    (stage, wires)
}

#[test]
fn an_iteration_is_over_in_time_however_much_there_is_to_do() {
    let (mut stage, wires) = crowd(200);
    stage.net().weather.call_us = SLOW_US;
    for &wire in &wires {
        stage.arrive(wire, &text("hello"));
    }
    let mut longest = 0;
    loop {
        let began = stage.net().now();
        if !stage.turn() {
            break;
        }
        longest = longest.max(stage.now - began);
    }
    let calls = 2 * u64::from(CALLS_PER_LOOK) * SLOW_US;
    let most = (READ_SLICE_US + WRITE_SLICE_US + calls) / 1_000;
    assert!((10..=most).contains(&longest), "{longest} ms");
    for wire in wires {
        assert_eq!(stage.heard(wire), "text hello");
    }
    stage.close();
}

/// In one iteration, in which thousands of others have sent something too.
#[test]
fn players_wait_for_no_stranger() {
    let (mut stage, wires) = crowd(1);
    let strangers: Vec<WireId> = (0..200).map(|_| stage.connect()).collect();
    stage.settle();
    stage.net().weather.call_us = SLOW_US;
    let request = stage.request("/echo");
    for &wire in &strangers {
        stage.arrive(wire, &request);
    }
    stage.arrive(wires[0], &text("hello"));
    let began = stage.net().now();
    stage.turn();
    assert_eq!(stage.heard(wires[0]), "text hello");
    let took = stage.now - began;
    let slice = u64::from(CALLS_PER_LOOK) * SLOW_US + STRANGERS_SLICE_MAX_US;
    assert!(took <= slice / 1_000, "{took} ms");
    // And those are kept waiting by nobody.
    stage.settle();
    assert!(strangers.iter().all(|&wire| stage.is_seated(wire)));
    stage.close();
}

#[test]
fn a_fan_out_goes_on_where_it_was_cut() {
    let mut stage = Stage::new(Limits::default());
    let wires: Vec<WireId> = (0..120).map(|_| stage.join("/rooms/r")).collect();
    stage.net().weather.call_us = SLOW_US;
    for &sender in &wires[..3] {
        stage.arrive(sender, &text("to all"));
        stage.turn();
    }
    stage.settle();
    for (index, &wire) in wires.iter().enumerate() {
        let times = if index < 3 { 2 } else { 3 };
        assert_eq!(stage.heard(wire), vec!["text to all"; times].join(", "));
    }
    stage.close();
}

/// Their bytes have come, but there was no time to read them.
#[test]
fn only_who_has_sent_nothing_is_found_silent() {
    let (mut stage, wires) = crowd(200);
    let idle_ms = u64::from(stage.common.limits.idle_ms);
    stage.pass(idle_ms - 500);
    stage.net().weather.call_us = SLOW_US;
    let (silent, others) = wires.split_last().expect("there are players");
    for &wire in others {
        stage.arrive(wire, &frame(Opcode::Pong, b""));
    }
    stage.now += 600;
    stage.settle();
    assert_eq!(stage.ends(), "idle");
    assert!(stage.heard(*silent).contains("close 4005"));
    assert!(others.iter().all(|&wire| stage.is_seated(wire)));
    stage.close();
}

/// Their request heads have come in time, but there was no time to read them.
#[test]
fn only_whose_head_has_not_come_is_found_late() {
    let mut stage = Stage::new(Limits::default());
    let wires: Vec<WireId> = (0..200).map(|_| stage.connect()).collect();
    stage.pass(u64::from(stage.common.limits.handshake_ms) - 500);
    stage.net().weather.call_us = SLOW_US;
    let (late, others) = wires.split_last().expect("there are connections");
    let request = stage.request("/echo");
    for &wire in others {
        stage.arrive(wire, &request);
    }
    // A trickle does not save it.
    stage.arrive(*late, &request[..10]);
    stage.now += 600;
    stage.settle();
    assert_eq!(stage.ends(), "handshake_timeout");
    assert_eq!(stage.heard(*late), "408, end");
    assert!(others.iter().all(|&wire| stage.is_seated(wire)));
    stage.close();
}

#[test]
fn a_process_that_stood_still_takes_nobody_for_silent() {
    let (mut stage, wires) = crowd(2);
    stage.now += 600_000;
    stage.settle();
    assert!(wires.iter().all(|&wire| stage.is_seated(wire)));
    // From then on they are asked, and have the time to answer.
    stage.pass(u64::from(stage.common.limits.ping_ms));
    assert_eq!(stage.heard(wires[0]), "ping");
    stage.send(wires[0], &frame(Opcode::Pong, b""));
    stage.pass(u64::from(stage.common.limits.idle_ms) - 2_000);
    assert_eq!(stage.ends(), "idle");
    assert!(stage.is_seated(wires[0]));
    stage.close();
}

#[test]
fn a_process_that_stood_still_while_it_drained_still_says_goodbye() {
    let (mut stage, wires) = crowd(3);
    stage.drain(5_000);
    stage.now += 600_000;
    stage.settle();
    for wire in wires {
        assert!(stage.heard(wire).starts_with("close 1012"));
    }
}

#[test]
fn draining_needs_no_room_in_a_mailbox_and_is_ordered_once() {
    let (mut stage, wires) = crowd(3);
    stage.net().weather.mailbox = 0;
    stage.drain(0);
    stage.drain(60_000);
    stage.pass(32);
    for wire in wires {
        assert!(stage.heard(wire).starts_with("close 1012"));
    }
}
