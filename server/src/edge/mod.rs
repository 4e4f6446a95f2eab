//! What an operator touches: flags, logs, descriptors, signals, start and end of the process.
//!
//! Owns: everything that is said to a person. Must not know: connections. Invariant: whatever is wrong at start-up is one
//! clear line on standard error that says what to do, and an exit code other than 0.

mod access;
mod activation;
mod admin_command;
mod admin_flags;
mod agreement;
mod check;
mod config;
mod descriptors;
mod doors;
mod environment;
mod log_flags;
mod logs;
mod memory;
mod minute;
mod signals;
mod takeover;
mod tickets;
pub mod tls;
mod units;
mod v1_flags;
mod watchdog;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use std::{env, thread};

use clap::CommandFactory;
use parking_lot::Mutex;
use thiserror::Error;

use self::access::AccessFlags;
use self::activation::Passed;
pub use self::config::{Command, Config};
use self::descriptors::Others;
use self::doors::{Door, Inheritance, Row};
use self::minute::Minute;
use self::signals::{Goodbye, Reload};
use self::takeover::{Post, Predecessor};
use self::tickets::Keys;
use self::tls::{Certificates, NoTls, Tls, Wanted};
use self::watchdog::Watchdog;
use crate::control::{Control, Health, Process};
use crate::limits::Limits;
use crate::reactor::{Address, Published, Reactor};
use crate::shard::Common;
use crate::transport::Port;

/// Exit code for flags and environment that can't be used.
const USAGE: u8 = 2;
/// Exit code for a start that failed: port in use, no descriptors.
const START_FAILED: u8 = 1;

