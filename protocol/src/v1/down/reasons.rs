//! The numbers by which a relay says why, and what it can do.
//!
//! Owns: all of them that are built.
//! Must not know: packets.
//! Invariant: a number keeps its meaning for ever; a client may meet others.

/// Reasons of [`Packet::Left`](super::Packet::Left).
pub mod left {
    /// It wanted to go.
    pub const LEFT: u64 = 0;
    /// It did not come back in time.
    pub const GRACE_OVER: u64 = 1;
    /// The host has put it out.
    pub const KICKED: u64 = 2;
}

/// Reasons of [`Packet::Reset`](super::Packet::Reset).
pub mod reset {
    /// The client was too far behind.
    pub const BEHIND: u64 = 1;
    /// The log no longer reaches back to the client's cursor.
    pub const LOG: u64 = 2;
    /// Nobody has this token: the client is somebody new.
    pub const GONE: u64 = 3;
}

/// Reasons of [`Packet::Refused`](super::Packet::Refused).
pub mod refused {
    /// A guard did not hold.
    pub const GUARD: u64 = 1;
    /// The player that it was for is gone.
    pub const PLAYER_GONE: u64 = 2;
    /// Not for this player to do.
    pub const NOT_ALLOWED: u64 = 3;
    /// Over a limit.
    pub const LIMIT: u64 = 4;
    /// This relay does not offer it.
    pub const NOT_OFFERED: u64 = 5;
    /// Its sender is not the host, or no longer.
    pub const NOT_HOST: u64 = 6;
}

/// Bits of [`Welcome::capabilities`](super::Welcome::capabilities).
pub mod capability {
    /// The relay plays a bad network on request.
    pub const IMPAIRMENT: u64 = 1;
    /// States: their kinds up may be sent.
    pub const STATES: u64 = 2;
    /// Groups: the same.
    pub const GROUPS: u64 = 4;
    /// Hosts: the same.
    pub const HOSTS: u64 = 8;
    /// Ticks: the same.
    pub const TICKS: u64 = 16;
}
