//! Tickets: what a flood of them costs those who play.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use roomcast::limits::{Limits, Quota};
use roomcast::shard::{Bearer, Common, Pass, Tickets};
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::upgrade::Refusal;

use crate::net::WireId;
use crate::stage::{Stage, frame, text};

/// Counts how many tickets it was shown, and takes those of bearer 1 back.
#[derive(Debug, Default)]
struct Judge {
    judged: AtomicUsize,
    /// How often they were taken back.
    taken_back: AtomicU64,
}

impl Tickets for Judge {
    fn judge(&self, ticket: &str, _: Option<&str>) -> Result<Pass, Refusal> {
        self.judged.fetch_add(1, Ordering::Relaxed);
        let quota = |messages| Quota {
            messages: NonZeroU32::new(messages),
            bytes: NonZeroU32::new(1_000),
        };
        let pass = Pass::default();
        Ok(match ticket {
            "good" => pass,
            "spectator" => Pass {
                spectates: true,
                ..pass
            },
            "guest" => Pass {
                stay_ms: Some(60_000),
                ..pass
            },
            "slow" => Pass {
                quota: quota(10),
                ..pass
            },
            "one" | "two" => Pass {
                bearer: Some(Bearer {
                    sub: u64::from(ticket == "one"),
                    id: None,
                }),
                ..pass
            },
            _ => return Err(Refusal::BadTicket),
        })
    }

    fn edition(&self) -> u64 {
        self.taken_back.load(Ordering::Relaxed)
    }

    fn is_revoked(&self, bearer: Bearer) -> bool {
        bearer.sub == 1 && self.edition() > 0
    }
}

fn judged(limits: Limits) -> (Stage, Arc<Judge>) {
    let judge = Arc::<Judge>::default();
    let common = Common::new(limits, 1).with_tickets(Arc::<Judge>::clone(&judge));
    (Stage::of(common), judge)
}

/// Two witnesses, and so many forgers whose heads arrive together.
fn flooded(stage: &mut Stage, forgers: usize) -> ([WireId; 2], Vec<WireId>) {
    let witnesses = [0, 1].map(|_| stage.join("/rooms/a?ticket=good"));
    let forgers: Vec<WireId> = (0..forgers).map(|_| stage.connect()).collect();
    let request = stage.request("/rooms/a?ticket=forged");
    for &forger in &forgers {
        stage.arrive(forger, &request);
    }
    (witnesses, forgers)
}

#[test]
fn a_flood_of_forged_tickets_is_judged_in_portions() {
    let limits = Limits {
        tls_handshakes: 4,
        ..Limits::default()
    };
    let (mut stage, judge) = judged(limits);
    let (witnesses, forgers) = flooded(&mut stage, 64);
    let before = judge.judged.load(Ordering::Relaxed);
    stage.arrive(witnesses[0], &text("first"));
    stage.turn();
    let judged = judge.judged.load(Ordering::Relaxed) - before;
    assert!(judged <= 4, "{judged} signatures before a message");
    assert_eq!(stage.heard(witnesses[1]), "text first");
    stage.settle();
    for forger in forgers {
        assert_eq!(stage.heard(forger), "401, end");
    }
    stage.close();
}

/// Heads that come to pieces, the last of them too late, are no way around that.
#[test]
fn late_heads_are_judged_for_as_long_as_handshakes_go_on() {
    let (mut stage, judge) = judged(Limits::default());
    let forgers: Vec<WireId> = (0..64).map(|_| stage.connect()).collect();
    let request = stage.request("/rooms/a?ticket=forged");
    for &forger in &forgers {
        stage.arrive(forger, &request[..9]);
    }
    stage.pass(u64::from(Limits::default().handshake_ms) - 1);
    // The process stands still when the rest comes.
    stage.net().weather.call_us = 500;
    for &forger in &forgers {
        stage.net().wires[forger].send(&request[9..]);
        stage.net().wires[forger].deliver(usize::MAX);
    }
    let before = judge.judged.load(Ordering::Relaxed);
    stage.now += 60;
    stage.turn();
    let judged = judge.judged.load(Ordering::Relaxed) - before;
    assert!(judged <= 2 * 4, "{judged} signatures in one iteration");
    stage.settle();
    stage.close();
}

#[test]
fn a_spectator_receives_and_ends_when_it_speaks() {
    let (mut stage, _) = judged(Limits::default());
    let player = stage.join("/rooms/a?ticket=good");
    let spectator = stage.join("/rooms/a?ticket=spectator");
    stage.send(player, &text("hello"));
    assert_eq!(stage.heard(spectator), "text hello");
    stage.send(spectator, &frame(Opcode::Ping, b"x"));
    assert_eq!(stage.heard(spectator), "pong x");
    stage.send(spectator, &text("me too"));
    assert_eq!(stage.heard(spectator), "close 1008");
    assert_eq!(stage.heard(player), "", "nobody heard it");
    assert_eq!(stage.ends(), "spectator_spoke");
    stage.close();
}

