//! What the command line must understand, and how it refuses.

use std::time::Duration;

use super::*;
use crate::play::{Groups, Play};
use crate::scenario::{Dialect, MessageKind, Polling, Scenario, Schedule, Trust};

fn read(args: &[&str]) -> Result<Cli, Answer> {
    let args = std::iter::once("loadgen").chain(args.iter().copied());
    Cli::read(args.map(Into::into))
}

fn scenario(args: &[&str]) -> Result<Scenario, String> {
    match read(args) {
        Ok(cli) => cli.run.load.scenario().map_err(|failure| failure.message),
        Err(Answer::Failure(failure)) => Err(failure.message),
        Err(Answer::Text(text)) => panic!("{text}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn every_flag_has_its_environment_variable() {
    let mut command = <Cli as clap::CommandFactory>::command();
    command.build();
    let subcommands = command.get_subcommands();
    let mut flags = 0;
    for arg in std::iter::once(&command)
        .chain(subcommands)
        .flat_map(|c| c.get_arguments())
    {
        let Some(long) = arg.get_long() else {
            continue;
        };
        if matches!(long, "help" | "version" | "output") {
            continue;
        }
        let name = format!("LOADGEN_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(
            arg.get_env().and_then(|env| env.to_str()),
            Some(name.as_str())
        );
        flags += 1;
    }
    assert!(flags > 50, "{flags}");
}

#[test]
fn ten_thousand_clients_and_nothing_else() {
    let scenario = scenario(&["--clients", "10000"]).unwrap();
    assert_eq!(scenario.clients, 10_000);
    assert_eq!(scenario.rooms(), 1_000);
    assert_eq!(scenario.senders(), 10_000);
    assert_eq!((scenario.rate_hz, scenario.size), (1.0, 64));
    assert_eq!(scenario.duration, Duration::from_secs(15));
    assert_eq!(
        scenario.target.to_string(),
        "ws://127.0.0.1:7777/rooms/{room}"
    );
}

#[test]
fn defaults_of_flags_are_those_of_the_scenario() {
    let ours = scenario(&["--seed", "5"]).unwrap();
    let mut theirs = Scenario::new(ours.target.clone(), 5);
    // Of which no two are alike.
    theirs.room_prefix.clone_from(&ours.room_prefix);
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

#[test]
fn trust_is_what_was_asked_for() {
    for (args, trust, resume) in [
        (&[][..], Trust::System, true),
        (&["--insecure"], Trust::Anyone, true),
        (&["--ca", "x"], Trust::Authorities("x".into()), true),
        (&["--no-resume"], Trust::System, false),
    ] {
        let tls = scenario(&[&["--url", "wss://h"], args].concat())
            .unwrap()
            .tls;
        assert_eq!((tls.trust, tls.resume), (trust, resume), "{args:?}");
    }
}

#[test]
fn every_flag_arrives() {
    let scenario = scenario(&[
        "--url=ws://[::1]:9000/chat?room={room}",
        "--ca=ca.pem",
        "--no-resume",
        "--interval=250ms",
        "--clients=120",
        "--rooms=6",
        "--senders-per-room=2",
        "--events=20Hz",
        "--size=1KiB",
        "--burst",
        "--text",
        "--duration=500ms",
        "--warmup=0",
        "--settle=0s",
        "--drain=1m",
        "--connect-rate=100",
        "--handshake-timeout=3s",
        "--churn=2.5",
        "--drops=5/s",
        "--slow-readers=3",
        "--stalling-readers=4",
        "--stall=1s",
        "--threads=2",
        "--spin",
        "--source-address=127.0.0.2-127.0.0.4",
        "--source-address=127.0.0.3,127.0.0.9",
        "--server-pid=42",
        "--seed=9",
        "--dialect=v1",
    ])
    .unwrap();
    assert_eq!(scenario.target.host(), "::1");
    assert_eq!(scenario.tls.trust, Trust::Authorities("ca.pem".into()));
    assert!(!scenario.tls.resume);
    assert_eq!(scenario.interval, Duration::from_millis(250));
    assert_eq!(
        (
            scenario.clients,
            scenario.room_size,
            scenario.senders_per_room
        ),
        (120, 20, 2)
    );
    assert_eq!((scenario.rate_hz, scenario.size), (20.0, 1024));
    assert_eq!(
        (scenario.schedule, scenario.kind),
        (Schedule::Burst, MessageKind::Text)
    );
    assert_eq!(scenario.duration, Duration::from_millis(500));
    assert_eq!(
        (scenario.warmup, scenario.settle),
        (Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(scenario.drain, Duration::from_secs(60));
    assert_eq!(scenario.connect_rate, 100.0);
    assert_eq!(scenario.handshake_timeout, Duration::from_secs(3));
    assert_eq!((scenario.churn, scenario.slow_readers), (2.5, 3));
    assert_eq!(
        (scenario.stalling_readers, scenario.stall),
        (4, Duration::from_secs(1))
    );
    assert_eq!((scenario.threads, scenario.polling), (2, Polling::Spinning));
    let addresses: Vec<String> = scenario
        .source_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        addresses,
        ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9"]
    );
    assert_eq!((scenario.server_pid, scenario.seed), (Some(42), 9));
    assert_eq!((scenario.dialect, scenario.drops), (Dialect::V1, 5.0));
}

#[test]
fn what_players_do_arrives() {
    let scenario = scenario(&[
        "--dialect=v1",
        "--states=60",
        "--keys=3",
        "--tick=20Hz",
        "--host-kills=2/s",
        "--groups=disjoint:30",
    ])
    .unwrap();
    let play = Play {
        states_hz: 60.0,
        keys: 3,
        tick_hz: 20,
        host_kills: 2.0,
        groups: Groups::Disjoint(30),
    };
    assert_eq!(scenario.play, play);
    // Who only sets keys says nothing else.
    assert_eq!(scenario.rate_hz, 0.0);
}

#[test]
fn bad_input_is_one_line_that_says_what_to_do() {
    let table: &[(&[&str], &str)] = &[
        (&["--clients", "0"], "at least one client"),
        (&["--clients", "0", "--rooms", "3"], "at least one client"),
        (&["--clients", "ten"], "invalid value 'ten' for '--clients"),
        (&["--clients"], "value is required for '--clients"),
        (&["--cleints", "10"], "'--clients'"),
        (&["run"], "run"),
        (&["--url", "wss://h/#room"], "#fragment"),
        (&["--ca", "ca.pem", "--insecure"], "cannot be used with"),
        (&["--interval", "99ms"], "100 ms"),
        (&["--interval", "2h"], "1 hour"),
        (&["--url", "http://h"], "not a WebSocket URL"),
        (&["--url", "ws://h/#room"], "#fragment"),
        (&["--url", "ws://h:99999"], "port"),
        (&["--url", ""], "ws://host:port/path"),
        (&["--size", "31"], "32"),
        (&["--text", "--size", "40"], "64"),
        (&["--size", "1.5"], "whole number"),
        (&["--size", "1TB"], "KiB"),
        (&["--size", "1GB"], "1000000000"),
        (&["--rate", "0"], "rate"),
        (&["--rate", "NaN"], "rate"),
        (&["--duration", "0"], "duration"),
        (&["--duration", "15x"], "15s, 500ms"),
        (&["--duration", "-1"], "-1"),
        (&["--rooms", "3", "--room-size", "4"], "cannot be used with"),
        (&["--rooms", "0"], "at least 1"),
        (&["--rooms", "7", "--clients", "10"], "choose --rooms 5"),
        (&["--room-size", "0"], "room size"),
        (&["--senders-per-room", "11"], "senders per room"),
        (&["--threads", "0"], "threads"),
        (&["--source-address", "localhost"], "127.0.0.2-127.0.0.9"),
        (&["--source-address", "127.0.0.9-127.0.0.2"], "ends before"),
        (
            &["--source-address", "10.0.0.0-10.255.0.0"],
            "more than 4096",
        ),
        (&["--check", "latency.p99<20"], "needs a unit"),
        (&["--rate", "fast"], "give a number like 20"),
        (&["--check", "latncy.p99<20ms"], "did you mean latency.p99"),
        (&["--dialect", "v9"], "raw"),
        (&["--dialect=v1", "--subprotocol=x"], "subprotocol"),
        (&["--drops", "5"], "--dialect v1"),
        (&["--states", "20Hz"], "--dialect v1"),
        (&["--dialect=v1", "--states=20Hz", "--keys=0"], "keys"),
        (&["--dialect=v1", "--states=20Hz/s"], "20Hz/s"),
        (&["--tick", "20"], "--dialect v1"),
        (&["--host-kills", "1/s"], "--dialect v1"),
        (&["--groups", "grid"], "--dialect v1"),
        (&["--groups", "cells"], "disjoint:30"),
        (&["--dialect=v1", "--tick=129"], "128"),
        (&["--drops", "5/m"], "5/m"),
        (&["--slow-readers", "1000"], "no healthy one"),
        (&["compare", "a.json"], "<NEW>"),
        (&["merge", "a.json"], "2"),
        (&["doctor", "--clients", "0"], "0"),
        (&["search", "--steps", "99"], "99"),
        (&["handshakes", "--concurrency", "0"], "0"),
        (
            &["handshakes", "--ca", "x", "--insecure"],
            "cannot be used with",
        ),
    ];
    for (args, want) in table {
        let message = scenario(args).unwrap_err();
        assert!(message.contains(want), "{args:?}: {message}");
        assert!(!message.contains('\n'), "{args:?}: {message}");
    }
}

#[test]
fn handshakes_need_tls_and_time() {
    let plan = |args: &[&str]| match read(&[&["handshakes"], args].concat()) {
        Ok(Cli {
            command: Some(Command::Handshakes(args)),
            ..
        }) => args.plan().map_err(|failure| failure.message),
        other => panic!("{other:?}"),
    };
    let default = plan(&[]).unwrap();
    assert_eq!((default.concurrency, default.duration.as_secs()), (64, 10));
    assert!(default.tls.resume && default.rate_hz.is_none());
    for (args, rate, concurrency) in [
        (&["--rate=2000"][..], 2_000.0, 20_000),
        (&["--rate=0.5"], 0.5, 64),
        (&["-r100", "--handshake-timeout=1s"], 100.0, 100),
        (&["--rate=100", "--concurrency=7"], 100.0, 7),
    ] {
        let plan = plan(args).unwrap();
        assert_eq!((plan.rate_hz, plan.concurrency), (Some(rate), concurrency));
    }
    let all = [
        "--url=wss://h:1",
        "--no-resume",
        "--server-pid=4",
        "--threads=3",
    ];
    let all = plan(&all).unwrap();
    assert_eq!(
        (all.target.port(), all.threads, all.server_pid),
        (1, 3, Some(4))
    );
    assert!(!all.tls.resume);
    for (args, want) in [
        ("--url=ws://h", "wss://"),
        ("--url=wss://h/#x", "#fragment"),
        ("--duration=0", "--duration"),
        ("--handshake-timeout=0", "--handshake-timeout"),
        ("--rate=0", "--rate must be more than 0"),
        ("--rate=-1", "--rate"),
        ("--rate=NaN", "--rate must be"),
    ] {
        let message = plan(&[args]).unwrap_err();
        assert!(message.contains(want), "{args}: {message}");
    }
}

#[test]
fn help_is_complete() {
    let Err(Answer::Text(help)) = read(&["--help"]) else {
        panic!("--help is an answer");
    };
    for want in [
        "Target",
        "TLS (wss://)",
        "Load",
        "Misbehaviour",
        "Generator",
        "Examples:",
        "Exit codes:",
        "LOADGEN_ROOM_SIZE",
        "latency.*",
        "loss_ratio",
    ] {
        assert!(help.contains(want), "{want}: {help}");
    }
    assert!(matches!(read(&["--version"]), Err(Answer::Text(_))));
    for command in [
        "compare",
        "search",
        "merge",
        "doctor",
        "handshakes",
        "decode",
    ] {
        let Err(Answer::Text(help)) = read(&[command, "--help"]) else {
            panic!("{command}");
        };
        let judges = matches!(command, "compare" | "search" | "merge");
        assert_eq!(help.contains("latency.*"), judges, "{command}: {help}");
    }
    let twice = scenario(&["--check", "latncy.p99<20ms"]).unwrap_err();
    assert_eq!(twice.matches("--help").count(), 1, "{twice}");
}
