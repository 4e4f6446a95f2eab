//! `merge` and `compare` on files, and every exit code that needs no server.

mod cli_support;

use cli_support::{code, command, invalid_outcome, loadgen, outcome, save, stderr, stdout};
use roomcast_loadgen::outcome::{Stopped, empty_histogram};
use roomcast_loadgen::report::Report;

/// 1,000 latencies from 10 us to 10 ms, in an order that no half of shares.
fn latencies() -> Vec<u64> {
    (1..=1_000_u64)
        .map(|i| (i * 617 % 1_000 + 1) * 10_000)
        .collect()
}

#[test]
fn merging_two_halves_gives_the_histogram_of_the_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let values = latencies();
    let (left, right) = values.split_at(333);
    let a = save(&outcome(left), scratch.path(), "a.json");
    let b = save(&outcome(right), scratch.path(), "b.json");
    let joined = scratch.path().join("out.json");
    let output = loadgen(&["merge", &a, &b, "-o", joined.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stdout(&output).contains("joined from 2 reports"),
        "{}",
        stdout(&output)
    );
    let report = Report::read(&joined).unwrap();
    let mut whole = empty_histogram();
    for value in &values {
        whole.record(*value).unwrap();
    }
    assert_eq!(report.histograms.latency, whole);
    assert_eq!(report.counts.delivered, 1_000);
    assert_eq!(report.scenario.clients, 2_000);
    let output = loadgen(&["merge", &a, &a]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(
        said.contains("give the report of each generator once"),
        "{said}"
    );
}

#[test]
fn merge_judges_and_writes_everything() {
    let scratch = tempfile::tempdir().unwrap();
    let a = save(&outcome(&latencies()), scratch.path(), "a.json");
    let b = save(&outcome(&[5_000_000]), scratch.path(), "b.json");
    let out = scratch.path().join("out");
    let out_text = out.to_str().unwrap();

    let passed = loadgen(&["merge", &a, &b, "--check", "p99<20ms", "--out", out_text]);
    assert_eq!(code(&passed), 0, "{}", stderr(&passed));
    let failed = loadgen(&[
        "merge", &a, &b, "--check", "p99<20ms", "--check", "p50<1ms", "--json", "--out", out_text,
    ]);
    assert_eq!(code(&failed), 99, "{}", stderr(&failed));
    assert!(
        stderr(&failed).contains("latency.p50 is"),
        "{}",
        stderr(&failed)
    );

    let said = stderr(&failed);
    let replaced = "report.json (replaced the report of 2023-11-14T22:13:20Z)";
    assert!(said.contains(replaced), "{said}");

    let printed = Report::from_json(stdout(&failed)).unwrap();
    let written = Report::read(&out.join("report.json")).unwrap();
    assert_eq!(printed, written);
    let verdicts: Vec<bool> = written.checks.iter().map(|check| check.passed).collect();
    assert_eq!(verdicts, [true, false]);
    let junit = std::fs::read_to_string(out.join("junit.xml")).unwrap();
    assert!(
        junit.contains("tests=\"12\" skipped=\"0\" failures=\"1\""),
        "{junit}"
    );
    let summary = std::fs::read_to_string(out.join("summary.md")).unwrap();
    assert!(
        summary.contains("## loadgen: FAILED: p50&lt;1ms\n"),
        "{summary}"
    );
}

#[test]
fn an_invalid_run_is_4_whatever_its_latency_would_say() {
    let scratch = tempfile::tempdir().unwrap();
    let a = save(&outcome(&latencies()), scratch.path(), "a.json");
    let b = save(&invalid_outcome(&latencies()), scratch.path(), "b.json");
    for check in ["lost==0", "p99<1ns"] {
        let output = loadgen(&["merge", &a, &b, "--quiet", "--check", check]);
        assert_eq!(code(&output), 4, "{check}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
        assert!(
            stderr(&output).contains("3 of 1000 clients could not join"),
            "{}",
            stderr(&output)
        );
        let open = "loadgen: check not decided: the run is invalid (";
        assert!(stderr(&output).contains(open), "{}", stderr(&output));
    }
    // What the server did is no less done.
    let mut evicted = invalid_outcome(&latencies());
    evicted.connections.disconnected = 2;
    let b = save(&evicted, scratch.path(), "b.json");
    let output = loadgen(&["merge", &a, &b, "--quiet", "--check", "disconnects==0"]);
    assert_eq!(code(&output), 99, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("check failed: disconnects is 2"), "{said}");
}

#[test]
fn an_interrupted_run_is_invalid() {
    let scratch = tempfile::tempdir().unwrap();
    let mut interrupted = outcome(&latencies());
    interrupted.interrupted = Some(Stopped::Traffic);
    interrupted.stages.measured = std::time::Duration::from_millis(3_210);
    let a = save(&interrupted, scratch.path(), "a.json");
    let b = save(&outcome(&latencies()), scratch.path(), "b.json");
    let output = loadgen(&["merge", &a, &b, "--quiet"]);
    assert_eq!(code(&output), 4);
    let said = stderr(&output);
    assert!(
        said.contains("a.json: the run was stopped after 3.2 s of 15.0 s"),
        "{said}"
    );
}

#[test]
fn compare_passes_fails_and_refuses() {
    let scratch = tempfile::tempdir().unwrap();
    let base = save(&outcome(&latencies()), scratch.path(), "base.json");
    let slower: Vec<u64> = latencies().iter().map(|value| value * 12 / 10).collect();
    let slow = save(&outcome(&slower), scratch.path(), "slow.json");
    let invalid = save(
        &invalid_outcome(&latencies()),
        scratch.path(),
        "invalid.json",
    );
    let mut other = outcome(&latencies());
    other.scenario.size = 128;
    let other = save(&other, scratch.path(), "other.json");

    let output = loadgen(&["compare", &base, &slow, "--max-regress", "p99=10%"]);
    assert_eq!(code(&output), 99, "{}", stderr(&output));
    let line = stdout(&output)
        .lines()
        .find(|line| line.starts_with("latency.p99 "))
        .unwrap();
    assert!(line.contains("1.20") && line.ends_with("FAIL"), "{line}");
    let output = loadgen(&[
        "compare",
        &base,
        &slow,
        "--max-regress",
        "p99=25%",
        "--max-regress",
        "lost=0%",
    ]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let output = loadgen(&["compare", &base, &slow]);
    assert_eq!(code(&output), 0, "nothing was forbidden");
    let output = loadgen(&["compare", &base, &invalid, "--max-regress", "p99=10%"]);
    assert_eq!(code(&output), 4);
    assert!(
        stderr(&output).contains("invalid.json"),
        "{}",
        stderr(&output)
    );
    let output = loadgen(&["compare", &base, &other]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("size 64 and 128"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn files_that_are_no_reports_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    let good = save(&outcome(&[1_000]), scratch.path(), "good.json");
    let text = std::fs::read_to_string(&good).unwrap();
    let cases = [
        ("empty.json", String::new(), "not a report"),
        ("array.json", "[1]".to_owned(), "not a report"),
        (
            "future.json",
            text.replace("roomcast.loadgen/1", "roomcast.loadgen/2"),
            "roomcast.loadgen/2",
        ),
        (
            "damaged.json",
            text.replace(
                "hdr_v2_deflate_base64\": \"",
                "hdr_v2_deflate_base64\": \"x",
            ),
            "damaged",
        ),
        (
            "cut.json",
            text[..text.len() / 2].to_owned(),
            "not a report",
        ),
    ];
    for (name, content, want) in cases {
        let path = scratch.path().join(name);
        std::fs::write(&path, content).unwrap();
        let output = loadgen(&["compare", &good, path.to_str().unwrap()]);
        assert_eq!(code(&output), 2, "{name}");
        let said = stderr(&output);
        assert!(said.contains(name) && said.contains(want), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let output = loadgen(&["merge", &good, "/nonexistent/report.json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("/nonexistent/report.json"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_is_lost_is_no_success() {
    let scratch = tempfile::tempdir().unwrap();
    let a = save(&outcome(&latencies()), scratch.path(), "a.json");
    let b = save(&outcome(&latencies()), scratch.path(), "b.json");
    let joined = scratch.path().join("joined.json");
    let joined = joined.to_str().unwrap();
    let full = || std::fs::File::create("/dev/full").unwrap();
    let to_full = |args: &[&str]| command(&[], args).stdout(full()).output().unwrap();
    for args in [
        &["merge", &a, &b, "-o", joined][..],
        &["merge", &a, &b, "--json"],
        &["compare", &a, &b],
        &["doctor"],
        &["--help"],
    ] {
        let output = to_full(args);
        let said = stderr(&output);
        assert_eq!(code(&output), 2, "{args:?}: {said}");
        assert!(said.contains("cannot write the result to stdout"), "{said}");
    }
    assert!(Report::read(joined.as_ref()).is_ok(), "the file is whole");
    let output = to_full(&["merge", &a, &b, "--check", "delivered<1"]);
    assert_eq!(code(&output), 99, "{}", stderr(&output));

    // A reader that has seen enough is no failure.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&[], &["merge", &a, &b, "--json"])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn compare_judges_directories_of_runs() {
    let scratch = tempfile::tempdir().unwrap();
    // Runs that differ by some percent, as runs do.
    let side = |name: &str, percent: [u64; 6]| {
        let side = scratch.path().join(name);
        for (round, percent) in percent.into_iter().enumerate() {
            let run = side.join((round + 1).to_string());
            std::fs::create_dir_all(&run).unwrap();
            let values: Vec<u64> = latencies().iter().map(|v| v * percent / 100).collect();
            save(&outcome(&values), &run, "report.json");
        }
        side.to_str().unwrap().to_owned()
    };
    let base = side("base", [100, 103, 98, 101, 99, 102]);
    let same = side("same", [101, 101, 99, 100, 100, 102]);
    let slow = side("slow", [118, 124, 121, 119, 122, 120]);
    let wild = side("wild", [80, 140, 100, 90, 120, 95]);
    for (new, want, said) in [
        (&same, 0, "pass"),
        (&slow, 99, "FAIL"),
        (&wild, 5, "not measurable"),
    ] {
        let output = loadgen(&["compare", &base, new, "--max-regress", "p99=5%"]);
        let text = stdout(&output);
        assert_eq!(code(&output), want, "{text}{}", stderr(&output));
        let line = text.lines().find(|line| line.starts_with("latency.p99 "));
        assert!(line.is_some_and(|line| line.ends_with(said)), "{text}");
        let output = loadgen(&["compare", &base, new, "--max-regress", "p99=5%", "--json"]);
        assert_eq!(code(&output), want);
        let told: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
        assert_eq!(told["schema"], "roomcast.loadgen.compare/1");
        assert_eq!(told["exit_code"], want);
        assert_eq!(told["pairs"], 6);
        let found = said.to_lowercase().replace(' ', "_");
        let verdict = told["verdict"].as_str().unwrap();
        assert!(verdict.starts_with(&found), "{verdict}: {found}");
        let metrics = told["metrics"].as_array().unwrap();
        let p99 = metrics
            .iter()
            .find(|metric| metric["name"] == "latency.p99");
        let p99 = p99.unwrap();
        assert_eq!(p99["finding"], found);
        assert_eq!(
            (&p99["unit"], &p99["max_regress"]),
            (&"nanoseconds".into(), &0.05.into())
        );
        let at = |name: &str| p99[name].as_f64().unwrap();
        assert!(
            at("ratio_low") <= at("ratio") && at("ratio") <= at("ratio_high"),
            "{p99}"
        );
        let unasked = metrics
            .iter()
            .find(|metric| metric["name"] == "latency.p50");
        assert_eq!(unasked.unwrap()["finding"], "shown");
    }
    std::fs::remove_dir_all(format!("{slow}/6")).unwrap();
    let output = loadgen(&["compare", &base, &slow]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("6 and 5 runs"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn compare_runs_commands_in_turns_and_keeps_their_reports() {
    let scratch = tempfile::tempdir().unwrap();
    let base = save(&outcome(&latencies()), scratch.path(), "base.json");
    let slower: Vec<u64> = latencies().iter().map(|value| value * 12 / 10).collect();
    let slow = save(&outcome(&slower), scratch.path(), "slow.json");
    let log = scratch.path().join("log");
    let command =
        |name: &str, report: &str| format!("echo {name} >>'{}' && cat '{report}'", log.display());
    let (base, slow) = (command("a", &base), command("b", &slow));
    let out = scratch.path().join("out");
    let out_text = out.to_str().unwrap();
    let args = [
        "compare",
        "--exec",
        &base,
        &slow,
        "--max-regress",
        "p99=10%",
    ];
    let output = loadgen(&[&args[..], &["--repeat", "5", "--out", out_text]].concat());
    assert_eq!(code(&output), 99, "{}", stderr(&output));
    let turns = std::fs::read_to_string(&log).unwrap();
    assert_eq!(turns.split_whitespace().collect::<String>(), "abbaabbaab");
    let sides = [out.join("base"), out.join("new")].map(|side| side.to_str().unwrap().to_owned());
    let again = loadgen(&["compare", &sides[0], &sides[1], "--max-regress", "p99=10%"]);
    assert_eq!(stdout(&again), stdout(&output));
    assert_eq!(code(&again), 99);

    let output = loadgen(&[&args[..], &["--repeat", "4"]].concat());
    assert_eq!(code(&output), 5, "{}", stdout(&output));
    let output = loadgen(&["compare", "--exec", "echo no; exit 7", &base]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(
        said.contains("exit status: 7") && said.contains("not a report"),
        "{said}"
    );
    let output = loadgen(&["compare", &sides[0], &sides[1], "--repeat", "5"]);
    assert_eq!(code(&output), 2);
}
