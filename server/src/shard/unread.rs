//! What came behind a request head, or in requests of a session, until it may be heard.
//!
//! Owns: those bytes, by the slots of their connections. Must not know: rooms, and what the bytes mean. Invariants: they are
//! heard before anything that their socket gives; whoever has some is paused, or will be read in the next iteration, though
//! its socket has no edge; they end with their connection only.
//!
//! They pass the same gate as a read ([`Shard::may_read`]): a reconnect is no way around the budgets.

use std::collections::HashMap;

use super::Shard;
use super::connection::Phase;
use super::pressure::Reading;
use crate::planted::{self, Fault};
use crate::transport::Security;

#[derive(Debug)]
struct Rest {
    bytes: Vec<u8>,
    /// So many of them have been heard.
    heard: usize,
}

/// The unread bytes of all connections.
#[derive(Debug, Default)]
pub(super) struct Unread(HashMap<u32, Rest>);

impl Unread {
    /// Bytes that wait for this slot.
    pub(super) fn of(&self, slot: u32) -> usize {
        let rest = if self.0.is_empty() {
            None
        } else {
            self.0.get(&slot)
        };
        rest.map_or(0, |rest| rest.bytes.len() - rest.heard)
    }

    /// Bytes of memory that they take.
    pub(super) fn held(&self, slot: u32) -> usize {
        self.0.get(&slot).map_or(0, |rest| rest.bytes.capacity())
    }

    /// For whom something waits.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.keys().copied()
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        if !self.0.is_empty() {
            self.0.remove(&slot);
        }
    }
}

impl Shard {
    /// Bytes that came behind the request head of this slot's connection and have not been heard.
    pub fn unread(&self, slot: u32) -> usize {
        self.unread.of(slot)
    }

    /// Before a socket is read: hears at most so many bytes of what came behind its request head. Returns how many; if
    /// there were any, that was this iteration's read.
    // Asked before each read: mostly there is nothing, and then it costs a look.
    #[inline]
    pub fn receive_unread(&mut self, slot: u32, most: usize) -> usize {
        if self.unread.0.is_empty() {
            0
        } else {
            self.receive_set_aside(slot, most)
        }
    }

    #[inline(never)]
    fn receive_set_aside(&mut self, slot: u32, most: usize) -> usize {
        let Some(mut rest) = self.unread.0.remove(&slot) else {
            return 0;
        };
        let now = self.now32();
        // They were counted when they came.
        self.connections[slot as usize].heard(now, 0);
        let end = rest.bytes.len().min(rest.heard + most);
        let taken = end - rest.heard;
        let waits = end < rest.bytes.len();
        let bytes = &mut rest.bytes[rest.heard..end];
        match self.connections[slot as usize].carried {
            true => self.receive_carried(slot, bytes),
            false => self.receive_plain(slot, bytes),
        }
        if waits {
            rest.heard = end;
            self.unread.0.insert(slot, rest);
        } else if let Security::Tls(tls) = &self.connections[slot as usize].security {
            // What ended the session behind them was heard when they came.
            let heard = tls.heard();
            self.heed(slot, heard);
        }
        taken
    }

    /// Keeps what came behind a request head.
    pub(super) fn set_aside(&mut self, slot: u32, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.unread.0.insert(slot, Rest { bytes, heard: 0 });
        }
    }

    /// Hears what was set aside, as far as that may be heard now. The rest is no different from what a paused socket holds.
    pub(super) fn hear_aside(&mut self, slot: u32) {
        if self.unread.of(slot) == 0 {
            return;
        }
        let most = self.may_read(slot);
        if most > 0 {
            self.receive_unread(slot, most);
        }
        let connection = &mut self.connections[slot as usize];
        let goes_on =
            connection.reading != Reading::Paused && !matches!(connection.phase, Phase::Dead);
        if goes_on && self.unread.of(slot) > 0 && !planted::is(Fault::ForgottenRest) {
            connection.reading = Reading::Unheard;
            self.unpaused.push(slot);
        }
    }

    /// Whether unread bytes of this slot are remembered by its pause.
    pub fn is_paused(&self, slot: u32) -> bool {
        let connection = self.connections.get(slot as usize);
        connection.is_some_and(|connection| connection.reading == Reading::Paused)
    }
}
