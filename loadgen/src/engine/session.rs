//! A client's side of `roomcast.v1`.
//!
//! Owns the machine of one player, and who is which player in a thread's rooms. Must not know sockets, schedules, or how
//! anything is counted.
//! Invariant: all that a client hears and says goes through the machine of `protocol`, so what a relay must not say is
//! never overlooked.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::client::{Client, Event, KEPT, Kept, Link, Next, Violation, after};
use roomcast_protocol::v1::up::{Act, Audience, Join, KeyAudience, Mode, StateAudience};
use roomcast_protocol::v1::{Groups, Key, List, MINOR, Name, Payload, PlayerId, Term};

use super::clock::Nanos;
use super::groups::Layout;
use crate::play::Play;
use crate::scenario::Dialect;

/// Bytes that a packet has over its payload, at most: kind, length, and in a relay's the author.
pub(crate) const PACKET_HEAD_MAX: usize = 1 + 2 * roomcast_protocol::v1::VARINT_BYTES_MAX;

/// A thread that is so late for a player stood still: it has not listened either.
const STANDSTILL: Nanos = 1_000_000_000;

/// How a client speaks.
#[derive(Debug)]
pub(crate) enum Speech {
    /// Messages as they are.
    Raw,
    /// As a player; `None`: it is none yet.
    V1(Option<Box<Session>>),
}

impl Speech {
    /// As nobody yet.
    pub(crate) fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Raw => Self::Raw,
            Dialect::V1 => Self::V1(None),
        }
    }

    /// The player, if it is one.
    #[inline]
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        match self {
            Self::V1(Some(session)) => Some(session),
            _ => None,
        }
    }

    /// Whether it is a player whose connection is lost.
    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::V1(Some(session)) if session.standing == Standing::Lost)
    }

    /// Is nobody any more.
    pub(crate) fn forget(&mut self) {
        if let Self::V1(session) = self {
            *session = None;
        }
    }
}

/// How a player stands to its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has never been there.
    New,
    /// It is there.
    Seated,
    /// Its connection is lost, and it is not there again.
    Lost,
}

/// One player.
#[derive(Debug)]
pub(crate) struct Session {
    machine: Client,
    link: Link,
    standing: Standing,
    /// The group to which it says what it says; `None`: to all others.
    speaks_to: Option<u32>,
    /// The relay has said that it goes on where it was, on the present connection.
    is_resumed: bool,
    /// The server has ended the present connection in a way that lets it come back.
    may_return: bool,
    /// It is the host in this term, and is to leave a snapshot with the relay.
    crowned: Option<Term>,
    /// When the thread looks after it without being told to; `Nanos::MAX`: never.
    pub(crate) wake_at: Nanos,
}

impl Session {
    /// Somebody new, on a connection that is open; it says messages of `size` bytes at most.
    pub(crate) fn new(
        (member, layout): (u32, Layout),
        size: usize,
        play: &Play,
        now: Nanos,
    ) -> Self {
        let name = format!("player {member}");
        let mut wishes = Vec::new();
        let join = Join {
            minor: MINOR,
            mode: Mode::Any,
            back: None,
            name: Name::new(&name).expect("short and plain"),
            properties: List::EMPTY,
            wishes: play.wishes(&mut wishes),
        };
        let kept = Kept {
            packets: KEPT.packets,
            // What is kept is bounded by its number, so that it is the relay's bounds that are met, not these.
            bytes: KEPT.packets * (size + PACKET_HEAD_MAX),
        };
        let mut machine = Client::new(&join, kept);
        // So that the relay says how many values it has passed over, and how near to ticks packets come.
        machine.align(true);
        let speaks_to = layout.speaks_to(member);
        if let Some(group) = speaks_to {
            regroup(&mut machine, layout.groups_of(member), group, play);
        }
        Self {
            link: machine.open(micros(now)),
            machine,
            speaks_to,
            standing: Standing::New,
            is_resumed: false,
            may_return: false,
            crowned: None,
            wake_at: Nanos::MAX,
        }
    }

    /// Its connection is gone.
    pub(crate) fn lose(&mut self) {
        self.machine.closed(self.link, None);
        self.standing = Standing::Lost;
        self.is_resumed = false;
        self.may_return = false;
    }

