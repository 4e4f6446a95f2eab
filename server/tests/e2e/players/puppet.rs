//! A client in a process of its own, which obeys orders on its stdin and reports on its stdout. The
//! line protocol is written down in `tests/clients/node/puppet.mjs`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Event, INSTALL, Kind, Part, Player};
use crate::DEADLINE;

type Listeners = Arc<Mutex<HashMap<String, Sender<Event>>>>;

/// A process of a client, for any number of connections.
pub(crate) struct Puppet {
    client: &'static str,
    process: Arc<Mutex<Process>>,
    listeners: Listeners,
}

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Puppet {
    /// npm's `ws`.
    pub(crate) fn ws() -> Self {
        Self::start("ws", Self::node("ws.mjs"))
    }

    /// npm's `websocket`, which calls itself WebSocket-Node.
    pub(crate) fn websocket_node() -> Self {
        Self::start("websocket-node", Self::node("websocket-node.mjs"))
    }

    /// Python's `websockets`.
    pub(crate) fn websockets() -> Self {
        Self::start("websockets", Self::python("websockets_player.py"))
    }

    /// The three above, each of which also trusts the authorities in this PEM file, in its own way.
    pub(crate) fn all_trusting(ca: &Path) -> [Self; 3] {
        let node = |script| {
            let mut command = Self::node(script);
            command.env("NODE_EXTRA_CA_CERTS", ca);
            command
        };
        let mut python = Self::python("websockets_player.py");
        python.env("SSL_CERT_FILE", ca);
        [
            Self::start("ws", node("ws.mjs")),
            Self::start("websocket-node", node("websocket-node.mjs")),
            Self::start("websockets", python),
        ]
    }

    /// Headless Chromium. `CHROMIUM` names its program if it is not on the path.
    pub(crate) fn browser() -> Self {
        Self::start("browser", Self::chromium())
    }

    /// The same, of a user whose home is this folder.
    pub(crate) fn browser_at_home(home: &Path) -> Self {
        let mut command = Self::chromium();
        command.env("HOME", home);
        Self::start("browser", command)
    }

    fn chromium() -> Command {
        let chromium = std::env::var_os("CHROMIUM").map(PathBuf::from).or_else(|| {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path)
                .map(|folder| folder.join("chromium"))
                .find(|program| program.exists())
        });
        let chromium = chromium.unwrap_or_else(|| panic!("no chromium on the path; {INSTALL}"));
        let mut command = Self::node("browser.mjs");
        command.arg(chromium);
        command
    }

    fn node(script: &str) -> Command {
        let folder = clients("node");
        assert!(folder.join("node_modules").exists(), "{INSTALL}");
        let mut command = Command::new("node");
        command.arg(folder.join(script));
        command
    }

    /// A Python program that finds the packages which `scripts/test setup` installed.
    pub(crate) fn python(script: &str) -> Command {
        let folder = clients("python");
        let python = folder.join(".venv/bin/python");
        assert!(python.exists(), "{INSTALL}");
        let mut command = Command::new(python);
        command.arg(folder.join(script));
        command
    }

    fn start(client: &'static str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{client} does not start: {error}; {INSTALL}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let listeners = Listeners::default();
        thread::spawn({
            let listeners = Arc::clone(&listeners);
            move || {
                for line in stdout.lines().map_while(Result::ok) {
                    let (id, event) = parse(&line);
                    // A test that is over listens no more.
                    if let Some(listener) = listeners.lock().expect("the listeners").get(id) {
                        let _ = listener.send(event);
                    }
                }
                // Whoever still waits is told at once, not by the deadline.
                listeners.lock().expect("the listeners").clear();
            }
        });
        Self {
            client,
            process: Arc::new(Mutex::new(Process { child, stdin })),
            listeners,
        }
    }

    /// Opens a connection, and says how that went.
    pub(crate) fn try_join(&self, url: &str) -> (PuppetPlayer, Event) {
        let (sender, events) = mpsc::channel();
        let mut listeners = self.listeners.lock().expect("the listeners");
        let id = format!("{}-{}", self.client, listeners.len());
        listeners.insert(id.clone(), sender);
        drop(listeners);
        let mut player = PuppetPlayer {
            id,
            process: Arc::clone(&self.process),
            events,
        };
        player.order(format_args!("join {url}"));
        let event = player.next();
        (player, event)
    }

    /// Opens a connection that the relay must accept.
    pub(crate) fn join(&self, url: &str) -> PuppetPlayer {
        let (player, event) = self.try_join(url);
        assert_eq!(event, Event::Open, "{} joins {url}", player.id);
        player
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of stdin is the order to leave; a test that failed does not wait for it to be obeyed.
        self.stdin = None;
        if thread::panicking() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// One connection of a [`Puppet`].
pub(crate) struct PuppetPlayer {
    id: String,
    process: Arc<Mutex<Process>>,
    events: Receiver<Event>,
}

impl PuppetPlayer {
    fn order(&mut self, order: std::fmt::Arguments<'_>) {
        let mut process = self.process.lock().expect("the process");
        let stdin = process.stdin.as_mut().expect("stdin is open");
        stdin
            .write_all(format!("{} {order}\n", self.id).as_bytes())
            .expect("the client listens");
    }
}

impl Player for PuppetPlayer {
    fn name(&self) -> &str {
        &self.id
    }

    fn send(&mut self, kind: Kind, bytes: &[u8]) {
        self.order(format_args!("send {} {}", word(kind), encode(bytes)));
    }

    fn fragments(&mut self, kind: Kind, parts: &[Part<'_>]) {
        let parts: Vec<String> = parts
            .iter()
            .map(|part| match part {
                Part::Data(bytes) => encode(bytes),
                Part::Ping(bytes) => format!("!{}", encode(bytes)),
            })
            .collect();
        self.order(format_args!("fragments {} {}", word(kind), parts.join(",")));
    }

    fn ping(&mut self, bytes: &[u8]) {
        self.order(format_args!("ping {}", encode(bytes)));
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.order(format_args!("close {code} {}", encode(reason.as_bytes())));
    }

    fn next(&mut self) -> Event {
        let event = self.events.recv_timeout(DEADLINE);
        event.unwrap_or_else(|error| panic!("{} said nothing more: {error}", self.id))
    }
}

/// Where the scripts and what they need are.
fn clients(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(language)
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Binary => "binary",
    }
}

fn parse(line: &str) -> (&str, Event) {
    let mut words = line.splitn(3, ' ');
    let (id, what, rest) = (
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
    );
    let event = match (what, rest.parse()) {
        ("open", _) => Event::Open,
        ("text", _) => Event::Message(Kind::Text, decode(rest)),
        ("binary", _) => Event::Message(Kind::Binary, decode(rest)),
        ("pong", _) => Event::Pong(decode(rest)),
        ("closed", Ok(code)) => Event::Closed(code),
        ("refused", Ok(status)) => Event::Refused(status),
        ("failed", _) => Event::Failed(rest.to_owned()),
        _ => Event::Failed(format!("a line that is no event: {line}")),
    };
    (id, event)
}

fn encode(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn decode(word: &str) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).expect("a hexadecimal digit") as u8;
    let digits = if word == "-" { &[] } else { word.as_bytes() };
    digits
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[test]
fn lines_become_events() {
    assert_eq!(parse("a open"), ("a", Event::Open));
    assert_eq!(
        parse("a binary 00ff"),
        ("a", Event::Message(Kind::Binary, vec![0, 255]))
    );
    assert_eq!(parse("a text -"), ("a", Event::Message(Kind::Text, vec![])));
    assert_eq!(parse("a closed 4002"), ("a", Event::Closed(4002)));
    assert_eq!(
        parse("a failed in some way"),
        ("a", Event::Failed("in some way".to_owned()))
    );
    assert_eq!(
        parse("a closed soon").1,
        Event::Failed("a line that is no event: a closed soon".to_owned())
    );
    assert_eq!(decode(&encode(&[1, 2, 254])), [1, 2, 254]);
}
