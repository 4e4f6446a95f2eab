//! Who may come in, and what it may do here: the part of the command line that is about strangers.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{ArgMatches, Args};

use super::environment::split_paths;
use super::tickets::{Files, Order, parse_listed, parse_rooms};
use super::units::{Bytes, Millis, parse_address};
use crate::limits::{Limits, PerSource, Quota};
use crate::shard::{Gate, HostName, Network, Origin, Proxies};

/// The part of the command line that is about access.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessFlags {
    /// Let nobody in without a ticket (a JWT) that this key signed. FILE: a secret of 32 bytes or more (HS256), a public key
    /// as PEM (ES256, EdDSA), or a JWKS. Several times for several, any of which may have signed; read again on SIGHUP; in
    /// the environment, separated by `:` [default: none, everybody is let in]
    #[arg(long, env = "ROOMCAST_TICKET_KEY", value_name = "FILE")]
    ticket_key: Vec<PathBuf>,

    /// Tickets that count no longer: a file with a line `sub NAME` for all of somebody, `jti ID` for one. Read again on
    /// SIGHUP, which ends who is here with one
    #[arg(long, env = "ROOMCAST_TICKET_REVOKED", value_name = "FILE")]
    ticket_revoked: Option<PathBuf>,

    /// Pages that may connect: https://play.example.com, https://*.example.com (all below it), null. Several times for
    /// several; in the environment, separated by commas. Programs that are no browsers say no origin, and are not asked
    /// for one [default: pages of every origin]
    #[arg(long, env = "ROOMCAST_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = parse_origin)]
    allow_origin: Vec<Origin>,

    /// Names under which players may reach this server: play.example.com, *.example.com (all below it). Several times for
    /// several; in the environment, separated by commas [default: every name; at addresses that only this machine reaches,
    /// such as 127.0.0.1, only its own]
    #[arg(long, env = "ROOMCAST_ALLOW_HOST", value_name = "NAME", value_delimiter = ',', value_parser = parse_host)]
    allow_host: Vec<HostName>,

    /// Proxies whose word is taken on where players come from: an address or a network (10.0.0.0/8), several times for
    /// several; in the environment, separated by commas. They have to write X-Forwarded-For or Forwarded; what others say
    /// there is not looked at [default: none]
    #[arg(long, env = "ROOMCAST_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',', value_parser = parse_network)]
    trusted_proxy: Vec<Network>,

    /// Addresses of --listen and --listen-tls at which a --trusted-proxy says first, in a PROXY header (version 1 or 2), where
    /// a connection comes from. The header is required there, and nobody else may connect
    #[arg(long, env = "ROOMCAST_PROXY_PROTOCOL", value_name = "IP:PORT", value_delimiter = ',',
        value_parser = parse_address)]
    proxy_protocol: Vec<SocketAddr>,

    /// Players of one address (of IPv6, of one /64; a /48 may have four times as many), or with tickets of one `sub`;
    /// further ones get HTTP 429. 0: as many as come
    #[arg(long, env = "ROOMCAST_CONNECTIONS_PER_ADDRESS", default_value_t = Limits::default().per_source.connections,
        value_name = "N")]
    connections_per_address: u32,

    /// Connections of one address that have not joined yet; further ones are closed as they come. 0: as many as come
    #[arg(long, env = "ROOMCAST_HANDSHAKES_PER_ADDRESS", default_value_t = Limits::default().per_source.unseated,
        value_name = "N")]
    handshakes_per_address: u32,

    /// Joins of one address, or with tickets of one `sub`, in a second, and twice as many at once; further ones get HTTP
    /// 429. 0: as many as come
    #[arg(long, env = "ROOMCAST_JOINS_PER_ADDRESS", default_value_t = Limits::default().per_source.joins_per_second,
        value_name = "N")]
    joins_per_address: u32,

    /// roomcast.v1: rooms that one address, or with tickets one `sub`, has made and that are still there; who would make a
    /// further one is closed with 1013. 0: as many as it likes
    #[arg(long, env = "ROOMCAST_ROOMS_PER_ADDRESS", default_value_t = Limits::default().per_source.rooms,
        value_name = "N")]
    rooms_per_address: u32,

    /// Bound programs of this machine like everybody else: by default, what comes from 127.0.0.0/8 or ::1 may have any
    /// number of connections
    #[arg(long, env = "ROOMCAST_LIMIT_LOOPBACK")]
    limit_loopback: bool,

    /// Messages that a player may send in a second, and twice as many at once; who goes on beyond that is read later, then
    /// closed with 1008. Tickets may say less [default: as many as it likes]
    #[arg(long, env = "ROOMCAST_MESSAGES_PER_SECOND", value_name = "N")]
    messages_per_second: Option<NonZeroU32>,

    /// The same of the bytes of its messages; one message of --max-message may always be sent [default: as many as it
    /// likes]
    #[arg(long, env = "ROOMCAST_BYTES_PER_SECOND", value_name = "SIZE", value_parser = parse_bytes)]
    bytes_per_second: Option<NonZeroU32>,
}

fn parse_origin(text: &str) -> Result<Origin, String> {
    Origin::of(text).ok_or_else(|| {
        "give an origin like https://play.example.com, https://*.example.com or null".to_owned()
    })
}

/// A name that requests may say in their Host field.
pub fn parse_host(text: &str) -> Result<HostName, String> {
    HostName::of(text).ok_or_else(|| {
        "give a name without port, like play.example.com or *.example.com".to_owned()
    })
}

