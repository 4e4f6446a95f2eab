//! The command line and the environment, and the scenario they describe.
//!
//! It owns flag names, their help and how values are spelled. It must not know how anything is
//! carried out.
//!
//! Invariant: whatever is wrong with the input becomes one line that says what to do, and exit
//! code 2; what comes out of here is a scenario that passes its own check.

mod environment;
mod handshakes;
mod load;
mod request;
mod tls;
mod values;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, Parser, Subcommand};

pub use handshakes::HandshakesArgs;
pub use load::{DialectArg, LoadArgs};
pub use request::RequestArgs;
pub use tls::TlsArgs;
pub use values::Addresses;

use environment::Typed;
use values::{parse_clients, parse_number};

use crate::compare::MaxRegress;
use crate::exit::Failure;
use crate::gate::{self, Allowance, Check};
use crate::report::metrics;

const ABOUT: &str = "Puts a load of WebSocket clients on a relay, times and checks every delivery";

const LONG_ABOUT: &str = "\
Puts a load of WebSocket clients on a relay, times and checks every delivery.

Clients join rooms and send on an open schedule: a message has an intended send time, and latency
counts from it, so a server that stalls cannot hide it. Every delivery is checked: loss, doubles,
order, corruption and messages of other rooms are counted, and one of them is enough to fail a run
unless --allow names it.

Without any flag: 1,000 clients in rooms of 10, each sends 64 B once a second; 2 s of warm-up,
15 s of measuring, against ws://127.0.0.1:7777.";

const EXAMPLES: &str = "\
Examples:
  loadgen --clients 10000
  loadgen --clients 1000 --room-size 100 --rate 4 --burst
  loadgen --url ws://example.org/rooms --rooms 1 --senders-per-room 1 --rate 20 --duration 1m
  loadgen --clients 10000 --dialect v1 --drops 5/s --check 'resume.p99<50ms'
  loadgen --dialect v1 --host-kills 10/s --check 'host.change.p99<100ms'
  loadgen --dialect v1 --states 20Hz --events 1Hz --keys 3 --check 'state.age.p99<100ms'
  loadgen --check 'latency.p99<20ms' --allow lost=0.1% --out out/
  loadgen search --clients 500 --check 'latency.p99<10ms' --to 200
  loadgen --clients 10000 --url wss://127.0.0.1:7443 --check 'tls.p99<50ms'
  loadgen handshakes --url wss://127.0.0.1:7443 --no-resume
  loadgen handshakes --url wss://127.0.0.1:7443 --no-resume --rate 2000
  loadgen compare base/report.json new/report.json --max-regress p99=10%
  loadgen compare ws://127.0.0.1:7777 ws://127.0.0.1:7778 --repeat 5 --max-regress p99=10%

Every flag is also an environment variable: --room-size is LOADGEN_ROOM_SIZE. Flags win; an empty
variable is not set.

Times and sizes are those of roomcast: 500ms, 20s, 2m, 1h; 64KiB, 1MiB (steps of 1,024), 64kB, 1MB
(steps of 1,000), in capitals or not. A number alone is seconds or bytes; the bound of a --check on
a time needs its unit.

Exit codes:
  0  passed     2  unusable input or output     3  could not connect     4  the run proves nothing
  5  not measurable now (compare)
  99  failed: the server did what no relay may and nobody has allowed, or a check does not hold";

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
    /// Show two sides, of one run or several, and with --max-regress say whether the second is worse
    Compare(Box<CompareArgs>),
    /// Find the highest rate at which every check holds
    Search(Box<SearchArgs>),
    /// Join the reports of several generators that loaded one server together
    Merge(MergeArgs),
    /// Say how many clients this machine allows
    Doctor(DoctorArgs),
    /// Make TLS handshakes as fast as they go or at a rate, and say how many the server makes
    Handshakes(HandshakesArgs),
    /// Say what a captured message of roomcast.v1 means
    Decode(DecodeArgs),
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

