//! Tickets: what a flood of them costs those who play.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roomcast::limits::Limits;
use roomcast::shard::{Common, Tickets};
use roomcast_protocol::upgrade::Refusal;

use crate::net::WireId;
use crate::stage::{Stage, text};

/// Counts how many tickets it was shown. `good` is one.
#[derive(Debug, Default)]
struct Judge(AtomicUsize);

impl Tickets for Judge {
    fn judge(&self, ticket: &str, _: Option<&str>) -> Result<(), Refusal> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if ticket == "good" {
            Ok(())
        } else {
            Err(Refusal::BadTicket)
        }
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
    let before = judge.0.load(Ordering::Relaxed);
    stage.arrive(witnesses[0], &text("first"));
    stage.turn();
    let judged = judge.0.load(Ordering::Relaxed) - before;
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
    let before = judge.0.load(Ordering::Relaxed);
    stage.now += 60;
    stage.turn();
    let judged = judge.0.load(Ordering::Relaxed) - before;
    assert!(judged <= 2 * 4, "{judged} signatures in one iteration");
    stage.settle();
    stage.close();
}
