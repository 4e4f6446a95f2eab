//! Connections that speak roomcast.v1: from the door to a seat, packets in, bundles out.
//!
//! Here a room's players meet their connections. A player outlives its connection; which of the two ends is decided by
//! [`parting`] for every reason there is.

use std::hash::RandomState;
use std::mem;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::MessageKind;
use roomcast_protocol::v1::{Life, Malformed, PROPERTIES_MAX, Token, down, up};

use super::connection::{Closing, Connection, Phase};
use super::flush::Current;
use super::player::{Link, Place, PlayerId, RoomRef};
use super::pressure::{Pressure, Reading};
use super::{CloseReason, DisconnectReason, EndReason, Shard};
use crate::delivery::{Dialect, Outbox};
use crate::limits::{
    BUNDLES_PER_WRITE, FANOUT_BUDGET, FANOUT_PORTION, GOING_AWAY_MS, HEARD_WITHIN_MS,
    LOG_BYTES_MIN, Limits, PROPERTY_BYTES, ROOM_PROPERTY_BYTES, SEAL_PORTION,
};
use crate::room::v1::{
    self, Bounds, Bundle, Effect, Occasion, Rate, Return, RoomId, Rooms, Rules, Spent,
};
use crate::timer::Wheel;
use crate::transport::{self, Security};

/// What a client sent that no honest one sends: what 4006 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadPacket {
    /// Its bytes mean nothing.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A text message.
    #[error("a text message: all messages are binary")]
    Text,
    /// Something else than a JOIN, or more.
    #[error("the first message is a JOIN and nothing else")]
    NoJoin,
    /// Something before the JOIN was answered.
    #[error("a message before the JOIN was answered")]
    Early,
    /// Another JOIN.
    #[error("JOIN: this connection has joined")]
    JoinedTwice,
    /// A cursor that this room has not come to.
    #[error("JOIN: the cursor is ahead of the room")]
    AheadOfLog,
}

/// Why a roomcast.v1 connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Reason(CloseReason),
    Bad(BadPacket),
}

impl From<CloseReason> for Ending {
    fn from(reason: CloseReason) -> Self {
        Self::Reason(reason)
    }
}

impl From<BadPacket> for Ending {
    fn from(bad: BadPacket) -> Self {
        Self::Bad(bad)
    }
}

impl From<Malformed> for Ending {
    fn from(malformed: Malformed) -> Self {
        Self::Bad(malformed.into())
    }
}

/// What becomes of a player whose connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// It is gone.
    Leaves,
    /// It keeps its seat, for so many ms at most.
    Detaches(u32),
}

/// Whether a player leaves with its connection, for every reason. `code` is what its own close frame said.
fn parting(reason: DisconnectReason, code: Option<CloseCode>) -> Parting {
    use CloseReason::{
        BadPacket, BadText, Drain, EmptyFragments, Idle, Left, NoJoin, NoSuchRoom, OtherDialect,
        Replaced, RoomExists, RoomFull, SlowConsumer, TlsSpent, TooBig, TooManyPackets,
        TooManyRooms, Violation,
    };
    use EndReason::{
        Answered, ConnectionLost, Full, HandshakeRefused, HandshakeTimeout, Internal, Overloaded,
        PeerClosed, PeerGone, Refused, TlsHandshake, TlsTruncated, TlsViolation,
    };
    match reason {
        DisconnectReason::Close(Left) => Parting::Leaves,
        DisconnectReason::End(PeerClosed) => match code {
            Some(CloseCode::NORMAL) => Parting::Leaves,
            Some(CloseCode::GOING_AWAY) => Parting::Detaches(GOING_AWAY_MS),
            _ => Parting::Detaches(u32::MAX),
        },
        DisconnectReason::Close(
            BadPacket | BadText(_) | Drain | EmptyFragments(_) | Idle | SlowConsumer | TlsSpent
            | TooBig(_) | TooManyPackets | Violation(_),
        )
        | DisconnectReason::End(
            ConnectionLost | Internal | PeerGone | TlsTruncated | TlsViolation,
        ) => Parting::Detaches(u32::MAX),
        // Nobody has a seat then.
        DisconnectReason::Close(
            NoJoin | NoSuchRoom | OtherDialect | Replaced | RoomExists | RoomFull | TooManyRooms,
        )
        | DisconnectReason::End(
            Answered | Full | HandshakeRefused | HandshakeTimeout | Overloaded | Refused(_)
            | TlsHandshake,
        ) => Parting::Detaches(u32::MAX),
    }
}

