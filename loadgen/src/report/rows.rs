//! What is shown of a report, in which order and under which name; how it looks is for others.
//!
//! It owns the wording that the terminal table and summary.md share. It must not know columns,
//! colours or Markdown.
//!
//! Invariant: the two never say different things about the same run.

use super::histogram::{PERCENTILES, Times};
use super::units::{bytes, count, duration, ratio, significant};
use super::{Case, CaseStatus, Counts, Report, Status};

/// A line of text under a heading: what it is called and what is said.
pub(super) type Fact = (&'static str, String);

/// The load in one line.
pub(super) fn load(report: &Report) -> String {
    let scenario = &report.scenario;
    let senders = if scenario.senders_per_room == scenario.room_size {
        "each sends".to_owned()
    } else {
        format!("{} of each room send", count(scenario.senders_per_room))
    };
    let burst = if scenario.schedule == "burst" {
        ", all at once"
    } else {
        ""
    };
    let clients = match scenario.profile.as_str() {
        "v1" => "players of roomcast.v1",
        _ => "clients",
    };
    let carrier = match &scenario.carrier {
        Some(carrier) => format!(" by {carrier}"),
        None => String::new(),
    };
    let states = match scenario.states_hz > 0.0 {
        true => format!(
            " and {} values of {} keys in turn",
            significant(scenario.states_hz),
            count(scenario.keys)
        ),
        false => String::new(),
    };
    let groups = match scenario.groups.as_str() {
        "none" => String::new(),
        groups => format!(" to groups ({groups})"),
    };
    let ticks = match scenario.tick_hz {
        0 => String::new(),
        hz => format!(", on ticks at {} Hz", count(hz)),
    };
    format!(
        "{} {clients}{carrier} in {} {} of {}, {senders} {} {} at {} Hz{states}{groups}{burst}{ticks}, measured for {} s",
        count(scenario.clients),
        count(scenario.rooms),
        if scenario.rooms == 1 { "room" } else { "rooms" },
        count(scenario.room_size.min(scenario.clients)),
        bytes(scenario.size_bytes as f64),
        scenario.kind,
        significant(scenario.rate_hz),
        significant(report.stages.measured_s),
    )
}

/// The verdict, then each reason why it is not a good one.
pub(super) fn verdict(report: &Report) -> (String, Vec<String>) {
    let Some(verdict) = &report.verdict else {
        return ("not judged".to_owned(), Vec::new());
    };
    let is_failed = verdict.status == Status::Failed;
    let mut reasons: Vec<String> = verdict
        .rules_and_checks()
        .filter(|case| case.status == CaseStatus::Failed)
        .map(|case| case.message.clone())
        .collect();
    reasons.extend(report.validity.reasons.iter().map(|reason| {
        let invalid = if is_failed { "invalid, too: " } else { "" };
        format!("{invalid}{}", reason.message)
    }));
    (verdict.headline(), reasons)
}

/// The cases that are worth a line of their own: every check, and what was broken or allowed.
pub(super) fn cases(report: &Report) -> impl Iterator<Item = (&'static str, &Case)> {
    let verdict = report.verdict.iter();
    let cases = verdict.flat_map(|verdict| verdict.worth_telling());
    cases.map(|case| {
        let word = match case.status {
            CaseStatus::Passed => "pass",
            CaseStatus::Failed => "FAIL",
            CaseStatus::Open => "open",
        };
        (word, case)
    })
}

/// Names of the latency columns.
pub(super) fn latency_heads() -> impl Iterator<Item = &'static str> {
    PERCENTILES
        .iter()
        .map(|(name, _)| *name)
        .chain(["max", "count"])
}

