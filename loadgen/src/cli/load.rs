//! The flags that describe a load, and the scenario they make.
//!
//! It owns what each of these flags means. It must not know output or subcommands.
//!
//! Invariant: a scenario that comes out of here has passed its own check.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, ValueEnum};

use super::request::RequestArgs;
use super::tls::TlsArgs;
use super::values::{
    Addresses, SEED_MAX, SOURCE_ADDRESSES_MAX, parse_addresses, parse_duration, parse_hertz,
    parse_interval, parse_number, parse_per_second, parse_seed, parse_size, parse_ticks,
    parse_whole,
};
use crate::exit::Failure;
use crate::play::{Groups, Play};
use crate::scenario::{Carrier, Dialect, MessageKind, Polling, Scenario, Schedule};
use crate::target::Target;

/// What is put on the server.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Relay to load, ws:// or wss://; a room's name replaces {room}, or goes behind the path
    #[arg(
        long,
        env = "LOADGEN_URL",
        default_value = "ws://127.0.0.1:7777",
        help_heading = "Target"
    )]
    pub url: String,
    /// How the relay is spoken to: raw fans each message out unchanged to the rest of the room, v1
    /// is roomcast.v1, where each message is an event to the others
    #[arg(
        long,
        alias = "profile",
        env = "LOADGEN_DIALECT",
        default_value = "raw",
        help_heading = "Target"
    )]
    pub dialect: DialectArg,
    /// How clients reach the relay: by a WebSocket, or without one, as docs/HTTP.md says (ws:// only). All is checked alike; latency
    /// has two hops within the generator more, one in each direction
    #[arg(
        long,
        env = "LOADGEN_CARRIER",
        default_value = "ws",
        help_heading = "Target"
    )]
    pub carrier: CarrierArg,
    /// Process id of the server, for its CPU and memory [default: who listens at a loopback url]
    #[arg(
        long,
        env = "LOADGEN_SERVER_PID",
        value_name = "PID",
        help_heading = "Target", value_parser = parse_whole::<u32>)]
    pub server_pid: Option<u32>,
    /// The upgrade request.
    #[command(flatten)]
    pub request: RequestArgs,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Clients in all
    #[arg(
        long,
        short = 'c',
        env = "LOADGEN_CLIENTS",
        default_value_t = 1_000,
        help_heading = "Load", value_parser = parse_whole::<usize>)]
    pub clients: usize,
    /// Clients in each room [default: 10]
    #[arg(
        long,
        conflicts_with = "rooms",
        env = "LOADGEN_ROOM_SIZE",
        value_name = "CLIENTS",
        help_heading = "Load", value_parser = parse_whole::<usize>)]
    pub room_size: Option<usize>,
    /// Rooms that the clients are spread over, instead of --room-size
    #[arg(
        long,
        env = "LOADGEN_ROOMS",
        value_name = "ROOMS",
        help_heading = "Load", value_parser = parse_whole::<usize>)]
    pub rooms: Option<usize>,
    /// How many of each room send; the others only listen [default: all]
    #[arg(
        long,
        env = "LOADGEN_SENDERS_PER_ROOM",
        value_name = "CLIENTS",
        help_heading = "Load", value_parser = parse_whole::<usize>)]
    pub senders_per_room: Option<usize>,
    /// Messages per second of each sender, which are events with --dialect v1 [default: 1, or none with --states]
    #[arg(
        long,
        short = 'r',
        visible_alias = "events",
        env = "LOADGEN_RATE",
        value_name = "HZ",
        help_heading = "Load", value_parser = parse_hertz)]
    pub rate: Option<f64>,
    /// Values of its keys that each sender sets per second beside, one key after the other: of each only the newest has to
    /// arrive, and what a newer one took the place of is missing only as far as the relay says so. Needs --dialect v1
    #[arg(
        long,
        env = "LOADGEN_STATES",
        value_name = "HZ",
        default_value_t = 0.0,
        help_heading = "Load", value_parser = parse_hertz)]
    pub states: f64,
    /// Keys of each sender
    #[arg(
        long,
        env = "LOADGEN_KEYS",
        value_name = "KEYS",
        default_value_t = 1,
        help_heading = "Load", value_parser = parse_whole::<u32>)]
    pub keys: u32,
    /// Ticks per second of each room, on which leaves what it has gathered; players send once in each, shortly before it.
    /// Needs --dialect v1 [default: none]
    #[arg(
        long,
        env = "LOADGEN_TICK",
        value_name = "HZ",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Load", value_parser = parse_ticks)]
    pub tick: u32,
    /// Interest groups that players speak to instead of to all others: disjoint:30, each in one of so many; or grid, each in
    /// the nine around its place, of which it speaks to one, and sees about 30. Needs --dialect v1
    #[arg(
        long,
        env = "LOADGEN_GROUPS",
        value_name = "KIND",
        default_value_t = Groups::None,
        help_heading = "Load", value_parser = Groups::from_str)]
    pub groups: Groups,
    /// Payload of a message, in bytes or with a unit such as 4KiB (4096) or 4kB (4000)
    #[arg(long, short = 's', env = "LOADGEN_SIZE", value_name = "BYTES", default_value = "64", value_parser = parse_size, help_heading = "Load")]
    pub size: usize,
    /// All senders send at the same instant, instead of spread over the period
    #[arg(long, env = "LOADGEN_BURST", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "Load")]
    pub burst: bool,
    /// Text messages instead of binary ones
    #[arg(long, env = "LOADGEN_TEXT", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "Load")]
    pub text: bool,

    /// How long to measure: 15, 500ms, 2m
    #[arg(long, short = 'd', env = "LOADGEN_DURATION", value_name = "TIME", default_value = "15s", value_parser = parse_duration, help_heading = "Time")]
    pub duration: Duration,
    /// Traffic before measuring begins
    #[arg(long, env = "LOADGEN_WARMUP", value_name = "TIME", default_value = "2s", value_parser = parse_duration, help_heading = "Time")]
    pub warmup: Duration,
    /// Silence after the last join, at whose end the server's idle memory is read
    #[arg(long, env = "LOADGEN_SETTLE", value_name = "TIME", default_value = "1s", value_parser = parse_duration, help_heading = "Time")]
    pub settle: Duration,
    /// How long to wait for stragglers at most
    #[arg(long, env = "LOADGEN_DRAIN", value_name = "TIME", default_value = "5s", value_parser = parse_duration, help_heading = "Time")]
    pub drain: Duration,
    /// Resolution of the time line (report.json, .hlog, .svg): with 100ms, the least, a stall of
    /// 300 ms is seen as one
    #[arg(long, env = "LOADGEN_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = parse_interval, help_heading = "Time")]
    pub interval: Duration,
    /// Connections opened per second
    #[arg(
        long,
        env = "LOADGEN_CONNECT_RATE",
        value_name = "HZ",
        default_value_t = 2_000.0,
        help_heading = "Time", value_parser = parse_number)]
    pub connect_rate: f64,
    /// How long a client may take to join
    #[arg(long, env = "LOADGEN_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse_duration, help_heading = "Time")]
    pub handshake_timeout: Duration,

    /// Clients that leave and come back, per second
    #[arg(
        long,
        env = "LOADGEN_CHURN",
        value_name = "HZ",
        default_value_t = 0.0,
        help_heading = "Misbehaviour (counted apart)", value_parser = parse_number)]
    pub churn: f64,
    /// Players whose connection is cut, per second, as 5 or 5/s: each comes back within about a
    /// second, and no event may be missing or come twice. Needs --dialect v1
    #[arg(
        long,
        env = "LOADGEN_DROPS",
        value_name = "HZ",
        default_value_t = 0.0,
        help_heading = "Misbehaviour (counted apart)", value_parser = parse_per_second)]
    pub drops: f64,
    /// Hosts of rooms whose connection is cut, per second, as 1 or 1/s: each comes back as another player, and host.change is
    /// how long it takes until its successor has snapshot and tail. The rooms have no --host-grace. Needs --dialect v1
    #[arg(
        long,
        env = "LOADGEN_HOST_KILLS",
        value_name = "HZ",
        default_value_t = 0.0,
        help_heading = "Misbehaviour (counted apart)", value_parser = parse_per_second)]
    pub host_kills: f64,
    /// Clients that stop reading; with --dialect v1 they come back when the relay ends them
    #[arg(
        long,
        env = "LOADGEN_SLOW_READERS",
        value_name = "CLIENTS",
        default_value_t = 0,
        help_heading = "Misbehaviour (counted apart)", value_parser = parse_whole::<usize>)]
    pub slow_readers: usize,
    /// Clients that stop reading for a while, again and again
    #[arg(
        long,
        env = "LOADGEN_STALLING_READERS",
        value_name = "CLIENTS",
        default_value_t = 0,
        help_heading = "Misbehaviour (counted apart)", value_parser = parse_whole::<usize>)]
    pub stalling_readers: usize,
    /// How long those do not read at a time
    #[arg(long, env = "LOADGEN_STALL", value_name = "TIME", default_value = "500ms", value_parser = parse_duration, help_heading = "Misbehaviour (counted apart)")]
    pub stall: Duration,

    /// Threads that drive the clients [default: half of the cores]
    #[arg(long, env = "LOADGEN_THREADS", help_heading = "Generator", value_parser = parse_whole::<usize>)]
    pub threads: Option<usize>,
    /// Poll without sleeping, so that neither the generator's waking nor what the server pays for
    /// it is in the figures; each thread takes a core of its own, beside the server's
    #[arg(long, env = "LOADGEN_SPIN", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "Generator")]
    pub spin: bool,
    /// Address to connect from, or a range such as 127.0.0.2-127.0.0.9; repeatable
    #[arg(long, env = "LOADGEN_SOURCE_ADDRESS", value_name = "ADDRESS", value_delimiter = ',', value_parser = parse_addresses, help_heading = "Generator")]
    pub source_address: Vec<Addresses>,
    /// Seed of schedule and content [default: another one each time]; the names of rooms are new in
    /// every run
    #[arg(long, env = "LOADGEN_SEED", help_heading = "Generator", value_parser = parse_seed)]
    pub seed: Option<u64>,
}

