//! One thread of the generator: an epoll loop over its share of the clients.
//!
//! Owns the loop, the order of things within it, and the thread's stages. Must not know other
//! threads.
//! Invariant: nothing in the loop blocks but the poll, and that not beyond the next thing that
//! is due; between two reads, messages that have fallen due are written.

mod ages;
mod deadlines;
mod drops;
mod endings;
mod handshake;
mod hear;
mod io;
mod kills;
mod leave;
mod misbehaviour;
mod play;
mod ramp;
mod receive;
mod secure;
mod send;
mod timeline;
mod traffic;
mod values;
mod wakes;
mod writing;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use mio::{Events, Poll, Token};

use self::ages::Ages;
use self::endings::Endings;
use self::io::{Io, Waited};
use self::misbehaviour::Misbehaviour;
use self::ramp::Ramp;
use self::timeline::Timeline;
use self::traffic::Traffic;
use self::wakes::Wakes;
use super::client::Client;
use super::clock::{Clock, Nanos};
use super::hosts::Hosts;
use super::link::{Command, Event, Gauges, Part};
use super::measure::Window;
use super::plan::{RoomPlan, Share};
use super::recorder::Recorder;
use super::session::Speech;
use super::trust::Secure;
use crate::scenario::Scenario;

/// Events taken from one poll.
const EVENTS: usize = 1024;
/// Messages written at most before events are looked at again.
const SENDS_PER_ITERATION: usize = 128;
/// Messages written at most between two reads.
const SENDS_PER_READ: usize = 16;

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
    /// The same, and the conductor knows that nobody healthy is left.
    Deserted,
    /// Waiting for what was sent.
    Drain,
    /// The same, and the conductor knows that everything has arrived.
    Drained,
    /// Closing.
    Close,
}

impl Stage {
    /// Whether messages are sent.
    #[inline]
    fn is_traffic(self) -> bool {
        matches!(self, Self::Traffic | Self::Deserted)
    }
}

/// Clients that are in their rooms.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    all: usize,
    /// Of these, the healthy: once gone, they stay away.
    healthy: usize,
}

impl Present {
    fn enter(&mut self, client: &Client) {
        self.all += 1;
        self.healthy += usize::from(client.is_healthy());
    }

    fn leave(&mut self, client: &Client) {
        self.all -= 1;
        self.healthy -= usize::from(client.is_healthy());
    }
}

/// One thread.
pub(crate) struct Worker {
    settings: Arc<Settings>,
    ends: Ends,
    stage: Stage,
    random: fastrand::Rng,

    clients: Vec<Client>,
    rooms: Vec<RoomPlan>,
    present: Present,

    io: Io,
    ramp: Ramp,
    traffic: Traffic,
    misbehaviour: Misbehaviour,
    endings: Endings,
    hosts: Hosts,
    wakes: Wakes,
    timeline: Timeline,
    ages: Ages,
}

impl Worker {
    /// For `share`; `poll` already has the waker for [`WAKE`].
    pub(crate) fn new(
        settings: Arc<Settings>,
        ends: Ends,
        index: usize,
        share: Share,
        poll: Poll,
    ) -> std::io::Result<Self> {
        let scenario = &settings.scenario;
        let dialect = scenario.dialect;
        let members = share.clients.len();
        let clients = share.clients.into_iter();
        let mut hosts = Hosts::new(settings.run);
        for room in &share.rooms {
            hosts.add_room(room.number, room.senders);
        }
        Ok(Self {
            stage: Stage::Quiet,
            random: fastrand::Rng::with_seed(scenario.seed.wrapping_add(index as u64)),
            present: Present::default(),
            io: Io::new(settings.clock, poll, scenario.polling)?,
            ramp: Ramp::new(index, settings.threads, members),
            traffic: Traffic::new(settings.run, scenario, &share.rooms),
            misbehaviour: Misbehaviour::new(scenario),
            endings: Endings::new(),
            wakes: Wakes::default(),
            timeline: Timeline::default(),
            ages: Ages::new(),
            hosts,
            clients: clients
                .map(|plan| Client::new(plan, Speech::new(dialect)))
                .collect(),
            rooms: share.rooms,
            settings,
            ends,
        })
    }

