//! What must be true, whatever happens: who gets what, and who ends for which reason.
//!
//! Owns: who was a member of which room when, and what was said there, in the order in which shards took it in. Must
//! not know: how a shard does it. Invariant: of a shard it believes only which bytes it took, who has a seat, and
//! which reason it gives for an end; what follows from that, it works out itself.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use roomcast::limits::{GOING_AWAY_MS, Limits};
use roomcast::shard::{CloseReason, DisconnectReason, EndReason, Ends};
use roomcast_protocol::close::CloseCode;

use super::bounds::SLACK_MS;
use super::compose::{Errand, Mark, Message, Place, Script};
use super::endings::{self, Conduct};
use super::ledger::{GuestId, Ledger};
use super::net::WireId;
use super::player::Heard;

/// Members of a room who are served in one iteration, whatever they are told.
pub(crate) const PORTION: u64 = 40;

/// Nothing, or what is wrong.
pub(crate) type Verdict = Result<(), String>;

/// A message, and when a shard took it (ms, without those in which the process stood still).
#[derive(Debug)]
struct Said {
    by: WireId,
    message: Message,
    at: u64,
}

/// A stay in a room, as places in what is said there.
#[derive(Debug)]
struct Stay {
    room: Rc<str>,
    /// Nothing before this is still to come.
    next: usize,
    /// Nothing from here on is to come.
    end: usize,
    /// Everything before this was to come before its end: its room was not gathering it any more.
    owed: usize,
    hears_itself: bool,
}

impl Stay {
    /// Whether something is for who has this stay over this connection.
    fn is_for(&self, wire: WireId, said: &Said) -> bool {
        said.by != wire || self.hears_itself
    }
}

#[derive(Debug, Default)]
struct Link {
    /// Whose it is, if that speaks roomcast.v1.
    guest: Option<GuestId>,
    /// What it sent and no shard has taken.
    ahead: VecDeque<(usize, Mark)>,
    sent: usize,
    taken: usize,
    /// Of these, so many wait in the shard until they may be heard.
    waiting: usize,
    stay: Option<Stay>,
    /// On its way to another shard.
    moving: bool,
    reason: Option<DisconnectReason>,
    /// What it sent that led to the end.
    cause: Option<Mark>,
    ended_at: u64,
    /// The client knows that it is over.
    told: bool,
    pings: VecDeque<Rc<[u8]>>,
    /// If it knocked where TLS is spoken: how it behaves there.
    conduct: Option<Conduct>,
}

/// The oracle of one run.
#[derive(Debug)]
pub(crate) struct Oracle {
    limits: Limits,
    rooms: BTreeMap<Rc<str>, Vec<Said>>,
    links: Vec<Link>,
    pub(crate) ledger: Ledger,
    pub(crate) draining: bool,
    /// Milliseconds that the whole process stood still.
    pub(crate) stalled: u64,
    pub(crate) delivered: u64,
    pub(crate) ends: Ends,
}

/// `what` is wrong with this connection unless it `holds`.
pub(crate) fn must(holds: bool, wire: WireId, what: &str) -> Verdict {
    let wrong = || format!("connection {wire}: {what}");
    holds.then_some(()).ok_or_else(wrong)
}

