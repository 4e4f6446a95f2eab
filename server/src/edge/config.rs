//! Flags and environment: every limit under one name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{env, thread};

use aws_lc_rs::digest;
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::access::{AccessFlags, WantedTicket};
use super::admin_command::AdminCommand;
use super::admin_flags::AdminFlags;
use super::agreement::agreeing;
use super::doors::Wish;
use super::log_flags::LogFlags;
use super::signals::Goodbye;
use super::tls::{TlsFlags, Wanted};
use super::units::{Bytes, Millis, parse_address, parse_count};
use super::v1_flags::V1Flags;
use super::{environment, memory};
use crate::limits::{BATCH_SHARE_OF_OUTBOX, Limits, REACTORS_MAX};
use crate::shard::Http2;
use crate::transport::Port;

const ABOUT: &str = "A relay for multiplayer games: rooms over WebSockets";

const LONG_ABOUT: &str = "\
A relay for multiplayer games: rooms over WebSockets.

Players connect to ws://HOST:PORT/rooms/NAME (NAME: 1-64 of A-Z a-z 0-9 . _ ~ -). What one sends, text or binary, every \
other player of the room gets, unchanged and in order. No game code runs here.

With the subprotocol roomcast.v1 (docs/PROTOCOL.md) players have ids, events go to all or some, rooms and players have \
properties, and who loses its connection goes on where it was.

With --tls-cert and --tls-key, or --dev-tls on your own machine, players also connect to wss://HOST:PORT/rooms/NAME. Rooms \
are the same whichever way a player came.

With --ticket-key nobody is let in without a ticket: ?ticket=JWT in the URL, or Authorization: Bearer JWT, or the \
subprotocol roomcast.ticket.JWT beside roomcast.raw or roomcast.v1.

Rooms of roomcast.v1 that were made with a tag are listed: /rooms?tag=NAME (JSON), and /match?tag=NAME&max=8 names one to \
play in.

Other paths: /echo (every message comes back), /healthz, /readyz (503 while draining, or if a \
reactor stands still), / (says what this is, with a room to try), /roomcast.js (the client), with --demo /demo (a game).";

const AFTER: &str = "\
Every flag is also an environment variable: --max-message is ROOMCAST_MAX_MESSAGE. Flags win, and a variable set to nothing \
counts as not set. ROOMCAST_DATA_DIR is where --dev-tls keeps its files.

Times: 500ms, 20s, 2m, 1h; a number alone is seconds. Sizes: 64KiB, 1MiB (steps of 1,024), 64kB, 1MB (steps of 1,000), in \
capitals or not; a number alone is bytes.

Signals: SIGTERM or SIGINT drains (players get close code 1012, spread over --drain) and exits with 0; \
a second one exits at once. SIGHUP reads certificates and all ticket keys again.

Exit codes: 0 drained, 1 could not start or go on, 2 unusable flags or environment, 130 or 143 (128 and the signal's number) \
ended by a second SIGINT or SIGTERM.

Close codes: 1002 protocol error, 1007 text is not UTF-8, \
1008 over 64 empty fragments in a message, or what a ticket or --messages-per-second does not allow, 1009 message over --max-message, 1012 restart, \
4000 room full, 4002 slow consumer, 4005 idle; of roomcast.v1 also 1008 too many packets, 1013 too many rooms, 4004 \
replaced by a resumed connection, 4006 malformed packet, 4008 no such room, 4009 room exists, 4011 the other dialect. Before there is a WebSocket, HTTP 429 says that one address has \
as much as it may, and 503 that the server is full or about to stop.

Try it: roomcast --demo, and open http://127.0.0.1:7777/demo twice; or loadgen --clients 1000 in another terminal.";

/// What else `roomcast` does. Without any of it, it serves.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Say where the development certificates of --dev-tls are and how programs trust them; make them first if there
    /// are none
    DevCert {
        /// Print the authority's certificate (PEM) and nothing else
        #[arg(long)]
        print_ca: bool,
    },
    /// Make a ticket and print it: for tries and small games; others make theirs where players log in
    Ticket(WantedTicket),
    /// Say whether the flags before it, the environment, and every file that they name can be used, without starting: with
    /// which limits, or in one line what is wrong
    CheckConfig,
    /// Ask a running relay that has --admin, or command it
    Admin(AdminCommand),
}

