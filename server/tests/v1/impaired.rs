//! Bad networks that players ask for, for themselves.

use roomcast::limits::{IMPAIRED_BYTES, IMPAIRED_MAX, Limits};
use roomcast::shard::EndReason;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::Payload;
use roomcast_protocol::v1::down::capability;
use roomcast_protocol::v1::up::{Audience, Impairment};

use crate::stage::{Actor, Stage};

fn stage() -> Stage {
    Stage::new(Limits {
        impairment: true,
        packets_per_second: 100_000,
        ..Limits::default()
    })
}

/// Two of one room, the first of whom asks for this.
fn pair(stage: &mut Stage, to: Impairment) -> (Actor, Actor) {
    let mut ada = Actor::join(stage, "lobby", "Ada");
    let mut bob = Actor::join(stage, "lobby", "Bob");
    impair(stage, &mut ada, to);
    ada.news(stage);
    bob.news(stage);
    (ada, bob)
}

fn impair(stage: &mut Stage, actor: &mut Actor, to: Impairment) {
    actor.client.impair(to).expect("it keeps little");
    actor.write(stage);
    stage.settle();
}

fn say(stage: &mut Stage, actor: &mut Actor, text: &str) {
    let sent = actor
        .client
        .event(Audience::All, Payload::Text(text), false);
    sent.expect("it keeps little");
    actor.write(stage);
    stage.settle();
}

#[test]
fn a_relay_that_does_not_offer_it_refuses_it() {
    let mut stage = Stage::new(Limits::default());
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    assert_eq!(ada.capabilities & capability::IMPAIRMENT, 0);
    ada.news(&mut stage);
    let impairment = Impairment {
        delay: 100,
        ..Impairment::default()
    };
    impair(&mut stage, &mut ada, impairment);
    assert_eq!(ada.news(&mut stage), ["refused 0 5"]);
}

#[test]
fn what_one_gets_is_late_and_nobody_else_notices() {
    let mut stage = stage();
    let delay = Impairment {
        delay: 200,
        ..Impairment::default()
    };
    let (mut ada, mut bob) = pair(&mut stage, delay);
    assert_ne!(ada.capabilities & capability::IMPAIRMENT, 0);
    say(&mut stage, &mut bob, "one");
    assert_eq!(bob.news(&mut stage), ["2: one"]);
    stage.pass(100, 1);
    say(&mut stage, &mut bob, "two");
    assert_eq!(bob.news(&mut stage), ["2: two"]);
    stage.pass(99, 1);
    assert_eq!(ada.news(&mut stage), [""; 0]);
    stage.pass(1, 1);
    assert_eq!(ada.news(&mut stage), ["2: one"]);
    stage.pass(100, 1);
    assert_eq!(ada.news(&mut stage), ["2: two"]);
    // What she says is not late, nor is what she gets once she has asked for no more of it; what waits comes at once.
    say(&mut stage, &mut ada, "three");
    assert_eq!(bob.news(&mut stage), ["1: three"]);
    impair(&mut stage, &mut ada, Impairment::default());
    say(&mut stage, &mut bob, "four");
    assert_eq!(ada.news(&mut stage), ["1: three", "2: four"]);
}

#[test]
fn jitter_keeps_the_order_and_the_seed_decides_it() {
    let arrivals = || {
        let mut stage = stage();
        let jitter = Impairment {
            delay: 20,
            jitter: 300,
            ..Impairment::default()
        };
        let (mut ada, mut bob) = pair(&mut stage, jitter);
        let (mut heard, mut at) = (Vec::new(), Vec::new());
        for turn in 0..100 {
            if turn < 50 {
                say(&mut stage, &mut bob, &turn.to_string());
            }
            stage.pass(10, 1);
            let news = ada.news(&mut stage);
            at.push(news.len());
            heard.extend(news);
        }
        let expected: Vec<String> = (0..50).map(|turn| format!("2: {turn}")).collect();
        assert_eq!(heard, expected);
        at
    };
    let at = arrivals();
    assert!(
        at.iter().any(|&count| count > 1),
        "some wait for others: {at:?}"
    );
    assert_eq!(at, arrivals());
}

#[test]
fn a_slow_line_is_a_slow_reader_who_is_reset_and_never_held_without_bound() {
    let mut stage = stage();
    let slow = Impairment {
        rate: 2_000,
        ..Impairment::default()
    };
    let (mut ada, mut bob) = pair(&mut stage, slow);
    let text = "x".repeat(1_000);
    for _ in 0..10 {
        say(&mut stage, &mut bob, &text);
    }
    // Ten kilobytes take five seconds.
    stage.pass(4_500, 10);
    let heard = ada.news(&mut stage).len();
    assert!(heard < 10, "{heard}");
    stage.pass(700, 10);
    assert_eq!(ada.news(&mut stage).len() + heard, 10);
    // And half of what the room says in a second is too much for long.
    let slow = Impairment {
        rate: 20_000,
        ..Impairment::default()
    };
    impair(&mut stage, &mut ada, slow);
    let mut news = Vec::new();
    for _ in 0..60 {
        for _ in 0..10 {
            say(&mut stage, &mut bob, &text);
        }
        stage.pass(250, 10);
        ada.client.wake(stage.now * 1_000);
        bob.client.wake(stage.now * 1_000);
        bob.news(&mut stage);
        news.extend(ada.news(&mut stage));
        let slot = stage.slot(ada.wire);
        let held = slot.map_or(0, |slot| stage.shard.held(slot).0);
        assert!(held <= IMPAIRED_BYTES + 96 * 1024, "{held}");
    }
    assert!(news.contains(&"reset 1".to_owned()), "{news:?}");
    assert!(stage.wires[bob.wire].closed.is_none());
}