/// The rooms of a shard that speak roomcast.v1, and where the rounds over their players stand.
#[derive(Debug)]
pub(super) struct V1 {
    pub(super) rooms: Rooms,
    rules: Rules,
    /// Rooms in which something was said.
    dirty: Vec<RoomId>,
    /// Rooms whose players have their turn, one room after the other.
    rounds: Vec<RoomId>,
    /// Which of them, and how many players were served since.
    at: usize,
    served: u32,
    /// When rooms have to be looked at.
    wheel: Wheel,
    /// Bytes of all logs.
    log_bytes: usize,
    bundle: Bundle,
    /// What is assembled for one write.
    assembled: Vec<u8>,
}

impl V1 {
    pub(super) fn new(limits: &Limits, reactors: usize, now: u64) -> Self {
        let rules = Rules {
            players_max: limits.max_room_members,
            grace_ms: limits.grace_ms,
            rate: Rate {
                per_second: limits.packets_per_second,
                burst: limits.packets_per_second.saturating_mul(2),
            },
            message_max: limits.max_message,
            properties: Bounds {
                count: PROPERTIES_MAX,
                bytes: PROPERTY_BYTES,
            },
            property_bytes_max: ROOM_PROPERTY_BYTES,
            // Who keeps up is served from it too.
            log_bytes_max: limits.log_bytes_max.max(limits.outbox_bytes_max * 2),
            logs_bytes_max: limits.logs_bytes_max / reactors,
            behind_max: limits.outbox_bytes_max as u64,
        };
        Self {
            rooms: Rooms::new(RandomState::new()),
            rules,
            dirty: Vec::new(),
            rounds: Vec::new(),
            at: 0,
            served: 0,
            wheel: Wheel::new(now),
            bundle: Bundle::default(),
            log_bytes: 0,
            assembled: Vec::new(),
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// Begins a round in each room in which something was said.
    pub(super) fn begin_rounds(&mut self) {
        let Self {
            rooms,
            dirty,
            rounds,
            ..
        } = self;
        dirty.retain(|&id| {
            let Some(room) = rooms.get_mut(id) else {
                return false;
            };
            if room.begin_round() {
                rounds.push(id);
            }
            room.dirty = room.unserved() > 0 && room.is_serving();
            room.dirty
        });
        self.restart();
    }

    /// This iteration has no time left: the next one goes on where the rounds stand. Whether some were not done.
    pub(super) fn carry_rounds(&mut self) -> bool {
        let at = self.at.min(self.rounds.len());
        self.rounds.rotate_left(at);
        at < self.rounds.len()
    }

    /// The rounds go on in a new iteration.
    pub(super) fn restart(&mut self) {
        self.at = 0;
        self.served = 0;
    }

    /// Whether a round is to begin.
    pub(super) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Bytes of all logs.
    pub(super) fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// When rooms have to be looked at.
    pub(super) fn timers(&self) -> &Wheel {
        &self.wheel
    }

    /// What was assembled for the current write.
    pub(super) fn assembled(&self) -> &[u8] {
        &self.assembled
    }

    /// When a player is to be told how many of its packets were applied.
    pub(super) fn ack_at(&self, place: Place) -> Option<u32> {
        match place {
            Place::V1 { room, seat } => self.rooms[room][seat].ack_at(),
            Place::Room { .. } | Place::Door { .. } | Place::Echo => None,
        }
    }

    /// Whether a player has sent more packets than it may, and so has to wait.
    pub(super) fn is_broke(&self, place: Place, now: u32) -> bool {
        match place {
            Place::V1 { room, seat } => {
                self.rooms[room][seat].budget.wait(now, self.rules.rate) > 0
            }
            Place::Room { .. } | Place::Door { .. } | Place::Echo => false,
        }
    }

    /// Lets go of what nobody can ask for any more.
    pub(super) fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        self.wheel.expire(now, expired);
        for id in expired.drain(..) {
            if let Some(room) = self.rooms.get_mut(id) {
                room.forget(now as u32);
                self.count_log(id);
                self.arm(id, now);
            }
        }
    }

    /// Keeps the sum of all logs.
    fn count_log(&mut self, id: RoomId) {
        let more = self.rooms[id].log_grew();
        self.log_bytes = self.log_bytes.saturating_add_signed(more);
    }

    /// Arms the timer of a room.
    fn arm(&mut self, id: RoomId, now: u64) {
        if let Some(wait) = self.rooms[id].forgets_in(now as u32) {
            self.wheel.arm(id, now + u64::from(wait));
            self.rooms[id].timed = true;
        } else {
            self.rooms[id].timed = false;
        }
    }

    /// Something was said in a room.
    fn touch(&mut self, id: RoomId, now: u64) {
        if !mem::replace(&mut self.rooms[id].dirty, true) {
            self.dirty.push(id);
        }
        if !self.rooms[id].timed {
            self.arm(id, now);
        }
        self.count_log(id);
        let most = if self.log_bytes > self.rules.logs_bytes_max {
            LOG_BYTES_MIN
        } else {
            self.rules.log_bytes_max
        };
        self.rooms[id].shorten_log(most);
        self.count_log(id);
    }

    /// Does what the packets of a message ask for. Apart from the loop over raw frames, which it would make slower.
    #[inline(never)]
    pub(super) fn hear(
        &mut self,
        (id, seat): (RoomId, v1::Seat),
        kind: MessageKind,
        message: &[u8],
        now: u64,
        outbox: &mut Outbox,
    ) -> Result<(), Ending> {
        if kind == MessageKind::Text {
            return Err(BadPacket::Text.into());
        }
        let room = &mut self.rooms[id];
        let mut said = false;
        let mut ended = Ok(());
        for packet in up::decode(message)? {
            let packet = match packet {
                Ok(packet) => packet,
                Err(malformed) => {
                    ended = Err(malformed.into());
                    break;
                }
            };
            if room[seat].budget.take(now as u32, self.rules.rate) == Spent::Over {
                ended = Err(CloseReason::TooManyPackets.into());
                break;
            }
            match room.hear(seat, packet, now as u32, &self.rules) {
                Effect::None => {}
                Effect::Said => said = true,
                Effect::Pong(echo) => {
                    let mut pong = Vec::new();
                    v1::Room::write_pong(echo, now * 1_000, &mut pong);
                    outbox.push_own(|out| {
                        transport::encode_binary_head(out, pong.len());
                        out.extend_from_slice(&pong);
                    });
                }
                Effect::Leave => {
                    ended = Err(CloseReason::Left.into());
                    break;
                }
                Effect::JoinedTwice => {
                    ended = Err(BadPacket::JoinedTwice.into());
                    break;
                }
            }
        }
        if said {
            self.touch(id, now);
        }
        ended
    }
}

impl Shard {
    /// A connection that chose roomcast.v1 waits at the door of its room for its first packet.
    pub(super) fn stand_at_door(&mut self, slot: u32, name: &str) -> PlayerId {
        let room = self.v1.rooms.open(name);
        self.v1.rooms[room].at_door += 1;
        self.place(slot, Place::Door { room }, Dialect::Raw)
    }

