//! One player of a room: who it is, how it is reached, how far it has got in both directions.
//!
//! Invariant: whoever is away costs nothing but this, and whoever is idle nothing but this and its connection: there may
//! be many thousands of either.

use bitflags::bitflags;
use roomcast_protocol::v1::{Name, Token, down};

use super::budget::Budget;
use super::called::Called;
use super::host::Candidacy;
use super::log::Reader;
use super::properties::Properties;
use crate::limits::{ACK_AFTER_MS, ACK_PACKETS, KEEP_ALIVE_MS};
use crate::planted::{self, Fault};

bitflags! {
    /// What is so of a player or is not, a bit each: there may be many thousands.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Flags: u8 {
        /// It is reached by a connection.
        const HERE = 1;
        /// It is here and has not been given all there is for it, see `calls`.
        const LAGS = 1 << 1;
        /// It is here and has a turn in the running round, or in the next one.
        const HAS_TURN = 1 << 2;
        /// Its connection has not taken all of a write that had events.
        const BEGUN = 1 << 3;
        /// It speaks no roomcast.v1: it gets events for everybody as messages, and can't come back.
        const RAW = 1 << 4;
        /// It is to be told, with its next bundle, that it goes on where it was.
        const OWED_RESUMED = 1 << 5;
        /// That the relay is there.
        const OWED_KEEP_ALIVE = 1 << 6;
        /// How many of its packets were applied.
        const OWED_ACK = 1 << 7;
        /// What it alone is to be told.
        const OWED = Self::OWED_RESUMED.bits()
            | Self::OWED_KEEP_ALIVE.bits()
            | Self::OWED_ACK.bits();
    }
}

/// Whether it was too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resets {
    Never,
    /// It was told so and welcomed anew.
    Once,
    /// And again so soon that nothing is replayed to it.
    TooOften,
}

/// Somebody who is in a room.
#[derive(Debug)]
pub struct Player {
    /// Never used twice in the life of the room.
    pub id: u32,
    /// Its place in its shard.
    pub player: u32,
    flags: Flags,
    /// Times are the shard's, ms. Of who is here: when it was last to be told that the relay is there; else, since when it is
    /// away.
    since: u32,
    called: Called,
    /// What it says about itself.
    pub properties: Properties,
    /// How many packets it may still send.
    pub budget: Budget,
    token: Token,
    /// It was given everything of the log before this position.
    pub(super) position: u64,
    /// The low bits of the number of the entry up to which it was told that it has got, see [`Player::tell`].
    told: u32,
    /// From there on it gets no droppable event among so many entries.
    pub(super) lossy: u32,
    /// Packets of its that were applied, and how many of them it does not know about, as far as that fits.
    applied: u64,
    unacked: u8,
    /// Since when it does not know about one, ms.
    unacked_since: u32,
    /// When it was last told that it was too far behind, ms.
    reset_at: u32,
    resets: Resets,
    /// Whether it would be the room's host.
    pub(super) candidacy: Candidacy,
}

impl Player {
    pub(super) fn new(id: u32, player: u32, name: Name<'_>, token: Token) -> Self {
        Self {
            id,
            player,
            flags: Flags::HERE,
            since: 0,
            called: Called::new(name),
            properties: Properties::default(),
            budget: Budget::default(),
            token,
            position: 0,
            told: 0,
            lossy: 0,
            applied: 0,
            unacked: 0,
            unacked_since: 0,
            reset_at: 0,
            resets: Resets::Never,
            candidacy: Candidacy::Unknowing,
        }
    }

