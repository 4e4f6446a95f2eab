//! `roomcast.v1` with the relay itself: players join, hear each other's events, and all of it is judged.
//!
//! No test depends on how fast anything is: only counts are judged.

mod real;
mod sessions;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use real::Relay;
use roomcast_loadgen::engine::{self, EngineError, Silent};
use roomcast_loadgen::outcome::{Counts, Outcome};
use roomcast_loadgen::play::{Groups, Play};
use roomcast_loadgen::scenario::{Carrier, Dialect, MessageKind, Scenario};
use roomcast_loadgen::target::Target;
use sessions::Fault;

/// 24 players in rooms of 5 (the last has 4), each says something 20 times.
fn scenario(relay: &Relay) -> Scenario {
    scenario_at(relay.address)
}

fn scenario_at(address: SocketAddr) -> Scenario {
    let target = Target::parse(&format!("ws://{address}")).expect("valid");
    Scenario {
        dialect: Dialect::V1,
        clients: 24,
        room_size: 5,
        senders_per_room: 5,
        rate_hz: 50.0,
        connect_rate: 10_000.0,
        settle: Duration::ZERO,
        warmup: Duration::ZERO,
        duration: Duration::from_millis(400),
        drain: Duration::from_secs(30),
        interval: Duration::from_millis(100),
        threads: 2,
        ..Scenario::new(target, 7)
    }
}

const MESSAGES: u64 = 24 * 20;
const DELIVERIES: u64 = 20 * (4 * 5 * 4 + 4 * 3);

fn run(scenario: &Scenario) -> Outcome {
    engine::run(scenario, &Silent, &AtomicBool::new(false)).expect("a relay listens")
}

/// Everything was said, and heard once by everybody it was for.
fn assert_whole(outcome: &Outcome) {
    let expected = Counts {
        offered: MESSAGES,
        sent: MESSAGES,
        expected: DELIVERIES,
        delivered: DELIVERIES,
        // How much of it came in time depends on the machine.
        sent_in_time: outcome.healthy.sent_in_time,
        delivered_in_time: outcome.healthy.delivered_in_time,
        blocked: outcome.healthy.blocked,
        ..Counts::default()
    };
    assert_eq!(outcome.healthy, expected);
    let connections = &outcome.connections;
    assert_eq!(connections.joined, 24);
    assert_eq!(connections.disconnected, 0, "{connections:?}");
    assert_eq!(connections.close_failed, 0);
    assert!(connections.violations.is_empty(), "{connections:?}");
}

#[test]
fn every_event_is_heard_by_all_others() {
    let relay = Relay::start(&[]);
    for kind in [MessageKind::Binary, MessageKind::Text] {
        for size in [64, 200, 20_000] {
            let outcome = run(&Scenario {
                kind,
                size,
                ..scenario(&relay)
            });
            assert_whole(&outcome);
            assert_eq!(outcome.latency.len(), DELIVERIES);
            assert_eq!((outcome.join.len(), outcome.connect.len()), (24, 24));
        }
    }
}

/// Without a WebSocket, whichever way is taken: nothing is checked less.
#[test]
fn whoever_is_carried_by_requests_hears_all_of_it_too() {
    let relay = Relay::start(&[]);
    for dialect in [Dialect::Raw, Dialect::V1] {
        for carrier in [Carrier::Poll, Carrier::Stream, Carrier::Events] {
            for (kind, size) in [(MessageKind::Binary, 64), (MessageKind::Text, 2_000)] {
                let outcome = run(&Scenario {
                    dialect,
                    carrier,
                    kind,
                    size,
                    ..scenario(&relay)
                });
                assert_whole(&outcome);
                assert_eq!(outcome.scenario.target, scenario(&relay).target);
            }
        }
    }
}

/// Each says something 4 times, and sets three keys in turn, 24 times in all.
fn mixed(relay: &Relay) -> Scenario {
    Scenario {
        rate_hz: 10.0,
        play: Play {
            states_hz: 60.0,
            keys: 3,
            ..Play::default()
        },
        ..scenario(relay)
    }
}

/// Nothing is wrong with these.
fn assert_right(counts: &Counts) {
    let wrong = [
        counts.lost,
        counts.duplicates,
        counts.reordered,
        counts.corrupted,
        counts.leaked,
        counts.own_echoed,
    ];
    assert_eq!(wrong, [0; 6], "{counts:?}");
}

/// Nor is anything, and whatever did not come a newer value took the place of.
fn assert_explained(counts: &Counts) {
    assert_right(counts);
    assert_eq!(counts.delivered + counts.superseded, counts.expected);
}

