//! Whole runs of the real binary against a small relay in this process.
//!
//! How busy the machine is decides whether a run is valid, so what is asserted follows from the
//! report itself; verdicts that need a known result are tested on saved reports.

mod cli_support;

use cli_support::{code, command, loadgen, relay, stderr, stdout};
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use roomcast_loadgen::outcome::empty_histogram;
use roomcast_loadgen::report::{Report, histogram};

/// A load that is over in about a second: 12 clients in 3 rooms.
const SMALL: [&str; 10] = [
    "--clients=12",
    "--room-size=4",
    "--rate=20",
    "--duration=600ms",
    "--warmup=100ms",
    "--settle=0",
    "--drain=30s",
    "--handshake-timeout=60s",
    "--threads=1",
    "--no-progress",
];

fn run(url: &str, more: &[&str]) -> std::process::Output {
    let mut args = SMALL.to_vec();
    args.extend(["--url", url]);
    args.extend(more);
    loadgen(&args)
}

#[test]
fn a_run_writes_every_file_and_exits_as_the_report_says() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let url = relay(usize::MAX);
    let output = run(
        &url,
        &[
            "--out",
            out.to_str().unwrap(),
            "--check",
            "lost==0",
            "--check",
            "delivered>1",
        ],
    );
    let report = Report::read(&out.join("report.json")).unwrap();
    let want = if report.validity.valid { 0 } else { 4 };
    assert_eq!(
        code(&output),
        want,
        "{}{}",
        stdout(&output),
        stderr(&output)
    );

    let counts = &report.counts;
    assert!(counts.delivered > 0);
    assert_eq!(
        counts.delivered,
        counts.sent * 3,
        "each room has three others"
    );
    assert_eq!(counts.delivered + counts.lost, counts.expected);
    assert_eq!(
        (counts.lost, counts.duplicates, counts.corrupted),
        (0, 0, 0)
    );
    assert_eq!(report.histograms.latency.len(), counts.delivered);
    assert_eq!(report.connections.joined, 12);

    let text = stdout(&output);
    for want in [
        "12 clients in 3 rooms of 4",
        "delivered",
        "latency",
        "checks",
    ] {
        assert!(text.contains(want), "{want}: {text}");
    }
    let log = std::fs::read(out.join("latency.hlog")).unwrap();
    let mut sum = empty_histogram();
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let part = histogram::decode(interval.encoded_histogram()).unwrap();
            histogram::add(&mut sum, &part).unwrap();
        }
    }
    assert_eq!(sum, report.histograms.latency);
    for file in ["latency.hgrm", "latency.svg", "summary.md", "junit.xml"] {
        assert!(out.join(file).metadata().unwrap().len() > 100, "{file}");
    }
}

