//! Handshakes and nothing else, as fast as they go or at a rate: connect, TLS, close, again.
//!
//! Owns the loop of one thread and its connections. Must not know rooms, messages or how its
//! figures are shown.
//! Invariant: a handshake is counted once, as full, as resumed or as failed; what the server said
//! behind it (its tickets) is read. As fast as they go, those count that were over within the
//! measured time. At a rate, all that were due within it count, each from when it was due: so
//! long as the server or this thread itself held it up, so much longer it took.

mod starts;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use self::starts::Starts;
use super::alarm::Alarm;
use super::clock::{Clock, Nanos, nanos};
use super::error::EngineError;
use super::limits;
use super::plan::Role;
use super::recorder::Recorder;
use super::socket::{self, Failure};
use super::tls::Tls;
use super::trust::Secure;
use super::usage::{self, Server};
use super::wire::{open_and_answer, write_whole};
use crate::handshakes::{Measured, Plan, Used};

/// Events taken from one poll.
const EVENTS: usize = 1024;
/// The token of the alarm. Connections have their indices.
const ALARM: Token = Token(usize::MAX);
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
    let clock = Clock;
    let mut refused = None;
    for address in limits::resolve(&plan.target)? {
        let storm = || Storm::new(plan, &secure, address, clock).map_err(cannot_poll);
        // With this one the server is known to be there, and there is a ticket to resume by.
        let mut first = storm()?;
        let deadline = clock.now() + nanos(plan.handshake_timeout) + ATTENTION;
        first
            .run(1, deadline, Pace::First, stop)
            .map_err(cannot_poll)?;
        if let Some(failure) = first.last_failure {
            refused = Some((address, failure));
            continue;
        }
        if stop.load(Ordering::Relaxed) || first.times.tls.to_histogram().is_empty() {
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
    let pace = |index| match plan.rate_hz {
        None => Pace::Busy,
        Some(rate) => Pace::Scheduled(Starts::new(rate, start, until, index, threads)),
    };
    let (took, after) = std::thread::scope(|scope| {
        let running: Vec<_> = storms
            .iter_mut()
            .enumerate()
            .map(|(index, storm)| {
                scope.spawn(move || storm.run(share(index), until, pace(index), stop))
            })
            .collect();
        // At a rate the threads go on until they know what became of the last handshake; what the
        // server uses meanwhile is not of the measured time.
        while clock.now() < until && !running.iter().all(|thread| thread.is_finished()) {
            let left = until.saturating_sub(clock.now());
            std::thread::park_timeout(Duration::from_nanos(left.min(ATTENTION)));
        }
        let took = clock.now().min(until) - start;
        let after = server.and_then(Server::cpu);
        running.into_iter().try_for_each(|thread| {
            let ended = thread.join().map_err(|_| EngineError::Thread)?;
            ended.map_err(cannot_poll)
        })?;
        Ok::<_, EngineError>((took, after))
    })?;
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
    let [mut whole, mut connect, mut tls, mut start_lag] = [(); 4].map(|()| Recorder::new());
    for storm in storms {
        whole.add(&storm.times.whole);
        connect.add(&storm.times.connect);
        tls.add(&storm.times.tls);
        start_lag.add(&storm.times.start_lag);
        measured.full += storm.counts.full;
        measured.resumed += storm.counts.resumed;
        measured.afterwards += storm.counts.afterwards;
        measured.refused += storm.counts.refused;
        measured.late += storm.counts.late;
        measured.without_place += storm.counts.without_place;
        measured.generator_cpu += Duration::from_nanos(storm.cpu);
        for (reason, count) in &storm.counts.failed {
            *measured.failed.entry(reason.clone()).or_default() += count;
        }
    }
    measured.whole = whole.to_histogram();
    measured.start_lag = start_lag.to_histogram();
    measured.connect = connect.to_histogram();
    measured.tls = tls.to_histogram();
    Ok(measured)
}

/// When a thread opens connections.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// One, and no other if it fails.
    First,
    /// Whenever there is a place for one.
    Busy,
    /// When each is due.
    Scheduled(Starts),
}

/// One thread's connections.
struct Storm<'a> {
    secure: &'a Secure,
    address: SocketAddr,
    clock: Clock,
    timeout: Nanos,
    until: Nanos,
    poll: Poll,
    alarm: Alarm,
    slots: Vec<Slot>,
    idle: Vec<usize>,
    buffer: Box<[u8]>,
    text: Vec<u8>,
    sealed: Vec<u8>,
    next_source: u8,

    times: Times,
    counts: Counts,
    /// Every connection was taken when the next was due.
    places_short: bool,
    last_failure: Option<Failure>,
    cpu: Nanos,
}

