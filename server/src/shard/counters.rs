//! What a shard has seen and done, in plain numbers.

use super::Ends;

/// Totals since the shard began, if nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted from a listener.
    pub accepted: u64,
    /// Connections closed as they came, because too many of their address had no seat.
    pub thronged: u64,
    /// Connections adopted from other reactors.
    pub adopted: u64,
    /// TLS sessions agreed on from scratch.
    pub tls_full: u64,
    /// TLS sessions resumed.
    pub tls_resumed: u64,
    /// Messages received whole.
    pub messages: u64,
    /// Writes offered to sockets.
    pub writes: u64,
    /// Bytes that came from sockets.
    pub received: u64,
    /// Bytes that sockets took.
    pub sent: u64,
    /// Rooms with members, as of the last iteration.
    pub rooms: u64,
    /// Bytes of batches that only slow receivers still refer to, now.
    pub pinned: u64,
    /// Connections that end and hold more than a little that their peers have not taken, now.
    pub lingering: u64,
    /// Connections that were reset at their end because their peers took too little of what was left.
    pub cut_off: u64,
    /// Times that a connection was read no further because it had sent more than it may in a second.
    pub delayed: u64,
    /// Ends of connections, by their reasons.
    pub ends: Ends,
}

impl Counters {
    /// Adds another shard's totals.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.thronged += other.thronged;
        self.adopted += other.adopted;
        self.tls_full += other.tls_full;
        self.tls_resumed += other.tls_resumed;
        self.messages += other.messages;
        self.writes += other.writes;
        self.received += other.received;
        self.sent += other.sent;
        self.rooms += other.rooms;
        self.pinned += other.pinned;
        self.lingering += other.lingering;
        self.cut_off += other.cut_off;
        self.delayed += other.delayed;
        self.ends.add(&other.ends);
    }
}
