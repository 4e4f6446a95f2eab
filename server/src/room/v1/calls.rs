//! Whose turn it is in a round: of those for whom something was said, where that is not everybody.
//!
//! Owns: who is called to the next round, how far those are who are not, and the order of turns. Must not know: what was said.
//! Invariants: whoever is here has been given all that was for it before [`Rounds::settled`], unless it lags; whoever lags, or
//! for whom something was said since, is called. So a round costs as much as it has receivers, however large the room is.

use std::collections::VecDeque;

use super::states::To;
use super::{Room, Seat};
use crate::planted::{self, Fault};

/// Players with their ids, each once, of whom some may be gone.
type Called = VecDeque<(u32, Seat)>;

/// Where the rounds of a room stand.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    turn: Option<Turn>,
    /// Something was said to everybody since the last round began.
    pub all: bool,
    /// Who is called beside: first those who have yet to have their turn, then those of the next round. A room in which nothing
    /// is said to some has none.
    called: Option<Box<Called>>,
    rotation: u32,
    /// Where the log was when the last round began, and when the last one did that is over.
    began: u64,
    settled: u64,
}

/// A round that is running.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Over all players, by their ids, so that nobody is left out whoever comes or goes meanwhile.
    All {
        /// Where it began; it rotates, so that nobody is always last.
        start: u32,
        /// The last one whose turn it was, and where the next one was to be found then.
        last: u32,
        index: u32,
        /// It has come to the end of the ids and gone on from the first.
        wrapped: bool,
    },
    /// Over so many of those who are called.
    Called { left: u32 },
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
        self.all || matches!(self.turn, Some(Turn::All { .. }))
    }

    /// Whether the player with this id will have a turn, of whom it is said that it has.
    pub fn has(&self, id: u32) -> bool {
        let mut called = self.called.iter().flat_map(|called| called.iter());
        self.is_for_all() || called.any(|(other, _)| *other == id)
    }

    /// Nobody is called: lets go of the list.
    pub fn rest(&mut self) {
        if self.called.as_ref().is_some_and(|called| called.is_empty()) {
            self.called = None;
        }
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
            rounds.called = None;
            let (id, _) = self.order[rotation % self.order.len()];
            Turn::All {
                start: id,
                last: id - 1,
                index: u32::MAX,
                wrapped: false,
            }
        } else {
            let left = rounds.called.as_mut().map_or(0, |called| {
                let left = called.len();
                called.rotate_left(rotation % left.max(1));
                left as u32
            });
            Turn::Called { left }
        });
        true
    }

    /// Who is next in the running round, of those who have a connection; None when all had their turn.
    pub fn next_turn(&mut self) -> Option<Served> {
        loop {
            let turn = self.rounds.turn.as_mut()?;
            let next = match turn {
                Turn::All {
                    start,
                    last,
                    index,
                    wrapped,
                } => {
                    let mut at = *index as usize;
                    let is_here =
                        |at: usize| self.order.get(at).is_some_and(|&(id, _)| id == *last);
                    if at == 0 || !is_here(at - 1) {
                        at = self.order.partition_point(|&(id, _)| id <= *last);
                    }
                    if at == self.order.len() && !*wrapped {
                        *wrapped = true;
                        *last = 0;
                        at = 0;
                    }
                    let next = self.order.get(at).copied();
                    let next = next.filter(|(id, _)| !*wrapped || id < start);
                    if let Some((id, _)) = next {
                        *last = id;
                        *index = at as u32 + 1;
                    }
                    next
                }
                Turn::Called { left: 0 } => None,
                Turn::Called { left } => {
                    *left -= 1;
                    self.rounds.called.as_mut()?.pop_front()
                }
            };
            let Some((id, seat)) = next else {
                self.rounds.turn = None;
                self.rounds.settled = self.rounds.began;
                return None;
            };
            // Who was called may be gone, and somebody else on its seat.
            let Some(player) = self.players.get_mut(seat as usize) else {
                continue;
            };
            if player.id != id {
                continue;
            }
            if player.has_its_turn() || planted::is(Fault::AwayGrows) {
                let player = player.player;
                self.settle(seat);
                let lags = self.is_short(seat);
                self.players[seat as usize].set_lags(lags);
                return Some(Served { player, seat });
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
        let position = self.position(seat);
        let player = &mut self.players[seat as usize];
        if !player.lags() {
            player.got_to(position);
            if let Some(states) = &mut self.states {
                states.settle(seat);
            }
        }
    }

    /// Somebody was given something, or could not be: notes whether it has all there is. If not, it has another turn.
    #[inline]
    pub fn watch(&mut self, seat: Seat) {
        let lags = self.is_short(seat);
        self.players[seat as usize].set_lags(lags);
        if lags {
            self.call(seat);
        }
    }

    /// Whether there is more than what somebody has been given, for it or not.
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
            let called = self.rounds.called.get_or_insert_default();
            called.push_back((player.id, seat));
        }
    }

    /// Something was said to these.
    pub(super) fn call_to(&mut self, to: To) {
        match to {
            To::Others | To::All => self.rounds.all = true,
            To::Host => {
                if let Some(seat) = self.host.seat() {
                    self.call(seat);
                }
            }
            To::Group(group) => {
                let Some(groups) = self.groups.take() else {
                    return;
                };
                groups
                    .players(group)
                    .iter()
                    .for_each(|&(_, seat)| self.call(seat));
                self.groups = Some(groups);
            }
        }
    }
}
