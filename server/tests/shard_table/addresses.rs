//! Addresses: what one of them may have, and that nobody else notices.

use std::sync::Arc;

use roomcast::limits::{Limits, PerSource};
use roomcast::shard::{Bearer, Common, Pass, Tickets};
use roomcast_protocol::upgrade::Refusal;

use crate::net::WireId;
use crate::stage::Stage;

const ONE: &str = "203.0.113.1";
const OTHER: &str = "2001:db8::1";

fn limits() -> Limits {
    Limits {
        per_source: PerSource {
            connections: 3,
            unseated: 32,
            joins_per_second: 10,
            rooms: 2,
            loopback_too: false,
        },
        ..Limits::default()
    }
}

/// Asks for a seat from this address, and says what came of it.
fn ask(stage: &mut Stage, from: &str, path: &str) -> (WireId, String) {
    stage.caller = from.parse().ok();
    let wire = stage.connect();
    let request = stage.request(path);
    stage.send(wire, &request);
    let heard = stage.heard(wire);
    (wire, heard)
}

/// Rooms at home on either reactor.
fn rooms() -> impl Iterator<Item = String> {
    (0..8).map(|room| format!("/rooms/{room}"))
}

#[test]
fn who_has_its_share_is_told_429_wherever_its_rooms_are_at_home() {
    let mut stage = Stage::with_reactors(limits(), 2);
    for _ in 0..2 {
        let asked: Vec<(WireId, String)> =
            rooms().map(|room| ask(&mut stage, ONE, &room)).collect();
        let seated = asked.iter().filter(|(_, heard)| heard == "101").count();
        assert_eq!(seated, 3, "{asked:?}");
        assert!(asked[3..].iter().all(|(_, heard)| heard == "429, end"));
        assert_eq!(ask(&mut stage, OTHER, "/rooms/0").1, "101");
        assert_eq!(ask(&mut stage, "127.0.0.1", "/rooms/0").1, "101");
        // As many may come again as have gone.
        for (wire, _) in asked {
            stage.hang_up(wire);
        }
        stage.pass(10_000);
    }
    let ends = stage.ends();
    assert!(ends.contains("10 address_connections"), "{ends}");
    stage.close();
}

#[test]
fn who_shakes_hands_too_often_is_not_heard_any_more() {
    let mut limits = limits();
    limits.per_source.unseated = 2;
    let mut stage = Stage::new(limits);
    stage.caller = ONE.parse().ok();
    let slow = [0, 1].map(|_| stage.connect());
    let late = stage.connect();
    assert!(!stage.is_there(late), "closed as it came");
    assert_eq!(stage.reactors[0].shard().counters().thronged, 1);
    stage.caller = OTHER.parse().ok();
    assert!(stage.join("/rooms/a") != late);
    // It is over when they are.
    stage.pass(u64::from(Limits::default().handshake_ms) + 10_000);
    assert!(!stage.is_there(slow[0]) && !stage.is_there(slow[1]));
    assert_eq!(ask(&mut stage, ONE, "/rooms/a").1, "101");
}

/// Who finds no room even for an answer is counted, and so is who is dealt to a reactor that takes no more.
#[test]
fn who_is_closed_as_it_comes_is_counted() {
    let mut stage = Stage::of(Common::new(limits(), 1).with_connections_max(2));
    let here = [0, 1].map(|_| stage.connect());
    let late = stage.connect();
    assert!(!stage.is_there(late));
    assert_eq!(stage.reactors[0].shard().counters().crowded, 1);
    for wire in here {
        stage.hang_up(wire);
    }
    let mut stage = Stage::dealing(Common::new(limits(), 2));
    stage.net().weather.mailbox = 0;
    let wires = [0, 1].map(|_| stage.connect());
    assert_eq!(wires.map(|wire| stage.is_there(wire)), [false, true]);
    let counters = stage.reactors[0].shard().counters();
    assert_eq!((counters.undealt, counters.crowded), (1, 0));
}

#[test]
fn joins_of_one_address_are_so_many_a_second() {
    let mut stage = Stage::new(limits());
    let join = |stage: &mut Stage, from| {
        let (wire, heard) = ask(stage, from, "/rooms/a");
        stage.hang_up(wire);
        heard
    };
    for _ in 0..20 {
        assert_eq!(join(&mut stage, ONE), "101");
    }
    assert_eq!(join(&mut stage, ONE), "429, end");
    assert_eq!(join(&mut stage, OTHER), "101");
    stage.pass(100);
    assert_eq!(join(&mut stage, ONE), "101");
    assert_eq!(join(&mut stage, ONE), "429, end");
    assert!(stage.ends().contains("2 address_joins"));
    stage.close();
}

/// A seat that there was not after all is none: the room's home could not take it.
#[test]
fn a_failed_hand_off_takes_nothing_from_its_address() {
    let mut stage = Stage::with_reactors(limits(), 2);
    stage.net().weather.mailbox = 0;
    let elsewhere = (0..).map(|room| room.to_string());
    let elsewhere = elsewhere.filter(|room| stage.common.home(room) == 1);
    let elsewhere: Vec<String> = elsewhere
        .take(5)
        .map(|room| format!("/rooms/{room}"))
        .collect();
    for room in &elsewhere {
        assert_eq!(ask(&mut stage, ONE, room).1, "503, end");
    }
    stage.net().weather.mailbox = usize::MAX;
    let seated = elsewhere
        .iter()
        .filter(|room| ask(&mut stage, ONE, room).1 == "101");
    assert_eq!(seated.count(), 3);
    stage.close();
}

/// Rooms, with a ticket of this `sub`.
fn with(sub: &'static str) -> impl Iterator<Item = String> {
    rooms().map(move |room| format!("{room}?ticket={sub}"))
}

/// Whose ticket it is, the ticket says.
#[derive(Debug)]
struct Judge;

impl Tickets for Judge {
    fn judge(&self, ticket: &str, _: Option<&str>) -> Result<Pass, Refusal> {
        Ok(Pass {
            bearer: ticket.parse().ok().map(|sub| Bearer { sub, id: None }),
            ..Pass::default()
        })
    }

    fn edition(&self) -> u64 {
        0
    }

    fn is_revoked(&self, _: Bearer) -> bool {
        false
    }
}

#[test]
fn with_tickets_it_counts_whose_they_are() {
    let common = |reactors| Common::new(limits(), reactors).with_tickets(Arc::new(Judge));
    for reactors in [1, 2] {
        let mut stage = Stage::of(common(reactors));
        let from = ["127.0.0.1", ONE, OTHER].into_iter().cycle();
        let asked: Vec<(WireId, String)> = with("1")
            .zip(from)
            .map(|(path, from)| ask(&mut stage, from, &path))
            .collect();
        let seated = asked.iter().filter(|(_, heard)| heard == "101").count();
        assert_eq!(seated, 3, "{asked:?}");
        // An address may have others.
        let others = with("2").filter(|path| ask(&mut stage, ONE, path).1 == "101");
        assert_eq!(others.count(), 3);
        for (wire, _) in asked {
            stage.hang_up(wire);
        }
        stage.pass(10_000);
        // Also of those that come from this machine, a proxy's perhaps.
        for from in [OTHER, "127.0.0.1"] {
            let again = with("1").filter(|path| ask(&mut stage, from, path).1 == "101");
            assert_eq!(again.count(), if from == OTHER { 3 } else { 0 });
        }
        stage.close();
    }
}
