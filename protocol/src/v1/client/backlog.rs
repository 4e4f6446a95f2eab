//! The numbered packets that a relay has not acknowledged.
//!
//! Owns: their bytes, their numbers, and which of them the present connection has been sent.
//! Must not know: what is in them.
//! Invariant: numbers go on without a gap from the first that is kept; what is kept stays within [`Kept`], but for the last
//! packet of a session.

use std::collections::VecDeque;

use crate::v1::up;

/// How much a client keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Packets at most.
    pub packets: usize,
    /// Bytes at most.
    pub bytes: usize,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// As much is kept as may be, because the relay has not acknowledged it.
    #[error("too much is waiting to be acknowledged")]
    Full,
    /// The relay takes no message that is so long.
    #[error("longer than the relay takes")]
    TooBig,
    /// There is nothing in it.
    #[error("nothing to send")]
    Nothing,
    /// A number beyond its bound.
    #[error("a number is out of its bounds")]
    OutOfBounds,
    /// The session is at its end.
    #[error("the session is at its end")]
    Ended,
}

#[derive(Debug)]
pub(super) struct Backlog {
    kept: Kept,
    /// The packets, the first one from `begin` on.
    bytes: Vec<u8>,
    begin: usize,
    lens: VecDeque<usize>,
    /// The number of the first packet.
    first: u64,
    /// How many of them the present connection has been sent, and where the next begins.
    sent: usize,
    sent_to: usize,
    /// How many were ever sent since they were numbered: only those can have been applied.
    once_sent: u64,
    /// How many were ever taken, of whichever player.
    taken: u64,
}

impl Backlog {
    pub(super) fn new(kept: Kept) -> Self {
        Self {
            kept,
            bytes: Vec::new(),
            begin: 0,
            lens: VecDeque::new(),
            first: 0,
            sent: 0,
            sent_to: 0,
            once_sent: 0,
            taken: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lens.len()
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.unsent() > 0
    }

    /// How many the present connection has not been sent.
    pub(super) fn unsent(&self) -> usize {
        self.lens.len() - self.sent
    }

    /// How many were ever taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many of these the present connection has been sent, or are done with.
    pub(super) fn written(&self) -> u64 {
        self.taken - (self.lens.len() - self.sent) as u64
    }

    /// Takes a packet and answers its number.
    pub(super) fn push(
        &mut self,
        packet: &up::Packet<'_>,
        message_max: usize,
    ) -> Result<u64, Unsendable> {
        self.push_behind(&[], packet, message_max)
    }

    /// The same, with what has no number and always goes right before it.
    pub(super) fn push_behind(
        &mut self,
        unnumbered: &[u8],
        packet: &up::Packet<'_>,
        message_max: usize,
    ) -> Result<u64, Unsendable> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(unnumbered);
        packet.encode(&mut self.bytes);
        let len = self.bytes.len() - before;
        let refused = if len > message_max {
            Some(Unsendable::TooBig)
        } else if self.lens.len() >= self.kept.packets
            || self.bytes.len() - self.begin > self.kept.bytes
        {
            Some(Unsendable::Full)
        } else {
            None
        };
        if let Some(refused) = refused {
            self.bytes.truncate(before);
            return Err(refused);
        }
        self.lens.push_back(len);
        self.taken += 1;
        Ok(self.first + self.lens.len() as u64 - 1)
    }

    /// Takes one more, whatever is kept.
    pub(super) fn push_last(&mut self, packet: &up::Packet<'_>) {
        let before = self.bytes.len();
        packet.encode(&mut self.bytes);
        self.lens.push_back(self.bytes.len() - before);
        self.taken += 1;
    }

    /// Forgets those before number `applied`; false if that can't be.
    pub(super) fn free(&mut self, applied: u64) -> bool {
        if applied < self.first || applied > self.first.max(self.once_sent) {
            return false;
        }
        let count = (applied - self.first) as usize;
        let len: usize = self.lens.drain(..count).sum();
        self.begin += len;
        self.first = applied;
        self.sent = self.sent.saturating_sub(count);
        self.sent_to = self.sent_to.max(self.begin);
        if 2 * self.begin >= self.bytes.len() {
            self.bytes.drain(..self.begin);
            self.sent_to -= self.begin;
            self.begin = 0;
        }
        true
    }