    /// What it calls itself; a raw player has no name.
    pub(super) fn name(&self) -> Name<'_> {
        self.called.name()
    }

    /// Since when it is away, ms; None: it has a connection.
    pub(super) fn away_since(&self) -> Option<u32> {
        (!self.is_here()).then_some(self.since)
    }

    #[inline]
    fn is_here(&self) -> bool {
        self.flags.contains(Flags::HERE)
    }

    /// It has a connection. True if it was away.
    pub(super) fn comes(&mut self, now: u32) -> bool {
        let was_here = self.is_here();
        if !was_here {
            self.flags.remove(Flags::LAGS | Flags::HAS_TURN);
            self.flags.insert(Flags::HERE);
        }
        self.since = now;
        !was_here
    }

    /// It has none any more.
    pub(super) fn goes(&mut self, now: u32) {
        self.flags
            .remove(Flags::HERE | Flags::LAGS | Flags::HAS_TURN);
        self.since = now;
    }

    /// Whether it is here and has not been given all there is for it.
    #[inline]
    pub(super) fn lags(&self) -> bool {
        self.flags.contains(Flags::LAGS)
    }

    /// Notes whether it lags.
    #[inline]
    pub(super) fn set_lags(&mut self, now: bool) {
        self.flags.set(Flags::LAGS, now && self.is_here());
    }

    /// It is to have a turn. True if it is here and had none before it.
    #[inline]
    pub(super) fn is_new_to_turn(&mut self) -> bool {
        let is_new = self.is_here() && !self.will_have_turn();
        self.flags.set(Flags::HAS_TURN, self.is_here());
        is_new
    }

    /// It has its turn. False if it is away.
    #[inline]
    pub(super) fn has_its_turn(&mut self) -> bool {
        self.flags.remove(Flags::HAS_TURN);
        self.is_here()
    }

    /// Whether it will have a turn.
    #[inline]
    pub(super) fn will_have_turn(&self) -> bool {
        self.flags.contains(Flags::HAS_TURN)
    }

    /// Whether its connection has not taken all of a write that had events.
    #[inline]
    pub fn has_begun(&self) -> bool {
        self.flags.contains(Flags::BEGUN)
    }

    /// Notes whether that is so.
    #[inline]
    pub fn set_begun(&mut self, begun: bool) {
        self.flags.set(Flags::BEGUN, begun);
    }

    /// Whether it speaks no roomcast.v1.
    #[inline]
    pub fn is_raw(&self) -> bool {
        self.flags.contains(Flags::RAW)
    }

    /// It speaks none.
    pub(super) fn set_raw(&mut self) {
        self.flags.insert(Flags::RAW);
    }

    /// Whether it alone is to be told something.
    #[inline]
    pub(super) fn is_owed(&self) -> bool {
        self.flags.intersects(Flags::OWED)
    }

    /// It is to be told nothing of that.
    pub(super) fn forget_owed(&mut self) {
        self.flags.remove(Flags::OWED);
    }

    /// It is to be told that it goes on where it was.
    pub(super) fn owe_resumed(&mut self) {
        self.flags.insert(Flags::OWED_RESUMED);
    }

    /// It is to be told how many of its packets were applied.
    pub fn owe_ack(&mut self) {
        self.flags.insert(Flags::OWED_ACK);
    }

    /// How far it is in the log.
    pub(super) fn reader(&self) -> Reader {
        Reader {
            player: self.id,
            position: self.position,
            lossy_until: self.position + u64::from(self.lossy),
        }
    }

    /// Nothing of the log before this position is for it, if it has been given all there was: it is there.
    #[inline]
    pub(super) fn settle(&mut self, position: u64) {
        if self.position < position && !self.lags() {
            self.got_to(position);
        }
    }

    /// It was given what of the log is before this position.
    #[inline]
    pub(super) fn got_to(&mut self, position: u64) {
        let further = position.saturating_sub(self.position);
        self.lossy = u64::from(self.lossy).saturating_sub(further) as u32;
        self.position = position;
    }

    /// It has been told of all entries up to this one.
    pub(super) fn told(&mut self, seq: u64) {
        self.told = seq as u32;
    }

    /// It is told of all entries up to this one: how many more that are. No log holds so many that they would not fit.
    pub(super) fn tell(&mut self, seq: u64) -> u32 {
        let more = (seq as u32).wrapping_sub(self.told);
        self.told = seq as u32;
        more
    }

    /// Whether this is its token; takes the same time whatever the two have in common.
    pub fn has_token(&self, token: &Token) -> bool {
        let differ = self.token.0.iter().zip(token.0);
        differ.fold(0, |sum, (own, other)| sum | (own ^ other)) == 0
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// Numbered packets of its that were applied: the number of the next one.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// A numbered packet is dealt with; answers its number.
    pub(super) fn count(&mut self, now: u32) -> u64 {
        let number = self.applied;
        self.applied += 1;
        self.unacked = self.unacked.saturating_add(1);
        if self.unacked == 1 {
            self.unacked_since = now;
        }
        if self.unacked >= ACK_PACKETS {
            self.owe_ack();
        }
        number
    }

    /// It is told the count.
    pub(super) fn acknowledge(&mut self) -> u64 {
        self.unacked = 0;
        self.flags.remove(Flags::OWED_ACK);
        self.applied
    }

    /// When it is to be told the count, ms; None if it knows it.
    pub fn ack_at(&self) -> Option<u32> {
        (self.unacked > 0).then(|| self.unacked_since.wrapping_add(ACK_AFTER_MS))
    }

    /// Whether a bundle that leaves now has packets for it alone.
    pub(super) fn is_told_more(&self, now: u32) -> bool {
        self.is_owed() || self.acks_along(now)
    }

    /// Whether it is to be told the count with a bundle that leaves anyway: it would soon be due, and that saves a write of
    /// its own.
    fn acks_along(&self, now: u32) -> bool {
        self.unacked > 0 && now.wrapping_sub(self.unacked_since) >= ACK_AFTER_MS / 2
    }

    /// Appends the count to a bundle that leaves anyway, if it would soon be due.
    pub(super) fn say_ack_along(&mut self, now: u32, out: &mut Vec<u8>) {
        if self.acks_along(now) {
            self.say_ack(out);
        }
    }

    fn say_ack(&mut self, out: &mut Vec<u8>) {
        let applied = self.acknowledge();
        if !planted::is(Fault::LostAck) {
            down::Packet::Ack { applied }.encode(out);
        }
    }

    /// When its connection is to be told that the relay is there, ms; None if it has none.
    pub fn keep_alive_at(&self) -> Option<u32> {
        self.is_here()
            .then(|| self.since.wrapping_add(KEEP_ALIVE_MS))
    }

    /// It is to be told by now, if that is due.
    pub fn keep_alive(&mut self, now: u32) {
        let is_due = |at: u32| now.wrapping_sub(at) as i32 >= 0;
        let Some(at) = self.keep_alive_at().filter(|at| is_due(*at)) else {
            return;
        };
        // Late by a tick of the timer, but not by ever more of them.
        self.since = match is_due(at.wrapping_add(KEEP_ALIVE_MS)) {
            true => now,
            false => at,
        };
        self.flags.insert(Flags::OWED_KEEP_ALIVE);
    }

    /// It is too far behind. False if it was so a moment ago.
    pub(super) fn may_be_reset(&mut self, now: u32, apart_ms: u32) -> bool {
        let may = self.resets == Resets::Never || now.wrapping_sub(self.reset_at) > apart_ms;
        self.reset_at = now;
        self.resets = if may { Resets::Once } else { Resets::TooOften };
        may
    }

    /// It begins anew. True if it had been too far behind too often.
    pub(super) fn forgive(&mut self) -> bool {
        let too_often = self.resets == Resets::TooOften;
        if too_often {
            self.resets = Resets::Once;
        }
        too_often
    }

    /// Appends what it alone is told to a bundle.
    pub(super) fn say_owed(&mut self, time: u64, out: &mut Vec<u8>) {
        let owed = self.flags;
        self.forget_owed();
        if owed.contains(Flags::OWED_RESUMED) {
            let applied = self.acknowledge();
            down::Packet::Resumed { applied, time }.encode(out);
        } else if owed.contains(Flags::OWED_ACK) {
            self.say_ack(out);
        }
        if owed.contains(Flags::OWED_KEEP_ALIVE) {
            down::Packet::KeepAlive { time }.encode(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player() -> Player {
        Player::new(1, 0, Name::new("Ada").unwrap(), Token([7; 16]))
    }

    #[test]
    fn a_player_is_small() {
        assert!(size_of::<Player>() <= 96, "{} bytes", size_of::<Player>());
    }

    #[test]
    fn a_token_is_all_of_its_bytes() {
        let player = player();
        assert!(player.has_token(&Token([7; 16])));
        for byte in 0..16 {
            let mut other = [7; 16];
            other[byte] ^= 0x10;
            assert!(!player.has_token(&Token(other)));
        }
    }

    #[test]
    fn acknowledged_after_64_packets_or_a_second() {
        let mut player = player();
        assert_eq!(player.ack_at(), None);
        for number in 0..63 {
            assert_eq!(player.count(500 + number as u32), number);
        }
        assert_eq!(player.ack_at(), Some(1_500), "counted from the first");
        assert!(!player.is_owed());
        player.count(700);
        assert!(player.is_owed());
        let mut out = Vec::new();
        player.say_owed(1, &mut out);
        assert_eq!(out, [0x80, 1, 64]);
        assert_eq!((player.ack_at(), player.is_owed()), (None, false));
    }

    #[test]
    fn an_acknowledgement_rides_along_when_it_is_half_due() {
        let mut player = player();
        let mut out = Vec::new();
        player.say_ack_along(5_000, &mut out);
        player.count(100);
        player.say_ack_along(599, &mut out);
        assert!(out.is_empty(), "it may wait for more");
        player.say_ack_along(600, &mut out);
        assert_eq!((&out[..], player.ack_at()), (&[0x80, 1, 1][..], None));
    }

    #[test]
    fn a_second_reset_within_ten_seconds_is_none() {
        let mut player = player();
        assert!(player.may_be_reset(1_000, 10_000));
        assert!(!player.may_be_reset(11_000, 10_000));
        assert!(player.may_be_reset(21_001, 10_000));
    }
}
