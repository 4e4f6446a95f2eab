//! What a connection may not do though it has a seat: stay for ever, speak as a spectator, send more than it may.
//!
//! Owns: the bounds of those connections that have any, and what they have used of them. Must not know: tickets, rooms.
//! Invariant: only who is marked as guarded has an entry, so that nobody else pays for more than a look at the mark.

use std::collections::HashMap;
use std::num::NonZeroU32;

use roomcast_protocol::v1::up;

use super::connection::{Connection, Phase};
use super::player::Place;
use super::tickets::Pass;
use super::{CloseReason, Shard};
use crate::limits::QUOTA_SECONDS;

/// Thousandths, so that no millisecond is lost.
const WHOLE: u64 = 1_000;

/// A quota: a bucket that fills steadily, and what is missing in it. It is full at first. (That of roomcast.v1's packets
/// has half the size, because every player has one; it is too small for bytes.)
#[derive(Debug, Clone, Copy)]
struct Metered {
    per_second: u64,
    burst: u64,
    /// In thousandths, as of `at`.
    missing: u64,
    at: u32,
}

impl Metered {
    /// At once at least so many.
    fn new(per_second: NonZeroU32, at_least: usize) -> Self {
        let per_second = u64::from(per_second.get());
        Self {
            per_second,
            burst: (per_second * QUOTA_SECONDS).max(at_least as u64),
            missing: 0,
            at: 0,
        }
    }

    /// Takes so many; whether that is more than is lent.
    fn is_over(&mut self, amount: usize, now: u32) -> bool {
        self.missing = self.missing(now) + amount as u64 * WHOLE;
        self.at = now;
        self.missing > (self.burst + self.per_second * QUOTA_SECONDS) * WHOLE
    }

    /// Milliseconds until nothing is lent any more.
    fn wait(&self, now: u32) -> u32 {
        let lent = self.missing(now).saturating_sub(self.burst * WHOLE);
        lent.div_ceil(self.per_second) as u32
    }

    fn missing(&self, now: u32) -> u64 {
        let filled = u64::from(now.wrapping_sub(self.at)) * self.per_second;
        self.missing.saturating_sub(filled)
    }
}

/// The bounds of one connection.
#[derive(Debug)]
pub(super) struct Guard {
    spectates: bool,
    /// When its stay ends.
    until: Option<u32>,
    messages: Option<Metered>,
    bytes: Option<Metered>,
}

impl Guard {
    /// A message came from somebody in this place; `speaks` if it is for others. Whether that was too much.
    #[inline(never)]
    pub(super) fn hear(&mut self, speaks: bool, bytes: usize, now: u32) -> Result<(), CloseReason> {
        if speaks && self.spectates {
            return Err(CloseReason::SpectatorSpoke);
        }
        let over = |metered: &mut Option<Metered>, amount| {
            metered
                .as_mut()
                .is_some_and(|metered| metered.is_over(amount, now))
        };
        // Both are counted, also if the first says enough.
        if over(&mut self.messages, 1) | over(&mut self.bytes, bytes) {
            return Err(CloseReason::OverQuota);
        }
        Ok(())
    }

    /// Milliseconds until it may be read again.
    fn wait(&self, now: u32) -> u32 {
        let metered = [&self.messages, &self.bytes];
        let waits = metered.into_iter().flatten();
        waits.map(|metered| metered.wait(now)).max().unwrap_or(0)
    }
}

/// Whether a message of somebody in this place is for others. Of a roomcast.v1 player, pings and a farewell are not.
pub(super) fn speaks(place: Place, is_raw: bool, message: &[u8]) -> bool {
    use up::Packet::{Join, Leave, Ping};
    match place {
        Place::Door { .. } => false,
        Place::V1 { .. } if !is_raw => up::decode(message).is_ok_and(|mut packets| {
            packets.any(|packet| !matches!(packet, Ok(Join(_) | Ping { .. } | Leave) | Err(_)))
        }),
        Place::Room { .. } | Place::V1 { .. } | Place::Echo => true,
    }
}

/// The bounds of all who have any, by slots.
#[derive(Debug, Default)]
pub(super) struct Guards(HashMap<u32, Guard>);

impl Guards {
    /// Whether the connection in this slot may only receive.
    pub(super) fn spectates(&self, slot: u32) -> bool {
        self.0.get(&slot).is_some_and(|guard| guard.spectates)
    }