impl Oracle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            ledger: Ledger::new(&limits),
            limits,
            rooms: BTreeMap::new(),
            links: Vec::new(),
            draining: false,
            stalled: 0,
            delivered: 0,
            ends: Ends::default(),
        }
    }

    /// The whole process stands still.
    pub(crate) fn stands_still(&mut self, ms: u64) {
        self.stalled += ms;
        self.ledger.stands_still(ms);
    }

    /// A connection begins; they are numbered in this order.
    pub(crate) fn connects(&mut self, guest: Option<GuestId>) {
        self.links.push(Link {
            guest,
            ..Link::default()
        });
    }

    /// How a client behaves where TLS is spoken.
    pub(crate) fn behaves(&mut self, wire: WireId, conduct: Option<Conduct>) {
        let link = &mut self.links[wire];
        if link.reason.is_none() {
            link.conduct = conduct;
        }
    }

    /// A client sends.
    pub(crate) fn sends(&mut self, wire: WireId, script: &Script) {
        let link = &mut self.links[wire];
        for (at, mark) in &script.marks {
            link.ahead.push_back((link.sent + at, mark.clone()));
        }
        link.sent += script.bytes.len();
    }

    /// Whether a connection has a seat.
    pub(crate) fn is_seated(&self, wire: WireId) -> bool {
        let link = &self.links[wire];
        link.stay.is_some() && link.reason.is_none()
    }

    /// Seats taken, those of connections between two shards included.
    pub(crate) fn seated(&self) -> usize {
        let seated = |&wire: &WireId| self.links[wire].moving || self.is_seated(wire);
        (0..self.links.len()).filter(seated).count()
    }

    /// Members of a room, and those that left it at `since` (ms) or later.
    fn members(&self, room: &str, since: u64) -> usize {
        let member = |link: &&Link| {
            let here = link.stay.as_ref().is_some_and(|stay| &*stay.room == room);
            here && (link.reason.is_none() || link.ended_at >= since)
        };
        self.links.iter().filter(member).count()
    }

    /// A shard took bytes (of what a client said, without the records it came in), or without bytes a connection of
    /// another shard; so many of all that it took wait.
    pub(crate) fn took(
        &mut self,
        wire: WireId,
        (bytes, waiting): (usize, usize),
        seated: bool,
        ended: Option<DisconnectReason>,
        now: u64,
    ) -> Verdict {
        let link = &mut self.links[wire];
        link.taken += bytes;
        link.waiting = waiting;
        link.moving = false;
        if link.reason.is_some() {
            return must(ended.is_none() && !seated, wire, "goes on after its end");
        }
        let by_itself = |reason| {
            let heard = link.taken - link.waiting;
            let mut ahead = link.ahead.iter().filter(|(at, _)| *at <= heard);
            ahead.any(|(_, mark)| endings::follows_from(reason, mark))
        };
        let by_another = ended.filter(|reason| {
            let sent_away = [CloseReason::Kicked, CloseReason::RoomClosed].map(Into::into);
            sent_away.contains(reason) && !by_itself(*reason)
        });
        if by_another.is_some() {
            // By what another said in this iteration: nothing is heard of it any more.
            link.ahead.clear();
        }
        while let Some((at, mark)) = self.links[wire].ahead.front().cloned() {
            let heard = self.links[wire].taken - self.links[wire].waiting;
            let whole = at <= heard;
            if ended.is_some_and(|reason| endings::follows_from(reason, &mark)) {
                // Whatever is wrong may be noticed before its last byte; all else only after it.
                let wrong = matches!(mark, Mark::Breach(_) | Mark::Request { .. });
                must(whole || wrong, wire, "it ended too early")?;
                if let (Some(guest), Mark::Packets(Errand::Leave | Errand::Speak, packets)) =
                    (self.links[wire].guest, &mark)
                {
                    self.ledger.took(wire, guest, packets, now)?;
                }
                self.links[wire].cause = Some(mark);
                break;
            }
            if !whole {
                break;
            }
            if matches!(mark, Mark::Seat { .. }) && !seated && ended.is_none() {
                self.links[wire].moving = true;
                return Ok(());
            }
            self.links[wire].ahead.pop_front();
            self.understand(wire, mark, now)?;
        }
        if let Some(reason) = ended {
            self.judge(wire, reason, now)?;
            self.end(wire, reason, now);
        }
        must(seated == self.is_seated(wire), wire, "seated for nothing")
    }

    /// What a mark does that does not end its connection.
    fn understand(&mut self, wire: WireId, mark: Mark, now: u64) -> Verdict {
        let link = &mut self.links[wire];
        match mark {
            Mark::Packets(Errand::Join | Errand::Speak, packets) => {
                let guest = link.guest.ok_or("packets of nobody")?;
                return self.ledger.took(wire, guest, &packets, now);
            }
            Mark::Seat { room, place } => return self.join(wire, room, place),
            Mark::Message(message) => {
                let stay = link.stay.as_ref().ok_or("said without a seat")?;
                let said = self.rooms.get_mut(&stay.room).ok_or("said nowhere")?;
                let by = wire;
                let at = now - self.stalled;
                said.push(Said { by, message, at });
            }
            Mark::Ping(payload) => link.pings.push_back(payload),
            mark => return Err(format!("connection {wire}: goes on after {mark:?}")),
        }
        Ok(())
    }

    /// Whether a connection may end with this reason for what it sent.
    fn judge(&self, wire: WireId, reason: DisconnectReason, now: u64) -> Verdict {
        let link = &self.links[wire];
        let just = match (reason, &link.cause) {
            // By another connection, in the iteration that brought something over this one too.
            (DisconnectReason::Close(CloseReason::Replaced), None) => {
                self.is_seated(wire) && link.guest.is_some()
            }
            (DisconnectReason::Close(CloseReason::Kicked), None) => self.may_be_put_out(wire),
            (DisconnectReason::Close(CloseReason::Barred), Some(Mark::Packets(_, packets))) => {
                self.ledger.may_be_barred(packets)
            }
            (DisconnectReason::Close(CloseReason::RoomLocked), _) => link
                .guest
                .is_some_and(|guest| self.ledger.may_be_locked(guest)),
            (DisconnectReason::Close(CloseReason::RoomClosed), _) => self.may_be_closed(wire),
            (_, None) => endings::follows_from_conduct(reason, link.conduct),
            (DisconnectReason::End(EndReason::Full), _) => {
                self.seated() >= self.limits.max_connections
            }
            (DisconnectReason::Close(CloseReason::RoomFull), Some(Mark::Seat { room, .. })) => {
                // Who left during a fan-out keeps the seat until the end of it.
                let members = self.members(room, now.saturating_sub(SLACK_MS));
                members >= self.limits.max_room_members
            }
            (DisconnectReason::Close(CloseReason::RoomFull), Some(Mark::Packets(..))) => link
                .guest
                .is_some_and(|guest| self.ledger.may_be_full(guest)),
            (DisconnectReason::Close(CloseReason::Drain), _) => self.draining,
            (DisconnectReason::Close(CloseReason::Replaced), _) => {
                let other = link.guest.and_then(|guest| self.ledger.connection(guest));
                other.is_some_and(|other| other > wire)
            }
            _ => true,
        };
        must(just, wire, reason.label())
    }

    /// Whether a host may have put out whose connection this is.
    fn may_be_put_out(&self, wire: WireId) -> bool {
        let guest = self.links[wire].guest;
        self.is_seated(wire) && guest.is_some_and(|guest| self.ledger.may_be_put_out(guest))
    }

    /// Whether a host may have closed the room of this connection.
    fn may_be_closed(&self, wire: WireId) -> bool {
        let guest = self.links[wire].guest;
        self.is_seated(wire) && guest.is_some_and(|guest| self.ledger.may_be_closed(guest))
    }

    fn join(&mut self, wire: WireId, room: Rc<str>, place: Place) -> Verdict {
        let said = self.rooms.entry(Rc::clone(&room)).or_default().len();
        let goes = |wire: &&WireId| {
            let link = &self.links[**wire];
            let here = link.stay.as_ref().is_some_and(|stay| stay.room == room);
            here && link.reason.is_none()
        };
        let going = self.ledger.going.iter().filter(goes).count();
        let members = self.members(&room, u64::MAX) + 1 - going;
        must(
            place == Place::Door || members <= self.limits.max_room_members,
            wire,
            "one too many in its room",
        )?;
        self.links[wire].stay = Some(Stay {
            room,
            next: said,
            end: usize::MAX,
            owed: 0,
            hears_itself: place == Place::Echo,
        });
        Ok(())
    }

    fn end(&mut self, wire: WireId, reason: DisconnectReason, now: u64) {
        self.ends.note(reason);
        let stay = self.links[wire].stay.as_ref();
        let members = stay.map_or(0, |stay| self.members(&stay.room, 0));
        let link = &mut self.links[wire];
        link.reason = Some(reason);
        link.ended_at = now;
        link.moving = false;
        if let Some(stay) = &mut link.stay {
            let said = &self.rooms[&stay.room];
            // A crowd is served in portions, and gathers meanwhile.
            let portions = 1 + members as u64 / PORTION;
            let gathering = u64::from(self.limits.flush_interval_ms) + portions * SLACK_MS;
            stay.end = said.len();
            stay.owed = said.partition_point(|said| said.at + gathering < now - self.stalled);
        }
        if let Some(guest) = link.guest {
            let said = match &link.cause {
                Some(Mark::Close(code)) => *code,
                _ => None,
            };
            let grace_ms = match (reason, said) {
                (DisconnectReason::Close(CloseReason::RoomClosed), _) => {
                    self.ledger.sent_away(wire, guest);
                    None
                }
                (DisconnectReason::Close(CloseReason::Left | CloseReason::Kicked), _) => None,
                (_, Some(CloseCode::NORMAL)) => None,
                (_, Some(CloseCode::GOING_AWAY)) => Some(GOING_AWAY_MS),
                _ if self.draining => Some(0),
                _ => Some(u32::MAX),
            };
            self.ledger.parted(wire, guest, grace_ms, now);
        }
    }

    /// A connection ended, for something else than what it sent.
    pub(crate) fn ended(&mut self, wire: WireId, reason: DisconnectReason, now: u64) -> Verdict {
        must(self.links[wire].reason.is_none(), wire, "a second end")?;
        let conduct = self.links[wire].conduct;
        let seated = (self.is_seated(wire), self.links[wire].guest.is_some());
        let just = endings::comes_alone(reason, seated, self.draining, conduct)
            && (reason != CloseReason::Kicked.into() || self.may_be_put_out(wire))
            && (reason != CloseReason::RoomClosed.into() || self.may_be_closed(wire));
        self.end(wire, reason, now);
        must(just, wire, reason.label())
    }

    /// A client heard something.
    pub(crate) fn heard(&mut self, wire: WireId, heard: &Heard) -> Verdict {
        let link = &mut self.links[wire];
        must(!link.told, wire, "something came after the end")?;
        match heard {
            Heard::Status(_) | Heard::Close(..) => {
                link.told = true;
                self.has_had_its_own(wire)?;
                let link = &self.links[wire];
                let cause = link.cause.as_ref();
                let is_told = |reason| endings::is_told(reason, cause, heard);
                must(
                    link.reason.is_some_and(is_told),
                    wire,
                    "told something else",
                )
            }
            Heard::Welcome => {
                let full = link.reason == Some(CloseReason::RoomFull.into());
                must(link.stay.is_some() || full, wire, "welcome to nowhere")
            }
            Heard::Ping => must(link.stay.is_some(), wire, "a ping without a seat"),
            Heard::Pong(payload) => {
                let asked = link.pings.pop_front();
                must(asked.as_deref() == Some(payload), wire, "another pong")
            }
            Heard::Message(message) => {
                self.delivered += 1;
                must(link.guest.is_none(), wire, "no bundle")?;
                let stay = link.stay.as_mut().ok_or("leaked to a stranger")?;
                let said = &self.rooms[&stay.room][..];
                let of_others = said[stay.next..]
                    .iter()
                    .position(|said| stay.is_for(wire, said));
                stay.next = of_others.map_or(said.len(), |at| stay.next + at);
                let due = said[..stay.end.min(said.len())].get(stay.next);
                stay.next += 1;
                must(
                    due.is_some_and(|due| due.message == *message),
                    wire,
                    "another message",
                )
            }
        }
    }

    /// A client is told why its connection ends: what was said before that, but for what its room was still gathering, has
    /// come, unless it was too slow for it.
    fn has_had_its_own(&self, wire: WireId) -> Verdict {
        let link = &self.links[wire];
        let (Some(stay), Some(DisconnectReason::Close(reason)), None) =
            (&link.stay, link.reason, link.guest)
        else {
            return Ok(());
        };
        let mut said = self.rooms[&stay.room][..stay.owed].iter().skip(stay.next);
        let missing = said.any(|said| stay.is_for(wire, said));
        let holds = reason == CloseReason::SlowConsumer || !missing;
        must(holds, wire, "a message is missing before its close")
    }

    /// A guest's client got a message; what is in it, the ledger judges.
    pub(crate) fn bundle(&mut self, wire: WireId) -> Verdict {
        self.delivered += 1;
        let link = &self.links[wire];
        must(!link.told, wire, "something came after the end")?;
        must(link.stay.is_some(), wire, "leaked to a stranger")
    }

    /// The process is to end.
    pub(crate) fn drains(&mut self) {
        self.draining = true;
        self.ledger.drains();
    }

    /// Whether the client of a connection that has ended was told why.
    pub(crate) fn is_told(&self, wire: WireId) -> bool {
        self.links[wire].told
    }

    /// Whether it may never have been.
    pub(crate) fn may_be_untold(&self, wire: WireId) -> bool {
        let link = &self.links[wire];
        link.reason
            .is_some_and(|reason| endings::may_be_silent(reason, link.conduct))
    }

    /// A seated member that never stopped reading, when nothing is under way any longer: has everything come?
    pub(crate) fn owes_nothing(&self, wire: WireId) -> Verdict {
        let link = &self.links[wire];
        must(link.taken == link.sent, wire, "it is not read any longer")?;
        // Of a guest who is told that it is too far behind, what waited is dropped, pongs too.
        let dropped = link.guest.is_some();
        must(dropped || link.pings.is_empty(), wire, "a pong is missing")?;
        let Some(stay) = &link.stay else {
            return must(link.reason.is_some(), wire, "it was never answered");
        };
        let said = self.rooms[&stay.room][stay.next..].iter();
        let missing = said.filter(|said| stay.is_for(wire, said)).count();
        must(missing == 0, wire, "a message is missing")
    }
}
