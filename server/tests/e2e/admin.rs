//! What operators and scrapers get from the control plane, and what others do not; and that players never notice it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::patience;
use crate::relay::{Relay, listening_address};
use crate::wire::{BINARY, Wire, upgrade_request};

/// Where operators of this relay are served.
fn door(relay: &Relay) -> SocketAddr {
    let log = relay.log();
    let mut lines = log.iter().filter(|line| line.contains("operators"));
    lines
        .find_map(|line| listening_address(line, "http"))
        .expect("it says where operators are served")
}

fn start(flags: &[&str]) -> Relay {
    Relay::start(&[&["--admin", "127.0.0.1:0"], flags].concat())
}

/// The status and the text of an answer.
fn ask(door: SocketAddr, method: &str, path: &str, fields: &str) -> (u16, String) {
    let mut wire = Wire::connect(door);
    wire.send(format!("{method} {path} HTTP/1.1\r\n{fields}\r\n").as_bytes());
    let (response, body) = wire.response();
    (response.status, String::from_utf8(body).expect("text"))
}

fn metrics(door: SocketAddr) -> String {
    let (status, text) = ask(door, "GET", "/metrics", "Host: localhost\r\n");
    assert_eq!(status, 200, "{text}");
    text
}

/// The value of a series, if it is there.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Asks until a series has this value.
fn until(door: SocketAddr, series: &str, wanted: f64) {
    let patience = patience("a metric gets its value");
    while value(&metrics(door), series) != Some(wanted) {
        patience.check();
    }
}

fn exchange(pair: &mut [Wire; 2], bytes: &[u8]) {
    let [one, two] = pair;
    one.message(BINARY, bytes);
    two.expect(BINARY, bytes);
}

fn canaries(relay: &Relay) -> [Wire; 2] {
    [(); 2].map(|()| Wire::join(relay.addr(), "/rooms/canary"))
}

#[test]
fn without_a_door_there_is_no_control_plane() {
    let relay = Relay::start(&[]);
    assert!(!relay.log().iter().any(|line| line.contains("operators")));
    let mut wire = Wire::connect(relay.addr());
    wire.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(wire.response().0.status, 404, "players' ports tell nothing");
}

#[test]
fn metrics_say_what_reactors_have_counted() {
    let relay = start(&[]);
    let door = door(&relay);
    let mut pair = canaries(&relay);
    exchange(&mut pair, b"counted");
    until(door, "roomcast_messages_received_total", 1.0);
    let text = metrics(door);
    assert_eq!(value(&text, "roomcast_players"), Some(2.0));
    assert_eq!(value(&text, "roomcast_reactors"), Some(2.0));
    assert_eq!(value(&text, "roomcast_draining"), Some(0.0));
    assert!(value(&text, "roomcast_open_files").expect("files") > 2.0);
    assert!(text.ends_with("# EOF\n"));
    pair[0].message(crate::wire::CLOSE, &[0x03, 0xe8]);
    let closed = "roomcast_ends_total{reason=\"peer_closed\",blame=\"nobody\"}";
    until(door, closed, 1.0);
    until(door, "roomcast_players", 1.0);
}

#[test]
fn a_unix_socket_serves_too_and_goes_with_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    let place = format!("unix:{}", path.display());
    let mut relay = Relay::start(&["--admin", &place]);
    let mut socket = UnixStream::connect(&path).expect("somebody listens");
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: any.example\r\n\r\n")
        .expect("it takes a request");
    let mut answer = String::new();
    socket
        .read_to_string(&mut answer)
        .expect("an answer, and its end");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("application/openmetrics-text; version=1.0.0"));
    assert!(answer.ends_with("# EOF\n"));
    relay.ends();
    assert!(!path.exists());
}

