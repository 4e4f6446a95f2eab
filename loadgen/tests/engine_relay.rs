//! The engine against a relay that does everything right, and against one that does one thing
//! wrong with every so-many-th delivery: the engine must count exactly that.
//!
//! No test depends on how fast anything is: only counts are judged.

mod relay;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use relay::{Fault, Relay};
use roomcast_loadgen::engine::{self, EngineError, Progress, Silent, Snapshot, Stage};
use roomcast_loadgen::outcome::{Counts, InvalidReason, Outcome, Stopped};
use roomcast_loadgen::scenario::{MessageKind, Scenario, Schedule};
use roomcast_loadgen::target::Target;

/// 24 clients in rooms of 5 (the last has 4), each sends 20 messages.
fn scenario(address: std::net::SocketAddr) -> Scenario {
    let target = Target::parse(&format!("ws://{address}")).expect("valid");
    Scenario {
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

/// What adds up whatever happened.
fn assert_consistent(outcome: &Outcome) {
    for counts in [&outcome.healthy, &outcome.warmup, &outcome.misbehaving] {
        assert_eq!(counts.delivered + counts.lost, counts.expected);
        assert!(counts.sent + counts.unconnected <= counts.offered);
        assert!(counts.sent_in_time <= counts.sent);
        assert!(counts.delivered_in_time <= counts.delivered);
        assert_eq!(counts.superseded, 0);
    }
    let delivered = outcome.healthy.delivered;
    assert_eq!(outcome.latency.len(), delivered);
    assert_eq!(outcome.latency_uncorrected.len(), delivered);
    let (lags, healthy) = (outcome.send_lag.len(), &outcome.healthy);
    assert!((healthy.sent..=healthy.offered).contains(&lags), "{lags}");
    assert!(lags >= healthy.offered - healthy.unconnected, "{lags}");
    let max_lag = outcome.generator.max_lag.as_nanos() as u64;
    for own in [&outcome.send_lag, &outcome.receive_wait] {
        assert!(max_lag >= own.lowest_equivalent(own.max()), "{max_lag}");
    }
    let timeline = &outcome.timeline;
    assert_eq!(timeline.iter().map(|i| i.delivered).sum::<u64>(), delivered);
    assert_eq!(
        timeline.iter().map(|i| i.latency.len()).sum::<u64>(),
        delivered
    );
    assert_eq!(
        timeline.iter().map(|i| i.sent).sum::<u64>(),
        outcome.healthy.sent
    );
    assert_eq!(
        timeline.iter().map(|i| i.offered).sum::<u64>(),
        outcome.healthy.offered
    );
    assert_eq!(outcome.overflow, 0);
}

/// Everything as it should be but what `fault` says.
fn assert_only(outcome: &Outcome, wrong: Counts) {
    assert_consistent(outcome);
    let expected = Counts {
        offered: MESSAGES,
        sent: MESSAGES,
        // How much of it came in time depends on the machine.
        sent_in_time: outcome.healthy.sent_in_time,
        delivered_in_time: outcome.healthy.delivered_in_time,
        expected: DELIVERIES,
        delivered: DELIVERIES - wrong.lost,
        ..wrong
    };
    assert_eq!(outcome.healthy, expected);
    assert_eq!(outcome.warmup, Counts::default());
    assert_eq!(outcome.misbehaving, Counts::default());
    assert_eq!(outcome.connections.joined, 24);
    assert_eq!(outcome.connections.disconnected, 0);
    assert_eq!(outcome.connections.close_failed, 0);
}

#[test]
fn a_relay_that_does_everything_right() {
    let relay = Relay::start(Fault::None, 1);
    for schedule in [Schedule::Even, Schedule::Burst] {
        for kind in [MessageKind::Binary, MessageKind::Text] {
            for size in [64, 200, 70_000] {
                let outcome = run(&Scenario {
                    schedule,
                    kind,
                    size,
                    ..scenario(relay.address)
                });
                assert_only(&outcome, Counts::default());
                assert_eq!(outcome.connect.len(), 24);
                assert_eq!(outcome.join.len(), 24);
                assert_eq!(outcome.interrupted, None);
                assert!(outcome.bytes_in > 0 && outcome.bytes_out > 0);
                assert!(outcome.timeline.len() >= 4);
            }
        }
    }
}

#[test]
fn what_is_dropped_is_lost() {
    let relay = Relay::start(Fault::Drop, 7);
    let outcome = run(&Scenario {
        drain: Duration::from_secs(1),
        ..scenario(relay.address)
    });
    assert_eq!(relay.faults(), DELIVERIES / 7);
    let lost = relay.faults();
    assert_only(
        &outcome,
        Counts {
            lost,
            ..Counts::default()
        },
    );
    assert!(outcome.loss_ratio() > 0.14);
}

#[test]
fn what_is_doubled_is_a_duplicate() {
    let relay = Relay::start(Fault::Double, 7);
    let outcome = run(&scenario(relay.address));
    let duplicates = relay.faults();
    assert_eq!(duplicates, DELIVERIES / 7);
    assert_only(
        &outcome,
        Counts {
            duplicates,
            ..Counts::default()
        },
    );
}

#[test]
fn what_is_changed_is_corrupted_and_lost() {
    for kind in [MessageKind::Binary, MessageKind::Text] {
        let relay = Relay::start(Fault::Corrupt, 7);
        let scenario = Scenario {
            kind,
            drain: Duration::from_secs(1),
            ..scenario(relay.address)
        };
        let outcome = run(&scenario);
        match kind {
            MessageKind::Binary => {
                let corrupted = relay.faults();
                assert_eq!(corrupted, DELIVERIES / 7);
                let lost = corrupted;
                assert_only(
                    &outcome,
                    Counts {
                        corrupted,
                        lost,
                        ..Counts::default()
                    },
                );
            }
            MessageKind::Text => {
                // A top bit makes it invalid UTF-8: that ends the connection as well.
                assert_consistent(&outcome);
                assert!(outcome.healthy.corrupted > 0);
                assert!(outcome.healthy.lost >= outcome.healthy.corrupted);
                assert!(outcome.connections.disconnected > 0);
                assert_eq!(outcome.healthy.duplicates + outcome.healthy.reordered, 0);
            }
        }
    }
}

#[test]
fn what_comes_from_another_room_is_leaked() {
    let relay = Relay::start(Fault::Leak, 7);
    let outcome = run(&scenario(relay.address));
    let leaked = relay.faults();
    assert_eq!(leaked, DELIVERIES / 7);
    assert_only(
        &outcome,
        Counts {
            leaked,
            ..Counts::default()
        },
    );
}

#[test]
fn what_comes_back_is_an_echo() {
    let relay = Relay::start(Fault::Echo, 7);
    let outcome = run(&scenario(relay.address));
    let own_echoed = relay.faults();
    assert_eq!(own_echoed, DELIVERIES / 7);
    assert_only(
        &outcome,
        Counts {
            own_echoed,
            ..Counts::default()
        },
    );
}

#[test]
fn what_comes_after_the_next_is_reordered() {
    let relay = Relay::start(Fault::Swap, 7);
    let outcome = run(&Scenario {
        drain: Duration::from_secs(1),
        ..scenario(relay.address)
    });
    let (reordered, lost) = (relay.faults(), relay.held());
    assert!(reordered > 100);
    assert_only(
        &outcome,
        Counts {
            reordered,
            lost,
            ..Counts::default()
        },
    );
}

#[test]
fn who_is_kicked_is_disconnected() {
    let relay = Relay::start(Fault::Kick, 300);
    let outcome = run(&Scenario {
        drain: Duration::from_secs(1),
        ..scenario(relay.address)
    });
    assert_consistent(&outcome);
    let kicked = relay.faults();
    assert!(kicked > 0);
    assert_eq!(outcome.connections.disconnected, kicked);
    assert_eq!(outcome.connections.close_codes.get(&4001), Some(&kicked));
    assert!(outcome.healthy.lost > 0);
    // Who is gone offers, but does not send, and it is known why.
    let healthy = &outcome.healthy;
    assert_eq!(healthy.offered, MESSAGES);
    assert!(healthy.unconnected > 0);
    assert_eq!(healthy.sent + healthy.unconnected, MESSAGES);
    let Some(InvalidReason::ConnectionsEnded { ended, clients, .. }) = outcome.validity.first()
    else {
        panic!("{:?}", outcome.validity);
    };
    assert_eq!((*ended, *clients), (kicked, 24));
    let said = outcome.validity[0].to_string();
    assert!(said.contains("(4001 kicked)"), "{said}");
}

#[test]
fn a_server_that_dies_ends_the_run_and_is_named() {
    // In the measured time; and before it, where all that was sent was warm-up.
    for warmup in [Duration::ZERO, Duration::from_secs(3600)] {
        let relay = Relay::start(Fault::Die, 300);
        let outcome = run(&Scenario {
            // Only because nobody is left does it end at all.
            duration: Duration::from_secs(3600),
            drain: Duration::from_secs(3600),
            interval: Duration::from_secs(1),
            warmup,
            ..scenario(relay.address)
        });
        assert_consistent(&outcome);
        assert_eq!(relay.faults(), 24);
        assert_eq!(outcome.connections.disconnected, 24);
        assert!(outcome.endings.all && outcome.interrupted.is_none());
        let counts = if warmup.is_zero() {
            outcome.healthy
        } else {
            assert_eq!(outcome.healthy, Counts::default());
            outcome.warmup
        };
        // The rest of the message that it died of was written, and is lost.
        assert_eq!(counts.delivered, 299);
        assert!(counts.lost > 0);
        let reason = &outcome.validity[0];
        let said = reason.to_string();
        assert!(
            said.starts_with("the server ended 24 of 24 connections (1006 without a close frame)"),
            "{said}"
        );
        let generator =
            |reason: &InvalidReason| matches!(reason, InvalidReason::OfferedRateMissed { .. });
        assert!(
            !outcome.validity.iter().any(generator),
            "{:?}",
            outcome.validity
        );
    }
}

#[test]
fn who_does_not_read_still_learns_why_it_is_kicked() {
    let relay = Relay::start(Fault::Kick, 5);
    // All that is delivered goes to the slow reader.
    let outcome = run(&Scenario {
        clients: 2,
        room_size: 2,
        senders_per_room: 1,
        slow_readers: 1,
        ..scenario(relay.address)
    });
    assert_eq!(relay.faults(), 1);
    let connections = &outcome.connections;
    assert_eq!(connections.disconnected_misbehaving, 1);
    assert_eq!(connections.close_codes.get(&4001), Some(&1));
    assert_eq!(connections.disconnected + connections.close_failed, 0);
    assert_eq!(outcome.misbehaving.delivered, 4);
    assert_eq!(outcome.healthy.expected, 0);
    assert!(outcome.validity.contains(&InvalidReason::NothingMeasured));
}

#[cfg(target_os = "linux")]
#[test]
fn clients_connect_from_the_addresses_they_are_given() {
    let relay = Relay::start(Fault::None, 1);
    let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"];
    let outcome = run(&Scenario {
        source_addresses: addresses.iter().filter_map(|ip| ip.parse().ok()).collect(),
        ..scenario(relay.address)
    });
    assert_only(&outcome, Counts::default());
    let mut peers = relay.peers();
    peers.sort_unstable();
    let expected = addresses[..3]
        .iter()
        .flat_map(|ip| std::iter::repeat_n(*ip, 8));
    assert!(expected.eq(peers.iter().map(String::as_str)));
}

#[test]
fn no_source_address_fits() {
    let relay = Relay::start(Fault::None, 1);
    let scenario = Scenario {
        source_addresses: vec!["::1".parse().expect("valid")],
        ..scenario(relay.address)
    };
    let result = engine::run(&scenario, &Silent, &AtomicBool::new(false));
    assert!(matches!(result, Err(EngineError::Scenario(_))));
}

#[test]
fn what_is_not_websocket_ends_the_connection() {
    let relay = Relay::start(Fault::Garble, 500);
    let outcome = run(&Scenario {
        drain: Duration::from_secs(1),
        ..scenario(relay.address)
    });
    assert_consistent(&outcome);
    let garbled = relay.faults();
    assert!(garbled > 0);
    assert_eq!(outcome.connections.disconnected, garbled);
    assert_eq!(outcome.healthy.corrupted, 0);
    let broken: Vec<_> = outcome.connections.violations.iter().collect();
    let rule = "reserved bits are set and no extension was negotiated".to_owned();
    assert_eq!(broken, [(&rule, &garbled)]);
    assert!(outcome.connections.close_codes.is_empty());
}

#[test]
fn the_warm_up_is_counted_apart() {
    let relay = Relay::start(Fault::Double, 7);
    let outcome = run(&Scenario {
        warmup: Duration::from_millis(200),
        duration: Duration::from_millis(200),
        ..scenario(relay.address)
    });
    assert_consistent(&outcome);
    for counts in [outcome.warmup, outcome.healthy] {
        assert_eq!(counts.offered, MESSAGES / 2);
        assert_eq!(counts.sent, MESSAGES / 2);
        assert_eq!(counts.delivered, DELIVERIES / 2);
        assert_eq!(counts.lost, 0);
    }
    let duplicates = outcome.warmup.duplicates + outcome.healthy.duplicates;
    assert_eq!(duplicates, relay.faults());
}

#[test]
fn few_senders_and_a_rate_that_is_not_whole() {
    let relay = Relay::start(Fault::None, 1);
    let outcome = run(&Scenario {
        senders_per_room: 2,
        rate_hz: 33.3,
        schedule: Schedule::Burst,
        ..scenario(relay.address)
    });
    assert_consistent(&outcome);
    // Bursts at 0, 30.03 ... 390.39 ms.
    assert_eq!(outcome.healthy.offered, 14 * 10);
    assert_eq!(outcome.healthy.sent, 14 * 10);
    assert_eq!(outcome.healthy.delivered, 14 * (4 * 2 * 4 + 2 * 3));
}

#[test]
fn what_is_due_together_is_written_together() {
    let relay = Relay::start(Fault::None, 1);
    let outcome = run(&Scenario {
        clients: 2,
        room_size: 2,
        senders_per_room: 1,
        rate_hz: 50_000.0,
        threads: 1,
        ..scenario(relay.address)
    });
    assert_consistent(&outcome);
    assert_eq!(outcome.healthy.offered, 20_000);
    assert_eq!(outcome.healthy.delivered, 20_000);
    assert_eq!(outcome.healthy.duplicates + outcome.healthy.reordered, 0);
}

/// Lets the relay read again when the traffic has ended.
struct OpenAtDrain<'a>(&'a Relay);

impl Progress for OpenAtDrain<'_> {
    fn update(&self, snapshot: &Snapshot) {
        self.0.stop_reading(snapshot.stage == Stage::Measure);
    }
}

