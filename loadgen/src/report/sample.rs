//! A small finished run for tests, the same every time.

use hdrhistogram::Histogram;

use super::histogram;
use super::model::{
    Connections, Counts, Generator, Histograms, Interval, Report, SCHEMA, ScenarioReport, Server,
    Stages, Traffic, Validity,
};
use crate::outcome::empty_histogram;

/// `count` values from `first`, each `step` above the one before, in nanoseconds.
pub(crate) fn ladder(first: u64, step: u64, count: u64) -> Histogram<u64> {
    let mut histogram = empty_histogram();
    for i in 0..count {
        histogram.record(first + i * step).unwrap();
    }
    histogram
}

/// A valid run of 20 clients over three seconds, with 540 deliveries.
pub(crate) fn report() -> Report {
    let timeline: Vec<Interval> = (0..3_u64)
        .map(|second| Interval {
            start_s: second as f64,
            length_s: 1.0,
            offered: 20,
            sent: 20,
            delivered: 180,
            max_lag_ns: 6_900,
            server_cpu_ns: Some(600_000_000),
            latency: histogram::to_sparse(&ladder(40_000 + second * 5_000, 10_000, 180)),
        })
        .collect();
    let mut latency = empty_histogram();
    for interval in &timeline {
        histogram::add(&mut latency, &interval.latency.to_histogram()).unwrap();
    }
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        loadgen_version: "0.1.0".to_owned(),
        started_at_unix_ms: 1_700_000_000_123,
        measured_at_unix_ms: 1_700_000_001_143,
        runs: 1,
        scenario: scenario(),
        validity: Validity {
            valid: true,
            reasons: Vec::new(),
        },
        stages: Stages {
            ramp_s: 0.02,
            settle_s: 1.0,
            warmup_s: 0.0,
            measured_s: 3.0,
            drain_s: 0.01,
            close_s: 0.005,
        },
        counts: Counts {
            offered: 60,
            sent: 60,
            sent_in_time: 60,
            expected: 540,
            delivered: 540,
            delivered_in_time: Some(540),
            ..Counts::default()
        },
        misbehaving: Counts::default(),
        warmup: Counts::default(),
        connections: Connections {
            joined: 20,
            ..Connections::default()
        },
        traffic: Traffic {
            received_bytes: 35_640,
            sent_bytes: 4_200,
        },
        histograms: Histograms {
            latency_uncorrected: ladder(35_000, 3_000, 540),
            latency,
            connect: ladder(20_000, 1_000, 20),
            join: ladder(50_000, 2_000, 20),
            send_lag: ladder(1_000, 100, 60),
            ..Histograms::default()
        },
        timeline,
        server: Some(server()),
        generator: Generator {
            threads: 1,
            cpu_ns: 90_000_000,
            busiest_thread_ratio: 0.03,
            occupied_ratio: 0.04,
            max_lag_ns: 6_900,
            max_iteration_ns: 12_000,
        },
        verdict: None,
        checks: Vec::new(),
        metrics: std::collections::BTreeMap::new(),
    };
    report.metrics = super::metrics::all(&report);
    report
}

/// 20 clients in two rooms, a message of each in a second.
fn scenario() -> ScenarioReport {
    ScenarioReport {
        profile: "raw".to_owned(),
        carrier: None,
        url: "ws://127.0.0.1:7777".to_owned(),
        tls: None,
        subprotocol: None,
        headers: Vec::new(),
        clients: 20,
        rooms: 2,
        room_size: 10,
        senders_per_room: 10,
        rate_hz: 1.0,
        states_hz: 0.0,
        keys: 0,
        tick_hz: 0,
        host_kills_per_s: 0.0,
        groups: "none".to_owned(),
        size_bytes: 64,
        schedule: "even".to_owned(),
        kind: "binary".to_owned(),
        connect_rate_per_s: 1000.0,
        warmup_s: 0.0,
        duration_s: 3.0,
        drain_s: 5.0,
        interval_s: 1.0,
        churn_per_s: 0.0,
        drops_per_s: 0.0,
        slow_readers: 0,
        stalling_readers: 0,
        stall_s: 0.5,
        threads: 1,
        polling: "sleeping".to_owned(),
        source_addresses: 0,
        seed: 7,
        room_prefix: "lg-0000000000000007".to_owned(),
    }
}

/// A server that used 1.8 s of CPU time.
fn server() -> Server {
    let mut server = Server {
        pid: 4242,
        cpu_user_ns: 200_000_000,
        cpu_system_ns: 1_600_000_000,
        deliveries: 540,
        rss_before_bytes: 4 << 20,
        rss_idle_bytes: (4 << 20) + 9_000,
        rss_end_bytes: (4 << 20) + 12_000,
        rss_peak_bytes: 5 << 20,
        memory_per_connection_bytes: Some(450.0),
        ..Server::default()
    };
    server.divide();
    server
}
