//! Flags of `roomcast.v1`: what its rooms and players may have.
//!
//! Owns: how these are called and told. Must not know: what they do.

use clap::Args;

use super::units::{Bytes, Millis, parse_count};
use crate::limits::Limits;

/// What rooms and players of `roomcast.v1` may have.
#[derive(Debug, Clone, Args)]
pub(super) struct V1Flags {
    /// roomcast.v1: packets that a player may send in a second, and twice as many at once; who goes on beyond that is read
    /// later, then closed with 1008
    #[arg(long, env = "ROOMCAST_PACKETS_PER_SECOND", default_value_t = Limits::default().packets_per_second, value_name = "N",
        help_heading = "Limits", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    packets_per_second: u32,

    /// roomcast.v1: the state of its game that a room keeps for its next host and for who joins late; a larger one is
    /// refused. It comes in one message, so --max-message bounds it too
    #[arg(
        long,
        env = "ROOMCAST_SNAPSHOT_MAX",
        default_value = "64KiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    snapshot_max: Bytes,

    /// roomcast.v1: the same of all rooms together; beyond it a new one is refused
    #[arg(
        long,
        env = "ROOMCAST_SNAPSHOTS_MAX",
        default_value = "128MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    snapshots_max: Bytes,

    /// roomcast.v1: what was said lately in a room, kept for players who lost their connection; who has missed more gets
    /// a fresh welcome
    #[arg(
        long,
        env = "ROOMCAST_LOG_MAX",
        default_value = "1MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    log_max: Bytes,

    /// roomcast.v1: the same of all rooms together; beyond it a room in which something is said keeps only its last 128 KiB
    #[arg(
        long,
        env = "ROOMCAST_LOGS_MAX",
        default_value = "512MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    logs_max: Bytes,

    /// roomcast.v1: keys of one player's states; a state under a further one is refused
    #[arg(long, env = "ROOMCAST_STATE_KEYS", default_value_t = Limits::default().state_keys, value_name = "N",
        help_heading = "Limits")]
    state_keys: usize,

    /// roomcast.v1: groups that a player may be in at once
    #[arg(long, env = "ROOMCAST_GROUPS", default_value_t = Limits::default().groups_max, value_name = "N",
        help_heading = "Limits")]
    groups: usize,

    /// roomcast.v1: the newest values of one player's states; what goes beyond is refused
    #[arg(
        long,
        env = "ROOMCAST_STATE_MAX",
        default_value = "16KiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    state_max: Bytes,

    /// roomcast.v1: the same of all states of a room, its players' and its own; who joins is told all of them
    #[arg(
        long,
        env = "ROOMCAST_ROOM_STATE_MAX",
        default_value = "256KiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    room_state_max: Bytes,

    /// roomcast.v1: rooms at once; who would make a further one is closed with 1013
    #[arg(long, env = "ROOMCAST_MAX_ROOMS", default_value_t = Limits::default().max_rooms, value_name = "N",
        help_heading = "Limits", value_parser = parse_count)]
    max_rooms: usize,

    /// roomcast.v1: rooms with a tag, which /rooms lists and /match sends players to; a further one is made without. 0: none
    #[arg(long, env = "ROOMCAST_LISTED_ROOMS", default_value_t = Limits::default().listed_rooms, value_name = "N",
        help_heading = "Limits")]
    listed_rooms: usize,

    /// roomcast.v1: players at once that lost their connection and may come back; further ones leave at once
    #[arg(long, env = "ROOMCAST_MAX_AWAY", default_value_t = Limits::default().max_away, value_name = "N",
        help_heading = "Limits")]
    max_away: usize,

    /// roomcast.v1: how long a player that lost its connection keeps its seat. 0: not at all
    #[arg(
        long,
        env = "ROOMCAST_GRACE",
        default_value = "30s",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    grace: Millis,

    /// roomcast.v1: how long a host that lost its connection keeps the role, unless its room wants it otherwise; then who
    /// would have it is the host. 0: not at all
    #[arg(
        long,
        env = "ROOMCAST_HOST_GRACE",
        default_value = "1s",
        value_name = "TIME",
        help_heading = "Timers"
    )]
    host_grace: Millis,

    /// roomcast.v1: let players ask for a bad network for themselves, to try games on it: delay, jitter, a slow line, a cut.
    /// Not for production: such a player holds up to 256 KiB more
    #[arg(long, env = "ROOMCAST_ALLOW_IMPAIRMENT", help_heading = "Limits")]
    pub(super) allow_impairment: bool,
}

impl V1Flags {
    /// These bounds among others.
    pub(super) fn bounds(&self, others: Limits) -> Limits {
        Limits {
            grace_ms: self.grace.as_millis(),
            host_grace_ms: self.host_grace.as_millis(),
            max_away: self.max_away,
            max_rooms: self.max_rooms,
            listed_rooms: self.listed_rooms,
            packets_per_second: self.packets_per_second,
            state_keys: self.state_keys,
            groups_max: self.groups,
            state_bytes_max: self.state_max.get(),
            room_state_bytes_max: self.room_state_max.get(),
            snapshot_bytes_max: self.snapshot_max.get(),
            snapshots_bytes_max: self.snapshots_max.get(),
            log_bytes_max: self.log_max.get(),
            logs_bytes_max: self.logs_max.get(),
            ..others
        }
    }
}
