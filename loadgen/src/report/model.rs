//! The report: everything known about one run, as it is written to report.json.
//!
//! It owns the schema `roomcast.loadgen/1` and nothing else; it does not know how a run is made
//! nor how a report is shown.
//!
//! Invariant: within schema version 1 fields are added, never renamed, removed or given another
//! unit. Every number carries its unit in its name; those without one are counts.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::amount;
use super::histogram::{self, Times};
use super::verdict::Verdict;
use crate::outcome::{SparseHistogram, empty_histogram};

/// The schema name and version written into every report.
pub const SCHEMA: &str = "roomcast.loadgen/1";

/// One run, or several runs joined by `loadgen merge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of the program that measured.
    pub loadgen_version: String,
    /// When the run began, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_at_unix_ms: u64,
    /// When measuring began: time zero of the timeline.
    pub measured_at_unix_ms: u64,
    /// How many runs are in this report: 1, unless it was merged.
    pub runs: u32,
    /// What was run.
    pub scenario: ScenarioReport,
    /// Whether the run proves anything.
    pub validity: Validity,
    /// How long each stage took.
    pub stages: Stages,
    /// What became of the measured messages between well-behaved clients. Exact.
    pub counts: Counts,
    /// The same for messages from or to slow readers and clients that leave and come back.
    pub misbehaving: Counts,
    /// The same for the messages of the warm-up.
    pub warmup: Counts,
    /// How connections fared.
    pub connections: Connections,
    /// What went over the wire.
    pub traffic: Traffic,
    /// Every distribution, in nanoseconds.
    pub histograms: Histograms,
    /// The measured stage, and what of the drain brought something, in intervals, in order.
    pub timeline: Vec<Interval>,
    /// The server process, when it is known and on the generator's machine.
    #[serde(default)]
    pub server: Option<Server>,
    /// The load generator itself.
    pub generator: Generator,
    /// Whether the run passed, and why not. Absent until it is judged, and in reports of versions
    /// that judged it in several places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Every `--check` with its verdict.
    #[serde(default)]
    pub checks: Vec<CheckResult>,
    /// Every metric that has a value, by the name a check uses, in its base unit (nanoseconds,
    /// bytes, 1 = 100 %, per second); `"never"` is later than any number. For scripts; recomputed,
    /// not believed, when read.
    #[serde(default, with = "amount::map")]
    pub metrics: BTreeMap<String, f64>,
}

/// CPU time that is known in clock ticks of 10 ms says something from 50 of them on.
const TICKED_CPU_MIN_NS: u64 = 500_000_000;

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// What the server speaks (`--dialect`): `raw` or `v1`.
    pub profile: String,
    /// How clients reached it (`--carrier`); absent when that was by WebSockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// Where the server was, without the room.
    pub url: String,
    /// How TLS was done; absent when the url is `ws`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsScenario>,
    /// The subprotocol that was asked for; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// Names of the fields that were added to the upgrade request; their values are nobody's business.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Connections of well-behaved and misbehaving clients together.
    pub clients: u64,
    /// Rooms they were spread over.
    pub rooms: u64,
    /// Clients in a full room.
    pub room_size: u64,
    /// How many of a room send.
    pub senders_per_room: u64,
    /// Messages per second of each sender.
    pub rate_hz: f64,
    /// Values that each sender sets per second.
    #[serde(default)]
    pub states_hz: f64,
    /// Keys of each sender, which it sets in turn.
    #[serde(default)]
    pub keys: u64,
    /// Ticks per second of each room; 0: none.
    #[serde(default)]
    pub tick_hz: u64,
    /// Hosts per second that lose their connection.
    #[serde(default)]
    pub host_kills_per_s: f64,
    /// Whom players speak to: `none` (all others), `disjoint:N` or `grid`.
    #[serde(default = "no_groups")]
    pub groups: String,
    /// Payload of a message.
    pub size_bytes: u64,
    /// `even` (senders spread over the period) or `burst` (all at the same instant).
    pub schedule: String,
    /// `binary` or `text`.
    pub kind: String,
    /// New connections per second while ramping up.
    pub connect_rate_per_s: f64,
    /// Traffic before measuring began.
    pub warmup_s: f64,
    /// How long was measured.
    pub duration_s: f64,
    /// How long stragglers were waited for at most.
    pub drain_s: f64,
    /// Resolution of the timeline.
    #[serde(default = "one_second")]
    pub interval_s: f64,
    /// Clients that leave and join again, per second.
    pub churn_per_s: f64,
    /// Connections of players that are cut, per second; who was cut comes back.
    #[serde(default)]
    pub drops_per_s: f64,
    /// Clients that stop reading.
    pub slow_readers: u64,
    /// Clients that stop reading for a while, again and again.
    pub stalling_readers: u64,
    /// How long those do not read at a time.
    pub stall_s: f64,
    /// Threads of the load generator.
    pub threads: u64,
    /// How they waited: `sleeping`, or `spinning` (--spin).
    #[serde(default = "sleeping")]
    pub polling: String,
    /// Local addresses connected from; 0 is the system's choice.
    pub source_addresses: u64,
    /// Seed of schedule and content.
    pub seed: u64,
    /// What room names began with: another one in every run, whatever the seed. Empty in reports
    /// of versions that took it from the seed.
    #[serde(default)]
    pub room_prefix: String,
}

