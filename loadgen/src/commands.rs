//! What each command does, from parsed arguments to an exit code.
//!
//! It owns the order of steps and what goes to stdout and stderr. It must not know how a run, a
//! report or a comparison works inside.
//!
//! Invariant: stdout carries results only (a table, or JSON alone), stderr everything else; a
//! result that was measured is never lost because something after it failed.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::{
    Cli, Command, CompareArgs, DecodeArgs, DoctorArgs, HandshakesArgs, MergeArgs, OutputArgs,
    RunArgs, SearchArgs,
};
use crate::compare::Run;
use crate::decode::{self, Way};
use crate::doctor::{self, Machine};
use crate::engine::{self, EngineError};
use crate::exit::{Exit, Failure};
use crate::gate;
use crate::report::time::rfc3339;
use crate::report::{CaseKind, CaseStatus, Report, files, table};
use crate::runs::Side;
use crate::scenario::{RATE_MAX, Scenario};
use crate::search::{self, Plan, Probe};
use crate::target::Target;
use crate::{compare, merge, progress, runs, signals};

/// How the server of this project is started; said when nothing listens.
const START: &str = "start the server with `cargo run --release --bin roomcast`";
/// The same for wss.
const START_TLS: &str = "start the server with `cargo run --release --bin roomcast -- --dev-tls`";

/// Carries out a command line.
///
/// # Errors
/// One line for stderr and how to exit.
pub fn execute(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        None => run(&cli.run),
        Some(Command::Compare(args)) => compare_sides(args),
        Some(Command::Search(args)) => search_rate(args),
        Some(Command::Merge(args)) => merge_reports(args),
        Some(Command::Doctor(args)) => diagnose(args),
        Some(Command::Handshakes(args)) => handshakes(args),
        Some(Command::Decode(args)) => decode_message(args),
    }
}

fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let scenario = args.load.scenario()?;
    if let Some(directory) = &args.output.out {
        files::prepare(directory)?;
    }
    if let Some(doubt) = engine::limits::doubt_server(scenario.server_pid, &scenario.target) {
        say(&format!("loadgen: warning: {doubt}"));
    }
    let stop = stop_on_signal()?;
    let terminal = &args.output.terminal;
    let mut report = measure(&scenario, !terminal.quiet && !terminal.no_progress, &stop)?;
    let exit = gate::judge_all(&args.gate.checks, &args.gate.allowed, &mut report);
    told(exit, show(&report, &args.output))
}

/// How to exit when the result may have been told in part only: a verdict that fails the run
/// stands, a good one that nobody could read does not.
fn told(exit: Exit, result: Result<(), Failure>) -> Result<Exit, Failure> {
    match result {
        Ok(()) => Ok(exit),
        Err(failure) if exit == Exit::Passed => Err(failure),
        Err(failure) => {
            say(&format!("loadgen: {failure}"));
            Ok(exit)
        }
    }
}

/// Runs once, without judging.
fn measure(scenario: &Scenario, progress: bool, stop: &AtomicBool) -> Result<Report, Failure> {
    let progress = progress::choose(progress);
    let outcome = engine::run(scenario, progress.as_ref(), stop);
    // A bar must be gone before anything else is written.
    drop(progress);
    Ok(Report::from(&outcome.map_err(explain)?))
}

fn explain(error: EngineError) -> Failure {
    let message = error.to_string();
    match error {
        EngineError::Scenario(_) | EngineError::Trust(_) => Failure::usage(message),
        EngineError::Descriptors { .. } => {
            Failure::usage(format!("{message}; `loadgen doctor` shows every limit"))
        }
        EngineError::NothingListens { address, target } if address.ip().is_loopback() => {
            let start = if target.is_secure() { START_TLS } else { START };
            Failure::could_not_connect(format!("{message}: {start}, or give another --url"))
        }
        EngineError::NothingListens { .. } => Failure::could_not_connect(format!(
            "{message}: check host and port, and that the server runs"
        )),
        EngineError::Resolve { .. } => {
            Failure::could_not_connect(format!("{message}: check the host in --url"))
        }
        EngineError::FirstClient { .. } | EngineError::Redirected { .. } => {
            Failure::could_not_connect(message)
        }
        EngineError::Stopped | EngineError::System { .. } | EngineError::Thread => {
            Failure::invalid_run(message)
        }
    }
}