#[test]
fn of_each_key_everybody_has_the_newest() {
    let relay = Relay::start(&[]);
    for kind in [MessageKind::Binary, MessageKind::Text] {
        let outcome = run(&Scenario {
            kind,
            ..mixed(&relay)
        });
        let counts = &outcome.healthy;
        assert_explained(counts);
        assert_eq!((counts.offered, counts.sent), (24 * 28, 24 * 28));
        assert_eq!(counts.expected, 28 * (4 * 5 * 4 + 4 * 3));
        assert_eq!(outcome.latency.len(), counts.delivered);
        assert!(outcome.state_age.len() > 100);
    }
    // States alone, as many as there are ticks in each period.
    let outcome = run(&Scenario {
        rate_hz: 0.0,
        ..mixed(&relay)
    });
    assert_explained(&outcome.healthy);
    assert_eq!(outcome.healthy.offered, 24 * 24);
}

#[test]
fn what_a_tick_gathers_is_explained() {
    let relay = Relay::start(&[]);
    // Three of each key in a tick's length: most have no time to leave.
    let outcome = run(&Scenario {
        play: Play {
            states_hz: 180.0,
            keys: 3,
            tick_hz: 20,
            ..Play::default()
        },
        duration: Duration::from_secs(2),
        ..mixed(&relay)
    });
    let counts = &outcome.healthy;
    assert_explained(counts);
    assert!(counts.sent > 24 * 3 * 30, "{counts:?}");
    assert!(
        outcome.is_valid() || counts.sent == counts.offered,
        "{:?}",
        outcome.validity
    );
}

#[test]
fn a_successor_has_snapshot_and_tail() {
    let relay = Relay::start(&[]);
    let outcome = run(&Scenario {
        play: Play {
            host_kills: 50.0,
            ..Play::default()
        },
        settle: Duration::from_millis(300),
        duration: Duration::from_secs(2),
        ..scenario(&relay)
    });
    assert_explained(&outcome.healthy);
    let connections = &outcome.connections;
    assert!(connections.host_kills > 20, "{connections:?}");
    assert_eq!(outcome.host_change.len(), connections.host_kills);
    assert_eq!(connections.drops, connections.host_kills);
    assert_eq!(connections.resumes, connections.drops);
    assert!(connections.violations.is_empty(), "{connections:?}");
}

#[test]
fn a_group_hears_itself_and_nobody_else_does() {
    let relay = Relay::start(&[]);
    for (groups, hearers) in [(Groups::Disjoint(4), 3), (Groups::Grid, 27)] {
        let outcome = run(&Scenario {
            // On the least grid everybody sees all.
            clients: 28,
            room_size: 28,
            senders_per_room: 28,
            play: Play {
                states_hz: 60.0,
                keys: 3,
                groups,
                ..Play::default()
            },
            settle: Duration::from_millis(500),
            ..mixed(&relay)
        });
        let counts = &outcome.healthy;
        assert_explained(counts);
        assert_eq!(counts.expected, 28 * 28 * hearers, "{groups}");
    }
}

#[test]
fn values_survive_that_connections_are_lost() {
    let relay = Relay::start(&[]);
    let outcome = run(&Scenario {
        drops: 60.0,
        duration: Duration::from_secs(1),
        ..mixed(&relay)
    });
    let counts = &outcome.healthy;
    assert_explained(counts);
    assert!(outcome.connections.drops > 10, "{:?}", outcome.connections);
    assert_eq!(outcome.connections.resumes, outcome.connections.drops);
    // While nobody is there who sets them, newer ones take the place of values.
    assert!(counts.sent < counts.offered && counts.delivered > 0);
}

#[test]
fn players_who_come_and_go_disturb_nobody() {
    let relay = Relay::start(&[]);
    let outcome = run(&Scenario {
        churn: 20.0,
        duration: Duration::from_secs(1),
        ..scenario(&relay)
    });
    let (healthy, connections) = (&outcome.healthy, &outcome.connections);
    assert!(connections.leaves > 0 && connections.rejoins > 0);
    assert_eq!(connections.rejoins_failed, 0);
    assert_eq!(healthy.lost, 0);
    assert!(healthy.delivered > 0 && healthy.delivered == healthy.expected);
    assert_eq!(outcome.misbehaving.lost, 0);
    for counts in [healthy, &outcome.misbehaving] {
        let wrong = [
            counts.duplicates,
            counts.reordered,
            counts.corrupted,
            counts.leaked,
            counts.own_echoed,
        ];
        assert_eq!(wrong, [0; 5]);
    }
    assert_eq!(connections.disconnected, 0);
}

#[test]
fn the_budget_of_packets_is_kept_to() {
    // Half of what is offered may be said: that is no rate that was measured, but nobody is closed for it.
    let relay = Relay::start(&["--packets-per-second", "25"]);
    let outcome = run(&Scenario {
        duration: Duration::from_secs(4),
        drain: Duration::from_secs(1),
        ..scenario(&relay)
    });
    assert_eq!(outcome.connections.disconnected, 0);
    assert!(!outcome.is_valid(), "{:?}", outcome.healthy);
    assert!(outcome.healthy.sent < outcome.healthy.offered);
}

