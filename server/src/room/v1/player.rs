//! One player of a room: who it is, how it is reached, how far it has got in both directions.
//!
//! Invariant: whoever is away costs nothing but this, and whoever is idle nothing but this and its connection: there may
//! be many thousands of either.

use roomcast_protocol::v1::{Name, Token, down};

use super::budget::Budget;
use super::called::Called;
use super::host::Candidacy;
use super::log::Reader;
use super::properties::Properties;
use crate::limits::{ACK_AFTER_MS, ACK_PACKETS, KEEP_ALIVE_MS};
use crate::planted::{self, Fault};

/// What a player alone is to be told, with its next bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owed {
    /// That it goes on where it was.
    pub resumed: bool,
    /// That the relay is there.
    pub keep_alive: bool,
    /// How many of its packets were applied.
    pub ack: bool,
}

/// How it is reached. Times are the shard's, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// By a connection.
    Here {
        /// When it was last to be told that the relay is there.
        kept_alive_at: u32,
        /// It has not been given all there is for it, see `calls`.
        lags: bool,
        /// It has a turn in the running round, or in the next one.
        has_turn: bool,
    },
    /// Not at all, since then.
    Away { since: u32 },
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
    presence: Presence,
    called: Called,
    /// What it says about itself.
    pub properties: Properties,
    /// How many packets it may still send.
    pub budget: Budget,
    /// What it is to be told.
    pub owed: Owed,
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
    /// Its connection has not taken all of a write that had events.
    pub begun: bool,
    /// It speaks no roomcast.v1: it gets events for everybody as messages, and can't come back.
    pub raw: bool,
}

impl Player {
    pub(super) fn new(id: u32, player: u32, name: Name<'_>, token: Token) -> Self {
        Self {
            id,
            player,
            presence: Presence::Here {
                kept_alive_at: 0,
                lags: false,
                has_turn: false,
            },
            called: Called::new(name),
            properties: Properties::default(),
            budget: Budget::default(),
            owed: Owed::default(),
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
            begun: false,
            raw: false,
        }
    }

    /// What it calls itself; a raw player has no name.
    pub(super) fn name(&self) -> Name<'_> {
        self.called.name()
    }

    /// Since when it is away, ms; None: it has a connection.
    pub(super) fn away_since(&self) -> Option<u32> {
        match self.presence {
            Presence::Away { since } => Some(since),
            Presence::Here { .. } => None,
        }
    }

    /// It has a connection. True if it was away.
    pub(super) fn comes(&mut self, now: u32) -> bool {
        match &mut self.presence {
            Presence::Here { kept_alive_at, .. } => {
                *kept_alive_at = now;
                false
            }
            Presence::Away { .. } => {
                self.presence = Presence::Here {
                    kept_alive_at: now,
                    lags: false,
                    has_turn: false,
                };
                true
            }
        }
    }

    /// Whether it is here and has not been given all there is for it.
    pub(super) fn lags(&self) -> bool {
        matches!(self.presence, Presence::Here { lags: true, .. })
    }

    /// Notes whether it lags.
    pub(super) fn set_lags(&mut self, now: bool) {
        if let Presence::Here { lags, .. } = &mut self.presence {
            *lags = now;
        }
    }

    /// It is to have a turn. True if it is here and had none before it.
    pub(super) fn is_new_to_turn(&mut self) -> bool {
        match &mut self.presence {
            Presence::Here { has_turn, .. } => !std::mem::replace(has_turn, true),
            Presence::Away { .. } => false,
        }
    }

    /// It has its turn. False if it is away.
    pub(super) fn has_its_turn(&mut self) -> bool {
        match &mut self.presence {
            Presence::Here { has_turn, .. } => {
                *has_turn = false;
                true
            }
            Presence::Away { .. } => false,
        }
    }

    /// Whether it will have a turn.
    pub(super) fn will_have_turn(&self) -> bool {
        matches!(self.presence, Presence::Here { has_turn: true, .. })
    }

    /// It has none any more.
    pub(super) fn goes(&mut self, now: u32) {
        self.presence = Presence::Away { since: now };
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
        self.owed.ack |= self.unacked >= ACK_PACKETS;
        number
    }

    /// It is told the count.
    pub(super) fn acknowledge(&mut self) -> u64 {
        self.unacked = 0;
        self.owed.ack = false;
        self.applied
    }

    /// When it is to be told the count, ms; None if it knows it.
    pub fn ack_at(&self) -> Option<u32> {
        (self.unacked > 0).then(|| self.unacked_since.wrapping_add(ACK_AFTER_MS))
    }

    /// Whether a bundle that leaves now has packets for it alone.
    pub(super) fn is_told_more(&self, now: u32) -> bool {
        self.owed != Owed::default() || self.acks_along(now)
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
        match self.presence {
            Presence::Here { kept_alive_at, .. } => Some(kept_alive_at.wrapping_add(KEEP_ALIVE_MS)),
            Presence::Away { .. } => None,
        }
    }

    /// It is to be told by now, if that is due.
    pub fn keep_alive(&mut self, now: u32) {
        let is_due = |at: u32| now.wrapping_sub(at) as i32 >= 0;
        let Some(at) = self.keep_alive_at().filter(|at| is_due(*at)) else {
            return;
        };
        // Late by a tick of the timer, but not by ever more of them.
        if let Presence::Here { kept_alive_at, .. } = &mut self.presence {
            *kept_alive_at = match is_due(at.wrapping_add(KEEP_ALIVE_MS)) {
                true => now,
                false => at,
            };
        }
        self.owed.keep_alive = true;
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
        let owed = std::mem::take(&mut self.owed);
        if owed.resumed {
            let applied = self.acknowledge();
            down::Packet::Resumed { applied, time }.encode(out);
        } else if owed.ack {
            self.say_ack(out);
        }
        if owed.keep_alive {
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
        assert!(size_of::<Player>() <= 104, "{} bytes", size_of::<Player>());
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
        assert!(!player.owed.ack);
        player.count(700);
        assert!(player.owed.ack);
        let mut out = Vec::new();
        player.say_owed(1, &mut out);
        assert_eq!(out, [0x80, 1, 64]);
        assert_eq!((player.ack_at(), player.owed), (None, Owed::default()));
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
