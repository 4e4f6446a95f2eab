//! Whole runs of the real binary over TLS, against rustls's own server before a small relay.

mod cli_support;
mod tls_front;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use cli_support::{code, loadgen, loadgen_with, relay, stderr, stdout};
use roomcast_loadgen::report::Report;
use rustls::version::{TLS12, TLS13};
use tls_front::{Certificates, End};

/// A load that is over in about a second: 12 clients in 3 rooms.
const SMALL: [&str; 9] = [
    "--clients=12",
    "--room-size=4",
    "--rate=20",
    "--duration=600ms",
    "--warmup=100ms",
    "--settle=0",
    "--handshake-timeout=60s",
    "--threads=1",
    "--no-progress",
];

/// A relay behind TLS, and the file of the authority that its certificate is by.
struct Setting {
    scratch: tempfile::TempDir,
    address: SocketAddr,
}

impl Setting {
    fn new(versions: &[&'static rustls::SupportedProtocolVersion], end: End) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let certificates = Certificates::new(versions);
        std::fs::write(scratch.path().join("dev-ca.pem"), &certificates.ca_pem).unwrap();
        let address = certificates.front(plain(), end);
        Self { scratch, address }
    }

    fn url(&self) -> String {
        format!("wss://{}", self.address)
    }

    fn ca(&self) -> String {
        let path = self.scratch.path().join("dev-ca.pem");
        format!("--ca={}", path.display())
    }

    /// Runs the small load and reads its report.
    fn run(&self, more: &[&str]) -> (Output, Report) {
        // What is lost is waited for, what is slow is not lost.
        self.run_and_drain("--drain=30s", more)
    }

    fn run_and_drain(&self, drain: &str, more: &[&str]) -> (Output, Report) {
        let url = self.url();
        let mut args = SMALL.to_vec();
        args.extend(["--json", drain, "--url", &url]);
        args.extend(more);
        let output = loadgen(&args);
        let report = Report::from_json(stdout(&output))
            .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
        (output, report)
    }
}

/// The address of a plain relay.
fn plain() -> SocketAddr {
    let url = relay(usize::MAX);
    url.trim_start_matches("ws://").parse().unwrap()
}

/// Everything was delivered, whatever the machine made of the times.
fn nothing_is_lost(output: &Output, report: &Report) {
    let counts = &report.counts;
    assert!(counts.delivered > 100, "{}", stderr(output));
    assert_eq!(counts.delivered, counts.expected);
    let wrong = counts.lost + counts.duplicates + counts.reordered + counts.corrupted;
    assert_eq!(wrong + counts.leaked + counts.own_echoed, 0);
    assert_eq!(report.warmup.lost, 0);
    assert_eq!(report.connections.joined, 12);
    assert_eq!(report.connections.disconnected, 0);
    assert_eq!(report.connections.truncated, 0);
    assert_eq!(report.connections.close_failed, 0);
    let want = if report.validity.valid { 0 } else { 4 };
    assert_eq!(code(output), want, "{}", stderr(output));
}

/// The first handshake was made; how many followed in so short a time is the machine's.
fn trusted(output: &Output) {
    let said = (stdout(output), stderr(output));
    assert!([0, 4].contains(&code(output)), "{said:?}");
    assert!(
        said.0.contains("per second") && !said.0.contains("failed"),
        "{said:?}"
    );
}

/// One line on stderr, exit code 3, and what it must say.
fn refused(output: &Output, want: &[&str]) {
    let said = stderr(output);
    assert_eq!(code(output), 3, "{said}");
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("loadgen: "))
        .collect();
    assert!(
        lines.len() == 1 && said.ends_with(&format!("{}\n", lines[0])),
        "{said}"
    );
    for want in want {
        assert!(said.contains(want), "{want}: {said}");
    }
}

#[test]
fn join_and_deliver_over_tls_with_resumption() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let out = setting.scratch.path().join("out");
    let (output, report) = setting.run(&[
        &setting.ca(),
        // One after the other, so that there is a ticket for the next.
        "--connect-rate=50",
        "--churn=5",
        "--interval=100ms",
        "--out",
        out.to_str().unwrap(),
        "--check=tls.p99<60s",
        "--check=tls_resumed_ratio>0%",
    ]);
    nothing_is_lost(&output, &report);
    let connections = &report.connections;
    assert!(connections.tls_resumed > 0, "{connections:?}");
    assert!(connections.tls_full > 0, "{connections:?}");
    let handshakes = connections.tls_full + connections.tls_resumed;
    assert!(handshakes >= 12 + connections.rejoins);
    assert_eq!(report.histograms.tls.len(), handshakes);
    let tls = report.scenario.tls.as_ref().unwrap();
    assert_eq!((tls.trust.as_str(), tls.resumption), ("ca", true));
    // 600 ms in tenths: so fine are the time line and the log.
    assert!(report.timeline.len() >= 6);
    assert!((report.timeline[1].start_s - 0.1).abs() < 1e-9);
    assert!(out.join("tls.hgrm").exists());
}

