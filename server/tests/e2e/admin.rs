//! What operators and scrapers get from the control plane, and what others do not; and that players never notice it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::patience;
use crate::relay::{Relay, listening_address, roomcast};
use crate::wire::{BINARY, TEXT, Wire, upgrade_request};

/// Where operators of this relay are served.
pub(crate) fn door(relay: &Relay) -> SocketAddr {
    let log = relay.log();
    let mut lines = log.iter().filter(|line| line.contains("operators"));
    lines
        .find_map(|line| listening_address(line, "http"))
        .expect("it says where operators are served")
}

pub(crate) fn start(flags: &[&str]) -> Relay {
    Relay::start(&[&["--admin", "127.0.0.1:0"], flags].concat())
}

/// The status and the text of an answer.
fn ask(door: SocketAddr, method: &str, path: &str, fields: &str) -> (u16, String) {
    let mut wire = Wire::connect(door);
    wire.send(format!("{method} {path} HTTP/1.1\r\n{fields}\r\n").as_bytes());
    let (response, body) = wire.response();
    (response.status, String::from_utf8(body).expect("text"))
}

pub(crate) fn metrics(door: SocketAddr) -> String {
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
    until(door, "roomcast_deliveries_total", 1.0);
    until(door, "roomcast_residence_seconds_count", 1.0);
    let players = "roomcast_door_players{door=\"0\",security=\"plain\"}";
    until(door, players, 2.0);
    let text = metrics(door);
    assert_eq!(value(&text, "roomcast_accept_queue"), Some(0.0));
    assert_eq!(value(&text, "roomcast_mails_refused_total"), Some(0.0));
    assert!(value(&text, "roomcast_control_connections") >= Some(1.0));
    let answered = "roomcast_control_requests_total{kind=\"answered\"}";
    assert!(value(&text, answered) >= Some(4.0), "{text}");
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

/// Who has begun to ask is answered also after the last player has gone.
#[test]
fn what_has_been_asked_is_answered_after_the_last_reactor_has_ended() {
    let mut relay = start(&["--drain", "0"]);
    let door = door(&relay);
    let mut pair = canaries(&relay);
    let mut asker = Wire::connect(door);
    asker.send(b"GET /metrics HTTP/1.1\r\n");
    // Whoever asks after it is taken in after it.
    drop(metrics(door));
    relay.signal(Signal::TERM);
    for player in &mut pair {
        assert_eq!(player.read_to_close(), Some(1012));
    }
    drop(pair);
    // It has counted what its reactors did, and they have ended.
    relay.logged("stopped", 1);
    asker.send(b"Host: localhost\r\n\r\n");
    let (response, body) = asker.response();
    assert_eq!(response.status, 200);
    let text = String::from_utf8(body).expect("text");
    assert_eq!(value(&text, "roomcast_draining"), Some(1.0));
    relay.farewell();
}

/// Connections that say nothing, and such that read nothing, hold every place for a while; players lose nothing meanwhile.
#[test]
fn who_is_slow_leaves_in_time_and_players_do_not_notice() {
    let relay = start(&[]);
    let door = door(&relay);
    let mut pair = canaries(&relay);
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let slow: Vec<Wire> = (0..64)
        .map(|n| {
            let mut wire = Wire::connect_narrow(door);
            if n % 2 == 0 {
                wire.send(request);
            }
            wire
        })
        .collect();
    let mut late = Wire::connect(door);
    late.send(request);
    let patience = patience("a place comes free");
    while !late.readable_within(10) {
        patience.check();
        exchange(&mut pair, b"meanwhile");
        let _newcomer = Wire::join(relay.addr(), "/rooms/other");
    }
    assert_eq!(late.response().0.status, 200);
    drop(slow);
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
    while value(
        &metrics(door),
        "roomcast_connections_accepted_total{security=\"plain\"}",
    ) < Some(60.0)
    {
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

/// A relay whose operators come by a Unix socket, and where that is.
pub(crate) fn start_with_socket(flags: &[&str]) -> (Relay, tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = format!("unix:{}", folder.path().join("admin.sock").display());
    let relay = Relay::start(&[&["--admin", &place], flags].concat());
    (relay, folder, place)
}

/// The status and the text that are answered at a Unix socket.
pub(crate) fn ask_as_operator(place: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let socket = place.strip_prefix("unix:").expect("a Unix socket");
    let mut socket = UnixStream::connect(socket).expect("somebody listens");
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket
        .write_all(request.as_bytes())
        .expect("it takes a request");
    let mut answer = String::new();
    socket
        .read_to_string(&mut answer)
        .expect("an answer, and its end");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), text.to_owned())
}

/// What `roomcast admin` prints, line by line, or else its complaint.
pub(crate) fn admin(place: &str, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = roomcast();
    command.args(["admin", "--at", place]).args(arguments);
    command.stdout(Stdio::piped());
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let lines = text(&output.stdout);
    let lines = lines.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>().expect("JSON"))
}