/// What the timeline's resolution was before it could be chosen.
fn one_second() -> f64 {
    1.0
}

/// Whom players spoke to before there was a choice.
fn no_groups() -> String {
    "none".to_owned()
}

/// How the generator waited before there was a choice.
fn sleeping() -> String {
    "sleeping".to_owned()
}

/// How TLS was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsScenario {
    /// Whose certificates were believed: `system` (with this machine's development authority),
    /// `ca` (a given file) or `anyone` (nothing was verified).
    pub trust: String,
    /// Whether sessions could be resumed.
    pub resumption: bool,
}

/// Whether a run proves anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// True when `reasons` is empty.
    pub valid: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
}

impl Validity {
    /// Whether the reason with this code is among them.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        self.reasons.iter().any(|reason| reason.code == code)
    }
}

/// One reason why a run proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable name for scripts, such as `offered_rate_missed`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}

/// How long each stage took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// Connecting and joining everyone.
    pub ramp_s: f64,
    /// Silence before the traffic.
    pub settle_s: f64,
    /// Traffic that was not measured.
    pub warmup_s: f64,
    /// Traffic that was measured.
    pub measured_s: f64,
    /// Waiting for what was still on its way.
    pub drain_s: f64,
    /// Closing every connection.
    pub close_s: f64,
}

/// What became of the messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sends the schedule asked for.
    pub offered: u64,
    /// Messages wholly written to a socket, in time or late.
    pub sent: u64,
    /// Of these, written before the measured time ended.
    pub sent_in_time: u64,
    /// Messages that found their socket full at first: the server was not reading.
    pub blocked: u64,
    /// Messages that were never sent because their sender was not connected any more, or never
    /// was.
    #[serde(default)]
    pub unconnected: u64,
    /// Deliveries that had to happen.
    pub expected: u64,
    /// Deliveries that happened, each counted once.
    pub delivered: u64,
    /// Of these, arrived before the measured time ended: what a rate is computed from. Absent in
    /// reports of versions that did not tell them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_in_time: Option<u64>,
    /// Expected and never seen.
    pub lost: u64,
    /// Missing values of which the server says that a newer one took their place.
    pub superseded: u64,
    /// Deliveries that arrived again.
    pub duplicates: u64,
    /// Deliveries that came after a later message of the same sender.
    pub reordered: u64,
    /// Messages whose content was not what was sent.
    pub corrupted: u64,
    /// Messages of another room or another run.
    pub leaked: u64,
    /// Messages that came back to their sender.
    pub own_echoed: u64,
}

