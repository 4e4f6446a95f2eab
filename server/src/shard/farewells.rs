//! What is said of each connection when it is gone: one line, at debug.
//!
//! Owns: what such a line needs and the connection no longer knows by then. Invariant: where nobody wants these lines,
//! nothing is kept.

use std::collections::HashMap;

use roomcast_protocol::close::CloseCode;

use super::connection::{Connection, Phase};
use super::{Common, Shard};

/// By slot: connections that end and are still there, because what they are told has not left yet.
#[derive(Debug, Default)]
pub(super) struct Farewells(HashMap<u32, Farewell>);

#[derive(Debug)]
struct Farewell {
    /// As log lines name it.
    room: Option<String>,
    /// The peer's close code, if it closed.
    said: Option<CloseCode>,
}

impl Shard {
    /// Keeps what the line will need of a connection that is about to leave its room.
    pub(super) fn remember_for_the_end(&mut self, slot: u32, said: Option<CloseCode>) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let room = match self.connections[slot as usize].phase {
            Phase::Open(player) => self.players[player as usize].room(),
            _ => None,
        };
        let room = room.map(|room| self.common.naming.room(self.room_name(room)));
        self.farewells.0.insert(slot, Farewell { room, said });
    }
}

impl Farewells {
    /// Says it. Not of a connection that went to another reactor.
    pub(super) fn say(&mut self, slot: u32, connection: &Connection, common: &Common, now: u64) {
        if self.0.is_empty() {
            return;
        }
        let (Some(farewell), Some(reason)) = (self.0.remove(&slot), connection.reason) else {
            return;
        };
        let who = &connection.who;
        let code = reason.close_code().or(farewell.said);
        tracing::debug!(
            id = who.id(),
            peer = %common.naming.peer(who),
            room = farewell.room,
            reason = reason.label(),
            blame = %reason.blame(),
            close_code = code.map(|code| code.0),
            cause = reason.cause().map(tracing::field::display),
            received = who.received(),
            sent = who.sent(),
            seconds = who.seconds(now),
            "connection ends"
        );
    }
}