#[test]
fn a_relay_that_closes_the_door_says_why() {
    let relay = Relay::start(&["--max-room-members", "2"]);
    let outcome = run(&Scenario {
        clients: 3,
        room_size: 3,
        senders_per_room: 3,
        ..scenario(&relay)
    });
    let failed: Vec<_> = outcome.connections.failed.iter().collect();
    let [(reason, 1)] = failed[..] else {
        panic!("{failed:?}");
    };
    assert!(reason.contains("close code 4000"), "{reason}");
    assert_eq!(outcome.connections.refused, 1);
}

#[test]
fn who_does_not_speak_it_is_not_mistaken_for_a_player() {
    let relay = Relay::start(&[]);
    let mut scenario = scenario(&relay);
    let target = Target::parse(&format!("ws://{}/echo", relay.address));
    scenario.target = target.expect("valid");
    let error = engine::run(&scenario, &Silent, &AtomicBool::new(false));
    assert!(
        matches!(error, Err(EngineError::FirstClient { .. })),
        "{error:?}"
    );
}

/// 24 players who lose their connection twice a second and more.
fn dropping(address: SocketAddr) -> Scenario {
    Scenario {
        drops: 60.0,
        rate_hz: 20.0,
        duration: Duration::from_secs(1),
        ..scenario_at(address)
    }
}

#[test]
fn nothing_is_missing_or_comes_twice_when_connections_are_lost() {
    let relay = Relay::start(&[]);
    for kind in [MessageKind::Binary, MessageKind::Text] {
        let outcome = run(&Scenario {
            kind,
            ..dropping(relay.address)
        });
        assert_whole(&outcome);
        let connections = &outcome.connections;
        assert!(connections.drops > 10, "{connections:?}");
        assert!(connections.resumes > 10, "{connections:?}");
        assert_eq!(connections.resumes, connections.drops);
        assert_eq!((connections.resets, connections.resumes_failed), (0, 0));
        assert_eq!(outcome.resume.len(), connections.resumes);
        // What waited for a connection says nothing about the relay's latency.
        let apart = outcome.latency_misbehaving.len();
        assert!(apart > 0);
        assert_eq!(outcome.latency.len() + apart, DELIVERIES);
    }
}

#[test]
fn slow_players_are_told_what_they_miss() {
    let relay = Relay::start(&["--congested-timeout", "200ms", "--log-max", "64KiB"]);
    let outcome = run(&Scenario {
        slow_readers: 2,
        stalling_readers: 2,
        stall: Duration::from_millis(700),
        size: 8_000,
        duration: Duration::from_secs(4),
        ..scenario(&relay)
    });
    let (slow, healthy, connections) =
        (&outcome.misbehaving, &outcome.healthy, &outcome.connections);
    assert!(connections.disconnected_misbehaving > 0, "{connections:?}");
    assert!(connections.resets_misbehaving > 0, "{connections:?}");
    assert!(
        connections.close_codes.contains_key(&4002),
        "{connections:?}"
    );
    assert!(slow.delivered > 0 && healthy.delivered > 0);
    assert_right(slow);
    assert_right(healthy);
    assert_eq!((connections.disconnected, connections.resets), (0, 0));
    assert!(connections.violations.is_empty(), "{connections:?}");
}

#[test]
fn what_goes_wrong_when_players_come_back_is_found() {
    for fault in [
        Fault::None,
        Fault::Lose,
        Fault::Double,
        Fault::Unapply,
        Fault::Reset,
    ] {
        let relay = sessions::Relay::start(fault);
        let outcome = run(&Scenario {
            drain: Duration::from_secs(3),
            ..dropping(relay.address)
        });
        let (faults, counts) = (relay.faults(), &outcome.healthy);
        assert_eq!(faults > 0, fault != Fault::None);
        let connections = &outcome.connections;
        assert!(connections.drops > 10 && connections.disconnected == 0);
        let duplicates = match fault {
            Fault::None | Fault::Lose | Fault::Reset => 0,
            Fault::Double => faults,
            // All the others in the room get it.
            Fault::Unapply => counts.duplicates.clamp(3 * faults, 4 * faults),
        };
        let lost = if fault == Fault::Lose { faults } else { 0 };
        assert_eq!(
            (counts.lost, counts.duplicates),
            (lost, duplicates),
            "{fault:?}"
        );
        assert_eq!(counts.delivered + counts.lost, counts.expected);
        if fault == Fault::Reset {
            assert_eq!((connections.resets, connections.resumes), (faults, 0));
            assert!(counts.expected < DELIVERIES);
        } else {
            assert_eq!(connections.resets, 0);
            assert_eq!(counts.expected, DELIVERIES);
        }
        let wrong = [counts.reordered, counts.corrupted, counts.leaked];
        assert_eq!(wrong, [0; 3], "{fault:?}");
    }
}
