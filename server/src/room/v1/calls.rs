//! Whose turn it is in a round: of those for whom something was said, where that is not everybody.
//!
//! Owns: who is called to the next round, how far those are who are not, and the order of turns. Must not know: what was said.
//! Invariants: whoever is here has been given all that was for it before [`Rounds::settled`], unless it lags; whoever lags, or
//! for whom something was said since, is called. So a round costs as much as it has receivers, however large the room is.

use std::collections::VecDeque;

use super::noted::Notes;
use super::states::To;
use super::{Player, Room, Seat};
use crate::planted::{self, Fault};

/// Who is called, and for what.
#[derive(Debug, Default)]
struct Called {
    /// Players with their ids, each once, of whom some may be gone: first those who have yet to have their turn, then those of
    /// the next round.
    turns: VecDeque<(u32, Seat)>,
    /// Which entries are for whom. None where nobody was named since the room last rested.
    notes: Option<Box<Notes>>,
}

/// Where the rounds of a room stand.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    turn: Option<Turn>,
    /// Something was said to everybody since the last round began.
    pub all: bool,
    /// Who is called beside. A room in which nothing is said to some has none.
    called: Option<Box<Called>>,
    rotation: u32,
    /// Where the log was when the last round began, and when the last one did that is over.
    began: u64,
    pub settled: u64,
}

/// A round that is running.
#[derive(Debug, Clone, Copy)]
enum Turn {
    All(Lap),
    /// Over so many of those who are called.
    Called {
        left: u32,
    },
}

/// Once over all players, in the order of their ids, whoever comes or goes meanwhile.
#[derive(Debug, Clone, Copy)]
struct Lap {
    /// Where in that order it began.
    start: u32,
    /// Where the next one is.
    next: u32,
    /// It has come to the end and gone on from the first.
    wrapped: bool,
}

impl Lap {
    fn new(start: usize) -> Self {
        Self {
            start: start as u32,
            next: start as u32,
            wrapped: false,
        }
    }

    /// Where the next one is, of so many.
    #[inline]
    fn next(&mut self, count: usize) -> Option<usize> {
        // Beyond the end, if nearly all were put out at once.
        if self.next as usize >= count && !self.wrapped {
            (self.next, self.wrapped) = (0, true);
        }
        let at = self.next as usize;
        let end = match self.wrapped {
            true => count.min(self.start as usize),
            false => count,
        };
        self.next += 1;
        (at < end).then_some(at)
    }

    /// Who was at this place is gone, and those behind it come up.
    fn close_gap(&mut self, index: usize) {
        self.start -= u32::from(index < self.start as usize);
        self.next -= u32::from(index < self.next as usize);
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Its place in the shard.
    pub player: u32,
    /// Its seat.
    pub seat: Seat,
}

impl Rounds {
    /// Whether a round is running.
    pub fn is_running(&self) -> bool {
        self.turn.is_some()
    }

    /// Everybody has a turn, in the running round or in the next one.
    pub fn is_for_all(&self) -> bool {
        self.all || matches!(self.turn, Some(Turn::All(_)))
    }

    /// Whether the player with this id will have a turn, of whom it is said that it has.
    pub fn has(&self, id: u32) -> bool {
        let mut called = self.called.iter().flat_map(|called| called.turns.iter());
        self.is_for_all() || called.any(|(other, _)| *other == id)
    }

    /// Whether there is a list of who is called.
    pub fn has_called(&self) -> bool {
        self.called.is_some()
    }

    /// Who was at this place in the order of ids is gone.
    pub fn close_gap(&mut self, index: usize) {
        if let Some(Turn::All(lap)) = &mut self.turn {
            lap.close_gap(index);
        }
    }

