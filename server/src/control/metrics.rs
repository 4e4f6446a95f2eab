//! Metrics in the OpenMetrics text format, by prometheus-client.
//!
//! Owns: their names, and what each says. Must not know: who asks. Invariants: no label holds a room, a player, an address,
//! an origin or a path; there are at most [`METRIC_SERIES_MAX`](crate::limits::METRIC_SERIES_MAX) series, however many
//! reactors there are.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::process::Process;
use super::system;
use crate::limits::CERTIFICATES_TOLD;
use crate::reactor::Address;
use crate::shard::{AtDoor, BatchSizes, Counters, Histogram, Pace};

/// What stands in front of every name.
const PREFIX: &str = "roomcast";

/// All of them, as of now.
pub(super) fn text(process: Arc<Process>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Scrape { process }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// One answer. Everything is read once, so that its numbers are of one moment.
#[derive(Debug)]
struct Scrape {
    process: Arc<Process>,
}

/// What is told of one reactor.
type OfPace = fn(&Pace) -> f64;

/// What is told of one door.
type OfDoor = fn(&AtDoor) -> u64;

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// A number that only grows, or one that is as of now.
#[derive(Debug, Clone, Copy)]
enum Number {
    Total(u64),
    Now(f64),
}

impl Number {
    fn of_now(count: usize) -> Self {
        Self::Now(count as f64)
    }

    fn kind(self) -> MetricType {
        match self {
            Self::Total(_) => MetricType::Counter,
            Self::Now(_) => MetricType::Gauge,
        }
    }

    fn encode(self, into: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Total(count) => ConstCounter::new(count).encode(into),
            Self::Now(value) => ConstGauge::new(value).encode(into),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let into = &mut encoder;
        let counted = self.process.counted();
        self.process.of_process(into)?;
        self.process.of_paces(into)?;
        self.process.of_doors(&counted, into)?;
        self.process.of_control(into)?;
        of_totals(&counted, into)?;
        of_gauges(&counted, into)?;
        of_residence(&counted.residence, into)?;
        of_batches(&counted.batches, into)?;
        of_labels(&counted, into)
    }
}

fn one(into: &mut DescriptorEncoder<'_>, name: &str, help: &str, number: Number) -> fmt::Result {
    let metric = into.encode_descriptor(name, help, None, number.kind())?;
    number.encode(metric)
}

/// One metric with a series for each set of labels.
fn each<const N: usize>(
    into: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
) -> fmt::Result {
    let mut metric = into.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in series {
        ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

impl Process {
    fn of_process(&self, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let common = &self.common;
        let mut info =
            into.encode_descriptor("build", "What this program is", None, MetricType::Info)?;
        info.encode_info(&[
            ("version", env!("CARGO_PKG_VERSION")),
            ("config", self.config.as_str()),
        ])?;
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH);
        let began = since(self.began).unwrap_or_default().as_secs_f64();
        let numbers = [
            (
                "start_time_seconds",
                "When the process began, in seconds since 1970",
                Number::Now(began),
            ),
            (
                "reactors",
                "Reactors that were started",
                Number::of_now(common.reactors),
            ),
            (
                "players",
                "Connections with a seat",
                Number::of_now(common.seated()),
            ),
            (
                "players_max",
                "Connections with a seat that there may be",
                Number::of_now(common.limits.max_connections),
            ),
            (
                "players_away",
                "Players of roomcast.v1 that have lost their connection and may come back",
                Number::of_now(common.away()),
            ),
            (
                "v1_rooms",
                "Rooms that speak roomcast.v1",
                Number::of_now(common.v1_rooms()),
            ),
            (
                "connections",
                "Connections in any phase",
                Number::of_now(common.connections()),
            ),
            (
                "draining",
                "1 from the order to drain on",
                Number::Now(f64::from(u8::from(common.drain_ordered().is_some()))),
            ),
            (
                "open_files_max",
                "Files that the process may have open",
                Number::Now(self.open_files_max as f64),
            ),
            (
                "log_lines_dropped",
                "Lines of the log that found no room, because nobody reads them",
                Number::Total((self.dropped_log_lines)()),
            ),
        ];
        for (name, help, number) in numbers {
            one(into, name, help, number)?;
        }
        self.of_system(into)
    }

    fn of_system(&self, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = |value: Option<u64>| value.map(|value| Number::Now(value as f64));
        let numbers = [
            (
                "open_files",
                "Files that the process has open",
                now(system::open_files()),
            ),
            (
                "resident_bytes",
                "Memory that the process holds",
                now(system::resident()),
            ),
            (
                "listen_overflows",
                "Connections that this machine's kernel turned away, of any program, because nobody accepted in time",
                system::listen_overflows().map(Number::Total),
            ),
        ];
        for (name, help, number) in numbers {
            if let Some(number) = number {
                one(into, name, help, number)?;
            }
        }
        let help = "When each of the certificates in force ends, in seconds since 1970: by its number, in the order of the flags";
        let name = "certificates_end_seconds";
        let mut metric = into.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let ends = (self.certificates_end)();
        for (number, end) in (0u32..).zip(ends.into_iter().take(CERTIFICATES_TOLD)) {
            let labels = [("certificate", number.to_string())];
            ConstGauge::new(end as f64).encode(metric.encode_family(&labels)?)?;
        }
        let help = "Processor time of each thread";
        let name = "thread_cpu_seconds";
        let mut metric = into.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (thread, seconds) in system::threads() {
            let labels = [("thread", thread)];
            ConstCounter::new(seconds).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Who came by which door, by their numbers.
    fn of_doors(&self, counted: &Counters, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metrics: [(&str, &str, OfDoor); 2] = [
            (
                "door_connections",
                "Connections in any phase, by the number of the door: in the order in which the log says what is listened on",
                |door| door.connections,
            ),
            ("door_players", "Connections with a seat, by door", |door| {
                door.players
            }),
        ];
        for (name, help, of) in metrics {
            let mut metric = into.encode_descriptor(name, help, None, MetricType::Gauge)?;
            let doors = counted.stock.doors.iter().zip(&self.doors);
            for (number, (at, security)) in doors.enumerate() {
                let labels = [
                    ("door", number.to_string()),
                    ("security", (*security).to_owned()),
                ];
                ConstGauge::new(of(at) as f64).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// How the control plane itself does.
    fn of_control(&self, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let health = &self.health;
        one(
            into,
            "control_failures",
            "Times that the control plane failed as a whole and began anew",
            Number::Total(health.failures()),
        )?;
        one(
            into,
            "control_connections",
            "Connections of operators and scrapers",
            Number::Now(health.connections() as f64),
        )?;
        each(
            into,
            "control_requests",
            "Requests of operators and scrapers, by what came of them",
            health
                .requests()
                .map(|(kind, count)| ([("kind", kind)], count)),
        )?;
        each(
            into,
            "control_unanswered",
            "Questions that a reactor did not answer: too many asked, it had ended, or it took more than a second",
            health
                .questions_unanswered()
                .map(|(kind, count)| ([("kind", kind)], count)),
        )
    }

    /// By reactor, what only says something of each.
    fn of_paces(&self, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let paces = self.paces();
        let numbers: [(&str, &str, OfPace); 3] = [
            (
                "reactor_busy_seconds",
                "From the ends of polls to the ends of their iterations",
                |pace| seconds(pace.busy_us),
            ),
            ("reactor_iterations", "Iterations", |pace| {
                pace.iterations as f64
            }),
            ("reactor_events", "Events that polls reported", |pace| {
                pace.events as f64
            }),
        ];
        for (name, help, number) in numbers {
            let mut metric = into.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (reactor, pace) in paces.iter().enumerate() {
                let labels = [("reactor", reactor)];
                ConstCounter::new(number(pace)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let longest = |of: fn(&Pace) -> u64| paces.iter().map(of).max().unwrap_or_default();
        let depths = self.addresses.iter().map(Address::depth);
        let sum = |of: fn(&Pace) -> u64| paces.iter().map(of).sum::<u64>();
        let questions = self.addresses.iter().map(Address::questions);
        one(
            into,
            "mails_refused",
            "Connections that could not go to another reactor, because its mailbox was full",
            Number::Total(sum(|pace| pace.mails_refused)),
        )?;
        let numbers = [
            (
                "longest_iteration_seconds",
                "The longest iteration of any reactor in the last minute or two",
                seconds(longest(|pace| pace.longest_us)),
            ),
            (
                "timers_late_seconds",
                "By how much a poll overslept at most in the last minute or two, and so by how much timers were late",
                seconds(longest(|pace| pace.late_us)),
            ),
            (
                "mailbox_depth",
                "Connections and requests on their way in the fullest mailbox",
                depths.max().unwrap_or_default() as f64,
            ),
            (
                "handshakes_waiting",
                "TLS handshakes, and request heads with tickets, that wait for their turn",
                sum(|pace| pace.handshakes_waiting) as f64,
            ),
            (
                "accept_queue",
                "Connections that wait to be accepted",
                sum(|pace| pace.queued) as f64,
            ),
            (
                "questions_waiting",
                "What operators have asked and the reactor that is asked most has not answered",
                questions.max().unwrap_or_default() as f64,
            ),
        ];
        for (name, help, value) in numbers {
            one(into, name, help, Number::Now(value))?;
        }
        Ok(())
    }
}

/// What reactors have counted since they began, all of them together.
fn of_totals(counted: &Counters, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let totals = [
        (
            "connections_thronged",
            "Connections closed as they came: too many of their address had no seat",
            counted.thronged,
        ),
        (
            "connections_crowded",
            "Connections closed as they came: there was no room even to answer them",
            counted.crowded,
        ),
        (
            "connections_undealt",
            "Connections closed as they came: the mailbox of the reactor that they were dealt to was full",
            counted.undealt,
        ),
        (
            "hand_offs",
            "Connections that went to the reactor that is home to their room",
            counted.adopted,
        ),
        (
            "messages_received",
            "Messages received whole",
            counted.messages,
        ),
        (
            "deliveries",
            "Messages written, each as often as it had receivers",
            counted.residence.count(),
        ),
        ("writes", "Writes offered to sockets", counted.writes),
        (
            "received_bytes",
            "Bytes that came from sockets",
            counted.received,
        ),
        ("sent_bytes", "Bytes that sockets took", counted.sent),
        (
            "connections_cut_off",
            "Connections reset at their end: their peers took too little of what was left",
            counted.cut_off,
        ),
        (
            "reads_delayed",
            "Times that somebody was read later, having sent more than it may in a second",
            counted.delayed,
        ),
    ];
    for (name, help, count) in totals {
        one(into, name, help, Number::Total(count))?;
    }
    Ok(())
}

/// What reactors have now, all of them together.
fn of_gauges(counted: &Counters, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let now = [
        ("rooms", "Rooms with members", counted.rooms),
        (
            "players_pressing",
            "Players who do not take all that is there for them, and still take some",
            counted.pressing,
        ),
        (
            "players_paused",
            "Players who are read no further for now",
            counted.paused,
        ),
        (
            "log_bytes",
            "Bytes of what was said lately in roomcast.v1 rooms",
            counted.logged,
        ),
        (
            "snapshot_bytes",
            "Bytes of the snapshots of roomcast.v1 rooms",
            counted.snapshots,
        ),
        (
            "pinned_bytes",
            "Bytes of batches that only slow receivers still refer to",
            counted.pinned,
        ),
        (
            "waiting_bytes",
            "Bytes that wait for peers who do not take them",
            counted.stock.waiting,
        ),
        (
            "input_bytes",
            "Bytes of frames and messages that have not come whole, or have not been heard",
            counted.stock.input,
        ),
        (
            "spare_bytes",
            "Bytes of buffers that wait for the next batches",
            counted.spare,
        ),
        (
            "lingering_connections",
            "Connections that end and of which peers have not taken what is left",
            counted.lingering,
        ),
    ];
    for (name, help, value) in now {
        one(into, name, help, Number::Now(value as f64))?;
    }
    Ok(())
}

/// How many messages leave together.
fn of_batches(batches: &BatchSizes, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Batches that raw rooms have sent, by the messages in each";
    let mut metric = into.encode_descriptor("batch_messages", help, None, MetricType::Histogram)?;
    let rows = batches.rows();
    let buckets: Vec<(f64, u64)> = rows
        .map(|(end, count)| (end.map_or(f64::INFINITY, f64::from), count))
        .collect();
    let sum = batches.messages() as f64;
    metric.encode_histogram::<NoLabelSet>(sum, batches.count(), &buckets, None)
}

/// How long messages are here.
fn of_residence(residence: &Histogram, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "From when a message may have come to its socket until it is written to one of its receivers";
    let name = "residence_seconds";
    let mut metric = into.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let rows = residence.rows();
    let buckets: Vec<(f64, u64)> = rows
        .map(|(end, count)| (end.map_or(f64::INFINITY, seconds), count))
        .collect();
    let sum = seconds(residence.sum_us());
    metric.encode_histogram::<NoLabelSet>(sum, residence.count(), &buckets, None)
}

/// What is told apart by labels.
fn of_labels(counted: &Counters, into: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let agreed = [
        ([("kind", "full")], counted.tls_full),
        ([("kind", "resumed")], counted.tls_resumed),
    ];
    let accepted = [
        (
            [("security", "plain")],
            counted.accepted - counted.accepted_tls,
        ),
        ([("security", "tls")], counted.accepted_tls),
    ];
    let help = "Connections accepted from listeners";
    each(into, "connections_accepted", help, accepted)?;
    each(into, "tls_handshakes", "TLS sessions agreed on", agreed)?;
    let ends = counted
        .ends
        .rows()
        .map(|(reason, blame, count)| ([("reason", reason), ("blame", blame)], count));
    each(
        into,
        "ends",
        "Ends of connections, why and who has to do something about it",
        ends,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::{METRIC_SERIES_MAX, REACTORS_MAX};
    use crate::shard::CloseReason;

    fn process(reactors: usize) -> Arc<Process> {
        Arc::new(Process::unserved(reactors))
    }

    /// Lines that are no comments.
    fn series(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn what_reactors_publish_is_told_together() {
        let process = process(2);
        for (published, received) in process.published.iter().zip([5, 7]) {
            let mut counters = published.lock();
            counters.received = received;
            counters.rooms = 1;
            for messages in [1, 3, 5_000] {
                counters.batches.note(messages);
            }
            counters.ends.note(CloseReason::SlowConsumer);
        }
        let text = text(process).unwrap();
        for line in [
            "roomcast_received_bytes_total 12",
            "roomcast_rooms 2.0",
            "roomcast_ends_total{reason=\"slow_consumer\",blame=\"peer\"} 2",
            "# TYPE roomcast_received_bytes counter",
            "roomcast_deliveries_total 0",
            "# TYPE roomcast_residence_seconds histogram",
            "roomcast_residence_seconds_bucket{le=\"0.000064\"} 0",
            "roomcast_residence_seconds_bucket{le=\"+Inf\"} 0",
            "roomcast_batch_messages_bucket{le=\"1.0\"} 2",
            "roomcast_batch_messages_bucket{le=\"2.0\"} 2",
            "roomcast_batch_messages_bucket{le=\"4.0\"} 4",
            "roomcast_batch_messages_bucket{le=\"1024.0\"} 4",
            "roomcast_batch_messages_bucket{le=\"+Inf\"} 6",
            "roomcast_batch_messages_sum 10008.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn however_many_reactors_there_are_the_series_are_few() {
        let text = text(process(REACTORS_MAX)).unwrap();
        let count = series(&text).len();
        assert!((70..=METRIC_SERIES_MAX).contains(&count), "{count}");
        let different: BTreeSet<&str> = series(&text)
            .iter()
            .filter_map(|line| Some(line.rsplit_once(' ')?.0))
            .collect();
        assert_eq!(different.len(), count, "each series is told once");
    }

    #[test]
    fn labels_are_these_and_no_others() {
        let text = text(process(2)).unwrap();
        let labels: BTreeSet<&str> = series(&text)
            .iter()
            .filter_map(|line| line.split_once('{')?.1.split_once('}'))
            .flat_map(|(labels, _)| labels.split(','))
            .filter_map(|label| Some(label.split_once('=')?.0))
            .collect();
        let known = [
            "blame",
            "certificate",
            "config",
            "door",
            "kind",
            "le",
            "reactor",
            "reason",
            "security",
            "thread",
            "version",
        ];
        assert_eq!(labels, BTreeSet::from(known));
    }
}