/// Prints a judged report and writes its files, these also if nothing can be printed.
fn show(report: &Report, output: &OutputArgs) -> Result<(), Failure> {
    let terminal = &output.terminal;
    let printed = if terminal.json {
        print(&report.to_json())
    } else if !terminal.quiet {
        print(&table::render(report))
    } else {
        Ok(())
    };
    if terminal.json || terminal.quiet {
        complain(report);
    }
    if let Some(directory) = &output.out {
        let path = directory.join(files::REPORT);
        // What is there and is no report is replaced without a date.
        let replaced = Report::read(&path).ok();
        files::write_all(report, directory)?;
        if !terminal.quiet && !terminal.no_progress {
            let replaced = replaced.map_or(String::new(), |earlier| {
                let began = rfc3339(earlier.started_at_unix_ms);
                format!(" (replaced the report of {began})")
            });
            say(&format!("wrote {}{replaced}", path.display()));
        }
    }
    printed
}

/// Says on stderr what went wrong, for who does not see the table.
fn complain(report: &Report) {
    for reason in &report.validity.reasons {
        say(&format!("loadgen: invalid run: {}", reason.message));
    }
    let verdict = report.verdict.iter();
    for case in verdict.flat_map(|verdict| verdict.worth_telling()) {
        let what = match (case.kind, case.status) {
            (_, CaseStatus::Passed) => continue,
            (CaseKind::Check, CaseStatus::Failed) => "check failed: ",
            (CaseKind::Check, CaseStatus::Open) => "check ",
            (_, CaseStatus::Failed) => "failed: ",
            (_, CaseStatus::Open) => "",
        };
        say(&format!("loadgen: {what}{}", case.message));
    }
}

fn compare_sides(args: &CompareArgs) -> Result<Exit, Failure> {
    let address = |side: &str| side.contains("://");
    let made = args.exec || address(&args.base) || address(&args.new);
    let [base, new] = if made {
        let rounds = args.repeat.unwrap_or(5);
        let runs = if args.exec {
            let command = |side| match side {
                Side::Base => &args.base,
                Side::New => &args.new,
            };
            runs::in_turns(rounds, |side, _| runs::by_command(command(side)))
        } else {
            load_in_turns(args, rounds)
        }?;
        if let Some(directory) = &args.out {
            keep(directory, &runs)?;
        }
        runs
    } else if args.repeat.is_some() || args.out.is_some() {
        return Err(Failure::usage(
            "--repeat and --out are about runs to be made: give two addresses, or with --exec two commands",
        ));
    } else {
        [
            runs::read(Path::new(&args.base))?,
            runs::read(Path::new(&args.new))?,
        ]
    };
    let comparison = compare::compare(&base, &new, &args.max_regress, &args.accept)?;
    let text = if args.json {
        comparison.to_json()
    } else {
        comparison.render()
    };
    told(comparison.verdict(), print(&text))
}

/// Puts the same load on two addresses, again and again.
fn load_in_turns(args: &CompareArgs, rounds: u64) -> Result<[Vec<Run>; 2], Failure> {
    let scenario = args.load.scenario()?;
    if scenario.server_pid.is_some() {
        return Err(Failure::usage(
            "--server-pid is one process, and two are compared; those that listen at a loopback address are found without",
        ));
    }
    let target = |name: &str, url: &str| {
        Target::parse(url).map_err(|error| Failure::usage(format!("{name}: {error}")))
    };
    let (base, new) = (target("BASE", &args.base)?, target("NEW", &args.new)?);
    let stop = stop_on_signal()?;
    runs::in_turns(rounds, |side, round| {
        let target = match side {
            Side::Base => &base,
            Side::New => &new,
        };
        // Rooms of its own, as in a search.
        let seed = scenario.seed.wrapping_add(round);
        let mut scenario = scenario.clone();
        scenario.room_prefix = Scenario::new(target.clone(), seed).room_prefix;
        scenario.seed = seed;
        scenario.target = target.clone();
        say(&format!("{} {round} of {rounds}: {target}", side.name()));
        let mut report = measure(&scenario, false, &stop)?;
        gate::judge_all(&[], &[], &mut report);
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::invalid_run(
                "the comparison was stopped before its end",
            ));
        }
        Ok(report)
    })
}

/// Writes the report of every run.
fn keep(directory: &Path, sides: &[Vec<Run>; 2]) -> Result<(), Failure> {
    for (side, runs) in [Side::Base, Side::New].into_iter().zip(sides) {
        for (index, (_, report)) in runs.iter().enumerate() {
            let directory = directory.join(side.name()).join((index + 1).to_string());
            files::prepare(&directory)?;
            files::write(&directory.join(files::REPORT), &report.to_json())?;
        }
    }
    Ok(())
}

