//! Tickets: who is let in, by which way a ticket came, and what a refused one is told.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::admin::{concerned, start_with_socket};
use crate::relay::{Relay, roomcast};
use crate::startup::{USAGE, failure};
use crate::wire::{Response, Wire};

pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes";

pub(crate) fn secret(folder: &TempDir, text: &str) -> String {
    let file = folder.path().join("secret");
    fs::write(&file, text).expect("a file");
    file.to_str().expect("a path").to_owned()
}

pub(crate) fn ticket(key: &str, rooms: &[&str], valid: &str) -> String {
    ticket_with(key, rooms, &["--valid", valid])
}

fn ticket_with(key: &str, rooms: &[&str], more: &[&str]) -> String {
    let mut command = roomcast();
    command.args(["ticket", "--key", key, "--sub", "ada"]);
    for room in rooms {
        command.args(["--room", room]);
    }
    command.args(more);
    let made = command.stdout(Stdio::piped()).output().expect("a ticket");
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

fn ask(relay: &Relay, target: &str, fields: &str) -> (Wire, Response) {
    let mut wire = Wire::connect(relay.addr());
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    wire.send(request.as_bytes());
    let response = wire.response_head();
    (wire, response)
}

fn told(relay: &Relay, target: &str) -> (u16, String) {
    let mut wire = Wire::connect(relay.addr());
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    let (response, body) = wire.response();
    (response.status, String::from_utf8(body).expect("text"))
}

#[test]
fn a_ticket_comes_by_three_ways_and_is_never_echoed() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, SECRET);
    let relay = Relay::start(&["--ticket-key", &key]);
    let ticket = ticket(&key, &["a", "match-*"], "5m");
    let offers =
        |more: &str| format!("Sec-WebSocket-Protocol: roomcast.ticket.{ticket}, {more}\r\n");
    let bearer = format!("Authorization: Bearer {ticket}\r\n");
    let mut players = Vec::new();
    for (target, fields, selected) in [
        (format!("/rooms/a?ticket={ticket}"), String::new(), None),
        ("/rooms/a".to_owned(), bearer.clone(), None),
        (
            "/rooms/a".to_owned(),
            offers("roomcast.raw"),
            Some("roomcast.raw"),
        ),
        (
            "/rooms/match-7".to_owned(),
            offers("roomcast.v1"),
            Some("roomcast.v1"),
        ),
        ("/echo".to_owned(), bearer, None),
    ] {
        let (wire, response) = ask(&relay, &target, &fields);
        assert_eq!(response.status, 101, "{target} {fields}");
        assert_eq!(
            response.field("sec-websocket-protocol"),
            selected,
            "{fields}"
        );
        players.push(wire);
    }
    players[0].message(2, b"hello");
    players[2].expect(2, b"hello");
    let leaked = relay.log().iter().any(|line| line.contains(&ticket));
    assert!(!leaked, "no ticket is logged");
}

#[test]
fn who_is_refused_learns_which_claim_it_was() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, SECRET);
    let relay = Relay::start(&["--ticket-key", &key]);
    let good = ticket(&key, &["a"], "5m");
    let (_, response) = ask(&relay, "/rooms/a", "");
    assert_eq!(response.status, 401);
    assert!(response.field("www-authenticate").is_some());
    // A page asks the same way why its WebSocket was refused.
    for (target, status, says) in [
        ("/rooms/a".to_owned(), 401, "A ticket is needed"),
        (format!("/rooms/b?ticket={good}"), 401, "(rooms)"),
        (format!("/rooms/a?ticket={good}x"), 401, "not valid"),
        (format!("/rooms/a?ticket={good}"), 426, "WebSocket endpoint"),
        ("/echo".to_owned(), 401, "A ticket is needed"),
        ("/healthz".to_owned(), 200, "alive"),
        ("/readyz".to_owned(), 200, "ready"),
    ] {
        let (got, text) = told(&relay, &target);
        assert_eq!(got, status, "{target}: {text}");
        assert!(text.contains(says), "{target}: {text}");
    }
}

#[test]
fn keys_are_changed_under_players() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, SECRET);
    let (relay, _folder, place) = start_with_socket(&["--ticket-key", &key]);
    let old = ticket(&key, &["*"], "5m");
    let target = |ticket: &str| format!("/rooms/a?ticket={ticket}");
    let (mut first, _) = ask(&relay, &target(&old), "");
    let new = "another secret of more than thirty-two bytes";
    secret(&folder, new);
    // An operator's command does what the signal does.
    assert_eq!(concerned(&place, &["reload"]), 0);
    relay.logged("ticket keys loaded", 2);
    assert_eq!(told(&relay, &target(&old)).0, 401);
    let (mut second, response) = ask(&relay, &target(&ticket(&key, &["a"], "5m")), "");
    assert_eq!(response.status, 101);
    second.message(2, b"still here?");
    first.expect(2, b"still here?");
    secret(&folder, "short");
    relay.signal(Signal::HUP);
    relay.logged("the old ticket keys stay in use", 1);
    secret(&folder, new);
    let (_, response) = ask(&relay, &target(&ticket(&key, &["a"], "5m")), "");
    assert_eq!(response.status, 101);
}