    /// A new connection: it has been sent nothing.
    pub(super) fn hold(&mut self) {
        self.sent = 0;
        self.sent_to = self.begin;
    }

    /// The first answer on a connection: goes on from number `applied`; false if that can't be.
    pub(super) fn send_from(&mut self, applied: u64) -> bool {
        self.hold();
        self.free(applied)
    }

    /// The first answer of all: what waits is numbered from `applied` on.
    pub(super) fn number_from(&mut self, applied: u64) {
        self.first = applied;
        self.once_sent = applied;
    }

    /// Somebody else's numbers: drops all, and answers how many there were.
    pub(super) fn restart(&mut self, applied: u64) -> usize {
        let dropped = self.lens.len();
        *self = Self {
            taken: self.taken,
            ..Self::new(self.kept)
        };
        self.number_from(applied);
        dropped
    }

    /// Appends packets that were not sent on this connection, up to `packets` and `room` bytes; if `alone`, one that is
    /// larger too. Answers how many.
    pub(super) fn send(
        &mut self,
        packets: usize,
        room: usize,
        alone: bool,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut count = 0;
        let mut len = 0;
        for next in self.lens.range(self.sent..).take(packets) {
            if len + next > room && !(alone && count == 0) {
                break;
            }
            len += next;
            count += 1;
        }
        let end = self.sent_to + len;
        out.extend_from_slice(&self.bytes[self.sent_to..end]);
        self.sent += count;
        self.sent_to = end;
        self.once_sent = self.once_sent.max(self.first + self.sent as u64);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Payload;
    use crate::v1::up::{Audience, Packet};

    fn event(payload: &[u8]) -> Packet<'_> {
        Packet::Event {
            term: None,
            to: Audience::Others,
            droppable: false,
            payload: Payload::Bytes(payload),
        }
    }

    fn sent(backlog: &mut Backlog, packets: usize, room: usize) -> Vec<u8> {
        let mut out = Vec::new();
        backlog.send(packets, room, true, &mut out);
        // Each packet is three bytes, the last of which says which one it is.
        out.chunks(3).map(|packet| packet[2]).collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_in_order() {
        let mut backlog = Backlog::new(Kept {
            packets: 6,
            bytes: 18,
        });
        for number in 0..6 {
            assert_eq!(backlog.push(&event(&[number]), 100), Ok(u64::from(number)));
        }
        assert_eq!(backlog.push(&event(&[6]), 100), Err(Unsendable::Full));
        assert!(!backlog.free(1), "nothing was sent");
        assert_eq!(sent(&mut backlog, 2, 100), [0, 1]);
        assert_eq!(sent(&mut backlog, 9, 7), [2, 3]);
        assert!(!backlog.free(5), "not yet sent");
        assert!(backlog.free(3));
        assert!(!backlog.free(2), "less than before");
        assert_eq!(
            sent(&mut backlog, 9, 1),
            [4],
            "one that is larger goes alone"
        );
        backlog.hold();
        assert!(backlog.send_from(3));
        assert_eq!(backlog.push(&event(&[6]), 100), Ok(6));
        assert_eq!(sent(&mut backlog, 9, 100), [3, 4, 5, 6]);
        assert!(backlog.free(7) && !backlog.has_unsent());
        assert_eq!(backlog.push(&event(&[7; 20]), 100), Err(Unsendable::Full));
        assert_eq!(backlog.push(&event(&[7; 20]), 20), Err(Unsendable::TooBig));
        assert_eq!(backlog.push(&event(&[7]), 100), Ok(7));
        assert_eq!((backlog.restart(2), backlog.len()), (1, 0));
        assert_eq!(backlog.push(&event(&[0]), 100), Ok(2));
    }
}