fn merge_reports(args: &MergeArgs) -> Result<Exit, Failure> {
    if let Some(directory) = &args.out.out {
        files::prepare(directory)?;
    }
    let parts = args
        .reports
        .iter()
        .map(|path| Ok((shown(path), Report::read(path)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut whole = merge::merge(&parts)?;
    let exit = gate::judge_all(&args.gate.checks, &args.gate.allowed, &mut whole);
    let written = match &args.output {
        Some(path) => files::write(path, &whole.to_json()),
        None => Ok(()),
    };
    let shown = show(&whole, &args.out);
    told(exit, written.and(shown))
}

fn search_rate(args: &SearchArgs) -> Result<Exit, Failure> {
    if args.gate.checks.is_empty() {
        return Err(Failure::usage(
            "search needs at least one --check, for example --check 'latency.p99<20ms'",
        ));
    }
    let scenario = args.load.scenario()?;
    let plan = Plan {
        from: args.from.unwrap_or(scenario.rate_hz),
        to: args.to,
        steps: args.steps,
    };
    if !(plan.from > 0.0 && plan.from <= plan.to && plan.to <= RATE_MAX) {
        return Err(Failure::usage(format!(
            "the search goes from {} to {} Hz; choose 0 < --from <= --to <= {RATE_MAX}",
            plan.from, plan.to
        )));
    }
    let stop = stop_on_signal()?;
    let quiet = args.terminal.quiet;
    let mut probes = 0_u64;
    let found = search::search(plan, |rate| {
        // Rooms of its own: nothing that is late from the probe before can leak into this one.
        let mut scenario = scenario.clone();
        scenario.rate_hz = rate;
        scenario.begin_anew();
        probes += 1;
        let probe = match measure(&scenario, !quiet && !args.terminal.no_progress, &stop) {
            Ok(mut report) => {
                gate::judge_all(&args.gate.checks, &args.gate.allowed, &mut report);
                Probe::of(&report)
            }
            // A server that no longer answers after it was loaded has failed the probe before.
            Err(failure) if probes > 1 && !stop.load(Ordering::Relaxed) => {
                Probe::without_run(rate, failure.message)
            }
            Err(failure) => return Err(failure),
        };
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::invalid_run(
                "the search was stopped before its end",
            ));
        }
        if !quiet && !args.terminal.no_progress {
            say(&probe.describe());
        }
        Ok(probe)
    })?;
    let printed = if args.terminal.json {
        print(&found.to_json())
    } else {
        print(&found.render())
    };
    told(found.exit(), printed)
}

fn diagnose(args: &DoctorArgs) -> Result<Exit, Failure> {
    let findings = Machine::read(Path::new("/proc")).assess(args.clients);
    let exit = if doctor::suffices(&findings) {
        Exit::Passed
    } else {
        Exit::CheckFailed
    };
    told(exit, print(&doctor::render(&findings, args.clients)))
}

fn handshakes(args: &HandshakesArgs) -> Result<Exit, Failure> {
    let plan = args.plan()?;
    let stop = stop_on_signal()?;
    let measured = engine::handshakes(&plan, &stop).map_err(explain)?;
    let printed = if args.json {
        print(&measured.to_json(&plan))
    } else {
        print(&measured.render(&plan))
    };
    told(measured.exit(&plan), printed)
}

fn decode_message(args: &DecodeArgs) -> Result<Exit, Failure> {
    let wrong = |error| Failure::usage(format!("{}: {error}", args.message));
    // What could be both is a file: a name of letters is base64, too.
    let is_file = Path::new(&args.message).is_file();
    let spelled = decode::spelled(&args.message).filter(|_| !is_file);
    let message = if args.message == "-" {
        let mut content = Vec::new();
        io::stdin().read_to_end(&mut content).map_err(wrong)?;
        decode::captured(&content)
    } else if let Some(message) = spelled {
        message
    } else {
        decode::captured(&std::fs::read(&args.message).map_err(wrong)?)
    };
    let way = match (args.up, args.down) {
        (true, _) => Some(Way::Up),
        (_, true) => Some(Way::Down),
        _ => None,
    };
    let told_of = decode::told(&message, way);
    let exit = if told_of.whole {
        Exit::Passed
    } else {
        Exit::Usage
    };
    told(exit, print(&told_of.text))
}

fn stop_on_signal() -> Result<Arc<AtomicBool>, Failure> {
    signals::stop_on_signal()
        .map_err(|error| Failure::usage(format!("cannot listen for signals: {error}")))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Writes a result to stdout. Who closed it early (`| head`) has seen enough; any other failure,
/// such as a full disk behind it, loses the result.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::usage(format!(
            "cannot write the result to stdout: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Writes a line to stderr; there is nowhere to complain if that fails.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes help or version to stdout.
///
/// # Errors
/// One line and exit code 2 if stdout takes nothing.
pub fn answer(text: &str) -> Result<Exit, Failure> {
    print(text).map(|()| Exit::Passed)
}