/// How connections fared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Clients that joined in the ramp.
    pub joined: u64,
    /// Clients that did not, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Of these, clients that the server itself turned away: it refused or ended the connection,
    /// or answered with anything but the 101.
    #[serde(default)]
    pub refused: u64,
    /// Well-behaved clients that lost their connection.
    pub disconnected: u64,
    /// Misbehaving clients that lost theirs.
    pub disconnected_misbehaving: u64,
    /// Of `disconnected`, those that loadgen hung up because the server broke the protocol: how
    /// many by the rule that was broken, misbehaving clients' included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub violations: BTreeMap<String, u64>,
    /// Of `disconnected`, TLS connections that ended without a close_notify.
    #[serde(default)]
    pub truncated: u64,
    /// TLS handshakes that authenticated the server anew.
    #[serde(default)]
    pub tls_full: u64,
    /// TLS handshakes that resumed an earlier session.
    #[serde(default)]
    pub tls_resumed: u64,
    /// Close codes the server sent while the run lasted; 1005 without a code, 1006 without a close.
    pub close_codes: BTreeMap<u16, u64>,
    /// Times a churning client left.
    pub leaves: u64,
    /// Times it was back.
    pub rejoins: u64,
    /// Times it could not get back in.
    pub rejoins_failed: u64,
    /// Connections that were cut on purpose.
    #[serde(default)]
    pub drops: u64,
    /// Of these, those of hosts whose turn it was.
    #[serde(default)]
    pub host_kills: u64,
    /// Times a player who had lost its connection went on where it was.
    #[serde(default)]
    pub resumes: u64,
    /// Times it could not get back in at once.
    #[serde(default)]
    pub resumes_failed: u64,
    /// Times a well-behaved player was told that it can't go on where it was.
    #[serde(default)]
    pub resets: u64,
    /// Times a misbehaving one was.
    #[serde(default)]
    pub resets_misbehaving: u64,
    /// Connections that did not end with a close frame and an end of stream in time.
    pub close_failed: u64,
}

impl Report {
    /// Hosts that were lost without a successor who had all that it has to.
    #[must_use]
    pub fn hosts_missing(&self) -> u64 {
        let changes = self.histograms.host_change.len();
        self.connections.host_kills.saturating_sub(changes)
    }

    /// Host changes, with those that never came to an end.
    #[must_use]
    pub fn host_change(&self) -> Times<'_> {
        Times::with_never(&self.histograms.host_change, self.hosts_missing())
    }
}

impl Connections {
    /// Clients that did not join, whatever the reason.
    #[must_use]
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Connections on which the server broke the protocol, whichever rule it was.
    #[must_use]
    pub fn violations_total(&self) -> u64 {
        self.violations.values().sum()
    }
}

/// What went over the wire in the measured stage, framing included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Read by the generator.
    pub received_bytes: u64,
    /// Written by the generator.
    pub sent_bytes: u64,
}

/// Every distribution, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    /// From the intended send time to the delivery; well-behaved clients.
    #[serde(with = "histogram")]
    pub latency: Histogram<u64>,
    /// From the actual send time: what a closed loop would have claimed.
    #[serde(with = "histogram")]
    pub latency_uncorrected: Histogram<u64>,
    /// As `latency`, from or to a misbehaving client, or due before both had come back from a lost connection.
    #[serde(with = "histogram")]
    pub latency_misbehaving: Histogram<u64>,
    /// TCP connect.
    #[serde(with = "histogram")]
    pub connect: Histogram<u64>,
    /// TLS handshake, from TCP connected to complete, full or resumed; absent when the url is
    /// `ws`.
    #[serde(
        with = "histogram",
        default = "empty_histogram",
        skip_serializing_if = "Histogram::is_empty"
    )]
    pub tls: Histogram<u64>,
    /// From the upgrade request to its answer.
    #[serde(with = "histogram")]
    pub join: Histogram<u64>,
    /// From connect to the answer, of churning clients that come back.
    #[serde(with = "histogram")]
    pub rejoin: Histogram<u64>,
    /// From connect to RESUMED, of players who had lost their connection; absent when none had.
    #[serde(
        with = "histogram",
        default = "empty_histogram",
        skip_serializing_if = "Histogram::is_empty"
    )]
    pub resume: Histogram<u64>,
    /// How old the newest value of each sender was at each receiver, in moments that are evenly spread over the measured
    /// stage; absent without states.
    #[serde(
        with = "histogram",
        default = "empty_histogram",
        skip_serializing_if = "Histogram::is_empty"
    )]
    pub state_age: Histogram<u64>,
    /// From the end of a host's connection until its successor had snapshot and tail; absent when none was lost.
    #[serde(
        with = "histogram",
        default = "empty_histogram",
        skip_serializing_if = "Histogram::is_empty"
    )]
    pub host_change: Histogram<u64>,
    /// From the intended to the actual send: the generator's own lag.
    #[serde(with = "histogram")]
    pub send_lag: Histogram<u64>,
    /// From readable to read: the generator's own lag on the receiving side.
    #[serde(with = "histogram")]
    pub receive_wait: Histogram<u64>,
}

impl Default for Histograms {
    fn default() -> Self {
        Self {
            latency: empty_histogram(),
            latency_uncorrected: empty_histogram(),
            latency_misbehaving: empty_histogram(),
            connect: empty_histogram(),
            tls: empty_histogram(),
            join: empty_histogram(),
            rejoin: empty_histogram(),
            resume: empty_histogram(),
            state_age: empty_histogram(),
            host_change: empty_histogram(),
            send_lag: empty_histogram(),
            receive_wait: empty_histogram(),
        }
    }
}

