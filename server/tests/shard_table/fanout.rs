//! Fan-outs that take several iterations, and what happens between.

use roomcast::limits::{FANOUT_BUDGET, Limits};
use roomcast_protocol::frame::Opcode;

use crate::net::WireId;
use crate::stage::{Stage, frame, text};

fn limits() -> Limits {
    Limits {
        max_connections: 20_000,
        ..Limits::default()
    }
}

/// A room of so many members.
fn crowd(stage: &mut Stage, members: usize) -> Vec<WireId> {
    (0..members).map(|_| stage.join("/rooms/crowd")).collect()
}

/// How many have something to read.
fn served(stage: &Stage, wires: &[WireId]) -> usize {
    wires
        .iter()
        .filter(|&&wire| stage.net().wires[wire].readable() > 0)
        .count()
}

#[test]
fn a_room_of_ten_thousand_is_served_in_portions_and_others_in_between() {
    let members = 10_000;
    let mut stage = Stage::new(limits());
    let players = crowd(&mut stage, members);
    let (one, two) = (stage.join("/rooms/small"), stage.join("/rooms/small"));
    stage.arrive(players[0], &text("to all"));
    let mut before = 0;
    let mut turns = 0;
    loop {
        // Somebody else says something in every iteration, and is heard in that very one.
        stage.arrive(one, &text("between"));
        stage.turn();
        assert_eq!(stage.heard(two), "text between");
        let now = served(&stage, &players);
        let portion = now - before;
        turns += 1;
        if now == members - 1 {
            assert!(portion <= FANOUT_BUDGET as usize);
            break;
        }
        assert!(stage.reactors[0].shard().has_work(), "it does not sleep");
        // The sender itself takes a place, but gets nothing.
        assert!(
            (FANOUT_BUDGET as usize - 1..=FANOUT_BUDGET as usize).contains(&portion),
            "{portion}"
        );
        before = now;
    }
    assert_eq!(turns, members.div_ceil(FANOUT_BUDGET as usize));
    assert!(
        players[1..]
            .iter()
            .all(|&wire| stage.heard(wire) == "text to all")
    );
    assert_eq!(stage.heard(players[0]), "");
    stage.close();
}

/// Two large rooms take turns within each iteration.
#[test]
fn large_rooms_do_not_wait_for_each_other() {
    let mut stage = Stage::new(limits());
    let first = crowd(&mut stage, 1_000);
    let second: Vec<WireId> = (0..1_000).map(|_| stage.join("/rooms/second")).collect();
    stage.arrive(first[0], &text("first"));
    stage.arrive(second[0], &text("second"));
    stage.turn();
    for room in [&first, &second] {
        let served = served(&stage, room);
        assert!((255..=256).contains(&served), "{served}");
    }
    stage.settle();
    assert!(
        second[1..]
            .iter()
            .all(|&wire| stage.heard(wire) == "text second")
    );
    stage.close();
}

/// Large messages count for several members: bytes cost time as well.
#[test]
fn a_large_message_makes_smaller_portions() {
    let mut stage = Stage::new(limits());
    let players = crowd(&mut stage, 300);
    stage.arrive(players[0], &frame(Opcode::Binary, &[0; 60_000]));
    stage.turn();
    let portion = served(&stage, &players);
    assert!((20..100).contains(&portion), "{portion} of 60 KB each");
    stage.settle();
    assert_eq!(served(&stage, &players), 299);
    stage.close();
}

#[test]
fn who_joins_during_a_fanout_hears_only_what_follows() {
    let mut stage = Stage::new(limits());
    let players = crowd(&mut stage, 1_000);
    stage.arrive(players[0], &text("before"));
    stage.turn();
    // Its fan-out is running, and more is gathered meanwhile.
    stage.arrive(players[1], &text("meanwhile"));
    let joining = stage.begin("/rooms/crowd");
    stage.turn();
    stage.turn();
    assert!(stage.reactors[0].shard().has_work(), "it is running still");
    assert!(stage.is_seated(joining));
    stage.arrive(players[2], &text("after"));
    stage.settle();
    assert_eq!(stage.heard(joining), "101, text after");
    assert_eq!(
        stage.heard(players[3]),
        "text before, text meanwhile, text after"
    );
    assert_eq!(stage.heard(players[1]), "text before, text after");
    stage.close();
}

