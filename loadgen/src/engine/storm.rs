//! Handshakes and nothing else, as fast as they go: connect, TLS, close, again.
//!
//! Owns the loop of one thread and its connections. Must not know rooms, messages or how its
//! figures are shown.
//! Invariant: a handshake is counted once, as full, as resumed or as failed, and only if it was
//! over within the measured time; what the server said behind it (its tickets) is read.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::clock::{Clock, Nanos, nanos};
use super::error::EngineError;
use super::limits;
use super::plan::Role;
use super::recorder::Recorder;
use super::socket::{self, Failure};
use super::tls::Tls;
use super::trust::Secure;
use super::usage::{self, Server};
use super::worker::{open_and_answer, write_whole};
use crate::handshakes::{Measured, Plan, Used};

/// Events taken from one poll.
const EVENTS: usize = 1024;
/// How often `stop` and the deadlines are looked at.
const ATTENTION: Nanos = 20_000_000;
/// How long a server may take to end a connection whose end it was told.
const CLOSE_TIMEOUT: Nanos = 1_000_000_000;
/// What one read may take.
const READ_MAX: usize = 32 * 1024;
/// Loopback addresses that are connected from in turn: closed connections hold their port for a
/// while, and one address has not enough of them.
const LOOPBACK_SOURCES: u8 = 16;

/// Carries `plan` out.
///
/// # Errors
/// As [`super::run`]; that the first handshake fails is one.
pub(super) fn run(plan: &Plan, stop: &AtomicBool) -> Result<Measured, EngineError> {
    let Some(secure) = Secure::of(&plan.target, &plan.tls)? else {
        let what = format!("{} has no TLS handshake: give a wss:// --url", plan.target);
        return Err(EngineError::Trust(what));
    };
    limits::raise_descriptors(plan.concurrency, plan.threads)?;
    let clock = Clock::start();
    let mut refused = None;
    for address in limits::resolve(&plan.target)? {
        let storm = || Storm::new(plan, &secure, address, clock).map_err(cannot_poll);
        // With this one the server is known to be there, and there is a ticket to resume by.
        let mut first = storm()?;
        let deadline = clock.now() + nanos(plan.handshake_timeout) + ATTENTION;
        first.run(1, deadline, Some(1), stop).map_err(cannot_poll)?;
        if let Some(failure) = first.last_failure {
            refused = Some((address, failure));
            continue;
        }
        if stop.load(Ordering::Relaxed) || first.tls.to_histogram().is_empty() {
            return Err(EngineError::Stopped);
        }
        let threads = plan.threads.min(plan.concurrency);
        let mut storms = (0..threads)
            .map(|_| storm())
            .collect::<Result<Vec<_>, _>>()?;
        return measure(plan, &mut storms, address, clock, stop);
    }
    let target = plan.target.clone();
    Err(match refused {
        Some((address, Failure::Refused)) => EngineError::NothingListens { target, address },
        Some((_, failure)) => EngineError::FirstClient {
            target,
            reason: failure.to_string(),
        },
        None => EngineError::Stopped,
    })
}

fn cannot_poll(source: io::Error) -> EngineError {
    EngineError::System {
        what: "cannot poll",
        source,
    }
}

fn measure(
    plan: &Plan,
    storms: &mut [Storm<'_>],
    address: SocketAddr,
    clock: Clock,
    stop: &AtomicBool,
) -> Result<Measured, EngineError> {
    let server = limits::server(plan.server_pid, address)?;
    let before = server.and_then(Server::cpu);
    let start = clock.now();
    let until = start + nanos(plan.duration);
    let threads = storms.len();
    let share = |index: usize| (plan.concurrency + index) / threads;
    std::thread::scope(|scope| {
        let running: Vec<_> = storms
            .iter_mut()
            .enumerate()
            .map(|(index, storm)| scope.spawn(move || storm.run(share(index), until, None, stop)))
            .collect();
        running.into_iter().try_for_each(|thread| {
            let ended = thread.join().map_err(|_| EngineError::Thread)?;
            ended.map_err(cannot_poll)
        })
    })?;
    let took = clock.now().min(until) - start;
    let after = server.and_then(Server::cpu);
    let used = server.zip(before.zip(after));
    let mut measured = Measured {
        took: Duration::from_nanos(took),
        server: used.map(|(server, (before, after))| {
            let used = after.since(&before);
            Used {
                pid: server.pid(),
                user: used.user,
                system: used.system,
            }
        }),
        ..Measured::default()
    };
    let (mut connect, mut tls) = (Recorder::new(), Recorder::new());
    for storm in storms {
        connect.add(&storm.connect);
        tls.add(&storm.tls);
        measured.full += storm.full;
        measured.resumed += storm.resumed;
        measured.generator_cpu += Duration::from_nanos(storm.cpu);
        for (reason, count) in &storm.failed {
            *measured.failed.entry(reason.clone()).or_default() += count;
        }
    }
    measured.connect = connect.to_histogram();
    measured.tls = tls.to_histogram();
    Ok(measured)
}

/// One thread's connections.
struct Storm<'a> {
    secure: &'a Secure,
    address: SocketAddr,
    clock: Clock,
    timeout: Nanos,
    poll: Poll,
    slots: Vec<Slot>,
    idle: Vec<usize>,
    buffer: Box<[u8]>,
    text: Vec<u8>,
    sealed: Vec<u8>,
    next_source: u8,

    connect: Recorder,
    tls: Recorder,
    full: u64,
    resumed: u64,
    failed: BTreeMap<String, u64>,
    last_failure: Option<Failure>,
    cpu: Nanos,
}

