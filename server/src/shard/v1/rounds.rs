//! Bundles out: whose turn it is, and what becomes of what its socket did not take.

use roomcast_protocol::frame::MessageKind;
use roomcast_protocol::v1::{Payload, down};

use super::V1;
use crate::delivery::{Dialect, Said};
use crate::limits::{BUNDLES_PER_WRITE, FANOUT_BUDGET, FANOUT_PORTION, SEAL_PORTION};
use crate::planted::{self, Fault};
use crate::room::v1::{self, Behind, RoomId, Seat, Shared};
use crate::shard::flush::Current;
use crate::shard::player::{Link, RoomRef};
use crate::shard::pressure::Pressure;
use crate::shard::{CloseReason, EndReason, Shard};
use crate::transport::{self, Security};

impl Shard {
    /// The next connection of a round with something to write; None when this iteration's rounds are done. Who has taken
    /// everything so far is given what the others get, most often.
    #[inline(never)]
    pub(in crate::shard) fn next_in_rounds(&mut self) -> Option<u32> {
        loop {
            let Self {
                v1,
                players,
                connections,
                flush,
                residence,
                now,
                ..
            } = self;
            let id = *v1.rounds.get(v1.at)?;
            if v1.served >= FANOUT_BUDGET {
                v1.at += 1;
                v1.served = 0;
                continue;
            }
            let room = v1.rooms.get_mut(id);
            let turn = room.and_then(|room| room.next_turn().map(|served| (room, served)));
            let Some((room, served)) = turn else {
                self.finish_round(id);
                continue;
            };
            v1.served += 1;
            let player = &mut players[served.player as usize];
            if planted::is(Fault::AwayGrows) && matches!(player.link, Link::Away { .. }) {
                player.lanes.push_event(&Default::default(), 0..0);
            }
            let Link::Here(slot) = player.link else {
                room.note_turn(served.seat);
                continue;
            };
            let connection = &connections[slot as usize];
            if matches!(player.pressure, Pressure::Clear)
                && connection.writable
                && connection.outbox.is_clear()
                && matches!(connection.security, Security::Plain)
            {
                let (share, now) = (&mut v1.share, *now as u32);
                // Else it was said in this iteration.
                let said_at = v1.is_carried.then(|| room.how_far(served.seat).1);
                match room.give_shared(served.seat, now, share) {
                    Shared::All(covered) => {
                        let since = residence.since(said_at.flatten().unwrap_or(now), now);
                        let messages = covered.max(1);
                        residence.note(RoomRef::V1(id), Said { since, messages });
                        share.cover(covered, transport::encode_binary_head);
                        v1.served += (share.message().len() / FANOUT_PORTION) as u32;
                        flush.current = Current::Shared(slot);
                        return Some(slot);
                    }
                    Shared::Nothing => continue,
                    Shared::Else => {}
                }
            }
            room.note_turn(served.seat);
            if self.offer_bundles(slot, id, served.seat) {
                return Some(slot);
            }
        }
    }

    /// All players of a room have had their turn.
    #[inline(never)]
    fn finish_round(&mut self, id: RoomId) {
        self.v1.rounds.swap_remove(self.v1.at);
        self.v1.served = 0;
        if self.v1.rooms.get(id).is_some() {
            self.unpause_room(RoomRef::V1(id));
        }
    }

    /// Whether a player can be given what it has not had, now. Who gets nothing on this tick is watched all the same: what was said
    /// to it since its round began has no other turn.
    #[inline]
    fn takes_bundles(&mut self, slot: u32, id: RoomId, seat: Seat) -> bool {
        let V1 { rooms, rules, .. } = &mut self.v1;
        let room = &mut rooms[id];
        if !room.owes(seat) {
            room.watch(seat);
            return false;
        }
        let connection = &mut self.connections[slot as usize];
        if !(connection.writable || connection.carried && self.sessions.has_room(slot)) {
            match room.falls_behind(seat, rules) {
                Behind::States => {}
                Behind::Events => self.fell_behind(slot, false),
                Behind::TooFar => self.reset(slot, id, seat),
            }
            return false;
        }
        if !connection.outbox.is_clear() {
            // What waits there leaves first, in this very flush.
            room.watch(seat);
            self.write_on(slot);
            return false;
        }
        true
    }

