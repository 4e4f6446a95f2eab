//! The host of a room: who it is, in which term, and who comes after it.
//!
//! Owns: the role and how firmly it is held. Must not know: connections, what hosts do. Invariants: a term has one host; it
//! grows whenever the host changes; whoever is told that somebody is the host is told it in the order of all entries.

use roomcast_protocol::v1::{PlayerId, Term, down};

use super::log::Audience;
use super::state::To;
use super::{Room, Rules, Seat};
use crate::limits::HIDDEN_HOST_MS;

/// Whether somebody would be the host; the later of two is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidacy {
    /// It does not know what a host is.
    Unknowing,
    /// It may only receive.
    Spectator,
    /// It does not want to.
    Unwilling,
    /// It would, but its page is hidden.
    Hidden,
    /// It would. So is who says nothing.
    Visible,
}

impl Candidacy {
    /// Of who joins with this minor version of the protocol.
    pub fn new(minor: u64, spectates: bool) -> Self {
        match minor {
            0 => Self::Unknowing,
            _ if spectates => Self::Spectator,
            _ => Self::Visible,
        }
    }

    /// The same, of who was here before and has said this.
    fn again(self, minor: u64, spectates: bool) -> Self {
        let new = Self::new(minor, spectates);
        let said = new == Self::Visible && self >= Self::Unwilling;
        if said { self } else { new }
    }
}

/// How firmly a host holds the role. Times are the shard's, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// It is here, and visible.
    Firm,
    /// Its page is hidden; from then on the role goes to who is visible.
    Hidden { until: u32 },
    /// It has no connection; from then on the role goes to who is willing. Until there is somebody, it may come back.
    Away { until: u32 },
}

/// Who the host of a room is.
#[derive(Debug)]
pub(super) struct Host {
    term: Term,
    /// 0: nobody.
    id: u32,
    seat: Seat,
    hold: Hold,
    /// The number of the entry that says so, and the position of the log behind it.
    seq: u64,
    since: u64,
}

impl Host {
    /// Of a new life: nobody.
    pub(super) const NOBODY: Self = Self {
        term: 0,
        id: 0,
        seat: 0,
        hold: Hold::Firm,
        seq: 0,
        since: 0,
    };

    pub(super) fn id(&self) -> Option<PlayerId> {
        PlayerId::new(self.id)
    }

    pub(super) fn term(&self) -> Term {
        self.term
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// Where it sits.
    pub(super) fn seat(&self) -> Option<Seat> {
        (self.id != 0).then_some(self.seat)
    }

    /// Whether it is who sits here.
    pub(super) fn is_at(&self, seat: Seat) -> bool {
        self.id != 0 && self.seat == seat
    }

    /// Until when the role is held at least, ms; None: without end.
    fn until(&self) -> Option<u32> {
        match self.hold {
            Hold::Firm => None,
            Hold::Hidden { until } | Hold::Away { until } => Some(until),
        }
    }

    /// Who takes the role now, at least; None if nobody does.
    fn open_to(&self, now: u32) -> Option<Candidacy> {
        let is_over = |until: u32| now.wrapping_sub(until) as i32 >= 0;
        match self.hold {
            _ if self.id == 0 => Some(Candidacy::Hidden),
            Hold::Hidden { until } if is_over(until) => Some(Candidacy::Visible),
            Hold::Away { until } if is_over(until) => Some(Candidacy::Hidden),
            Hold::Firm | Hold::Hidden { .. } | Hold::Away { .. } => None,
        }
    }
}

impl Room {
    /// Whether the role may go to somebody else soon: then the room has to be looked at.
    pub fn has_shaky_host(&self) -> bool {
        self.host.id != 0 && self.host.hold != Hold::Firm
    }

    /// Milliseconds until [`Room::look_at_host`] may have something to do; None if only who comes changes anything.
    pub fn host_wait(&self, now: u32) -> Option<u32> {
        let until = self.host.until().filter(|_| self.host.id != 0)?;
        let left = until.wrapping_sub(now) as i32;
        (left > 0).then_some(left as u32)
    }

    /// Gives the role to the best there is, if it is time. True if it has changed.
    pub fn look_at_host(&mut self, now: u32, rules: &Rules) -> bool {
        let successor = self.host.open_to(now).and_then(|least| self.best(least));
        successor.is_some_and(|seat| self.crown(Some(seat), now, rules))
    }

    /// Who would be the host, at least as well as this: of the best the one who has been here for longest.
    fn best(&self, least: Candidacy) -> Option<Seat> {
        let seats = self.order.iter().rev().copied();
        let willing = seats.filter(|seat| {
            let player = &self.players[*seat as usize];
            player.away_since().is_none() && player.candidacy >= least && !self.host.is_at(*seat)
        });
        willing.max_by_key(|seat| self.players[*seat as usize].candidacy)
    }

    /// Somebody is here, and would be the host or not: as its player says. True if anything has changed.
    pub(super) fn stand(&mut self, seat: Seat, now: u32, rules: &Rules) -> bool {
        let candidacy = self.players[seat as usize].candidacy;
        if !self.host.is_at(seat) {
            let is_open = self
                .host
                .open_to(now)
                .is_some_and(|least| candidacy >= least);
            return is_open && self.crown(Some(seat), now, rules);
        }
        self.host.hold = match (candidacy, self.host.hold) {
            (Candidacy::Visible, _) => Hold::Firm,
            (Candidacy::Hidden, hidden @ Hold::Hidden { .. }) => hidden,
            (Candidacy::Hidden, _) => Hold::Hidden {
                until: now.wrapping_add(HIDDEN_HOST_MS),
            },
            (Candidacy::Unknowing | Candidacy::Spectator | Candidacy::Unwilling, _) => {
                return self.succeed(now, rules);
            }
        };
        true
    }

