//! The newest values of a client's keys, and which of them the relay may not have.
//!
//! Owns: own keys with their values, what waits to be written, what was written and may be lost.
//! Must not know: pace, messages, what others said.
//! Invariant: what is written of a key is its newest value, never before an event that was sent earlier; whatever a lost
//! connection may have lost of the client's own keys is written again.

use std::collections::BTreeMap;

use super::Kept;
use crate::v1::{Key, up};

/// Where the newest that was said of a key is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// To be written.
    Waiting,
    /// Written at this time, on the present connection.
    Written(u64),
    /// The relay has it.
    Known,
}

#[derive(Debug)]
struct Own {
    /// A STATE, or a DELETE.
    packet: Vec<u8>,
    deleted: bool,
    /// It was said as the host.
    as_host: bool,
    /// So many numbered packets were sent before it.
    after: u64,
    stage: Stage,
}

/// Whether a key is the room's, and the key.
type Whose = (bool, Key);

#[derive(Default, Debug)]
pub(super) struct States {
    all: BTreeMap<Whose, Own>,
    bytes: usize,
    waiting: usize,
    /// Whose turn it is, so that none waits for ever where little may be written.
    turn: Whose,
}

impl States {
    pub(super) fn are_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Takes a value or the end of one, said when so many numbered packets had been sent. False if that is too much to keep.
    pub(super) fn set(
        &mut self,
        whose: Whose,
        packet: &up::Packet<'_>,
        after: u64,
        kept: Kept,
    ) -> bool {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        let before = self.all.get(&whose);
        let len = self.bytes - before.map_or(0, |own| own.packet.len()) + bytes.len();
        let count = self.all.len() + usize::from(before.is_none());
        if len > kept.bytes || count > kept.packets {
            return false;
        }
        self.bytes = len;
        let own = Own {
            packet: bytes,
            deleted: matches!(packet, up::Packet::Delete { .. }),
            as_host: packet.term().is_some(),
            after,
            stage: Stage::Waiting,
        };
        let replaced = self.all.insert(whose, own);
        let waited = replaced.is_some_and(|own| own.stage == Stage::Waiting);
        self.waiting += usize::from(!waited);
        true
    }

    /// What the relay may not have of a key.
    pub(super) fn unknown(&self, whose: Whose) -> Option<&[u8]> {
        let own = self.all.get(&whose)?;
        (own.stage != Stage::Known).then_some(&own.packet)
    }

    /// What the relay may not have of a key will be written in another way, and again for as long as it takes.
    pub(super) fn is_kept_elsewhere(&mut self, whose: Whose) {
        if let Some(own) = self.all.get_mut(&whose) {
            let before = std::mem::replace(&mut own.stage, Stage::Known);
            self.waiting -= usize::from(before == Stage::Waiting);
        }
    }

    /// Appends what waits, up to `packets` and `room` bytes; if `alone`, one that is larger too. `written`: how many numbered
    /// packets the present connection has been sent, of all that there ever were. Answers how many.
    pub(super) fn send(
        &mut self,
        (now, written): (u64, u64),
        packets: usize,
        room: usize,
        alone: bool,
        out: &mut Vec<u8>,
    ) -> usize {
        let (mut count, mut len) = (0, 0);
        let mut last = None;
        let turn = self.turn;
        let (before, from) = (..turn, turn..);
        let mut visit = |whose: Whose, own: &mut Own| {
            if own.stage != Stage::Waiting || own.after > written {
                return true;
            }
            let fits = len + own.packet.len() <= room || alone && count == 0;
            if count == packets || !fits {
                return false;
            }
            out.extend_from_slice(&own.packet);
            own.stage = Stage::Written(now);
            len += own.packet.len();
            count += 1;
            last = Some(whose);
            true
        };
        let mut goes_on = self.waiting > 0;
        if goes_on {
            let mut rest = self.all.range_mut(from);
            goes_on = rest.all(|(whose, own)| visit(*whose, own));
        }
        if goes_on {
            let mut first = self.all.range_mut(before);
            first.all(|(whose, own)| visit(*whose, own));
        }
        if let Some((room, key)) = last {
            self.turn = (room, key.wrapping_add(1));
            self.waiting -= count;
        }
        count
    }

    /// What was written before this time has arrived.
    pub(super) fn arrived(&mut self, before: u64) {
        let Self { all, bytes, .. } = self;
        all.retain(|_, own| {
            match own.stage {
                Stage::Written(at) if at < before => own.stage = Stage::Known,
                _ => {}
            }
            let keep = !(own.deleted && own.stage == Stage::Known);
            if !keep {
                *bytes -= own.packet.len();
            }
            keep
        });
    }

    /// A new connection: what the last one may have lost waits again. But what others may have written since stays as it is.
    pub(super) fn lost(&mut self) {
        self.again(|own| matches!(own.stage, Stage::Written(_)));
    }

    /// Somebody new, who has no keys yet: all values wait again, but those that it gave them as the host of then.
    pub(super) fn restart(&mut self) {
        let Self { all, bytes, .. } = self;
        all.retain(|(room, _), own| {
            let keep = !own.deleted && !own.as_host && !room;
            if !keep {
                *bytes -= own.packet.len();
            }
            keep
        });
        self.again(|_| true);
    }

    fn again(&mut self, which: impl Fn(&Own) -> bool) {
        for ((room, _), own) in &mut self.all {
            if which(own) {
                own.stage = if *room { Stage::Known } else { Stage::Waiting };
            }
        }
        self.waiting = self
            .all
            .values()
            .filter(|own| own.stage == Stage::Waiting)
            .count();
    }
}