    /// Runs until it was told to close and has, then reports.
    ///
    /// # Errors
    /// Only if the poll itself fails.
    pub(crate) fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        if let Some(secure) = &self.settings.secure {
            secure.prepare();
        }
        loop {
            self.io.tick();
            self.due();
            if self.stage == Stage::Close && self.is_closed() {
                break;
            }
            self.publish();
            let waited = self.io.wait(&mut events, self.next_due())?;
            if let Waited::Idle(time) = waited {
                self.timeline.idled(time);
            }
            let polled = self.io.now();
            for event in &events {
                match event.token() {
                    WAKE => self.obey(),
                    ALARM => self.io.alarmed(polled, waited),
                    Token(client) => self.ready(client as u32, event),
                }
            }
            self.read_again();
            self.io.handled(polled);
            self.timeline
                .iteration(self.io.now().saturating_sub(polled));
        }
        self.report();
        Ok(())
    }

    /// Does everything whose time has come.
    fn due(&mut self) {
        self.ramp_up();
        self.time_out();
        self.wake_players();
        if self.stage == Stage::Quiet {
            return;
        }
        self.timeline_due();
        if self.stage.is_traffic() {
            self.look_at_ages();
            self.send_due(SENDS_PER_ITERATION);
            self.misbehave();
            self.cut_connections();
            self.kill_hosts();
            if self.present.healthy == 0 && self.stage == Stage::Traffic {
                self.stage = Stage::Deserted;
                self.tell(Event::Deserted);
            }
            let next = self.traffic.due().min(self.traffic.value_due());
            if next == Nanos::MAX && self.io.now() >= self.traffic.measure.window.to {
                self.end_traffic();
            }
        }
        if self.stage == Stage::Drain
            && (self.traffic.is_over(&self.clients) && !self.hosts.are_changing()
                || self.present.healthy == 0)
        {
            self.stage = Stage::Drained;
            self.tell(Event::Drained);
        }
    }

    /// When something is due next; `Nanos::MAX`: never.
    fn next_due(&self) -> Nanos {
        let mut next = self.ramp.due().min(self.timeline.due());
        next = next.min(self.ramp.deadlines.due());
        next = next.min(self.endings.deadlines.due());
        next = next.min(self.wakes.due());
        if self.stage.is_traffic() {
            next = next.min(self.traffic.due()).min(self.traffic.value_due());
            next = next.min(self.ages.due());
            next = next.min(self.traffic.measure.window.to);
            next = next.min(self.misbehaviour.due());
        }
        next
    }

    fn obey(&mut self) {
        while let Ok(command) = self.ends.commands.try_recv() {
            match command {
                Command::First(address) => {
                    self.ramp.address = Some(address);
                    self.connect(0);
                }
                Command::Ramp { address, start } => {
                    self.ramp.begin(address, start, &self.settings.scenario);
                }
                Command::Traffic { start, window } => self.begin_traffic(start, window),
                Command::Stop => {
                    self.traffic.stop(self.io.now());
                    self.timeline_due();
                }
                Command::Close => self.begin_close(),
            }
        }
    }

    fn begin_traffic(&mut self, start: Nanos, window: Window) {
        let scenario = &self.settings.scenario;
        self.stage = Stage::Traffic;
        self.traffic.begin(start, window, &self.clients);
        let rooms = self.rooms.len() as u32;
        self.misbehaviour
            .begin(start, scenario, (rooms, &mut self.clients));
        if scenario.play.has_states() {
            self.ages.begin(window.from);
        }
        let interval = super::clock::nanos(scenario.interval);
        self.timeline.begin(window.from, interval);
    }

    fn end_traffic(&mut self) {
        self.stage = Stage::Drain;
        for (client, index) in self.clients.iter_mut().zip(0..) {
            self.io.resume(index, client);
        }
    }

    fn publish(&self) {
        let gauges = &*self.ends.gauges;
        let tally = &self.traffic.measure.tally;
        Gauges::set(&gauges.connected, self.present.all as u64);
        Gauges::set(&gauges.sent, tally.sent());
        Gauges::set(&gauges.delivered, tally.delivered());
        Gauges::set(&gauges.missing, self.traffic.ledger.missing());
        Gauges::set(&gauges.wrong, tally.wrong());
    }

    /// For events that must arrive; there are only a handful of each, so that the channel has
    /// room for them whatever the conductor does.
    fn tell(&self, event: Event) {
        // Without a conductor nobody is interested.
        let _ = self.ends.events.send(event);
    }

    fn report(mut self) {
        self.timeline_end();
        self.traffic.excuse(&self.clients);
        let (measure, ledger) = (&mut self.traffic.measure, &self.traffic.ledger);
        measure.tally.misbehaving.lost = ledger.missing_misbehaving();
        let mut connections = self.ramp.connections;
        connections.add(&self.endings.connections);
        let usage = self.timeline.usage();
        let part = Part {
            tally: self.traffic.measure.tally,
            connect: self.ramp.connect,
            tls: self.ramp.tls,
            join: self.ramp.join,
            rejoin: self.ramp.rejoin,
            resume: self.ramp.resume,
            state_age: self.ages.recorder,
            host_change: self.hosts.changes,
            uncorrected: self.traffic.measure.uncorrected,
            misbehaving: self.traffic.measure.misbehaving,
            send_lag: self.traffic.measure.send_lag,
            receive_wait: self.io.receive_wait,
            connections,
            ended_codes: self.endings.codes,
            first_ended: self.endings.first,
            accounting_overflow: self.traffic.ledger.overflowed(),
            usage,
        };
        let _ = self.ends.events.send(Event::Done(Box::new(part)));
    }
}