    /// The first message of a connection at a door.
    pub(super) fn join_v1(&mut self, slot: u32, id: RoomId, kind: MessageKind, message: &[u8]) {
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
    pub(super) fn end_v1(&mut self, slot: u32, ending: Ending) {
        match ending {
            Ending::Reason(reason) => self.close(slot, reason),
            Ending::Bad(bad) => {
                self.close_saying(slot, CloseReason::BadPacket, &bad.to_string());
            }
        }
    }

    fn seat_v1(&mut self, slot: u32, id: RoomId, join: &up::Join<'_>) -> Result<(), Ending> {
        let Phase::Open(door) = self.connections[slot as usize].phase else {
            return Ok(());
        };
        let now = self.now32();
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
            self.players.remove(door as usize);
            self.link(player, slot);
            match self.v1.rooms[id].attach(seat, cursor, now) {
                Return::Resumed => (seat, None),
                Return::Welcomed(reset) => (seat, Some((reset, false))),
            }
        } else {
            if self.rooms.find(room.name()).is_some() {
                return Err(CloseReason::OtherDialect.into());
            }
            match join.mode {
                up::Mode::Join if is_new => return Err(CloseReason::NoSuchRoom.into()),
                up::Mode::Create if !is_new => return Err(CloseReason::RoomExists.into()),
                _ => {}
            }
            if is_new {
                if !self.common.take_room() {
                    return Err(CloseReason::TooManyRooms.into());
                }
                room.create(Life(random()), join.wishes, &self.v1.rules);
            } else if room.is_full() {
                return Err(CloseReason::RoomFull.into());
            }
            let seat = room.join(door, join, Token(random()), now, &self.v1.rules);
            self.players[door as usize].place = Place::V1 { room: id, seat };
            let reset = join.back.map(|_| down::reset::GONE);
            (seat, Some((reset, is_new)))
        };
        let room = &mut self.v1.rooms[id];
        room.at_door -= 1;
        room[seat].kept_alive_at = now;
        if let Some((reset, created)) = welcome {
            self.welcome_v1(slot, id, seat, reset, created);
        }
        self.list(slot);
        self.v1.touch(id, self.now);
        self.rearm(slot);
        Ok(())
    }

