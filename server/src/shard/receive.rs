//! Bytes in: what each phase does with them.

use std::convert::Infallible;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{Decoder, Item, MessageKind, Role, Rules, Violation};

use super::connection::{Closing, Connection, Phase};
use super::guard;
use super::player::{Place, PlayerId};
use super::v1::{BadPacket, Ending};
use super::{CloseReason, Shard};
use crate::delivery::{Audience, BatchPool, Class, Dialect, Outbox};
use crate::planted::{self, Fault};
use crate::room::{Room, RoomId, v1};
use crate::transport::{self, Security};

/// What a run of frames ended with; `M` is what a message can end it with.
enum Ended<M> {
    /// The bytes were used up.
    No,
    /// By the peer's close frame, to be echoed with this code.
    Closed(Option<CloseCode>),
    /// By a breach of the protocol.
    Violated(Violation),
    /// By a message.
    Told(M),
}

/// What a message can end a run of frames with, where it can.
enum Heard {
    Ends(Ending),
    /// It is the first message of a connection at a door.
    Joins(v1::RoomId, MessageKind, Vec<u8>),
}

impl Shard {
    /// Bytes came from a socket; they are opened and unmasked in place. Nothing of them is kept but an incomplete tail.
    pub fn receive(&mut self, slot: u32, bytes: &mut [u8]) {
        let now = self.now32();
        self.counters.received += bytes.len() as u64;
        let connection = &mut self.connections[slot as usize];
        connection.heard(now, bytes.len());
        let guarded = connection.guarded;
        match (&connection.phase, &connection.security) {
            (&Phase::Open(player), Security::Plain) => {
                self.receive_frames(slot, player, guarded, bytes);
            }
            (Phase::Announced(..), _) => self.receive_announcement(slot, bytes),
            (Phase::Hello, _) => self.receive_hello(slot, bytes),
            (Phase::Closing(Closing::Flush | Closing::Linger, _) | Phase::Dead, _)
            | (_, Security::Plain) => {
                self.receive_plain(slot, bytes);
            }
            (_, Security::Tls(_)) => self.receive_sealed(slot, bytes),
        }
    }

    /// What a peer sent, without the records it may have come in.
    pub(super) fn receive_plain(&mut self, slot: u32, bytes: &mut [u8]) {
        let connection = &self.connections[slot as usize];
        match &connection.phase {
            &Phase::Open(player) => self.receive_frames(slot, player, connection.guarded, bytes),
            Phase::Handshake(_) => self.receive_head(slot, bytes),
            Phase::Exchange(_) => self.receive_content(slot, bytes),
            Phase::Answered => self.receive_next(slot, bytes),
            Phase::Http2(_) => self.receive_http2(slot, bytes),
            Phase::Closing(Closing::AwaitPeer, _) => self.await_close(slot, bytes),
            Phase::Closing(Closing::Flush | Closing::Linger, _) => self.discard(slot, bytes.len()),
            Phase::Announced(..) | Phase::Hello | Phase::Dead => {}
        }
    }

    /// Frames that requests brought.
    pub(super) fn receive_carried(&mut self, slot: u32, bytes: &mut [u8]) {
        // Behind its end nothing counts.
        if let Phase::Open(player) = self.connections[slot as usize].phase {
            self.receive_otherwise(slot, self.players[player as usize].place, bytes);
        }
    }

    /// The rules for the frames of this connection: those that requests carry are not masked.
    fn rules_for(&self, slot: u32) -> Rules {
        match self.connections[slot as usize].carried {
            true => Rules {
                role: Role::Client,
                ..self.rules
            },
            false => self.rules,
        }
    }

    /// Frames of a connection that is open, which has bounds of its own or not.
    #[inline]
    fn receive_frames(&mut self, slot: u32, player: PlayerId, guarded: bool, bytes: &mut [u8]) {
        match self.players[player as usize].place {
            Place::Room { room, seat } if !guarded => self.receive_raw(slot, room, seat, bytes),
            place => self.receive_otherwise(slot, place, bytes),
        }
    }

    /// Frames of a member of a raw room who has no bounds of its own.
    #[inline(never)]
    fn receive_raw(&mut self, slot: u32, id: RoomId, seat: u32, bytes: &mut [u8]) {
        let Self {
            connections,
            rooms,
            pool,
            rules,
            counters,
            dirty,
            residence,
            ..
        } = self;
        let connection = &mut connections[slot as usize];
        let mut input = bytes;
        let ended = frames::<Infallible>(connection, rules, &mut input, |_, kind, payload| {
            counters.messages += 1;
            if say(&mut rooms[id], seat, pool, kind, payload) {
                rooms[id].opens(residence.since);
                dirty.push(id);
            }
            Ok(())
        });
        if !connection.outbox.is_clear() {
            self.list(slot);
        }
        match ended {
            Ended::No => {}
            Ended::Closed(code) => self.answer_close(slot, code),
            Ended::Violated(violation) => self.close(slot, violation.into()),
            Ended::Told(never) => match never {},
        }
    }