/// One interval of the measured stage, or of the drain after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Since measuring began.
    pub start_s: f64,
    /// How long the interval is.
    pub length_s: f64,
    /// Sends the schedule asked for.
    pub offered: u64,
    /// Messages written.
    pub sent: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// The longest own lag of the generator.
    pub max_lag_ns: u64,
    /// CPU time the server used, when its process is known.
    #[serde(default)]
    pub server_cpu_ns: Option<u64>,
    /// Latency from the intended send time of what arrived.
    #[serde(with = "histogram::sparse")]
    pub latency: SparseHistogram,
}

/// The server process while it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its process id.
    pub pid: u32,
    /// CPU time in user mode over the measured stage.
    pub cpu_user_ns: u64,
    /// CPU time in the kernel over the measured stage.
    pub cpu_system_ns: u64,
    /// Both together to the nanosecond; absent where the kernel does not tell, and in reports of
    /// versions that did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// Deliveries over the same time, to everyone.
    pub deliveries: u64,
    /// `cpu_ns` per delivery; absent without deliveries or without `cpu_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_per_delivery_ns: Option<f64>,
    /// `cpu_user_ns` per delivery; absent without deliveries, and where too little time was used
    /// to tell.
    #[serde(default)]
    pub user_per_delivery_ns: Option<f64>,
    /// `cpu_system_ns` per delivery; absent like that.
    #[serde(default)]
    pub system_per_delivery_ns: Option<f64>,
    /// Resident memory before the first connection.
    pub rss_before_bytes: u64,
    /// Resident memory with everyone joined and silent.
    pub rss_idle_bytes: u64,
    /// Resident memory after the drain, with everyone still connected.
    pub rss_end_bytes: u64,
    /// The most resident memory the process ever had.
    pub rss_peak_bytes: u64,
    /// Growth from before to idle, per connection; absent when memory shrank.
    #[serde(default)]
    pub memory_per_connection_bytes: Option<f64>,
}

/// The load generator itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Its threads.
    pub threads: u64,
    /// CPU time they used over the measured stage.
    pub cpu_ns: u64,
    /// CPU time of the busiest thread as a share of the measured stage, 0 to 1.
    pub busiest_thread_ratio: f64,
    /// CPU time and waiting for a core of the thread with least to spare, 0 to 1.
    pub occupied_ratio: f64,
    /// The longest own lag, sending or receiving.
    pub max_lag_ns: u64,
    /// The longest loop iteration that did not sleep.
    pub max_iteration_ns: u64,
}

/// A check and its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// As it was typed.
    pub check: String,
    /// Metric it is about.
    pub metric: String,
    /// What was measured, in the metric's base unit, or `"never"`; absent when nothing was.
    #[serde(default, with = "amount::option")]
    pub measured: Option<f64>,
    /// What was asked for, in the same unit.
    pub bound: f64,
    /// The verdict; never true in an invalid run.
    pub passed: bool,
    /// False where the run is invalid, so that nothing can be said about the metric.
    #[serde(default = "yes")]
    pub decided: bool,
    /// The verdict in words.
    pub message: String,
}

/// What every verdict was before some could be left open.
fn yes() -> bool {
    true
}

impl Report {
    /// Deliveries per second over the measured stage; absent when nothing was measured. What
    /// arrived in the drain does not count: a backlog was not delivered at that rate.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let counts = &self.counts;
        let delivered = counts.delivered_in_time.unwrap_or(counts.delivered);
        (self.stages.measured_s > 0.0).then(|| delivered as f64 / self.stages.measured_s)
    }

    /// Share of TLS handshakes that resumed a session; absent when there were none.
    #[must_use]
    pub fn tls_resumed_ratio(&self) -> Option<f64> {
        let connections = &self.connections;
        let all = connections.tls_full + connections.tls_resumed;
        (all > 0).then(|| connections.tls_resumed as f64 / all as f64)
    }

    /// Deliveries of the measured time that never came: lost ones, and those of messages that the
    /// server never took, each counted for as many receivers as a message had.
    #[must_use]
    pub fn never_came(&self) -> u64 {
        let counts = &self.counts;
        let receivers = counts.expected.div_ceil(counts.sent.max(1)).max(1);
        counts.lost + counts.unread() * receivers
    }

    /// Latency, with what never came.
    #[must_use]
    pub fn latency(&self) -> Times<'_> {
        Times::with_never(&self.histograms.latency, self.never_came())
    }

    /// Latency from the actual send, with what never came.
    #[must_use]
    pub fn latency_uncorrected(&self) -> Times<'_> {
        Times::with_never(&self.histograms.latency_uncorrected, self.never_came())
    }

    /// Latency of misbehaving clients, with the gaps that they saw.
    #[must_use]
    pub fn latency_misbehaving(&self) -> Times<'_> {
        let histograms = &self.histograms;
        Times::with_never(&histograms.latency_misbehaving, self.misbehaving.lost)
    }

    /// Share of expected deliveries that never came; absent when none were expected.
    #[must_use]
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.counts.expected > 0).then(|| self.counts.lost as f64 / self.counts.expected as f64)
    }
}