pub(crate) fn concerned(place: &str, arguments: &[&str]) -> u64 {
    let done = admin(place, arguments).expect("it is done");
    done[0]["concerned"].as_u64().expect("a number")
}

#[test]
fn rooms_and_players_are_told_with_their_figures() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let mut pair = canaries(&relay);
    exchange(&mut pair, b"hello");
    let _others: Vec<Wire> = (0..250)
        .map(|n| Wire::join(relay.addr(), &format!("/rooms/room-{n}")))
        .collect();
    let rooms = admin(&place, &["rooms"]).expect("rooms");
    let mut names: Vec<&str> = rooms
        .iter()
        .filter_map(|room| room["name"].as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        251,
        "each room once, over all pages and reactors"
    );
    let canary = rooms.iter().find(|room| room["name"] == "canary");
    assert_eq!(canary.expect("the room")["players"], 2);
    let players = admin(&place, &["players", "canary"]).expect("players");
    assert_eq!(players.len(), 2);
    for player in &players {
        let connection = &player["connection"];
        assert_eq!(connection["tls"], false);
        assert_eq!(connection["peer"], "127.0.0.0/24", "cut, as in the log");
        assert!(
            connection["received_bytes"].as_u64() > Some(100),
            "{player}"
        );
        assert!(
            connection["network"]["round_trip_us"].as_u64() > Some(0),
            "{player}"
        );
        assert_eq!(player["behind"], false);
    }
    let nowhere = admin(&place, &["players", "nowhere"]).expect_err("no such room");
    assert!(
        nowhere.contains("404") && nowhere.contains("no such room"),
        "{nowhere}"
    );
    let status = admin(&place, &["status"]).expect("a status");
    assert_eq!(status[0]["players"], 252);
}

#[test]
fn how_long_messages_are_in_a_room_is_told_from_the_first_question_on() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let mut pair = canaries(&relay);
    exchange(&mut pair, b"before anybody asks");
    let ask = || {
        admin(&place, &["residence", "canary"])
            .expect("figures")
            .remove(0)
    };
    assert_eq!(ask()["messages"], 0);
    let patience = patience("it is counted");
    while ask()["messages"] == 0 {
        exchange(&mut pair, b"counted");
        patience.check();
    }
    let told = ask();
    let buckets = told["buckets"].as_array().expect("buckets");
    let sum: u64 = buckets
        .iter()
        .filter_map(|one| one["messages"].as_u64())
        .sum();
    assert_eq!(told["messages"], sum);
    let nowhere = admin(&place, &["residence", "nowhere"]).expect_err("no such room");
    assert!(nowhere.contains("404"), "{nowhere}");
}

#[test]
fn who_is_kicked_goes_and_the_log_says_who_commanded_it() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let mut pair = canaries(&relay);
    let mut victim = Wire::join(relay.addr(), "/rooms/victims");
    let players = admin(&place, &["players", "victims"]).expect("players");
    let id = players[0]["connection"]["id"].to_string();
    let kick = ["--id", "first", "kick", &id];
    assert_eq!(concerned(&place, &kick), 1);
    assert_eq!(victim.read_to_close(), Some(4001));
    assert_eq!(
        concerned(&place, &kick),
        1,
        "the same command, the same answer"
    );
    assert_eq!(concerned(&place, &["kick", &id]), 0);
    relay.logged("an operator commands", 3);
    relay.logged(&format!("command=\"kick {id}\""), 3);
    let mut room = [(); 2].map(|()| Wire::join(relay.addr(), "/rooms/victims"));
    assert_eq!(concerned(&place, &["close-room", "victims"]), 2);
    for player in &mut room {
        assert_eq!(player.read_to_close(), Some(4003));
    }
    exchange(&mut pair, b"nobody else notices");
}

#[test]
fn what_an_operator_says_everybody_hears_once() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let mut pair = canaries(&relay);
    let mut other = Wire::join(relay.addr(), "/rooms/other");
    let say = ["--id", "once", "say", "canary", "restart at noon"];
    for _ in 0..2 {
        assert_eq!(concerned(&place, &say), 2);
    }
    assert_eq!(concerned(&place, &["notice", "for all"]), 3);
    for player in &mut pair {
        player.expect(TEXT, b"restart at noon");
        player.expect(TEXT, b"for all");
    }
    other.expect(TEXT, b"for all");
    exchange(&mut pair, b"and go on");
    let nowhere = admin(&place, &["say", "nowhere", "hello"]).expect_err("no such room");
    assert!(nowhere.contains("409"), "{nowhere}");
}

