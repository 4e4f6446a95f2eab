//! What a shard has seen and done, in plain numbers.

use super::DisconnectReason;

/// Totals since the shard began, if nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted from a listener.
    pub accepted: u64,
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
    /// Ends of connections, by [`DisconnectReason::LABELS`].
    pub disconnects: [u64; DisconnectReason::LABELS.len()],
}

impl Counters {
    /// Adds another shard's totals.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.adopted += other.adopted;
        self.tls_full += other.tls_full;
        self.tls_resumed += other.tls_resumed;
        self.messages += other.messages;
        self.writes += other.writes;
        self.received += other.received;
        self.sent += other.sent;
        self.rooms += other.rooms;
        self.pinned += other.pinned;
        for (sum, count) in self.disconnects.iter_mut().zip(other.disconnects) {
            *sum += count;
        }
    }
}
