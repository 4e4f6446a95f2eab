//! The command line and the environment, and the scenario they describe.
//!
//! It owns flag names, their help and how values are spelled. It must not know how anything is
//! carried out.
//!
//! Invariant: whatever is wrong with the input becomes one line that says what to do, and exit
//! code 2; what comes out of here is a scenario that passes its own check.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::compare::MaxRegress;
use crate::exit::Failure;
use crate::gate::{self, Check};
use crate::report::metrics;
use crate::report::units::Unit;
use crate::scenario::{MessageKind, Profile, Scenario, Schedule};
use crate::target::Target;

/// Most addresses that `--source-address` may name.
const SOURCE_ADDRESSES_MAX: usize = 4096;

const ABOUT: &str = "Puts a load of WebSocket clients on a relay, times and checks every delivery";

const LONG_ABOUT: &str = "\
Puts a load of WebSocket clients on a relay, times and checks every delivery.

Clients join rooms and send on an open schedule: a message has an intended send time, and latency
counts from it, so a server that stalls cannot hide it. Every delivery is checked: loss, doubles,
order, corruption and messages of other rooms are counted.

Without any flag: 1,000 clients in rooms of 10, each sends 64 B once a second; 2 s of warm-up,
15 s of measuring, against ws://127.0.0.1:7777.";

const EXAMPLES: &str = "\
Examples:
  loadgen --clients 10000
  loadgen --clients 1000 --room-size 100 --rate 4 --burst
  loadgen --url ws://example.org/rooms --rooms 1 --senders-per-room 1 --rate 20 --duration 1m
  loadgen --check 'latency.p99<20ms' --check 'lost==0' --out out/
  loadgen search --clients 500 --check 'latency.p99<10ms' --to 200
  loadgen compare base/report.json new/report.json --max-regress p99=10%

Every flag is also an environment variable: --room-size is LOADGEN_ROOM_SIZE.

Exit codes:
  0  passed     2  unusable input     3  could not connect     4  invalid run     99  a check failed";

/// `loadgen`.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do other than to run once.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether a run is worse than the one before
    Compare(CompareArgs),
    /// Find the highest rate at which every check holds
    Search(Box<SearchArgs>),
    /// Join the reports of several generators that loaded one server together
    Merge(MergeArgs),
    /// Say how many clients this machine allows
    Doctor(DoctorArgs),
}

/// Flags of a single run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// The checks.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is put on the server.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Relay to load; a room's name replaces {room}, or goes behind the path
    #[arg(
        long,
        env = "LOADGEN_URL",
        default_value = "ws://127.0.0.1:7777",
        help_heading = "Target"
    )]
    pub url: String,
    /// How the relay is spoken to: raw fans each message out unchanged to the rest of the room
    #[arg(
        long,
        env = "LOADGEN_PROFILE",
        default_value = "raw",
        help_heading = "Target"
    )]
    pub profile: ProfileArg,
    /// Process id of the server, for its CPU and memory [default: who listens at a loopback url]
    #[arg(
        long,
        env = "LOADGEN_SERVER_PID",
        value_name = "PID",
        help_heading = "Target"
    )]
    pub server_pid: Option<u32>,

    /// Clients in all
    #[arg(
        long,
        short = 'c',
        env = "LOADGEN_CLIENTS",
        default_value_t = 1_000,
        help_heading = "Load"
    )]
    pub clients: usize,
    /// Clients in each room [default: 10]
    #[arg(
        long,
        conflicts_with = "rooms",
        env = "LOADGEN_ROOM_SIZE",
        value_name = "CLIENTS",
        help_heading = "Load"
    )]
    pub room_size: Option<usize>,
    /// Rooms that the clients are spread over, instead of --room-size
    #[arg(
        long,
        env = "LOADGEN_ROOMS",
        value_name = "ROOMS",
        help_heading = "Load"
    )]
    pub rooms: Option<usize>,
    /// How many of each room send; the others only listen [default: all]
    #[arg(
        long,
        env = "LOADGEN_SENDERS_PER_ROOM",
        value_name = "CLIENTS",
        help_heading = "Load"
    )]
    pub senders_per_room: Option<usize>,
    /// Messages per second of each sender
    #[arg(
        long,
        short = 'r',
        env = "LOADGEN_RATE",
        value_name = "HZ",
        default_value_t = 1.0,
        help_heading = "Load"
    )]
    pub rate: f64,
    /// Payload of a message, in bytes or with KiB or MiB
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
    /// Connections opened per second
    #[arg(
        long,
        env = "LOADGEN_CONNECT_RATE",
        value_name = "HZ",
        default_value_t = 2_000.0,
        help_heading = "Time"
    )]
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
        help_heading = "Misbehaviour (counted apart)"
    )]
    pub churn: f64,
    /// Clients that stop reading
    #[arg(
        long,
        env = "LOADGEN_SLOW_READERS",
        value_name = "CLIENTS",
        default_value_t = 0,
        help_heading = "Misbehaviour (counted apart)"
    )]
    pub slow_readers: usize,
    /// Clients that stop reading for a while, again and again
    #[arg(
        long,
        env = "LOADGEN_STALLING_READERS",
        value_name = "CLIENTS",
        default_value_t = 0,
        help_heading = "Misbehaviour (counted apart)"
    )]
    pub stalling_readers: usize,
    /// How long those do not read at a time
    #[arg(long, env = "LOADGEN_STALL", value_name = "TIME", default_value = "500ms", value_parser = parse_duration, help_heading = "Misbehaviour (counted apart)")]
    pub stall: Duration,

    /// Threads that drive the clients [default: half of the cores]
    #[arg(long, env = "LOADGEN_THREADS", help_heading = "Generator")]
    pub threads: Option<usize>,
    /// Address to connect from, or a range such as 127.0.0.2-127.0.0.9; repeatable
    #[arg(long, env = "LOADGEN_SOURCE_ADDRESS", value_name = "ADDRESS", value_delimiter = ',', value_parser = parse_addresses, help_heading = "Generator")]
    pub source_address: Vec<Addresses>,
    /// Seed of everything random [default: another one each time]
    #[arg(long, env = "LOADGEN_SEED", help_heading = "Generator")]
    pub seed: Option<u64>,
}

