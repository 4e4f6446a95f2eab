//! The conductor: takes a run through its stages.
//!
//! Owns the order of the stages and everything that is read from outside between them. Must not
//! know sockets of clients.
//! Invariant: stages follow each other in one order, and each has an end: its time, its goal, or
//! `stop`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crossbeam_channel::RecvTimeoutError;
use roomcast_protocol::upgrade::ClientError;

use super::assembly::{Sum, TimelineParts};
use super::carriers;
use super::clock::{Clock, Nanos, nanos};
use super::crew::Crew;
use super::error::EngineError;
use super::limits;
use super::link::{Command, Event, Gauges};
use super::measure::Window;
use super::plan;
use super::progress::{Progress, Snapshot, Stage};

use super::socket::Failure;
use super::trust::Secure;
use super::usage::{Cpu, Server};
use super::validity;
use super::worker::Settings;
use crate::outcome::{Endings, GeneratorUsage, Outcome, ServerUsage, Stages, Stopped};
use crate::scenario::{Scenario, ScenarioError};

/// Time between two snapshots.
const SNAPSHOT: Nanos = 250_000_000;
/// How soon `stop` and dead threads are noticed.
const ATTENTION: Nanos = 50_000_000;
/// From telling the threads until the first message is due.
const HEAD_START: Nanos = 20_000_000;
/// What the close stage may take beyond each client's own limit of two seconds.
const CLOSE_MAX: Nanos = 60_000_000_000;

/// Redirections that are followed one after the other, as browsers do (the Fetch standard).
const REDIRECTS_MAX: usize = 20;

/// Carries a scenario out, where its target says or, if it may, where that leads.
pub(super) fn run(
    scenario: &Scenario,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Outcome, EngineError> {
    let mut scenario = scenario.clone();
    let mut followed = 0;
    loop {
        let redirected = match run_at(&scenario, progress, stop) {
            Err(EngineError::Redirected {
                target, location, ..
            }) if scenario.request.follow_redirects && followed < REDIRECTS_MAX => {
                target.redirected(&location).map_err(|error| {
                    let reason =
                        format!("it redirects to {location}, where nobody can go: {error}");
                    EngineError::FirstClient { target, reason }
                })?
            }
            result => return result,
        };
        followed += 1;
        scenario.redirect(redirected);
    }
}

/// Carries a scenario out at its target.
fn run_at(
    scenario: &Scenario,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Outcome, EngineError> {
    scenario.check()?;
    let secure = Secure::of(&scenario.target, &scenario.tls)?;
    let descriptors = carriers::descriptors(scenario.carrier);
    limits::raise_descriptors(
        scenario.clients.saturating_mul(descriptors),
        scenario.threads,
    )?;
    let addresses = limits::resolve(&scenario.target)?;
    let started_at = SystemTime::now();
    let settings = Arc::new(Settings {
        threads: scenario.threads.min(scenario.rooms()),
        clock: Clock,
        run: scenario.run_number(),
        scenario: scenario.clone(),
        secure,
    });
    let mut refused = None;
    let mut unusable = None;
    for address in addresses {
        let mut conductor = match Conductor::new(&settings, address, progress, stop) {
            // No address to connect from is of its family; the next may be of another.
            Err(EngineError::Scenario(error)) => {
                unusable = Some(error);
                continue;
            }
            conductor => conductor?,
        };
        match conductor.first()? {
            Ok(()) => return conductor.conduct(started_at),
            // The name may have another address where somebody listens.
            Err(failure) => refused = Some((address, failure)),
        }
    }
    let target = scenario.target.clone();
    Err(match refused {
        Some((address, Failure::Refused)) => EngineError::NothingListens { target, address },
        Some((_, Failure::Redirected(status, location))) => EngineError::Redirected {
            target,
            status,
            location,
        },
        Some((_, failure)) => {
            let mut reason = failure.to_string();
            if failure == Failure::Upgrade(ClientError::Status(404)) {
                let room = scenario.room_of(0);
                reason = format!(
                    "{reason}; it was asked for {}, the room's name put behind the path of --url (write {{room}} there to put it elsewhere)",
                    target.url_of(&room)
                );
            }
            EngineError::FirstClient { target, reason }
        }
        None => unusable.map_or(EngineError::Stopped, EngineError::Scenario),
    })
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// What was waited for has happened.
    Goal,
    /// Its time is over.
    Time,
    /// `stop`.
    Stop,
}

/// What the server had used, and what had been delivered, at some time.
#[derive(Clone, Copy, Debug, Default)]
struct ServerReading {
    cpu: Cpu,
    deliveries: u64,
}

struct Conductor<'a> {
    settings: Arc<Settings>,
    address: SocketAddr,
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
    crew: Crew,
    server: Option<Server>,

    stage: Stage,
    stage_began: Nanos,
    stage_planned: Duration,
    next_snapshot: Nanos,
    shown: Shown,

    first: Option<Result<(), Failure>>,
    /// How many threads are how far.
    threads: Reached,
    /// When the first message was due.
    traffic_began: Nanos,
    timeline: TimelineParts,
    sum: Sum,
    /// When the server's CPU time is to be read next, at the end of which interval.
    next_reading: Nanos,
    readings: Vec<Option<Duration>>,
    last_cpu: Option<Cpu>,
}

/// How many threads have said that they are so far.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    ramped: usize,
    deserted: usize,
    drained: usize,
    done: usize,
}

