//! From the door to a seat: the first packet of a connection, and what it is answered.

use roomcast_protocol::frame::MessageKind;
use roomcast_protocol::v1::{Life, List, Name, Pairs, Token, down, up};

use super::{BadPacket, Ending};
use crate::delivery::Dialect;
use crate::limits::NEWCOMER_GRACE_MS;
use crate::planted::{self, Fault};
use crate::room::v1::{self, Candidacy, Occasion, Return, RoomId};
use crate::shard::connection::{Closing, Phase};
use crate::shard::player::{Link, Place, PlayerId};
use crate::shard::{CloseReason, Shard};
use crate::transport;

/// What a spectator's JOIN comes to: who only receives says nothing about itself either.
fn unsaid<'j>(join: &up::Join<'j>) -> up::Join<'j> {
    up::Join {
        name: Name::NONE,
        properties: List::EMPTY,
        wishes: Pairs::EMPTY,
        ..*join
    }
}

impl Shard {
    /// A connection that chose roomcast.v1 waits at the door of its room for its first packet. If its head has taken all
    /// of the time for both, a round trip is left for that: it may have waited for us.
    pub(in crate::shard) fn stand_at_door(&mut self, slot: u32, name: &str) -> PlayerId {
        let grace = self.common.limits.handshake_ms.min(NEWCOMER_GRACE_MS);
        let least = self.now32().wrapping_add(grace);
        let deadline = &mut self.connections[slot as usize].deadline;
        if (least.wrapping_sub(*deadline) as i32) > 0 {
            *deadline = least;
        }
        let room = self.v1.rooms.open(name);
        self.v1.rooms[room].at_door += 1;
        self.place(slot, Place::Door { room }, Dialect::Raw)
    }

    /// A raw player takes a seat in a roomcast.v1 room that lets it in.
    pub(in crate::shard) fn enter_mixed(&mut self, slot: u32, name: &str) -> PlayerId {
        let id = self.players.vacant_key() as PlayerId;
        let now = self.now32();
        let room = self.v1.rooms.open(name);
        let token = Token(self.v1.secrets.bytes());
        let seat = self.v1.rooms[room].join_raw(id, token, now, &self.v1.rules);
        self.v1.touch(room, self.now);
        self.place(slot, Place::V1 { room, seat }, Dialect::Raw)
    }

    /// The first message of a connection at a door.
    pub(in crate::shard) fn join_v1(
        &mut self,
        slot: u32,
        id: RoomId,
        kind: MessageKind,
        message: &[u8],
    ) {
        let joined = match up::decode(message).map(|mut packets| (packets.next(), packets.next())) {
            _ if kind == MessageKind::Text => Err(BadPacket::Text.into()),
            Err(malformed) | Ok((Some(Err(malformed)), _)) => Err(malformed.into()),
            Ok((Some(Ok(up::Packet::Join(join))), None)) => self.seat_v1(slot, id, &join),
            Ok(_) => Err(BadPacket::NoJoin.into()),
        };
        if let Err(ending) = joined {
            self.end_v1(slot, ending);
        }
    }

    /// Closes, and says what was wrong.
    pub(in crate::shard) fn end_v1(&mut self, slot: u32, ending: Ending) {
        match ending {
            Ending::Reason(reason) => self.close(slot, reason),
            Ending::Bad(bad) => {
                self.close_saying(slot, CloseReason::BadPacket, &bad.to_string());
            }
            Ending::Full(players) => {
                let words = format!("the room is full ({players} of {players})");
                self.close_saying(slot, CloseReason::RoomFull, &words);
            }
        }
    }

