//! What to run: one load test as plain data.
//!
//! Owns the description and its defaults, and checks that it is one the engine can carry out.
//! Must not know how a command line or a report spells any of it, nor how the engine does it.
//! Invariant: a scenario that passed [`Scenario::check`] can be run; the engine has no further
//! opinion about its numbers.

use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use roomcast_protocol::v1;

pub use crate::payload::MessageKind;
use crate::payload::min_size;
use crate::play::Play;
use crate::target::Target;

/// The largest room: a member's index travels in 16 bits of the payload.
pub const ROOM_SIZE_MAX: usize = 65_536;
/// The most rooms: a room's number travels in 24 bits of the payload.
pub const ROOMS_MAX: usize = 1 << 24;
/// The most (receiver, sender) pairs that are followed; each costs 4 bytes (so this is 1 GiB).
pub const PAIRS_MAX: usize = 1 << 28;
/// The largest payload that is sent, in bytes.
pub const SIZE_MAX: usize = 16 << 20;
/// The highest rate of one sender, in messages per second.
pub const RATE_MAX: f64 = 1_000_000.0;
/// The most intervals of a time line.
pub const INTERVALS_MAX: f64 = 100_000.0;
/// The most messages of one sender: they are counted in 32 bits.
pub const MESSAGES_MAX: f64 = 4e9;
/// The longest single stage.
pub const STAGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// When the senders of a run send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Spread evenly over the period: every sender has a phase of its own.
    Even,
    /// Every sender at the same instant, `rate_hz` times a second.
    Burst,
}

/// What a thread of the generator does while nothing is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Sleeps until something has come or is due. Waking takes time, and for who wakes it, too.
    Sleeping,
    /// Looks again and again: neither is in the figures, for a whole core each.
    Spinning,
}

/// How the relay under test is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// No subprotocol: each message goes unchanged to all others in the room. Any relay that
    /// does this can be driven.
    Raw,
    /// `roomcast.v1` (docs/PROTOCOL.md): each message is an event to the others.
    V1,
}

/// How clients reach the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// By a WebSocket.
    Ws,
    /// By requests (docs/HTTP.md), each of which waits for what comes next.
    Poll,
    /// By one that is answered with all that comes.
    Stream,
    /// By one that is answered with events, as an EventSource asks.
    Events,
}

impl Carrier {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Poll => "poll",
            Self::Stream => "stream",
            Self::Events => "events",
        }
    }
}

/// Whose certificates are believed, for a `wss` target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system's authorities and, when the target is this machine by its name, those
    /// of the development authority that `roomcast --dev-tls` made.
    #[default]
    System,
    /// Those of the authorities in this PEM file, and no others.
    Authorities(PathBuf),
    /// Any: nothing is verified.
    Anyone,
}

/// How TLS is done, for a `wss` target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Whether a connection may resume the session of an earlier one (RFC 8446 section 2.2).
    pub resume: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            resume: true,
        }
    }
}

/// What a client's upgrade request says beyond what it must, and what it makes of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Further fields: name and value, such as Origin or Authorization.
    pub headers: Vec<(String, String)>,
    /// The subprotocol that is asked for, and that the server must choose.
    pub subprotocol: Option<String>,
    /// Whether a redirection of the first client is followed, by all of them.
    pub follow_redirects: bool,
}

