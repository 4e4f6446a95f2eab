//! How long anything may take, and how much memory a connection may hold.
//!
//! Owns: when each connection began, was heard, fell behind, ended. Must not know: what was said. Invariant: every
//! bound follows from `Limits` and the constants beside them.

use roomcast::limits::{
    BATCH_BYTES_MIN, BATCH_SHARE_OF_OUTBOX, EBB_LOOK_MS, FANOUT_BUDGET, FANOUT_PORTION,
    HEARD_WITHIN_MS, IMPAIRED_BYTES, Limits, NEWCOMER_GRACE_MS, OWN_ANSWERS, RECEIVE_BUFFER,
    UNREAD_MAX,
};

use super::net::WireId;
use super::oracle::{Verdict, must};
use super::scenario::CROWD;

/// Milliseconds by which anything may be late in the simulation: the wheel's ticks, mail under way, iterations that
/// come late.
pub(crate) const SLACK_MS: u64 = 400;

/// A time, and the same without what the process stood still before it, ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: u64,
    pub(crate) awake: u64,
}

/// Milliseconds between two iterations of a reactor that has something to do, at most: the world's lag, and its step.
const ITERATION_MS: u32 = 64;

/// Milliseconds in which what was read at once goes to a crowd, in portions: as many iterations, each of them late.
const TURN_MS: u32 = {
    let receivers = CROWD * (1 + RECEIVE_BUFFER / FANOUT_PORTION);
    receivers.div_ceil(FANOUT_BUDGET as usize) as u32 * ITERATION_MS
};

/// The heap that an incomplete frame takes beside its payload.
const INCOMPLETE_OVERHEAD: usize = 512;

/// The times of one connection, in milliseconds.
#[derive(Debug)]
pub(crate) struct Times {
    /// It speaks roomcast.v1.
    is_guest: bool,
    pub(crate) accepted: u64,
    /// The reactor that had it first.
    met_by: Option<usize>,
    /// It was accepted.
    pub(crate) met: bool,
    pub(crate) seated: bool,
    pub(crate) heard: u64,
    pub(crate) ended: Option<u64>,
    /// Bytes that its client's kernel has taken, and when it last took some.
    taken: (usize, u64),
    /// Since when something has been queued for it.
    queued: Option<u64>,
}

impl Times {
    pub(crate) fn new(now: u64, is_guest: bool) -> Self {
        Self {
            is_guest,
            accepted: now,
            met_by: None,
            met: false,
            seated: false,
            heard: now,
            ended: None,
            taken: (0, now),
            queued: None,
        }
    }

    /// A reactor has it: its time to shake hands begins with the first one's.
    pub(crate) fn registered(&mut self, reactor: usize, now: u64) {
        if self.met_by.is_none() {
            self.met_by = Some(reactor);
            self.accepted = now;
        }
    }

    /// Whether reactors can't but know that it came before another connection.
    pub(crate) fn certainly_before(&self, other: &Self) -> bool {
        let same = self.met_by == other.met_by;
        let least = if same { 0 } else { 3_000 };
        self.accepted + least < other.accepted
    }

    /// Notes what its client's kernel has taken so far.
    pub(crate) fn took(&mut self, bytes: usize, now: u64) {
        if bytes != self.taken.0 {
            self.taken = (bytes, now);
        }
    }

    /// Judges a connection that has a socket. `held`: bytes charged to its outbox, and of input that is
    /// incomplete or waits. `crowd`: players who may all flood one room.
    pub(crate) fn check(
        &mut self,
        wire: WireId,
        limits: &Limits,
        now: u64,
        held: (usize, usize),
        crowd: usize,
    ) -> Verdict {
        let (queued, incomplete) = held;
        // One read is taken whole, with the message that it completes.
        let read = RECEIVE_BUFFER + limits.max_message;
        let batch = (limits.outbox_bytes_max / BATCH_SHARE_OF_OUTBOX).max(BATCH_BYTES_MIN) + read;
        let own = OWN_ANSWERS + read;
        let impaired = if self.is_guest { IMPAIRED_BYTES } else { 0 };
        must(
            queued <= limits.outbox_bytes_max + batch + own + impaired,
            wire,
            "its outbox has no bound",
        )?;
        let message = limits.max_message + INCOMPLETE_OVERHEAD + UNREAD_MAX;
        must(incomplete <= message, wire, "its input has no bound")?;

        self.queued = self
            .queued
            .or(Some(now))
            .filter(|_| queued > 0 && self.ended.is_none());
        let within = |since: u64, ms: u32| now <= since + u64::from(ms) + SLACK_MS;
        if let Some(ended) = self.ended {
            let longest = limits.close_ms + limits.congested_ms_max;
            must(within(ended, longest), wire, "it closes for ever")?;
            // Whose kernel takes nothing is not waited for; that it does is noticed at the next look.
            let last = ended.max(self.taken.1);
            let patience = limits.close_ms + EBB_LOOK_MS;
            return must(within(last, patience), wire, "it is waited for in vain");
        }
        if !self.seated {
            return must(
                within(self.accepted, limits.handshake_ms),
                wire,
                "its handshake never ends",
            );
        }
        // For a guest states may wait for ever, and heartbeats.
        let caught_up = self
            .queued
            .is_none_or(|since| self.is_guest || within(since, limits.congested_ms_max));
        must(caught_up, wire, "it is congested for ever")?;
        // While it is read no further it can't be heard, which lasts no longer than it takes others to catch up.
        // In a crowd each flooder before it has a turn of its own, until what it said has gone to everybody.
        let turns = crowd as u32 * TURN_MS;
        let silence = match self.is_guest {
            // Or at the door.
            true => HEARD_WITHIN_MS.max(limits.handshake_ms),
            false => limits.idle_ms,
        };
        let silent = silence + 2 * limits.congested_ms_max + turns;
        must(within(self.heard, silent), wire, "it is silent for ever")
    }

    /// Whether an end for silence is just.
    pub(crate) fn is_idle(&self, limits: &Limits, now: u64) -> bool {
        let silence = match self.is_guest {
            true => HEARD_WITHIN_MS.min(limits.idle_ms),
            false => limits.idle_ms,
        };
        now >= self.heard + u64::from(silence)
    }

    /// Whether it may have had to make room for others while there were no descriptors.
    pub(crate) fn may_make_room(&self, limits: &Limits, now: u64, starved_at: Option<u64>) -> bool {
        let grace = NEWCOMER_GRACE_MS.min(limits.handshake_ms / 2);
        starved_at.is_some() && now >= self.accepted + u64::from(grace)
    }

    /// Whether an end of the handshake is just.
    pub(crate) fn is_late(&self, limits: &Limits, now: u64, drained_at: Option<u64>) -> bool {
        let least = u64::from(limits.handshake_ms.min(limits.close_ms));
        now >= self.accepted + u64::from(limits.handshake_ms)
            || drained_at.is_some_and(|at| now >= at.max(self.accepted) + least)
    }
}
