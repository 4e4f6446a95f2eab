//! `scripts/accuracy`: does loadgen measure what a server did?
//!
//! A relay in this process delays each delivery by an amount that it draws: most by one of two modes, some by a long
//! tail. It writes down what it really did, from reading a message to writing the delivery. loadgen, another process,
//! loads it, and each percentile of its report must be within 1 % and 200 us of what was written down (`judge.rs`).
//!
//! usage: accuracy LOADGEN…   (the command that loadgen is started by, such as `taskset -c 1 loadgen`)
//!
//! Exit codes: 0 it does, 1 it does not, 2 usage, 4 the run was invalid: the machine was too busy to tell.

mod judge;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use roomcast_loadgen::outcome::empty_histogram;
use roomcast_loadgen::report::Report;
use roomcast_protocol::frame::{self, Decoder, Item, Role, Rules};
use roomcast_protocol::upgrade::{self, RequestKind};

use judge::Judge;

/// Of a hundred deliveries, how many are of the first mode and how many of the second; the others are the tail.
const MODES: [(u64, u64); 2] = [(60, 2_000_000), (35, 20_000_000)];
/// The tail begins here, in ns, and its logarithm is spread evenly up to the second.
const TAIL: (f64, f64) = (50e6, 400e6);
/// How much earlier than due the relay wakes, to wait for the rest awake.
const AHEAD: Duration = Duration::from_micros(150);
const LISTENER: Token = Token(usize::MAX);

struct Member {
    stream: TcpStream,
    decoder: Decoder,
    /// The request as far as it has come; nothing once it is answered.
    head: Option<Vec<u8>>,
    room: String,
    gone: bool,
}

/// A delivery that waits: when it is due, when its message was read, for whom it is, and its frame.
type Waiting = Reverse<(Instant, Instant, usize, Arc<Vec<u8>>)>;

struct Relay {
    members: Vec<Member>,
    waiting: BinaryHeap<Waiting>,
    did: Histogram<u64>,
    random: fastrand::Rng,
}

impl Relay {
    /// Serves until `stop`, and tells what it did.
    fn serve(mut listener: TcpListener, stop: &AtomicBool) -> std::io::Result<Histogram<u64>> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(1024);
        let registry = poll.registry().try_clone()?;
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut relay = Self {
            members: Vec::new(),
            waiting: BinaryHeap::new(),
            did: empty_histogram(),
            random: fastrand::Rng::with_seed(1),
        };
        while !stop.load(Ordering::Relaxed) {
            let next = relay.waiting.peek().map(|Reverse((due, ..))| *due);
            let wait = next.map(|due| due.saturating_duration_since(Instant::now()));
            let wait = wait.unwrap_or(Duration::from_millis(20));
            // A poll sleeps for whole milliseconds: what is due sooner is waited for awake.
            let sleep = wait.saturating_sub(AHEAD);
            let sleep = Duration::from_millis(sleep.as_millis() as u64);
            poll.poll(&mut events, Some(sleep))?;
            for event in &events {
                match event.token() {
                    LISTENER => {
                        while let Ok((mut stream, _)) = listener.accept() {
                            stream.set_nodelay(true)?;
                            let token = Token(relay.members.len());
                            registry.register(&mut stream, token, Interest::READABLE)?;
                            relay.members.push(Member {
                                stream,
                                decoder: Decoder::default(),
                                head: Some(Vec::new()),
                                room: String::new(),
                                gone: false,
                            });
                        }
                    }
                    Token(member) => relay.read(member),
                }
            }
            relay.deliver();
        }
        Ok(relay.did)
    }

    fn delay(&mut self) -> Duration {
        let mut drawn = self.random.u64(..100);
        for (share, mode) in MODES {
            if drawn < share {
                return Duration::from_nanos(mode);
            }
            drawn -= share;
        }
        let (from, to) = TAIL;
        let factor = (to / from).powf(self.random.f64());
        Duration::from_nanos((from * factor) as u64)
    }

    fn read(&mut self, index: usize) {
        let mut buffer = [0; 64 * 1024];
        loop {
            let member = &mut self.members[index];
            let read = match member.stream.read(&mut buffer) {
                Ok(read) if read > 0 => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => return member.gone = true,
            };
            let now = Instant::now();
            if let Some(head) = &mut member.head {
                head.extend_from_slice(&buffer[..read]);
                let Ok(Some(end)) = upgrade::find_head_end(head, 0) else {
                    continue;
                };
                let request = upgrade::parse_request(&head[..end]).expect("loadgen's request");
                let RequestKind::Upgrade(asked) = &request.kind else {
                    return member.gone = true;
                };
                let mut answer = Vec::new();
                upgrade::write_accept(&mut answer, &asked.accept, None);
                member.room = request.path.to_string();
                member.head = None;
                member.stream.write_all(&answer).expect("an empty buffer");
                continue;
            }
            self.take(index, &mut buffer[..read], now);
        }
    }

    fn take(&mut self, index: usize, mut input: &mut [u8], now: Instant) {
        let rules = Rules {
            role: Role::Server,
            max_message: 1 << 16,
        };
        let mut messages = Vec::new();
        let member = &mut self.members[index];
        loop {
            match member.decoder.next(&rules, &mut input) {
                Ok(Some(Item::Message { kind, payload })) => {
                    let mut whole = Vec::new();
                    frame::encode(&mut whole, kind.into(), payload);
                    messages.push(Arc::new(whole));
                }
                Ok(Some(Item::Close { .. })) => {
                    let mut bytes = Vec::new();
                    let code = roomcast_protocol::close::CloseCode::NORMAL;
                    frame::encode_close(&mut bytes, code, "", None);
                    let _ = member.stream.write_all(&bytes);
                    let _ = member.stream.shutdown(std::net::Shutdown::Write);
                    member.gone = true;
                    break;
                }
                Ok(Some(_)) => {}
                _ => break,
            }
        }
        for whole in messages {
            for receiver in 0..self.members.len() {
                if receiver != index && self.members[receiver].room == self.members[index].room {
                    let due = now + self.delay();
                    let delivery = (due, now, receiver, Arc::clone(&whole));
                    self.waiting.push(Reverse(delivery));
                }
            }
        }
    }

    /// Writes what is due.
    fn deliver(&mut self) {
        while let Some(Reverse((due, ..))) = self.waiting.peek()
            && *due <= Instant::now()
        {
            let Some(Reverse((_, came, receiver, whole))) = self.waiting.pop() else {
                return;
            };
            let member = &mut self.members[receiver];
            if !member.gone {
                member
                    .stream
                    .write_all(&whole)
                    .expect("a buffer that is read");
                let took = came.elapsed().as_nanos() as u64;
                self.did.record(took).expect("far below a minute");
            }
        }
    }
}

