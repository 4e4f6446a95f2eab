//! Connections that speak roomcast.v1: from the door to a seat, packets in, bundles out.
//!
//! Owns: the rooms of one shard that speak it, whose turn it is in them, and when they have to be looked at. Must not know:
//! sockets, TLS. Invariant: a player outlives its connection unless it said that it leaves ([`parting`]).

mod door;
mod impairments;
mod parting;
mod rounds;
mod secrets;

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::mem;
use std::rc::Rc;

use roomcast_protocol::frame::MessageKind;
use roomcast_protocol::v1::{Key, Malformed, PROPERTIES_MAX, Payload, down, up};

use self::impairments::Impairments;
pub(super) use self::secrets::Secrets;
use super::connection::Phase;
use super::player::{Place, RoomRef};
use super::pressure::Strains;
use super::{CloseReason, Shard, gathered_max};
use crate::delivery::Outbox;
use crate::limits::{LOG_BYTES_MIN, Limits, PROPERTY_BYTES, ROOM_KEYS, ROOM_PROPERTY_BYTES};
use crate::room::v1::{
    self, Bounds, Bundle, Effect, Rate, RoomId, Rooms, Rules, Share, Spent, StateBounds,
};
use crate::timer::Wheel;
use crate::transport;

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
    /// The room has as many players as it may.
    Full(usize),
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

/// The rooms of a shard that speak roomcast.v1, and where the rounds over their players stand.
#[derive(Debug)]
pub(super) struct V1 {
    pub(super) rooms: Rooms,
    rules: Rules,
    /// Rooms in which something was said.
    dirty: Vec<RoomId>,
    /// The same, of those that wait for a tick: until when. Each once.
    waiting: BTreeSet<(u64, RoomId)>,
    /// Rooms whose players have their turn, one room after the other.
    rounds: Vec<RoomId>,
    /// Some of them have been waiting since an earlier iteration.
    pub(super) is_carried: bool,
    /// Which of them, and how many players were served since.
    at: usize,
    served: u32,
    /// When rooms have to be looked at.
    wheel: Wheel,
    /// Bytes of all logs.
    log_bytes: usize,
    /// Bytes of all snapshots.
    snapshot_bytes: usize,
    /// Bytes that a room gathers for a tick.
    tick_bytes: usize,
    /// Players, by their places, who were put out of their rooms, and still have their connections.
    put_out: Vec<u32>,
    bundle: Bundle,
    pub(super) secrets: Secrets,
    /// Bad networks that were asked for.
    pub(super) impairments: Impairments,
    /// What is assembled for one write of one player.
    assembled: Vec<u8>,
    /// What several players get, one after the other.
    share: Share,
}

