//! `docs/observability` against a relay: whatever its files name exists, and Debian's Prometheus takes both the files and the
//! metrics. Where Prometheus is not installed those tests are skipped, but not in CI.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::admin::{door, metrics, start};
use crate::patience;
use crate::relay::Relay;
use crate::wire::{BINARY, Wire};

fn folder() -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/observability"
    ))
    .to_owned()
}

fn file(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("the file")
}

/// Whether there is such a program.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let in_ci = std::env::var_os("CI").is_some();
    assert!(
        found || !in_ci,
        "{program} is not installed: run `scripts/test setup`"
    );
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Every name in a text that is one of ours.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("roomcast_")).collect()
}

#[test]
fn what_dashboards_and_alerts_name_exists() {
    // With certificates, whose end is told.
    let relay = Relay::start_secure(&["--admin", "127.0.0.1:0"]);
    let text = metrics(door(&relay));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<&str> = lines
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for name in ["alerts.yml", "grafana.json"] {
        let text = file(name);
        let names = named(&text);
        assert!(names.len() > 8, "{name} names {names:?}");
        let missing: Vec<_> = names.difference(&there).collect();
        assert!(missing.is_empty(), "{name} names {missing:?}");
    }
    for reason in ["slow_consumer", "handshake_refused"] {
        assert!(text.contains(&format!("{{reason=\"{reason}\"")), "{reason}");
    }
}

#[test]
fn prometheus_takes_the_files_that_are_printed() {
    if !is_installed("promtool") {
        return;
    }
    for check in [
        &["check", "rules", "alerts.yml"],
        &["check", "config", "prometheus.yml"],
    ] {
        let output = Command::new("promtool")
            .args(check)
            .current_dir(folder())
            .output();
        let output = output.expect("it runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn families_are_named_as_openmetrics_wants_them() {
    let relay = start(&[]);
    let text = metrics(door(&relay));
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = family.split_once(' ').expect("a name and a type");
        assert!(
            !name.ends_with("_total"),
            "the suffix is the series': {name}"
        );
        let kinds = ["counter", "gauge", "histogram", "info"];
        assert!(kinds.contains(&kind), "{family}");
    }
}

/// Ended with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What Prometheus answers to a query; nothing while it does not listen.
fn query(at: SocketAddr, expression: &str) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    let request = format!(
        "GET /api/v1/query?query={expression} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn debians_prometheus_scrapes_it() {
    if !is_installed("prometheus") {
        return;
    }
    let relay = start(&[]);
    let mut pair = [(); 2].map(|()| Wire::join(relay.addr(), "/rooms/scraped"));
    pair[0].message(BINARY, b"counted");
    pair[1].expect(BINARY, b"counted");
    let data = tempfile::tempdir().expect("a folder");
    let printed = file("prometheus.yml");
    assert!(printed.contains("127.0.0.1:9777") && printed.contains("15s"));
    let config = printed
        .replace("127.0.0.1:9777", &door(&relay).to_string())
        .replace("15s", "1s")
        .replace(
            "alerts.yml",
            folder().join("alerts.yml").to_str().expect("a path"),
        );
    fs::write(data.path().join("prometheus.yml"), config).expect("the configuration");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = free.local_addr().expect("its address");
    drop(free);
    let child = Command::new("prometheus")
        .arg(format!("--web.listen-address={at}"))
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .current_dir(data.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _prometheus = Prometheus(child.expect("it starts"));
    let patience = patience("Prometheus has scraped the relay");
    loop {
        let answer = query(at, "roomcast_messages_received_total");
        if answer.is_some_and(|answer| answer.contains("\"value\"") && answer.contains(",\"1\"]")) {
            break;
        }
        patience.check();
        std::thread::yield_now();
    }
    let up = query(at, "up").expect("an answer");
    assert!(up.contains("roomcast") && up.contains(",\"1\"]"), "{up}");
}
