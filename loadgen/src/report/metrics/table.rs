//! The metrics themselves: name, meaning and where each is found in a report.
//!
//! It owns the list. It must not know how a name is looked up.
//!
//! Invariant: names are part of the schema: they are added, never changed.

use super::Better;
use crate::report::Report;
use crate::report::histogram::Times;
use crate::report::units::Unit;

/// A distribution of the report.
pub(super) struct Distribution {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) of: fn(&Report) -> Times<'_>,
}

/// A single number of the report.
pub(super) struct Number {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) unit: Unit,
    pub(super) better: Better,
    pub(super) of: fn(&Report) -> Option<f64>,
}

pub(super) const DISTRIBUTIONS: &[Distribution] = &[
    Distribution {
        name: "latency",
        about: "intended send to delivery",
        of: Report::latency,
    },
    Distribution {
        name: "latency_uncorrected",
        about: "actual send to delivery",
        of: Report::latency_uncorrected,
    },
    Distribution {
        name: "latency_misbehaving",
        about: "as latency, of slow readers and churners, and over drops",
        of: Report::latency_misbehaving,
    },
    Distribution {
        name: "connect",
        about: "TCP connect",
        of: |report| Times::of(&report.histograms.connect),
    },
    Distribution {
        name: "tls",
        about: "TLS handshake, from TCP connected to complete (wss only)",
        of: |report| Times::of(&report.histograms.tls),
    },
    Distribution {
        name: "join",
        about: "upgrade request to its answer",
        of: |report| Times::of(&report.histograms.join),
    },
    Distribution {
        name: "rejoin",
        about: "connect to answer, of churning clients",
        of: |report| Times::of(&report.histograms.rejoin),
    },
    Distribution {
        name: "resume",
        about: "connect to RESUMED, of players who lost their connection",
        of: |report| Times::of(&report.histograms.resume),
    },
    Distribution {
        name: "state.age",
        about: "of the newest value of each sender at each receiver",
        of: |report| Times::of(&report.histograms.state_age),
    },
    Distribution {
        name: "host.change",
        about: "end of a host's connection to snapshot and tail at its successor",
        of: Report::host_change,
    },
    Distribution {
        name: "send_lag",
        about: "intended to actual send: the generator's own lag",
        of: |report| Times::of(&report.histograms.send_lag),
    },
    Distribution {
        name: "receive_wait",
        about: "readable to read: the generator's own lag",
        of: |report| Times::of(&report.histograms.receive_wait),
    },
];

macro_rules! count {
    ($name:literal, $about:literal, $better:ident, $($field:ident).+) => {
        Number {
            name: $name,
            about: $about,
            unit: Unit::Count,
            better: Better::$better,
            of: |report| Some(report.$($field).+ as f64),
        }
    };
}

