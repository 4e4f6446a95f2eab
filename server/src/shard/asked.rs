//! What the control plane asks a shard.
//!
//! Owns: questions and answers, as plain data. Must not know: who asks, or how an answer is written. Invariants: what an
//! answer holds is bounded ([`ASKED_ROWS`]), and so is the work for it ([`ASKED_LOOKS`]); nobody is named in it more exactly
//! than log lines may.

use std::sync::Arc;

use serde::Serialize;

use super::orders::Order;
use super::player::{Link, Place, PlayerId};
use super::pressure::{Pressure, Reading};
use super::{RoomResidence, Shard, Source};
use crate::limits::{ASKED_LOOKS, ASKED_ROWS};
use crate::transport::Security;

/// Where the rooms of roomcast.v1 begin among the places of rooms.
const V1: u64 = 1 << 32;

/// What a shard is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Its rooms, from this place on: 0, or where the page before says that there may be more.
    Rooms(u64),
    /// The players of a room that is at home here, from this one on.
    Players(Arc<str>, u64),
    /// The last connections that have ended, the newest first, from this one on.
    Ends(u64),
    /// Where a connection comes from, or whose ticket it has.
    Whose(u64),
    /// How long messages are in a room that is at home here, from the first such question on.
    Residence(Arc<str>),
    /// To do something.
    Order(Order),
}

/// What a shard answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Rooms`].
    Rooms(Page<RoomRow>),
    /// To [`Question::Players`]; none if there is no such room.
    Players(Option<Page<PlayerRow>>),
    /// To [`Question::Ends`].
    Ends(Page<EndRow>),
    /// To [`Question::Whose`]; none if it is not here, or has no seat.
    Whose(Option<Source>),
    /// To [`Question::Residence`]; none if there is no such room.
    Residence(Option<RoomResidence>),
    /// To [`Question::Order`]: how many players or rooms it concerned; none if it can't be carried out.
    Done(Option<usize>),
}

/// A part of what there is. Who comes or goes while somebody turns pages may be told twice, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most [`ASKED_ROWS`].
    pub rows: Vec<T>,
    /// From where on there may be more.
    pub next: Option<u64>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomRow {
    /// Its name.
    pub name: String,
    /// What is spoken there.
    pub dialect: &'static str,
    /// Players, away ones too.
    pub players: usize,
    /// Bytes of what was said lately and is kept.
    pub log_bytes: usize,
}

/// A player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlayerRow {
    /// Where its socket is.
    #[serde(skip)]
    pub slot: Option<u32>,
    /// Its id in a room of roomcast.v1, by which the others know it.
    pub player: Option<u32>,
    /// Its connection; none while it is away.
    pub connection: Option<ConnectionRow>,
    /// Bytes that wait for it here.
    pub waiting_bytes: usize,
    /// It does not take all that is there for it.
    pub behind: bool,
}

/// A player's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectionRow {
    /// Never used twice by a process.
    pub id: u64,
    /// As log lines name it.
    pub peer: String,
    /// Whether it is encrypted.
    pub tls: bool,
    /// How long it has been here.
    pub seconds: u64,
    /// Bytes that came from its socket.
    pub received_bytes: u64,
    /// Bytes that its socket took.
    pub sent_bytes: u64,
    /// It is read no further for now.
    pub paused: bool,
    /// What the kernel knows of the way to it, where it tells.
    pub network: Option<Figures>,
}

/// What the kernel knows of the way to a peer: whether it is the server that is slow or the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Round-trip time, smoothed.
    pub round_trip_us: u32,
    /// How much that varies.
    pub variation_us: u32,
    /// Segments that had to be sent again, ever.
    pub retransmits: u32,
    /// Bytes that were written and are not acknowledged.
    pub unsent_bytes: usize,
}

/// A connection that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndRow {
    /// Never used twice by a process.
    pub connection: u64,
    /// As log lines name it.
    pub peer: String,
    /// As log lines name it; none, if it had no seat in one.
    pub room: Option<String>,
    /// Why it ended.
    pub reason: &'static str,
    /// Who has to do something about it.
    pub blame: String,
    /// What it was told, or said itself.
    pub close_code: Option<u16>,
    /// Bytes that came from its socket.
    pub received_bytes: u64,
    /// Bytes that its socket took.
    pub sent_bytes: u64,
    /// How long it was here.
    pub seconds: u64,
    /// How long ago it was gone.
    pub seconds_ago: u64,
}

impl Shard {
    /// Answers a question, or carries out an order: what that has players be told leaves with the next flush.
    pub fn reply(&mut self, question: &Question) -> Answer {
        match question {
            Question::Rooms(from) => Answer::Rooms(self.rooms_from(*from)),
            Question::Players(room, from) => Answer::Players(self.players_from(room, *from)),
            Question::Ends(from) => Answer::Ends(self.ends_from(*from)),
            Question::Residence(room) => Answer::Residence(self.residence_in(room)),
            Question::Whose(id) => Answer::Whose(self.whose(*id)),
            Question::Order(order) => Answer::Done(self.obey(order)),
        }
    }