#[test]
fn what_the_server_does_not_read_waits_and_is_charged() {
    let relay = Relay::start(Fault::None, 1);
    let scenario = Scenario {
        clients: 4,
        room_size: 2,
        senders_per_room: 1,
        size: 1_000_000,
        warmup: Duration::from_millis(20),
        // Longer than the time between two snapshots, so that reading is stopped within it.
        duration: Duration::from_secs(1),
        ..scenario(relay.address)
    };
    let outcome = engine::run(&scenario, &OpenAtDrain(&relay), &AtomicBool::new(false));
    let outcome = outcome.expect("a relay listens");
    assert_consistent(&outcome);
    let counts = outcome.healthy;
    assert_eq!(counts.offered, 2 * 50);
    assert_eq!(counts.sent, 2 * 50);
    assert_eq!(counts.delivered, 2 * 50);
    assert!(counts.blocked > 0);
    assert!(counts.sent_in_time < counts.sent);
    let missed = InvalidReason::OfferedRateMissed {
        offered: counts.offered,
        sent: counts.sent_in_time,
        blocked: counts.blocked,
    };
    assert!(outcome.validity.contains(&missed), "{:?}", outcome.validity);
}

#[test]
fn the_misbehaving_do_not_touch_the_exactness_of_the_healthy() {
    let relay = Relay::start(Fault::None, 1);
    let outcome = run(&Scenario {
        clients: 30,
        slow_readers: 2,
        stalling_readers: 2,
        stall: Duration::from_millis(30),
        churn: 3.0,
        duration: Duration::from_millis(1200),
        ..scenario(relay.address)
    });
    assert_consistent(&outcome);
    // 23 of 30 are healthy: rooms of 3, 4, 4, 4, 4, 4.
    assert_eq!(outcome.healthy.offered, 23 * 60);
    assert_eq!(outcome.healthy.sent, 23 * 60);
    assert_eq!(outcome.healthy.delivered, 60 * (3 * 2 + 5 * 4 * 3));
    assert_eq!(outcome.healthy.lost, 0);
    assert_eq!(outcome.healthy.duplicates + outcome.healthy.leaked, 0);
    assert!(outcome.misbehaving.delivered > 0);
    assert_eq!(
        outcome.misbehaving.corrupted + outcome.misbehaving.leaked,
        0
    );
    assert!(!outcome.latency_misbehaving.is_empty());
    let connections = &outcome.connections;
    assert_eq!(
        connections.disconnected + connections.disconnected_misbehaving,
        0
    );
    assert!(connections.leaves >= 3);
    assert!(connections.rejoins <= connections.leaves);
    assert_eq!(outcome.rejoin.len(), connections.rejoins);
    assert_eq!(connections.rejoins_failed, 0);
}