/// A connection, or the place for one.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Idle,
    Connecting {
        stream: TcpStream,
        since: Nanos,
    },
    Securing {
        stream: TcpStream,
        tls: Box<Tls>,
        since: Nanos,
    },
    /// The handshake is over: until the server has ended the connection.
    Closing {
        stream: TcpStream,
        tls: Box<Tls>,
        since: Nanos,
    },
}

impl<'a> Storm<'a> {
    fn new(plan: &Plan, secure: &'a Secure, address: SocketAddr, clock: Clock) -> io::Result<Self> {
        Ok(Self {
            secure,
            address,
            clock,
            timeout: nanos(plan.handshake_timeout),
            poll: Poll::new()?,
            slots: Vec::new(),
            idle: Vec::new(),
            buffer: vec![0; READ_MAX].into_boxed_slice(),
            text: Vec::new(),
            sealed: Vec::new(),
            next_source: 0,
            connect: Recorder::new(),
            tls: Recorder::new(),
            full: 0,
            resumed: 0,
            failed: BTreeMap::new(),
            last_failure: None,
            cpu: 0,
        })
    }

    /// Keeps `concurrency` connections busy until `until`, `stop`, or until `goal` of them have
    /// ended in whatever way; then drops those that are left.
    fn run(
        &mut self,
        concurrency: usize,
        until: Nanos,
        goal: Option<u64>,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        self.secure.prepare();
        let cpu = usage::thread_cpu();
        self.slots.resize_with(concurrency, Slot::default);
        self.idle = (0..concurrency).collect();
        let mut events = Events::with_capacity(EVENTS);
        let mut attention = self.clock.now();
        let mut ended = 0;
        while goal.is_none_or(|goal| ended < goal) {
            while let Some(index) = self.idle.pop() {
                if let Err(error) = self.open(index) {
                    // No port or no descriptor: a few of those that are closing must be gone.
                    self.idle.push(index);
                    self.fail(error.into());
                    break;
                }
            }
            let wait = if self.idle.is_empty() {
                ATTENTION
            } else {
                ATTENTION / 20
            };
            match self
                .poll
                .poll(&mut events, Some(Duration::from_nanos(wait)))
            {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Err(_) => events.clear(),
                Ok(()) => {}
            }
            let now = self.clock.now();
            if now >= until || stop.load(Ordering::Relaxed) {
                break;
            }
            for event in &events {
                ended += u64::from(self.advance(event.token().0, event.is_writable()));
            }
            if now >= attention {
                attention = now + ATTENTION;
                ended += self.time_out(now);
            }
            if goal.is_some() && self.last_failure.is_some() {
                break;
            }
        }
        self.slots.clear();
        self.cpu = usage::thread_cpu().saturating_sub(cpu);
        Ok(())
    }

    /// The address to connect from, if not any.
    fn source(&mut self) -> Option<IpAddr> {
        if !self.address.ip().is_loopback() || !self.address.is_ipv4() || !cfg!(target_os = "linux")
        {
            return None;
        }
        self.next_source = (self.next_source + 1) % LOOPBACK_SOURCES;
        Some(Ipv4Addr::new(127, 0, 0, 1 + self.next_source).into())
    }

