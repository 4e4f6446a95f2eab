//! `loadgen merge`: one report from those of several generators that loaded one server together.
//!
//! It owns what adding two reports means. It must not know files or the command line.
//!
//! Invariant: counts and histograms are added exactly, so every percentile of the result is that
//! of all values together; percentiles are never averaged. The result is valid only if every
//! part is.

use std::collections::HashMap;

use crate::exit::Failure;
use crate::outcome::empty_histogram;
use crate::report::{
    Connections, Counts, Generator, Histograms, Interval, Reason, Report, Server, Stages, Traffic,
    histogram, metrics, time::rfc3339, units::duration,
};

/// By how much the clocks of two generators may differ, unless the runs are so short that this is
/// more than half of one.
const CLOCK_SKEW_MAX_S: f64 = 2.0;

/// Joins reports, each with the name it is called by in messages.
///
/// The server's figures are kept when all reports that have them are about one process at one
/// time; they are divided by the deliveries of all. Memory per connection, which the connections
/// of one generator do not explain, is left out.
///
/// # Errors
/// One line and exit code 2: fewer than two reports, reports of different loads, one report given
/// twice, or runs that were not at the same time.
pub fn merge(parts: &[(String, Report)]) -> Result<Report, Failure> {
    let [(first_name, first), rest @ ..] = parts else {
        return Err(Failure::usage("merge needs two reports or more"));
    };
    if rest.is_empty() {
        return Err(Failure::usage("merge needs two reports or more"));
    }
    for (name, part) in rest {
        let differences = first.scenario.differences(&part.scenario, false);
        if !differences.is_empty() {
            return Err(Failure::usage(format!(
                "{first_name} and {name} are not parts of one load: {}",
                differences.join("; ")
            )));
        }
    }
    refuse_the_same_twice(parts)?;
    refuse_one_after_the_other(parts)?;
    let mut whole = first.clone();
    for (name, part) in rest {
        add(&mut whole, part)
            .map_err(|error| Failure::usage(format!("{first_name} and {name}: {error}")))?;
    }
    whole.validity.reasons = parts
        .iter()
        .flat_map(|(name, part)| {
            part.validity.reasons.iter().map(move |reason| Reason {
                code: reason.code.clone(),
                message: format!("{name}: {}", reason.message),
            })
        })
        .collect();
    whole.validity.valid = whole.validity.reasons.is_empty();
    whole.server = the_same_server(parts, whole.counts.delivered + whole.misbehaving.delivered);
    (whole.verdict, whole.checks) = (None, Vec::new());
    whole.metrics = metrics::all(&whole);
    Ok(whole)
}

/// Each run counts once.
fn refuse_the_same_twice(parts: &[(String, Report)]) -> Result<(), Failure> {
    let mut seen = HashMap::new();
    for (name, part) in parts {
        let run = (
            &part.scenario.room_prefix,
            part.scenario.seed,
            part.started_at_unix_ms,
            part.measured_at_unix_ms,
        );
        if let Some(before) = seen.insert(run, name) {
            return Err(Failure::usage(format!(
                "{before} and {name} are of the same run, of {}: give the report of each generator once",
                rfc3339(part.started_at_unix_ms)
            )));
        }
    }
    Ok(())
}

/// Generators load a server together only while all of them measure. If there is no time common
/// to all, the one that began last did so after the first had ended.
fn refuse_one_after_the_other(parts: &[(String, Report)]) -> Result<(), Failure> {
    let last = parts
        .iter()
        .max_by(|a, b| began(&a.1).total_cmp(&began(&b.1)));
    let first = parts
        .iter()
        .min_by(|a, b| ended(&a.1).total_cmp(&ended(&b.1)));
    let (Some((last, late)), Some((first, early))) = (last, first) else {
        return Ok(());
    };
    let gap = began(late) - ended(early);
    let skew = CLOCK_SKEW_MAX_S.min(late.scenario.duration_s / 2.0);
    if gap < skew {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{first} and {last} did not load the server together: the second began to measure {} after the first had ended; start the generators at the same time (runs one after the other are for `loadgen compare`)",
        duration(gap * 1e9)
    )))
}