impl V1 {
    pub(super) fn new(limits: &Limits, reactors: usize, now: u64, secrets: Secrets) -> Self {
        let rules = Rules {
            players_max: limits.max_room_members,
            grace_ms: limits.grace_ms,
            host_grace_ms: limits.host_grace_ms,
            is_ending: false,
            impairment: limits.impairment,
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
            groups_max: limits.groups_max,
            states: StateBounds {
                player: Bounds {
                    count: limits.state_keys,
                    bytes: limits.state_bytes_max,
                },
                room: Bounds {
                    count: ROOM_KEYS,
                    bytes: limits.room_state_bytes_max,
                },
            },
            snapshot_bytes_max: limits.snapshot_bytes_max.min(limits.max_message),
            snapshots_bytes_max: limits.snapshots_bytes_max / reactors,
            // Who keeps up is served from it too.
            log_bytes_max: limits.log_bytes_max.max(limits.outbox_bytes_max * 2),
            logs_bytes_max: limits.logs_bytes_max / reactors,
            behind_max: limits.outbox_bytes_max as u64,
        };
        Self {
            rooms: Rooms::new(RandomState::new()),
            rules,
            dirty: Vec::new(),
            waiting: BTreeSet::new(),
            rounds: Vec::new(),
            is_carried: false,
            at: 0,
            served: 0,
            wheel: Wheel::new(now),
            bundle: Bundle::default(),
            secrets,
            impairments: Impairments::default(),
            log_bytes: 0,
            snapshot_bytes: 0,
            // Half: so few that its senders are never read no further while it waits.
            tick_bytes: gathered_max(limits) / 2,
            put_out: Vec::new(),
            assembled: Vec::new(),
            share: Share::default(),
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// Begins a round in each room in which something was said.
    pub(super) fn begin_rounds(&mut self, strains: &mut Strains, now: u64) {
        let Self {
            rooms,
            dirty,
            waiting,
            rounds,
            ..
        } = self;
        dirty.retain(|&id| {
            let Some(room) = rooms.get_mut(id) else {
                return false;
            };
            if room.woken_at().is_some() {
                // Another had its place, and was listed.
                return false;
            }
            let said = room.unserved();
            if room.begin_round(now) {
                strains.say(RoomRef::V1(id), said, now as u32);
                rounds.push(id);
            }
            room.dirty = room.unserved() > 0 && room.is_serving();
            if room.dirty
                && let Some(tick) = room.wait_for_tick(now)
            {
                waiting.insert((tick, id));
                return false;
            }
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

    /// The rooms whose ticks are due wait no longer.
    pub(super) fn heed_ticks(&mut self, now: u64) {
        while let Some(&(due, id)) = self.waiting.first()
            && due <= now
        {
            self.waiting.pop_first();
            self.rooms[id].wake();
            self.dirty.push(id);
        }
    }

    /// When the next tick is that a room waits for.
    pub(super) fn next_tick(&self) -> Option<u64> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// A room has nothing to say any more, or not on a tick. True if it waited for one.
    fn wait_no_longer(&mut self, id: RoomId) -> bool {
        let due = self.rooms[id].wake();
        due.is_some_and(|due| self.waiting.remove(&(due, id)))
    }

    /// A room has nobody any more to whom it could say something.
    pub(super) fn end_ticks(&mut self, id: RoomId) {
        if self.wait_no_longer(id) {
            self.rooms[id].dirty = false;
        }
    }

    /// Whether a round is to begin.
    pub(super) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Bytes of all snapshots.
    pub(super) fn snapshots(&self) -> usize {
        self.snapshot_bytes
    }

    /// Bytes of all logs.
    pub(super) fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// When rooms have to be looked at.
    pub(super) fn timers(&self) -> &Wheel {
        &self.wheel
    }

    /// The connection of a player has taken everything that was written for it. Whether its room has more.
    pub(super) fn took_all(&mut self, id: RoomId, seat: v1::Seat) -> bool {
        let room = &mut self.rooms[id];
        room[seat].set_begun(false);
        room.owes(seat)
    }

    /// What was assembled for the current write.
    pub(super) fn assembled(&self) -> &[u8] {
        &self.assembled
    }

    /// What several players get, as it is for the one of the current write.
    #[inline]
    pub(super) fn shared(&self) -> &[u8] {
        self.share.message()
    }

    /// When a player is to be told how many of its packets were applied.
    pub(super) fn ack_at(&self, place: Place) -> Option<u32> {
        match place {
            Place::V1 { room, seat } => self.rooms[room][seat].ack_at(),
            Place::Room { .. } | Place::Door { .. } | Place::Echo => None,
        }
    }

    /// When a player is to be told that the relay is there; `None` if it does not speak roomcast.v1.
    pub(super) fn keep_alive_at(&self, place: Place) -> Option<u32> {
        match place {
            Place::V1 { room, seat } if !self.rooms[room][seat].is_raw() => {
                self.rooms[room][seat].keep_alive_at()
            }
            Place::Room { .. } | Place::V1 { .. } | Place::Door { .. } | Place::Echo => None,
        }
    }

    /// Milliseconds until a player may be read again that has sent more packets than it may, 0 if it has not; `None` if
    /// nobody counts them.
    pub(super) fn budget_wait(&self, place: Place, now: u32) -> Option<u32> {
        match place {
            Place::V1 { room, seat } => {
                Some(self.rooms[room][seat].budget.wait(now, self.rules.rate))
            }
            Place::Room { .. } | Place::Door { .. } | Place::Echo => None,
        }
    }

    /// Whether a player has sent more packets than it may, and so has to wait.
    pub(super) fn is_broke(&self, place: Place, now: u32) -> bool {
        self.budget_wait(place, now).is_some_and(|wait| wait > 0)
    }

    /// The process ends.
    pub(super) fn end(&mut self) {
        self.rules.is_ending = true;
    }

    /// Lets go of what nobody can ask for any more, and gives the role of hosts on whose time is over.
    pub(super) fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        self.wheel.expire(now, expired);
        for id in expired.drain(..) {
            if let Some(room) = self.rooms.get_mut(id) {
                room.forget(now as u32);
                if room.look_at_host(now as u32, &self.rules) {
                    self.touch(id, now);
                }
                self.count_log(id);
                self.arm(id, now);
            }
        }
    }

    /// Whether its lists and its timer remember what goes on in a room.
    pub(super) fn will_look_at(&self, id: RoomId, room: &v1::Room) -> bool {
        let waits = room.woken_at().map(|due| (due, id));
        (waits.is_none_or(|waits| self.waiting.contains(&waits)))
            && (!room.dirty || waits.is_some() || self.dirty.contains(&id))
            && (!room.is_serving() || self.rounds.contains(&id))
            && room.timed == self.wheel.is_armed(id)
    }

    /// Keeps the sum of all logs.
    fn count_log(&mut self, id: RoomId) {
        let more = self.rooms[id].log_grew();
        self.log_bytes = self.log_bytes.saturating_add_signed(more);
    }

    /// Arms the timer of a room.
    fn arm(&mut self, id: RoomId, now: u64) {
        let room = &mut self.rooms[id];
        let waits = [room.forgets_in(now as u32), room.host_wait(now as u32)];
        let wait = waits.into_iter().flatten().min();
        room.timed = wait.is_some();
        if let Some(wait) = wait {
            self.wheel.arm(id, now + u64::from(wait));
        }
    }

    /// Something was said in a room.
    fn touch(&mut self, id: RoomId, now: u64) {
        let room = &mut self.rooms[id];
        let was_dirty = mem::replace(&mut room.dirty, true);
        if room.unserved() < self.tick_bytes {
            if !was_dirty {
                match room.wait_for_tick(now) {
                    Some(tick) => drop(self.waiting.insert((tick, id))),
                    None => self.dirty.push(id),
                }
            }
        } else if self.wait_no_longer(id) || !was_dirty {
            self.dirty.push(id);
        }
        if !self.rooms[id].timed || self.rooms[id].has_shaky_host() {
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

    /// An operator says something in a room. How many players it is said to.
    pub(super) fn announce(&mut self, id: RoomId, text: &str, now: u64) -> usize {
        self.rooms[id].announce(text, now as u32);
        self.touch(id, now);
        self.rooms[id].players()
    }

    /// Does what the packets of a message ask for. Apart from the loop over raw frames, which it would make slower.
    #[inline(never)]
    pub(super) fn hear(
        &mut self,
        slot: u32,
        (id, seat): (RoomId, v1::Seat),
        kind: MessageKind,
        message: &[u8],
        now: u64,
        outbox: &mut Outbox,
    ) -> Result<(), Ending> {
        if self.rooms[id][seat].is_raw() {
            return self.hear_raw((id, seat), kind, message, now);
        }
        if kind == MessageKind::Text {
            return Err(BadPacket::Text.into());
        }
        let room = &mut self.rooms[id];
        let (mut said, mut spoke) = (false, false);
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
            spoke |= !matches!(packet, up::Packet::Ping { .. });
            match room.hear(seat, packet, now as u32, &self.rules) {
                Effect::None => {}
                Effect::Said => said = true,
                Effect::Pong { echo, ticks } => {
                    answer(outbox, room.pong(seat, (echo, ticks), now * 1_000));
                }
                Effect::RefusedState(key, reason) => refuse_state(outbox, key, reason),
                Effect::Impair(number, to) => {
                    if !self.impairments.set(slot, to, now) {
                        room.refuse_to(seat, number, down::refused::LIMIT, now as u32);
                        said = true;
                    }
                }
                Effect::PutOut(player) => {
                    self.put_out.push(player);
                    said = true;
                }
                Effect::Close => {
                    ended = Err(CloseReason::RoomClosed.into());
                    break;
                }
                Effect::Keep(number) => {
                    let bytes = &mut self.snapshot_bytes;
                    if !keep(room, packet, bytes, self.rules.snapshots_bytes_max) {
                        room.refuse_to(seat, number, down::refused::LIMIT, now as u32);
                        said = true;
                    }
                }
                Effect::Trips => room.trips(&mut |packet| answer(outbox, packet)),
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
        if spoke {
            room.note_slack(seat, now);
        }
        if said {
            self.touch(id, now);
        }
        ended
    }
}

/// Keeps the snapshot in this packet, if all snapshots, which have so many `bytes`, then have no more than `most`.
fn keep(room: &mut v1::Room, packet: up::Packet<'_>, bytes: &mut usize, most: usize) -> bool {
    let others = *bytes - room.kept();
    let up::Packet::Act { act, .. } = packet else {
        return false;
    };
    match act {
        up::Act::Snapshot { seq, state } if others + state.len() <= most => {
            room.keep(seq, state);
            *bytes = others + room.kept();
            true
        }
        _ => false,
    }
}

/// Answers that a state was not taken.
fn refuse_state(outbox: &mut Outbox, key: Key, reason: u64) {
    let detail = "";
    let refused = down::Packet::RefusedState {
        key,
        reason,
        detail,
    };
    answer(outbox, refused);
}

/// Answers what a player said at once, in a bundle that covers nothing.
fn answer(outbox: &mut Outbox, packet: down::Packet<'_>) {
    let mut bundle = vec![0];
    packet.encode(&mut bundle);
    outbox.push_own(|out| {
        transport::encode_binary_head(out, bundle.len());
        out.extend_from_slice(&bundle);
    });
}

impl V1 {
    /// What a raw player says is an event for all others.
    fn hear_raw(
        &mut self,
        (id, seat): (RoomId, v1::Seat),
        kind: MessageKind,
        message: &[u8],
        now: u64,
    ) -> Result<(), Ending> {
        let room = &mut self.rooms[id];
        if room[seat].budget.take(now as u32, self.rules.rate) == Spent::Over {
            return Err(CloseReason::TooManyPackets.into());
        }
        let payload = match (kind, std::str::from_utf8(message)) {
            (MessageKind::Text, Ok(text)) => Payload::Text(text),
            _ => Payload::Bytes(message),
        };
        room.hear_raw(seat, payload, now as u32);
        self.touch(id, now);
        Ok(())
    }
}

impl Shard {
    /// The name of a room of either kind.
    pub(super) fn room_name(&self, room: RoomRef) -> &Rc<str> {
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
}