    fn open(&mut self, index: usize) -> io::Result<()> {
        let since = self.clock.now();
        let source = self.source();
        let mut stream = socket::connect(self.address, source, Role::Healthy)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut stream, Token(index), interest)?;
        self.slots[index] = Slot::Connecting { stream, since };
        Ok(())
    }

    fn fail(&mut self, failure: Failure) {
        *self.failed.entry(failure.to_string()).or_default() += 1;
        self.last_failure = Some(failure);
    }

    /// A socket has an event; tells whether that ended its connection.
    fn advance(&mut self, index: usize, writable: bool) -> bool {
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        let next = match std::mem::take(slot) {
            Slot::Idle => return false,
            Slot::Connecting { stream, since } => self.connected(stream, since, writable),
            Slot::Securing { stream, tls, since } => self.secure(stream, tls, since),
            Slot::Closing { stream, tls, since } => self.closing(stream, tls, since),
        };
        match next {
            Ok(Slot::Idle) => {}
            Ok(slot) => {
                self.slots[index] = slot;
                return false;
            }
            Err(failure) => self.fail(failure),
        }
        self.idle.push(index);
        true
    }

    fn connected(
        &mut self,
        mut stream: TcpStream,
        since: Nanos,
        writable: bool,
    ) -> Result<Slot, Failure> {
        if !writable || !socket::is_connected(&stream)? {
            return Ok(Slot::Connecting { stream, since });
        }
        let now = self.clock.now();
        self.connect.record(now - since);
        self.sealed.clear();
        let tls = Tls::new(self.secure, &mut self.sealed).map_err(Failure::Tls)?;
        write_whole(&mut stream, &self.sealed)?;
        self.secure(stream, Box::new(tls), now)
    }

    fn secure(
        &mut self,
        mut stream: TcpStream,
        mut tls: Box<Tls>,
        since: Nanos,
    ) -> Result<Slot, Failure> {
        loop {
            match self.read(&mut stream, &mut tls) {
                Ok(0) => return Err(Failure::EndedInTls),
                Ok(_) => {}
                Err(Failure::Io(io::ErrorKind::WouldBlock)) => {
                    return Ok(Slot::Securing { stream, tls, since });
                }
                Err(Failure::Io(io::ErrorKind::ConnectionReset)) => {
                    return Err(Failure::EndedInTls);
                }
                Err(failure) => return Err(failure),
            }
            if tls.is_secure() {
                break;
            }
        }
        let now = self.clock.now();
        self.tls.record(now - since);
        if tls.is_resumed() {
            self.resumed += 1;
        } else {
            self.full += 1;
        }
        self.sealed.clear();
        tls.close(&mut self.sealed).map_err(Failure::Tls)?;
        // It was a handshake, however it ends: a server may be gone by now.
        if write_whole(&mut stream, &self.sealed).is_err()
            || stream.shutdown(Shutdown::Write).is_err()
        {
            return Ok(Slot::Idle);
        }
        self.closing(stream, tls, now)
    }

    /// Reads to the end: what comes now are tickets, and the server's own close_notify.
    fn closing(
        &mut self,
        mut stream: TcpStream,
        mut tls: Box<Tls>,
        since: Nanos,
    ) -> Result<Slot, Failure> {
        loop {
            match self.read(&mut stream, &mut tls) {
                Ok(read) if read > 0 => {}
                Err(Failure::Io(io::ErrorKind::WouldBlock)) => {
                    return Ok(Slot::Closing { stream, tls, since });
                }
                Ok(_) | Err(_) => return Ok(Slot::Idle),
            }
        }
    }

    /// Reads once, and answers what has to be answered.
    fn read(&mut self, stream: &mut TcpStream, tls: &mut Tls) -> Result<usize, Failure> {
        let read = loop {
            match stream.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        let input = &mut self.buffer[..read];
        open_and_answer(stream, tls, input, &mut self.text, &mut self.sealed)?;
        Ok(read)
    }

    /// Ends what takes too long; tells how many that were.
    fn time_out(&mut self, now: Nanos) -> u64 {
        let mut ended = 0;
        for index in 0..self.slots.len() {
            let late = match &self.slots[index] {
                Slot::Idle => continue,
                Slot::Connecting { since, .. } | Slot::Securing { since, .. } => {
                    (now.saturating_sub(*since) > self.timeout).then_some(Some(Failure::TimedOut))
                }
                Slot::Closing { since, .. } => {
                    (now.saturating_sub(*since) > CLOSE_TIMEOUT).then_some(None)
                }
            };
            let Some(failure) = late else { continue };
            self.slots[index] = Slot::Idle;
            self.idle.push(index);
            ended += 1;
            if let Some(failure) = failure {
                self.fail(failure);
            }
        }
        ended
    }
}
