//! Restarts that nobody outside notices but by a close frame: listeners go from one process to the next.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::patience;
use crate::relay::{ROOMCAST, Relay, clean, roomcast};
use crate::startup::{START_FAILED, USAGE, failure};
use crate::wire::{BINARY, Wire, upgrade_request};

/// A relay that takes over whatever is at this path.
fn heir(path: &Path, reactors: usize, flags: &[&str]) -> Command {
    let mut command = roomcast();
    command
        .args(["--listen", "127.0.0.1:0", "--drain", "300ms"])
        .args(["--reactors", &reactors.to_string()])
        .arg("--takeover")
        .arg(path)
        .args(flags);
    command
}

/// Somebody who joins again and again, each time over a new connection, until it is told to stop. A refusal, a reset or any
/// other answer than a seat fails.
struct Herd {
    stop: Arc<AtomicBool>,
    joined: Arc<AtomicUsize>,
    members: Vec<JoinHandle<()>>,
}

impl Herd {
    fn begin(addr: SocketAddr) -> Self {
        let (stop, joined): (Arc<AtomicBool>, Arc<AtomicUsize>) = (Arc::default(), Arc::default());
        let members = (0..4).map(|_| {
            let (stop, joined) = (Arc::clone(&stop), Arc::clone(&joined));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut wire = Wire::connect(addr);
                    wire.send(upgrade_request("/rooms/herd").as_bytes());
                    assert_eq!(wire.response_head().status, 101);
                    joined.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self {
            members: members.collect(),
            stop,
            joined,
        }
    }

    /// Waits until so many more have joined.
    fn grows(&self, by: usize) {
        let patience = patience("somebody joins");
        let before = self.joined.load(Ordering::Relaxed);
        while self.joined.load(Ordering::Relaxed) < before + by {
            patience.check();
            thread::yield_now();
        }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for member in self.members {
            member.join().expect("nobody is refused or reset");
        }
    }
}

#[test]
fn nobody_is_refused_while_one_process_takes_over_from_another() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("roomcast.sock");
    let operators = folder.path().join("admin.sock");
    let admin = format!("--admin=unix:{}", operators.display());
    let mut relay = Relay::spawn(heir(&path, 2, &[&admin]));
    let addr = relay.addr();
    let herd = Herd::begin(addr);
    for reactors in [4, 1, 3, 2] {
        herd.grows(20);
        let mode = fs::metadata(&path)
            .expect("its socket")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut player = Wire::join(addr, "/rooms/a");
        let next = Relay::spawn(heir(&path, reactors, &[&admin]));
        assert_eq!(next.addr(), addr);
        next.logged("operators are served", 1);
        assert!(UnixStream::connect(&operators).is_ok());
        assert_eq!(player.read_to_close(), Some(1012));
        assert_eq!(relay.exit().code(), Some(0));
        relay = next;
        let mut players = [0, 1].map(|_| Wire::join(addr, "/rooms/a"));
        players[0].message(BINARY, b"here");
        players[1].expect(BINARY, b"here");
    }
    herd.grows(20);
    herd.end();
    let left = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 2, "nothing but the two sockets is left");
}

/// Who was accepted by the process before, and has not yet said what it wants, still gets its seat.
#[test]
fn who_is_on_the_way_gets_in_and_is_sent_to_the_next_process() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("roomcast.sock");
    let mut relay = Relay::spawn(heir(&path, 1, &["--log-level=debug"]));
    let mut ahead = Wire::join(relay.addr(), "/rooms/a");
    let mut late = Wire::connect(relay.addr());
    // It is accepted before the other one, who comes after it, is answered.
    late.send(b"GET /rooms/a HTTP/1.1\r\n");
    drop(Wire::join(relay.addr(), "/rooms/a"));
    let next = Relay::spawn(heir(&path, 1, &[]));
    relay.logged("another process has taken over", 1);
    let rest = upgrade_request("/rooms/a");
    let (_, rest) = rest.split_once("\r\n").expect("a request line");
    late.send(rest.as_bytes());
    assert_eq!(late.response_head().status, 101);
    late.message(BINARY, b"last words");
    ahead.expect(BINARY, b"last words");
    assert_eq!(ahead.read_to_close(), Some(1012));
    assert_eq!(relay.exit().code(), Some(0));
    drop(next);
}

#[test]
fn a_process_that_does_not_start_takes_nothing_over() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("roomcast.sock");
    let relay = Relay::spawn(heir(&path, 2, &[]));
    let mut player = Wire::join(relay.addr(), "/rooms/a");
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("its address").to_string();
    let line = failure(heir(&path, 2, &["--listen", &taken]), START_FAILED);
    assert!(line.contains(&taken), "{line}");
    relay.logged("nobody took over", 1);
    let mut beside = Wire::join(relay.addr(), "/rooms/a");
    beside.message(BINARY, b"still there");
    player.expect(BINARY, b"still there");
    drop(holder);

    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let line = failure(heir(&file, 1, &[]), START_FAILED);
    assert!(line.contains("--takeover"), "{line}");
}

/// As a supervisor starts it: with listeners for descriptors 3 and on.
fn activated(passed: TcpListener, names: &str, flags: &[&str]) -> Command {
    let mut command = clean(Command::new("sh"));
    // The shell becomes the relay, so that the number of the process is right.
    command
        .arg("-c")
        .arg("exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"")
        .arg(ROOMCAST)
        .args(flags)
        .env("LISTEN_FDNAMES", names)
        .stdin(OwnedFd::from(passed));
    command
}

#[test]
fn a_supervisor_s_socket_is_served_by_name_or_by_address() {
    for by_name in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("its address");
        let held = listener.try_clone().expect("the supervisor keeps it");
        let named = format!("--listen={addr}");
        let (name, flags) = if by_name {
            ("ws", vec!["--drain=0", "--reactors=2"])
        } else {
            (
                "roomcast.socket",
                vec!["--drain=0", "--reactors=2", &*named],
            )
        };
        let mut first = Relay::spawn(activated(listener, name, &flags));
        assert_eq!(first.addr(), addr);
        let log = first.log().join("\n");
        assert_eq!(log.matches("listening on").count(), 1, "{log}");
        let mut player = Wire::join(addr, "/rooms/a");
        let herd = Herd::begin(addr);
        herd.grows(5);
        // Who comes between the two processes waits in the kernel.
        first.signal(Signal::TERM);
        assert_eq!(player.read_to_close(), Some(1012));
        assert_eq!(first.exit().code(), Some(0));
        let again = held.try_clone().expect("the supervisor keeps it");
        let second = Relay::spawn(activated(again, name, &flags));
        herd.grows(5);
        herd.end();
        drop(second);
    }
}

#[test]
fn a_passed_socket_that_is_for_nothing_is_one_line() {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let line = failure(activated(bind(), "roomcast.socket", &[]), START_FAILED);
    assert!(line.contains("FileDescriptorName="), "{line}");
    let line = failure(activated(bind(), "wss", &[]), START_FAILED);
    assert!(line.contains("--tls-cert"), "{line}");
    let line = failure(activated(bind(), "ws", &["--takeover=x"]), USAGE);
    assert!(line.contains("LISTEN_FDS"), "{line}");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let no_listener = TcpListener::from(OwnedFd::from(datagrams));
    let line = failure(activated(no_listener, "ws", &[]), START_FAILED);
    assert!(line.contains("socket 1"), "{line}");
}