/// How long handshakes took, and their parts.
struct Times {
    whole: Recorder,
    connect: Recorder,
    tls: Recorder,
    start_lag: Recorder,
}

/// What came of handshakes.
#[derive(Default)]
struct Counts {
    full: u64,
    resumed: u64,
    afterwards: u64,
    refused: u64,
    late: u64,
    without_place: u64,
    failed: BTreeMap<String, u64>,
}

/// A connection, or the place for one.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Idle,
    Connecting {
        stream: TcpStream,
        due: Nanos,
    },
    Securing {
        stream: TcpStream,
        tls: Box<Tls>,
        due: Nanos,
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
        let poll = Poll::new()?;
        Ok(Self {
            secure,
            address,
            clock,
            timeout: nanos(plan.handshake_timeout),
            until: 0,
            alarm: Alarm::new(poll.registry(), ALARM)?,
            poll,
            slots: Vec::new(),
            idle: Vec::new(),
            buffer: vec![0; READ_MAX].into_boxed_slice(),
            text: Vec::new(),
            sealed: Vec::new(),
            next_source: 0,
            times: Times {
                whole: Recorder::new(),
                connect: Recorder::new(),
                tls: Recorder::new(),
                start_lag: Recorder::new(),
            },
            counts: Counts::default(),
            places_short: false,
            last_failure: None,
            cpu: 0,
        })
    }

    /// Opens connections at their pace, `concurrency` at a time at most, until `until` or `stop`.
    /// Those that were scheduled are then waited for; others are dropped.
    fn run(
        &mut self,
        concurrency: usize,
        until: Nanos,
        mut pace: Pace,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        self.secure.prepare();
        let cpu = usage::thread_cpu();
        let used = |before| usage::thread_cpu().saturating_sub(before);
        self.until = until;
        self.slots.resize_with(concurrency, Slot::default);
        self.idle = (0..concurrency).collect();
        let mut events = Events::with_capacity(EVENTS);
        let mut attention = self.clock.now();
        let mut used_in_time = None;
        loop {
            self.begin(&mut pace);
            self.wait(&pace, &mut events)?;
            let now = self.clock.now();
            if now >= until {
                used_in_time.get_or_insert_with(|| used(cpu));
            }
            if stop.load(Ordering::Relaxed) || self.is_over(&pace, now) {
                break;
            }
            for event in &events {
                if event.token() == ALARM {
                    self.alarm.went_off();
                    continue;
                }
                if matches!(pace, Pace::Scheduled(_)) {
                    // What is due does not wait until everything that has come is worked off.
                    self.begin(&mut pace);
                }
                self.advance(event.token().0, event.is_writable());
            }
            if now >= attention {
                attention = now + ATTENTION;
                self.time_out(now);
            }
        }
        self.slots.clear();
        self.cpu = used_in_time.unwrap_or_else(|| used(cpu));
        Ok(())
    }

    /// Opens the connections whose time it is.
    fn begin(&mut self, pace: &mut Pace) {
        match pace {
            Pace::Scheduled(starts) => self.begin_due(starts),
            Pace::First if self.has_tried() => {}
            Pace::First | Pace::Busy => {
                while let Some(index) = self.idle.pop() {
                    if let Err(error) = self.open(index, self.clock.now()) {
                        // No port or no descriptor: a few of those that are closing must be gone.
                        self.idle.push(index);
                        self.fail(error.into());
                        break;
                    }
                }
            }
        }
    }

    /// Opens what is due. What was due longer ago than a handshake may take is late already.
    fn begin_due(&mut self, starts: &mut Starts) {
        while let Some(due) = starts.due() {
            let now = self.clock.now();
            let Some(lag) = now.checked_sub(due) else {
                self.places_short = false;
                return;
            };
            let opened = if lag > self.timeout {
                Err(Failure::TimedOut)
            } else if let Some(index) = self.idle.pop() {
                self.open(index, due).map_err(|error| {
                    self.idle.push(index);
                    error.into()
                })
            } else {
                self.places_short = true;
                return;
            };
            starts.take();
            self.times.start_lag.record(lag);
            self.counts.without_place += u64::from(self.places_short);
            if let Err(failure) = opened {
                self.fail(failure);
            }
        }
    }

    /// Polls until something has come, or is due.
    fn wait(&mut self, pace: &Pace, events: &mut Events) -> io::Result<()> {
        let attention = Duration::from_nanos(ATTENTION);
        let timeout = match pace {
            Pace::Scheduled(starts) if !self.idle.is_empty() => {
                let due = starts.due().unwrap_or(Nanos::MAX);
                let wait = self.alarm.arm(due, self.clock.now())?;
                wait.map_or(attention, |wait| wait.min(attention))
            }
            Pace::First | Pace::Busy if !self.idle.is_empty() => attention / 20,
            _ => attention,
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            Err(_) => {
                events.clear();
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether a handshake was made, or failed.
    fn has_tried(&self) -> bool {
        self.counts.full + self.counts.resumed > 0 || self.last_failure.is_some()
    }

    fn is_over(&self, pace: &Pace, now: Nanos) -> bool {
        let all_ended = self.idle.len() == self.slots.len();
        match pace {
            Pace::First => now >= self.until || (self.has_tried() && all_ended),
            Pace::Busy => now >= self.until,
            Pace::Scheduled(starts) => now >= self.until && starts.due().is_none() && all_ended,
        }
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

    fn open(&mut self, index: usize, due: Nanos) -> io::Result<()> {
        let source = self.source();
        let mut stream = socket::connect(self.address, source, Role::Healthy)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut stream, Token(index), interest)?;
        self.slots[index] = Slot::Connecting { stream, due };
        Ok(())
    }

    fn fail(&mut self, failure: Failure) {
        // Past the first handshake it is known what the port speaks: no advice about that.
        let reason = match failure {
            Failure::EndedInTls => {
                "the server ended the connection within the handshake".to_owned()
            }
            _ => failure.to_string(),
        };
        *self.counts.failed.entry(reason).or_default() += 1;
        self.counts.refused += u64::from(failure.is_refusal());
        self.counts.late += u64::from(failure == Failure::TimedOut);
        self.last_failure = Some(failure);
    }

    /// A socket has an event.
    fn advance(&mut self, index: usize, writable: bool) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let next = match std::mem::take(slot) {
            Slot::Idle => return,
            Slot::Connecting { stream, due } => self.connected(stream, due, writable),
            Slot::Securing {
                stream,
                tls,
                due,
                since,
            } => self.secure(stream, tls, due, since),
            Slot::Closing { stream, tls, since } => self.closing(stream, tls, since),
        };
        match next {
            Ok(Slot::Idle) => {}
            Ok(slot) => {
                self.slots[index] = slot;
                return;
            }
            Err(failure) => self.fail(failure),
        }
        self.idle.push(index);
    }

    fn connected(
        &mut self,
        mut stream: TcpStream,
        due: Nanos,
        writable: bool,
    ) -> Result<Slot, Failure> {
        if !writable || !socket::is_connected(&stream).map_err(ended)? {
            return Ok(Slot::Connecting { stream, due });
        }
        let now = self.clock.now();
        self.times.connect.record(now - due);
        self.sealed.clear();
        let tls = Tls::new(self.secure, &mut self.sealed).map_err(Failure::Tls)?;
        write_whole(&mut stream, &self.sealed).map_err(ended)?;
        self.secure(stream, Box::new(tls), due, now)
    }

    fn secure(
        &mut self,
        mut stream: TcpStream,
        mut tls: Box<Tls>,
        due: Nanos,
        since: Nanos,
    ) -> Result<Slot, Failure> {
        loop {
            match self.read(&mut stream, &mut tls) {
                Ok(0) => return Err(Failure::EndedInTls),
                Ok(_) => {}
                Err(Failure::Io(io::ErrorKind::WouldBlock)) => {
                    return Ok(Slot::Securing {
                        stream,
                        tls,
                        due,
                        since,
                    });
                }
                Err(failure) => return Err(ended(failure)),
            }
            if tls.is_secure() {
                break;
            }
        }
        let now = self.clock.now();
        if now - due > self.timeout {
            return Err(Failure::TimedOut);
        }
        self.times.whole.record(now - due);
        self.times.tls.record(now - since);
        self.counts.afterwards += u64::from(now >= self.until);
        if tls.is_resumed() {
            self.counts.resumed += 1;
        } else {
            self.counts.full += 1;
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

    /// Ends what takes too long.
    fn time_out(&mut self, now: Nanos) {
        for index in 0..self.slots.len() {
            let late = match &self.slots[index] {
                Slot::Idle => continue,
                Slot::Connecting { due, .. } | Slot::Securing { due, .. } => {
                    (now.saturating_sub(*due) > self.timeout).then_some(Some(Failure::TimedOut))
                }
                Slot::Closing { since, .. } => {
                    (now.saturating_sub(*since) > CLOSE_TIMEOUT).then_some(None)
                }
            };
            let Some(failure) = late else { continue };
            self.slots[index] = Slot::Idle;
            self.idle.push(index);
            if let Some(failure) = failure {
                self.fail(failure);
            }
        }
    }
}

/// A server that resets a connection, before TLS or within it, has ended it.
fn ended(failure: impl Into<Failure>) -> Failure {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match failure.into() {
        Failure::Io(ConnectionReset | ConnectionAborted | BrokenPipe) => Failure::EndedInTls,
        failure => failure,
    }
}