    /// Somebody says whether it would be the host. True if anything has changed.
    pub(super) fn declare(
        &mut self,
        seat: Seat,
        (willing, visible): (bool, bool),
        now: u32,
        rules: &Rules,
    ) -> bool {
        let candidacy = &mut self.players[seat as usize].candidacy;
        *candidacy = match (willing, visible) {
            _ if *candidacy == Candidacy::Spectator => Candidacy::Spectator,
            (false, _) => Candidacy::Unwilling,
            (true, false) => Candidacy::Hidden,
            (true, true) => Candidacy::Visible,
        };
        self.stand(seat, now, rules)
    }

    /// Somebody has another connection, with this minor version of the protocol.
    pub(super) fn stands_again(
        &mut self,
        seat: Seat,
        (minor, spectates): (u64, bool),
        now: u32,
        rules: &Rules,
    ) {
        let candidacy = &mut self.players[seat as usize].candidacy;
        *candidacy = candidacy.again(minor, spectates);
        self.stand(seat, now, rules);
    }

    /// Somebody has lost its connection.
    pub(super) fn host_detached(&mut self, seat: Seat, now: u32, rules: &Rules) {
        if self.host.is_at(seat) {
            let until = now.wrapping_add(self.settings.host_grace_ms);
            self.host.hold = Hold::Away { until };
            self.look_at_host(now, rules);
        }
    }

    /// The player with this id is gone.
    pub(super) fn host_left(&mut self, id: u32, now: u32, rules: &Rules) {
        if self.host.id == id && !self.order.is_empty() {
            self.succeed(now, rules);
        }
    }

    /// The host has the role no longer: it goes to the best there is, or to nobody where there is none, or the relay ends. True
    /// if anything has changed.
    fn succeed(&mut self, now: u32, rules: &Rules) -> bool {
        let successor = self.best(Candidacy::Hidden);
        self.crown(successor.filter(|_| !rules.is_ending), now, rules)
    }

    /// The host gives the role to somebody, who has to be here and willing.
    pub(super) fn hand_over(&mut self, to: PlayerId, now: u32, rules: &Rules) -> Result<(), u64> {
        let seat = self.seat_of(to.get()).ok_or(down::refused::PLAYER_GONE)?;
        let player = &self.players[seat as usize];
        if player.away_since().is_some() || player.candidacy < Candidacy::Hidden {
            return Err(down::refused::NOT_ALLOWED);
        }
        if !self.host.is_at(seat) {
            self.crown(Some(seat), now, rules);
            // A page that is hidden holds the role no longer than another host's.
            self.stand(seat, now, rules);
        }
        Ok(())
    }

    /// Makes who sits here the host, or nobody, and tells everybody. A relay that ends makes no hosts: the room plays on in
    /// another process. True if there is another one.
    fn crown(&mut self, seat: Option<Seat>, now: u32, rules: &Rules) -> bool {
        if rules.is_ending && seat.is_some() {
            return false;
        }
        let id = seat.map_or(0, |seat| self.players[seat as usize].id);
        let hold = match seat.map(|seat| self.players[seat as usize].candidacy) {
            Some(Candidacy::Hidden) => Hold::Hidden {
                until: now.wrapping_add(HIDDEN_HOST_MS),
            },
            _ => Hold::Firm,
        };
        let host = Host {
            term: self.host.term + 1,
            id,
            seat: seat.unwrap_or(0),
            hold,
            seq: self.log.seq() + 1,
            since: self.log.position() + 1,
        };
        let former = self.seat_of(self.host.id);
        former
            .into_iter()
            .chain(seat)
            .for_each(|seat| self.keep_ears(seat));
        self.host = host;
        let given = self.keeping.promise(self.host.id());
        let packet = self.host_packet(given);
        self.say(0, Audience::All, packet, now);
        if let Some(former) = former {
            self.change_ears(former, |states, ears| states.exit(former, ears, To::Host));
        }
        if let Some(seat) = seat {
            self.change_ears(seat, |states, _| states.enter(seat, To::Host));
        }
        true
    }

    /// The packet that says who the host is, and whether it is given a snapshot.
    pub(super) fn host_packet(&self, given: bool) -> down::Packet<'static> {
        down::Packet::Host {
            term: self.host.term,
            id: self.host.id(),
            given,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_pays_little_for_its_host() {
        assert!(size_of::<Host>() <= 48, "{} bytes", size_of::<Host>());
    }

    #[test]
    fn who_comes_back_is_as_willing_as_it_said() {
        use Candidacy::{Hidden, Spectator, Unknowing, Unwilling, Visible};
        for (before, minor, spectates, after) in [
            (Visible, 1, false, Visible),
            (Hidden, 1, false, Hidden),
            (Unwilling, 2, false, Unwilling),
            (Unknowing, 1, false, Visible),
            (Spectator, 1, false, Visible),
            (Visible, 0, false, Unknowing),
            (Hidden, 1, true, Spectator),
        ] {
            assert_eq!(before.again(minor, spectates), after, "{before:?}");
        }
    }
}