#[test]
fn a_delay_holds_so_much_and_then_takes_nothing() {
    let mut stage = stage();
    let delay = Impairment {
        delay: 10_000,
        ..Impairment::default()
    };
    let (ada, mut bob) = pair(&mut stage, delay);
    let slot = stage.slot(ada.wire).expect("she is there");
    let text = "x".repeat(10_000);
    let mut largest = 0;
    for _ in 0..60 {
        say(&mut stage, &mut bob, &text);
        bob.client.wake(stage.now * 1_000);
        bob.news(&mut stage);
        stage.pass(100, 10);
        largest = largest.max(stage.shard.held(slot).0);
    }
    let least = IMPAIRED_BYTES;
    assert!((least..least + 64 * 1024).contains(&largest), "{largest}");
}

#[test]
fn a_cut_has_no_close_frame_and_the_player_goes_on_elsewhere() {
    let mut stage = stage();
    let cut = Impairment {
        delay: 50,
        cut: 1_000,
        ..Impairment::default()
    };
    let (mut ada, mut bob) = pair(&mut stage, cut);
    stage.pass(999, 1);
    assert!(stage.wires[ada.wire].why.is_none());
    say(&mut stage, &mut bob, "lost at first");
    stage.pass(1, 1);
    assert_eq!(stage.wires[ada.wire].why, Some(EndReason::Cut.into()));
    ada.hear(&mut stage);
    assert!(stage.wires[ada.wire].closed.is_none());
    let expected = ["2: lost at first", "away 1"];
    assert_eq!(bob.news(&mut stage), expected);
    ada.lose(&mut stage);
    ada.reopen(&mut stage);
    // And over that connection the network is good.
    assert_eq!(ada.news(&mut stage), ["resumed", "2: lost at first"]);
    assert_eq!(bob.news(&mut stage), ["back 1"]);
}

#[test]
fn what_is_held_back_leaves_before_the_end() {
    let mut stage = stage();
    let delay = Impairment {
        delay: 300,
        ..Impairment::default()
    };
    let (mut ada, mut bob) = pair(&mut stage, delay);
    say(&mut stage, &mut bob, "bye");
    ada.client.leave();
    ada.write(&mut stage);
    stage.settle();
    stage.pass(299, 1);
    assert_eq!(ada.news(&mut stage), [""; 0]);
    stage.pass(1, 1);
    assert_eq!(ada.news(&mut stage), ["2: bye"]);
    let closed = stage.wires[ada.wire].closed.clone().expect("a close frame");
    assert_eq!(closed.0, 1000);
    stage.close(ada.wire, CloseCode::NORMAL);
    stage.finish(ada.wire);
    // A delay beyond the time for closing loses the close frame, and nothing else is left of it.
    impair(
        &mut stage,
        &mut bob,
        Impairment {
            delay: 10_000,
            ..Impairment::default()
        },
    );
    bob.client.leave();
    bob.write(&mut stage);
    stage.pass(2_100, 10);
    stage.assert_empty();
}

#[test]
fn the_answer_to_a_close_frame_is_held_back_too() {
    let mut stage = stage();
    let delay = Impairment {
        delay: 300,
        ..Impairment::default()
    };
    let (mut ada, mut bob) = pair(&mut stage, delay);
    say(&mut stage, &mut bob, "bye");
    stage.close(ada.wire, CloseCode::NORMAL);
    stage.pass(299, 1);
    assert_eq!(ada.news(&mut stage), [""; 0]);
    assert!(stage.wires[ada.wire].closed.is_none());
    stage.pass(1, 1);
    assert_eq!(ada.news(&mut stage), ["2: bye"]);
    let closed = stage.wires[ada.wire].closed.clone();
    assert_eq!(closed.expect("an answer").0, 1000);
}

#[test]
fn so_many_and_no_more() {
    let mut stage = stage();
    let delay = Impairment {
        delay: 10,
        ..Impairment::default()
    };
    for number in 0..IMPAIRED_MAX {
        let mut actor = Actor::join(&mut stage, &format!("room{}", number / 100), "Ada");
        impair(&mut stage, &mut actor, delay);
    }
    let mut late = Actor::join(&mut stage, "late", "Bob");
    late.news(&mut stage);
    impair(&mut stage, &mut late, delay);
    assert_eq!(late.news(&mut stage), ["refused 0 4"]);
}
