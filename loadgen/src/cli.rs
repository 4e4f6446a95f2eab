//! The command line and the environment, and the scenario they describe.
//!
//! It owns flag names, their help and how values are spelled. It must not know how anything is
//! carried out.
//!
//! Invariant: whatever is wrong with the input becomes one line that says what to do, and exit
//! code 2; what comes out of here is a scenario that passes its own check.

mod handshakes;
mod load;
mod tls;
mod values;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand};

pub use handshakes::HandshakesArgs;
pub use load::{LoadArgs, ProfileArg};
pub use tls::TlsArgs;
pub use values::Addresses;

use crate::compare::MaxRegress;
use crate::exit::Failure;
use crate::gate::Check;
use crate::report::metrics;

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
  loadgen --clients 10000 --url wss://127.0.0.1:7443 --check 'tls.p99<50ms'
  loadgen handshakes --url wss://127.0.0.1:7443 --no-resume
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
    /// Make TLS handshakes as fast as they go, and say how many the server makes
    Handshakes(HandshakesArgs),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::{MessageKind, Scenario, Schedule, Trust};

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
    fn trust_is_what_was_asked_for() {
        for (args, trust, resume) in [
            (&[][..], Trust::System, true),
            (&["--insecure"], Trust::Anyone, true),
            (&["--ca", "x"], Trust::Authorities("x".into()), true),
            (&["--no-resume"], Trust::System, false),
        ] {
            let tls = scenario(&[&["--url", "wss://h"], args].concat())
                .unwrap()
                .tls;
            assert_eq!((tls.trust, tls.resume), (trust, resume), "{args:?}");
        }
    }

    #[test]
    fn every_flag_arrives() {
        let scenario = scenario(&[
            "--url=ws://[::1]:9000/chat?room={room}",
            "--ca=ca.pem",
            "--no-resume",
            "--interval=250ms",
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
        assert_eq!(scenario.tls.trust, Trust::Authorities("ca.pem".into()));
        assert!(!scenario.tls.resume);
        assert_eq!(scenario.interval, Duration::from_millis(250));
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
            (&["--url", "wss://h/#room"], "#fragment"),
            (&["--ca", "ca.pem", "--insecure"], "cannot be used with"),
            (&["--interval", "99ms"], "100 ms"),
            (&["--interval", "2h"], "1 hour"),
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
            (&["handshakes", "--concurrency", "0"], "0"),
            (
                &["handshakes", "--ca", "x", "--insecure"],
                "cannot be used with",
            ),
        ];
        for (args, want) in table {
            let message = scenario(args).unwrap_err();
            assert!(message.contains(want), "{args:?}: {message}");
            assert!(!message.contains('\n'), "{args:?}: {message}");
        }
    }

    #[test]
    fn handshakes_need_tls_and_time() {
        let plan = |args: &[&str]| match read(&[&["handshakes"], args].concat()) {
            Ok(Cli {
                command: Some(Command::Handshakes(args)),
                ..
            }) => args.plan().map_err(|failure| failure.message),
            other => panic!("{other:?}"),
        };
        let default = plan(&[]).unwrap();
        assert_eq!((default.concurrency, default.duration.as_secs()), (64, 10));
        assert!(default.tls.resume);
        let all = [
            "--url=wss://h:1",
            "--no-resume",
            "--server-pid=4",
            "--threads=3",
        ];
        let all = plan(&all).unwrap();
        assert_eq!(
            (all.target.port(), all.threads, all.server_pid),
            (1, 3, Some(4))
        );
        assert!(!all.tls.resume);
        for (args, want) in [
            ("--url=ws://h", "wss://"),
            ("--url=wss://h/#x", "#fragment"),
            ("--duration=0", "--duration"),
            ("--handshake-timeout=0", "--handshake-timeout"),
        ] {
            let message = plan(&[args]).unwrap_err();
            assert!(message.contains(want), "{args}: {message}");
        }
    }

    #[test]
    fn help_is_complete() {
        let Err(Answer::Text(help)) = read(&["--help"]) else {
            panic!("--help is an answer");
        };
        for want in [
            "Target",
            "TLS (wss://)",
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
        for command in ["compare", "search", "merge", "doctor", "handshakes"] {
            assert!(
                matches!(read(&[command, "--help"]), Err(Answer::Text(_))),
                "{command}"
            );
        }
    }
}