/// What the last snapshot said.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    at: Nanos,
    sent: u64,
    delivered: u64,
}

impl<'a> Conductor<'a> {
    fn new(
        settings: &Arc<Settings>,
        address: SocketAddr,
        progress: &'a dyn Progress,
        stop: &'a AtomicBool,
    ) -> Result<Self, EngineError> {
        let scenario = &settings.scenario;
        let sources = plan::sources(scenario, address);
        if sources.is_empty() && !scenario.source_addresses.is_empty() {
            let what = format!("no source address is of the same family as {address}");
            return Err(ScenarioError(what).into());
        }
        limits::check_sources(&sources)?;
        let shares = plan::shares(scenario, &sources);
        let crew = Crew::start(settings, shares)?;
        Ok(Self {
            server: limits::server(scenario.server_pid, address)?,
            timeline: TimelineParts::new(crew.len()),
            crew,
            settings: Arc::clone(settings),
            address,
            progress,
            stop,
            stage: Stage::Ramp,
            stage_began: settings.clock.now(),
            stage_planned: Duration::ZERO,
            next_snapshot: 0,
            shown: Shown::default(),
            first: None,
            threads: Reached::default(),
            traffic_began: 0,
            sum: Sum::new(),
            next_reading: Nanos::MAX,
            readings: Vec::new(),
            last_cpu: None,
        })
    }

    /// Whether the first client gets in.
    fn first(&mut self) -> Result<Result<(), Failure>, EngineError> {
        self.crew.tell(0, Command::First(self.address));
        let ended = self.wait(Nanos::MAX, |conductor| conductor.first.is_some())?;
        if ended == Ended::Stop {
            // Who is in already was in before.
            while let Ok(event) = self.crew.events.try_recv() {
                self.hear(event);
            }
        }
        self.first.take().ok_or(EngineError::Stopped)
    }

    fn conduct(mut self, started_at: SystemTime) -> Result<Outcome, EngineError> {
        let settings = Arc::clone(&self.settings);
        let (scenario, clock) = (&settings.scenario, settings.clock);
        let mut stages = Stages::default();
        let mut server = ServerUsage {
            pid: self.server.map_or(0, Server::pid),
            rss_before: self.server_rss(),
            ..ServerUsage::default()
        };

        if let Some(stopped) = self.gather(&mut stages)? {
            let measured_at = SystemTime::now();
            self.close(&mut stages)?;
            let times = (started_at, measured_at, stages);
            return Ok(self.assemble(times, Some(stopped), false, None));
        }
        server.rss_idle = self.server_rss();
        server.connections = self.total(|gauges| Gauges::get(&gauges.connected));

        let start = clock.now() + HEAD_START;
        self.traffic_began = start;
        let from = start + nanos(scenario.warmup);
        let to = from + nanos(scenario.duration);
        let window = Window { from, to };
        self.enter(Stage::Warmup, scenario.warmup);
        self.crew.tell_all(|| Command::Traffic { start, window });
        let all = self.crew.len();
        // Without anybody healthy there is nothing more to measure.
        let deserted = |conductor: &Self| conductor.threads.deserted == all;
        let mut ended = self.wait(from, deserted)?;
        stages.warmup = since(start, clock.now().min(from));
        let measured_at = SystemTime::now();

        let began = self.read_server();
        let mut read = began;
        if ended == Ended::Time {
            self.enter(Stage::Measure, scenario.duration);
            self.last_cpu = began.map(|reading| reading.cpu);
            self.next_reading = from + nanos(scenario.interval);
            ended = self.wait(to, deserted)?;
            read = self.read_server();
            stages.measured = since(from, clock.now().min(to));
        }
        if ended != Ended::Time {
            self.crew.tell_all(|| Command::Stop);
        }
        let mut interrupted = (ended == Ended::Stop).then_some(Stopped::Traffic);
        if let (Some(began), Some(read)) = (began, read) {
            let used = read.cpu.since(&began.cpu);
            (server.cpu_user, server.cpu_system) = (used.user, used.system);
            server.cpu = used.exact;
            server.deliveries = read.deliveries - began.deliveries;
        }

        let start = clock.now();
        self.enter(Stage::Drain, scenario.drain);
        let limit = start + nanos(scenario.drain);
        if interrupted.is_some() {
            // `stop` has been heard; it does not end the drain too.
            self.stop = &NEVER;
        }
        if self.wait(limit, |conductor| conductor.threads.drained == all)? == Ended::Stop {
            interrupted = Some(Stopped::Drain);
        }
        stages.drain = since(start, clock.now());
        server.rss_end = self.server_rss();
        server.rss_peak = self.server.and_then(Server::rss_peak).unwrap_or_default();

        self.close(&mut stages)?;
        let watched = self.server.is_some() && read.is_some();
        let server = watched.then_some(server);
        let deserted = ended == Ended::Goal;
        let times = (started_at, measured_at, stages);
        Ok(self.assemble(times, interrupted, deserted, server))
    }