#[test]
fn who_is_banned_goes_and_stays_out_until_that_is_lifted() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let elsewhere = "127.0.0.9".parse().expect("an address");
    let mut pair = canaries(&relay);
    let mut victim = Wire::connect_from(elsewhere, relay.addr(), None).upgrade("/rooms/v");
    let players = admin(&place, &["players", "v"]).expect("players");
    let id = players[0]["connection"]["id"].to_string();
    assert_eq!(
        concerned(&place, &["ban", "--connection", &id, "--for", "1h"]),
        1
    );
    assert_eq!(victim.read_to_close(), Some(4001));
    // Whichever reactor it comes to.
    for _ in 0..8 {
        let mut back = Wire::connect_from(elsewhere, relay.addr(), None);
        back.send(upgrade_request("/rooms/v").as_bytes());
        assert_eq!(back.response().0.status, 403);
    }
    exchange(&mut pair, b"others are not banned");
    let lift = ["ban", "--address", "127.0.0.9", "--for", "0"];
    assert_eq!(concerned(&place, &lift), 2, "on both reactors");
    Wire::connect_from(elsewhere, relay.addr(), None).upgrade("/rooms/v");
}

#[test]
fn a_drain_can_be_taken_back_until_it_has_begun() {
    let (mut relay, _folder, place) = start_with_socket(&[]);
    let mut pair = canaries(&relay);
    let ready = |relay: &Relay| {
        let mut wire = Wire::connect(relay.addr());
        wire.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wire.response().0.status
    };
    let none = admin(&place, &["undrain"]).expect_err("there is none");
    assert!(none.contains("409"), "{none}");
    assert_eq!(concerned(&place, &["drain", "--delay", "1h"]), 2);
    assert_eq!(ready(&relay), 503);
    assert_eq!(concerned(&place, &["undrain"]), 2);
    assert_eq!(ready(&relay), 200);
    exchange(&mut pair, b"as if nothing had been");
    // The next signal is a first one.
    relay.signal(Signal::TERM);
    for player in &mut pair {
        assert_eq!(player.read_to_close(), Some(1012));
    }
    drop(pair);
    relay.farewell();
}

#[test]
fn certificates_and_keys_are_read_again_on_command() {
    let (relay, _folder, place) = start_with_socket(&[]);
    assert_eq!(concerned(&place, &["reload"]), 0);
    relay.logged("an operator: nothing to reload", 1);
}

#[test]
fn commands_over_tcp_need_a_token_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a path").to_owned()
    };
    let wrong = file("wrong", "0123456789abcdef-wrong");
    let right = file("right", "0123456789abcdef-right");
    let open = start(&[]);
    let at = door(&open).to_string();
    let refused = admin(&at, &["status"]).expect_err("no token at all");
    assert!(
        refused.contains("403") && refused.contains("--admin-token-file"),
        "{refused}"
    );
    let relay = start(&["--admin-token-file", &right]);
    let at = door(&relay).to_string();
    let refused = admin(&at, &["--token-file", &wrong, "status"]).expect_err("the wrong one");
    assert!(refused.contains("401"), "{refused}");
    assert!(admin(&at, &["--token-file", &right, "status"]).is_ok());
    metrics(door(&relay));
}

#[test]
fn the_last_ends_say_why() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let mut violator = Wire::join(relay.addr(), "/rooms/secret");
    violator.send(&[0xff, 0x80, 0, 0, 0, 0]);
    assert_eq!(violator.read_to_close(), Some(1002));
    drop(violator);
    let patience = patience("the end is told");
    let end = loop {
        let ends = admin(&place, &["ends"]).expect("ends");
        if let Some(end) = ends.into_iter().find(|end| end["reason"] == "violation") {
            break end;
        }
        patience.check();
    };
    assert_eq!(end["blame"], "peer");
    assert_eq!(end["close_code"], 1002);
    assert_eq!(end["peer"], "127.0.0.0/24");
    let room = end["room"].as_str().expect("a room");
    assert!(room.starts_with('#'), "as the log names it: {room}");
}

/// Questions to every reactor, from as many as may ask at once: players go on, and others still join.
#[test]
fn operators_in_a_loop_cost_players_nothing() {
    let (relay, _folder, place) = start_with_socket(&[]);
    let mut pair = canaries(&relay);
    let paths = [
        "/v1/rooms",
        "/v1/rooms?from=1.0",
        "/v1/rooms/canary/players",
        "/v1/ends",
    ];
    std::thread::scope(|scope| {
        let operators: Vec<_> = (0..32)
            .map(|n| {
                let place = &place;
                scope.spawn(move || {
                    for turn in 0..20 {
                        let (status, text) = ask_as_operator(place, paths[(n + turn) % 4], None);
                        assert_eq!(status, 200, "{text}");
                    }
                })
            })
            .collect();
        while !operators.iter().all(|operator| operator.is_finished()) {
            exchange(&mut pair, b"meanwhile");
            let _newcomer = Wire::join(relay.addr(), "/rooms/other");
        }
    });
}
