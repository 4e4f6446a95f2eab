//! What a connection is owed by the clock: keep-alives, acknowledgements, and being read again.

use crate::room::v1::{self, RoomId};
use crate::shard::Shard;
use crate::shard::connection::Connection;
use crate::shard::player::RoomRef;
use crate::shard::pressure::Reading;

impl Shard {
    /// Milliseconds until the connection of this player has to be looked at for its sake; a raw one's is pinged.
    pub(in crate::shard) fn v1_wait(
        &self,
        connection: &Connection,
        id: RoomId,
        seat: v1::Seat,
        ping: u32,
    ) -> u32 {
        let now = self.now32();
        let player = &self.v1.rooms[id][seat];
        let left = |at: u32| (at.wrapping_sub(now) as i32).max(0) as u32;
        let mut wait = match player.raw {
            true => ping,
            false => player.keep_alive_at().map_or(ping, left),
        };
        if let Some(at) = player.ack_at() {
            wait = wait.min(left(at));
        }
        if connection.reading == Reading::Paused {
            let broke = player.budget.wait(now, self.v1.rules.rate);
            if broke > 0 {
                wait = wait.min(broke);
            }
        }
        wait
    }

    /// The timer of a player's connection has expired: what it is owed by now. False if it has no heartbeat of its own.
    pub(in crate::shard) fn look_at_v1(&mut self, slot: u32, id: RoomId, seat: v1::Seat) -> bool {
        let now = self.now32();
        let player = &mut self.v1.rooms[id][seat];
        let due = |at: u32| now.wrapping_sub(at) as i32 >= 0;
        let raw = player.raw;
        if !raw {
            player.keep_alive(now);
        }
        player.owed.ack |= player.ack_at().is_some_and(due);
        let broke = player.budget.wait(now, self.v1.rules.rate) > 0;
        if self.connections[slot as usize].reading == Reading::Paused && !broke {
            self.unpause(slot, Some(RoomRef::V1(id)));
        }
        if self.v1.rooms[id].owes(seat) {
            self.list(slot);
        }
        !raw
    }
}