/// What must hold.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// What must hold, such as 'latency.p99<20ms'; repeatable (the end of --help lists the metrics)
    #[arg(
        long = "check",
        env = "LOADGEN_CHECK",
        value_name = "CHECK",
        value_delimiter = ',',
        help_heading = "Output and checks"
    )]
    pub checks: Vec<Check>,
}

/// What is written where.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Write report.json, .hgrm, .hlog, .svg, summary.md and junit.xml into this directory
    #[arg(
        long,
        env = "LOADGEN_OUT",
        value_name = "DIR",
        help_heading = "Output and checks"
    )]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    /// What goes to the terminal.
    pub terminal: TerminalArgs,
}

/// What goes to the terminal.
#[derive(Debug, Args)]
pub struct TerminalArgs {
    /// Print the report as JSON on stdout instead of the table
    #[arg(long, env = "LOADGEN_JSON", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "Output and checks")]
    pub json: bool,
    /// Print only what went wrong
    #[arg(long, short = 'q', env = "LOADGEN_QUIET", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "Output and checks")]
    pub quiet: bool,
    /// Do not show progress on stderr
    #[arg(long, env = "LOADGEN_NO_PROGRESS", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "Output and checks")]
    pub no_progress: bool,
}

/// Flags of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Report of the run before
    #[arg(value_name = "BASE.json")]
    pub base: PathBuf,
    /// Report of the run in question
    #[arg(value_name = "NEW.json")]
    pub new: PathBuf,
    /// How much worse a metric may become, such as p99=10%; repeatable
    #[arg(
        long,
        env = "LOADGEN_MAX_REGRESS",
        value_name = "METRIC=PERCENT",
        value_delimiter = ','
    )]
    pub max_regress: Vec<MaxRegress>,
}

/// Flags of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// First rate in messages per second of each sender; it doubles until a check fails
    /// [default: --rate]
    #[arg(long, env = "LOADGEN_FROM", value_name = "HZ", help_heading = "Search")]
    pub from: Option<f64>,
    /// Highest rate that is tried
    #[arg(
        long,
        env = "LOADGEN_TO",
        value_name = "HZ",
        default_value_t = 1_000.0,
        help_heading = "Search"
    )]
    pub to: f64,
    /// How often the interval is halved after that
    #[arg(long, env = "LOADGEN_STEPS", value_name = "TIMES", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=20), help_heading = "Search")]
    pub steps: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// The checks.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The terminal.
    #[command(flatten)]
    pub terminal: TerminalArgs,
}