#[test]
fn without_resumption_every_handshake_is_full() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let (output, report) = setting.run(&[&setting.ca(), "--no-resume", "--churn=5"]);
    nothing_is_lost(&output, &report);
    assert_eq!(report.connections.tls_resumed, 0);
    assert!(report.connections.tls_full >= 12);
}

#[test]
fn tls_1_2_is_spoken_and_resumed_too() {
    let setting = Setting::new(&[&TLS12], End::Never);
    let (output, report) = setting.run(&[&setting.ca(), "--connect-rate=50"]);
    nothing_is_lost(&output, &report);
    assert!(report.connections.tls_resumed > 0);
}

#[test]
fn large_messages_cross_records() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let (output, report) = setting.run(&[&setting.ca(), "--size=100KiB"]);
    let counts = &report.counts;
    assert!(counts.delivered > 10, "{}", stderr(&output));
    assert_eq!((counts.lost, counts.corrupted), (0, 0));
}

#[test]
fn who_is_not_trusted_is_refused_in_one_line() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let other = Certificates::new(&[&TLS13]);
    let path = setting.scratch.path().join("other.pem");
    std::fs::write(&path, &other.ca_pem).unwrap();
    let another = format!("--ca={}", path.display());
    let want = ["trust its CA with --ca FILE", "--insecure", "--dev-tls"];
    refused(&loadgen(&["--url", &setting.url()]), &want);
    let followed = ["none of the authorities in the --ca file", "--insecure"];
    refused(&loadgen(&["--url", &setting.url(), &another]), &followed);
    refused(&loadgen(&["handshakes", "--url", &setting.url()]), &want);
    // The right authority, but a certificate for another address.
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let elsewhere = format!("wss://{}", listener.local_addr().unwrap());
    forward(listener, setting.address);
    refused(
        &loadgen(&["--url", &elsewhere, &setting.ca()]),
        &[
            "is for another host (it is for localhost, 127.0.0.1)",
            "--url",
        ],
    );
}

/// As curl does: what is given is trusted, whether it signs others, itself, or is signed by somebody unknown.
#[test]
fn the_servers_own_certificate_may_be_given() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("own.pem");
    let ca = format!("--ca={}", path.display());
    let by_an_authority = Certificates::new(&[&TLS13]);
    for (certificates, hosts) in [
        (Certificates::self_signed(&["127.0.0.1"], true), true),
        (Certificates::self_signed(&["127.0.0.1"], false), true),
        (by_an_authority, true),
        (
            Certificates::self_signed(&["elsewhere.example"], true),
            false,
        ),
    ] {
        std::fs::write(&path, &certificates.leaf_pem).unwrap();
        let url = format!("wss://{}", certificates.front(plain(), End::Never));
        let output = loadgen(&["handshakes", "-d100ms", "--url", &url, &ca]);
        if hosts {
            trusted(&output);
        } else {
            refused(&output, &["another host (it is for elsewhere.example)"]);
        }
        // It alone, and not whoever has the same name.
        let other = Certificates::self_signed(&["127.0.0.1"], true);
        let url = format!("wss://{}", other.front(plain(), End::Never));
        let output = loadgen(&["handshakes", "-d100ms", "--url", &url, &ca]);
        refused(&output, &["none of the authorities in the --ca file"]);
    }
}

/// Carries bytes to another address, unchanged.
fn forward(listener: std::net::TcpListener, to: SocketAddr) {
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            pass(near, to);
        }
    });
}

/// Carries the bytes of one connection to another address, unchanged, and its end.
fn pass(mut near: std::net::TcpStream, to: SocketAddr) {
    let mut far = std::net::TcpStream::connect(to).unwrap();
    let (mut near_too, mut far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut far_too, &mut near_too);
        let _ = near_too.shutdown(std::net::Shutdown::Both);
    });
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut near, &mut far);
        let _ = far.shutdown(std::net::Shutdown::Write);
    });
}