/// Fields that are for the server they were given for, and for no other.
const SECRETS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// One load test.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where the relay is.
    pub target: Target,
    /// How TLS is done, if the target is `wss`.
    pub tls: Tls,
    /// What the upgrade request says beyond what it must.
    pub request: Request,
    /// How messages are exchanged.
    pub dialect: Dialect,
    /// How clients reach the relay.
    pub carrier: Carrier,
    /// Connections, healthy and misbehaving together.
    pub clients: usize,
    /// Clients in each room; the last room takes what is left.
    pub room_size: usize,
    /// How many members of each room send (`<= room_size`); the others only receive.
    pub senders_per_room: usize,
    /// Messages per second of each sender; 0 for none, if there are states.
    pub rate_hz: f64,
    /// What players do beside.
    pub play: Play,
    /// Bytes of payload of each message, at least [`min_size`] of its kind.
    pub size: usize,
    /// When senders send.
    pub schedule: Schedule,
    /// Binary or text.
    pub kind: MessageKind,
    /// Connections opened per second while ramping up.
    pub connect_rate: f64,
    /// Handshakes that may be under way at once.
    pub connect_concurrency: usize,
    /// How long one connection may take from `connect` to the 101, before it counts as failed.
    pub handshake_timeout: Duration,
    /// Silence after the last join, at whose end the server's idle memory is read.
    pub settle: Duration,
    /// Traffic before the measured time.
    pub warmup: Duration,
    /// The measured time.
    pub duration: Duration,
    /// How long to wait for stragglers at most; it ends early when everything has arrived.
    pub drain: Duration,
    /// Length of an interval of the time line.
    pub interval: Duration,
    /// Leaves (each followed by a rejoin) per second over all churning clients; 0 for none.
    pub churn: f64,
    /// Connections of healthy players that are cut per second, each of whom comes back; 0 for none.
    pub drops: f64,
    /// Clients that stop reading when traffic begins.
    pub slow_readers: usize,
    /// Clients that stop reading for [`Scenario::stall`], read for as long, and so on.
    pub stalling_readers: usize,
    /// How long a stalling reader does not read.
    pub stall: Duration,
    /// Threads, each with a share of the rooms.
    pub threads: usize,
    /// How these wait.
    pub polling: Polling,
    /// Local addresses to connect from, in turn. Empty: the system chooses, except that a
    /// loopback target with more clients than ports gets 127.0.0.1, 127.0.0.2 and so on.
    pub source_addresses: Vec<IpAddr>,
    /// The server's process, for its CPU and memory. `None`: found by its listening socket when
    /// the target is a loopback address.
    pub server_pid: Option<u32>,
    /// What room names begin with, and what the run's number in every payload comes from: unique to
    /// the run, whatever the seed; of `[A-Za-z0-9._~-]`, at most 48 bytes.
    pub room_prefix: String,
    /// What phases and filler come from.
    pub seed: u64,
}

impl Scenario {
    /// The default run against `target`: 1,000 clients in rooms of 10, each sends 64 B once a
    /// second, for 15 s. Its rooms are its own, also if another generator has the same seed.
    pub fn new(target: Target, seed: u64) -> Self {
        Self {
            target,
            tls: Tls::default(),
            request: Request::default(),
            dialect: Dialect::Raw,
            carrier: Carrier::Ws,
            clients: 1_000,
            room_size: 10,
            senders_per_room: 10,
            rate_hz: 1.0,
            play: Play::default(),
            size: 64,
            schedule: Schedule::Even,
            kind: MessageKind::Binary,
            connect_rate: 2_000.0,
            connect_concurrency: 256,
            handshake_timeout: Duration::from_secs(10),
            settle: Duration::from_secs(1),
            warmup: Duration::from_secs(2),
            duration: Duration::from_secs(15),
            drain: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            churn: 0.0,
            drops: 0.0,
            slow_readers: 0,
            stalling_readers: 0,
            stall: Duration::from_millis(500),
            threads: default_threads(),
            polling: Polling::Sleeping,
            source_addresses: Vec::new(),
            server_pid: None,
            room_prefix: room_prefix(),
            seed,
        }
    }

    /// From now on in rooms of its own, as another run of the same load.
    pub fn begin_anew(&mut self) {
        self.room_prefix = room_prefix();
    }

