//! What is said of each connection when it is gone: one line, at debug; and to operators who ask, of the last ones.
//!
//! Owns: what that needs and the connection no longer knows by then. Invariant: where nobody wants any of it, nothing is
//! kept.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use roomcast_protocol::close::CloseCode;

use super::asked::{EndRow, Page};
use super::connection::{Connection, Phase};
use super::identity::Identity;
use super::{Common, DisconnectReason, Shard};
use crate::limits::{ASKED_ROWS, ENDS_REMEMBERED};

/// Connections that end.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// By slot: those that are still there, because what they are told has not left yet.
    ending: HashMap<u32, Farewell>,
    /// The last that are gone, the newest first.
    ended: VecDeque<Ended>,
}

#[derive(Debug)]
struct Farewell {
    room: Option<Rc<str>>,
    /// The peer's close code, if it closed.
    said: Option<CloseCode>,
}

/// A connection that is gone.
#[derive(Debug)]
struct Ended {
    who: Identity,
    farewell: Farewell,
    reason: DisconnectReason,
    /// When (ms, real).
    at: u64,
}

impl Ended {
    fn code(&self) -> Option<CloseCode> {
        self.reason.close_code().or(self.farewell.said)
    }

    fn row(&self, common: &Common, now: u64) -> EndRow {
        let room = self.farewell.room.as_deref();
        EndRow {
            connection: self.who.id(),
            peer: common.naming.peer(&self.who).to_string(),
            room: room.map(|room| common.naming.room(room)),
            reason: self.reason.label(),
            blame: self.reason.blame().to_string(),
            close_code: self.code().map(|code| code.0),
            received_bytes: self.who.received(),
            sent_bytes: self.who.sent(),
            seconds: self.who.seconds(self.at),
            seconds_ago: now.saturating_sub(self.at) / 1_000,
        }
    }
}

impl Shard {
    /// Keeps what will be said of a connection that is about to leave its room.
    pub(super) fn remember_for_the_end(&mut self, slot: u32, said: Option<CloseCode>) {
        if !self.common.is_operated() && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let room = match self.connections[slot as usize].phase {
            Phase::Open(player) => self.players[player as usize].room(),
            _ => None,
        };
        let room = room.map(|room| Rc::clone(self.room_name(room)));
        let farewell = Farewell { room, said };
        self.farewells.ending.insert(slot, farewell);
    }

    /// The last connections that are gone, the newest first, from this one on.
    pub(super) fn ends_from(&self, from: u64) -> Page<EndRow> {
        let all = self.farewells.ended.iter().skip(from as usize);
        let mut left = all.map(|ended| ended.row(&self.common, self.real));
        let rows = left.by_ref().take(ASKED_ROWS).collect();
        let next = left.next().map(|_| from + ASKED_ROWS as u64);
        Page { rows, next }
    }
}

impl Farewells {
    /// Says it. Not of a connection that went to another reactor.
    pub(super) fn say(&mut self, slot: u32, connection: &Connection, common: &Common, now: u64) {
        if self.ending.is_empty() {
            return;
        }
        let (Some(farewell), Some(reason)) = (self.ending.remove(&slot), connection.reason) else {
            return;
        };
        let ended = Ended {
            who: connection.who,
            farewell,
            reason,
            at: now,
        };
        let who = &ended.who;
        let room = ended.farewell.room.as_deref();
        tracing::debug!(
            id = who.id(),
            peer = %common.naming.peer(who),
            room = room.map(|room| common.naming.room(room)),
            reason = reason.label(),
            blame = %reason.blame(),
            close_code = ended.code().map(|code| code.0),
            cause = reason.cause().map(tracing::field::display),
            received = who.received(),
            sent = who.sent(),
            seconds = who.seconds(now),
            "connection ends"
        );
        if common.is_operated() {
            self.ended.truncate(ENDS_REMEMBERED - 1);
            self.ended.push_front(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::limits::Limits;
    use crate::shard::EndReason;
    use crate::shard::fixture::{seated, write};

    fn shard(operated: bool) -> Shard {
        let common = Common::new(Limits::default(), 1).with_operators(operated);
        Shard::new(Arc::new(common), 0, 0, 7)
    }

    /// One comes to this room and is lost.
    fn pass(shard: &mut Shard, room: &str) {
        let slot = seated(shard, room);
        write(shard);
        shard.failed(slot);
        shard.reap(|_| {});
    }

    #[test]
    fn the_last_ends_are_told_newest_first_and_no_more() {
        let mut shard = shard(true);
        for n in 0..=ENDS_REMEMBERED {
            shard.advance(1_000 * n as u64, 1_000 * n as u64);
            pass(&mut shard, &format!("room-{n}"));
        }
        let first = shard.ends_from(0);
        assert_eq!(
            (first.rows.len(), first.next),
            (ASKED_ROWS, Some(ASKED_ROWS as u64))
        );
        let newest = &first.rows[0];
        assert_eq!(
            newest.reason,
            DisconnectReason::from(EndReason::ConnectionLost).label()
        );
        assert_eq!((newest.blame.as_str(), newest.seconds_ago), ("network", 0));
        assert!(
            newest
                .room
                .as_ref()
                .is_some_and(|room| room.starts_with('#'))
        );
        assert_eq!(first.rows[7].seconds_ago, 7);
        assert_eq!(shard.ends_from(ENDS_REMEMBERED as u64 - 1).rows.len(), 1);
        assert_eq!(shard.ends_from(ENDS_REMEMBERED as u64).rows, []);
        assert!(shard.farewells.ending.is_empty());
    }

    #[test]
    fn where_nobody_operates_nothing_is_kept() {
        let mut shard = shard(false);
        pass(&mut shard, "arena");
        assert_eq!(shard.ends_from(0).rows, []);
    }
}