pub(super) const NUMBERS: &[Number] = &[
    count!(
        "offered",
        "sends the schedule asked for",
        Higher,
        counts.offered
    ),
    count!("sent", "messages written", Higher, counts.sent),
    count!(
        "expected",
        "deliveries those should cause",
        Higher,
        counts.expected
    ),
    count!(
        "delivered",
        "deliveries that arrived",
        Higher,
        counts.delivered
    ),
    count!("lost", "deliveries that never came", Lower, counts.lost),
    count!(
        "duplicates",
        "deliveries that came again",
        Lower,
        counts.duplicates
    ),
    count!(
        "reordered",
        "deliveries out of order",
        Lower,
        counts.reordered
    ),
    count!(
        "corrupted",
        "deliveries with another payload",
        Lower,
        counts.corrupted
    ),
    count!("leaked", "deliveries of another room", Lower, counts.leaked),
    count!(
        "superseded",
        "state replaced by newer state",
        Lower,
        counts.superseded
    ),
    count!(
        "own_echoed",
        "messages returned to their sender",
        Lower,
        counts.own_echoed
    ),
    count!(
        "blocked",
        "messages that found the server not reading",
        Lower,
        counts.blocked
    ),
    Number {
        name: "unread",
        about: "messages that the server never took",
        unit: Unit::Count,
        better: Better::Lower,
        of: |report| Some(report.counts.unread() as f64),
    },
    count!(
        "warmup_lost",
        "deliveries of the warm-up that never came",
        Lower,
        warmup.lost
    ),
    count!(
        "disconnects",
        "well-behaved clients that lost their connection",
        Lower,
        connections.disconnected
    ),
    count!(
        "truncated",
        "of these, without a close_notify (wss only)",
        Lower,
        connections.truncated
    ),
    count!(
        "rejoins_failed",
        "churning clients that could not return",
        Lower,
        connections.rejoins_failed
    ),
    count!(
        "resumes_failed",
        "times a player could not return at once",
        Lower,
        connections.resumes_failed
    ),
    count!(
        "resets",
        "times a well-behaved player could not go on where it was",
        Lower,
        connections.resets
    ),
    Number {
        name: "hosts_missing",
        about: "lost hosts without a successor who had snapshot and tail",
        unit: Unit::Count,
        better: Better::Lower,
        of: |report| Some(report.hosts_missing() as f64),
    },
    Number {
        name: "violations",
        about: "connections on which the server broke the protocol",
        unit: Unit::Count,
        better: Better::Lower,
        of: |report| Some(report.connections.violations_total() as f64),
    },
    Number {
        name: "connect_failures",
        about: "clients that never joined",
        unit: Unit::Count,
        better: Better::Lower,
        of: |report| Some(report.connections.failed_total() as f64),
    },
    Number {
        name: "tls_resumed_ratio",
        about: "TLS handshakes that resumed a session, of all (wss only)",
        unit: Unit::Ratio,
        better: Better::Higher,
        of: Report::tls_resumed_ratio,
    },
    Number {
        name: "loss_ratio",
        about: "lost of expected",
        unit: Unit::Ratio,
        better: Better::Lower,
        of: Report::loss_ratio,
    },
    Number {
        name: "rate",
        about: "deliveries per second, without those of the drain",
        unit: Unit::PerSecond,
        better: Better::Higher,
        of: Report::rate,
    },
    Number {
        name: "server.cpu_per_delivery",
        about: "server CPU time, user and kernel",
        unit: Unit::Nanoseconds,
        better: Better::Lower,
        of: |report| report.server.as_ref()?.cpu_per_delivery_ns(),
    },
    Number {
        name: "server.user_per_delivery",
        about: "in user mode",
        unit: Unit::Nanoseconds,
        better: Better::Lower,
        of: |report| report.server.as_ref()?.user_per_delivery_ns,
    },
    Number {
        name: "server.system_per_delivery",
        about: "in the kernel",
        unit: Unit::Nanoseconds,
        better: Better::Lower,
        of: |report| report.server.as_ref()?.system_per_delivery_ns,
    },
    Number {
        name: "server.memory_per_connection",
        about: "resident memory of the idle server",
        unit: Unit::Bytes,
        better: Better::Lower,
        of: |report| report.server.as_ref()?.memory_per_connection_bytes,
    },
    Number {
        name: "server.rss_peak",
        about: "resident memory of the server at most",
        unit: Unit::Bytes,
        better: Better::Lower,
        of: |report| Some(report.server.as_ref()?.rss_peak_bytes as f64),
    },
    Number {
        name: "generator.occupied",
        about: "share of its time the busiest thread had no rest",
        unit: Unit::Ratio,
        better: Better::Lower,
        of: |report| Some(report.generator.occupied_ratio),
    },
    Number {
        name: "generator.max_lag",
        about: "longest lag of its own, sending or receiving",
        unit: Unit::Nanoseconds,
        better: Better::Lower,
        of: |report| Some(report.generator.max_lag_ns as f64),
    },
];