/// When a run began to measure, in seconds of its machine's clock.
fn began(report: &Report) -> f64 {
    report.measured_at_unix_ms as f64 / 1e3
}

/// When it ended.
fn ended(report: &Report) -> f64 {
    began(report) + report.stages.measured_s
}

/// Adds all of `part` but its verdicts and its server.
fn add(whole: &mut Report, part: &Report) -> Result<(), String> {
    whole.runs += part.runs;
    whole.started_at_unix_ms = whole.started_at_unix_ms.min(part.started_at_unix_ms);
    whole.measured_at_unix_ms = whole.measured_at_unix_ms.min(part.measured_at_unix_ms);
    let (scenario, other) = (&mut whole.scenario, &part.scenario);
    scenario.clients += other.clients;
    scenario.rooms += other.rooms;
    scenario.connect_rate_per_s += other.connect_rate_per_s;
    scenario.churn_per_s += other.churn_per_s;
    scenario.drops_per_s += other.drops_per_s;
    scenario.slow_readers += other.slow_readers;
    scenario.stalling_readers += other.stalling_readers;
    scenario.threads += other.threads;
    scenario.source_addresses += other.source_addresses;
    longest(&mut whole.stages, &part.stages);
    add_counts(&mut whole.counts, &part.counts);
    add_counts(&mut whole.misbehaving, &part.misbehaving);
    add_counts(&mut whole.warmup, &part.warmup);
    add_connections(&mut whole.connections, &part.connections);
    add_traffic(&mut whole.traffic, &part.traffic);
    add_histograms(&mut whole.histograms, &part.histograms)?;
    add_timeline(&mut whole.timeline, &part.timeline)?;
    add_generator(&mut whole.generator, &part.generator);
    Ok(())
}

/// The parts ran at the same time, so each stage took as long as its longest.
fn longest(whole: &mut Stages, part: &Stages) {
    for (whole, part) in [
        (&mut whole.ramp_s, part.ramp_s),
        (&mut whole.settle_s, part.settle_s),
        (&mut whole.warmup_s, part.warmup_s),
        (&mut whole.measured_s, part.measured_s),
        (&mut whole.drain_s, part.drain_s),
        (&mut whole.close_s, part.close_s),
    ] {
        *whole = whole.max(part);
    }
}

fn add_counts(whole: &mut Counts, part: &Counts) {
    for (whole, part) in [
        (&mut whole.offered, part.offered),
        (&mut whole.sent, part.sent),
        (&mut whole.sent_in_time, part.sent_in_time),
        (&mut whole.blocked, part.blocked),
        (&mut whole.unconnected, part.unconnected),
        (&mut whole.expected, part.expected),
        (&mut whole.delivered, part.delivered),
        (&mut whole.lost, part.lost),
        (&mut whole.superseded, part.superseded),
        (&mut whole.duplicates, part.duplicates),
        (&mut whole.reordered, part.reordered),
        (&mut whole.corrupted, part.corrupted),
        (&mut whole.leaked, part.leaked),
        (&mut whole.own_echoed, part.own_echoed),
    ] {
        *whole += part;
    }
    // Only the sum of known numbers is known.
    whole.delivered_in_time = whole
        .delivered_in_time
        .zip(part.delivered_in_time)
        .map(|(whole, part)| whole + part);
}

