//! Stopping a run: one stop that arrives twice, and one that is meant.

#![cfg(unix)]

mod cli_support;
mod relay;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use cli_support::command;
use relay::{Fault, Relay};
use roomcast_loadgen::report::Report;
use rustix::process::{Pid, Signal, kill_process};

/// A load of an hour, whose report goes to `out`; returns once it is in this stage.
fn started(relay: &Relay, out: &Path, stage: &str, more: &[&str]) -> Child {
    let (url, out) = (format!("ws://{}", relay.address), out.to_str().unwrap());
    let small = ["--room-size=2", "-r20", "-d1h", "--warmup=0", "--threads=1"];
    let args = [&small[..], &["--url", &url, "--out", out], more].concat();
    let mut child = command(&[], &args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().starts_with(stage)),
        "{stage}"
    );
    // What else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    // It may be gone by now.
    let _ = kill_process(pid, signal);
}

#[test]
fn one_stop_that_arrives_twice_is_one_and_leaves_a_report_at_any_stage() {
    for (stage, more, message) in [
        (
            "connect",
            &["-c40", "--connect-rate=1"][..],
            "while its clients connected",
        ),
        ("settle", &["-c4", "--settle=1h"], "before its traffic"),
        (
            "measure",
            &["-c4", "--settle=0"],
            "the run was stopped after",
        ),
    ] {
        let relay = Relay::start(Fault::None, 1);
        let scratch = tempfile::tempdir().unwrap();
        let mut child = started(&relay, scratch.path(), stage, more);
        // Before the first client is in, there is nothing to tell.
        while relay.peers().is_empty() {
            std::thread::yield_now();
        }
        if stage == "connect" {
            while relay.peers().len() < 2 {
                std::thread::yield_now();
            }
        }
        // Both are there when it goes on, however busy the machine is.
        for signal in [Signal::STOP, Signal::INT, Signal::TERM, Signal::CONT] {
            send(&child, signal);
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(4), "{stage}");
        let report = Report::read(&scratch.path().join("report.json")).unwrap();
        assert!(report.validity.has("interrupted"), "{stage}");
        let said = &report
            .validity
            .reasons
            .iter()
            .find(|reason| reason.code == "interrupted");
        assert!(said.unwrap().message.contains(message), "{stage}: {said:?}");
        assert!(report.connections.joined > 0, "{stage}");
        assert_eq!(
            report.histograms.join.len(),
            report.connections.joined,
            "{stage}"
        );
    }
}

#[test]
fn a_second_stop_that_is_meant_ends_it_at_once() {
    // What this relay holds back would be waited for for an hour.
    let relay = Relay::start(Fault::Drop, 2);
    let scratch = tempfile::tempdir().unwrap();
    let mut child = started(
        &relay,
        scratch.path(),
        "measure",
        &["-c4", "--settle=0", "--drain=1h"],
    );
    while relay.faults() == 0 {
        std::thread::yield_now();
    }
    send(&child, Signal::INT);
    let status = loop {
        send(&child, Signal::INT);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(4));
    assert!(!scratch.path().join("report.json").exists());
}
