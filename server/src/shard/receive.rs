//! Bytes in: what each phase does with them.

use roomcast_protocol::frame::{Decoder, Item, MessageKind, Rules, Violation};

use super::connection::{Closing, Connection, Phase};
use super::guard;
use super::player::{Place, PlayerId};
use super::v1::{BadPacket, Ending};
use super::{CloseReason, Shard};
use crate::delivery::{Audience, Class, Dialect, Outbox};
use crate::planted::{self, Fault};
use crate::room::{RoomId, v1};
use crate::transport::{self, Security};

/// What a run of frames ended with.
enum Ended {
    /// The bytes were used up.
    No,
    /// By the peer's close frame, to be echoed with this code.
    Closed(Option<roomcast_protocol::close::CloseCode>),
    /// By a breach of the protocol.
    Violated(Violation),
    /// By what a client of roomcast.v1 said; boxed, so that a run of raw frames does not carry room for it.
    V1(Box<EndedV1>),
}

enum EndedV1 {
    Told(Ending),
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
        match (&connection.phase, &connection.security) {
            (&Phase::Open(player), Security::Plain) => self.receive_frames(slot, player, bytes),
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
        match &self.connections[slot as usize].phase {
            &Phase::Open(player) => self.receive_frames(slot, player, bytes),
            Phase::Handshake(_) => self.receive_head(slot, bytes),
            Phase::Closing(Closing::AwaitPeer, _) => self.await_close(slot, bytes),
            Phase::Closing(Closing::Flush | Closing::Linger, _) => self.discard(slot, bytes.len()),
            Phase::Hello | Phase::Dead => {}
        }
    }

    /// Frames of a connection that is open.
    pub(super) fn receive_frames(&mut self, slot: u32, player: PlayerId, bytes: &mut [u8]) {
        match self.players[player as usize].place {
            Place::Room { room, seat } => self.receive_raw(slot, room, seat, bytes),
            place => self.receive_otherwise(slot, place, bytes),
        }
    }

    /// Frames of a member of a raw room.
    #[inline]
    fn receive_raw(&mut self, slot: u32, id: RoomId, seat: u32, bytes: &mut [u8]) {
        let now = self.now as u32;
        let Self {
            connections,
            rooms,
            pool,
            rules,
            counters,
            dirty,
            guards,
            ..
        } = self;
        let connection = &mut connections[slot as usize];
        let mut guard = guards.over(slot, connection);
        let mut input = bytes;
        let ended = frames(connection, rules, &mut input, |_, kind, payload| {
            counters.messages += 1;
            if let Some(guard) = &mut guard {
                guard.hear(true, payload.len(), now).map_err(told)?;
            }
            let room = &mut rooms[id];
            let encode = |dialect, author, out: &mut Vec<u8>| {
                transport::encode_message(dialect, out, author, kind, payload);
            };
            let forgotten = planted::is(Fault::ForgottenMark) && room.batch().is_some();
            if room.append(seat, Class::Event, Audience::All, pool, encode) && !forgotten {
                dirty.push(id);
            }
            Ok(())
        });
        if !connection.outbox.is_clear() {
            self.list(slot);
        }
        if !matches!(ended, Ended::No) {
            self.end(slot, ended, input);
        }
    }

    /// Frames of everybody else: apart, so that raw ones do without what only these need.
    #[inline(never)]
    fn receive_otherwise(&mut self, slot: u32, place: Place, bytes: &mut [u8]) {
        let now = self.now;
        let Self {
            connections,
            rules,
            counters,
            v1,
            guards,
            ..
        } = self;
        let connection = &mut connections[slot as usize];
        let mut guard = guards.over(slot, connection);
        let is_raw = matches!(place, Place::V1 { room, seat } if v1.rooms[room][seat].raw);
        let unacked = v1.ack_at(place);
        let mut input = bytes;
        let ended = frames(connection, rules, &mut input, |outbox, kind, payload| {
            counters.messages += 1;
            if let Some(guard) = &mut guard {
                let speaks = guard::speaks(place, is_raw, payload);
                guard
                    .hear(speaks, payload.len(), now as u32)
                    .map_err(told)?;
            }
            match place {
                Place::V1 { room, seat } => {
                    let heard = v1.hear(slot, (room, seat), kind, payload, now, outbox);
                    heard.map_err(EndedV1::Told)
                }
                Place::Door { room } => Err(EndedV1::Joins(room, kind, payload.to_vec())),
                Place::Echo => {
                    outbox.push_own(|out| {
                        transport::encode_message(Dialect::Raw, out, 0, kind, payload);
                    });
                    Ok(())
                }
                // Has a loop of its own.
                Place::Room { .. } => Ok(()),
            }
        });
        if !connection.outbox.is_clear() {
            self.list(slot);
        }
        if !matches!(ended, Ended::No) {
            self.end(slot, ended, input);
        } else if unacked.is_none() && self.v1.ack_at(place).is_some() {
            self.rearm(slot);
        }
    }

    /// Does what a run of frames ended with.
    fn end(&mut self, slot: u32, ended: Ended, rest: &mut [u8]) {
        match ended {
            Ended::V1(ended) => match *ended {
                EndedV1::Joins(room, kind, message) => {
                    self.join_v1(slot, room, kind, &message);
                    self.receive_early(slot, rest);
                }
                EndedV1::Told(ending) => {
                    self.end_v1(slot, ending);
                    // Who leaves sends its close frame along, and no other.
                    self.receive_plain(slot, rest);
                }
            },
            Ended::No => {}
            Ended::Closed(code) => self.answer_close(slot, code),
            Ended::Violated(violation) => self.close(slot, violation.into()),
        }
    }

    /// What came together with a join, and so before it was answered: nothing that means anything to a room.
    fn receive_early(&mut self, slot: u32, bytes: &mut [u8]) {
        let Phase::Open(player) = self.connections[slot as usize].phase else {
            return self.receive_plain(slot, bytes);
        };
        let mut copy = bytes.to_vec();
        let mut input = &mut copy[..];
        let mut decoder = Decoder::default();
        while let Ok(Some(item)) = decoder.next(&self.rules, &mut input) {
            if matches!(item, Item::Message { .. }) {
                return self.end_v1(slot, BadPacket::Early.into());
            }
        }
        self.receive_frames(slot, player, bytes);
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

/// What a guard says, as what a run of frames ends with.
#[cold]
fn told(reason: CloseReason) -> EndedV1 {
    EndedV1::Told(reason.into())
}

/// Takes the frames off the front of the input, until it is used up or something ends the run; `hear` is told each message.
#[inline(always)]
fn frames(
    connection: &mut Connection,
    rules: &Rules,
    input: &mut &mut [u8],
    mut hear: impl FnMut(&mut Outbox, MessageKind, &[u8]) -> Result<(), EndedV1>,
) -> Ended {
    let Connection {
        decoder, outbox, ..
    } = connection;
    loop {
        match decoder.next(rules, input) {
            Ok(Some(Item::Message { kind, payload })) => {
                if let Err(ended) = hear(outbox, kind, payload) {
                    return Ended::V1(Box::new(ended));
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