/// Every distribution that has values: name, then one cell for each of [`latency_heads`].
pub(super) fn latencies(report: &Report) -> Vec<(&'static str, Vec<String>)> {
    let histograms = &report.histograms;
    let rows = [
        ("latency", report.latency()),
        ("  uncorrected", report.latency_uncorrected()),
        ("  misbehaving", report.latency_misbehaving()),
        ("connect", Times::of(&histograms.connect)),
        ("TLS handshake", Times::of(&histograms.tls)),
        ("join", Times::of(&histograms.join)),
        ("rejoin", Times::of(&histograms.rejoin)),
        ("resume", Times::of(&histograms.resume)),
        ("state age", Times::of(&histograms.state_age)),
        ("host change", report.host_change()),
        ("own send lag", Times::of(&histograms.send_lag)),
        ("own receive wait", Times::of(&histograms.receive_wait)),
    ];
    rows.into_iter()
        .filter(|(_, times)| !times.is_empty())
        .map(|(name, times)| {
            let cells = PERCENTILES
                .iter()
                .map(|(_, percentile)| percentile_cell(times, *percentile))
                .chain([duration(times.max()), count(times.ended())])
                .collect();
            (name, cells)
        })
        .collect()
}

/// A percentile, or a dash where there are too few values for it to differ from the maximum.
fn percentile_cell(times: Times<'_>, percentile: f64) -> String {
    if times.count() as f64 * (100.0 - percentile) < 100.0 {
        return "-".to_owned();
    }
    duration(times.percentile(percentile))
}

/// Name, count between well-behaved clients, and count from or to misbehaving ones when there
/// are such clients, whatever became of them.
pub(super) fn counts(report: &Report) -> Vec<(&'static str, u64, Option<u64>)> {
    let values = |counts: &Counts| {
        [
            counts.offered,
            counts.sent,
            counts.expected,
            counts.delivered,
            counts.lost,
            counts.duplicates,
            counts.reordered,
            counts.corrupted,
            counts.leaked,
        ]
    };
    let names = [
        "offered",
        "sent",
        "expected deliveries",
        "delivered",
        "lost",
        "duplicates",
        "reordered",
        "corrupted",
        "leaked",
    ];
    let scenario = &report.scenario;
    let any = values(&report.misbehaving).iter().any(|&value| value > 0)
        || scenario.slow_readers + scenario.stalling_readers > 0
        || scenario.churn_per_s > 0.0;
    names
        .into_iter()
        .zip(values(&report.counts))
        .zip(values(&report.misbehaving))
        .map(|((name, healthy), apart)| (name, healthy, any.then_some(apart)))
        .collect()
}

/// What else is worth a line: rate, connections, what went wrong there, server, generator.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(rate) = report.rate() {
        let per_second = |total: u64| bytes(total as f64 / report.stages.measured_s);
        facts.push((
            "rate",
            format!(
                "{} deliveries/s, in {}/s, out {}/s",
                count(rate.round() as u64),
                per_second(report.traffic.received_bytes),
                per_second(report.traffic.sent_bytes),
            ),
        ));
    }
    connections(report, &mut facts);
    let counts = &report.counts;
    for (name, times, what) in [
        (
            "echoed",
            counts.own_echoed,
            "messages came back to their sender",
        ),
        (
            "superseded",
            counts.superseded,
            "deliveries by a newer state",
        ),
        (
            "blocked",
            counts.blocked,
            "messages found the server not reading",
        ),
        (
            "unread",
            counts.unread(),
            "messages were never taken by the server",
        ),
        (
            "warm-up",
            report.warmup.lost,
            "deliveries were lost already then",
        ),
    ] {
        if times > 0 {
            facts.push((name, format!("{} {what}", count(times))));
        }
    }
    server(report, &mut facts);
    let generator = &report.generator;
    let threads = match (generator.threads, report.scenario.polling.as_str()) {
        (1, "spinning") => "thread that never sleeps (--spin)",
        (1, _) => "thread",
        (_, "spinning") => "threads that never sleep (--spin)",
        _ => "threads",
    };
    facts.push((
        "generator",
        format!(
            "{} {threads}, the busiest used {} of a core and had {} of its time to spare; longest lag {}",
            count(generator.threads),
            ratio(generator.busiest_thread_ratio),
            ratio((1.0 - generator.occupied_ratio).max(0.0)),
            duration(generator.max_lag_ns as f64),
        ),
    ));
    facts
}