/// Flags of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Reports to join
    #[arg(value_name = "REPORT.json", required = true, num_args = 2..)]
    pub reports: Vec<PathBuf>,
    /// File for the joined report
    #[arg(
        long,
        short = 'o',
        value_name = "FILE",
        help_heading = "Output and checks"
    )]
    pub output: Option<PathBuf>,
    /// The checks.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The output.
    #[command(flatten)]
    pub out: OutputArgs,
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Say what to change for so many clients
    #[arg(long, short = 'c', env = "LOADGEN_CLIENTS", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub clients: Option<u64>,
}

/// How the relay is spoken to.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ProfileArg {
    /// Each message goes unchanged to all others in the room.
    Raw,
}

/// One value of `--source-address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Vec<IpAddr>);

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// What to print and how to exit: `Ok` in it for `--help` and `--version` (on stdout).
    pub fn read(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, Answer> {
        let command = <Self as clap::CommandFactory>::command()
            .after_help(EXAMPLES)
            .after_long_help(format!(
                "{EXAMPLES}\n\nMetrics (where * is min, mean, max or a percentile such as p50, p99.9):\n{}",
                metrics::catalogue()
            ))
            // The rule is told once; a line for each flag would be half of the help.
            .mut_args(|arg| arg.hide_env(true))
            .mut_subcommands(|command| command.mut_args(|arg| arg.hide_env(true)));
        command
            .try_get_matches_from(args)
            .and_then(|matches| <Self as clap::FromArgMatches>::from_arg_matches(&matches))
            .map_err(|error| match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Answer::Text(error.to_string())
                }
                _ => Answer::Failure(Failure::usage(one_line(&error.to_string()))),
            })
    }
}

/// What is said instead of doing something.
#[derive(Debug)]
pub enum Answer {
    /// Help or version, for stdout.
    Text(String),
    /// Unusable input.
    Failure(Failure),
}

/// The lines of clap's message that say something, as one.
fn one_line(message: &str) -> String {
    let said: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .map(|line| {
            line.trim_start_matches("error: ")
                .trim_start_matches("tip: ")
        })
        .collect();
    format!(
        "{} (loadgen --help shows how)",
        said.join("; ").replace(":; ", ": ")
    )
}

impl LoadArgs {
    /// The scenario that is described.
    ///
    /// # Errors
    /// One line and exit code 2 for the first thing that cannot be run.
    pub fn scenario(&self) -> Result<Scenario, Failure> {
        let target =
            Target::parse(&self.url).map_err(|error| Failure::usage(format!("--url: {error}")))?;
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let room_size = self.room_size_of_each()?;
        let mut scenario = Scenario::new(target, seed);
        scenario.profile = match self.profile {
            ProfileArg::Raw => Profile::Raw,
        };
        scenario.clients = self.clients;
        scenario.room_size = room_size;
        scenario.senders_per_room = self.senders_per_room.unwrap_or(room_size);
        scenario.rate_hz = self.rate;
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
        scenario.churn = self.churn;
        scenario.slow_readers = self.slow_readers;
        scenario.stalling_readers = self.stalling_readers;
        scenario.stall = self.stall;
        if let Some(threads) = self.threads {
            scenario.threads = threads;
        }
        scenario.source_addresses = self.source_addresses()?;
        scenario.server_pid = self.server_pid;
        scenario
            .check()
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok(scenario)
    }