    /// Which of the entries from this position on are for who sits here by name, the first as the lowest bit; None if that is not
    /// known.
    #[inline]
    pub fn noted(&self, seat: Seat, position: u64) -> Option<u64> {
        let notes = self.called.as_ref()?.notes.as_ref()?;
        notes.after(seat, position)
    }
}

impl Room {
    /// Begins a round over all for whom something was said. False if one is running already, or there is nobody.
    pub(super) fn begin_turns(&mut self) -> bool {
        let rounds = &mut self.rounds;
        if rounds.turn.is_some() || self.order.is_empty() {
            return false;
        }
        let rotation = rounds.rotation as usize;
        rounds.rotation = rounds.rotation.wrapping_add(1);
        rounds.began = self.log.position();
        rounds.turn = Some(if std::mem::take(&mut rounds.all) {
            // Who was called besides has its turn among all.
            match &mut rounds.called {
                Some(called) if called.notes.is_some() => called.turns.clear(),
                called => *called = None,
            }
            Turn::All(Lap::new(rotation % self.order.len()))
        } else {
            let left = rounds.called.as_mut().map_or(0, |called| {
                let left = called.turns.len();
                called.turns.rotate_left(rotation % left.max(1));
                left as u32
            });
            Turn::Called { left }
        });
        true
    }

    /// Who is next in the running round, of those who have a connection; None when all had their turn. Whoever is not given all that
    /// there is by [`Room::give_shared`] is to be [noted](Room::note_turn) as one who had its turn.
    #[inline]
    pub fn next_turn(&mut self) -> Option<Served> {
        loop {
            let next = match self.rounds.turn.as_mut()? {
                Turn::All(lap) => lap.next(self.order.len()).map(|at| (None, self.order[at])),
                Turn::Called { left: 0 } => None,
                Turn::Called { left } => {
                    *left -= 1;
                    let called = self.rounds.called.as_mut()?.turns.pop_front();
                    called.map(|(id, seat)| (Some(id), seat))
                }
            };
            let Some((id, seat)) = next else {
                self.rounds.turn = None;
                self.rounds.settled = self.rounds.began;
                return None;
            };
            // Who was called may be gone, and somebody else on its seat.
            let player = self.players.get_mut(seat as usize);
            let is_it = |player: &&mut Player| id.is_none_or(|id| player.id == id);
            let Some(player) = player.filter(is_it) else {
                continue;
            };
            if player.has_its_turn() || planted::is(Fault::AwayGrows) {
                let served = Served {
                    player: player.player,
                    seat,
                };
                if self.states.is_some() {
                    self.settle(seat);
                }
                return Some(served);
            }
        }
    }

    /// How far somebody is in the log: what was said before is not for it, or it has had it.
    #[inline]
    pub(super) fn position(&self, seat: Seat) -> u64 {
        let player = &self.players[seat as usize];
        if player.lags() {
            player.position
        } else {
            player.position.max(self.rounds.settled)
        }
    }

    /// Notes how far somebody is.
    #[inline]
    pub(super) fn settle(&mut self, seat: Seat) {
        let player = &mut self.players[seat as usize];
        player.settle(self.rounds.settled);
        if let Some(states) = &mut self.states
            && !player.lags()
        {
            states.settle(seat);
        }
    }

    /// Somebody has its turn, and was not given all there is at once: notes how far it is, and whether there is more.
    #[inline]
    pub fn note_turn(&mut self, seat: Seat) {
        self.settle(seat);
        self.note_lag(seat);
    }

    /// Somebody was given something, or could not be: notes whether it has all there is. If not, it has another turn.
    #[inline]
    pub fn watch(&mut self, seat: Seat) {
        if self.note_lag(seat) {
            self.call(seat);
            if let Some(states) = &mut self.states {
                states.straggles(seat);
            }
        }
    }

    /// Notes whether somebody has all there is, and answers whether it lags.
    #[inline]
    fn note_lag(&mut self, seat: Seat) -> bool {
        let lags = self.is_short(seat);
        self.players[seat as usize].set_lags(lags);
        lags
    }

    /// Whether there is more than what somebody has been given, for it or not.
    #[inline]
    fn is_short(&self, seat: Seat) -> bool {
        let states = self.states.as_ref();
        self.players[seat as usize].position < self.log.position()
            || states.is_some_and(|states| !states.keeps_up(seat))
    }