fn connections(report: &Report, facts: &mut Vec<Fact>) {
    let connections = &report.connections;
    facts.push((
        "connections",
        format!(
            "{} of {} joined in {}",
            count(connections.joined),
            count(report.scenario.clients),
            duration(report.stages.ramp_s * 1e9),
        ),
    ));
    for (reason, times) in &connections.failed {
        facts.push(("failed", format!("{} x {reason}", count(*times))));
    }
    tls(report, facts);
    if connections.disconnected + connections.disconnected_misbehaving > 0 {
        facts.push((
            "disconnected",
            format!(
                "{} well-behaved and {} misbehaving clients",
                count(connections.disconnected),
                count(connections.disconnected_misbehaving)
            ),
        ));
    }
    for (rule, times) in &connections.violations {
        facts.push(("violations", format!("{} x {rule}", count(*times))));
    }
    if connections.truncated > 0 {
        facts.push((
            "truncated",
            format!(
                "{} of these without close_notify: what was sent last may be missing",
                count(connections.truncated)
            ),
        ));
    }
    if !connections.close_codes.is_empty() {
        let codes: Vec<String> = connections
            .close_codes
            .iter()
            .map(|(code, times)| format!("{code} x {}", count(*times)))
            .collect();
        facts.push(("close codes", codes.join(", ")));
    }
    if connections.leaves > 0 {
        facts.push((
            "churn",
            format!(
                "{} left, {} came back, {} could not",
                count(connections.leaves),
                count(connections.rejoins),
                count(connections.rejoins_failed)
            ),
        ));
    }
    if connections.drops + connections.resumes + connections.resets > 0 {
        facts.push((
            "drops",
            format!(
                "{} cut, {} went on where they were, {} were reset",
                count(connections.drops),
                count(connections.resumes),
                count(connections.resets)
            ),
        ));
    }
    if connections.close_failed > 0 {
        facts.push((
            "closing",
            format!(
                "{} connections did not close cleanly",
                count(connections.close_failed)
            ),
        ));
    }
}

fn tls(report: &Report, facts: &mut Vec<Fact>) {
    let connections = &report.connections;
    let Some(tls) = &report.scenario.tls else {
        return;
    };
    let unverified = if tls.trust == "anyone" {
        "; certificates were NOT verified (--insecure)"
    } else {
        ""
    };
    facts.push((
        "TLS",
        format!(
            "{} full handshakes, {} resumed{unverified}",
            count(connections.tls_full),
            count(connections.tls_resumed)
        ),
    ));
}