fn add_connections(whole: &mut Connections, part: &Connections) {
    for (whole, part) in [
        (&mut whole.joined, part.joined),
        (&mut whole.refused, part.refused),
        (&mut whole.disconnected, part.disconnected),
        (
            &mut whole.disconnected_misbehaving,
            part.disconnected_misbehaving,
        ),
        (&mut whole.truncated, part.truncated),
        (&mut whole.tls_full, part.tls_full),
        (&mut whole.tls_resumed, part.tls_resumed),
        (&mut whole.leaves, part.leaves),
        (&mut whole.rejoins, part.rejoins),
        (&mut whole.rejoins_failed, part.rejoins_failed),
        (&mut whole.drops, part.drops),
        (&mut whole.host_kills, part.host_kills),
        (&mut whole.resumes, part.resumes),
        (&mut whole.resumes_failed, part.resumes_failed),
        (&mut whole.resets, part.resets),
        (&mut whole.resets_misbehaving, part.resets_misbehaving),
        (&mut whole.close_failed, part.close_failed),
    ] {
        *whole += part;
    }
    for (reason, times) in &part.failed {
        *whole.failed.entry(reason.clone()).or_default() += times;
    }
    for (rule, times) in &part.violations {
        *whole.violations.entry(rule.clone()).or_default() += times;
    }
    for (code, times) in &part.close_codes {
        *whole.close_codes.entry(*code).or_default() += times;
    }
}

fn add_traffic(whole: &mut Traffic, part: &Traffic) {
    whole.received_bytes += part.received_bytes;
    whole.sent_bytes += part.sent_bytes;
}

fn add_histograms(whole: &mut Histograms, part: &Histograms) -> Result<(), String> {
    for (whole, part) in [
        (&mut whole.latency, &part.latency),
        (&mut whole.latency_uncorrected, &part.latency_uncorrected),
        (&mut whole.latency_misbehaving, &part.latency_misbehaving),
        (&mut whole.connect, &part.connect),
        (&mut whole.tls, &part.tls),
        (&mut whole.join, &part.join),
        (&mut whole.rejoin, &part.rejoin),
        (&mut whole.resume, &part.resume),
        (&mut whole.state_age, &part.state_age),
        (&mut whole.host_change, &part.host_change),
        (&mut whole.send_lag, &part.send_lag),
        (&mut whole.receive_wait, &part.receive_wait),
    ] {
        histogram::add(whole, part)?;
    }
    Ok(())
}

/// Adds interval by interval, counted from when each part began to measure.
fn add_timeline(whole: &mut Vec<Interval>, part: &[Interval]) -> Result<(), String> {
    for (index, interval) in part.iter().enumerate() {
        let Some(sum) = whole.get_mut(index) else {
            whole.extend_from_slice(&part[index..]);
            break;
        };
        sum.length_s = sum.length_s.max(interval.length_s);
        sum.offered += interval.offered;
        sum.sent += interval.sent;
        sum.delivered += interval.delivered;
        sum.max_lag_ns = sum.max_lag_ns.max(interval.max_lag_ns);
        sum.server_cpu_ns = sum.server_cpu_ns.xor(interval.server_cpu_ns);
        let mut latency = empty_histogram();
        for part in [&sum.latency, &interval.latency] {
            histogram::add(&mut latency, &part.to_histogram())?;
        }
        sum.latency = histogram::to_sparse(&latency);
    }
    Ok(())
}

fn add_generator(whole: &mut Generator, part: &Generator) {
    whole.threads += part.threads;
    whole.cpu_ns += part.cpu_ns;
    whole.busiest_thread_ratio = whole.busiest_thread_ratio.max(part.busiest_thread_ratio);
    whole.occupied_ratio = whole.occupied_ratio.max(part.occupied_ratio);
    whole.max_lag_ns = whole.max_lag_ns.max(part.max_lag_ns);
    whole.max_iteration_ns = whole.max_iteration_ns.max(part.max_iteration_ns);
}