    /// Whether something may be for who sits here that it has not been given.
    pub(super) fn is_called(&self, seat: Seat) -> bool {
        let player = &self.players[seat as usize];
        self.rounds.is_for_all() || player.will_have_turn() || player.lags()
    }

    /// Something is for who sits here.
    #[inline]
    pub(super) fn call(&mut self, seat: Seat) {
        let player = &mut self.players[seat as usize];
        if !self.rounds.all && player.is_new_to_turn() {
            let turn = (player.id, seat);
            let called = self.rounds.called.get_or_insert_default();
            called.turns.push_back(turn);
        }
    }

    /// Nothing is said, and everybody was given all that it takes: nobody has a turn but who could not be given something.
    pub(super) fn rest_turns(&mut self) {
        let Some(mut called) = self.rounds.called.take() else {
            return;
        };
        called.notes = None;
        called.turns.retain(|&(id, seat)| {
            let player = self.players.get_mut(seat as usize);
            let Some(player) = player.filter(|player| player.id == id) else {
                return false;
            };
            let lags = player.lags();
            if !lags {
                player.has_its_turn();
            }
            lags
        });
        self.rounds.called = Some(called).filter(|called| !called.turns.is_empty());
    }

    /// The entry that is said next is for who sits here, by name.
    #[inline]
    pub(super) fn call_by_name(&mut self, seat: Seat) {
        let position = self.log.position();
        let called = self.rounds.called.get_or_insert_default();
        let notes = called
            .notes
            .get_or_insert_with(|| Box::new(Notes::since(position)));
        notes.note(seat, position);
        self.call(seat);
    }

    /// The entry that is said next names nobody: everybody has a turn.
    #[inline]
    pub(super) fn call_all(&mut self) {
        self.rounds.all = true;
        let called = self.rounds.called.as_mut();
        if let Some(notes) = called.and_then(|called| called.notes.as_mut()) {
            notes.begin_at(self.log.position() + 1);
        }
    }

    /// The last thing that was said of keys is for these.
    pub(super) fn call_to(&mut self, to: To) {
        match to {
            To::Others | To::All => self.rounds.all = true,
            To::Host => {
                if let Some(seat) = self.host.seat() {
                    self.call_for_key(seat);
                }
            }
            To::Group(group) => {
                let Some(groups) = self.groups.take() else {
                    return;
                };
                groups
                    .players(group)
                    .iter()
                    .for_each(|&(_, seat)| self.call_for_key(seat));
                self.groups = Some(groups);
            }
        }
    }

    #[inline]
    fn call_for_key(&mut self, seat: Seat) {
        if let Some(states) = &mut self.states {
            states.note(seat);
        }
        self.call(seat);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of those who leave, only who leaves before its turn has none.
        #[test]
        fn everybody_has_one_turn_whoever_comes_or_goes(
            count in 1usize..20,
            start in 0usize..20,
            meanwhile in prop::collection::vec(prop::option::of((any::<bool>(), 0usize..20)), 0..40),
        ) {
            let mut order: Vec<usize> = (0..count).collect();
            let (mut lap, mut had) = (Lap::new(start % count), Vec::new());
            let (mut gone, mut came) = (Vec::new(), count);
            let mut meanwhile = meanwhile.into_iter();
            loop {
                match meanwhile.next().flatten() {
                    Some((true, _)) => {
                        order.push(came);
                        came += 1;
                    }
                    Some((false, who)) if !order.is_empty() => {
                        let index = who % order.len();
                        gone.push(order.remove(index));
                        lap.close_gap(index);
                    }
                    Some(_) | None => {}
                }
                match lap.next(order.len()) {
                    Some(at) => had.push(order[at]),
                    None => break,
                }
            }
            let mut once = had.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), had.len(), "nobody has two: {:?}", had);
            let stays = (0..count).filter(|who| !gone.contains(who));
            for who in stays {
                prop_assert!(had.contains(&who), "{} had none: {:?}", who, had);
            }
        }
    }
}
