//! What a shard has seen and done, in plain numbers.

use super::{Ends, Histogram, Stock};
use crate::limits::BATCH_SIZES;

/// Totals since the shard began, if nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted from a listener.
    pub accepted: u64,
    /// Connections closed as they came, because too many of their address had no seat.
    pub thronged: u64,
    /// Connections closed as they came, because there was no room even to answer them.
    pub crowded: u64,
    /// Connections closed as they came, because the mailbox of the reactor that they were dealt to was full.
    pub undealt: u64,
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
    /// Connections accepted that speak TLS.
    pub accepted_tls: u64,
    /// Batches of raw rooms, by how many messages were in each.
    pub batches: BatchSizes,
    /// Players who are behind and still take bytes, now.
    pub pressing: u64,
    /// Players who are read no further because their room presses, or for what they send, now.
    pub paused: u64,
    /// Bytes of what was said lately in roomcast.v1 rooms, now.
    pub logged: u64,
    /// Bytes of their snapshots, now.
    pub snapshots: u64,
    /// Bytes of the buffers that wait for the next batches, now.
    pub spare: u64,
    /// What connections hold, as of some seconds ago.
    pub stock: Stock,
    /// Messages that were written, by how long they were here: each as often as there were receivers.
    pub residence: Histogram,
    /// Ends of connections, by their reasons.
    pub ends: Ends,
    /// How the reactor's loop goes, as it says.
    pub pace: Pace,
}

/// Batches by how many messages are in each: up to 1, 2, 4 and so on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchSizes {
    counts: [u64; BATCH_SIZES],
    messages: u64,
}

impl BatchSizes {
    /// One more, of so many messages.
    #[inline]
    pub fn note(&mut self, messages: u32) {
        let doublings = messages.next_power_of_two().trailing_zeros() as usize;
        self.counts[doublings.min(BATCH_SIZES - 1)] += 1;
        self.messages += u64::from(messages);
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts) {
            *own += other;
        }
        self.messages += other.messages;
    }

    /// Batches.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Messages in all of them.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Batches of at most so many messages, and of more than the row before says; the last row has no end.
    pub fn rows(&self) -> impl Iterator<Item = (Option<u32>, u64)> + '_ {
        let ends = (0..BATCH_SIZES - 1).map(|doublings| Some(1 << doublings));
        ends.chain([None]).zip(self.counts)
    }
}

/// How a reactor's loop goes. Times are of its own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Iterations.
    pub iterations: u64,
    /// Events that polls reported.
    pub events: u64,
    /// Microseconds from the ends of polls to the ends of their iterations.
    pub busy_us: u64,
    /// The longest of them in the last minute or two.
    pub longest_us: u64,
    /// By how much a poll overslept that nothing woke, at most, in the same time: timers are as late.
    pub late_us: u64,
    /// TLS handshakes, and request heads with tickets, that wait for their turn, now.
    pub handshakes_waiting: u64,
    /// Connections that wait to be accepted, now, where the system tells.
    pub queued: u64,
    /// Connections that could not go to another reactor, because its mailbox was full.
    pub mails_refused: u64,
}

impl Counters {
    /// Adds another shard's totals; each reactor keeps a pace of its own.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.thronged += other.thronged;
        self.crowded += other.crowded;
        self.undealt += other.undealt;
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
        self.accepted_tls += other.accepted_tls;
        self.batches.add(&other.batches);
        self.pressing += other.pressing;
        self.paused += other.paused;
        self.logged += other.logged;
        self.snapshots += other.snapshots;
        self.spare += other.spare;
        self.stock.add(&other.stock);
        self.residence.add(&other.residence);
        self.ends.add(&other.ends);
    }
}
