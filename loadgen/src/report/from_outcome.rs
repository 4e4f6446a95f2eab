//! From what the engine measured to the report of it.
//!
//! It owns the translation and adds nothing: names for enums, units for durations, and the
//! sentence for each reason a run is invalid.
//!
//! Invariant: nothing is rounded, scaled or dropped on the way; an interrupted run is never valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::histogram;
use super::model::{
    Connections, Counts, Generator, Histograms, Interval, Reason, Report, SCHEMA, ScenarioReport,
    Server, Stages, TlsScenario, Traffic, Validity,
};
use crate::outcome::{self, InvalidReason, Outcome, Stopped};
use crate::scenario::{Carrier, Dialect, MessageKind, Polling, Scenario, Schedule, Tls, Trust};

impl From<&Outcome> for Report {
    fn from(outcome: &Outcome) -> Self {
        let mut report = Self {
            schema: SCHEMA.to_owned(),
            loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_unix_ms: unix_ms(outcome.started_at),
            measured_at_unix_ms: unix_ms(outcome.measured_at),
            runs: 1,
            scenario: (&outcome.scenario).into(),
            validity: validity(outcome),
            stages: Stages {
                ramp_s: outcome.stages.ramp.as_secs_f64(),
                settle_s: outcome.stages.settle.as_secs_f64(),
                warmup_s: outcome.stages.warmup.as_secs_f64(),
                measured_s: outcome.stages.measured.as_secs_f64(),
                drain_s: outcome.stages.drain.as_secs_f64(),
                close_s: outcome.stages.close.as_secs_f64(),
            },
            counts: outcome.healthy.into(),
            misbehaving: outcome.misbehaving.into(),
            warmup: outcome.warmup.into(),
            connections: connections(&outcome.connections),
            traffic: Traffic {
                received_bytes: outcome.bytes_in,
                sent_bytes: outcome.bytes_out,
            },
            histograms: Histograms {
                latency: outcome.latency.clone(),
                latency_uncorrected: outcome.latency_uncorrected.clone(),
                latency_misbehaving: outcome.latency_misbehaving.clone(),
                connect: outcome.connect.clone(),
                tls: outcome.tls.clone(),
                join: outcome.join.clone(),
                rejoin: outcome.rejoin.clone(),
                resume: outcome.resume.clone(),
                state_age: outcome.state_age.clone(),
                host_change: outcome.host_change.clone(),
                send_lag: outcome.send_lag.clone(),
                receive_wait: outcome.receive_wait.clone(),
            },
            timeline: outcome.timeline.iter().map(interval).collect(),
            server: outcome.server.as_ref().map(server),
            generator: Generator {
                threads: outcome.generator.threads as u64,
                cpu_ns: nanoseconds(outcome.generator.cpu),
                busiest_thread_ratio: outcome.generator.busiest_share,
                occupied_ratio: outcome.generator.busiest_occupied,
                max_lag_ns: nanoseconds(outcome.generator.max_lag),
                max_iteration_ns: nanoseconds(outcome.generator.max_iteration),
            },
            verdict: None,
            checks: Vec::new(),
            metrics: std::collections::BTreeMap::new(),
        };
        report.metrics = super::metrics::all(&report);
        report
    }
}

impl From<&Scenario> for ScenarioReport {
    fn from(scenario: &Scenario) -> Self {
        Self {
            profile: match scenario.dialect {
                Dialect::Raw => "raw",
                Dialect::V1 => "v1",
            }
            .to_owned(),
            carrier: match scenario.carrier {
                Carrier::Ws => None,
                carrier => Some(carrier.name().to_owned()),
            },
            url: scenario.target.to_string(),
            tls: scenario.target.is_secure().then(|| (&scenario.tls).into()),
            subprotocol: scenario.subprotocol().map(str::to_owned),
            headers: { scenario.request.headers.iter() }
                .map(|(name, _)| name.clone())
                .collect(),
            clients: scenario.clients as u64,
            rooms: scenario.rooms() as u64,
            room_size: scenario.room_size as u64,
            senders_per_room: scenario.senders_per_room as u64,
            rate_hz: scenario.rate_hz,
            states_hz: scenario.play.states_hz,
            keys: match scenario.play.has_states() {
                true => scenario.play.keys.into(),
                false => 0,
            },
            tick_hz: scenario.play.tick_hz.into(),
            host_kills_per_s: scenario.play.host_kills,
            groups: scenario.play.groups.to_string(),
            size_bytes: scenario.size as u64,
            schedule: match scenario.schedule {
                Schedule::Even => "even",
                Schedule::Burst => "burst",
            }
            .to_owned(),
            kind: match scenario.kind {
                MessageKind::Binary => "binary",
                MessageKind::Text => "text",
            }
            .to_owned(),
            connect_rate_per_s: scenario.connect_rate,
            warmup_s: scenario.warmup.as_secs_f64(),
            duration_s: scenario.duration.as_secs_f64(),
            drain_s: scenario.drain.as_secs_f64(),
            interval_s: scenario.interval.as_secs_f64(),
            churn_per_s: scenario.churn,
            drops_per_s: scenario.drops,
            slow_readers: scenario.slow_readers as u64,
            stalling_readers: scenario.stalling_readers as u64,
            stall_s: scenario.stall.as_secs_f64(),
            threads: scenario.threads as u64,
            polling: match scenario.polling {
                Polling::Sleeping => "sleeping",
                Polling::Spinning => "spinning",
            }
            .to_owned(),
            source_addresses: scenario.source_addresses.len() as u64,
            seed: scenario.seed,
            room_prefix: scenario.room_prefix.clone(),
        }
    }
}

