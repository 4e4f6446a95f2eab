//! What an operator reads of a running relay, and what happens if nobody reads it.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::net::SocketAddr;
use std::process::Child;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::patience;
use crate::relay::{Relay, listening_address, roomcast};
use crate::wire::{BINARY, Wire};

/// A relay whose standard error is a full pipe that nobody reads.
struct Unheard {
    child: Child,
    addr: SocketAddr,
    stderr: BufReader<PipeReader>,
}

impl Unheard {
    fn start(flags: &[&str]) -> Self {
        let (reader, writer) = pipe().expect("a pipe");
        let mut command = roomcast();
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--reactors",
                "2",
                "--log-level",
                "trace",
            ])
            .args(flags)
            .stderr(writer.try_clone().expect("a second descriptor"));
        let child = command.spawn().expect("the relay's program starts");
        // It holds the other copy of the pipe's end.
        drop(command);
        let mut stderr = BufReader::new(reader);
        let mut line = String::new();
        let addr = loop {
            line.clear();
            stderr.read_line(&mut line).expect("a line");
            if let Some(addr) = listening_address(&line, "ws") {
                break addr;
            }
        };
        fill(writer);
        Self {
            child,
            addr,
            stderr,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the relay takes the signal");
    }

    /// Makes it log more than it keeps.
    fn provoke(&self) {
        for _ in 0..2_000 {
            let mut wire = Wire::connect(self.addr);
            wire.send(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(wire.response().0.status, 404);
        }
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes until there is no room, and whenever there is some.
fn fill(writer: PipeWriter) {
    let watched = writer.try_clone().expect("a second descriptor");
    thread::spawn(move || {
        let mut writer = writer;
        // Ends with the pipe.
        while writer.write_all(&[b'\n'; 4096]).is_ok() {}
    });
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let patience = patience("the pipe is full");
    while poll(&mut [PollFd::new(&watched, PollFlags::OUT)], Some(&now)).expect("poll") > 0 {
        patience.check();
    }
}

#[test]
fn who_does_not_read_standard_error_stops_nothing() {
    let mut relay = Unheard::start(&["--drain", "100ms"]);
    let [mut one, mut other] = [(); 2].map(|()| Wire::join(relay.addr, "/rooms/unheard"));
    relay.provoke();
    one.message(BINARY, b"still there");
    other.expect(BINARY, b"still there");
    relay.signal(Signal::TERM);
    for wire in [&mut one, &mut other] {
        assert_eq!(wire.read_to_close(), Some(1012));
    }
    assert_eq!(relay.child.wait().expect("its status").code(), Some(0));
}

#[test]
fn the_second_signal_ends_it_also_if_nobody_reads() {
    let mut relay = Unheard::start(&["--drain", "1h"]);
    let _player = Wire::join(relay.addr, "/rooms/unheard");
    relay.provoke();
    relay.signal(Signal::TERM);
    let patience = patience("it drains");
    loop {
        let mut wire = Wire::connect(relay.addr);
        wire.send(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
        if wire.response().0.status == 503 {
            break;
        }
        patience.check();
    }
    let code = loop {
        if let Some(status) = relay.child.try_wait().expect("its status") {
            break status.code();
        }
        relay.signal(Signal::TERM);
        patience.check();
    };
    assert_eq!(code, Some(143));
}

#[test]
fn who_reads_again_is_told_how_many_lines_are_missing() {
    let mut relay = Unheard::start(&[]);
    relay.provoke();
    let line = (&mut relay.stderr)
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("log lines were dropped"))
        .expect("a line that says so");
    let (_, count) = line.split_once("dropped=").expect("a number");
    let digits = count.trim_end().parse::<u64>();
    assert!(digits.is_ok_and(|lines| lines > 0), "{line}");
}

/// The lines that say how connections end.
fn ends(relay: &Relay, count: usize) -> Vec<String> {
    relay.logged("connection ends", count);
    let log = relay.log().into_iter();
    log.filter(|line| line.contains("connection ends"))
        .collect()
}

#[test]
fn each_end_says_who_why_and_how_much() {
    let relay = Relay::start(&["--log-level", "debug"]);
    let mut wire = Wire::join(relay.addr(), "/rooms/secret-lobby");
    wire.message(BINARY, &vec![0; 65_537]);
    assert_eq!(wire.read_to_close(), Some(1009));
    drop(wire);
    let mut lines = ends(&relay, 1);
    let mut other = Wire::connect(relay.addr());
    other.send(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(other.response().0.status, 404);
    drop(other);
    lines.push(ends(&relay, 2).remove(1));
    for part in [
        "id=",
        "peer=127.0.0.0/24",
        "room=\"#",
        "reason=\"too_big\"",
        "close_code=1009",
        "cause=message is over the size limit",
        "received=",
        "sent=",
        "seconds=",
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(!relay.log().iter().any(|line| line.contains("secret-lobby")));
    for part in ["reason=\"refused\"", "cause=404 There is nothing here"] {
        assert!(lines[1].contains(part), "{part} in {}", lines[1]);
    }
    assert!(!lines[1].contains("room="), "{}", lines[1]);
    // With what was said last: the close frame, the answer.
    assert!(
        lines.iter().all(|line| !line.contains(" sent=0")),
        "{lines:?}"
    );
    let id = |line: &str| {
        let (_, rest) = line.split_once(" id=").expect("an id");
        rest.split_whitespace().next().map(str::to_owned)
    };
    assert_ne!(id(&lines[0]), id(&lines[1]));
}

#[test]
fn addresses_and_rooms_are_whole_if_asked_for() {
    let relay = Relay::start(&[
        "--log-level",
        "trace",
        "--log-addresses",
        "whole",
        "--log-rooms",
        "plain",
    ]);
    Wire::join(relay.addr(), "/rooms/lobby").reset();
    let line = ends(&relay, 1).remove(0);
    assert!(line.contains("peer=127.0.0.1 "), "{line}");
    assert!(line.contains("room=\"lobby\""), "{line}");
    let of_mio = |line: &&String| line.contains("regist");
    assert_eq!(
        relay.log().iter().find(of_mio),
        None,
        "mio's own lines stay out"
    );
}