    /// Brings every client in, and lets it be quiet. Tells when that was stopped.
    fn gather(&mut self, stages: &mut Stages) -> Result<Option<Stopped>, EngineError> {
        let settings = Arc::clone(&self.settings);
        let (scenario, clock) = (&settings.scenario, settings.clock);
        let start = clock.now();
        let ramp = Duration::from_secs_f64(scenario.clients as f64 / scenario.connect_rate);
        self.enter(Stage::Ramp, ramp);
        let address = self.address;
        self.crew.tell_all(|| Command::Ramp { address, start });
        let all = self.crew.len();
        let ended = self.wait(Nanos::MAX, |conductor| conductor.threads.ramped == all)?;
        stages.ramp = since(start, clock.now());
        if ended == Ended::Stop {
            return Ok(Some(Stopped::Ramp));
        }
        let start = clock.now();
        self.enter(Stage::Settle, scenario.settle);
        let ended = self.wait(start + nanos(scenario.settle), |_| false)?;
        stages.settle = since(start, clock.now());
        Ok((ended == Ended::Stop).then_some(Stopped::Settle))
    }

    /// Closes every connection.
    fn close(&mut self, stages: &mut Stages) -> Result<(), EngineError> {
        let clock = self.settings.clock;
        let start = clock.now();
        self.next_reading = Nanos::MAX;
        self.enter(Stage::Close, Duration::from_nanos(CLOSE_MAX));
        self.crew.tell_all(|| Command::Close);
        // `stop` has been heard, or comes too late.
        self.stop = &NEVER;
        let all = self.crew.len();
        if self.wait(start + CLOSE_MAX, |conductor| conductor.threads.done == all)? != Ended::Goal {
            return Err(EngineError::Thread);
        }
        stages.close = since(start, clock.now());
        Ok(())
    }

    fn assemble(
        self,
        (started_at, measured_at, stages): (SystemTime, SystemTime, Stages),
        interrupted: Option<Stopped>,
        deserted: bool,
        server: Option<ServerUsage>,
    ) -> Outcome {
        let scenario = self.settings.scenario.clone();
        let mut sum = self.sum;
        let (latency, timeline) =
            self.timeline
                .finish(scenario.interval, stages.measured, &self.readings);
        let overflow = sum.overflow(&latency);
        let tally = &mut sum.tally;
        for counts in [&mut tally.healthy, &mut tally.warmup] {
            counts.lost = counts.missing();
        }
        tally.warmup.delivered_in_time = tally.warmup.delivered;
        tally.misbehaving.delivered_in_time = tally.misbehaving.delivered;
        tally.misbehaving.expected = tally.misbehaving.delivered + tally.misbehaving.lost;
        let mut outcome = Outcome {
            scenario,
            address: self.address,
            started_at,
            measured_at,
            stages,
            interrupted,
            connect: sum.connect.to_histogram(),
            tls: sum.tls.to_histogram(),
            join: sum.join.to_histogram(),
            rejoin: sum.rejoin.to_histogram(),
            resume: sum.resume.to_histogram(),
            state_age: sum.state_age.to_histogram(),
            host_change: sum.host_change.to_histogram(),
            latency: latency.to_histogram(),
            latency_uncorrected: sum.uncorrected.to_histogram(),
            latency_misbehaving: sum.misbehaving.to_histogram(),
            send_lag: sum.send_lag.to_histogram(),
            receive_wait: sum.receive_wait.to_histogram(),
            timeline,
            healthy: tally.healthy,
            misbehaving: tally.misbehaving,
            warmup: tally.warmup,
            connections: sum.connections,
            endings: Endings {
                codes: sum.ended_codes,
                first: (sum.first_ended < Nanos::MAX)
                    .then(|| since(self.traffic_began, sum.first_ended)),
                all: deserted,
            },
            bytes_in: sum.bytes_in,
            bytes_out: sum.bytes_out,
            overflow,
            server,
            generator: GeneratorUsage {
                cores: plan::cores_of_generator(self.address),
                ..sum.generator
            },
            validity: Vec::new(),
        };
        outcome.validity = validity::judge(&outcome, sum.accounting_overflow);
        outcome
    }