/// What is known of the server when every part that watched one watched the same process at the
/// same time. Each of them saw the CPU time that the load of all took, so the largest is taken.
fn the_same_server(parts: &[(String, Report)], deliveries: u64) -> Option<Server> {
    let mut watching = parts
        .iter()
        .filter_map(|(_, part)| Some((part, part.server.as_ref()?)));
    let (first, server) = watching.next()?;
    let mut server = server.clone();
    for (part, other) in watching {
        let same = other.pid == server.pid && part.scenario.url == first.scenario.url;
        if !same || !at_the_same_time(first, part) {
            return None;
        }
        for (largest, other) in [
            (&mut server.cpu_user_ns, other.cpu_user_ns),
            (&mut server.cpu_system_ns, other.cpu_system_ns),
            (&mut server.rss_idle_bytes, other.rss_idle_bytes),
            (&mut server.rss_end_bytes, other.rss_end_bytes),
            (&mut server.rss_peak_bytes, other.rss_peak_bytes),
        ] {
            *largest = (*largest).max(other);
        }
        server.cpu_ns = server.cpu_ns.zip(other.cpu_ns).map(|(a, b)| a.max(b));
        server.rss_before_bytes = server.rss_before_bytes.min(other.rss_before_bytes);
    }
    server.deliveries = deliveries;
    server.memory_per_connection_bytes = None;
    server.divide();
    Some(server)
}