#[test]
fn who_leaves_during_a_fanout_is_not_served_and_moves_nobody() {
    let mut stage = Stage::new(limits());
    let players = crowd(&mut stage, 1_000);
    for round in 0..5 {
        stage.arrive(players[999], &text(&format!("round {round}")));
        stage.turn();
        let waiting: Vec<WireId> = players[..999]
            .iter()
            .copied()
            .filter(|&wire| stage.is_there(wire) && stage.net().wires[wire].readable() == 0)
            .collect();
        // Some that have been served leave, and some that have not.
        for &wire in players[round * 100..]
            .iter()
            .step_by(7)
            .take(20)
            .chain(waiting.iter().step_by(5))
        {
            if wire != players[999] {
                stage.net().wires[wire].send_fin();
                stage.net().wires[wire].deliver(0);
            }
        }
        stage.settle();
        for &wire in &players[..999] {
            if stage.is_there(wire) {
                assert_eq!(stage.heard(wire), format!("text round {round}"));
            }
        }
    }
    let left = players.iter().filter(|&&wire| stage.is_there(wire)).count();
    assert!((100..900).contains(&left), "{left} of 1000 stay");
    assert_eq!(stage.common.seated(), left);
    stage.close();
}

#[test]
fn a_room_that_everybody_leaves_during_a_fanout_is_gone() {
    let mut stage = Stage::new(limits());
    let players = crowd(&mut stage, 600);
    stage.arrive(players[0], &text("to nobody"));
    stage.turn();
    stage.arrive(players[1], &text("gathered"));
    for &wire in &players {
        stage.net().wires[wire].send_reset();
    }
    stage.settle();
    assert_eq!(stage.reactors[0].shard().rooms(), 0);
    assert_eq!(stage.ends(), "600 connection_lost");
    // The same name is another room.
    let one = stage.join("/rooms/crowd");
    let two = stage.join("/rooms/crowd");
    stage.send(one, &text("anew"));
    assert_eq!(stage.heard(two), "text anew");
    stage.close();
}

/// A message that is said while its room's fan-out runs wakes nobody, but is not forgotten.
#[test]
fn what_is_gathered_during_a_fanout_follows_it() {
    let mut stage = Stage::new(limits());
    let players = crowd(&mut stage, 600);
    for (number, &player) in players[..20].iter().enumerate() {
        stage.arrive(player, &text(&format!("{number}")));
        stage.turn();
    }
    stage.settle();
    let all: Vec<String> = (0..20).map(|number| format!("text {number}")).collect();
    assert_eq!(stage.heard(players[599]), all.join(", "));
    assert_eq!(stage.heard(players[19]), all[..19].join(", "));
    stage.close();
}

/// With a flush interval a room gathers, and is woken for it.
#[test]
fn a_room_that_gathers_is_frozen_in_time() {
    let limits = Limits {
        flush_interval_ms: 50,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let one = stage.join("/rooms/r");
    let two = stage.join("/rooms/r");
    stage.pass(1_000);
    stage.send(one, &text("a"));
    assert_eq!(stage.heard(two), "text a", "the interval is over already");
    stage.send(one, &text("b"));
    stage.pass(20);
    stage.send(one, &text("c"));
    assert_eq!(stage.heard(two), "");
    let writes = stage.reactors[0].shard().counters().writes;
    stage.pass(30);
    assert_eq!(stage.heard(two), "text b, text c");
    assert_eq!(
        stage.reactors[0].shard().counters().writes,
        writes + 1,
        "in one write"
    );
    stage.close();
}

/// The round begins with another member each time.
#[test]
fn nobody_is_always_last() {
    let mut stage = Stage::new(limits());
    let players = crowd(&mut stage, 400);
    let mut first = Vec::new();
    for _ in 0..400 {
        stage.arrive(players[0], &text("x"));
        stage.turn();
        first.extend(
            players
                .iter()
                .copied()
                .filter(|&wire| stage.net().wires[wire].readable() > 0),
        );
        stage.settle();
        players.iter().for_each(|&wire| {
            stage.heard(wire);
        });
    }
    for &wire in &players[1..] {
        let count = first.iter().filter(|&&served| served == wire).count();
        assert!(
            (200..350).contains(&count),
            "{count} times of 400 in the first portion"
        );
    }
    stage.close();
}
