//! How players of the test dialect come back, in tests only: it proves that a player is something else than its
//! connection. What players of a program's dialect prove about themselves before they may, and what they get of what they
//! missed, belongs to that dialect.

use roomcast_protocol::frame::{self, Opcode};
use roomcast_protocol::upgrade::Upgrade;

use super::Shard;
use super::player::{Link, PlayerId, RoomRef};
use crate::delivery::Dialect;
use crate::room::RoomId;

/// Who offers it speaks the test dialect: a first frame says which player it is, and in each message four bytes before
/// the payload say whose it is.
pub(super) const SUBPROTOCOL: &str = "roomcast.test";
/// Who offers this beside it, with a player's number behind it, is that player.
const RETURNS: &str = "roomcast.test.player-";
/// How long a seat is kept (ms).
pub(super) const GRACE_MS: u32 = 10_000;

pub(super) fn dialect(upgrade: &Upgrade<'_>, in_a_room: bool) -> Dialect {
    if in_a_room && upgrade.protocols().any(|name| name == SUBPROTOCOL) {
        Dialect::Test
    } else {
        Dialect::Raw
    }
}

pub(super) fn returns(upgrade: &Upgrade<'_>) -> Option<PlayerId> {
    let number = |name: &str| name.strip_prefix(RETURNS)?.parse().ok();
    upgrade.protocols().find_map(number)
}

impl Shard {
    /// Links a player who is away to the connection in this slot. `None` if there is none of that number in the room.
    pub(super) fn reattach(&mut self, slot: u32, id: PlayerId, room: RoomId) -> Option<PlayerId> {
        let player = self.players.get_mut(id as usize)?;
        if player.room() != Some(RoomRef::Batches(room))
            || !matches!(player.link, Link::Away { .. })
        {
            return None;
        }
        player.link = Link::Here(slot);
        self.player_timers.disarm(id);
        // It has had its seat all the time.
        self.common.return_seat();
        Some(id)
    }

    /// Tells a player which one it is.
    pub(super) fn welcome(&mut self, slot: u32, id: PlayerId) {
        if self.players[id as usize].dialect == Dialect::Test {
            let outbox = &mut self.connections[slot as usize].outbox;
            outbox.push_own(|out| frame::encode(out, Opcode::Binary, &id.to_be_bytes()));
        }
    }
}
