//! The relay under test: one process for each test, ended with it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::DEADLINE;

/// The path of the program that cargo built for this test.
pub(crate) const ROOMCAST: &str = env!("CARGO_BIN_EXE_roomcast");

/// A running relay. Dropping it ends the process and fails the test if the process ever panicked.
pub(crate) struct Relay {
    child: Child,
    addr: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    log_ended: Receiver<()>,
}

/// The program with no settings but those that follow: the environment's own are taken away.
pub(crate) fn roomcast() -> Command {
    clean(Command::new(ROOMCAST))
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROOMCAST_")) {
        command.env_remove(name);
    }
    command
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Relay {
    /// Two reactors, so that joining also hands off, and these flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut command = roomcast();
        command
            .args(["--listen", "127.0.0.1:0", "--reactors", "2"])
            .args(flags);
        Self::spawn(command)
    }

    /// Like [`Relay::start`], under a limit on file descriptors (soft, hard).
    pub(crate) fn start_with_descriptors(soft: u32, hard: u32, flags: &[&str]) -> Self {
        let mut command = clean(Command::new("sh"));
        command
            .arg("-c")
            .arg(format!(
                "ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\""
            ))
            .arg(ROOMCAST)
            .args(["--listen", "127.0.0.1:0"])
            .args(flags);
        Self::spawn(command)
    }

    /// Runs this command, which must say where it listens.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the relay's program starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (listening, started) = mpsc::channel();
        let (ended, log_ended) = mpsc::channel();
        thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    // Kept first, so that whoever is told of the address finds the line.
                    let addr = listening_address(&line);
                    log.lock().expect("the log").push(line);
                    if let Some(addr) = addr {
                        let _ = listening.send(addr);
                    }
                }
                let _ = ended.send(());
            }
        });
        let Ok(addr) = started.recv_timeout(DEADLINE) else {
            let _ = child.kill();
            panic!(
                "the relay did not say where it listens: {:#?}",
                log.lock().expect("the log")
            );
        };
        Self {
            child,
            addr,
            log,
            log_ended,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr)
    }

    /// Everything it logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the relay takes the signal");
    }

    /// Waits for the process to end by itself.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        self.log_ended
            .recv_timeout(DEADLINE)
            .expect("the relay ends");
        self.child.wait().expect("the relay's exit status")
    }

    /// How many file descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        let listed = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        listed.expect("the relay's descriptors").count()
    }

    /// The (soft, hard) limit on file descriptors that the process has.
    pub(crate) fn descriptor_limits(&self) -> (u64, u64) {
        let text = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id()))
            .expect("the relay's limits");
        let line = text
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .expect("a limit on open files");
        let mut figures = line.split_whitespace().filter_map(|word| word.parse().ok());
        (figures.next().expect("soft"), figures.next().expect("hard"))
    }

    /// Processor time that the process has used, in clock ticks.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .expect("the relay's usage");
        let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
        // Fields 14 and 15 of proc(5), utime and stime; the state, field 3, is the first after the name.
        after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("ticks"))
            .sum()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

/// `ws://127.0.0.1:7777` anywhere in a line.
fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("ws://")?;
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || "[].:".contains(c)))
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.log_ended.recv_timeout(DEADLINE);
        let log = self.log();
        if thread::panicking() {
            eprintln!("the relay logged:\n{}", log.join("\n"));
        } else {
            assert!(
                !log.iter().any(|line| line.contains("panicked")),
                "the relay panicked: {log:#?}"
            );
        }
    }
}

#[test]
fn the_address_is_found_in_a_line_of_log() {
    let found = |line| listening_address(line).map(|addr| addr.to_string());
    assert_eq!(
        found("INFO listening on ws://127.0.0.1:41234 reactors=2").as_deref(),
        Some("127.0.0.1:41234")
    );
    assert_eq!(
        found(r#"{"url":"ws://[::1]:80","x":1}"#).as_deref(),
        Some("[::1]:80")
    );
    assert_eq!(
        found("listening on ws://127.0.0.1:7\u{1b}[0m").as_deref(),
        Some("127.0.0.1:7")
    );
    assert_eq!(found("starting"), None);
}