    /// Frames of everybody else: apart, so that raw ones do without what only these need.
    #[inline(never)]
    fn receive_otherwise(&mut self, slot: u32, place: Place, bytes: &mut [u8]) {
        let now = self.now;
        let rules = &self.rules_for(slot);
        let Self {
            connections,
            rooms,
            pool,
            counters,
            dirty,
            v1,
            guards,
            residence,
            ..
        } = self;
        let connection = &mut connections[slot as usize];
        let mut guard = guards.over(slot, connection);
        let is_raw = matches!(place, Place::V1 { room, seat } if v1.rooms[room][seat].is_raw());
        let unacked = v1.ack_at(place);
        let mut input = bytes;
        let ended = frames(connection, rules, &mut input, |outbox, kind, payload| {
            counters.messages += 1;
            if let Some(guard) = &mut guard {
                let speaks = guard::speaks(place, is_raw, payload);
                let heard = guard.hear(speaks, payload.len(), now as u32);
                heard.map_err(|reason| Heard::Ends(reason.into()))?;
            }
            match place {
                Place::V1 { room, seat } => {
                    let heard = v1.hear(slot, (room, seat), kind, payload, now, outbox);
                    heard.map_err(Heard::Ends)
                }
                Place::Door { room } => Err(Heard::Joins(room, kind, payload.to_vec())),
                Place::Echo => {
                    outbox.push_own(|out| {
                        transport::encode_message(Dialect::Raw, out, 0, kind, payload);
                    });
                    Ok(())
                }
                Place::Room { room, seat } => {
                    if say(&mut rooms[room], seat, pool, kind, payload) {
                        rooms[room].opens(residence.since);
                        dirty.push(room);
                    }
                    Ok(())
                }
            }
        });
        if !connection.outbox.is_clear() {
            self.list(slot);
        }
        self.end_put_out(CloseReason::Kicked);
        match ended {
            Ended::No if unacked.is_none() && self.v1.ack_at(place).is_some() => self.rearm(slot),
            Ended::No => {}
            Ended::Closed(code) => self.answer_close(slot, code),
            Ended::Violated(violation) => self.close(slot, violation.into()),
            Ended::Told(Heard::Joins(room, kind, message)) => {
                self.join_v1(slot, room, kind, &message);
                self.receive_early(slot, input);
            }
            Ended::Told(Heard::Ends(ending)) => {
                if ending == Ending::Reason(CloseReason::RoomClosed) {
                    self.close_room(slot);
                }
                self.end_v1(slot, ending);
                // Who leaves sends its close frame along, and no other.
                self.receive_plain(slot, input);
            }
        }
    }

    /// What came together with a join, and so before it was answered: nothing that means anything to a room.
    fn receive_early(&mut self, slot: u32, bytes: &mut [u8]) {
        let connection = &self.connections[slot as usize];
        let Phase::Open(player) = connection.phase else {
            return self.receive_plain(slot, bytes);
        };
        let place = self.players[player as usize].place;
        let rules = self.rules_for(slot);
        let mut copy = bytes.to_vec();
        let mut input = &mut copy[..];
        let mut decoder = Decoder::default();
        while let Ok(Some(item)) = decoder.next(&rules, &mut input) {
            if matches!(item, Item::Message { .. }) {
                return self.end_v1(slot, BadPacket::Early.into());
            }
        }
        self.receive_otherwise(slot, place, bytes);
    }

    /// After our own close frame: nothing counts but the peer's.
    fn await_close(&mut self, slot: u32, bytes: &mut [u8]) {
        let len = bytes.len();
        let connection = &mut self.connections[slot as usize];
        let mut input = bytes;
        let closed = loop {
            match connection.decoder.next(&self.rules, &mut input) {
                Ok(None) => break false,
                Ok(Some(Item::Close { .. })) | Err(_) => break true,
                Ok(Some(_)) => {}
            }
        };
        if closed {
            connection.close_on(Closing::Flush);
            self.list(slot);
        } else {
            self.discard(slot, len);
        }
    }
}

/// Says a message in a raw room; whether the room has to be frozen because of it. Inlined down to the encoding: where the
/// compiler stops before, a message is 4 to 8 % dearer (receive-10).
#[inline(always)]
fn say(
    room: &mut Room,
    seat: u32,
    pool: &mut BatchPool,
    kind: MessageKind,
    payload: &[u8],
) -> bool {
    let forgotten = planted::is(Fault::ForgottenMark) && room.batch().is_some();
    let encode = |dialect, author, out: &mut Vec<u8>| {
        transport::encode_message(dialect, out, author, kind, payload);
    };
    room.append(seat, Class::Event, Audience::All, pool, encode) && !forgotten
}

/// Takes the frames off the front of the input, until it is used up or something ends the run; `hear` is told each message.
#[inline(always)]
fn frames<M>(
    connection: &mut Connection,
    rules: &Rules,
    input: &mut &mut [u8],
    mut hear: impl FnMut(&mut Outbox, MessageKind, &[u8]) -> Result<(), M>,
) -> Ended<M> {
    let Connection {
        decoder, outbox, ..
    } = connection;
    loop {
        match decoder.next(rules, input) {
            Ok(Some(Item::Message { kind, payload })) => {
                if let Err(ended) = hear(outbox, kind, payload) {
                    return Ended::Told(ended);
                }
            }
            Ok(Some(Item::Ping(payload))) => {
                outbox.push_own(|out| transport::encode_pong(out, payload));
            }
            Ok(Some(Item::Pong(_))) => {}
            Ok(Some(Item::Close { code, .. })) => return Ended::Closed(code),
            Ok(None) => return Ended::No,
            Err(violation) => return Ended::Violated(violation),
        }
    }
}