#[test]
fn nothing_listens() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = unused.local_addr().expect("bound");
    drop(unused);
    let result = engine::run(&scenario(address), &Silent, &AtomicBool::new(false));
    assert!(matches!(result, Err(EngineError::NothingListens { address: a, .. }) if a == address));
}

#[test]
fn a_server_that_refuses_the_first_client() {
    let relay = Relay::start(Fault::None, 1);
    let target = Target::parse(&format!("ws://{}/elsewhere", relay.address)).expect("valid");
    let scenario = Scenario {
        target,
        ..scenario(relay.address)
    };
    let result = engine::run(&scenario, &Silent, &AtomicBool::new(false));
    let Err(EngineError::FirstClient { reason, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(reason.contains("404"), "{reason}");
    let asked = format!("ws://{}/elsewhere/lg-", relay.address);
    assert!(reason.contains(&asked), "{reason}");
}

#[test]
fn a_server_that_wants_tls_says_so() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let scenario = scenario(listener.local_addr().expect("bound"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 4096]).expect("a request");
        let body = "This port speaks TLS, not plain HTTP: use wss:// or https:// here.";
        let length = body.len();
        let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {length}\r\n\r\n");
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .expect("the client reads");
    });
    let result = engine::run(&scenario, &Silent, &AtomicBool::new(false));
    server.join().expect("served");
    let Err(EngineError::FirstClient { reason, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(reason.contains("use wss://"), "{reason}");
}

#[test]
fn a_server_that_never_answers() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let scenario = Scenario {
        handshake_timeout: Duration::from_millis(50),
        ..scenario(silent.local_addr().expect("bound"))
    };
    let result = engine::run(&scenario, &Silent, &AtomicBool::new(false));
    let Err(EngineError::FirstClient { reason, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(reason.contains("timeout"), "{reason}");
}

#[test]
fn a_scenario_that_cannot_be_run() {
    let relay = Relay::start(Fault::None, 1);
    let scenario = Scenario {
        size: 31,
        ..scenario(relay.address)
    };
    let result = engine::run(&scenario, &Silent, &AtomicBool::new(false));
    assert!(matches!(result, Err(EngineError::Scenario(_))));
}

/// Stops the run at its first snapshot of a stage, and remembers the stages.
struct StopAt<'a> {
    stage: Stage,
    stop: &'a AtomicBool,
    seen: Mutex<Vec<Stage>>,
}

impl Progress for StopAt<'_> {
    fn update(&self, snapshot: &Snapshot) {
        // Before the first client is in, there is nothing to tell.
        if snapshot.stage >= self.stage && snapshot.connected > 0 {
            self.stop.store(true, Ordering::Relaxed);
        }
        let mut seen = self.seen.lock().expect("nobody panics");
        if seen.last() != Some(&snapshot.stage) {
            seen.push(snapshot.stage);
        }
    }
}