/// How the relay is spoken to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DialectArg {
    /// Each message goes unchanged to all others in the room.
    Raw,
    /// Players, events, and sessions that outlive their connections.
    V1,
}

/// How clients reach the relay.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CarrierArg {
    /// By a WebSocket.
    Ws,
    /// By requests, each of which waits for what comes next.
    Poll,
    /// By one that is answered with all that comes.
    Stream,
    /// By one that is answered with events, as an EventSource asks.
    Events,
}

impl LoadArgs {
    /// The scenario that is described.
    ///
    /// # Errors
    /// One line and exit code 2 for the first thing that cannot be run.
    pub fn scenario(&self) -> Result<Scenario, Failure> {
        let target =
            Target::parse(&self.url).map_err(|error| Failure::usage(format!("--url: {error}")))?;
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..=SEED_MAX));
        let room_size = self.room_size_of_each()?;
        let mut scenario = Scenario::new(target, seed);
        scenario.dialect = match self.dialect {
            DialectArg::Raw => Dialect::Raw,
            DialectArg::V1 => Dialect::V1,
        };
        scenario.carrier = match self.carrier {
            CarrierArg::Ws => Carrier::Ws,
            CarrierArg::Poll => Carrier::Poll,
            CarrierArg::Stream => Carrier::Stream,
            CarrierArg::Events => Carrier::Events,
        };
        scenario.tls = self.tls.tls();
        scenario.request = self.request.request();
        scenario.clients = self.clients;
        scenario.room_size = room_size;
        scenario.senders_per_room = self.senders_per_room.unwrap_or(room_size);
        scenario.play = Play {
            states_hz: self.states,
            keys: self.keys,
            tick_hz: self.tick,
            host_kills: self.host_kills,
            groups: self.groups,
        };
        let unsaid = if scenario.play.has_states() { 0.0 } else { 1.0 };
        scenario.rate_hz = self.rate.unwrap_or(unsaid);
        scenario.size = self.size;
        scenario.schedule = if self.burst {
            Schedule::Burst
        } else {
            Schedule::Even
        };
        scenario.kind = if self.text {
            MessageKind::Text
        } else {
            MessageKind::Binary
        };
        scenario.connect_rate = self.connect_rate;
        scenario.handshake_timeout = self.handshake_timeout;
        scenario.settle = self.settle;
        scenario.warmup = self.warmup;
        scenario.duration = self.duration;
        scenario.drain = self.drain;
        scenario.interval = self.interval;
        scenario.churn = self.churn;
        scenario.drops = self.drops;
        scenario.slow_readers = self.slow_readers;
        scenario.stalling_readers = self.stalling_readers;
        scenario.stall = self.stall;
        if let Some(threads) = self.threads {
            scenario.threads = threads;
        }
        if self.spin {
            scenario.polling = Polling::Spinning;
        }
        scenario.source_addresses = self.source_addresses()?;
        scenario.server_pid = self.server_pid;
        if scenario.clients == 1 {
            return Err(alone("--clients 1"));
        }
        scenario
            .check()
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok(scenario)
    }

    fn room_size_of_each(&self) -> Result<usize, Failure> {
        let Some(rooms) = self.rooms else {
            return match self.room_size.unwrap_or(10) {
                1 => Err(alone("--room-size 1")),
                size => Ok(size),
            };
        };
        if self.clients == 0 {
            return Err(Failure::usage("at least one client is needed"));
        }
        if rooms == 0 {
            return Err(Failure::usage("--rooms must be at least 1"));
        }
        let size = self.clients.div_ceil(rooms);
        if size == 1 && self.clients > 1 {
            return Err(alone(&format!("--rooms {rooms}")));
        }
        let filled = self.clients.div_ceil(size);
        if filled != rooms {
            return Err(Failure::usage(format!(
                "{} clients do not fill {rooms} rooms evenly: rooms of {size} make {filled}; choose --rooms {filled} or another number of --clients",
                self.clients
            )));
        }
        Ok(size)
    }

    fn source_addresses(&self) -> Result<Vec<IpAddr>, Failure> {
        let mut addresses = Vec::new();
        for address in self.source_address.iter().flat_map(|part| &part.0) {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        if addresses.len() > SOURCE_ADDRESSES_MAX {
            return Err(Failure::usage(format!(
                "--source-address names {} addresses; at most {SOURCE_ADDRESSES_MAX} can be used",
                addresses.len()
            )));
        }
        Ok(addresses)
    }
}

/// Who is alone in its room hears nobody and is heard by nobody: there would be nothing to measure.
fn alone(flag: &str) -> Failure {
    Failure::usage(format!(
        "{flag}: nobody would hear it; at least 2 are needed in a room"
    ))
}