/// The command line of `roomcast`.
#[derive(Debug, Clone, Parser)]
#[command(name = "roomcast", version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = AFTER)]
pub struct Config {
    /// Something else than serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address and port for ws://, several times for several. Loopback unless you say otherwise; `0.0.0.0:7777` is every
    /// IPv4 interface, `[::]:7777` every interface, `none` leaves only wss://. In the environment, several are separated
    /// by commas
    #[arg(long, env = "ROOMCAST_LISTEN", default_value = "127.0.0.1:7777", value_name = "IP:PORT",
        help_heading = "Where", value_parser = parse_listen, value_delimiter = ',')]
    listen: Vec<Listen>,

    /// Whether ws is served there only because nobody said anything else.
    #[arg(skip)]
    listens_by_default: bool,

    #[command(flatten)]
    tls: TlsFlags,

    /// Socket by which the next process that is started with the same PATH takes over: it gets the listeners, accepts at once,
    /// and this one sends its players away as on SIGTERM. Only a process of the same user, or of root, can
    #[arg(
        long,
        env = "ROOMCAST_TAKEOVER",
        value_name = "PATH",
        help_heading = "Where"
    )]
    pub takeover: Option<PathBuf>,

    /// HTTP/2 in clear for who begins with it, as proxies do that speak it with what is behind them
    #[arg(long, env = "ROOMCAST_H2C", help_heading = "Where")]
    h2c: bool,

    /// Serve a small game at /demo, to see what this does. If only this machine can connect, players may also ask for a bad
    /// network for themselves, as with --allow-impairment
    #[arg(long, env = "ROOMCAST_DEMO", help_heading = "Where")]
    pub demo: bool,

    /// Who may come in.
    #[command(flatten)]
    pub access: AccessFlags,

    /// Where operators ask.
    #[command(flatten)]
    pub admin: AdminFlags,

    /// Threads that own sockets, each with its share of the rooms [default: one for each core]
    #[arg(long, env = "ROOMCAST_REACTORS", value_name = "N", help_heading = "Where", value_parser = parse_reactors)]
    reactors: Option<usize>,

    /// Largest message, all fragments together; a larger one ends its sender with 1009
    #[arg(
        long,
        env = "ROOMCAST_MAX_MESSAGE",
        default_value = "64KiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    max_message: Bytes,

    /// Players at once; further ones get HTTP 503. Never more than the limit of open files allows [default: that, or
    /// fewer if a quarter of the memory does not hold so many with a full --outbox-max and --max-message each]
    #[arg(long, env = "ROOMCAST_MAX_CONNECTIONS", value_name = "N", help_heading = "Limits", value_parser = parse_count)]
    pub max_connections: Option<usize>,

    /// Players in one room; further ones are closed with 4000
    #[arg(long, env = "ROOMCAST_MAX_ROOM_MEMBERS", default_value_t = Limits::default().max_room_members, value_name = "N",
        help_heading = "Limits", value_parser = parse_count)]
    max_room_members: usize,

    /// Bytes queued for a player that does not keep up; more ends it with 4002. Nobody else notices [default: 256KiB, or
    /// four times a larger --max-message]
    #[arg(
        long,
        env = "ROOMCAST_OUTBOX_MAX",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    outbox_max: Option<Bytes>,

    /// Of roomcast.v1 rooms.
    #[command(flatten)]
    v1: V1Flags,

    /// How long a player may stay behind before it ends with 4002
    #[arg(
        long,
        env = "ROOMCAST_CONGESTED_TIMEOUT",
        default_value = "5s",
        value_name = "TIME",
        help_heading = "Limits"
    )]
    congested_timeout: Millis,

    /// From connecting to a complete HTTP request head; more is a 408
    #[arg(
        long,
        env = "ROOMCAST_HANDSHAKE_TIMEOUT",
        default_value = "10s",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    handshake_timeout: Millis,

    /// A player that was silent this long is sent a ping [default: 20s, or a third of a shorter --idle-timeout]
    #[arg(
        long,
        env = "ROOMCAST_PING_INTERVAL",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    ping_interval: Option<Millis>,

    /// A player of whom nothing was heard this long, not even a pong, ends with 4005
    #[arg(
        long,
        env = "ROOMCAST_IDLE_TIMEOUT",
        default_value = "60s",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    idle_timeout: Millis,

    /// From our close frame to the end of the TCP connection, if the peer does not read what is left for it. One that does
    /// gets --congested-timeout more
    #[arg(
        long,
        env = "ROOMCAST_CLOSE_TIMEOUT",
        default_value = "2s",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    close_timeout: Millis,

    /// Gather messages this long before they are sent: fewer, larger writes for a few milliseconds. 0: send at once
    #[arg(
        long,
        env = "ROOMCAST_FLUSH_INTERVAL",
        default_value = "0",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    flush_interval: Millis,

    /// TLS handshakes, and requests with tickets, that go on in one iteration of a reactor; the others wait for the next
    /// one, so that a storm of them does not hurt those who play
    #[arg(
        long,
        env = "ROOMCAST_TLS_HANDSHAKES",
        default_value_t = Limits::default().tls_handshakes,
        value_name = "N",
        help_heading = "Limits",
        value_parser = parse_count
    )]
    tls_handshakes: usize,

    /// On SIGTERM, spread the goodbyes over this time, so that players do not return as one herd
    #[arg(
        long,
        env = "ROOMCAST_DRAIN",
        default_value = "5s",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    pub drain: Millis,

    /// On SIGTERM, this long before the goodbyes begin, only /readyz says so: balancers that ask it send nobody new, and who
    /// is on the way still gets in. Some of their intervals
    #[arg(
        long,
        env = "ROOMCAST_DRAIN_DELAY",
        default_value = "0",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    pub drain_delay: Millis,

    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

