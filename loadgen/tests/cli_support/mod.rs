//! What the tests of the binary share: starting it, reports on disk, and a small relay.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use roomcast_loadgen::outcome::{
    Connections, Counts, Endings, GeneratorUsage, Interval, InvalidReason, Outcome,
    SparseHistogram, Stages, empty_histogram,
};
use roomcast_loadgen::report::Report;
use roomcast_loadgen::scenario::Scenario;
use roomcast_loadgen::target::Target;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// Runs the binary to its end without any `LOADGEN_*` of the environment but `env`.
pub fn loadgen_with(env: &[(&str, &str)], args: &[&str]) -> Output {
    command(env, args).output().unwrap()
}

/// The binary without any `LOADGEN_*` of the environment but `env`.
pub fn command(env: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOADGEN_") {
            command.env_remove(name);
        }
    }
    command.envs(env.iter().copied()).args(args);
    command
}

/// Runs the binary to its end.
pub fn loadgen(args: &[&str]) -> Output {
    loadgen_with(&[], args)
}

/// The exit code.
pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// What it wrote to stdout.
pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// What it wrote to stderr.
pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The outcome of a valid run in which `latencies` (in ns) were measured.
pub fn outcome(latencies: &[u64]) -> Outcome {
    // Each run has a seed of its own.
    static SEED: AtomicUsize = AtomicUsize::new(1);
    let seed = SEED.fetch_add(1, Ordering::Relaxed) as u64;
    let scenario = Scenario::new(Target::parse("ws://127.0.0.1:7777").unwrap(), seed);
    let mut latency = empty_histogram();
    for &value in latencies {
        latency.record(value).unwrap();
    }
    let deliveries = latencies.len() as u64;
    let counts = Counts {
        offered: 2,
        sent: 2,
        sent_in_time: 2,
        expected: deliveries,
        delivered: deliveries,
        delivered_in_time: deliveries,
        ..Counts::default()
    };
    let interval = Interval {
        start: Duration::ZERO,
        length: Duration::from_secs(15),
        latency: sparse(&latency),
        offered: 2,
        sent: 2,
        delivered: deliveries,
        max_lag: Duration::ZERO,
        server_cpu: None,
    };
    Outcome {
        scenario,
        address: "127.0.0.1:7777".parse().unwrap(),
        started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        measured_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_003),
        stages: Stages {
            measured: Duration::from_secs(15),
            ..Stages::default()
        },
        interrupted: None,
        connect: empty_histogram(),
        tls: empty_histogram(),
        join: empty_histogram(),
        rejoin: empty_histogram(),
        resume: empty_histogram(),
        state_age: empty_histogram(),
        host_change: empty_histogram(),
        latency_uncorrected: latency.clone(),
        latency,
        latency_misbehaving: empty_histogram(),
        send_lag: empty_histogram(),
        receive_wait: empty_histogram(),
        timeline: vec![interval],
        healthy: counts,
        misbehaving: Counts::default(),
        warmup: Counts::default(),
        connections: Connections {
            joined: 1_000,
            ..Connections::default()
        },
        endings: Endings::default(),
        bytes_in: 0,
        bytes_out: 0,
        overflow: 0,
        server: None,
        generator: GeneratorUsage::default(),
        validity: Vec::new(),
    }
}

fn sparse(histogram: &Histogram<u64>) -> SparseHistogram {
    let counts = histogram
        .iter_recorded()
        .map(|step| (step.value_iterated_to(), step.count_at_value()))
        .collect();
    SparseHistogram::from_counts(counts)
}

/// As [`outcome`], but not to be trusted.
pub fn invalid_outcome(latencies: &[u64]) -> Outcome {
    let mut outcome = outcome(latencies);
    outcome.validity.push(InvalidReason::ConnectionsFailed {
        failed: 3,
        clients: 1_000,
        mostly: "no answer within the handshake timeout".to_owned(),
    });
    outcome
}

/// Writes the report of an outcome and returns its path as text.
pub fn save(outcome: &Outcome, directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, Report::from(outcome).to_json()).unwrap();
    path.to_str().unwrap().to_owned()
}

type Members = Vec<(usize, Arc<Mutex<WebSocket<TcpStream>>>)>;

/// Starts a relay on a free port of loopback that fans messages out to the rest of a room, and
/// answers 503 to every client after the first `admitted`. Its threads end with the test.
pub fn relay(admitted: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let rooms: Arc<Mutex<BTreeMap<String, Members>>> = Arc::default();
    let seen = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for (id, stream) in listener.incoming().enumerate() {
            let (rooms, seen) = (Arc::clone(&rooms), Arc::clone(&seen));
            std::thread::spawn(move || serve(id, stream.unwrap(), &rooms, &seen, admitted));
        }
    });
    url
}

/// Serves one client until it leaves.
#[allow(
    clippy::result_large_err,
    reason = "the callback's type is tungstenite's"
)]
fn serve(
    id: usize,
    stream: TcpStream,
    rooms: &Mutex<BTreeMap<String, Members>>,
    seen: &AtomicUsize,
    admitted: usize,
) {
    stream.set_nodelay(true).unwrap();
    let writer = stream.try_clone().unwrap();
    let mut room = String::new();
    let check = |request: &Request, response: Response| {
        if seen.fetch_add(1, Ordering::Relaxed) >= admitted {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = tungstenite::http::StatusCode::SERVICE_UNAVAILABLE;
            return Err(refusal);
        }
        room = request.uri().path().to_owned();
        // Seated before the client can know that it has joined, so that it misses nothing.
        let writer = WebSocket::from_raw_socket(writer, Role::Server, None);
        let mut rooms = rooms.lock().unwrap();
        let members = rooms.entry(room.clone()).or_default();
        members.push((id, Arc::new(Mutex::new(writer))));
        Ok(response)
    };
    let Ok(mut reader) = tungstenite::accept_hdr(stream, check) else {
        return;
    };
    while let Ok(message) = reader.read() {
        if matches!(message, Message::Binary(_) | Message::Text(_)) {
            let others: Members = rooms.lock().unwrap()[&room]
                .iter()
                .filter(|(member, _)| *member != id)
                .cloned()
                .collect();
            for (_, other) in others {
                // A member that has just left no longer takes anything.
                let _ = other.lock().unwrap().send(message.clone());
            }
        }
    }
    let mut rooms = rooms.lock().unwrap();
    if let Some(members) = rooms.get_mut(&room) {
        members.retain(|(member, _)| *member != id);
    }
    // Completes the close handshake that the read above has begun.
    let _ = reader.flush();
}