#[test]
fn a_key_that_is_none_is_said_before_anybody_listens() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, "short");
    let output = roomcast()
        .args(["--ticket-key", &key])
        .output()
        .expect("an end");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&key) && said.contains("openssl rand"),
        "{said}"
    );
}

#[test]
fn a_ticket_that_would_be_refused_is_not_made() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, SECRET);
    for (flag, value) in [
        ("--sub", ""),
        ("--sub", "ada "),
        ("--room", "bad room"),
        ("--room", "a*b"),
        ("--room", ""),
        ("--valid", "500ms"),
        ("--stay", "0"),
        ("--id", " 7"),
    ] {
        let good = [("--sub", "ada"), ("--room", "a"), ("--room", "b-*")];
        let others = good.into_iter().filter(|(other, _)| *other != flag);
        let mut command = roomcast();
        command.args(["ticket", "--key", &key]);
        for (flag, value) in others.chain([(flag, value)]) {
            command.arg(format!("{flag}={value}"));
        }
        let line = failure(command, USAGE);
        assert!(line.contains(flag), "{flag} {value:?}: {line}");
    }
}

#[test]
fn a_spectator_hears_and_is_closed_when_it_speaks() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, SECRET);
    let relay = Relay::start(&["--ticket-key", &key]);
    let (player, spectator) = (
        ticket(&key, &["a"], "5m"),
        ticket_with(&key, &["a"], &["--spectator", "--stay", "1h"]),
    );
    let (mut player, _) = ask(&relay, &format!("/rooms/a?ticket={player}"), "");
    let (mut spectator, response) = ask(&relay, &format!("/rooms/a?ticket={spectator}"), "");
    assert_eq!(response.status, 101);
    player.message(2, b"hello");
    spectator.expect(2, b"hello");
    spectator.message(2, b"me too");
    assert_eq!(spectator.read_to_close_frame(), Some(1008));
}

#[test]
fn tickets_are_taken_back_by_their_ids() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, SECRET);
    let list = folder.path().join("revoked");
    fs::write(&list, "").expect("a file");
    let list = list.to_str().expect("a path");
    let relay = Relay::start(&["--ticket-key", &key, "--ticket-revoked", list]);
    let lost = ticket_with(&key, &["a"], &["--id", "lost"]);
    let kept = ticket_with(&key, &["a"], &["--id", "kept"]);
    let (mut seated, _) = ask(&relay, &format!("/rooms/a?ticket={lost}"), "");
    fs::write(list, "jti lost\n").expect("a file");
    relay.signal(Signal::HUP);
    relay.logged("ticket keys loaded", 2);
    let (status, text) = told(&relay, &format!("/rooms/a?ticket={lost}"));
    assert_eq!(status, 401);
    assert!(text.contains("(sub or jti)"), "{text}");
    let (mut other, response) = ask(&relay, &format!("/rooms/a?ticket={kept}"), "");
    assert_eq!(response.status, 101);
    // Who has joined with it goes, and nobody else.
    assert_eq!(seated.read_to_close_frame(), Some(1008));
    let (mut more, _) = ask(&relay, &format!("/rooms/a?ticket={kept}"), "");
    more.message(2, b"still here");
    other.expect(2, b"still here");
}

/// What `examples/tickets` makes lets in whom it names, and nobody else. Without Go that one is skipped, but not in CI.
#[test]
fn tickets_are_made_in_other_languages() {
    let folder = TempDir::new().expect("a folder");
    let key = secret(&folder, &format!("{SECRET}\n"));
    let relay = Relay::start(&["--ticket-key", &key]);
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/tickets");
    for (program, arguments) in [
        ("node", &["ticket.mjs"][..]),
        ("python3", &["ticket.py"]),
        ("go", &["run", "ticket.go"]),
    ] {
        let made = Command::new(program)
            .args(arguments)
            .args([&*key, "ada", "a", "match-*"])
            .current_dir(examples)
            .env("GOCACHE", folder.path())
            .output();
        let made = match made {
            Err(_) if program == "go" && std::env::var_os("CI").is_none() => {
                eprintln!("skipped: go is not installed");
                continue;
            }
            made => made.expect("it runs (run `scripts/test setup` once)"),
        };
        assert!(made.status.success(), "{made:?}");
        let ticket = String::from_utf8(made.stdout).expect("text");
        for (room, status) in [("a", 101), ("match-7", 101), ("b", 401)] {
            let target = format!("/rooms/{room}?ticket={}", ticket.trim());
            let (_, response) = ask(&relay, &target, "");
            assert_eq!(response.status, status, "{program}: {room}");
        }
    }
}
