//! `roomcast admin`: asks a running relay, and says what it answers as JSON, one object a line.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use thiserror::Error;

use super::admin_flags::parse_place;
use super::units::Millis;
use crate::control::{Place, Reply, Token, exchange};

/// Whom to ask, and what.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AdminCommand {
    /// Where the relay's --admin is
    #[arg(long, env = "ROOMCAST_ADMIN", value_name = "IP:PORT|unix:PATH", value_parser = parse_place, global = true,
        default_value = "127.0.0.1:9777")]
    at: Place,

    /// The file that was given to --admin-token-file
    #[arg(
        long,
        env = "ROOMCAST_ADMIN_TOKEN_FILE",
        value_name = "FILE",
        global = true
    )]
    token_file: Option<PathBuf>,

    /// An id for what changes something: with the one of before it is not done twice [default: another one each time]
    #[arg(long, value_name = "ID", global = true)]
    id: Option<String>,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
enum What {
    /// How many play, and whether it drains
    Status,
    /// Every room
    Rooms,
    /// The last 1,000 connections of each reactor that have ended, and why
    Ends,
    /// Every player of a room, with what its connection does
    Players {
        /// Its name
        room: String,
    },
    /// How long messages are in a room, from the first time on that this is asked
    Residence {
        /// Its name
        room: String,
    },
    /// End a connection, or put a player out who may be away; the player leaves
    Kick {
        /// The connection's id, as `players` says it
        #[arg(required_unless_present = "player")]
        connection: Option<u64>,
        /// A player of this room, which speaks roomcast.v1
        #[arg(
            long,
            value_name = "ROOM",
            requires = "player",
            conflicts_with = "connection"
        )]
        room: Option<String>,
        /// Its id, as `players` says it
        #[arg(long, value_name = "ID", requires = "room")]
        player: Option<u32>,
    },
    /// Let nobody in from an address (of IPv6, its /64), or with the tickets of a `sub`, for a while; who is here goes
    Ban {
        /// Where this connection comes from, or whose ticket it has
        #[arg(long, value_name = "ID", required_unless_present = "address")]
        connection: Option<u64>,
        /// This address
        #[arg(long, value_name = "IP", conflicts_with = "connection")]
        address: Option<IpAddr>,
        /// For so long; 0 lifts the ban
        #[arg(long = "for", value_name = "TIME")]
        time: Millis,
    },
    /// End all players of a room
    CloseRoom {
        /// Its name
        room: String,
    },
    /// Say a text to all players of a room
    Say {
        /// Its name
        room: String,
        /// What is said
        text: String,
    },
    /// Say a text to all players of all rooms
    Notice {
        /// What is said
        text: String,
    },
    /// Send all players away and end, as on SIGTERM
    Drain {
        /// Only /readyz says so for this long [default: the relay's --drain-delay]
        #[arg(long, value_name = "TIME")]
        delay: Option<Millis>,
        /// Spread the goodbyes over this time [default: the relay's --drain]
        #[arg(long, value_name = "TIME")]
        spread: Option<Millis>,
    },
    /// Take that back, as long as nobody has been sent away
    Undrain,
    /// Read certificates and ticket keys again, as on SIGHUP
    Reload,
}

/// Why there is no answer to print.
#[derive(Debug, Error)]
pub enum Unheard {
    /// The token's file can't be used.
    #[error("can't use the token in {0}: {1}")]
    Token(String, io::Error),
    /// Nobody answers.
    #[error("can't ask the relay at {0}: {1} (is it there, with --admin?)")]
    Nobody(Place, io::Error),
    /// It answers that it does not.
    #[error("the relay answers {0}: {1}")]
    Refused(u16, String),
}

impl AdminCommand {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    ///
    /// When there is none, or another one than was meant.
    pub fn run(&self) -> Result<(), Unheard> {
        let read = |path: &PathBuf| {
            Token::read(path).map_err(|error| Unheard::Token(path.display().to_string(), error))
        };
        let token = self.token_file.as_ref().map(read).transpose()?;
        let ask = |path: &str, sent: Option<&Value>| {
            let reply = exchange(&self.at, token.as_ref(), path, sent);
            heard(reply.map_err(|error| Unheard::Nobody(self.at.clone(), error))?)
        };
        match &self.what {
            What::Status => print(&ask("/v1/status", None)?),
            What::Ends => pages("/v1/ends", "ends", ask)?,
            What::Rooms => pages("/v1/rooms", "rooms", ask)?,
            What::Players { room } => pages(&format!("/v1/rooms/{room}/players"), "players", ask)?,
            What::Residence { room } => print(&ask(&format!("/v1/rooms/{room}/residence"), None)?),
            command => print(&ask("/v1/commands", Some(&self.body(command)))?),
        }
        Ok(())
    }

    fn body(&self, command: &What) -> Value {
        let mut body = match command {
            What::Kick {
                connection: Some(connection),
                ..
            } => json!({"do": "kick", "connection": connection}),
            What::Kick { room, player, .. } => {
                json!({"do": "kick", "room": room, "player": player})
            }
            What::Ban {
                connection,
                address,
                time,
            } => {
                let seconds = time.as_millis().div_ceil(1_000);
                match address {
                    Some(address) => json!({"do": "ban", "address": address, "seconds": seconds}),
                    None => json!({"do": "ban", "connection": connection, "seconds": seconds}),
                }
            }
            What::CloseRoom { room } => json!({"do": "close_room", "room": room}),
            What::Say { room, text } => json!({"do": "say", "room": room, "text": text}),
            What::Notice { text } => json!({"do": "notice", "text": text}),
            What::Drain { delay, spread } => json!({
                "do": "drain",
                "delay_ms": delay.map(Millis::as_millis),
                "spread_ms": spread.map(Millis::as_millis),
            }),
            What::Undrain => json!({"do": "undrain"}),
            What::Reload => json!({"do": "reload"}),
            What::Status
            | What::Rooms
            | What::Ends
            | What::Players { .. }
            | What::Residence { .. } => json!({}),
        };
        let id = self.id.clone();
        body["id"] = json!(id.unwrap_or_else(|| format!("{:016x}", fastrand::u64(..))));
        body
    }
}

/// The answer, if it is one.
fn heard(reply: Reply) -> Result<Value, Unheard> {
    let refused = |reply: &Reply| Unheard::Refused(reply.status, reply.text.trim().to_owned());
    if reply.status != 200 {
        return Err(refused(&reply));
    }
    serde_json::from_str(&reply.text).map_err(|_| refused(&reply))
}

/// Prints the rows of all pages.
fn pages(
    path: &str,
    rows: &str,
    ask: impl Fn(&str, Option<&Value>) -> Result<Value, Unheard>,
) -> Result<(), Unheard> {
    let mut next = Some(String::new());
    while let Some(from) = next {
        let page = match from.as_str() {
            "" => ask(path, None)?,
            from => ask(&format!("{path}?from={from}"), None)?,
        };
        page[rows].as_array().into_iter().flatten().for_each(print);
        next = page["next"].as_str().map(str::to_owned);
    }
    Ok(())
}

fn print(value: &Value) {
    // A closed standard output wants nothing.
    let _ = writeln!(io::stdout(), "{value}");
}