    fn seat_v1(&mut self, slot: u32, id: RoomId, join: &up::Join<'_>) -> Result<(), Ending> {
        let Phase::Open(door) = self.connections[slot as usize].phase else {
            return Ok(());
        };
        let now = self.now32();
        let spectates = self.guards.spectates(slot);
        let join = &if spectates { unsaid(join) } else { *join };
        let room = &mut self.v1.rooms[id];
        let is_new = room.players() == 0;
        let known = join
            .back
            .and_then(|back| Some((room.find(&back.token)?, back.cursor)));
        let (seat, welcome) = if let Some((seat, cursor)) = known {
            if cursor.is_some_and(|cursor| room.is_behind(cursor)) {
                return Err(BadPacket::AheadOfLog.into());
            }
            let player = room[seat].player;
            if self.is_late(slot, player) {
                return Err(CloseReason::Replaced.into());
            }
            self.players.remove(door as usize);
            self.player_timers.disarm(door);
            self.link(player, slot);
            let room = &mut self.v1.rooms[id];
            match room.attach(seat, join, spectates, now, &self.v1.rules) {
                Return::Resumed => (seat, None),
                Return::Welcomed(reset) => (seat, Some((reset, false))),
            }
        } else {
            if join.back.is_some_and(|back| room.bars(&back.token)) {
                return Err(CloseReason::Barred.into());
            }
            if self.rooms.find(room.name()).is_some() {
                return Err(CloseReason::OtherDialect.into());
            }
            match join.mode {
                up::Mode::Join if is_new => return Err(CloseReason::NoSuchRoom.into()),
                up::Mode::Create if !is_new => return Err(CloseReason::RoomExists.into()),
                _ if is_new && spectates => return Err(CloseReason::NobodyPlays.into()),
                _ => {}
            }
            if is_new {
                let (connection, common) = (&self.connections[slot as usize], &self.common);
                let maker = self.bearers.source(slot, connection, &common.sources);
                self.makers.make(id, maker, common)?;
                let life = Life(self.v1.secrets.bytes());
                room.create(life, join.wishes, (id, self.now), &self.v1.rules);
            } else if room.is_locked() && !planted::is(Fault::Ajar) {
                return Err(CloseReason::RoomLocked.into());
            } else if room.is_full() {
                return Err(Ending::Full(room.players()));
            }
            let token = Token(self.v1.secrets.bytes());
            let candidacy = Candidacy::new(join.minor, spectates);
            let seat = room.join(door, join, (token, candidacy), now, &self.v1.rules);
            if is_new {
                self.list_room(id);
            }
            self.players[door as usize].place = Place::V1 { room: id, seat };
            self.brings_pressure(door);
            let reset = join.back.map(|_| down::reset::GONE);
            (seat, Some((reset, is_new)))
        };
        let room = &mut self.v1.rooms[id];
        room.at_door -= 1;
        if let Some((reset, created)) = welcome {
            self.welcome_v1(slot, id, seat, reset, created);
        }
        self.list(slot);
        self.v1.touch(id, self.now);
        self.begin_stay(slot);
        self.rearm(slot);
        Ok(())
    }

    /// Whether the client of this connection gave it up for the one by which its player is reached: its first packet took longer.
    fn is_late(&self, slot: u32, player: PlayerId) -> bool {
        let who = |slot: u32| &self.connections[slot as usize].who;
        match self.players[player as usize].link {
            Link::Here(other) => who(slot).came_before(who(other), self.common.reactors as u64),
            Link::Away { .. } => false,
        }
    }

    /// A player is reached over the connection in this slot from here on. If its old one still stands, that has no player
    /// any more: nothing that it may still bring is applied.
    fn link(&mut self, id: PlayerId, slot: u32) {
        match self.players[id as usize].link {
            Link::Here(_) if planted::is(Fault::DeadSpeaks) => {}
            Link::Here(old) => {
                self.unburden(id, old);
                self.note(old, CloseReason::Replaced, None);
                self.connections[old as usize].phase =
                    Phase::Closing(Closing::Flush, Box::default());
                self.common.return_seat();
                self.close(old, CloseReason::Replaced);
            }
            Link::Away { .. } => {
                self.player_timers.disarm(id);
                self.common.return_away();
            }
        }
        self.players[id as usize].link = Link::Here(slot);
        self.connections[slot as usize].phase = Phase::Open(id);
    }

    /// Queues a welcome.
    pub(super) fn welcome_v1(
        &mut self,
        slot: u32,
        id: RoomId,
        seat: v1::Seat,
        reset: Option<u64>,
        created: bool,
    ) {
        let occasion = Occasion {
            reset,
            created,
            time: self.now * 1_000,
        };
        let outbox = &mut self.connections[slot as usize].outbox;
        let room = &mut self.v1.rooms[id];
        room.welcome(seat, occasion, &self.v1.rules, &mut |message| {
            outbox.push(|out| {
                transport::encode_binary_head(out, message.len());
                out.extend_from_slice(message);
            });
        });
    }
}