impl Server {
    /// Works out the figures per delivery again after the sums have changed.
    pub fn divide(&mut self) {
        let per = |ns: u64| (self.deliveries > 0).then(|| ns as f64 / self.deliveries as f64);
        self.cpu_per_delivery_ns = self.cpu_ns.and_then(per);
        let parts = [self.cpu_user_ns, self.cpu_system_ns];
        let long_enough = parts.iter().sum::<u64>() >= TICKED_CPU_MIN_NS;
        [self.user_per_delivery_ns, self.system_per_delivery_ns] =
            parts.map(|part| per(part).filter(|_| long_enough));
    }

    /// User and kernel CPU time per delivery, as exactly as is known.
    #[must_use]
    pub fn cpu_per_delivery_ns(&self) -> Option<f64> {
        let in_ticks = || Some(self.user_per_delivery_ns? + self.system_per_delivery_ns?);
        self.cpu_per_delivery_ns.or_else(in_ticks)
    }
}

impl ScenarioReport {
    /// What makes two runs incomparable, each as `name: this and that`; empty when they put the
    /// same load on a server. Where the server is, how the generator is spread and the seed may
    /// differ, not how it waits: who wakes it pays for that. The dialect may, because what it costs is a comparison.
    /// `clients_too` is false for reports that are about to be joined, which must have one dialect, and timelines of one
    /// resolution.
    #[must_use]
    pub fn differences(&self, other: &Self, clients_too: bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |name: &str, a: String, b: String| {
            if a != b {
                found.push(format!("{name} {a} and {b}"));
            }
        };
        if clients_too {
            compare(
                "clients",
                self.clients.to_string(),
                other.clients.to_string(),
            );
            compare(
                "churn",
                self.churn_per_s.to_string(),
                other.churn_per_s.to_string(),
            );
            compare(
                "drops",
                self.drops_per_s.to_string(),
                other.drops_per_s.to_string(),
            );
            compare(
                "host kills",
                self.host_kills_per_s.to_string(),
                other.host_kills_per_s.to_string(),
            );
            compare(
                "slow readers",
                self.slow_readers.to_string(),
                other.slow_readers.to_string(),
            );
            compare(
                "stalling readers",
                self.stalling_readers.to_string(),
                other.stalling_readers.to_string(),
            );
        }
        if !clients_too {
            compare("dialect", self.profile.clone(), other.profile.clone());
            let shown = |scenario: &Self| format!("{} s", scenario.interval_s);
            compare("interval", shown(self), shown(other));
        }
        compare(
            "room size",
            self.room_size.to_string(),
            other.room_size.to_string(),
        );
        compare(
            "senders per room",
            self.senders_per_room.to_string(),
            other.senders_per_room.to_string(),
        );
        let said = |scenario: &Self| (scenario.rate_hz + scenario.states_hz).to_string();
        compare("rate", said(self), said(other));
        if !clients_too {
            compare("keys", self.keys.to_string(), other.keys.to_string());
            compare("groups", self.groups.clone(), other.groups.clone());
            compare("tick", self.tick_hz.to_string(), other.tick_hz.to_string());
        }
        compare(
            "size",
            self.size_bytes.to_string(),
            other.size_bytes.to_string(),
        );
        compare("schedule", self.schedule.clone(), other.schedule.clone());
        compare("polling", self.polling.clone(), other.polling.clone());
        compare("kind", self.kind.clone(), other.kind.clone());
        compare(
            "duration",
            self.duration_s.to_string(),
            other.duration_s.to_string(),
        );
        found
    }
}