    fn rooms_from(&self, from: u64) -> Page<RoomRow> {
        let (raw, v1) = (&self.rooms, &self.v1.rooms);
        let mut rows = Vec::new();
        let mut at = from;
        for _ in 0..ASKED_LOOKS {
            let place = at as u32;
            if at >= V1 {
                if place >= v1.span() {
                    return Page { rows, next: None };
                }
                // At whose door somebody stands may have no players yet.
                let room = v1.get(place).filter(|room| room.players() > 0);
                rows.extend(room.map(|room| RoomRow {
                    name: room.name().to_string(),
                    dialect: "roomcast.v1",
                    players: room.players(),
                    log_bytes: room.log_counted(),
                }));
            } else if place >= raw.span() {
                at = V1;
                continue;
            } else {
                rows.extend(raw.get(place).map(|room| RoomRow {
                    name: room.name().to_string(),
                    dialect: "raw",
                    players: room.seats(),
                    log_bytes: 0,
                }));
            }
            at += 1;
            if rows.len() >= ASKED_ROWS {
                break;
            }
        }
        Page {
            rows,
            next: Some(at),
        }
    }

    fn players_from(&self, room: &str, from: u64) -> Option<Page<PlayerRow>> {
        let raw = self.rooms.find(room).map(|room| room.players());
        let v1 = self.v1.rooms.find(room).map(|room| room.members());
        if raw.is_none() && v1.is_none() {
            return None;
        }
        let all = raw.into_iter().flatten().chain(v1.into_iter().flatten());
        let mut left = all.skip(from as usize);
        let rows = left.by_ref().take(ASKED_ROWS);
        let rows = rows.map(|player| self.player_row(player)).collect();
        let next = left.next().map(|_| from + ASKED_ROWS as u64);
        Some(Page { rows, next })
    }

    fn player_row(&self, id: PlayerId) -> PlayerRow {
        let player = &self.players[id as usize];
        let slot = match player.link {
            Link::Here(slot) => Some(slot),
            Link::Away { .. } => None,
        };
        let id = match player.place {
            Place::V1 { room, seat } => Some(self.v1.rooms[room].id_of(seat)),
            Place::Room { .. } | Place::Door { .. } | Place::Echo => None,
        };
        PlayerRow {
            slot,
            player: id,
            connection: slot.map(|slot| self.connection_row(slot)),
            waiting_bytes: slot.map_or(player.lanes.charged(), |slot| self.held(slot).0),
            behind: player.pressure != Pressure::Clear,
        }
    }

    fn connection_row(&self, slot: u32) -> ConnectionRow {
        let connection = &self.connections[slot as usize];
        let who = &connection.who;
        ConnectionRow {
            id: who.id(),
            peer: self.common.naming.peer(who).to_string(),
            tls: matches!(connection.security, Security::Tls(_)),
            seconds: who.seconds(self.real),
            received_bytes: who.received(),
            sent_bytes: who.sent(),
            paused: connection.reading == Reading::Paused,
            network: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::shard::Common;
    use crate::shard::fixture::seated;

    /// All pages, one after the other.
    fn rooms(shard: &Shard) -> Vec<String> {
        let mut names = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let page = shard.rooms_from(at);
            assert!(page.rows.len() <= ASKED_ROWS);
            names.extend(page.rows.into_iter().map(|row| row.name));
            from = page.next;
        }
        names
    }

    #[test]
    fn pages_tell_every_room_once_and_end() {
        let common = Arc::new(Common::new(Limits::default(), 1));
        let mut shard = Shard::new(common, 0, 0, 7);
        assert_eq!(rooms(&shard), [""; 0]);
        let mut all: Vec<String> = (0..3 * ASKED_ROWS).map(|n| format!("room-{n}")).collect();
        for name in &all {
            seated(&mut shard, name);
        }
        let mut told = rooms(&shard);
        told.sort();
        all.sort();
        assert_eq!(told, all);
        for from in [V1, V1 - 1, u64::MAX, 1 << 40] {
            assert!(shard.rooms_from(from).rows.len() <= ASKED_ROWS);
        }
    }

    #[test]
    fn pages_tell_every_player_once() {
        let common = Arc::new(Common::new(Limits::default(), 1));
        let mut shard = Shard::new(common, 0, 0, 7);
        assert_eq!(shard.players_from("arena", 0), None);
        for _ in 0..=ASKED_ROWS {
            seated(&mut shard, "arena");
        }
        let first = shard.players_from("arena", 0).unwrap();
        assert_eq!((first.rows.len(), first.next), (ASKED_ROWS, Some(100)));
        let last = shard.players_from("arena", 100).unwrap();
        assert_eq!((last.rows.len(), last.next), (1, None));
        assert!(!first.rows.contains(&last.rows[0]));
        assert_eq!(shard.players_from("arena", u64::MAX).unwrap().rows, []);
    }
}