fn server(report: &Report, facts: &mut Vec<Fact>) {
    let Some(server) = &report.server else {
        return;
    };
    let split = server
        .user_per_delivery_ns
        .zip(server.system_per_delivery_ns);
    let used = match (server.cpu_per_delivery_ns(), split) {
        (None, _) => "too short to measure in clock ticks of 10 ms".to_owned(),
        (Some(both), None) => format!("{} per delivery", duration(both)),
        (Some(both), Some((user, system))) => format!(
            "{} per delivery ({} user + {} kernel)",
            duration(both),
            duration(user),
            duration(system)
        ),
    };
    let cpu = server
        .cpu_ns
        .unwrap_or(server.cpu_user_ns + server.cpu_system_ns) as f64;
    let known = server.cpu_per_delivery_ns().is_some() && report.stages.measured_s > 0.0;
    let share = if known {
        let share = ratio(cpu / 1e9 / report.stages.measured_s);
        format!(", {share} of a core")
    } else {
        String::new()
    };
    if server.deliveries > 0 {
        facts.push(("server CPU", format!("{used}{share}")));
    }
    let each = match server.memory_per_connection_bytes {
        Some(each) => format!("{} per idle connection, ", bytes(each)),
        None => String::new(),
    };
    facts.push((
        "server memory",
        format!(
            "{each}{} with all idle, {} after the load, {} at most",
            bytes(server.rss_idle_bytes as f64),
            bytes(server.rss_end_bytes as f64),
            bytes(server.rss_peak_bytes as f64)
        ),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{TlsScenario, sample};

    fn text(report: &Report) -> String {
        let facts = facts(report).into_iter();
        facts
            .map(|(name, fact)| format!("{name}: {fact}\n"))
            .collect()
    }

    /// Also a run has its zeros, which a report that was read from a file may lack.
    #[test]
    fn who_misbehaves_has_a_column_only_where_there_is_somebody() {
        let mut report = sample::report();
        report.misbehaving.delivered_in_time = Some(0);
        assert!(counts(&report).iter().all(|(.., apart)| apart.is_none()));
        report.misbehaving.sent = 1;
        assert!(counts(&report).iter().all(|(.., apart)| apart.is_some()));
    }

    #[test]
    fn tls_has_lines_only_where_it_is_spoken() {
        let mut report = sample::report();
        assert!(!text(&report).contains("TLS"));
        let names = |report: &Report| {
            latencies(report)
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        let plain: Vec<_> = names(&report);
        assert!(!plain.contains(&"TLS handshake"));

        report.scenario.tls = Some(TlsScenario {
            trust: "system".to_owned(),
            resumption: true,
        });
        report.histograms.tls = sample::ladder(200_000, 1_000, 20);
        report.connections.tls_full = 1;
        report.connections.tls_resumed = 1_019;
        let secure: Vec<_> = names(&report);
        assert!(secure.contains(&"TLS handshake"));
        let said = text(&report);
        assert!(
            said.contains("TLS: 1 full handshakes, 1,019 resumed\n"),
            "{said}"
        );
        assert!(!said.contains("truncated"), "{said}");

        report.scenario.tls = Some(TlsScenario {
            trust: "anyone".to_owned(),
            resumption: false,
        });
        report.connections.truncated = 2;
        let said = text(&report);
        assert!(said.contains("NOT verified"), "{said}");
        assert!(said.contains("truncated: 2 of these"), "{said}");
    }

    #[test]
    fn little_time_of_the_server_is_not_divided_by_ticks() {
        let mut report = sample::report();
        let mut say = |exact: Option<u64>, user: u64| {
            let server = report.server.as_mut().unwrap();
            (server.cpu_ns, server.cpu_user_ns, server.cpu_system_ns) = (exact, user, user);
            server.divide();
            text(&report)
        };
        let ticks = 250_000_000;
        for (exact, user, want) in [
            (
                None,
                ticks,
                "server CPU: 926 us per delivery (463 us user + 463 us kernel), 16.7 % of a core\n",
            ),
            (
                None,
                ticks - 1,
                "server CPU: too short to measure in clock ticks of 10 ms\n",
            ),
            (
                Some(5_400_000),
                0,
                "server CPU: 10 us per delivery, 0.180 % of a core\n",
            ),
            (
                Some(540_000_000),
                ticks,
                "server CPU: 1 ms per delivery (463 us user + 463 us kernel), 18 % of a core\n",
            ),
        ] {
            let said = say(exact, user);
            assert!(said.contains(want), "{exact:?} {user}: {said}");
        }
    }

    #[test]
    fn a_backlog_is_not_a_rate() {
        let mut report = sample::report();
        report.counts.delivered_in_time = Some(270);
        assert_eq!(report.rate(), Some(90.0));
        // Reports of earlier versions did not tell.
        report.counts.delivered_in_time = None;
        assert_eq!(report.rate(), Some(180.0));
    }
}