#[test]
fn insecure_believes_anyone_and_says_so() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let (output, report) = setting.run(&["--insecure"]);
    nothing_is_lost(&output, &report);
    assert_eq!(report.scenario.tls.unwrap().trust, "anyone");
    let url = setting.url();
    let args = ["handshakes", "--insecure", "-d100ms", "--url", &url];
    let output = loadgen(&args);
    trusted(&output);
    assert!(stdout(&output).contains("NOT verified"));
}

#[test]
fn this_machines_development_authority_is_trusted_by_itself() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let localhost = format!("wss://localhost:{}", setting.address.port());
    let directory = setting.scratch.path().to_str().unwrap();
    let run = |directory: &str, url: &str| {
        let env = [("ROOMCAST_DATA_DIR", directory)];
        loadgen_with(&env, &["handshakes", "-d100ms", "--url", url])
    };
    for url in [&setting.url(), &localhost] {
        trusted(&run(directory, url));
    }
    let nowhere = Path::new(directory).join("nowhere");
    refused(&run(nowhere.to_str().unwrap(), &localhost), &["--ca FILE"]);
}

#[test]
fn authorities_that_cannot_be_read_are_unusable_input() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("ca.pem");
    let block = |label: &str| format!("-----BEGIN {label}-----\nMIIB\n-----END {label}-----\n");
    let glued = ["# ", &block("CERTIFICATE")].concat();
    let key = [block("CERTIFICATE"), block("PRIVATE KEY")].concat();
    for (text, want) in [
        (None, "there is no file"),
        (Some(""), "no certificate in it"),
        (Some("-----BEGIN CERTIFICATE-----\n!"), "ca.pem"),
        (Some(&glued), "within line 1"),
        (Some(&key), "a private key in it"),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let output = loadgen(&["--url=wss://127.0.0.1:1", "--ca", path.to_str().unwrap()]);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains(want), "{}", stderr(&output));
    }
}

#[test]
fn a_port_that_does_not_speak_tls_is_told() {
    // A relay that answers what it takes for a bad request, and one that only closes.
    let closing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = closing.local_addr().unwrap();
    std::thread::spawn(move || closing.incoming().flatten().for_each(drop));
    for address in [plain(), closed] {
        let url = format!("wss://{address}");
        for command in [&["--url", &url][..], &["handshakes", "--url", &url]] {
            refused(&loadgen(command), &["TLS", "ws"]);
        }
    }
}

#[test]
fn an_end_without_close_notify_is_told_apart() {
    for (end, truncated) in [(End::Cut(2_000), 1), (End::Clean(2_000), 0)] {
        let setting = Setting::new(&[&TLS13], end);
        let (_, report) = setting.run_and_drain("--drain=0", &[&setting.ca()]);
        let connections = &report.connections;
        assert_eq!(connections.disconnected, 1, "{end:?}");
        assert_eq!(connections.truncated, truncated, "{end:?}");
        assert_eq!(connections.close_codes.get(&1006), Some(&1), "{end:?}");
    }
}

#[test]
fn handshakes_are_counted_as_what_they_are() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let count = |json: &serde_json::Value, name: &str| json[name].as_u64().unwrap();
    // As long as it takes on this machine to make more than the connections begun at once.
    let run = |more: &[&str]| {
        let (url, ca) = (setting.url(), setting.ca());
        let mut last = serde_json::Value::Null;
        for duration in ["-d300ms", "-d3s", "-d30s"] {
            let mut args = vec!["handshakes", "--json", "--concurrency=4"];
            args.extend(["--url", &url, &ca, duration]);
            args.extend(more);
            let output = loadgen(&args);
            last = serde_json::from_str(stdout(&output))
                .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
            assert_eq!(code(&output), if last["valid"] == true { 0 } else { 4 });
            if count(&last, "handshakes") > 8 {
                break;
            }
        }
        last
    };
    let resumed = run(&[]);
    assert!(count(&resumed, "resumed") > 0, "{resumed}");
    let full = run(&["--no-resume"]);
    assert_eq!(count(&full, "resumed"), 0, "{full}");
    assert!(count(&full, "full") > 0, "{full}");
    for json in [&resumed, &full] {
        let all = count(json, "full") + count(json, "resumed");
        assert_eq!(count(json, "handshakes"), all);
        assert_eq!(json["tls"]["count"].as_u64(), Some(all), "{json}");
    }
    let at_a_rate = run(&["--rate=100", "--handshake-timeout=60s"]);
    let offered = count(&at_a_rate, "offered");
    assert!([30, 300, 3_000].contains(&offered), "{at_a_rate}");
    assert_eq!(count(&at_a_rate, "handshakes"), offered, "{at_a_rate}");
    assert_eq!(at_a_rate["start_lag"]["count"].as_u64(), Some(offered));
    let output = loadgen(&["handshakes", "--url", "ws://127.0.0.1:1"]);
    assert_eq!(code(&output), 2);
    refused(
        &loadgen(&["handshakes", "--url", "wss://127.0.0.1:1"]),
        &["nothing listens"],
    );
}