    /// The server has ended its connection, with a code or (`None`) without.
    pub(crate) fn ended(&mut self, code: Option<CloseCode>) {
        self.may_return = !matches!(after(code), Next::Stop);
    }

    /// Whether the way in which its connection was ended lets it come back.
    pub(crate) fn may_return(&self) -> bool {
        self.may_return
    }

    /// There is another connection.
    pub(crate) fn open(&mut self, now: Nanos) {
        self.link = self.machine.open(micros(now));
    }

    /// Whether it has been in the room before.
    #[inline]
    pub(crate) fn is_new(&self) -> bool {
        self.standing == Standing::New
    }

    /// The relay has said that it goes on where it was.
    pub(crate) fn resumed(&mut self) {
        self.is_resumed = true;
    }

    /// It is in the room (again). Tells whether it goes on where it was.
    pub(crate) fn settle(&mut self) -> bool {
        self.standing = Standing::Seated;
        self.is_resumed
    }

    /// A message has come; what it says is told.
    ///
    /// # Errors
    /// What the relay did that it must not do.
    #[inline]
    pub(crate) fn hear(
        &mut self,
        message: &[u8],
        now: Nanos,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        self.machine.receive(self.link, micros(now), message, tell)
    }

    /// Says something to the others. Tells whether that was taken.
    #[inline]
    pub(crate) fn say(&mut self, payload: Payload<'_>) -> bool {
        let audience = self.speaks_to.map_or(Audience::Others, Audience::Group);
        self.machine.event(audience, payload, false).is_ok()
    }

    /// Sets a key of its own. Tells whether that was taken.
    #[inline]
    pub(crate) fn set(&mut self, key: Key, payload: Payload<'_>) -> bool {
        self.machine.state(key, false, payload).is_ok()
    }

    /// Values that the relay has not sent on this connection because newer ones took their place, as it has said last.
    #[inline]
    pub(crate) fn superseded(&self) -> u64 {
        self.machine.superseded()
    }

    /// Whether what is said now waits for the moment before a tick.
    #[inline]
    pub(crate) fn waits(&mut self, now: Nanos) -> bool {
        self.machine.holds(micros(now))
    }

    /// It is the host, in this term, and is to leave a snapshot.
    pub(crate) fn crowned(&mut self, term: Term) {
        self.crowned = Some(term);
    }

    /// The term for which it is to leave a snapshot, if it knows how far it has got.
    pub(crate) fn owes_snapshot(&self) -> Option<Term> {
        self.crowned.filter(|_| self.machine.cursor().is_some())
    }

    /// Leaves a snapshot of now.
    pub(crate) fn keep(&mut self, term: Term, state: &[u8]) {
        if let Some(cursor) = self.machine.cursor() {
            let seq = cursor.seq;
            let kept = self.machine.act(term, Act::Snapshot { seq, state });
            self.crowned = self.crowned.filter(|_| kept.is_err());
        }
    }

    /// How many messages can be said now.
    #[inline]
    pub(crate) fn allowance(&self, now: Nanos) -> usize {
        self.machine.allowance(micros(now))
    }

    /// Writes its next message to the relay down, if there is one.
    #[inline]
    pub(crate) fn transmit(&mut self, now: Nanos, message: &mut Vec<u8>) -> bool {
        self.machine.transmit(micros(now), message)
    }

    /// Goes.
    pub(crate) fn leave(&mut self) {
        self.machine.leave();
    }

    /// Does what was to be done at `due`. False: nothing has been heard for so long that the connection is dead.
    pub(crate) fn wake(&mut self, due: Nanos, now: Nanos) -> bool {
        if now.saturating_sub(due) > STANDSTILL {
            self.machine.stood_still(micros(now));
        }
        self.machine.wake(micros(now))
    }

    /// When there is something to do; `Nanos::MAX`: never. `waiting`: so that something more can be said.
    #[inline]
    pub(crate) fn due(&self, now: Nanos, waiting: bool) -> Nanos {
        let mut due = self.machine.due();
        if waiting && self.machine.allowance(micros(now)) == 0 {
            due = due.map(|due| due.min(self.machine.allowed_at()));
        }
        due.map_or(Nanos::MAX, |micros| micros.saturating_mul(1000))
    }