#[test]
fn a_run_that_is_stopped_reports_what_it_measured() {
    let relay = Relay::start(Fault::None, 1);
    for (at, measured) in [
        (Stage::Ramp, Stopped::Ramp),
        (Stage::Settle, Stopped::Settle),
        (Stage::Warmup, Stopped::Traffic),
        (Stage::Measure, Stopped::Traffic),
        (Stage::Drain, Stopped::Drain),
    ] {
        let stop = AtomicBool::new(false);
        let progress = StopAt {
            stage: at,
            stop: &stop,
            seen: Mutex::default(),
        };
        let endless = Duration::from_secs(3600);
        let long = if at == Stage::Drain {
            Duration::from_millis(100)
        } else {
            endless
        };
        let scenario = Scenario {
            warmup: if at == Stage::Warmup {
                endless
            } else {
                Duration::from_millis(20)
            },
            duration: long,
            connect_rate: if at == Stage::Ramp { 1.0 } else { 10_000.0 },
            settle: if at == Stage::Settle {
                endless
            } else {
                Duration::ZERO
            },
            ..scenario(relay.address)
        };
        let result = engine::run(&scenario, &progress, &stop);
        let outcome = result.expect("an outcome");
        let connections = &outcome.connections;
        if matches!(at, Stage::Ramp | Stage::Settle) {
            // What was learnt until then is told.
            assert_eq!(outcome.interrupted, Some(measured));
            assert!(connections.joined > 0 && outcome.join.len() == connections.joined);
            assert_eq!(connections.disconnected + connections.failed_total(), 0);
            assert_eq!(outcome.healthy, Counts::default());
            continue;
        }
        assert_consistent(&outcome);
        assert_eq!(outcome.healthy.lost + outcome.warmup.lost, 0, "{at:?}");
        let nothing = outcome.validity.contains(&InvalidReason::NothingMeasured);
        if at == Stage::Warmup {
            assert_eq!(outcome.interrupted, Some(measured));
            assert!(nothing && outcome.stages.measured.is_zero());
        }
        let seen = progress.seen.into_inner().expect("nobody panics");
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(seen.last(), Some(&Stage::Close));
    }
}
