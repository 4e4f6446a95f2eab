//! One thread of the generator: an epoll loop over its share of the clients.
//!
//! Owns the loop, the order of things within it, and the thread's stages. Must not know other
//! threads.
//! Invariant: nothing in the loop blocks but the poll, and that not beyond the next thing that
//! is due; between two reads, messages that have fallen due are written.

mod handshake;
mod leave;
mod receive;
mod secure;
mod send;
mod timeline;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use mio::{Events, Poll, Token};
use roomcast_protocol::frame;

use self::handshake::Ramp;
pub(super) use self::secure::{open_and_answer, write_whole};
use self::timeline::Timeline;
use super::alarm::{Alarm, Lateness};
use super::client::{Client, Phase};
use super::clock::{Clock, Nanos};
use super::ledger::Ledger;
use super::link::{Command, Event, Gauges, Part};
use super::measure::{Measure, Window};
use super::plan::{Role, RoomPlan, Share};
use super::recorder::Recorder;
use super::schedule::{Period, Ring};
use super::trust::Secure;
use crate::outcome::Connections;
use crate::payload::{Codec, Room};
use crate::scenario::{MessageKind, Polling, Scenario};

/// What one `recv` may take: large, so that a server that coalesces is read as cheaply as it
/// writes; still well within the second-level cache.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// Events taken from one poll.
const EVENTS: usize = 1024;
/// Messages written at most before events are looked at again.
const SENDS_PER_ITERATION: usize = 128;
/// Messages written at most between two reads.
const SENDS_PER_READ: usize = 16;

/// A poll that took less did not sleep: what it reports may have been ready before.
const SLEEP_MIN: Nanos = 5_000;

/// The token that wakes for commands. Clients have their indices.
pub(crate) const WAKE: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);

/// What every thread of a run has in common.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Threads of the run.
    pub(crate) threads: usize,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// The run's number, 24 bits.
    pub(crate) run: u32,
    /// What is run.
    pub(crate) scenario: Scenario,
    /// What TLS connections begin with; `None`: they are plain.
    pub(crate) secure: Option<Secure>,
}

/// The ends of a thread's channels.
#[derive(Debug)]
pub(crate) struct Ends {
    /// What to do; announced by [`WAKE`].
    pub(crate) commands: Receiver<Command>,
    /// What happened.
    pub(crate) events: Sender<Event>,
    /// Recorders that were read and cleared.
    pub(crate) spare: Receiver<Box<Recorder>>,
    /// What the thread shows.
    pub(crate) gauges: Arc<Gauges>,
}

/// How far a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Connecting, or waiting for a command.
    Quiet,
    /// Sending.
    Traffic,
    /// Waiting for what was sent.
    Drain,
    /// The same, and the conductor knows that everything has arrived.
    Drained,
    /// Closing.
    Close,
}

/// One thread.
pub(crate) struct Worker {
    settings: Arc<Settings>,
    ends: Ends,
    index: usize,

    poll: Poll,
    polling: Polling,
    alarm: Alarm,
    lateness: Lateness,
    buffer: Box<[u8]>,
    /// Where messages are encoded.
    out: Vec<u8>,
    payload: Vec<u8>,
    /// Where records are opened, and where they are sealed.
    text: Vec<u8>,
    sealed: Vec<u8>,
    random: fastrand::Rng,
    frame_len: usize,
    opcode: frame::Opcode,
    rules: frame::Rules,
    address: Option<SocketAddr>,

    clients: Vec<Client>,
    rooms: Vec<RoomPlan>,
    /// Healthy members of each room when traffic began.
    receivers: Vec<u32>,
    ledger: Ledger,
    measure: Measure,

    stage: Stage,
    ramp: Option<Ramp>,
    /// (Deadline, client, attempt), in order because all have the same length.
    handshakes: VecDeque<(Nanos, u32, u32)>,
    leaves: VecDeque<(Nanos, u32, u32)>,
    under_way: usize,
    joined: usize,
    /// Of these, the healthy: once gone, they stay away.
    joined_healthy: usize,
    leaving: usize,
    start: Nanos,
    period: Period,
    ring: Ring,
    churn: Ring,
    stall_at: Nanos,
    /// Messages of connected healthy senders that are due and not wholly written.
    unsent: u64,
    /// Clients to read again without an event.
    again: Vec<u32>,
    /// The list of this iteration, kept for its memory.
    again_now: Vec<u32>,
    timeline: Timeline,

    connect: Recorder,
    tls: Recorder,
    join: Recorder,
    rejoin: Recorder,
    receive_wait: Recorder,
    connections: Connections,
    /// Close codes of healthy clients that lost their connection, and when the first did.
    ended_codes: BTreeMap<u16, u64>,
    first_ended: Nanos,
    /// The conductor knows that nobody healthy is left.
    deserted: bool,

