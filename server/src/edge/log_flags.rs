//! Flags of logs: how much they say, and how.
//!
//! Owns: how these are called and told. Must not know: what is logged.

use clap::{Args, ValueEnum};

use crate::shard::{Addresses, Naming, RoomNames};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What log lines say of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogAddresses {
    /// The network: /24 of IPv4, /48 of IPv6.
    Cut,
    /// All of it.
    Whole,
}

/// What log lines say of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogRooms {
    /// A number, the same for a room as long as the process lives.
    Hashed,
    /// The name.
    Plain,
}

/// How much is logged. Nothing is ever logged per message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What needs an operator.
    Error,
    /// What may need one soon.
    Warn,
    /// Start and end of the process.
    Info,
    /// The end of every connection: who, why, how much.
    Debug,
    /// Everything; for now the same.
    Trace,
}

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub struct LogFlags {
    /// How log lines look
    #[arg(long, env = "ROOMCAST_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, help_heading = "Logs")]
    pub(super) log_format: LogFormat,

    /// How much is logged
    #[arg(long, env = "ROOMCAST_LOG_LEVEL", value_enum, default_value_t = LogLevel::Info, help_heading = "Logs")]
    pub(super) log_level: LogLevel,

    /// How much of a peer's address log lines say
    #[arg(long, env = "ROOMCAST_LOG_ADDRESSES", value_enum, default_value_t = LogAddresses::Cut, help_heading = "Logs")]
    log_addresses: LogAddresses,

    /// How log lines name rooms, whose names may be secrets or names of people
    #[arg(long, env = "ROOMCAST_LOG_ROOMS", value_enum, default_value_t = LogRooms::Hashed, help_heading = "Logs")]
    log_rooms: LogRooms,
}

impl LogFlags {
    /// How log lines name connections.
    pub(super) fn naming(&self) -> Naming {
        let addresses = match self.log_addresses {
            LogAddresses::Cut => Addresses::Cut,
            LogAddresses::Whole => Addresses::Whole,
        };
        let rooms = match self.log_rooms {
            LogRooms::Hashed => RoomNames::Hashed,
            LogRooms::Plain => RoomNames::Plain,
        };
        Naming::new(addresses, rooms)
    }
}