    /// Offers a player what it has not had. True if it is to be written now.
    pub(in crate::shard) fn offer_bundles(&mut self, slot: u32, id: RoomId, seat: Seat) -> bool {
        if !self.takes_bundles(slot, id, seat) {
            return false;
        }
        let V1 {
            rooms,
            bundle,
            assembled,
            share,
            served,
            ..
        } = &mut self.v1;
        let room = &mut rooms[id];
        let connection = &mut self.connections[slot as usize];
        let before = room.how_far(seat);
        match room.give_shared(seat, self.now as u32, share) {
            Shared::All(covered) => {
                let begun = share.has_events() || room[seat].has_begun();
                room[seat].set_begun(begun);
                share.cover(covered, transport::encode_binary_head);
                assembled.clear();
                assembled.extend_from_slice(share.message());
            }
            Shared::Nothing => assembled.clear(),
            Shared::Else => {
                if !assemble((room, seat), self.now * 1_000, bundle, assembled) {
                    self.reset(slot, id, seat);
                    return false;
                }
            }
        }
        *served += (assembled.len() / FANOUT_PORTION) as u32;
        let given = (before, room.how_far(seat).0, assembled.is_empty());
        self.residence
            .note_given(RoomRef::V1(id), given, self.now as u32);
        match &mut connection.security {
            _ if assembled.is_empty() => {
                // What was said since was not for it: it has all there is.
                if !room.owes(seat) {
                    self.took_all(slot);
                }
                false
            }
            Security::Plain => {
                self.flush.current = Current::Bundles(slot);
                true
            }
            Security::Tls(tls) if tls.is_spent() => {
                self.close(slot, CloseReason::TlsSpent);
                false
            }
            Security::Tls(tls) if assembled.len() <= SEAL_PORTION => {
                let part = std::iter::once(&assembled[..]);
                if self.flush.sealer.seal_parts(tls, part) {
                    self.flush.current = Current::Sealed(slot);
                    return true;
                }
                // It would miss something. Only a fault of ours gets here.
                self.drop_connection(slot, EndReason::Internal);
                false
            }
            Security::Tls(_) => {
                let outbox = &mut connection.outbox;
                outbox.push(|out| out.extend_from_slice(assembled));
                self.write_on(slot);
                false
            }
        }
    }

    /// The socket took this much of what was assembled; the rest must leave before anything else.
    pub(in crate::shard) fn bundles_written(&mut self, slot: u32, written: usize) {
        let rest = &self.v1.assembled()[written..];
        if rest.is_empty() {
            self.took_all(slot);
        } else {
            let connection = &mut self.connections[slot as usize];
            connection.outbox.push_begun(rest);
            connection.writable = false;
            self.fell_behind(slot, written > 0);
        }
    }

    /// The socket took only this much of what several players get.
    #[cold]
    pub(in crate::shard) fn shared_written(&mut self, slot: u32, written: usize) {
        if let Some((room, seat)) = self.seat_of(slot) {
            let begun = self.v1.share.has_events();
            let player = &mut self.v1.rooms[room][seat];
            player.set_begun(begun || player.has_begun());
        }
        let rest = &self.v1.shared()[written..];
        let connection = &mut self.connections[slot as usize];
        connection.outbox.push_begun(rest);
        connection.writable = false;
        self.fell_behind(slot, written > 0);
    }

    /// A player is too far behind: it is told so and welcomed anew, once in a while.
    pub(in crate::shard) fn reset(&mut self, slot: u32, id: RoomId, seat: v1::Seat) {
        let now = self.now32();
        if self.v1.rooms[id][seat].is_raw() || !self.v1.rooms[id].may_be_reset(seat, now) {
            return self.close(slot, CloseReason::SlowConsumer);
        }
        let outbox = &mut self.connections[slot as usize].outbox;
        outbox.truncate_but(transport::keep_pongs);
        self.welcome_v1(slot, id, seat, Some(down::reset::BEHIND), false);
        // It begins anew, also to be behind.
        let player = self.v1.rooms[id][seat].player;
        if let Pressure::Behind { since, .. } = &mut self.players[player as usize].pressure {
            *since = now;
            self.arm_player(player);
        }
        let connection = &self.connections[slot as usize];
        if connection.writable || connection.carried && self.sessions.has_room(slot) {
            self.list(slot);
        } else {
            self.fell_behind(slot, false);
        }
    }
}

/// Assembles one write's worth for a player. False if the log no longer reaches back to where it is.
fn assemble(
    (room, seat): (&mut v1::Room, v1::Seat),
    time: u64,
    bundle: &mut v1::Bundle,
    assembled: &mut Vec<u8>,
) -> bool {
    assembled.clear();
    while assembled.len() < BUNDLES_PER_WRITE {
        if room.is_promised(seat) {
            room.give_snapshot(seat, &mut |message| {
                transport::encode_binary_head(assembled, message.len());
                assembled.extend_from_slice(message);
            });
            room[seat].set_begun(true);
        }
        if !room.next_bundle(seat, time, bundle) {
            return false;
        }
        if bundle.is_empty() {
            break;
        }
        if room[seat].is_raw() {
            for payload in room.messages(bundle) {
                let kind = match payload {
                    Payload::Text(_) => MessageKind::Text,
                    Payload::Bytes(_) => MessageKind::Binary,
                };
                transport::encode_message(Dialect::Raw, assembled, 0, kind, payload.bytes());
            }
        } else {
            transport::encode_binary_head(assembled, bundle.len());
            room.write_bundle(bundle, assembled);
        }
        // One bundle is all, most often.
        if !room.owes(seat) {
            break;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::limits::Limits;
    use crate::shard::Common;
    use crate::shard::fixture::{joined, write};

    /// Of those who come at once, all but the last are given the news of the others behind their welcomes, not in their turns.
    #[test]
    fn nobody_is_called_in_a_room_at_rest() {
        let common = Arc::new(Common::new(Limits::default(), 1));
        let mut shard = Shard::new(common, 0, 0, 7);
        for _ in 0..3 {
            joined(&mut shard, "lobby");
        }
        write(&mut shard);
        assert!(shard.v1.timers().next_deadline().is_some());
        for second in 1..15 {
            shard.advance(second * 1_000, second * 1_000);
            shard.expire();
            write(&mut shard);
        }
        assert_eq!(shard.v1.timers().next_deadline(), None);
        shard.accounts().expect("nothing is kept");
    }
}
