//! Exit codes 2 and 3 and the texts that go with them, through the real binary.

mod cli_support;

use std::net::TcpListener;

use cli_support::{code, loadgen, loadgen_with, stderr, stdout};

#[track_caller]
fn refused(args: &[&str], want: &str) {
    let output = loadgen(args);
    assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{args:?}");
    let said = stderr(&output);
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    assert!(said.starts_with("loadgen: "), "{args:?}: {said}");
    assert!(said.contains(want), "{args:?}: {said}");
}

#[test]
fn unusable_flags_are_one_line_and_exit_2() {
    refused(&["--clients", "0"], "at least one client");
    refused(&["--clients", "10k"], "give a whole number like 10000");
    refused(&["--clients", "1"], "at least 2");
    refused(&["--room-size", "1"], "nobody would hear it");
    refused(&["--rooms", "1000"], "--rooms 1000: nobody would hear it");
    refused(&["--seed", "9007199254740992"], "the largest seed");
    refused(&["--header", "Host: x"], "--url");
    refused(&["--allow", "loss"], "no '='");
    refused(&["--nonsense"], "--nonsense");
    refused(&["--url", "wss://127.0.0.1/#room"], "#fragment");
    refused(&["--ca", "ca.pem", "--insecure"], "cannot be used with");
    refused(&["--url", "https://127.0.0.1"], "ws://");
    refused(&["--url", "ws://127.0.0.1:7777/#room"], "#fragment");
    refused(&["--size", "8"], "32");
    refused(&["--check", "latency.p98.x<20ms"], "latency.");
    refused(&["--check", "lotency.p99<20ms"], "did you mean latency.p99");
    refused(&["--check", "latency.p99<20lightyears"], "ns, us, ms, s");
    refused(&["--server-pid", "4294967295"], "no process 4294967295");
    refused(&["search", "--to", "10"], "--check");
    refused(
        &["search", "--check", "lost==0", "--from", "20", "--to", "10"],
        "--from <= --to",
    );
}

#[test]
fn unusable_environment_is_the_same() {
    let output = loadgen_with(&[("LOADGEN_CLIENTS", "0")], &[]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("at least one client"));
    let output = loadgen_with(&[("LOADGEN_CHECK", "latency.p99<20")], &[]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("needs a unit"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_command_line_wins_and_variables_are_named() {
    // Nobody listens at port 1: what is understood ends with 3.
    let url = ["--url", "ws://127.0.0.1:1", "--no-progress"];
    for (env, args, exit, want) in [
        (&[("LOADGEN_CLIENTS", "")][..], &[][..], 3, ""),
        (&[("LOADGEN_CLIENTS", "10k")], &["--clients", "10"], 3, ""),
        (&[("LOADGEN_ROOMS", "3")], &["--room-size=5"], 3, ""),
        (&[("LOADGEN_CA", "x.pem")], &["--insecure"], 3, ""),
        (
            &[("LOADGEN_CLIENTS", "10k")],
            &[],
            2,
            "give a whole number like 10000 (from LOADGEN_CLIENTS)",
        ),
        (
            &[("LOADGEN_ROOMS", "3"), ("LOADGEN_ROOM_SIZE", "5")],
            &[],
            2,
            "(from LOADGEN_ROOM_SIZE and LOADGEN_ROOMS)",
        ),
    ] {
        let args = [&url, args].concat();
        let output = loadgen_with(env, &args);
        let said = stderr(&output);
        assert_eq!(code(&output), exit, "{env:?} {args:?}: {said}");
        assert!(said.contains(want), "{env:?} {args:?}: {said}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_told_before_the_run() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("out");
    refused(
        &["--out", below.to_str().unwrap()],
        "cannot create the directory",
    );
}

#[test]
fn nothing_listens_is_exit_3_and_says_how_to_start_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = loadgen(&["--url", &url, "--clients", "10"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("cargo run --release --bin roomcast"),
        "{said}"
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn help_and_version_are_results() {
    for args in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["merge", "--help"],
    ] {
        let output = loadgen(args);
        assert_eq!(code(&output), 0, "{args:?}");
        assert!(stdout(&output).contains("loadgen"), "{args:?}");
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn doctor_judges_a_number_of_clients() {
    let output = loadgen(&["doctor"]);
    assert_eq!(code(&output), 0);
    assert!(
        stdout(&output).contains("open files"),
        "{}",
        stdout(&output)
    );
    let output = loadgen(&["doctor", "--clients", "1"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    assert!(
        stdout(&output).ends_with("1 client: OK\n"),
        "{}",
        stdout(&output)
    );
    if !cfg!(target_os = "linux") {
        // What cannot be read blocks nothing.
        return;
    }
    // More than the memory of any machine that runs this test.
    let output = loadgen(&["doctor", "--clients", "1000000000"]);
    assert_eq!(code(&output), 99, "{}", stdout(&output));
}

#[test]
fn a_captured_message_is_decoded() {
    let output = loadgen(&["decode", "02 09 03 02 68 69"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stdout(&output).contains("EVENT        by 2, text \"hi\""),
        "{}",
        stdout(&output)
    );
    let output = loadgen(&["decode", "--up", "5000"]);
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    assert!(stdout(&output).contains("  LEAVE\n"), "{}", stdout(&output));
    // All of it is on stdout, and the exit code says that it is not whole.
    let output = loadgen(&["decode", "--up", "51 00"]);
    assert_eq!(code(&output), 2);
    assert!(
        stdout(&output).contains("no such kind: 0x51"),
        "{}",
        stdout(&output)
    );
    refused(&["decode", "no/such/file.bin"], "no/such/file.bin: ");
    refused(&["decode", "--up", "--down", "00"], "cannot be used with");
}

/// What stands in a page for other people's pipelines is there: each flag that docs/CI.md names is one of loadgen's
/// or of scripts/gate-load's, but for those in code that begins with another tool's name.
#[test]
fn the_flags_that_the_page_about_ci_names_exist() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let page = std::fs::read_to_string(format!("{root}/docs/CI.md")).unwrap();
    let mut known = std::fs::read_to_string(format!("{root}/scripts/gate-load")).unwrap();
    for command in ["", "compare", "search", "merge", "handshakes"] {
        let args: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|arg| !arg.is_empty())
            .collect();
        known.push_str(stdout(&loadgen(&args)));
    }
    let mut code: Vec<String> = Vec::new();
    for (index, part) in page.split("```").enumerate() {
        if index % 2 == 0 {
            let spans = part.split('`').skip(1).step_by(2);
            code.extend(spans.map(|span| span.replace('\n', " ")));
        } else {
            let ours =
                |line: &&str| line.contains("gate-load") || line.trim_start().starts_with("--");
            let lines = part.lines().filter(ours);
            code.extend(
                lines
                    .filter(|line| !line.contains("--json databaseId"))
                    .map(str::to_owned),
            );
        }
    }
    let others = ["k6 ", "wrk2 ", "vegeta ", "artillery ", "scripts/bench "];
    let mut flags = 0;
    for span in code {
        let span = span.trim();
        if others.iter().any(|tool| span.starts_with(tool))
            || span.starts_with("--header \"JOB-TOKEN")
        {
            continue;
        }
        for word in span
            .split_whitespace()
            .filter(|word| word.starts_with("--") && word.len() > 2)
        {
            let word = word.split('=').next().unwrap();
            let there = known.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            assert!(
                there.into_iter().any(|known| known == word),
                "{word} in {span:?}"
            );
            flags += 1;
        }
    }
    assert!(flags > 30, "{flags}");
}
