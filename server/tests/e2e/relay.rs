//! The relay under test: one process for each test, ended with it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::stream::trusting;
use crate::{DEADLINE, patience};

/// The path of the program that cargo built for this test.
pub(crate) const ROOMCAST: &str = env!("CARGO_BIN_EXE_roomcast");

/// A running relay. Dropping it ends the process and fails the test if the process ever panicked.
pub(crate) struct Relay {
    child: Child,
    plain: Option<SocketAddr>,
    secure: Option<SocketAddr>,
    log: Arc<Log>,
    log_ended: Receiver<()>,
    /// The home of its development authority, if it made one.
    authority: Option<TempDir>,
}

/// What a relay wrote so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// The program with no settings but those that follow: the environment's own are taken away.
pub(crate) fn roomcast() -> Command {
    clean(Command::new(ROOMCAST))
}

/// The same for a command that becomes the program.
pub(crate) fn clean(mut command: Command) -> Command {
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

    /// Like [`Relay::start`], with wss beside it and a development authority of its own. It logs every end.
    pub(crate) fn start_secure(flags: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut command = roomcast();
        command
            .args(["--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"])
            .arg("--dev-tls")
            .args(flags)
            .env("ROOMCAST_REACTORS", "2")
            .env("ROOMCAST_LOG_LEVEL", "trace")
            .env("ROOMCAST_DATA_DIR", folder.path());
        let mut relay = Self::spawn_secure(command);
        relay.authority = Some(folder);
        relay
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

    /// Runs this command, which must say where it listens for ws.
    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_until(command, "ws")
    }

    /// Runs this command, which must say where it listens for wss; if it does for ws too, it says that before.
    pub(crate) fn spawn_secure(command: Command) -> Self {
        Self::spawn_until(command, "wss")
    }

    fn spawn_until(mut command: Command, scheme: &str) -> Self {
        let mut child = command.spawn().expect("the relay's program starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let log = Arc::new(Log::default());
        let (listening, started) = mpsc::channel();
        let (ended, log_ended) = mpsc::channel();
        thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    // Kept first, so that whoever is told of the address finds the line.
                    let found = ["ws", "wss"]
                        .map(|scheme| (scheme, listening_address(&line, scheme)))
                        .into_iter()
                        .find_map(|(scheme, addr)| Some((scheme, addr?)));
                    log.lines.lock().expect("the log").push(line);
                    log.grown.notify_all();
                    if let Some(found) = found {
                        let _ = listening.send(found);
                    }
                }
                let _ = ended.send(());
            }
        });
        let (mut plain, mut secure) = (None, None);
        loop {
            let Ok((said, addr)) = started.recv_timeout(DEADLINE) else {
                let _ = child.kill();
                panic!(
                    "the relay did not say where it listens: {:#?}",
                    log.lines.lock().expect("the log")
                );
            };
            match said {
                "ws" => plain = Some(addr),
                _ => secure = Some(addr),
            }
            if said == scheme {
                break;
            }
        }
        Self {
            child,
            plain,
            secure,
            log,
            log_ended,
            authority: None,
        }
    }

    /// Where it listens for ws.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.plain.expect("it listens for ws")
    }

    /// Where it listens for wss.
    pub(crate) fn secure_addr(&self) -> SocketAddr {
        self.secure.expect("it listens for wss")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr())
    }

    /// The same path over wss.
    pub(crate) fn secure_url(&self, path: &str) -> String {
        format!("wss://{}{path}", self.secure_addr())
    }

    /// The certificate of its development authority.
    pub(crate) fn ca(&self) -> PathBuf {
        let folder = self.authority.as_ref().map(TempDir::path);
        folder
            .expect("it has a development authority")
            .join("dev-ca.pem")
    }

    /// A client that trusts its development authority. Its sessions resume.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        trusting(Path::new(&self.ca()), &[&TLS13, &TLS12])
    }

    /// Everything it logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines.lock().expect("the log").clone()
    }

    /// Waits until it has logged this so many times.
    pub(crate) fn logged(&self, words: &str, times: usize) {
        let lines = self.log.lines.lock().expect("the log");
        let missing = |lines: &mut Vec<String>| {
            lines.iter().filter(|line| line.contains(words)).count() < times
        };
        let (lines, waited) = self
            .log
            .grown
            .wait_timeout_while(lines, DEADLINE, missing)
            .expect("the log");
        // Let go of before a panic, which prints the log.
        drop(lines);
        assert!(!waited.timed_out(), "it never logged {words:?} {times}x");
    }

    /// Waits until so many connections have ended. Only a relay that logs every end tells.
    pub(crate) fn ended(&self, connections: usize) {
        self.logged("connection ends", connections);
    }

    /// Ends it, and returns why all its connections ended: how often each label.
    pub(crate) fn ends(&mut self) -> BTreeMap<String, u64> {
        self.signal(Signal::TERM);
        self.farewell()
    }

    /// Waits for it to end well, and returns why all its connections ended: how often each label.
    pub(crate) fn farewell(&mut self) -> BTreeMap<String, u64> {
        assert_eq!(self.exit().code(), Some(0));
        let log = self.log();
        let line = log
            .iter()
            .find_map(|line| line.split_once("ends=\""))
            .expect("a farewell")
            .1;
        let counts = line.split_once('"').expect("a list in quotes").0;
        let counts = counts.split_whitespace().map(|count| {
            let (label, count) = count.split_once('=').expect("a label and how often");
            (label.to_owned(), count.parse().expect("a number"))
        });
        counts.collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the relay takes the signal");
    }

    /// Loses patience with a relay that drains: asks again until it has ended, and returns its exit code.
    pub(crate) fn end_at_once(&mut self) -> Option<i32> {
        let patience = patience("a second signal ends it");
        loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status.code();
            }
            // The first one or two may count as part of the stop before.
            self.signal(Signal::TERM);
            patience.check();
        }
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

    /// Bytes of memory that the process holds (VmRSS of proc(5)).
    pub(crate) fn resident(&self) -> u64 {
        1024 * self.status("VmRSS:")
    }

    /// Descriptors for which the table of the process has room (FDSize of proc(5)).
    #[cfg(target_os = "linux")]
    pub(crate) fn descriptor_table(&self) -> u64 {
        self.status("FDSize:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the relay's status");
        let line = status.lines().find(|line| line.starts_with(name));
        let figure = line.and_then(|line| line.split_whitespace().nth(1));
        figure.expect("a figure").parse().expect("a number")
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

    /// Leaves the running relay no more file descriptors than that.
    pub(crate) fn lower_descriptors(&self, most: u64) {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        prlimit(Some(self.pid()), Resource::Nofile, limit).expect("the relay's limit is set");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

/// What [`Relay::ends`] is to say.
pub(crate) fn ends(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let owned = expected
        .iter()
        .map(|(label, count)| ((*label).to_owned(), *count));
    owned.collect()
}

/// `ws://127.0.0.1:7777` anywhere in a line; advice about trust names hosts, not addresses.
pub(crate) fn listening_address(line: &str, scheme: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(&format!("{scheme}://"))?;
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
    let found = |line| listening_address(line, "ws").map(|addr| addr.to_string());
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
    let line = "INFO listening on wss://127.0.0.1:41234 reactors=2";
    assert_eq!(found(line), None);
    assert_eq!(
        listening_address(line, "wss").map(|addr| addr.port()),
        Some(41234)
    );
}