    fn enter(&mut self, stage: Stage, planned: Duration) {
        self.stage = stage;
        self.stage_began = self.settings.clock.now();
        self.stage_planned = planned;
        self.next_snapshot = self.stage_began;
    }

    /// Listens to the threads, and shows progress, until `goal` or until `until`.
    fn wait(&mut self, until: Nanos, goal: impl Fn(&Self) -> bool) -> Result<Ended, EngineError> {
        loop {
            if goal(self) {
                return Ok(Ended::Goal);
            }
            let now = self.settings.clock.now();
            self.due(now);
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ended::Stop);
            }
            if now >= until {
                return Ok(Ended::Time);
            }
            let next = until.min(self.next_snapshot).min(self.next_reading);
            let wait = next.min(now + ATTENTION).saturating_sub(now);
            match self.crew.events.recv_timeout(Duration::from_nanos(wait)) {
                Ok(event) => self.hear(event),
                Err(RecvTimeoutError::Timeout) => self.crew.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    self.crew.check()?;
                    return Err(EngineError::Thread);
                }
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::First(result) => self.first = Some(result),
            Event::Ramped => self.threads.ramped += 1,
            Event::Interval(part) => {
                self.timeline.add(&part);
                self.crew.give_back(part.latency);
            }
            Event::Deserted => self.threads.deserted += 1,
            Event::Drained => self.threads.drained += 1,
            Event::Done(part) => {
                self.sum.add(&part);
                self.threads.done += 1;
            }
        }
    }

    fn due(&mut self, now: Nanos) {
        if now >= self.next_reading {
            self.next_reading += nanos(self.settings.scenario.interval);
            let cpu = self.server.and_then(Server::cpu);
            let both = cpu.zip(self.last_cpu);
            self.readings
                .push(both.map(|(now, before)| now.since(&before).both()));
            self.last_cpu = cpu;
        }
        if now >= self.next_snapshot {
            self.next_snapshot = now + SNAPSHOT;
            self.show(now);
        }
    }

    fn show(&mut self, now: Nanos) {
        let sent = self.total(|gauges| Gauges::get(&gauges.sent));
        let delivered = self.total(|gauges| Gauges::get(&gauges.delivered));
        let time = (now - self.shown.at).max(1) as f64 / 1e9;
        let last = match self.stage {
            Stage::Measure | Stage::Drain | Stage::Close => self.timeline.last(),
            Stage::Ramp | Stage::Settle | Stage::Warmup => None,
        };
        let last = last.map(|latency| latency.to_histogram());
        let quantile = |q| {
            let value = last.as_ref()?.value_at_quantile(q);
            Some(Duration::from_nanos(value))
        };
        let lag = self.crew.gauges().map(Gauges::take_lag).max();
        self.progress.update(&Snapshot {
            stage: self.stage,
            stage_elapsed: since(self.stage_began, now),
            stage_planned: self.stage_planned,
            connected: self.total(|gauges| Gauges::get(&gauges.connected)) as usize,
            connect_failed: self.total(|gauges| Gauges::get(&gauges.failed)),
            clients: self.settings.scenario.clients,
            sent,
            delivered,
            send_rate: (sent - self.shown.sent) as f64 / time,
            delivery_rate: (delivered - self.shown.delivered) as f64 / time,
            p50: quantile(0.5),
            p99: quantile(0.99),
            missing: self.total(|gauges| Gauges::get(&gauges.missing)),
            wrong: self.total(|gauges| Gauges::get(&gauges.wrong)),
            lag: Duration::from_nanos(lag.unwrap_or_default()),
        });
        self.shown = Shown {
            at: now,
            sent,
            delivered,
        };
    }

    fn total(&self, gauge: impl Fn(&Gauges) -> u64) -> u64 {
        self.crew.gauges().map(gauge).sum()
    }

    fn server_rss(&self) -> u64 {
        self.server.and_then(Server::rss).unwrap_or_default()
    }

    fn read_server(&self) -> Option<ServerReading> {
        let cpu = self.server?.cpu()?;
        let deliveries = self.total(|gauges| Gauges::get(&gauges.delivered));
        Some(ServerReading { cpu, deliveries })
    }
}

/// For stages that `stop` does not end.
static NEVER: AtomicBool = AtomicBool::new(false);

fn since(start: Nanos, now: Nanos) -> Duration {
    Duration::from_nanos(now.saturating_sub(start))
}