    /// The clock as it was read last.
    now: Nanos,
    /// Since when a socket that is reported now may have been readable, at worst.
    ready_since: Nanos,
}

impl Worker {
    /// For `share`; `poll` already has the waker for [`WAKE`].
    pub(crate) fn new(
        settings: Arc<Settings>,
        ends: Ends,
        index: usize,
        share: Share,
        poll: Poll,
    ) -> io::Result<Self> {
        let scenario = &settings.scenario;
        let kind = match scenario.kind {
            MessageKind::Binary => frame::MessageKind::Binary,
            MessageKind::Text => frame::MessageKind::Text,
        };
        let opcode = frame::Opcode::from(kind);
        let header = frame::header(true, opcode, scenario.size, Some([0; 4]));
        let mut ledger = Ledger::default();
        for room in &share.rooms {
            let name = Room::new(settings.run, room.number);
            ledger.add_room(name, room.members, room.senders, room.healthy);
        }
        let codec = Codec::new(scenario.kind, scenario.size, scenario.seed);
        let period = Period::of_rate(scenario.rate_hz);
        Ok(Self {
            index,
            alarm: Alarm::new(poll.registry(), ALARM)?,
            lateness: Lateness::default(),
            polling: scenario.polling,
            poll,
            buffer: vec![0; RECEIVE_BUFFER].into_boxed_slice(),
            out: Vec::new(),
            payload: Vec::new(),
            text: Vec::new(),
            sealed: Vec::new(),
            random: fastrand::Rng::with_seed(scenario.seed.wrapping_add(index as u64)),
            frame_len: header.as_bytes().len() + scenario.size,
            opcode,
            rules: frame::Rules {
                role: frame::Role::Client,
                max_message: scenario.size,
            },
            address: None,
            clients: share.clients.into_iter().map(Client::new).collect(),
            receivers: vec![0; share.rooms.len()],
            rooms: share.rooms,
            ledger,
            measure: Measure::new(codec, kind),
            stage: Stage::Quiet,
            ramp: None,
            handshakes: VecDeque::new(),
            leaves: VecDeque::new(),
            under_way: 0,
            joined: 0,
            joined_healthy: 0,
            leaving: 0,
            start: 0,
            period,
            ring: Ring::new(Vec::new(), period, 0),
            churn: Ring::new(Vec::new(), period, 0),
            stall_at: Nanos::MAX,
            unsent: 0,
            again: Vec::new(),
            again_now: Vec::new(),
            timeline: Timeline::default(),
            connect: Recorder::new(),
            tls: Recorder::new(),
            join: Recorder::new(),
            rejoin: Recorder::new(),
            receive_wait: Recorder::new(),
            connections: Connections::default(),
            ended_codes: BTreeMap::new(),
            first_ended: Nanos::MAX,
            deserted: false,
            now: 0,
            ready_since: 0,
            settings,
            ends,
        })
    }