/// Where ws is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    /// There.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl Config {
    /// The command line and the environment of this process.
    ///
    /// # Errors
    ///
    /// What clap says, which may also be the help that was asked for.
    pub fn parse() -> Result<Self, clap::Error> {
        let matches = match environment::without_empty(Self::command()).try_get_matches() {
            // The help names all variables.
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                Self::command().try_get_matches()
            }
            other => other,
        }?;
        let mut config = Self::from_arg_matches(&matches)?;
        let listen = matches.value_source("listen");
        config.listens_by_default = listen == Some(ValueSource::DefaultValue);
        config.tls.split_lists(&matches);
        config.access.split_lists(&matches);
        Ok(config)
    }

    /// Where ws and wss are served, and with which certificates.
    ///
    /// # Errors
    ///
    /// One line that names the flags and says what to do.
    pub fn listeners(&self) -> Result<(Vec<SocketAddr>, Option<Wanted>), String> {
        let tls = self.tls.wanted()?;
        self.admin.agree()?;
        self.access.agree()?;
        let at = |listen: &Listen| match listen {
            Listen::At(address) => Some(*address),
            Listen::Off => None,
        };
        let plain: Vec<SocketAddr> = self.listen.iter().filter_map(at).collect();
        if plain.is_empty() && tls.is_none() {
            return Err(
                "--listen none leaves nothing to listen on: give --tls-cert and --tls-key, or --dev-tls".to_owned(),
            );
        }
        if !plain.is_empty() && plain.len() < self.listen.len() {
            return Err("--listen none turns ws off: give no other --listen with it".to_owned());
        }
        let secure = tls.as_ref().map_or(&[][..], |tls| &tls.addresses);
        let all = [&plain[..], secure].concat();
        if let Some(vain) = self.access.announced_in_vain(&all) {
            return Err(format!(
                "--proxy-protocol {vain} is no address of --listen or --listen-tls: give one of these"
            ));
        }
        if let Some(both) = plain.iter().find(|&plain| is_twice(*plain, secure)) {
            return Err(format!(
                "--listen and --listen-tls are both {both}: give ws and wss a port each"
            ));
        }
        for (flag, addresses) in [("--listen", &plain[..]), ("--listen-tls", secure)] {
            for (at, address) in addresses.iter().enumerate() {
                if is_twice(*address, &addresses[at + 1..]) {
                    return Err(format!("{flag} {address} was given twice: give it once"));
                }
            }
        }
        Ok((plain, tls))
    }

    /// The same addresses, each with what is spoken there and whether anybody asked for it.
    pub fn wishes(&self, plain: &[SocketAddr], tls: Option<&Wanted>) -> Vec<Wish> {
        let plain = plain.iter().map(|&address| Wish {
            port: Port::Plain,
            address,
            by_default: self.listens_by_default,
        });
        let secure = tls.into_iter().flat_map(|tls| {
            tls.addresses.iter().map(|&address| Wish {
                port: Port::Tls,
                address,
                by_default: tls.by_default,
            })
        });
        plain.chain(secure).collect()
    }

    /// How players are sent away, by a process whose listeners stay or not.
    pub fn goodbye(&self, doors_stay: bool) -> Goodbye {
        Goodbye {
            delay: self.drain_delay,
            spread: self.drain,
            doors_stay,
        }
    }

    /// A number of all flags, the same for the same ones: to see which of many processes have others. Files are named in it,
    /// not read.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, format!("{self:?}").as_bytes());
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(first))
    }

    /// Whether the demo is served, and to this machine alone.
    pub fn plays_here(&self) -> bool {
        let local = |addresses: &[SocketAddr]| addresses.iter().all(|at| at.ip().is_loopback());
        self.demo
            && self.listeners().is_ok_and(|(plain, tls)| {
                local(&plain) && tls.is_none_or(|tls| local(&tls.addresses))
            })
    }

    /// Who may speak HTTP/2.
    pub fn http2(&self) -> Http2 {
        Http2 {
            over_tls: self.tls.http2,
            in_clear: self.h2c,
        }
    }

    /// Reactors to start.
    pub fn reactors(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        self.reactors.unwrap_or_else(cores).clamp(1, REACTORS_MAX)
    }

    /// The players that were asked for, if they are more than the descriptors allow.
    pub fn players_in_vain(&self, allowed: usize) -> Option<usize> {
        self.max_connections.filter(|&asked| asked > allowed)
    }

    /// The limits, once it is known how many players the descriptors allow, and how many bytes of memory there are.
    ///
    /// # Errors
    ///
    /// One line that names the flag and says what to do.
    pub fn limits(&self, players: usize, memory: Option<u64>) -> Result<Limits, String> {
        let defaults = Limits::default();
        let idle_ms = self.idle_timeout.as_millis();
        let max_message = self.max_message.get();
        // What a room gathers in one turn must fit, and that may be any one message.
        let outbox_for_it = max_message.saturating_mul(BATCH_SHARE_OF_OUTBOX);
        let outbox_bytes_max = self
            .outbox_max
            .map_or(defaults.outbox_bytes_max.max(outbox_for_it), Bytes::get);
        let fit = memory.map_or(usize::MAX, |bytes| {
            memory::players(bytes, max_message, outbox_bytes_max)
        });
        let limits = Limits {
            max_message,
            handshake_ms: self.handshake_timeout.as_millis(),
            ping_ms: self
                .ping_interval
                .map_or(defaults.ping_ms.min(idle_ms / 3).max(1), Millis::as_millis),
            idle_ms,
            close_ms: self.close_timeout.as_millis(),
            outbox_bytes_max,
            congested_ms_max: self.congested_timeout.as_millis(),
            max_connections: self.max_connections.unwrap_or(fit).min(players),
            max_room_members: self.max_room_members,
            tls_handshakes: self.tls_handshakes,
            flush_interval_ms: self.flush_interval.as_millis(),
            impairment: self.v1.allow_impairment || self.plays_here(),
            quota: self.access.quota(),
            per_source: self.access.per_source(),
            ..self.v1.bounds(defaults)
        };
        agreeing(&limits)?;
        Ok(limits)
    }
}