/// DNS rebinding, cross-origin reading, and what is not there.
#[test]
fn pages_get_nothing() {
    let relay = start(&["--admin-allow-host", "relay.internal"]);
    let door = door(&relay);
    let status = |method: &str, path: &str, fields: &str| ask(door, method, path, fields).0;
    for host in ["localhost", "127.0.0.1:1", "relay.internal", "[::1]"] {
        assert_eq!(status("GET", "/metrics", &format!("Host: {host}\r\n")), 200);
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "relay.internal.evil",
    ] {
        assert_eq!(status("GET", "/metrics", &format!("Host: {host}\r\n")), 403);
    }
    let local = "Host: localhost\r\n";
    assert_eq!(status("GET", "/", local), 404);
    assert_eq!(
        status("POST", "/metrics", &format!("{local}Content-Length: 0\r\n")),
        405
    );
    let mut wire = Wire::connect(door);
    wire.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n");
    let (response, _) = wire.response();
    assert_eq!(response.field("access-control-allow-origin"), None);
}

#[test]
fn with_a_token_only_who_knows_it_reads_metrics() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let secret = "5f2b1c3d4e5f60718293a4b5c6d7e8f9";
    std::fs::write(file.path(), secret).expect("a file");
    let relay = start(&[
        "--metrics-token-file",
        file.path().to_str().expect("a path"),
    ]);
    let door = door(&relay);
    let status = |fields: &str| {
        let fields = format!("Host: localhost\r\n{fields}");
        ask(door, "GET", "/metrics", &fields).0
    };
    assert_eq!(status(""), 401);
    assert_eq!(status("Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(status(&format!("Authorization: Bearer {secret}\r\n")), 200);
}

#[test]
fn while_it_drains_the_control_plane_says_so_and_it_ends_with_the_process() {
    let mut relay = start(&["--drain", "1h"]);
    let door = door(&relay);
    let _pair = canaries(&relay);
    relay.signal(Signal::TERM);
    until(door, "roomcast_draining", 1.0);
    assert_eq!(value(&metrics(door), "roomcast_players"), Some(2.0));
    relay.end_at_once();
    // Who asks for nothing keeps nobody from ending.
    let mut relay = start(&[]);
    let _silent = Wire::connect(self::door(&relay));
    relay.ends();
}

/// Connections that say nothing hold every place for a while; players lose nothing meanwhile.
#[test]
fn silent_connections_leave_in_time_and_players_do_not_notice() {
    let relay = start(&[]);
    let door = door(&relay);
    let mut pair = canaries(&relay);
    let silent: Vec<Wire> = (0..32).map(|_| Wire::connect(door)).collect();
    let mut late = Wire::connect(door);
    late.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let patience = patience("a place comes free");
    while !late.readable_within(10) {
        patience.check();
        exchange(&mut pair, b"meanwhile");
        let _newcomer = Wire::join(relay.addr(), "/rooms/other");
    }
    assert_eq!(late.response().0.status, 200);
    drop(silent);
}

/// Whatever players take, the control plane has descriptors of its own.
#[test]
fn it_answers_when_players_have_taken_all_descriptors_that_they_may() {
    let flags = ["--reactors", "1", "--admin", "127.0.0.1:0"];
    let relay = Relay::start_with_descriptors(200, 200, &flags);
    let door = door(&relay);
    let mut pair = canaries(&relay);
    // More than there are descriptors; the kernel completes these whether or not the relay accepts.
    let crowd: Vec<Wire> = (0..300)
        .map(|_| {
            let mut wire = Wire::connect(relay.addr());
            let _ = wire.try_send(&upgrade_request("/rooms/crowd").as_bytes()[..20]);
            wire
        })
        .collect();
    let patience = patience("the relay has accepted all that it may");
    while value(&metrics(door), "roomcast_connections_accepted_total") < Some(60.0) {
        patience.check();
        exchange(&mut pair, b"meanwhile");
    }
    for _ in 0..10 {
        let text = metrics(door);
        let open = value(&text, "roomcast_open_files").expect("files");
        assert!(open <= 200.0 - 32.0, "{open} open files");
    }
    drop(crowd);
}

/// Scrapers in a loop, more than there are places.
#[test]
fn scrapers_in_a_loop_cost_players_nothing() {
    let relay = start(&[]);
    let door = door(&relay);
    let mut pair = canaries(&relay);
    std::thread::scope(|scope| {
        let scrapers: Vec<_> = (0..40)
            .map(|_| scope.spawn(move || (0..10).for_each(|_| drop(metrics(door)))))
            .collect();
        while !scrapers.iter().all(|scraper| scraper.is_finished()) {
            exchange(&mut pair, b"meanwhile");
        }
    });
}
