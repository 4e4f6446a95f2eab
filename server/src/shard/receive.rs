//! Bytes in: what each phase does with them.

use roomcast_protocol::frame::{Decoder, Item, MessageKind, Violation};

use super::Shard;
use super::connection::{Closing, Phase};
use super::player::{Place, PlayerId};
use super::v1::{BadPacket, Ending};
use crate::delivery::{Audience, Class, Dialect};
use crate::limits::DISCARD_WHILE_CLOSING;
use crate::planted::{self, Fault};
use crate::room::v1::RoomId;
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
    Joins(RoomId, MessageKind, Vec<u8>),
}

impl Shard {
    /// Bytes came from a socket; they are opened and unmasked in place. Nothing of them is kept but an incomplete tail.
    pub fn receive(&mut self, slot: u32, bytes: &mut [u8]) {
        let now = self.now32();
        self.counters.received += bytes.len() as u64;
        let connection = &mut self.connections[slot as usize];
        connection.heard(now, bytes.len());
        match (&connection.phase, &connection.security) {
            (Phase::Hello, _) => self.receive_hello(slot, bytes),
            (Phase::Closing(Closing::Flush | Closing::Linger) | Phase::Dead, _)
            | (_, Security::Plain) => {
                self.receive_plain(slot, bytes);
            }
            (_, Security::Tls(_)) => self.receive_sealed(slot, bytes),
        }
    }

    /// What a peer sent, without the records it may have come in.
    pub(super) fn receive_plain(&mut self, slot: u32, bytes: &mut [u8]) {
        match self.connections[slot as usize].phase {
            Phase::Open(player) => self.receive_frames(slot, player, bytes),
            Phase::Handshake(_) => self.receive_head(slot, bytes),
            Phase::Closing(Closing::AwaitPeer) => self.await_close(slot, bytes),
            Phase::Closing(Closing::Flush | Closing::Linger) => self.discard(slot, bytes.len()),
            Phase::Hello | Phase::Dead => {}
        }
    }

    /// Frames of a connection that is open.
    pub(super) fn receive_frames(&mut self, slot: u32, player: PlayerId, bytes: &mut [u8]) {
        let now = self.now;
        let Self {
            connections,
            players,
            rooms,
            pool,
            rules,
            counters,
            dirty,
            v1,
            ..
        } = self;
        let connection = &mut connections[slot as usize];
        let place = players[player as usize].place;
        let unacked = v1.ack_at(place);
        let mut input = bytes;
        let ended = loop {
            match connection.decoder.next(rules, &mut input) {
                Ok(Some(Item::Message { kind, payload })) => {
                    counters.messages += 1;
                    match place {
                        Place::Room { room: id, seat } => {
                            let room = &mut rooms[id];
                            let encode = |dialect, author, out: &mut Vec<u8>| {
                                transport::encode_message(dialect, out, author, kind, payload);
                            };
                            let forgotten =
                                planted::is(Fault::ForgottenMark) && room.batch().is_some();
                            if room.append(seat, Class::Event, Audience::All, pool, encode)
                                && !forgotten
                            {
                                dirty.push(id);
                            }
                        }
                        Place::V1 { room, seat } => {
                            let outbox = &mut connection.outbox;
                            if let Err(ending) = v1.hear((room, seat), kind, payload, now, outbox) {
                                break Ended::V1(Box::new(EndedV1::Told(ending)));
                            }
                        }
                        Place::Door { room } => {
                            let joins = EndedV1::Joins(room, kind, payload.to_vec());
                            break Ended::V1(Box::new(joins));
                        }
                        Place::Echo => {
                            connection.outbox.push_own(|out| {
                                transport::encode_message(Dialect::Raw, out, 0, kind, payload);
                            });
                        }
                    }
                }
                Ok(Some(Item::Ping(payload))) => {
                    connection
                        .outbox
                        .push_own(|out| transport::encode_pong(out, payload));
                }
                Ok(Some(Item::Pong(_))) => {}
                Ok(Some(Item::Close { code, .. })) => break Ended::Closed(code),
                Ok(None) => break Ended::No,
                Err(violation) => break Ended::Violated(violation),
            }
        };
        if !connection.outbox.is_clear() {
            self.list(slot);
        }
        let rest = input;
        match ended {
            Ended::V1(ended) => match *ended {
                EndedV1::Joins(room, kind, message) => {
                    self.join_v1(slot, room, kind, &message);
                    self.receive_early(slot, rest);
                }
                EndedV1::Told(ending) => self.end_v1(slot, ending),
            },
            Ended::No if unacked.is_none() && self.v1.ack_at(place).is_some() => self.rearm(slot),
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
            connection.phase = Phase::Closing(Closing::Flush);
            self.list(slot);
        } else {
            self.discard(slot, len);
        }
    }

    fn discard(&mut self, slot: u32, len: usize) {
        let connection = &mut self.connections[slot as usize];
        connection.discarded = connection.discarded.saturating_add(len as u32);
        if connection.discarded > DISCARD_WHILE_CLOSING {
            self.bury(slot);
        }
    }
}