    /// Runs until it was told to close and has, then reports.
    ///
    /// # Errors
    /// Only if the poll itself fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        if let Some(secure) = &self.settings.secure {
            secure.prepare();
        }
        loop {
            self.now = self.settings.clock.now();
            self.due();
            if self.stage == Stage::Close && self.is_closed() {
                break;
            }
            self.publish();
            let slept = self.wait(&mut events)?;
            let polled = self.now;
            if slept {
                self.ready_since = polled;
            }
            for event in &events {
                match event.token() {
                    WAKE => self.obey(),
                    ALARM => {
                        let late = polled.checked_sub(self.alarm.went_off());
                        if let Some(late) = late.filter(|_| slept) {
                            self.lateness.observe(late);
                        }
                    }
                    Token(client) => self.ready(client as u32, event),
                }
            }
            self.read_again();
            // What is reported by the next poll may have been ready since this one.
            self.ready_since = polled;
            self.timeline.iteration(self.now.saturating_sub(polled));
        }
        self.report();
        Ok(())
    }

    /// Polls until something is due, or almost; tells whether it has slept.
    fn wait(&mut self, events: &mut Events) -> io::Result<bool> {
        let due = self.next_due();
        let next = match due {
            Nanos::MAX => due,
            due => due.saturating_sub(self.lateness.ahead()),
        };
        let idle = next > self.now && self.again.is_empty();
        let sleep = idle && self.polling == Polling::Sleeping;
        let timeout = if sleep {
            self.alarm.arm(next, self.now)?
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => return Err(error),
        }
        let before = self.now;
        self.now = self.settings.clock.now();
        if !sleep && due > before && events.is_empty() && self.again.is_empty() {
            self.timeline.idled(self.now - before);
        }
        Ok(sleep && self.now - before > SLEEP_MIN)
    }

    /// Does everything whose time has come.
    fn due(&mut self) {
        self.ramp_up();
        self.time_out();
        if self.stage == Stage::Quiet {
            return;
        }
        self.timeline_due();
        if self.stage == Stage::Traffic {
            self.send_due(SENDS_PER_ITERATION);
            self.misbehave();
            if self.joined_healthy == 0 && !self.deserted {
                self.deserted = true;
                self.tell(Event::Deserted);
            }
            if self.next_send() == Nanos::MAX && self.now >= self.measure.window.to {
                self.end_traffic();
            }
        }
        let nothing_to_come = self.unsent == 0 && self.measure.tally.outstanding() == 0;
        if self.stage == Stage::Drain && (nothing_to_come || self.joined_healthy == 0) {
            self.stage = Stage::Drained;
            self.tell(Event::Drained);
        }
    }

    /// When something is due next; `Nanos::MAX`: never.
    fn next_due(&self) -> Nanos {
        let mut next = self.ramp_due();
        for queue in [&self.handshakes, &self.leaves] {
            if let Some(&(deadline, ..)) = queue.front() {
                next = next.min(deadline);
            }
        }
        if self.stage == Stage::Traffic {
            let to = self.measure.window.to;
            next = next.min(self.next_send()).min(to);
            next = next.min(self.churn.due()).min(self.stall_at);
        }
        next.min(self.timeline.due())
    }

    fn obey(&mut self) {
        while let Ok(command) = self.ends.commands.try_recv() {
            match command {
                Command::First(address) => {
                    self.address = Some(address);
                    self.connect(0);
                }
                Command::Ramp { address, start } => self.begin_ramp(address, start),
                Command::Traffic { start, window } => self.begin_traffic(start, window),
                Command::Stop => self.stop(),
                Command::Close => self.begin_close(),
            }
        }
    }

    fn begin_traffic(&mut self, start: Nanos, window: Window) {
        self.stage = Stage::Traffic;
        self.start = start;
        self.measure.window = window;
        for client in &self.clients {
            if client.is_joined() && client.is_healthy() {
                self.receivers[client.plan.room as usize] += 1;
            }
        }
        let slots = self.clients.iter().zip(0..);
        let slots = slots.filter_map(|(client, index)| Some((client.plan.phase?, index)));
        self.ring = Ring::new(slots.collect(), self.period, start);
        self.begin_misbehaving();
        let interval = super::clock::nanos(self.settings.scenario.interval);
        self.timeline.begin(window.from, interval);
    }

    /// Ends the traffic before its time.
    fn stop(&mut self) {
        let window = &mut self.measure.window;
        window.to = window.to.min(self.now);
        // Then nothing was measured: all that was sent was warm-up.
        window.from = window.from.min(window.to);
        self.timeline_due();
    }

    fn end_traffic(&mut self) {
        self.stage = Stage::Drain;
        for index in 0..self.clients.len() {
            self.resume(index as u32);
        }
    }

    fn publish(&self) {
        let gauges = &*self.ends.gauges;
        Gauges::set(&gauges.connected, self.joined as u64);
        Gauges::set(&gauges.sent, self.measure.tally.sent());
        Gauges::set(&gauges.delivered, self.measure.tally.delivered());
        Gauges::set(&gauges.missing, self.ledger.missing());
        Gauges::set(&gauges.wrong, self.measure.tally.wrong());
    }

    /// For events that must arrive; there are only a handful of each, so that the channel has
    /// room for them whatever the conductor does.
    fn tell(&self, event: Event) {
        // Without a conductor nobody is interested.
        let _ = self.ends.events.send(event);
    }

    fn report(mut self) {
        self.timeline_end();
        self.measure.tally.misbehaving.lost = self.ledger.missing_misbehaving();
        let usage = self.timeline.usage();
        let part = Part {
            tally: self.measure.tally,
            connect: self.connect,
            tls: self.tls,
            join: self.join,
            rejoin: self.rejoin,
            uncorrected: self.measure.uncorrected,
            misbehaving: self.measure.misbehaving,
            send_lag: self.measure.send_lag,
            receive_wait: self.receive_wait,
            connections: self.connections,
            ended_codes: self.ended_codes,
            first_ended: self.first_ended,
            accounting_overflow: self.ledger.overflowed(),
            usage,
        };
        let _ = self.ends.events.send(Event::Done(Box::new(part)));
    }

    fn is_churning(&self, index: u32) -> bool {
        self.clients[index as usize].plan.role == Role::Churning
    }

    fn is_away(&self, index: u32) -> bool {
        matches!(self.clients[index as usize].phase, Phase::Away)
    }
}
