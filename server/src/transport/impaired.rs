//! A bad network on purpose: what goes to a peer that asked for one waits, trickles, or stops.
//!
//! Owns: bytes that have left for everybody but the socket, and when they may reach it. Must not know: frames, TLS,
//! sockets, the clock, chance. Invariant: order is kept, and what is held has a bound; beyond it this is a socket that
//! takes nothing.

use std::collections::VecDeque;
use std::io::IoSlice;

use roomcast_protocol::v1::up::Impairment;

use crate::limits::{IMPAIRED_BYTES, IMPAIRED_SLICE_MS, IMPAIRED_WRITES};

/// One byte, in the unit of the credit: what a rate of one byte a second earns in a millisecond is one.
const BYTE: u64 = 1_000;

/// What one write brought.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// When it may go on, ms.
    due: u64,
    len: usize,
}

/// What is between a connection and its socket. Times in ms.
#[derive(Debug)]
pub struct Impaired {
    to: Impairment,
    writes: VecDeque<Waiting>,
    bytes: Vec<u8>,
    /// Bytes of them that have gone on.
    gone: usize,
    /// What may come in now, as far as the rate decides, in parts of a [`BYTE`]; and as of when.
    credit: u64,
    credited_at: u64,
    /// It did not take all that was offered.
    is_full: bool,
    /// The socket took nothing more.
    is_stuck: bool,
    cut_at: Option<u64>,
}

impl Impaired {
    /// As was asked for at `now`.
    pub fn new(to: Impairment, now: u64) -> Self {
        let mut impaired = Self {
            to,
            writes: VecDeque::new(),
            bytes: Vec::new(),
            gone: 0,
            credit: 0,
            credited_at: now,
            is_full: false,
            is_stuck: false,
            cut_at: None,
        };
        impaired.change(to, now);
        impaired
    }

    /// Something else was asked for. What waits keeps its moment, unless everything is to be as it should be.
    pub fn change(&mut self, to: Impairment, now: u64) {
        self.to = to;
        self.cut_at = (to.cut > 0).then(|| now + to.cut);
        self.credit = self.credit_max();
        self.credited_at = now;
        if self.is_none() {
            self.writes.iter_mut().for_each(|write| write.due = now);
        }
    }