/// What must hold.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// What must hold, such as 'latency.p99<20ms' or short 'p99<20ms'; repeatable (the end of
    /// --help lists the metrics)
    #[arg(
        long = "check",
        env = "LOADGEN_CHECK",
        value_name = "CHECK",
        value_delimiter = ',',
        help_heading = "Output and checks"
    )]
    pub checks: Vec<Check>,
    /// What no relay may do and this one is allowed to, such as lost=0.1% or disconnects=3;
    /// repeatable (the end of --help lists what can be allowed)
    #[arg(
        long = "allow",
        env = "LOADGEN_ALLOW",
        value_name = "NAME=AMOUNT",
        value_delimiter = ',',
        help_heading = "Output and checks"
    )]
    pub allowed: Vec<Allowance>,
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
    /// The side before: a report.json, a directory with several (DIR/1/report.json and so on), or
    /// what is run for it, an address (ws:// or wss://) or with --exec a command
    #[arg(value_name = "BASE")]
    pub base: String,
    /// The side in question: of the same kind, with as many reports, each made beside its like
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Runs of each side, in turns, when they are addresses or commands [default: 5]
    #[arg(long, env = "LOADGEN_REPEAT", value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub repeat: Option<u64>,
    /// BASE and NEW are commands for the shell, each of which runs once and prints its report
    /// (loadgen --json)
    #[arg(long, env = "LOADGEN_EXEC", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub exec: bool,
    /// Keep the reports as DIR/base/1/report.json, DIR/new/1/report.json and so on
    #[arg(long, env = "LOADGEN_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How much worse a metric may become, such as p99=10%; repeatable. Without it the runs are
    /// only shown, and the exit code is 0 however much worse the second is. With several runs it
    /// fails only if the 95 % interval of the paired ratio lies beyond, and passes only if it
    /// lies within; else the exit code is 5: not measurable now
    #[arg(
        long,
        env = "LOADGEN_MAX_REGRESS",
        value_name = "METRIC=PERCENT",
        value_delimiter = ','
    )]
    pub max_regress: Vec<MaxRegress>,
    /// Compare runs that are invalid for this reason alone too, such as generator_saturated (the
    /// codes stand in report.json); repeatable
    #[arg(
        long,
        env = "LOADGEN_ACCEPT",
        value_name = "REASON",
        value_delimiter = ','
    )]
    pub accept: Vec<String>,
    /// Print the comparison as JSON on stdout instead of the table
    #[arg(long, env = "LOADGEN_JSON", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// The load, for addresses.
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Flags of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// First rate in messages per second of each sender; it doubles until a check fails
    /// [default: --rate]
    #[arg(long, env = "LOADGEN_FROM", value_name = "HZ", help_heading = "Search", value_parser = parse_number)]
    pub from: Option<f64>,
    /// Highest rate that is tried
    #[arg(
        long,
        env = "LOADGEN_TO",
        value_name = "HZ",
        default_value_t = 1_000.0,
        help_heading = "Search", value_parser = parse_number)]
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
    #[arg(long, short = 'c', env = "LOADGEN_CLIENTS", value_parser = parse_clients)]
    pub clients: Option<u64>,
}

/// Flags of `decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// One message without its WebSocket header: a file, - for standard input, or the bytes
    /// themselves; in hexadecimal, in base64, or (in a file) as they are
    #[arg(value_name = "MESSAGE")]
    pub message: String,
    /// A client has sent it
    #[arg(long, env = "LOADGEN_UP", conflicts_with = "down", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub up: bool,
    /// A relay has sent it
    #[arg(long, env = "LOADGEN_DOWN", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub down: bool,
}

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// What to print and how to exit: `Ok` in it for `--help` and `--version` (on stdout).
    pub fn read(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, Answer> {
        let args: Vec<_> = args.into_iter().collect();
        let typed = Typed(&args);
        let metrics = format!(
            "Metrics (where * is min, mean, max or a percentile such as p50, p99.9; p99 alone is latency.p99):\n{}\n\
             What fails every run unless --allow names it (a share is of all there were):\n{}",
            metrics::catalogue(),
            gate::catalogue()
        );
        // The rule is told once; a line for each flag would be half of the help.
        let known = |arg: Arg| typed.overrule(arg).hide_env(true);
        let mut command = <Self as clap::CommandFactory>::command()
            .after_help(EXAMPLES)
            .after_long_help(format!("{EXAMPLES}\n\n{metrics}"))
            .mut_args(known)
            .mut_subcommands(|command| command.mut_args(known));
        for name in ["search", "merge", "compare"] {
            command = command.mut_subcommand(name, |c| c.after_long_help(metrics.clone()));
        }
        command
            .try_get_matches_from(&args)
            .and_then(|matches| <Self as clap::FromArgMatches>::from_arg_matches(&matches))
            .map_err(|error| match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Answer::Text(error.to_string())
                }
                _ => Answer::Failure(Failure::usage(one_line(&error.to_string(), &typed))),
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

/// The lines of clap's message that say something, as one, with the variables it is about.
fn one_line(message: &str, typed: &Typed<'_>) -> String {
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
    let mut said = said.join("; ").replace(":; ", ": ");
    let variables = typed.blamed(&said);
    if !variables.is_empty() {
        said.push_str(&format!(" (from {})", variables.join(" and ")));
    }
    if !said.contains("loadgen --help") {
        said.push_str(" (loadgen --help shows how)");
    }
    said
}

#[cfg(test)]
mod tests;