    /// Goes to `target` instead, without what was meant for the other host only.
    pub(crate) fn redirect(&mut self, target: Target) {
        if target.host_field() != self.target.host_field() {
            let is_secret = |name: &str| {
                SECRETS
                    .iter()
                    .any(|secret| name.eq_ignore_ascii_case(secret))
            };
            self.request.headers.retain(|(name, _)| !is_secret(name));
        }
        self.target = target;
    }

    /// The number of the run, 24 bits: what a message of another run is known by.
    pub(crate) fn run_number(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.room_prefix.hash(&mut hasher);
        (hasher.finish() >> 40) as u32
    }

    /// The name of a room by its number.
    pub(crate) fn room_of(&self, number: u32) -> String {
        format!("{}-{number}", self.room_prefix)
    }

    /// The subprotocol that is asked for.
    pub(crate) fn subprotocol(&self) -> Option<&str> {
        match self.dialect {
            Dialect::Raw => self.request.subprotocol.as_deref(),
            Dialect::V1 => Some(v1::SUBPROTOCOL),
        }
    }

    /// Rooms of the run; the last may be smaller than `room_size`.
    pub fn rooms(&self) -> usize {
        self.clients.div_ceil(self.room_size.max(1))
    }

    /// Members of room number `room`.
    pub fn members_of(&self, room: usize) -> usize {
        let before = room.saturating_mul(self.room_size);
        self.clients.saturating_sub(before).min(self.room_size)
    }

    /// Senders of room number `room`: its first members.
    pub fn senders_of(&self, room: usize) -> usize {
        self.members_of(room).min(self.senders_per_room)
    }

    /// Senders of the whole run, healthy and misbehaving.
    pub fn senders(&self) -> usize {
        let full = self.clients / self.room_size.max(1);
        let rest = self.clients % self.room_size.max(1);
        full * self.senders_per_room.min(self.room_size) + rest.min(self.senders_per_room)
    }

    /// Clients that leave and rejoin: one for each leave per second, rounded up, so that each
    /// leaves about once a second; never more than half of the clients.
    pub fn churners(&self) -> usize {
        if self.churn <= 0.0 {
            return 0;
        }
        (self.churn.ceil() as usize).clamp(1, (self.clients / 2).max(1))
    }

    /// Clients that misbehave in one way or another.
    pub fn misbehaving(&self) -> usize {
        self.slow_readers
            .saturating_add(self.stalling_readers)
            .saturating_add(self.churners())
    }

    /// The rate of whatever a sender sends that its phase is a part of: its messages, or if there are none its values.
    pub(crate) fn phase_hz(&self) -> f64 {
        match self.rate_hz > 0.0 {
            true => self.rate_hz,
            false => self.play.states_hz,
        }
    }

    /// Deliveries per second that the healthy and misbehaving members together should receive.
    pub fn deliveries_per_second(&self) -> f64 {
        let pairs = |members: usize| {
            members.min(self.senders_per_room) as f64 * members.saturating_sub(1) as f64
        };
        let full = self.clients / self.room_size.max(1);
        let rest = self.clients % self.room_size.max(1);
        (full as f64 * pairs(self.room_size) + pairs(rest)) * (self.rate_hz + self.play.states_hz)
    }

    /// Whether this can be run.
    ///
    /// # Errors
    /// The first thing that is wrong, in words that say what to change.
    pub fn check(&self) -> Result<(), ScenarioError> {
        self.check_rooms()?;
        self.check_rates()?;
        self.check_times()?;
        self.check_clients()
    }