fn main() -> ExitCode {
    let command: Vec<String> = std::env::args().skip(1).collect();
    let Some((loadgen, before)) = command.split_first() else {
        eprintln!("usage: accuracy LOADGEN…");
        return ExitCode::from(2);
    };
    let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("bound"));
    let stop = AtomicBool::new(false);
    let (run, did) = std::thread::scope(|scope| {
        let relay = scope.spawn(|| Relay::serve(listener, &stop).expect("it polls"));
        // Delays differ, so messages overtake each other: that is asked for here.
        let run = Command::new(loadgen)
            .args(before)
            .args([
                "--url",
                &url,
                "--clients=100",
                "--rate=2",
                "--warmup=0",
                "--settle=0",
            ])
            .args([
                "--duration=30s",
                "--allow=reordered=100%",
                "--threads=1",
                "--json",
                "--no-progress",
            ])
            .output()
            .expect("loadgen can be started");
        stop.store(true, Ordering::Relaxed);
        (run, relay.join().expect("it does not panic"))
    });
    if run.status.code() != Some(0) {
        eprintln!("{}", String::from_utf8_lossy(&run.stderr));
        return ExitCode::from(if run.status.code() == Some(4) { 4 } else { 1 });
    }
    let report = Report::from_json(&String::from_utf8_lossy(&run.stdout)).expect("a report");
    let lags = [&report.histograms.send_lag, &report.histograms.receive_wait];
    for (name, lag) in ["send lag", "receive wait"].iter().zip(lags) {
        let p99 = lag.value_at_percentile(99.0) as f64 / 1e3;
        println!("loadgen's own {name}: p99 {p99:.0} us");
    }
    let Some(judge) = Judge::of_lags(lags) else {
        eprintln!("accuracy: loadgen was late itself too often to tell");
        return ExitCode::from(4);
    };
    println!("compared within {:.1} percent of rank", judge.ranks);
    println!(
        "{} deliveries; in us:\n{:>10} {:>10} {:>10} {:>8}",
        report.histograms.latency.len(),
        "percentile",
        "did",
        "told",
        "off"
    );
    let rows = judge.compare(&did, &report.histograms.latency);
    for row in &rows {
        if !row.within || row.percentile % 10.0 == 0.0 || row.percentile > 94.0 {
            println!("{row}");
        }
    }
    let all = did.len() == report.histograms.latency.len();
    ExitCode::from(u8::from(!all || rows.iter().any(|row| !row.within)))
}