    fn room_size_of_each(&self) -> Result<usize, Failure> {
        let Some(rooms) = self.rooms else {
            return Ok(self.room_size.unwrap_or(10));
        };
        if self.clients == 0 {
            return Err(Failure::usage("at least one client is needed"));
        }
        if rooms == 0 {
            return Err(Failure::usage("--rooms must be at least 1"));
        }
        let size = self.clients.div_ceil(rooms);
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

/// `15`, `15s`, `500ms`, `2m`, `1h`; a number alone is seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is not a time; write 15s, 500ms, 2m or 1h");
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

/// `64`, `4KiB`, `1MiB`.
fn parse_size(text: &str) -> Result<usize, String> {
    let amount = gate::parse_amount(text, Unit::Bytes)?;
    if amount.fract() != 0.0 || amount > 1e15 {
        return Err(format!("{text:?} is not a whole number of bytes"));
    }
    Ok(amount as usize)
}

/// One address, or the first and last of a range of IPv4 addresses.
fn parse_addresses(text: &str) -> Result<Addresses, String> {
    let wrong =
        || format!("{text:?} is not an address or a range; write 127.0.0.2 or 127.0.0.2-127.0.0.9");
    let Some((first, last)) = text.split_once('-') else {
        return text
            .trim()
            .parse()
            .map(|address| Addresses(vec![address]))
            .map_err(|_| wrong());
    };
    let first: Ipv4Addr = first.trim().parse().map_err(|_| wrong())?;
    let last: Ipv4Addr = last.trim().parse().map_err(|_| wrong())?;
    let (first, last) = (u32::from(first), u32::from(last));
    if last < first {
        return Err(format!("{text:?} ends before it begins"));
    }
    if (last - first) as usize >= SOURCE_ADDRESSES_MAX {
        return Err(format!(
            "{text:?} has more than {SOURCE_ADDRESSES_MAX} addresses"
        ));
    }
    Ok(Addresses(
        (first..=last)
            .map(|address| Ipv4Addr::from(address).into())
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Cli, Answer> {
        let args = std::iter::once("loadgen").chain(args.iter().copied());
        Cli::read(args.map(Into::into))
    }

    fn scenario(args: &[&str]) -> Result<Scenario, String> {
        match read(args) {
            Ok(cli) => cli.run.load.scenario().map_err(|failure| failure.message),
            Err(Answer::Failure(failure)) => Err(failure.message),
            Err(Answer::Text(text)) => panic!("{text}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_environment_variable() {
        let mut command = <Cli as clap::CommandFactory>::command();
        command.build();
        let subcommands = command.get_subcommands();
        let mut flags = 0;
        for arg in std::iter::once(&command)
            .chain(subcommands)
            .flat_map(|c| c.get_arguments())
        {
            let Some(long) = arg.get_long() else {
                continue;
            };
            if matches!(long, "help" | "version" | "output") {
                continue;
            }
            let name = format!("LOADGEN_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(
                arg.get_env().and_then(|env| env.to_str()),
                Some(name.as_str())
            );
            flags += 1;
        }
        assert!(flags > 50, "{flags}");
    }

    #[test]
    fn ten_thousand_clients_and_nothing_else() {
        let scenario = scenario(&["--clients", "10000"]).unwrap();
        assert_eq!(scenario.clients, 10_000);
        assert_eq!(scenario.rooms(), 1_000);
        assert_eq!(scenario.senders(), 10_000);
        assert_eq!((scenario.rate_hz, scenario.size), (1.0, 64));
        assert_eq!(scenario.duration, Duration::from_secs(15));
        assert_eq!(
            scenario.target.to_string(),
            "ws://127.0.0.1:7777/rooms/{room}"
        );
    }

    #[test]
    fn defaults_of_flags_are_those_of_the_scenario() {
        let ours = scenario(&["--seed", "5"]).unwrap();
        let theirs = Scenario::new(ours.target.clone(), 5);
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn every_flag_arrives() {
        let scenario = scenario(&[
            "--url=ws://[::1]:9000/chat?room={room}",
            "--clients=120",
            "--rooms=6",
            "--senders-per-room=2",
            "--rate=20",
            "--size=1KiB",
            "--burst",
            "--text",
            "--duration=500ms",
            "--warmup=0",
            "--settle=0s",
            "--drain=1m",
            "--connect-rate=100",
            "--handshake-timeout=3s",
            "--churn=2.5",
            "--slow-readers=3",
            "--stalling-readers=4",
            "--stall=1s",
            "--threads=2",
            "--source-address=127.0.0.2-127.0.0.4",
            "--source-address=127.0.0.3,127.0.0.9",
            "--server-pid=42",
            "--seed=9",
            "--profile=raw",
        ])
        .unwrap();
        assert_eq!(scenario.target.host(), "::1");
        assert_eq!(
            (
                scenario.clients,
                scenario.room_size,
                scenario.senders_per_room
            ),
            (120, 20, 2)
        );
        assert_eq!((scenario.rate_hz, scenario.size), (20.0, 1024));
        assert_eq!(
            (scenario.schedule, scenario.kind),
            (Schedule::Burst, MessageKind::Text)
        );
        assert_eq!(scenario.duration, Duration::from_millis(500));
        assert_eq!(
            (scenario.warmup, scenario.settle),
            (Duration::ZERO, Duration::ZERO)
        );
        assert_eq!(scenario.drain, Duration::from_secs(60));
        assert_eq!(scenario.connect_rate, 100.0);
        assert_eq!(scenario.handshake_timeout, Duration::from_secs(3));
        assert_eq!((scenario.churn, scenario.slow_readers), (2.5, 3));
        assert_eq!(
            (scenario.stalling_readers, scenario.stall),
            (4, Duration::from_secs(1))
        );
        assert_eq!(scenario.threads, 2);
        let addresses: Vec<String> = scenario
            .source_addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            addresses,
            ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9"]
        );
        assert_eq!((scenario.server_pid, scenario.seed), (Some(42), 9));
    }

    #[test]
    fn bad_input_is_one_line_that_says_what_to_do() {
        let table: &[(&[&str], &str)] = &[
            (&["--clients", "0"], "at least one client"),
            (&["--clients", "0", "--rooms", "3"], "at least one client"),
            (&["--clients", "ten"], "invalid value 'ten' for '--clients"),
            (&["--clients"], "value is required for '--clients"),
            (&["--cleints", "10"], "'--clients'"),
            (&["run"], "run"),
            (&["--url", "wss://h"], "TLS"),
            (&["--url", "http://h"], "not a WebSocket URL"),
            (&["--url", "ws://h/#room"], "#fragment"),
            (&["--url", "ws://h:99999"], "port"),
            (&["--url", ""], "ws://host:port/path"),
            (&["--size", "31"], "32"),
            (&["--text", "--size", "40"], "64"),
            (&["--size", "1.5"], "whole number"),
            (&["--size", "1GB"], "KiB"),
            (&["--rate", "0"], "rate"),
            (&["--rate", "NaN"], "rate"),
            (&["--duration", "0"], "duration"),
            (&["--duration", "15x"], "15s, 500ms"),
            (&["--duration", "-1"], "-1"),
            (&["--rooms", "3", "--room-size", "4"], "cannot be used with"),
            (&["--rooms", "0"], "at least 1"),
            (&["--rooms", "7", "--clients", "10"], "choose --rooms 5"),
            (&["--room-size", "0"], "room size"),
            (&["--senders-per-room", "11"], "senders per room"),
            (&["--threads", "0"], "threads"),
            (&["--source-address", "localhost"], "127.0.0.2-127.0.0.9"),
            (&["--source-address", "127.0.0.9-127.0.0.2"], "ends before"),
            (
                &["--source-address", "10.0.0.0-10.255.0.0"],
                "more than 4096",
            ),
            (&["--check", "latency.p99<20"], "needs a unit"),
            (&["--check", "latncy.p99<20ms"], "did you mean latency.p99"),
            (&["--profile", "v9"], "raw"),
            (&["--slow-readers", "1000"], "no healthy one"),
            (&["compare", "a.json"], "NEW.json"),
            (&["merge", "a.json"], "2"),
            (&["doctor", "--clients", "0"], "0"),
            (&["search", "--steps", "99"], "99"),
        ];
        for (args, want) in table {
            let message = scenario(args).unwrap_err();
            assert!(message.contains(want), "{args:?}: {message}");
            assert!(!message.contains('\n'), "{args:?}: {message}");
        }
    }

    #[test]
    fn times_and_sizes() {
        for (text, ms) in [
            ("15", 15_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("100us", 0),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
        for bad in ["", "s", "1d", "1e300h", "-5s", "inf"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for (text, bytes) in [
            ("64", 64),
            ("64B", 64),
            ("4KiB", 4_096),
            ("0.5MiB", 524_288),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn help_is_complete() {
        let Err(Answer::Text(help)) = read(&["--help"]) else {
            panic!("--help is an answer");
        };
        for want in [
            "Target",
            "Load",
            "Misbehaviour",
            "Generator",
            "Examples:",
            "Exit codes:",
            "LOADGEN_ROOM_SIZE",
            "latency.*",
            "loss_ratio",
        ] {
            assert!(help.contains(want), "{want}: {help}");
        }
        assert!(matches!(read(&["--version"]), Err(Answer::Text(_))));
        for command in ["compare", "search", "merge", "doctor"] {
            assert!(
                matches!(read(&[command, "--help"]), Err(Answer::Text(_))),
                "{command}"
            );
        }
    }
}