    /// Who is in which room.
    fn check_rooms(&self) -> Result<(), ScenarioError> {
        if self.clients == 0 {
            return fail("at least one client is needed");
        }
        if self.room_size == 0 || self.room_size > ROOM_SIZE_MAX {
            return fail(format!(
                "the room size must be 1 to {ROOM_SIZE_MAX}, not {}",
                self.room_size
            ));
        }
        if self.rooms() > ROOMS_MAX {
            return fail(format!(
                "{} rooms are more than {ROOMS_MAX}: make rooms larger",
                self.rooms()
            ));
        }
        if self.senders_per_room == 0 || self.senders_per_room > self.room_size {
            return fail(format!(
                "senders per room must be 1 to the room size of {}, not {}",
                self.room_size, self.senders_per_room
            ));
        }
        let pairs = self
            .rooms()
            .saturating_mul(self.room_size)
            .saturating_mul(self.senders_per_room);
        if pairs > PAIRS_MAX {
            return fail(format!(
                "{pairs} pairs of receiver and sender are more than {PAIRS_MAX}: use smaller rooms or fewer senders per room"
            ));
        }
        self.play.check(pairs, self.size).map_err(ScenarioError)
    }

    /// What is sent how often, and how fast connections are opened.
    fn check_rates(&self) -> Result<(), ScenarioError> {
        let states_hz = self.play.states_hz;
        if !(0.0..=RATE_MAX).contains(&states_hz) {
            return fail(format!(
                "states must be 0 to {RATE_MAX} per second, not {states_hz}"
            ));
        }
        if self.play.needs_players() && self.dialect == Dialect::Raw {
            return fail(
                "states, ticks and the like need --dialect v1: in the raw dialect there are messages only",
            );
        }
        let has_some = self.rate_hz > 0.0 || self.rate_hz == 0.0 && self.play.has_states();
        if !(has_some && self.rate_hz <= RATE_MAX) {
            return fail(format!(
                "the rate must be above 0 and at most {RATE_MAX} messages per second, not {}",
                self.rate_hz
            ));
        }
        let min = min_size(self.kind);
        if self.size < min || self.size > SIZE_MAX {
            return fail(format!(
                "a message of this kind must have {min} to {SIZE_MAX} bytes (who sent it, when, and a checksum), not {}",
                self.size
            ));
        }
        if !(self.connect_rate > 0.0 && self.connect_rate <= RATE_MAX) {
            return fail(format!(
                "the connect rate must be above 0 and at most {RATE_MAX} per second, not {}",
                self.connect_rate
            ));
        }
        if self.connect_concurrency == 0 {
            return fail("at least one handshake must be allowed at a time");
        }
        Ok(())
    }

    /// How long each stage is.
    fn check_times(&self) -> Result<(), ScenarioError> {
        if self.duration.is_zero() {
            return fail("the duration must be more than nothing");
        }
        for (name, stage) in [
            ("duration", self.duration),
            ("warm-up", self.warmup),
            ("drain", self.drain),
            ("settle", self.settle),
            ("handshake timeout", self.handshake_timeout),
        ] {
            if stage > STAGE_MAX {
                return fail(format!("the {name} must be at most 24 hours"));
            }
        }
        if self.handshake_timeout.is_zero() {
            return fail("the handshake timeout must be more than nothing");
        }
        if self.interval < Duration::from_millis(10) || self.interval > Duration::from_secs(3600) {
            return fail("the interval of the time line must be 10 ms to 1 hour");
        }
        let intervals = (self.duration + self.drain).as_secs_f64() / self.interval.as_secs_f64();
        if intervals > INTERVALS_MAX {
            return fail(format!(
                "the time line would have more than {INTERVALS_MAX} intervals: make them longer"
            ));
        }
        let messages =
            (self.warmup + self.duration).as_secs_f64() * self.rate_hz.max(self.play.states_hz);
        if messages > MESSAGES_MAX {
            return fail(format!(
                "one sender would send more than {MESSAGES_MAX} messages: lower the rate or the duration"
            ));
        }
        Ok(())
    }