    /// A player is reached over the connection in this slot from here on. If its old one still stands, that has no player
    /// any more: nothing that it may still bring is applied.
    fn link(&mut self, id: PlayerId, slot: u32) {
        match self.players[id as usize].link {
            Link::Here(old) => {
                self.unburden(id, old);
                self.note(old, CloseReason::Replaced, None);
                self.connections[old as usize].phase = Phase::Closing(Closing::Flush);
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
    fn welcome_v1(
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

    /// For how long a player of this room whose connection ends keeps its seat (ms).
    pub(super) fn v1_grace(
        &self,
        id: RoomId,
        reason: DisconnectReason,
        said: Option<CloseCode>,
    ) -> Option<u32> {
        let room = &self.v1.rooms[id];
        match parting(reason, said) {
            Parting::Detaches(most) if !self.draining && self.common.take_away() => {
                Some(room.grace_ms().min(most))
            }
            Parting::Detaches(_) | Parting::Leaves => None,
        }
    }

    /// A player is away.
    pub(super) fn detach_v1(&mut self, id: RoomId, seat: v1::Seat) {
        self.common.return_seat();
        self.v1.rooms[id].detach(seat, self.now as u32);
        self.v1.touch(id, self.now);
    }

    /// A player has left, who was reached like this until now.
    pub(super) fn leave_v1(&mut self, id: RoomId, seat: v1::Seat, link: Link) {
        let reason = match link {
            Link::Here(_) => {
                self.common.return_seat();
                down::left::LEFT
            }
            Link::Away { .. } => {
                self.common.return_away();
                down::left::GRACE_OVER
            }
        };
        self.v1.rooms[id].leave(seat, reason, self.now as u32);
        self.v1.touch(id, self.now);
        if self.v1.rooms[id].end_life() {
            self.common.return_room();
        }
        self.close_v1_if_empty(id);
    }

    /// Gives up the place at a door.
    pub(super) fn leave_door(&mut self, id: RoomId) {
        self.v1.rooms[id].at_door -= 1;
        self.close_v1_if_empty(id);
    }

    fn close_v1_if_empty(&mut self, id: RoomId) {
        let logged = self.v1.rooms[id].log_counted();
        if self.v1.rooms.close_if_empty(id) {
            self.v1.log_bytes -= logged;
            self.v1.wheel.disarm(id);
        }
    }

    /// The name of a room of either kind.
    pub(super) fn room_name(&self, room: RoomRef) -> &str {
        match room {
            RoomRef::Batches(id) => self.rooms[id].name(),
            RoomRef::V1(id) => self.v1.rooms[id].name(),
        }
    }

    /// The seat of the connection in this slot, if it is that of a roomcast.v1 player.
    pub(super) fn seat_of(&self, slot: u32) -> Option<(RoomId, v1::Seat)> {
        match self.connections[slot as usize].phase {
            Phase::Open(player) => match self.players[player as usize].place {
                Place::V1 { room, seat } => Some((room, seat)),
                Place::Room { .. } | Place::Door { .. } | Place::Echo => None,
            },
            _ => None,
        }
    }

    /// Whether the room of the player in this slot has something for it.
    pub(super) fn is_owed(&self, slot: u32) -> bool {
        self.seat_of(slot)
            .is_some_and(|(room, seat)| self.v1.rooms[room].owes(seat))
    }

    /// The next connection of a round with something to write; None when this iteration's rounds are done.
    pub(super) fn next_in_rounds(&mut self) -> Option<u32> {
        while let Some(&id) = self.v1.rounds.get(self.v1.at) {
            if self.v1.served >= FANOUT_BUDGET {
                self.v1.at += 1;
                self.v1.served = 0;
                continue;
            }
            let served = self.v1.rooms.get_mut(id).and_then(v1::Room::next_turn);
            let Some(served) = served else {
                self.v1.rounds.swap_remove(self.v1.at);
                self.v1.served = 0;
                if self.v1.rooms.get_mut(id).is_some() {
                    self.unpause_room(RoomRef::V1(id));
                }
                continue;
            };
            self.v1.served += 1;
            if let Link::Here(slot) = self.players[served.player as usize].link
                && self.offer_bundles(slot, id, served.seat)
            {
                return Some(slot);
            }
        }
        None
    }

    /// Offers a player what it has not had. True if it is to be written now.
    pub(super) fn offer_bundles(&mut self, slot: u32, id: RoomId, seat: v1::Seat) -> bool {
        let time = self.now * 1_000;
        let V1 {
            rooms,
            rules,
            bundle,
            assembled,
            served,
            ..
        } = &mut self.v1;
        let room = &mut rooms[id];
        if !room.owes(seat) {
            return false;
        }
        let connection = &mut self.connections[slot as usize];
        if !connection.writable {
            if room.falls_behind(seat, rules) {
                self.reset(slot, id, seat);
            } else {
                self.fell_behind(slot, false);
            }
            return false;
        }
        if !connection.outbox.is_clear() {
            // What waits there leaves first, in this very flush.
            self.write_on(slot);
            return false;
        }
        assembled.clear();
        while assembled.len() < BUNDLES_PER_WRITE {
            if !room.next_bundle(seat, time, bundle) {
                self.reset(slot, id, seat);
                return false;
            }
            if bundle.is_empty() {
                break;
            }
            transport::encode_binary_head(assembled, bundle.len());
            room.write_bundle(bundle, assembled);
        }
        *served += (assembled.len() / FANOUT_PORTION) as u32;
        match &mut connection.security {
            _ if assembled.is_empty() => false,
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
                connection
                    .outbox
                    .push(|out| out.extend_from_slice(assembled));
                self.write_on(slot);
                false
            }
        }
    }

    /// The socket took this much of what was assembled; the rest must leave before anything else.
    pub(super) fn bundles_written(&mut self, slot: u32, written: usize) {
        let rest = &self.v1.assembled[written..];
        if rest.is_empty() {
            self.took_all(slot);
        } else {
            let connection = &mut self.connections[slot as usize];
            connection.outbox.push_begun(rest);
            connection.writable = false;
            self.fell_behind(slot, written > 0);
        }
    }

    /// A player is too far behind: it is told so and welcomed anew, once in a while.
    pub(super) fn reset(&mut self, slot: u32, id: RoomId, seat: v1::Seat) {
        let now = self.now32();
        if !self.v1.rooms[id].may_be_reset(seat, now) {
            return self.close(slot, CloseReason::SlowConsumer);
        }
        self.connections[slot as usize].outbox.truncate();
        self.welcome_v1(slot, id, seat, Some(down::reset::BEHIND), false);
        // It begins anew, also to be behind.
        let player = self.v1.rooms[id][seat].player;
        if let Pressure::Behind { since, .. } = &mut self.players[player as usize].pressure {
            *since = now;
            self.arm_player(player);
        }
        if self.connections[slot as usize].writable {
            self.write_on(slot);
        } else {
            self.fell_behind(slot, false);
        }
    }

    /// Milliseconds until the connection of this player has to be looked at for its sake.
    pub(super) fn v1_wait(&self, connection: &Connection, id: RoomId, seat: v1::Seat) -> u32 {
        let now = self.now32();
        let player = &self.v1.rooms[id][seat];
        let left = |at: u32| (at.wrapping_sub(now) as i32).max(0) as u32;
        let mut wait = left(player.keep_alive_at());
        if let Some(at) = player.ack_at() {
            wait = wait.min(left(at));
        }
        if connection.reading == Reading::Paused {
            let broke = player.budget.wait(now, self.v1.rules.rate);
            if broke > 0 {
                wait = wait.min(broke);
            }
        } else {
            wait = wait.min(left(connection.heard_at.wrapping_add(HEARD_WITHIN_MS)));
        }
        wait
    }

    /// The timer of a player's connection has expired: what it is owed by now.
    pub(super) fn look_at_v1(&mut self, slot: u32, id: RoomId, seat: v1::Seat) {
        let now = self.now32();
        let player = &mut self.v1.rooms[id][seat];
        let due = |at: u32| now.wrapping_sub(at) as i32 >= 0;
        if due(player.keep_alive_at()) {
            // Late by a tick of the timer, but not by ever more of them.
            player.kept_alive_at = player.keep_alive_at();
            if due(player.keep_alive_at()) {
                player.kept_alive_at = now;
            }
            player.owed.keep_alive = true;
        }
        player.owed.ack |= player.ack_at().is_some_and(due);
        let broke = player.budget.wait(now, self.v1.rules.rate) > 0;
        if self.connections[slot as usize].reading == Reading::Paused && !broke {
            self.unpause(slot, Some(RoomRef::V1(id)));
        }
        if self.v1.rooms[id].owes(seat) {
            self.list(slot);
        }
    }
}

/// Random bytes that nobody can guess.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::frame::Violation;
    use roomcast_protocol::upgrade::Refusal;

    use super::*;

    /// Rule: a leave packet and close 1000 leave; everything else detaches.
    #[test]
    fn only_who_says_so_leaves() {
        use Parting::{Detaches, Leaves};
        let peer = |code: u16| (EndReason::PeerClosed.into(), Some(CloseCode(code)));
        let rows: Vec<((DisconnectReason, Option<CloseCode>), Parting)> = vec![
            ((CloseReason::Left.into(), None), Leaves),
            (peer(1000), Leaves),
            (peer(1001), Detaches(5_000)),
            (peer(1002), Detaches(u32::MAX)),
            (peer(4000), Detaches(u32::MAX)),
            ((EndReason::PeerClosed.into(), None), Detaches(u32::MAX)),
            ((EndReason::PeerGone.into(), None), Detaches(u32::MAX)),
            ((EndReason::ConnectionLost.into(), None), Detaches(u32::MAX)),
            ((EndReason::TlsTruncated.into(), None), Detaches(u32::MAX)),
            ((EndReason::TlsViolation.into(), None), Detaches(u32::MAX)),
            ((EndReason::Internal.into(), None), Detaches(u32::MAX)),
            ((CloseReason::Idle.into(), None), Detaches(u32::MAX)),
            ((CloseReason::SlowConsumer.into(), None), Detaches(u32::MAX)),
            (
                (CloseReason::TooManyPackets.into(), None),
                Detaches(u32::MAX),
            ),
            ((CloseReason::TlsSpent.into(), None), Detaches(u32::MAX)),
            ((CloseReason::Drain.into(), None), Detaches(u32::MAX)),
            ((CloseReason::BadPacket.into(), None), Detaches(u32::MAX)),
            (
                (
                    CloseReason::Violation(Violation::UnmaskedFrame).into(),
                    None,
                ),
                Detaches(u32::MAX),
            ),
            (
                (EndReason::Refused(Refusal::NotFound).into(), None),
                Detaches(u32::MAX),
            ),
        ];
        for ((reason, code), expected) in rows {
            assert_eq!(parting(reason, code), expected, "{reason:?} {code:?}");
        }
    }
}