#[test]
fn json_alone_is_on_stdout() {
    let url = relay(usize::MAX);
    let output = run(
        &url,
        &[
            "--json",
            "--text",
            "--size=64",
            "--burst",
            "--check",
            "delivered<1",
        ],
    );
    let report = Report::from_json(stdout(&output)).unwrap();
    let want = if report.validity.valid { 99 } else { 4 };
    assert_eq!(code(&output), want, "{}", stderr(&output));
    assert_eq!(
        (
            report.scenario.kind.as_str(),
            report.scenario.schedule.as_str()
        ),
        ("text", "burst")
    );
    assert!(!report.checks[0].passed);
    assert!(
        stderr(&output).contains("delivered is"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn clients_that_cannot_join_make_the_run_invalid() {
    let url = relay(9);
    let output = run(&url, &["--quiet", "--check", "lost>=0"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(
        stderr(&output).contains(
            "3 of 12 clients could not join: the server is full or draining (HTTP status 503)"
        ),
        "{}",
        stderr(&output)
    );
    // The server turned them away: no generator could be the reason.
    let url = relay(9);
    let output = run(&url, &["--quiet", "--check", "connect_failures==0"]);
    assert_eq!(code(&output), 99, "{}", stderr(&output));
}

#[test]
fn a_relay_that_refuses_everyone_is_exit_3() {
    let url = relay(0);
    let output = run(&url, &[]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("503"), "{}", stderr(&output));
}

#[test]
fn a_search_ends_with_its_result() {
    let url = relay(usize::MAX);
    let mut args = vec!["search"];
    args.extend(SMALL.iter().filter(|flag| !flag.starts_with("--rate")));
    args.extend([
        "--url", &url, "--from=5", "--to=10", "--check", "rate>=0", "--json",
    ]);
    let output = loadgen(&args);
    let found: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(found["schema"], "roomcast.loadgen.search/1");
    let probes = found["probes"].as_array().unwrap();
    assert_eq!(probes[0]["rate_hz"], 5.0);
    let held = probes.iter().filter(|probe| probe["holds"] == true).count();
    // No check can fail: only a generator without time, or a run that is invalid otherwise.
    let generator = probes.iter().any(|probe| probe["generator_bound"] == true);
    let want = if held > 0 && !generator { 0 } else { 4 };
    assert_eq!(code(&output), want, "{found}{}", stderr(&output));
    assert_eq!(held > 0, found["highest_rate_hz"].is_number());
}

#[test]
fn a_comparison_of_two_addresses_runs_both_in_turns() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let (base, new) = (relay(usize::MAX), relay(usize::MAX));
    let mut args = vec!["compare", &base, &new, "--repeat=2"];
    args.extend(SMALL.iter().filter(|flag| **flag != "--no-progress"));
    args.extend(["--out", out.to_str().unwrap()]);
    let output = loadgen(&args);
    // 4: the machine was too busy for two valid runs side by side.
    assert!([0, 4].contains(&code(&output)), "{}", stderr(&output));
    let turns: Vec<String> = stderr(&output)
        .lines()
        .filter_map(|line| Some(line.split_once(" of 2: ")?.0.to_owned()))
        .collect();
    assert_eq!(turns, ["base 1", "new 1", "new 2", "base 2"]);
    let read = |run: &str| Report::read(&out.join(run).join("report.json")).unwrap();
    for (run, url) in [("base/2", &base), ("new/2", &new)] {
        assert!(read(run).scenario.url.starts_with(url.as_str()), "{run}");
    }
}

/// How often the thread that drives the clients of process `pid` has gone to sleep so far.
#[cfg(target_os = "linux")]
fn sleeps(pid: u32) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut paths = threads.flatten().map(|thread| thread.path());
    let driver = paths.find(|path| {
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        name.trim() == "loadgen-0"
    })?;
    let status = std::fs::read_to_string(driver.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[cfg(target_os = "linux")]
#[test]
fn a_spinning_thread_does_not_sleep_and_the_report_says_so() {
    let url = relay(usize::MAX);
    let mut slept = Vec::new();
    for (flag, polling) in [(None, "sleeping"), (Some("--spin"), "spinning")] {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().to_str().unwrap();
        let mut args = SMALL.to_vec();
        args.extend(["--url", &url, "--out", out]);
        args.extend(flag);
        let mut child = command(&[], &args);
        let child = child
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null());
        let mut child = child.spawn().unwrap();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = sleeps(child.id()).unwrap_or(0).max(most);
            std::thread::yield_now();
        }
        slept.push(most);
        let table = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
        let report = Report::read(&scratch.path().join("report.json")).unwrap();
        assert_eq!(report.scenario.polling, polling);
        assert_eq!(
            table.contains("never sleeps (--spin)"),
            flag.is_some(),
            "{table}"
        );
        assert_eq!(report.counts.delivered, report.counts.expected);
    }
    // 12 clients have sent 14 times each, one after another.
    assert!(slept[0] > 50 && slept[1] < slept[0] / 4, "{slept:?}");
}