    /// Who misbehaves, and what the run has of its own.
    fn check_clients(&self) -> Result<(), ScenarioError> {
        if !(self.churn >= 0.0 && self.churn <= RATE_MAX) {
            return fail(format!(
                "churn must be 0 to {RATE_MAX} per second, not {}",
                self.churn
            ));
        }
        if !(self.drops >= 0.0 && self.drops <= RATE_MAX) {
            return fail(format!(
                "drops must be 0 to {RATE_MAX} per second, not {}",
                self.drops
            ));
        }
        if self.carrier != Carrier::Ws && self.target.is_secure() {
            return fail("clients are carried to ws:// only: give a relay without TLS");
        }
        if self.carrier != Carrier::Ws && !self.source_addresses.is_empty() {
            return fail("clients that are carried have no source addresses: leave them out");
        }
        if self.drops > 0.0 && self.dialect == Dialect::Raw {
            return fail("drops need --dialect v1: in the raw dialect nobody can come back");
        }
        if self.stalling_readers > 0 && self.stall.is_zero() {
            return fail("a stall must take more than no time");
        }
        if self.misbehaving() > 0 && self.misbehaving() >= self.clients {
            return fail(format!(
                "{} misbehaving clients leave no healthy one of {}",
                self.misbehaving(),
                self.clients
            ));
        }
        if self.dialect == Dialect::V1 && self.request.subprotocol.is_some() {
            return fail("the v1 dialect is a subprotocol itself: no other can be asked for");
        }
        if self.threads == 0 || self.threads > 1024 {
            return fail(format!("threads must be 1 to 1024, not {}", self.threads));
        }
        let prefix = self.room_prefix.as_bytes();
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"._~-".contains(b);
        if prefix.is_empty() || prefix.len() > 48 || !prefix.iter().all(allowed) {
            return fail("the room prefix must be 1 to 48 of the characters A-Z a-z 0-9 . _ ~ -");
        }
        Ok(())
    }
}

fn fail(what: impl Into<String>) -> Result<(), ScenarioError> {
    Err(ScenarioError(what.into()))
}

/// What the rooms of no other run begin with: the keys of a [`RandomState`] are the system's.
fn room_prefix() -> String {
    let unique = RandomState::new().build_hasher().finish();
    format!("lg-{unique:016x}")
}

/// One thread for every two cores, at least one: the other half is the server's, when it runs on
/// the same machine.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| threads_on(n.get()))
}

/// What [`default_threads`] is on a machine of so many cores.
pub(crate) fn threads_on(cores: usize) -> usize {
    (cores / 2).max(1)
}

