//! Ends of those who have not taken everything: how long each may go on, and who has to go first.

use roomcast::limits::{
    DISCARD_WHILE_CLOSING, EBB_BYTES_PER_S, EBB_FIRST_LOOK_MS, LINGERING_BYTES, Limits,
};
use roomcast_protocol::frame::Opcode;

use crate::net::WireId;
use crate::stage::{Stage, WIDE, frame, text};

/// No frame begins like this.
const GARBAGE: &[u8] = b"\xff";

/// A reader, as the kernel has it, and a member that has said so many bytes to it.
fn behind(stage: &mut Stage, bytes: usize) -> (WireId, WireId) {
    let wire = stage.join_through("/rooms/r", WIDE);
    let other = stage.join("/rooms/r");
    for _ in 0..bytes.div_ceil(50_000) {
        stage.send(other, &frame(Opcode::Binary, &[7; 50_000]));
    }
    (wire, other)
}

fn cut_off(stage: &Stage) -> u64 {
    stage.reactors[0].shard().counters().cut_off
}

fn lingering(stage: &Stage) -> u64 {
    stage.reactors[0].shard().counters().lingering
}

fn close_ms() -> u64 {
    u64::from(Limits::default().close_ms)
}

fn congested_ms() -> u64 {
    u64::from(Limits::default().congested_ms_max)
}

#[test]
fn who_takes_nothing_is_reset_when_its_time_is_up() {
    let mut stage = Stage::new(Limits::default());
    let (wire, other) = behind(&mut stage, 300_000);
    stage.send(wire, GARBAGE);
    stage.pass(32 + u64::from(EBB_FIRST_LOOK_MS));
    assert_eq!(lingering(&stage), 1);
    stage.pass(close_ms() - 200);
    assert!(stage.is_there(wire));
    stage.pass(200);
    assert!(!stage.is_there(wire) && stage.net().wires[wire].is_cut());
    assert!(stage.is_there(other));
    assert_eq!((cut_off(&stage), lingering(&stage)), (1, 0));
    stage.close();
}

#[test]
fn who_takes_enough_goes_on_and_is_told() {
    let mut stage = Stage::new(Limits::default());
    let (wire, _) = behind(&mut stage, 80_000);
    let began = stage.now;
    stage.send(wire, GARBAGE);
    let mut told = Vec::new();
    // Every tenth of a second a little more than is asked for.
    for _ in 0..(close_ms() + congested_ms()) / 100 - 1 {
        told = stage.read(wire, EBB_BYTES_PER_S as usize / 9);
        if told.iter().any(|word| word == "end") {
            break;
        }
        stage.pass(100);
    }
    assert!(told.join(", ").ends_with("close 1002, end"), "{told:?}");
    assert!(stage.now > began + close_ms() + 1_000, "it takes its time");
    stage.hang_up(wire);
    assert!(!stage.is_there(wire));
    assert_eq!(cut_off(&stage), 0);
    stage.close();
}

#[test]
fn who_takes_too_little_or_too_long_does_not() {
    for (a_tenth, longest) in [
        (EBB_BYTES_PER_S as usize / 11, close_ms()),
        (EBB_BYTES_PER_S as usize / 9, close_ms() + congested_ms()),
    ] {
        let mut stage = Stage::new(Limits::default());
        let (wire, _) = behind(&mut stage, 400_000);
        let began = stage.now;
        stage.send(wire, GARBAGE);
        while stage.is_there(wire) && stage.now < began + 60_000 {
            stage.read(wire, a_tenth);
            stage.pass(100);
        }
        let took = stage.now - began;
        assert!(took.abs_diff(longest) <= 200, "{took} of {longest}");
        assert_eq!(cut_off(&stage), 1);
        stage.close();
    }
}

#[test]
fn a_bare_fin_lingers_as_long_as_something_is_left() {
    let mut stage = Stage::new(Limits::default());
    let (wire, other) = behind(&mut stage, 100_000);
    stage.hang_up(other);
    assert!(!stage.is_there(other), "nothing is left for it");
    stage.hang_up(wire);
    assert_eq!(stage.common.seated(), 0, "its seat is free at once");
    assert!(stage.is_there(wire));
    // It has read all, and the end.
    assert!(stage.heard(wire).ends_with("end"));
    stage.pass(u64::from(EBB_FIRST_LOOK_MS) + 32);
    assert!(!stage.is_there(wire) && !stage.net().wires[wire].is_cut());
    stage.close();
}

#[test]
fn who_goes_on_sending_is_read_no_further_and_told() {
    let mut stage = Stage::new(Limits::default());
    let (wire, _) = behind(&mut stage, 30_000);
    stage.send(wire, GARBAGE);
    for _ in 0..3 * DISCARD_WHILE_CLOSING / 60_000 {
        stage.arrive(wire, &frame(Opcode::Binary, &[1; 60_000]));
        stage.turn();
    }
    stage.settle();
    assert!(!stage.net().wires[wire].is_drained(), "TCP stops it");
    assert!(stage.is_there(wire));
    assert!(stage.heard(wire).ends_with("close 1002, end"));
    // Its end is heard all the same.
    stage.hang_up(wire);
    assert!(!stage.is_there(wire));
    stage.close();
}

/// Together they hold no more than they may: who has taken nothing for longest has to go.
#[test]
fn those_who_linger_have_a_bound() {
    let mut stage = Stage::new(Limits::default());
    let first = stage.join_through("/rooms/r", WIDE);
    let others = [0; 3].map(|_| stage.join_through("/rooms/r", WIDE));
    let sender = stage.join("/rooms/r");
    let each = LINGERING_BYTES / 4 + LINGERING_BYTES / 32;
    for _ in 0..each.div_ceil(60_000) {
        stage.send(sender, &frame(Opcode::Binary, &[7; 60_000]));
    }
    // It ends before the others do.
    stage.send(first, GARBAGE);
    stage.pass(u64::from(EBB_FIRST_LOOK_MS) + 100);
    assert_eq!(lingering(&stage), 1);
    for wire in others {
        stage.send(wire, GARBAGE);
    }
    stage.pass(u64::from(EBB_FIRST_LOOK_MS) + 100);
    assert_eq!((lingering(&stage), cut_off(&stage)), (3, 1));
    assert!(!stage.is_there(first));
    assert!(others.iter().all(|&wire| stage.is_there(wire)));
    stage.send(sender, &text("to nobody"));
    stage.close();
}