/// Whether this address is among the others too. Port 0 is another free port each time.
fn is_twice(address: SocketAddr, others: &[SocketAddr]) -> bool {
    address.port() != 0 && others.contains(&address)
}

/// What clap has to say, in one line, with the environment variable if that is where the value came from.
pub(super) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said: Vec<&str> = text
        .lines()
        .map(|line| {
            line.trim()
                .trim_start_matches("error: ")
                .trim_start_matches("tip: ")
        })
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let flag = error
        .get(ContextKind::InvalidArg)
        .map(ToString::to_string)
        .unwrap_or_default();
    let flag = flag.split([' ', '=']).next().unwrap_or_default();
    let variable = environment::variable_of(flag);
    let given = env::args().any(|arg| arg.split('=').next() == Some(flag));
    let source = if !given && env::var_os(&variable).is_some() {
        format!(" (set by {variable})")
    } else {
        String::new()
    };
    format!("{}{source}; see roomcast --help", said.join("; "))
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen::Off);
    }
    parse_address(text).map(Listen::At)
}

fn parse_reactors(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(reactors @ 1..=REACTORS_MAX) => Ok(reactors),
        _ => Err(format!("give a number from 1 to {REACTORS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_limits() {
        Config::command().debug_assert();
        let config = Config::try_parse_from(["roomcast"]).unwrap();
        let defaults = Limits::default();
        assert_eq!(config.limits(defaults.max_connections, None), Ok(defaults));
        let (plain, tls) = config.listeners().unwrap();
        assert!(plain.len() == 1 && plain[0].ip().is_loopback());
        assert_eq!(tls, None);
    }

    #[test]
    fn ws_may_be_off_if_wss_is_on() {
        let listeners = |flags: &[&str]| {
            let config = Config::try_parse_from(["roomcast"].iter().chain(flags)).unwrap();
            config.listeners()
        };
        let (plain, tls) = listeners(&["--listen", "none", "--dev-tls"]).unwrap();
        assert_eq!(plain, []);
        assert!(tls.is_some());
        let none = listeners(&["--listen", "none"]).unwrap_err();
        assert!(none.starts_with("--listen none"), "{none}");
        let same = ["--listen", "127.0.0.1:7443", "--dev-tls"];
        assert!(listeners(&same).unwrap_err().contains("127.0.0.1:7443"));
        let free = [
            "--listen=127.0.0.1:0",
            "--dev-tls",
            "--listen-tls=127.0.0.1:0",
        ];
        assert!(listeners(&free).is_ok());
    }

    #[test]
    fn a_flag_that_needs_another_says_which() {
        for (flag, value, needs) in [
            ("--proxy-protocol", "127.0.0.1:7777", "--trusted-proxy"),
            ("--ticket-revoked", "list", "--ticket-key"),
        ] {
            let line = Config::try_parse_from(["roomcast", flag, value])
                .unwrap()
                .listeners()
                .unwrap_err();
            assert!(line.starts_with(flag) && line.contains(needs), "{line}");
        }
    }

    #[test]
    fn several_addresses_of_a_kind() {
        let listeners = |flags: &[&str]| {
            let config = Config::try_parse_from(["roomcast"].iter().chain(flags)).unwrap();
            config.listeners()
        };
        let flags = [
            "--listen=127.0.0.1:1",
            "--listen=[::1]:1,127.0.0.1:2",
            "--dev-tls",
            "--listen-tls=127.0.0.1:3",
            "--listen-tls=127.0.0.1:4",
        ];
        let (plain, tls) = listeners(&flags).unwrap();
        assert_eq!((plain.len(), tls.unwrap().addresses.len()), (3, 2));
        let free = ["--listen=127.0.0.1:0", "--listen=127.0.0.1:0"];
        assert_eq!(listeners(&free).unwrap().0.len(), 2);
        for flags in [
            &["--listen=127.0.0.1:1", "--listen=127.0.0.1:1"][..],
            &["--listen=127.0.0.1:1", "--listen=none", "--dev-tls"],
            &["--dev-tls", "--listen-tls=[::1]:1,[::1]:1"],
            &[
                "--dev-tls",
                "--listen-tls=[::1]:1",
                "--listen=127.0.0.1:1,[::1]:1",
            ],
        ] {
            let line = listeners(flags).unwrap_err();
            assert!(line.starts_with("--listen"), "{line}");
        }
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        for flags in [
            &["--ping-interval", "60s"][..],
            &["--idle-timeout", "0"],
            &["--idle-timeout", "1ms"],
            &["--max-message", "0"],
            &["--max-message", "1MiB", "--outbox-max", "256KiB"],
            &["--outbox-max", "1KiB"],
            &["--flush-interval", "2s"],
            &["--max-connections", "0"],
        ] {
            let config = Config::try_parse_from(["roomcast"].iter().chain(flags)).unwrap();
            let message = config.limits(100, None).unwrap_err();
            assert!(message.starts_with("--"), "{message}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_all_flags() {
        let of = |flags: &[&str]| {
            let config = Config::try_parse_from(["roomcast"].iter().chain(flags)).unwrap();
            config.fingerprint()
        };
        assert_eq!(of(&[]), of(&["--max-message", "64KiB"]));
        assert_ne!(of(&[]), of(&["--max-message", "65KiB"]));
        assert_ne!(of(&[]), of(&["--log-format", "json"]));
    }

    #[test]
    fn a_default_is_never_to_blame() {
        for idle in ["0", "0ms", "1ms"] {
            let config = Config::try_parse_from(["roomcast", "--idle-timeout", idle]).unwrap();
            let message = config.limits(100, None).unwrap_err();
            assert!(message.contains("--idle-timeout"), "{idle}: {message}");
        }
        let config = Config::try_parse_from(["roomcast", "--idle-timeout", "2ms"]).unwrap();
        assert_eq!(config.limits(100, None).map(|limits| limits.ping_ms), Ok(1));
    }

    #[test]
    fn a_larger_message_raises_the_default_of_the_outbox() {
        let outbox = |flags: &[&str]| {
            let config = Config::try_parse_from(["roomcast"].iter().chain(flags)).unwrap();
            config
                .limits(100, None)
                .map(|limits| limits.outbox_bytes_max)
        };
        assert_eq!(outbox(&["--max-message", "1KiB"]), Ok(256 * 1024));
        assert_eq!(outbox(&["--max-message", "64KiB"]), Ok(256 * 1024));
        assert_eq!(outbox(&["--max-message", "1MiB"]), Ok(4 * 1024 * 1024));
        let given = ["--max-message", "1MiB", "--outbox-max", "1MiB"];
        assert_eq!(outbox(&given), Ok(1024 * 1024));
    }

    #[test]
    fn more_players_than_descriptors_allow_are_cut_down() {
        let config = Config::try_parse_from(["roomcast", "--max-connections", "1000"]).unwrap();
        let most = |allowed| {
            config
                .limits(allowed, Some(1 << 20))
                .map(|limits| limits.max_connections)
        };
        assert_eq!(
            (most(999), config.players_in_vain(999)),
            (Ok(999), Some(1000))
        );
        assert_eq!((most(1000), config.players_in_vain(1000)), (Ok(1000), None));
    }

    #[test]
    fn memory_bounds_the_default_and_nothing_else() {
        let most = |flags: &[&str], gib: u64| {
            let config = Config::try_parse_from(["roomcast"].iter().chain(flags)).unwrap();
            let limits = config.limits(20_000, Some(gib << 30));
            limits.unwrap().max_connections
        };
        assert!((500..1_000).contains(&most(&[], 1)));
        assert_eq!(most(&[], 1_000), 20_000);
        assert!(most(&["--outbox-max", "64KiB"], 1) > 2 * most(&[], 1));
        assert_eq!(most(&["--max-connections", "15000"], 1), 15_000);
    }

    #[test]
    fn a_number_that_is_none_is_answered_with_one() {
        for flag in [
            "--max-connections",
            "--max-room-members",
            "--tls-handshakes",
        ] {
            for value in ["many", "-1", "1.5", "99999999999999999999"] {
                let arguments = ["roomcast".to_owned(), format!("{flag}={value}")];
                let line = one_line(&Config::try_parse_from(arguments).unwrap_err());
                assert!(line.contains(flag) && line.contains(value), "{line}");
                assert!(line.contains("give a whole number like 1000"), "{line}");
            }
        }
    }
}