/// Why the process could not start or go on, in words for the operator.
#[derive(Debug, Error)]
enum Failure {
    #[error("can't listen on {address}: {source}{}", hint(.source, .address, .flag))]
    Listen {
        flag: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error(
        "can't start a reactor: {0} (raise the limit of open files with ulimit -n, or lower --reactors)"
    )]
    Start(io::Error),
    #[error("a reactor failed: {0} (this is a fault of roomcast: please report it)")]
    Reactor(io::Error),
    #[error("can't listen for signals: {0}")]
    Signals(io::Error),
    #[error("can't start watching certificates: {0}")]
    Watch(io::Error),
    #[error(transparent)]
    NoTls(#[from] NoTls),
    #[error(transparent)]
    TicketKey(#[from] tickets::Unusable),
    #[error(transparent)]
    Unreachable(#[from] admin_flags::Unreachable),
    #[error(transparent)]
    Unheard(admin_command::Unheard),
    #[error("can't start the control plane: {0}")]
    Control(io::Error),
    #[error(transparent)]
    Passed(#[from] activation::Unusable),
    #[error(transparent)]
    Takeover(#[from] takeover::Failed),
    #[error("{0}")]
    Flags(String),
}

fn hint(error: &io::Error, address: &SocketAddr, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(" (another program has this port: stop it, or choose another with {flag})")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                " (port {} needs privileges: choose one above 1023 with {flag})",
                address.port()
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            " (no interface of this machine has this address: try 0.0.0.0 for all)".to_owned()
        }
        _ => String::new(),
    }
}

/// The whole process, from the command line to its exit code.
pub fn run() -> ExitCode {
    // Before there is another thread: it takes variables out of the environment.
    let passed = Passed::to_this_process();
    if let Err(error) = logs::open() {
        // There is no other way to say it yet.
        eprintln!("roomcast: can't start the thread that logs: {error}");
        return ExitCode::from(START_FAILED);
    }
    let code = run_logged(passed);
    logs::finish();
    code
}

fn run_logged(passed: Passed) -> ExitCode {
    let config = match Config::parse() {
        Ok(config) => config,
        Err(error) if error.use_stderr() => {
            logs::say(&format!("roomcast: {}", config::one_line(&error)));
            return ExitCode::from(USAGE);
        }
        Err(help_or_version) => {
            // Nothing can be done about a closed standard output.
            let _ = help_or_version.print();
            return ExitCode::SUCCESS;
        }
    };
    logs::begin(config.log.log_format, config.log.log_level);
    let end = match &config.command {
        Some(Command::DevCert { print_ca }) => {
            tls::dev_cert(*print_ca).map_err(|error| Failure::NoTls(error.into()))
        }
        Some(Command::Ticket(wanted)) => print_ticket(wanted.order()),
        Some(Command::Admin(asked)) => asked.run().map_err(Failure::Unheard),
        Some(Command::CheckConfig) => check::check(&config),
        None => serve(&config, passed),
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::say(&format!("roomcast: {error}"));
            ExitCode::from(if matches!(error, Failure::Flags(_)) {
                USAGE
            } else {
                START_FAILED
            })
        }
    }
}

fn print_ticket(order: tickets::Order) -> Result<(), Failure> {
    let ticket = tickets::write(order)?;
    // A closed standard output wants nothing.
    let _ = writeln!(io::stdout(), "{ticket}");
    Ok(())
}

/// The keys of tickets, if there are any to be asked for.
fn ticket_keys(config: &Config) -> Result<Option<Arc<Keys>>, Failure> {
    let keys = config.access.tickets().map(Keys::load);
    Ok(keys.transpose()?.map(Arc::new))
}

/// What a start has found out when nothing is opened yet that others could notice.
struct Prospect {
    reactors: usize,
    /// Files that the process may have open.
    descriptors: u64,
    others: Others,
    /// Players that these files allow.
    allowed: usize,
    /// Bytes of memory that there are, if that is known.
    memory: Option<u64>,
    limits: Limits,
    /// Where ws is asked for.
    plain: Vec<SocketAddr>,
    /// Where wss is, and with what.
    wanted: Option<Wanted>,
    tls: Option<Tls>,
    tickets: Option<Arc<Keys>>,
}

impl Prospect {
    /// Reads everything that the flags name, and holds the flags against each other and the system.
    fn of(config: &Config) -> Result<Self, Failure> {
        let reactors = config.reactors();
        let descriptors = descriptors::raise();
        let others = Others {
            reactors,
            control: config.admin.is_on(),
        };
        let allowed = others.players(descriptors);
        let memory = memory::allowed();
        let limits = config.limits(allowed, memory).map_err(Failure::Flags)?;
        let (plain, wanted) = config.listeners().map_err(Failure::Flags)?;
        caution(config, &limits, allowed, descriptors, others);
        let tls = wanted.as_ref().map(tls::setup).transpose()?;
        let tickets = ticket_keys(config)?;
        Ok(Self {
            reactors,
            descriptors,
            others,
            allowed,
            memory,
            limits,
            plain,
            wanted,
            tls,
            tickets,
        })
    }
}

fn serve(config: &Config, passed: Passed) -> Result<(), Failure> {
    let Prospect {
        reactors,
        descriptors,
        others,
        allowed,
        memory,
        limits,
        plain,
        wanted,
        tls,
        tickets,
    } = Prospect::of(config)?;
    descriptors::make_room(others.needed_for(limits.max_connections), descriptors);
    let mut common = Common::new(limits, reactors)
        .with_connections_max(others.connections(descriptors))
        .with_operators(others.control)
        .with_naming(config.log.naming())
        .with_demo(config.demo)
        .with_proxies(config.access.proxies())
        .with_http2(config.http2());
    if let Some(tls) = &tls {
        common = common.with_tls(tls.acceptor.clone().into());
    }
    if let Some(keys) = &tickets {
        common = common.with_tickets(Arc::<Keys>::clone(keys));
    }
    let wishes = config.wishes(&plain, wanted.as_ref());
    let (inheritance, predecessor) = inherit(config, passed, &wishes)?;
    let doors_stay = inheritance.are_all();
    let doors = doors::open(&wishes, inheritance, reactors)?;
    let rows = doors::rows(&doors, reactors).map_err(Failure::Start)?;
    let gate = config
        .access
        .gate(rows.iter().map(|row| (row.given, row.bound)));
    let common = Arc::new(common.with_gate(gate));
    let reactors = make_reactors(&common, rows).map_err(Failure::Start)?;
    let addresses: Vec<Address> = reactors.iter().map(Reactor::address).collect();
    let port = doors::port_of_tls(&doors);
    let advice = tls.as_ref().map(|tls| tls.advice(port));
    let session_keys = tls.as_ref().and_then(|tls| tls.session_keys.clone());
    let served = tls.as_ref().map(|tls| tls.watch.certificates());
    let certificates = tls
        .map(|tls| tls.watch.start().map_err(Failure::Watch))
        .transpose()?;
    let reload = Arc::new(Reload {
        certificates,
        session_keys,
        tickets,
    });
    let goodbye = config.goodbye(doors_stay);
    // Before anybody is told that we listen: whoever waits for that may send a signal at once.
    signals::watch(
        Arc::clone(&common),
        addresses.clone(),
        goodbye,
        Arc::clone(&reload),
    )
    .map_err(Failure::Signals)?;
    let post = config.takeover.as_deref();
    let post = post.map(|path| Post::prepare(path, &doors)).transpose()?;
    let took_over = predecessor.map(Predecessor::release).is_some();
    // From here on nothing may fail any more if there are players who have no other process.
    let operated = operate(config, &common, &reactors, (descriptors, &reload, served));
    let control = Arc::new(Mutex::new(unless_fatal(operated, took_over)?));
    announce_all(config, &doors, &common, descriptors);
    if let (None, Some(bytes)) = (config.max_connections, memory) {
        cut_by_memory(common.limits.max_connections, allowed, bytes);
    }
    for line in advice.into_iter().flatten() {
        tracing::info!("to trust the development certificate, {line}");
    }
    if let Some(post) = post {
        let leave = leaving(&common, addresses, goodbye, &control);
        post.take(doors, leave);
    }
    let end = run_reactors(reactors, &common, config);
    finish(&control);
    end
}

/// What there is to do when another process has taken over.
fn leaving(
    common: &Arc<Common>,
    reactors: Vec<Address>,
    goodbye: Goodbye,
    control: &Arc<Mutex<Option<Control>>>,
) -> impl FnOnce() + use<> {
    let (common, control) = (Arc::clone(common), Arc::clone(control));
    move || {
        signals::hand_over(&common, &reactors, goodbye);
        finish(&control);
    }
}

/// Nothing, and why, where that is no reason to end.
fn unless_fatal<T>(result: Result<Option<T>, Failure>, go_on: bool) -> Result<Option<T>, Failure> {
    result.or_else(|error| {
        if go_on {
            tracing::error!("{error}");
            Ok(None)
        } else {
            Err(error)
        }
    })
}

/// Ends the control plane, if that has not been done.
fn finish(control: &Mutex<Option<Control>>) {
    if let Some(control) = control.lock().take() {
        control.finish();
    }
}

/// The control plane, if it is to be reached anywhere.
fn operate(
    config: &Config,
    common: &Arc<Common>,
    reactors: &[Reactor],
    (open_files_max, reload, served): (u64, &Arc<Reload>, Option<Arc<Certificates>>),
) -> Result<Option<Control>, Failure> {
    if !config.admin.is_on() {
        return Ok(None);
    }
    let rights = config.admin.rights()?;
    let doors = config.admin.doors()?;
    for door in &doors {
        tracing::info!("operators are served at {}", door.place());
    }
    // All have the same.
    let ports = reactors.iter().take(1).flat_map(Reactor::ports);
    let process = Process {
        common: Arc::clone(common),
        published: reactors.iter().map(Reactor::published).collect(),
        addresses: reactors.iter().map(Reactor::address).collect(),
        doors: ports.copied().map(doors::security_of).collect(),
        health: Health::default(),
        began: SystemTime::now(),
        open_files_max,
        config: config.fingerprint(),
        certificates_end: Box::new(move || {
            served.as_ref().map_or(Vec::new(), |served| served.ends())
        }),
        dropped_log_lines: logs::dropped,
        goodbye_ms: (config.drain_delay.as_millis(), config.drain.as_millis()),
        reload: Box::new({
            let reload = Arc::clone(reload);
            move || reload.again("an operator")
        }),
    };
    let control = Control::start(doors, rights, process).map_err(Failure::Control)?;
    Ok(Some(control))
}

/// The listeners that this process is given instead of opening them, and whom it takes them over from, if that still runs.
fn inherit(
    config: &Config,
    passed: Passed,
    wishes: &[doors::Wish],
) -> Result<(Inheritance, Option<Predecessor>), Failure> {
    let passed = passed.doors(wishes)?;
    let Some(path) = config.takeover.as_deref() else {
        return Ok((passed, None));
    };
    if passed.are_all() {
        return Err(Failure::Flags(
            "--takeover has nothing to take over where sockets are passed (LISTEN_FDS): leave it out".to_owned(),
        ));
    }
    Ok(match takeover::ask(path)? {
        Some((doors, predecessor)) => (Inheritance::Some(doors), Some(predecessor)),
        None => (Inheritance::default(), None),
    })
}

/// One reactor for each share of the rooms, with its listeners.
fn make_reactors(common: &Arc<Common>, mut rows: Vec<Row>) -> io::Result<Vec<Reactor>> {
    let ports: Vec<Port> = rows.iter().map(|row| row.port).collect();
    let reactors = (0..common.reactors).map(|index| {
        let listeners = rows.iter_mut().filter_map(|row| row.listeners.next());
        Reactor::new(
            Arc::clone(common),
            index,
            ports.clone(),
            listeners.collect(),
        )
    });
    reactors.collect()
}

/// Runs each reactor on a thread of its own until the last one has ended.
fn run_reactors(
    reactors: Vec<Reactor>,
    common: &Arc<Common>,
    config: &Config,
) -> Result<(), Failure> {
    let addresses: Vec<Address> = reactors.iter().map(Reactor::address).collect();
    let published: Vec<Published> = reactors.iter().map(Reactor::published).collect();
    let count = reactors.len();
    let (ended, ends) = crossbeam_channel::bounded(count);
    for (index, reactor) in reactors.into_iter().enumerate() {
        let (peers, ended) = (addresses.clone(), ended.clone());
        let run = move || {
            let end = panic::catch_unwind(AssertUnwindSafe(|| reactor.run(peers)));
            // The receiver lives as long as `serve`, which waits for every reactor.
            let _ =
                ended.send(end.unwrap_or_else(|_| Err(io::Error::other("it panicked, see above"))));
        };
        thread::Builder::new()
            .name(format!("reactor-{index}"))
            .spawn(run)
            .map_err(Failure::Start)?;
    }
    let mut failure = None;
    let mut minute = Minute::begin();
    let mut watchdog = Watchdog::asked_for(count);
    let mut left = count;
    while left > 0 {
        let end = match ends.recv_deadline(minute.due().min(watchdog.due())) {
            Ok(end) => end,
            Err(_) => {
                let now = Instant::now();
                if now >= minute.due() {
                    minute.say(common.seated(), &published);
                }
                if now >= watchdog.due() {
                    watchdog.look(common);
                }
                continue;
            }
        };
        left -= 1;
        if let Err(error) = end {
            failure = Some(Failure::Reactor(error));
            // Its players are gone; those of the others get the chance to reconnect to a process that is whole.
            signals::drain(common, &addresses, config.drain);
        }
    }
    farewell(&published);
    failure.map_or(Ok(()), Err)
}

/// Says what may be other than the operator meant it.
fn caution(config: &Config, limits: &Limits, allowed: usize, descriptors: u64, others: Others) {
    for line in environment::unknown(&Config::command(), env::vars_os()) {
        tracing::warn!("{line}");
    }
    if let Some(asked) = config.players_in_vain(allowed) {
        tracing::warn!(
            "--max-connections {asked} is cut down to {allowed}: the limit of open files is {descriptors}. \
             For all of them, raise it to {} (ulimit -Hn, LimitNOFILE= of a service, --ulimit nofile= of a container)",
            others.needed_for(asked),
        );
    }
    if limits.impairment && !config.plays_here() {
        tracing::warn!(
            "--allow-impairment: players of roomcast.v1 may ask for a bad network for themselves. Not for production"
        );
    }
}

/// Says that memory allows fewer players than descriptors, if it does.
fn cut_by_memory(players: usize, allowed: usize, bytes: u64) {
    if players >= allowed {
        return;
    }
    tracing::info!(
        "--max-connections is {players} by default: so many players, all with a full queue, a quarter of {} MiB holds. \
         Ask for more (up to {allowed}) if most of yours keep up",
        bytes >> 20,
    );
}

/// Says who may come in, and where.
fn announce_all(config: &Config, doors: &[Door], common: &Common, descriptors: u64) {
    if config.access.tickets().is_none() {
        tracing::info!("no --ticket-key: whoever reaches this server may join every room");
    }
    for door in doors {
        announce(door, common.reactors, descriptors, &common.limits);
        if config.demo {
            invite(door);
        }
        announce_proxies(door, &config.access);
    }
}

fn announce(door: &Door, reactors: usize, descriptors: u64, limits: &Limits) {
    let bound = door.bound;
    let scheme = match door.port {
        Port::Plain => "ws",
        Port::Tls => "wss",
    };
    tracing::info!(
        reactors,
        max_connections = limits.max_connections,
        open_files = descriptors,
        max_message = limits.max_message,
        outbox_max = limits.outbox_bytes_max,
        idle_timeout_ms = limits.idle_ms,
        "listening on {scheme}://{bound} ({})",
        reach(doors::flag_of(door.port), bound),
    );
}

/// Where to see what this does.
fn invite(door: &Door) {
    let scheme = match door.port {
        Port::Plain => "http",
        Port::Tls => "https",
    };
    tracing::info!("open {scheme}://{}/demo in two tabs", door.bound);
}

/// Says what proxies have to do with this door.
fn announce_proxies(door: &Door, access: &AccessFlags) {
    let bound = door.bound;
    if access.is_announced(door.given) {
        tracing::info!("at {bound} every connection begins with a PROXY header");
    }
    if access.hides_a_proxy(bound) {
        tracing::info!(
            "players who come to {bound} by a proxy all have its address, and no limits of their own: --trusted-proxy {} tells them apart",
            bound.ip()
        );
    }
}

/// Who can connect to this address, and how others could.
fn reach(flag: &str, bound: SocketAddr) -> String {
    if bound.ip().is_loopback() {
        let port = bound.port();
        format!(
            "only programs on this machine can connect; {flag} 0.0.0.0:{port} opens it to others"
        )
    } else {
        "open to the network".to_owned()
    }
}

fn farewell(published: &[Published]) {
    let total = minute::sum(published);
    let ends: Vec<String> = total
        .ends
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| format!("{label}={count}"))
        .collect();
    tracing::info!(
        connections = total.accepted,
        tls_full = total.tls_full,
        tls_resumed = total.tls_resumed,
        messages = total.messages,
        writes = total.writes,
        cut_off = total.cut_off,
        delayed = total.delayed,
        thronged = total.thronged,
        crowded = total.crowded,
        undealt = total.undealt,
        dropped_log_lines = logs::dropped(),
        ends = ends.join(" "),
        "stopped",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_has_the_port_that_was_bound() {
        let hint = |address: &str| reach("--listen", address.parse().unwrap());
        assert!(hint("127.0.0.1:8080").contains("--listen 0.0.0.0:8080 opens"));
        assert!(hint("[::1]:9090").contains("0.0.0.0:9090"));
        assert_eq!(hint("0.0.0.0:7777"), "open to the network");
    }
}