    /// Whether it is in the room and knows all that it has to.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.machine.is_live()
    }
}

/// Joins these groups, and addresses all keys to one of them.
fn regroup(machine: &mut Client, groups: Vec<u32>, to: u32, play: &Play) {
    let mut buffer = Vec::new();
    let groups = groups.into_iter().map(|group| (group, true));
    let groups = Groups::encode(groups, &mut buffer).expect("ascending, and few");
    machine.groups(false, groups).expect("the first of all");
    let keys = if play.has_states() { play.keys } else { 0 };
    for key in 0..keys {
        let audience = KeyAudience {
            key,
            room: false,
            to: StateAudience::Group(to),
            stays: false,
        };
        machine.audience(audience).expect("fewer than are kept");
    }
}

/// The machine's unit of time.
#[inline]
fn micros(now: Nanos) -> u64 {
    now / 1000
}

/// Whether a client is welcomed for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Welcomed {
    First,
    Again,
}

/// Who is which player, by the index of its client.
#[derive(Debug, Default)]
pub(crate) struct Seats(Vec<Seat>);

/// One player's.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    id: Option<PlayerId>,
    /// It has been somebody else before: what that one said may still be on its way.
    is_not_the_first: bool,
    /// Since when it has the connection that it has; 0: since it joined.
    back_at: Nanos,
}

impl Seats {
    /// Of so many clients, none of whom is a player yet.
    pub(crate) fn new(clients: usize) -> Self {
        Self(vec![Seat::default(); clients])
    }

    /// The relay has said who the client is. Tells whether it has done so before.
    pub(crate) fn welcome(&mut self, client: u32, id: PlayerId) -> Welcomed {
        let seat = &mut self.0[client as usize];
        match seat.id.replace(id) {
            None => Welcomed::First,
            Some(before) => {
                seat.is_not_the_first |= before != id;
                Welcomed::Again
            }
        }
    }

    /// The client has got its connection back.
    pub(crate) fn back(&mut self, client: u32, now: Nanos) {
        self.0[client as usize].back_at = now;
    }

    /// Whether what this client has sent may have come from that author.
    #[inline]
    pub(crate) fn is_author(&self, client: u32, author: PlayerId) -> bool {
        let seat = self.0.get(client as usize);
        seat.is_some_and(|seat| seat.id == Some(author) || seat.is_not_the_first)
    }

    /// Since when both have had the connections that they have.
    #[inline]
    pub(crate) fn since(&self, client: u32, other: u32) -> Nanos {
        let since = |client: u32| self.0.get(client as usize).map_or(0, |seat| seat.back_at);
        since(client).max(since(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stood_still_takes_no_relay_for_dead() {
        const SECOND: Nanos = 1_000_000_000;
        let mut session = Session::new((0, Layout::Whole), 64, &Play::default(), 0);
        assert!(session.wake(2 * SECOND, 60 * SECOND), "it has not listened");
        assert!(session.wake(62 * SECOND, 62 * SECOND));
        assert!(!session.wake(67 * SECOND, 67 * SECOND), "it has");
    }

    #[test]
    fn authors_are_who_they_were_welcomed_as() {
        let id = |id| PlayerId::new(id).expect("not 0");
        let mut seats = Seats::new(2);
        assert_eq!(seats.welcome(0, id(1)), Welcomed::First);
        assert_eq!(seats.welcome(1, id(2)), Welcomed::First);
        assert!(seats.is_author(0, id(1)) && seats.is_author(1, id(2)));
        assert!(!seats.is_author(0, id(2)) && !seats.is_author(2, id(3)));
        // Somebody new: what the one before has said may still come.
        assert_eq!(seats.welcome(1, id(3)), Welcomed::Again);
        assert!(seats.is_author(1, id(2)) && seats.is_author(1, id(3)));
        assert!(!seats.is_author(0, id(3)));
        assert_eq!(seats.since(0, 1), 0);
        seats.back(1, 5);
        seats.back(0, 3);
        assert_eq!((seats.since(0, 1), seats.since(0, 9)), (5, 3));
    }
}