/// A door before `to` that lets the first connection in, and treats the others one after another as `then` says.
fn door(
    to: SocketAddr,
    then: impl Fn(usize, std::net::TcpStream, SocketAddr) + Send + 'static,
) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (index, near) in listener.incoming().flatten().enumerate() {
            match index {
                0 => pass(near, to),
                _ => then(index, near, to),
            }
        }
    });
    url
}

/// Offers 40 handshakes at a rate and gives what became of them.
fn offered(url: &str, more: &[&str]) -> (serde_json::Value, Output) {
    let mut args = vec![
        "handshakes",
        "--insecure",
        "--json",
        "--rate=100",
        "-d400ms",
        "--url",
        url,
    ];
    args.extend(more);
    let output = loadgen(&args);
    let json = serde_json::from_str(stdout(&output))
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (json, output)
}

fn fates(json: &serde_json::Value) -> [u64; 5] {
    let names = [
        "offered",
        "handshakes",
        "refused",
        "late",
        "failed_otherwise",
    ];
    names.map(|name| json[name].as_u64().unwrap())
}

#[test]
fn at_a_rate_who_is_turned_away_is_counted_and_the_next_comes_in_time() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let url = door(setting.address, |index, near, to| match index % 2 {
        0 => pass(near, to),
        _ => drop(near),
    });
    let (json, _) = offered(&url, &["--handshake-timeout=60s"]);
    assert_eq!(fates(&json), [40, 20, 20, 0, 0], "{json}");
}

/// The server stands still for the whole of it and then does everything at once: each handshake took as long as it
/// was kept waiting, also those for which no connection was free. (A generator that waits for its server would have
/// begun two.)
#[test]
fn at_a_rate_a_server_that_stands_still_is_charged_for_it() {
    let setting = Setting::new(&[&TLS13], End::Never);
    let stopped = std::time::Duration::from_millis(800);
    for concurrency in ["--concurrency=64", "--concurrency=2"] {
        let resumed_at = std::sync::OnceLock::new();
        let url = door(setting.address, move |_, near, to| {
            let at = *resumed_at.get_or_init(|| std::time::Instant::now() + stopped);
            // Nobody ever sends: what is waited for is the time at which it goes on.
            let (_nobody, nothing) = std::sync::mpsc::channel::<()>();
            let _ = nothing.recv_timeout(at.saturating_duration_since(std::time::Instant::now()));
            pass(near, to);
        });
        let (json, output) = offered(&url, &["--handshake-timeout=60s", concurrency]);
        assert_eq!(fates(&json), [40, 40, 0, 0, 0], "{json}");
        // The last was due 390 ms after the first, and none was over before 800 ms.
        let min = json["whole"]["min_ns"].as_u64().unwrap();
        assert!(min > 390_000_000, "{json}");
        let short = json["without_place"].as_u64().unwrap() > 30;
        assert_eq!(short, concurrency.ends_with("=2"), "{json}");
        if short {
            assert_eq!(code(&output), 4);
            assert_eq!(json["generator_bound"], true);
        }
    }
}

#[test]
fn at_a_rate_who_is_never_answered_is_late() {
    let setting = Setting::new(&[&TLS13], End::Never);
    for concurrency in ["--concurrency=64", "--concurrency=2"] {
        let kept = std::sync::Mutex::new(Vec::new());
        let url = door(setting.address, move |_, near, _| {
            kept.lock().unwrap().push(near);
        });
        let (json, _) = offered(&url, &["--handshake-timeout=5s", concurrency]);
        assert_eq!(fates(&json), [40, 0, 0, 40, 0], "{json}");
    }
}