/// A scenario that cannot be run, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario::new(Target::parse("ws://127.0.0.1:1").expect("valid"), 1)
    }

    #[test]
    fn the_default_can_be_run() {
        assert_eq!(scenario().check(), Ok(()));
        assert_eq!(scenario().rooms(), 100);
        assert_eq!(scenario().senders(), 1000);
        assert!((scenario().deliveries_per_second() - 9000.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        type Change = fn(&mut Scenario);
        let changes: [(&str, Change); 33] = [
            ("states", |s| s.play.states_hz = f64::NAN),
            ("dialect", |s| s.play.states_hz = 1.0),
            ("keys", |s| s.play.keys = 0),
            ("client", |s| s.clients = 0),
            ("room size", |s| s.room_size = 0),
            ("room size", |s| s.room_size = ROOM_SIZE_MAX + 1),
            ("rooms", |s| (s.clients, s.room_size) = (ROOMS_MAX + 1, 1)),
            ("senders", |s| s.senders_per_room = 0),
            ("senders", |s| s.senders_per_room = 11),
            ("pairs", |s| {
                (s.clients, s.room_size, s.senders_per_room) = (60_000, 60_000, 60_000);
            }),
            ("rate", |s| s.rate_hz = 0.0),
            ("rate", |s| s.rate_hz = -1.0),
            ("rate", |s| s.rate_hz = f64::NAN),
            ("rate", |s| s.rate_hz = f64::INFINITY),
            ("bytes", |s| s.size = 31),
            ("bytes", |s| (s.size, s.kind) = (63, MessageKind::Text)),
            ("bytes", |s| s.size = SIZE_MAX + 1),
            ("connect rate", |s| s.connect_rate = f64::NAN),
            ("handshake", |s| s.connect_concurrency = 0),
            ("handshake", |s| s.handshake_timeout = Duration::ZERO),
            ("duration", |s| s.duration = Duration::ZERO),
            ("warm-up", |s| s.warmup = Duration::from_secs(90_000)),
            ("interval", |s| s.interval = Duration::from_millis(9)),
            ("interval", |s| {
                (s.interval, s.duration) = (Duration::from_millis(10), STAGE_MAX);
            }),
            ("messages", |s| (s.rate_hz, s.duration) = (1e6, STAGE_MAX)),
            ("churn", |s| s.churn = f64::NAN),
            ("drops", |s| s.drops = f64::NAN),
            ("dialect", |s| s.drops = 1.0),
            ("stall", |s| {
                (s.stalling_readers, s.stall) = (1, Duration::ZERO);
            }),
            ("misbehaving", |s| s.slow_readers = 1000),
            ("threads", |s| s.threads = 0),
            ("prefix", |s| s.room_prefix = "a/b".into()),
            ("subprotocol", |s| {
                (s.dialect, s.request.subprotocol) = (Dialect::V1, Some("x".into()));
            }),
        ];
        for (word, change) in changes {
            let mut scenario = scenario();
            change(&mut scenario);
            let error = scenario.check().expect_err(word).to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn secrets_stay_with_the_host_they_are_for() {
        let mut scenario = scenario();
        let fields = [
            ("Authorization", "Bearer x"),
            ("cookie", "y"),
            ("X-Game", "z"),
        ];
        scenario.request.headers = fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let at = |url: &str| Target::parse(url).expect("valid");
        scenario.redirect(at("ws://127.0.0.1:1/elsewhere"));
        assert_eq!(scenario.request.headers.len(), 3);
        scenario.redirect(at("ws://127.0.0.2:1"));
        assert_eq!(
            scenario.request.headers,
            [("X-Game".to_owned(), "z".to_owned())]
        );
        assert_eq!(scenario.target, at("ws://127.0.0.2:1"));
    }

    #[test]
    fn one_seed_is_not_one_run() {
        let (mut a, b) = (scenario(), scenario());
        assert_eq!(a.seed, b.seed);
        assert_ne!(a.room_of(0), b.room_of(0));
        assert_ne!(a.run_number(), b.run_number());
        let before = (a.room_of(0), a.run_number());
        assert_eq!(before.1, a.clone().run_number());
        a.begin_anew();
        assert_ne!(before, (a.room_of(0), a.run_number()));
        assert!(a.run_number() < 1 << 24);
        assert_eq!(a.check(), Ok(()));
    }

    #[test]
    fn the_last_room_takes_what_is_left() {
        let scenario = Scenario {
            clients: 25,
            room_size: 10,
            senders_per_room: 7,
            rate_hz: 2.0,
            ..scenario()
        };
        assert_eq!(scenario.rooms(), 3);
        assert_eq!(
            [0, 1, 2, 3].map(|room| scenario.members_of(room)),
            [10, 10, 5, 0]
        );
        assert_eq!([0, 1, 2].map(|room| scenario.senders_of(room)), [7, 7, 5]);
        assert_eq!(scenario.senders(), 19);
        let per_second = 2.0 * (2.0 * 7.0 * 9.0 + 5.0 * 4.0);
        assert!((scenario.deliveries_per_second() - per_second).abs() < 1e-9);
    }

    #[test]
    fn each_churner_leaves_about_once_a_second() {
        for (churn, churners) in [(0.0, 0), (0.1, 1), (1.0, 1), (9.5, 10), (5000.0, 500)] {
            let scenario = Scenario {
                churn,
                ..scenario()
            };
            assert_eq!(scenario.churners(), churners, "{churn}");
        }
    }
}
