//! What `docs/deploy` ships: units for systemd and a recipe for an image, as far as they can be tried without either running.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::relay::{Relay, roomcast};
use crate::startup::{START_FAILED, failure};

const SERVICE: &str = include_str!("../../../docs/deploy/roomcast.service");
const SOCKET: &str = include_str!("../../../docs/deploy/roomcast.socket");
const DOCKERFILE: &str = include_str!("../../../docs/deploy/Dockerfile");
const MANIFEST: &str = include_str!("../../../Cargo.toml");

/// What stands behind this, in the rest of its line and those that it goes on in.
fn value<'t>(text: &'t str, before: &str) -> impl Iterator<Item = &'t str> {
    let (_, rest) = text.split_once(before).expect("it is there");
    let mut goes_on = true;
    let lines = rest.lines().take_while(move |line| {
        let taken = goes_on;
        goes_on = line.ends_with('\\');
        taken
    });
    lines
        .flat_map(str::split_whitespace)
        .filter(|word| *word != "\\")
}

/// What is wrong is only that there are no certificates at that place.
#[test]
fn the_service_is_started_with_flags_that_there_are() {
    let mut words = value(SERVICE, "\nExecStart=");
    assert_eq!(words.next(), Some("/usr/local/bin/roomcast"));
    let mut command = roomcast();
    command.args(words);
    let line = failure(command, START_FAILED);
    assert!(line.contains("/etc/roomcast/tls/fullchain.pem"), "{line}");
}

/// By systemd itself; skipped where there is none.
#[test]
fn systemd_takes_the_units_and_finds_little_exposed() {
    let folder = TempDir::new().expect("a folder");
    let service = SERVICE
        .replace("/usr/local/bin/roomcast", "/bin/true")
        .replace("User=roomcast", "User=daemon");
    for (name, text) in [("roomcast.service", &*service), ("roomcast.socket", SOCKET)] {
        fs::write(folder.path().join(name), text).expect("a unit");
    }
    let analyze = |arguments: &[&str]| -> Option<Output> {
        let run = Command::new("systemd-analyze")
            .args(arguments)
            .current_dir(folder.path())
            .output();
        if run.is_err() {
            eprintln!("skipped: systemd-analyze is not installed");
        }
        run.ok()
    };
    let Some(verified) = analyze(&["verify", "./roomcast.service", "./roomcast.socket"]) else {
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    let about_ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("roomcast"))
        .collect();
    assert!(verified.status.success() && about_ours.is_empty(), "{said}");
    // In tenths, of 100.
    let rated = analyze(&[
        "security",
        "--offline=yes",
        "--threshold=20",
        "./roomcast.service",
    ]);
    assert!(rated.is_some_and(|rated| rated.status.success()));
}

#[test]
fn the_image_asks_for_health_and_notices_when_there_is_none() {
    let check = DOCKERFILE.split_once("CMD [").expect("a check").1;
    let check = format!("[{}", check.lines().next().expect("its line"));
    let words: Vec<String> = serde_json::from_str(&check).expect("JSON, as Docker wants it");
    let run = |port: u16| {
        let words: Vec<String> = words
            .iter()
            .map(|word| word.replace("/7777", &format!("/{port}")))
            .collect();
        assert_ne!(words[2].find(&format!("/{port}")), None, "{words:?}");
        let status = Command::new(&words[0]).args(&words[1..]).output();
        status
            .expect("bash, which the image has too")
            .status
            .success()
    };
    let relay = Relay::start(&[]);
    assert!(run(relay.addr().port()));
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = nobody.local_addr().expect("its address").port();
    drop(nobody);
    assert!(!run(port));
}

#[test]
fn the_image_is_built_by_the_compiler_of_the_workspace_and_runs_as_nobody() {
    let compiler = MANIFEST
        .split_once("rust-version = \"")
        .expect("a version")
        .1;
    let compiler = compiler.split('"').next().expect("its end");
    assert!(DOCKERFILE.contains(&format!("FROM rust:{compiler}-")));
    assert_eq!(value(DOCKERFILE, "\nUSER ").next(), Some("65532:65532"));
    let built = value(DOCKERFILE, "\nRUN ").collect::<Vec<_>>().join(" ");
    assert_eq!(built, "cargo build --release --locked -p roomcast");
}