fn parse_network(text: &str) -> Result<Network, String> {
    Network::of(text).ok_or_else(|| {
        "give an address or a network, like 10.0.0.7, 10.0.0.0/8 or fd00::/8, and not everybody"
            .to_owned()
    })
}

/// A ticket to be made.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WantedTicket {
    /// File with the secret that is also given to --ticket-key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// For whom
    #[arg(long, value_name = "NAME", value_parser = parse_listed)]
    sub: String,
    /// For which room, several times for several; `match-*` is all whose name begins so, `*` all
    #[arg(long, value_name = "ROOM", required = true, value_parser = parse_rooms)]
    room: Vec<String>,
    /// For how long somebody may join with it
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_seconds)]
    valid: Millis,
    /// For how long from now it may stay [default: as long as it likes]
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    stay: Option<Millis>,
    /// It only receives
    #[arg(long)]
    spectator: bool,
    /// An id, by which this one ticket can be taken back (--ticket-revoked)
    #[arg(long, value_name = "ID", value_parser = parse_listed)]
    id: Option<String>,
}

impl WantedTicket {
    /// As it is made.
    pub fn order(&self) -> Order {
        let seconds = |time: Millis| u64::from(time.as_millis()) / 1_000;
        Order {
            key: self.key.clone(),
            sub: self.sub.clone(),
            rooms: self.room.clone(),
            seconds: seconds(self.valid),
            stay: self.stay.map(seconds),
            spectates: self.spectator,
            id: self.id.clone(),
        }
    }
}

/// A time of a ticket, which counts seconds.
fn parse_seconds(text: &str) -> Result<Millis, String> {
    let time: Millis = text.parse()?;
    let is_whole = time.as_millis() >= 1_000;
    is_whole
        .then_some(time)
        .ok_or_else(|| "at least 1s".to_owned())
}

fn parse_bytes(text: &str) -> Result<NonZeroU32, String> {
    let bytes = text.parse::<Bytes>()?.get();
    NonZeroU32::new(bytes as u32).ok_or_else(|| "0 would let nobody send anything".to_owned())
}

impl AccessFlags {
    /// Takes lists in the environment apart.
    pub fn split_lists(&mut self, matches: &ArgMatches) {
        split_paths(matches, "ticket_key", &mut self.ticket_key);
    }

    /// Whether no flag lacks another.
    ///
    /// # Errors
    ///
    /// One line that names both and says what to do.
    pub fn agree(&self) -> Result<(), String> {
        if self.ticket_revoked.is_some() && self.ticket_key.is_empty() {
            return Err(
                "--ticket-revoked takes back tickets, and without --ticket-key none are asked for: give that too"
                    .to_owned(),
            );
        }
        if !self.proxy_protocol.is_empty() && self.trusted_proxy.is_empty() {
            return Err(
                "--proxy-protocol lets only a --trusted-proxy connect, and none is named: give its address with --trusted-proxy"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Where everything about tickets is read from; nothing without keys.
    pub fn tickets(&self) -> Option<Files> {
        (!self.ticket_key.is_empty()).then(|| Files {
            keys: self.ticket_key.clone(),
            revoked: self.ticket_revoked.clone(),
        })
    }

    /// An address that a PROXY header is asked for at though nobody listens there.
    pub fn announced_in_vain(&self, doors: &[SocketAddr]) -> Option<SocketAddr> {
        let mut asked = self.proxy_protocol.iter().copied();
        asked.find(|address| !doors.contains(address))
    }

    /// Whether a proxy says first where connections come from, at a door that was given as this address.
    pub fn is_announced(&self, door: SocketAddr) -> bool {
        self.proxy_protocol.contains(&door)
    }

    /// Who may ask for a seat, at doors that were given as the first and have become the second address.
    pub fn gate(&self, doors: impl Iterator<Item = (SocketAddr, SocketAddr)>) -> Gate {
        let (given, bound): (Vec<_>, Vec<_>) = doors.unzip();
        Gate {
            origins: self.allow_origin.clone(),
            hosts: self.allow_host.clone(),
            loopback: bound
                .iter()
                .map(|door| door.ip().to_canonical().is_loopback())
                .collect(),
            announced: given
                .into_iter()
                .map(|door| self.is_announced(door))
                .collect(),
        }
    }

    /// Who is believed that says where a request comes from.
    pub fn proxies(&self) -> Proxies {
        Proxies::new(self.trusted_proxy.clone())
    }

    /// Whether players come by other names than this machine's own to a door that only it reaches, so by way of a proxy, of
    /// which nothing is said.
    pub fn hides_a_proxy(&self, door: SocketAddr) -> bool {
        let named = !self.allow_host.is_empty();
        named && self.trusted_proxy.is_empty() && door.ip().to_canonical().is_loopback()
    }

    /// What one address may have.
    pub fn per_source(&self) -> PerSource {
        let bound = |most: u32| if most == 0 { u32::MAX } else { most };
        PerSource {
            connections: bound(self.connections_per_address),
            unseated: bound(self.handshakes_per_address),
            joins_per_second: bound(self.joins_per_address),
            rooms: bound(self.rooms_per_address),
            loopback_too: self.limit_loopback,
        }
    }

    /// What every connection may send in a second.
    pub fn quota(&self) -> Quota {
        Quota {
            messages: self.messages_per_second,
            bytes: self.bytes_per_second,
        }
    }
}