/// Whether the measured stages overlap by more than half of the shorter.
fn at_the_same_time(a: &Report, b: &Report) -> bool {
    let span = |report: &Report| (began(report), ended(report));
    let ((a_start, a_end), (b_start, b_end)) = (span(a), span(b));
    let overlap = a_end.min(b_end) - a_start.max(b_start);
    overlap > 0.5 * (a_end - a_start).min(b_end - b_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::gate::judge_all;
    use crate::report::sample;
    use proptest::prelude::*;

    fn named(reports: Vec<Report>) -> Vec<(String, Report)> {
        let mut parts = Vec::new();
        for (i, mut report) in reports.into_iter().enumerate() {
            // Each run has rooms of its own; the seed may be the same.
            report.scenario.room_prefix = format!("lg-{i:016x}");
            parts.push((format!("part{i}.json"), report));
        }
        parts
    }

    fn with_latencies(values: &[u64]) -> Report {
        let mut report = sample::report();
        report.histograms.latency = empty_histogram();
        for &value in values {
            report.histograms.latency.record(value).unwrap();
        }
        report.timeline.truncate(1);
        report.timeline[0].latency = histogram::to_sparse(&report.histograms.latency);
        report
    }

    proptest! {
        #[test]
        fn halves_make_the_whole(
            values in prop::collection::vec(1_u64..60_000_000_000, 1..300),
            cut in 0_usize..300,
        ) {
            let (left, right) = values.split_at(cut.min(values.len()));
            // Through JSON, as files would be.
            let parts = [left, right].map(|half| {
                Report::from_json(&with_latencies(half).to_json()).unwrap()
            });
            let whole = merge(&named(parts.to_vec())).unwrap();
            let direct = with_latencies(&values);
            prop_assert_eq!(&whole.histograms.latency, &direct.histograms.latency);
            prop_assert_eq!(&whole.timeline[0].latency, &direct.timeline[0].latency);
            prop_assert_eq!(whole.metrics["latency.p99"], direct.histograms.latency.value_at_percentile(99.0) as f64);
        }
    }

    #[test]
    fn counts_add_up_and_stages_do_not() {
        let mut other = sample::report();
        other.stages.measured_s = 3.5;
        other.counts.lost = 2;
        other.counts.delivered = 538;
        other.counts.delivered_in_time = Some(500);
        other.connections.tls_resumed = 3;
        other.histograms.tls = sample::ladder(200_000, 1_000, 20);
        other.connections.close_codes.insert(1006, 1);
        other.timeline.push(other.timeline[2].clone());
        other.server = None;
        let whole = merge(&named(vec![sample::report(), other])).unwrap();
        assert_eq!(whole.runs, 2);
        assert_eq!(whole.scenario.clients, 40);
        assert_eq!(whole.counts.delivered, 1_078);
        assert_eq!(whole.counts.lost, 2);
        assert_eq!(whole.stages.measured_s, 3.5);
        assert_eq!(whole.rate(), Some(1_040.0 / 3.5));
        assert_eq!(whole.connections.tls_resumed, 3);
        assert_eq!(whole.histograms.tls.len(), 20);
        assert_eq!(whole.connections.close_codes[&1006], 1);
        assert_eq!(whole.timeline.len(), 4);
        assert_eq!(whole.timeline[0].delivered, 360);
        assert_eq!(
            whole.timeline[0].server_cpu_ns, None,
            "two generators saw the same CPU time"
        );
        let server = whole.server.unwrap();
        assert_eq!(server.deliveries, 1_078);
        assert_eq!(server.user_per_delivery_ns, Some(200_000_000.0 / 1_078.0));
        assert_eq!(server.memory_per_connection_bytes, None);
    }

    #[test]
    fn views_of_one_server_are_one_and_those_of_others_are_left_out() {
        let whole = merge(&named(vec![sample::report(), sample::report()])).unwrap();
        let server = whole.server.unwrap();
        assert_eq!(server.cpu_user_ns, 200_000_000);
        assert_eq!(server.deliveries, 1_080);
        assert_eq!(server.user_per_delivery_ns, Some(200_000_000.0 / 1_080.0));

        let mut elsewhere = sample::report();
        elsewhere.server.as_mut().unwrap().pid = 1;
        let mut later = sample::report();
        later.measured_at_unix_ms += 2_000;
        for other in [elsewhere, later] {
            let whole = merge(&named(vec![sample::report(), other])).unwrap();
            assert_eq!(whole.server, None);
        }
    }

    #[test]
    fn only_runs_at_one_time_and_each_once_are_joined() {
        let at = |ms: u64| {
            let mut report = sample::report();
            report.measured_at_unix_ms += ms;
            report
        };
        // Three seconds each, of clocks that may differ by one and a half.
        for (shifts, want) in [
            (&[0, 0][..], None),
            (&[0, 4_400], None),
            (
                &[0, 5_000],
                Some(
                    "part0.json and part1.json did not load the server together: the second began to measure 2 s after",
                ),
            ),
            (
                &[0, 60_000, 3_000],
                Some("part0.json and part1.json did not load"),
            ),
            (&[60_000, 0], Some("part1.json and part0.json did not load")),
        ] {
            let parts = named(shifts.iter().map(|&ms| at(ms)).collect());
            match (merge(&parts), want) {
                (Ok(_), None) => {}
                (Err(failure), Some(want)) => {
                    assert_eq!(failure.exit, Exit::Usage);
                    assert!(failure.message.starts_with(want), "{failure}");
                }
                (result, _) => panic!("{shifts:?}: {result:?}"),
            }
        }
        let mut twice = named(vec![at(0), at(0), at(0)]);
        twice[2].1.scenario.room_prefix = twice[0].1.scenario.room_prefix.clone();
        let failure = merge(&twice).unwrap_err();
        let want = "part0.json and part2.json are of the same run, of 2023-11-14T22:13:20Z: ";
        assert!(failure.message.starts_with(want), "{failure}");
    }

    #[test]
    fn one_invalid_part_spoils_the_whole() {
        let mut bad = sample::report();
        bad.validity.reasons.push(Reason {
            code: "generator_saturated".to_owned(),
            message: "too much".to_owned(),
        });
        let mut whole = merge(&named(vec![sample::report(), bad])).unwrap();
        assert_eq!(judge_all(&[], &[], &mut whole), Exit::InvalidRun);
        assert_eq!(whole.validity.reasons[0].message, "part1.json: too much");
    }

    #[test]
    fn other_loads_and_single_reports_are_refused() {
        let mut other = sample::report();
        other.scenario.size_bytes = 128;
        other.scenario.rate_hz = 2.0;
        let failure = merge(&named(vec![sample::report(), other])).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(
            failure.message,
            "part0.json and part1.json are not parts of one load: rate 1 and 2; size 64 and 128"
        );
        let mut finer = sample::report();
        finer.scenario.interval_s = 0.1;
        let failure = merge(&named(vec![sample::report(), finer])).unwrap_err();
        assert!(
            failure.message.contains("interval 1 s and 0.1 s"),
            "{failure}"
        );
        assert_eq!(
            merge(&named(vec![sample::report()])).unwrap_err().exit,
            Exit::Usage
        );
        assert_eq!(merge(&[]).unwrap_err().exit, Exit::Usage);
    }
}
