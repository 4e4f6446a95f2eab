//! How long messages are here, and how many of them are delivered: as the reactors' counters say it.

use roomcast::limits::Limits;
use roomcast::shard::Histogram;

use crate::stage::{Stage, text};

fn residence(stage: &Stage) -> Histogram {
    stage.reactors[0].shard().counters().residence
}

/// Deliveries that were here for at least so many microseconds, by the buckets from there on.
fn at_least(residence: &Histogram, us: u64) -> u64 {
    let mut before = 0;
    let rows = residence.rows();
    let late = rows.filter(|(end, _)| std::mem::replace(&mut before, end.unwrap_or(0)) >= us);
    late.map(|(_, count)| count).sum()
}

#[test]
fn a_message_counts_once_for_each_receiver() {
    let mut stage = Stage::new(Limits::default());
    let players = [(); 4].map(|()| stage.join("/rooms/a"));
    stage.send(players[0], &text("to three"));
    assert_eq!(residence(&stage).count(), 3);
    // One batch of three messages, two of them by one player.
    for (player, said) in [(0, "one"), (0, "two"), (1, "three")] {
        stage.arrive(players[player], &text(said));
    }
    stage.settle();
    assert_eq!(residence(&stage).count(), 3 + 9);
    assert_eq!(at_least(&residence(&stage), 64), 0, "no time has passed");
    let alone = stage.join("/rooms/b");
    stage.send(alone, &text("to nobody"));
    assert_eq!(residence(&stage).count(), 12);
    stage.close();
}

/// What a player does not take has been here since it was said, whichever part of it leaves last.
#[test]
fn what_is_queued_counts_from_its_oldest_message() {
    let mut stage = Stage::new(Limits::default());
    let author = stage.join("/rooms/a");
    let slow = stage.join_through("/rooms/a", 700);
    let long = "x".repeat(600);
    for _ in 0..4 {
        stage.send(author, &text(&long));
        stage.pass(500);
    }
    assert_eq!(residence(&stage).count(), 1, "the others wait");
    let mut heard = 0;
    while heard < 4 {
        heard += stage.read(slow, usize::MAX).len();
        stage.settle();
    }
    let residence = residence(&stage);
    assert_eq!(residence.count(), 4);
    // The second one waited for 1.5 s, and those behind it leave in its company or later.
    assert!(at_least(&residence, 512_000) >= 2, "{residence:?}");
    assert!(residence.sum_us() >= 1_500_000, "{residence:?}");
    stage.close();
}

/// Messages that were read while an earlier batch was still on its way have waited for it.
#[test]
fn what_gathers_counts_from_its_first_message() {
    let limits = Limits {
        flush_interval_ms: 200,
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let players = [(); 2].map(|()| stage.join("/rooms/a"));
    stage.pass(1_000);
    stage.send(players[0], &text("at once"));
    stage.pass(10);
    stage.send(players[0], &text("waits"));
    stage.pass(100);
    stage.send(players[0], &text("waits with it"));
    stage.pass(1_000);
    let residence = residence(&stage);
    assert_eq!(residence.count(), 3);
    assert_eq!(at_least(&residence, 128_000), 2, "{residence:?}");
    stage.close();
}