    /// Takes what is written, as much of it as goes; `chance` is asked for a number up to its argument.
    pub fn take(
        &mut self,
        slices: &[IoSlice<'_>],
        now: u64,
        chance: impl FnOnce(u64) -> u64,
    ) -> usize {
        let before = self.bytes.len();
        let mut room = self.room(now);
        for slice in slices {
            let some = &slice[..slice.len().min(room)];
            self.bytes.extend_from_slice(some);
            room -= some.len();
            self.is_full |= some.len() < slice.len();
        }
        let len = self.bytes.len() - before;
        if len > 0 {
            if self.to.rate > 0 {
                self.credit -= len as u64 * BYTE;
            }
            let last = self.writes.back().map_or(0, |write| write.due);
            let due = now + self.to.delay + chance(self.to.jitter);
            let due = due.max(last);
            self.writes.push_back(Waiting { due, len });
        }
        len
    }

    /// What may go on by now.
    pub fn due(&self, now: u64) -> &[u8] {
        if self.is_stuck {
            return &[];
        }
        let due = self.writes.iter().take_while(|write| write.due <= now);
        let len: usize = due.map(|write| write.len).sum();
        &self.bytes[self.gone..self.gone + len]
    }

    /// The socket took so many bytes of what was due, and then no more if it `is_stuck`.
    pub fn sent(&mut self, mut count: usize, is_stuck: bool) {
        self.is_stuck = is_stuck;
        self.gone += count;
        while let Some(first) = self.writes.front_mut() {
            if first.len > count {
                first.len -= count;
                break;
            }
            count -= first.len;
            self.writes.pop_front();
        }
        // What has gone on is given up when it is half of all, so each byte is moved once at most.
        if self.gone * 2 >= self.bytes.len() {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
    }

    /// The socket takes bytes again.
    pub fn unstick(&mut self) {
        self.is_stuck = false;
    }

    /// Whether what it did not take may be offered again; says so once.
    pub fn takes_again(&mut self, now: u64) -> bool {
        let takes = self.is_full && self.room(now) > 0 && self.refilled_at() <= now;
        self.is_full &= !takes;
        takes
    }

    /// Whether the connection is to break.
    pub fn is_cut(&self, now: u64) -> bool {
        self.cut_at.is_some_and(|at| at <= now)
    }

    /// When there is something to do for it (ms), if nothing happens before.
    pub fn wakes_at(&self) -> Option<u64> {
        if self.is_over() {
            return Some(0);
        }
        let due = self.writes.front().map(|write| write.due);
        let due = due.filter(|_| !self.is_stuck);
        let has_space = self.held() < IMPAIRED_BYTES && self.writes.len() < IMPAIRED_WRITES;
        let refilled = (self.is_full && has_space).then(|| self.refilled_at());
        [due, refilled, self.cut_at].into_iter().flatten().min()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Nothing waits, and nothing will: the connection can do without it.
    pub fn is_over(&self) -> bool {
        self.is_none() && self.is_empty()
    }

    /// Bytes that wait.
    pub fn held(&self) -> usize {
        self.bytes.len() - self.gone
    }

    fn is_none(&self) -> bool {
        self.to == Impairment::default()
    }

    /// Bytes that may come in.
    fn room(&mut self, now: u64) -> usize {
        let earned = self.to.rate.saturating_mul(now - self.credited_at);
        self.credit = self.credit.saturating_add(earned).min(self.credit_max());
        self.credited_at = now;
        let space = match self.writes.len() {
            IMPAIRED_WRITES.. => 0,
            _ => IMPAIRED_BYTES - self.held(),
        };
        match self.to.rate {
            0 => space,
            _ => space.min((self.credit / BYTE) as usize),
        }
    }

    fn credit_max(&self) -> u64 {
        self.to.rate.saturating_mul(IMPAIRED_SLICE_MS).max(BYTE)
    }

    /// When the rate lets a whole portion in again.
    fn refilled_at(&self) -> u64 {
        match self.to.rate {
            0 => 0,
            rate => self.credited_at + (self.credit_max() - self.credit).div_ceil(rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Impairment = Impairment {
        delay: 0,
        jitter: 0,
        rate: 0,
        cut: 0,
    };

    fn take(impaired: &mut Impaired, bytes: &[u8], now: u64, jitter: u64) -> usize {
        let chance = |most| jitter.min(most);
        impaired.take(&[IoSlice::new(bytes)], now, chance)
    }

    /// All that goes on at this moment.
    fn drain(impaired: &mut Impaired, now: u64) -> Vec<u8> {
        let due = impaired.due(now).to_vec();
        impaired.sent(due.len(), false);
        due
    }

    #[test]
    fn every_write_waits_and_order_is_kept() {
        let to = Impairment {
            delay: 100,
            jitter: 50,
            ..NONE
        };
        let mut impaired = Impaired::new(to, 0);
        assert_eq!(take(&mut impaired, b"a", 0, 50), 1);
        assert_eq!(take(&mut impaired, b"b", 10, 0), 1);
        assert_eq!(take(&mut impaired, b"c", 60, 7), 1);
        assert_eq!(impaired.wakes_at(), Some(150));
        assert_eq!(drain(&mut impaired, 149), b"");
        // The second was due before the first, and waits for it.
        assert_eq!(drain(&mut impaired, 150), b"ab");
        assert_eq!(impaired.wakes_at(), Some(167));
        assert_eq!(drain(&mut impaired, 167), b"c");
        assert!(impaired.is_empty() && !impaired.is_over());
        assert_eq!(impaired.wakes_at(), None);
    }

    #[test]
    fn a_rate_is_a_socket_that_takes_so_much() {
        let mut impaired = Impaired::new(
            Impairment {
                rate: 1_000,
                ..NONE
            },
            0,
        );
        let (mut now, mut sent) = (0, 0);
        let bytes = [7; 400];
        while sent < 3_000 {
            sent += take(&mut impaired, &bytes, now, 0);
            drain(&mut impaired, now);
            assert!(!impaired.takes_again(now), "it waits for a portion");
            now = impaired.wakes_at().expect("it takes more later");
            assert!(impaired.takes_again(now) && !impaired.takes_again(now));
        }
        assert!((2_900..=3_000).contains(&now), "{now} ms");
        // Whoever said nothing for long has not saved it up.
        assert_eq!(take(&mut impaired, &bytes, now + 60_000, 0), 50);
        // And the slowest of all takes something.
        let mut impaired = Impaired::new(Impairment { rate: 1, ..NONE }, 0);
        assert_eq!(take(&mut impaired, &bytes, 0, 0), 1);
        assert_eq!(take(&mut impaired, &bytes, 999, 0), 0);
        assert_eq!(take(&mut impaired, &bytes, 1_000, 0), 1);
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut impaired = Impaired::new(Impairment { delay: 100, ..NONE }, 0);
        let bytes = vec![7; IMPAIRED_BYTES + 1];
        assert_eq!(take(&mut impaired, &bytes, 0, 0), IMPAIRED_BYTES);
        assert_eq!(impaired.held(), IMPAIRED_BYTES);
        assert_eq!(take(&mut impaired, &bytes, 50, 0), 0);
        assert!(!impaired.takes_again(99));
        assert_eq!(impaired.wakes_at(), Some(100));
        assert_eq!(drain(&mut impaired, 100).len(), IMPAIRED_BYTES);
        assert!(impaired.takes_again(100));
        let writes = (0..2 * IMPAIRED_WRITES).filter(|_| take(&mut impaired, b"x", 200, 0) > 0);
        assert_eq!(writes.count(), IMPAIRED_WRITES);
    }

    #[test]
    fn a_socket_that_takes_part_of_it() {
        let mut impaired = Impaired::new(Impairment { delay: 1, ..NONE }, 0);
        take(&mut impaired, b"abc", 0, 0);
        take(&mut impaired, b"def", 1, 0);
        impaired.sent(2, true);
        assert_eq!((impaired.due(9), impaired.wakes_at()), (&b""[..], None));
        impaired.unstick();
        assert_eq!(impaired.due(1), b"c");
        assert_eq!(drain(&mut impaired, 2), b"cdef");
    }

    #[test]
    fn back_to_normal_what_waits_goes_at_once() {
        let to = Impairment {
            delay: 10_000,
            cut: 600,
            ..NONE
        };
        let mut impaired = Impaired::new(to, 5);
        take(&mut impaired, b"a", 5, 0);
        assert!(!impaired.is_cut(604) && impaired.is_cut(605));
        impaired.change(Impairment { delay: 1, ..NONE }, 10);
        take(&mut impaired, b"b", 10, 0);
        assert_eq!(drain(&mut impaired, 10_004), b"");
        impaired.change(NONE, 20);
        assert!(!impaired.is_cut(605));
        assert_eq!(drain(&mut impaired, 20), b"ab");
        assert!(impaired.is_over());
        assert_eq!(impaired.wakes_at(), Some(0));
    }
}