/// The first decides what is spoken in a room: that is for who plays.
#[test]
fn a_spectator_makes_no_room_and_is_matched_with_nobody() {
    let (mut stage, _) = judged(Limits::default());
    let spectator = stage.connect();
    let request = stage.request("/rooms/a?ticket=spectator");
    stage.send(spectator, &request);
    assert_eq!(stage.heard(spectator), "101, close 1013");
    let asks = stage.connect();
    stage.send(
        asks,
        b"GET /match?tag=duel&max=2&ticket=spectator HTTP/1.0\r\n\r\n",
    );
    assert!(stage.heard(asks).starts_with("401"));
    stage.hang_up(spectator);
    assert_eq!(stage.ends(), "refused, nobody_plays");
    stage.join("/rooms/a?ticket=good");
    stage.join("/rooms/a?ticket=spectator");
    stage.close();
}

#[test]
fn a_stay_ends_when_its_ticket_says_so() {
    let (mut stage, _) = judged(Limits::default());
    let other = stage.join("/rooms/a?ticket=good");
    let guest = stage.join("/rooms/a?ticket=guest");
    for _ in 0..5 {
        stage.pass(10_000);
        for player in [other, guest] {
            stage.send(player, &text("still here"));
        }
    }
    stage.pass(9_000);
    assert!(stage.is_seated(guest));
    stage.pass(2_000);
    assert!(stage.heard(guest).ends_with("close 1008"));
    assert_eq!(stage.ends(), "stay_over");
    assert!(stage.is_seated(other));
    stage.close();
}

/// Ten a second: twenty at once, and as many are lent.
#[test]
fn who_sends_more_than_it_may_is_read_later_and_then_closed() {
    let (mut stage, _) = judged(Limits::default());
    let other = stage.join("/rooms/a?ticket=good");
    let slow = stage.join("/rooms/a?ticket=slow");
    let burst = |messages: usize| text("x").repeat(messages);
    stage.send(slow, &burst(30));
    assert_eq!(stage.heard(other), ["text x"; 30].join(", "));
    // It owes ten, which is a second.
    stage.send(slow, &text("later"));
    stage.pass(900);
    assert_eq!(stage.heard(other), "");
    stage.pass(300);
    assert_eq!(stage.heard(other), "text later");
    assert!(stage.is_seated(slow));
    let delayed = stage.reactors[0].shard().counters().delayed;
    assert!(delayed >= 1, "it is counted");
    stage.pass(10_000);
    stage.send(slow, &burst(41));
    assert_eq!(stage.ends(), "over_quota");
    stage.close();
}

#[test]
fn what_everybody_may_send_is_bounded_without_tickets_too() {
    let limits = Limits {
        quota: Quota {
            messages: NonZeroU32::new(10),
            bytes: None,
        },
        ..Limits::default()
    };
    let mut stage = Stage::new(limits);
    let flooder = stage.join("/rooms/a");
    stage.send(flooder, &text("x").repeat(41));
    assert_eq!(stage.heard(flooder), "close 1008");
    assert_eq!(stage.ends(), "over_quota");
    stage.close();
}

#[test]
fn who_is_seated_with_a_ticket_that_is_taken_back_ends_within_a_second() {
    let judge = Arc::<Judge>::default();
    let common = Common::new(Limits::default(), 2).with_tickets(Arc::<Judge>::clone(&judge));
    let mut stage = Stage::of(common);
    let rooms = (0..6).map(|room| format!("/rooms/{room}"));
    let seats: Vec<(WireId, WireId)> = rooms
        .map(|room| {
            let [one, two] =
                ["one", "two"].map(|ticket| stage.join(&format!("{room}?ticket={ticket}")));
            (one, two)
        })
        .collect();
    judge.taken_back.fetch_add(1, Ordering::Relaxed);
    stage.pass(1_000);
    for (one, two) in seats {
        assert_eq!(stage.heard(one), "close 1008");
        assert!(stage.is_seated(two));
    }
    assert_eq!(stage.ends(), "6 revoked");
    stage.close();
}

/// A connection that was let in before, and is on its way to its room's home meanwhile.
#[test]
fn a_ticket_that_is_taken_back_during_a_hand_off_seats_nobody() {
    let judge = Arc::<Judge>::default();
    let common = Common::new(Limits::default(), 2).with_tickets(Arc::<Judge>::clone(&judge));
    let mut stage = Stage::of(common);
    let away = |room: &String| stage.common.home(room) == 1;
    let room = (0..).map(|room| room.to_string()).find(away).expect("one");
    let wire = stage.connect();
    let request = stage.request(&format!("/rooms/{room}?ticket=one"));
    stage.arrive(wire, &request);
    stage.now += 1;
    while stage.reactors[0].shard().connections() > 0 {
        stage.turn();
    }
    judge.taken_back.fetch_add(1, Ordering::Relaxed);
    stage.settle();
    assert_eq!(stage.heard(wire), "101, close 1008");
    stage.close();
}