impl From<&Tls> for TlsScenario {
    fn from(tls: &Tls) -> Self {
        Self {
            trust: match tls.trust {
                Trust::System => "system",
                Trust::Authorities(_) => "ca",
                Trust::Anyone => "anyone",
            }
            .to_owned(),
            resumption: tls.resume,
        }
    }
}

impl From<outcome::Counts> for Counts {
    fn from(counts: outcome::Counts) -> Self {
        Self {
            offered: counts.offered,
            sent: counts.sent,
            sent_in_time: counts.sent_in_time,
            blocked: counts.blocked,
            unconnected: counts.unconnected,
            expected: counts.expected,
            delivered: counts.delivered,
            delivered_in_time: Some(counts.delivered_in_time),
            lost: counts.lost,
            superseded: counts.superseded,
            duplicates: counts.duplicates,
            reordered: counts.reordered,
            corrupted: counts.corrupted,
            leaked: counts.leaked,
            own_echoed: counts.own_echoed,
        }
    }
}

fn validity(outcome: &Outcome) -> Validity {
    let mut reasons: Vec<Reason> = outcome
        .validity
        .iter()
        .map(|reason| Reason {
            code: code(reason).to_owned(),
            message: reason.to_string(),
        })
        .collect();
    if let Some(stopped) = outcome.interrupted {
        reasons.push(interrupted(stopped, outcome));
    }
    Validity {
        valid: reasons.is_empty(),
        reasons,
    }
}

fn interrupted(stopped: Stopped, outcome: &Outcome) -> Reason {
    let (code, message) = match stopped {
        Stopped::Ramp => (
            "interrupted",
            format!(
                "the run was stopped while its clients connected, {} of {}",
                outcome.connections.joined, outcome.scenario.clients
            ),
        ),
        Stopped::Settle => (
            "interrupted",
            "the run was stopped before its traffic".to_owned(),
        ),
        Stopped::Traffic => (
            "interrupted",
            format!(
                "the run was stopped after {:.1} s of {:.1} s",
                outcome.stages.measured.as_secs_f64(),
                outcome.scenario.duration.as_secs_f64()
            ),
        ),
        // What is lost then may only be late.
        Stopped::Drain => (
            "drain_interrupted",
            "the run was stopped while what had been sent was still waited for".to_owned(),
        ),
    };
    Reason {
        code: code.to_owned(),
        message,
    }
}

/// The name of a reason in files; part of the schema.
fn code(reason: &InvalidReason) -> &'static str {
    match reason {
        InvalidReason::ConnectionsEnded { .. } => "connections_ended",
        InvalidReason::ProtocolBroken { .. } => "protocol_broken",
        InvalidReason::OfferedRateMissed { .. } => "offered_rate_missed",
        InvalidReason::GeneratorSaturated { .. } => "generator_saturated",
        InvalidReason::ConnectionsFailed { .. } => "connections_failed",
        InvalidReason::NothingMeasured => "nothing_measured",
        InvalidReason::HistogramOverflow { .. } => "histogram_overflow",
        InvalidReason::AccountingOverflow => "accounting_overflow",
    }
}

fn connections(connections: &outcome::Connections) -> Connections {
    Connections {
        joined: connections.joined,
        failed: connections.failed.clone(),
        refused: connections.refused,
        disconnected: connections.disconnected,
        disconnected_misbehaving: connections.disconnected_misbehaving,
        violations: connections.violations.clone(),
        truncated: connections.truncated,
        tls_full: connections.tls_full,
        tls_resumed: connections.tls_resumed,
        close_codes: connections.close_codes.clone(),
        leaves: connections.leaves,
        rejoins: connections.rejoins,
        rejoins_failed: connections.rejoins_failed,
        drops: connections.drops,
        host_kills: connections.host_kills,
        resumes: connections.resumes,
        resumes_failed: connections.resumes_failed,
        resets: connections.resets,
        resets_misbehaving: connections.resets_misbehaving,
        close_failed: connections.close_failed,
    }
}

fn interval(interval: &outcome::Interval) -> Interval {
    Interval {
        start_s: interval.start.as_secs_f64(),
        length_s: interval.length.as_secs_f64(),
        offered: interval.offered,
        sent: interval.sent,
        delivered: interval.delivered,
        max_lag_ns: nanoseconds(interval.max_lag),
        server_cpu_ns: interval.server_cpu.map(nanoseconds),
        // The engine may keep any value of a bucket; files keep one and the same.
        latency: histogram::to_sparse(&interval.latency.to_histogram()),
    }
}

fn server(usage: &outcome::ServerUsage) -> Server {
    let mut server = Server {
        pid: usage.pid,
        cpu_user_ns: nanoseconds(usage.cpu_user),
        cpu_system_ns: nanoseconds(usage.cpu_system),
        cpu_ns: usage.cpu.map(nanoseconds),
        deliveries: usage.deliveries,
        cpu_per_delivery_ns: None,
        user_per_delivery_ns: None,
        system_per_delivery_ns: None,
        rss_before_bytes: usage.rss_before,
        rss_idle_bytes: usage.rss_idle,
        rss_end_bytes: usage.rss_end,
        rss_peak_bytes: usage.rss_peak,
        // Connections are never free: a server that did not grow had memory left over from
        // connections before the run, and says nothing about what one takes.
        memory_per_connection_bytes: usage.memory_per_connection().filter(|bytes| *bytes > 0.0),
    };
    server.divide();
    server
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970; 0 for a clock set before.
fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