    pub(super) fn of(&mut self, slot: u32) -> Option<&mut Guard> {
        self.0.get_mut(&slot)
    }

    /// The bounds of the connection in this slot, if it is marked as having any.
    #[inline]
    pub(super) fn over(&mut self, slot: u32, connection: &Connection) -> Option<&mut Guard> {
        match connection.guarded {
            true => self.of(slot),
            false => None,
        }
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        if !self.0.is_empty() {
            self.0.remove(&slot);
        }
    }

    /// Who has any.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.keys().copied()
    }

    /// Milliseconds until the connection in this slot may be read again.
    fn wait(&self, slot: u32, now: u32) -> u32 {
        self.0.get(&slot).map_or(0, |guard| guard.wait(now))
    }
}

impl Shard {
    /// The connection in this slot has a seat, or stands at a door, with what its ticket lets it do.
    pub(super) fn guard(&mut self, slot: u32, pass: Pass) {
        let quota = pass.quota.and(self.common.limits.quota);
        let bounds = Pass {
            quota,
            bearer: None,
            ..pass
        };
        if bounds == Pass::default() {
            return;
        }
        let now = self.now32();
        // One message may always be sent.
        let max_message = self.common.limits.max_message;
        let guard = Guard {
            spectates: pass.spectates,
            until: pass.stay_ms.map(|stay| now.wrapping_add(stay)),
            messages: quota.messages.map(|most| Metered::new(most, 1)),
            bytes: quota.bytes.map(|most| Metered::new(most, max_message)),
        };
        self.guards.0.insert(slot, guard);
        self.connections[slot as usize].guarded = true;
        self.begin_stay(slot);
    }

    /// The connection in this slot has a seat: from now on its deadline is the end of its stay, if that has one.
    pub(super) fn begin_stay(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let Phase::Open(player) = connection.phase else {
            return;
        };
        // Until its first packet has come, its deadline is another.
        if matches!(self.players[player as usize].place, Place::Door { .. }) || connection.draining
        {
            return;
        }
        if let Some(until) = self.guards.of(slot).and_then(|guard| guard.until) {
            connection.deadline = until;
            connection.stays = true;
        }
    }

    /// Whether the connection in this slot has sent more than it may, and so has to wait.
    pub(super) fn is_over_quota(&self, slot: u32) -> bool {
        self.connections[slot as usize].guarded && self.guards.wait(slot, self.now32()) > 0
    }

    /// Milliseconds until a connection may be read again that has sent more than it may, 0 if it has not; `None` if it may
    /// send as much as it likes.
    pub(super) fn quota_wait(&self, slot: u32) -> Option<u32> {
        let guarded = self.connections[slot as usize].guarded;
        guarded.then(|| self.guards.wait(slot, self.now32()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_lent_for_two_seconds_then_it_is_over() {
        let metered = |most| NonZeroU32::new(most).map(|most| Metered::new(most, 1));
        let mut guard = Guard {
            spectates: false,
            until: None,
            messages: metered(10),
            bytes: metered(1_000),
        };
        for _ in 0..20 {
            assert_eq!(guard.hear(true, 100, 0), Ok(()));
        }
        assert_eq!(guard.wait(0), 0);
        assert_eq!(guard.hear(true, 600, 0), Ok(()));
        assert_eq!(
            (guard.wait(0), guard.wait(599), guard.wait(600)),
            (600, 1, 0)
        );
        assert_eq!(guard.hear(true, 1_500, 0), Err(CloseReason::OverQuota));
    }

    #[test]
    fn a_spectator_may_join_ping_and_leave() {
        let packet = |packet: up::Packet<'_>| {
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            bytes
        };
        let seat = Place::V1 { room: 0, seat: 0 };
        let leave = packet(up::Packet::Leave);
        assert!(!speaks(seat, false, &leave));
        assert!(
            speaks(seat, true, &leave),
            "of a raw player it is a message"
        );
        assert!(speaks(Place::Echo, false, &leave));
        assert!(!speaks(Place::Door { room: 0 }, false, b"JOIN"));
        let event = up::Packet::Event {
            term: None,
            to: up::Audience::Others,
            droppable: false,
            payload: roomcast_protocol::v1::Payload::Bytes(b"hello"),
        };
        assert!(speaks(seat, false, &packet(event)));
    }
}
