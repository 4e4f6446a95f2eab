//! What connections hold, and by which doors they came: sums that nobody keeps while things change.
//!
//! Owns: how far the connections were looked at. Must not know: who reads it. Invariant: one publication looks at no more than
//! [`STOCK_LOOKS`] connections, however many there are; so with many of them what is told is as of some seconds ago.

use super::Shard;
use super::connection::Phase;
use crate::limits::{DOORS_TOLD, STOCK_LOOKS};

/// What all connections hold, and how many there are at each door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// Bytes that wait for peers who do not take them.
    pub waiting: u64,
    /// Bytes of frames and messages that have not come whole, or have not been heard.
    pub input: u64,
    /// By the number of the door; the last one stands for all further ones.
    pub doors: [AtDoor; DOORS_TOLD],
}

/// Who came by one door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AtDoor {
    /// In any phase.
    pub connections: u64,
    /// With a seat.
    pub players: u64,
}

impl Stock {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.waiting += other.waiting;
        self.input += other.input;
        for (own, other) in self.doors.iter_mut().zip(other.doors) {
            own.connections += other.connections;
            own.players += other.players;
        }
    }
}

/// A look at all connections that goes on from publication to publication.
#[derive(Debug, Default)]
pub(super) struct Stocktaking {
    at: usize,
    stock: Stock,
}

impl Shard {
    /// Bytes held for the connection in this slot and its player: charged for what waits, and of input: an incomplete
    /// frame or message, and what has not been heard.
    pub fn held(&self, slot: u32) -> (usize, usize) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return (0, 0);
        };
        let mut charged = connection.outbox.charged() + self.v1.impairments.held(slot);
        charged += self.sessions.held(slot);
        if let Phase::Open(player) = connection.phase {
            charged += self.players[player as usize].lanes.charged();
        }
        let content = match &connection.phase {
            Phase::Exchange(exchange) => exchange.held(),
            Phase::Http2(multiplex) => multiplex.held(),
            _ => 0,
        };
        let input = connection.decoder.buffered() + self.unread.held(slot) + content;
        (charged, input)
    }

    /// Goes on looking at connections, and notes what was found once each was looked at.
    pub(super) fn look_at_connections(&mut self) {
        let Stocktaking { at, mut stock } = std::mem::take(&mut self.stocktaking);
        let until = at + STOCK_LOOKS;
        for slot in at..until.min(self.connections.capacity()) {
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            let (waiting, input) = self.held(slot as u32);
            stock.waiting += waiting as u64;
            stock.input += input as u64;
            let door = usize::from(connection.who.door).min(DOORS_TOLD - 1);
            stock.doors[door].connections += 1;
            stock.doors[door].players += u64::from(matches!(connection.phase, Phase::Open(_)));
        }
        if until < self.connections.capacity() {
            self.stocktaking = Stocktaking { at: until, stock };
        } else {
            self.counters.stock = stock;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::fixture::{members, seated};
    use crate::transport::Port;

    #[test]
    fn every_connection_is_looked_at_a_portion_at_a_time() {
        let mut shard = members();
        let strangers = STOCK_LOOKS + 10;
        for n in 0..strangers {
            let slot = shard.accept(Port::Plain, None);
            shard.came_by(slot, n % 3 * DOORS_TOLD);
        }
        let mut looks = 0;
        while shard.counters().stock == Stock::default() {
            shard.look_at_connections();
            looks += 1;
        }
        assert_eq!(looks, shard.connections.capacity().div_ceil(STOCK_LOOKS));
        let doors = shard.counters().stock.doors;
        let first = AtDoor {
            connections: 2 + strangers.div_ceil(3) as u64,
            players: 2,
        };
        assert_eq!(doors[0], first);
        let all: u64 = doors.iter().map(|door| door.connections).sum();
        assert_eq!(all, strangers as u64 + 2);
        assert_eq!(doors[DOORS_TOLD - 1].connections, all - first.connections);
    }

    #[test]
    fn what_waits_and_what_has_come_in_part_is_found() {
        let mut shard = members();
        let slow = seated(&mut shard, "arena");
        // The beginning of a message of 4 KiB.
        shard.receive(slow, &mut [0x82, 0xfe, 0x10, 0, 1, 2, 3, 4, 5]);
        let (waiting, input) = shard.held(slow);
        assert!(waiting > 0 && input > 0, "the answer to its request waits");
        while shard.counters().stock == Stock::default() {
            shard.look_at_connections();
        }
        let stock = shard.counters().stock;
        assert_eq!((stock.waiting, stock.input), (waiting as u64, input as u64));
    }
}
