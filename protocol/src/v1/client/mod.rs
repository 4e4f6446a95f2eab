//! A client's side of a session, through lost connections (sections 6 to 11 of `docs/PROTOCOL.md`).
//!
//! Owns: where a session stands, the cursor, the packets that are kept until they are acknowledged, when to speak next.
//! Must not know: sockets, timers, clocks, WebSocket frames, who is in the room (it tells what it hears).
//! Invariant: whatever a relay sends, and wherever a connection breaks, what is told is a beginning of what the room said,
//! each entry once and in order, or a *reset* is told before the rest.
//!
//! Times are microseconds of the caller's clock, which never goes backwards.
//!
//! ```
//! use roomcast_protocol::v1::client::{Client, Event, KEPT};
//! use roomcast_protocol::v1::up::{Audience, Join, Mode};
//! use roomcast_protocol::v1::{List, Name, Pairs, Payload};
//!
//! let join = Join {
//!     minor: 0,
//!     mode: Mode::Any,
//!     back: None,
//!     name: Name::new("Ada")?,
//!     properties: List::EMPTY,
//!     wishes: Pairs::EMPTY,
//! };
//! let mut client = Client::new(&join, KEPT);
//! client.event(Audience::Others, Payload::Text("hi"), false)?;
//!
//! // A socket is open: the join goes first, and alone.
//! let link = client.open(1_000_000);
//! let mut message = Vec::new();
//! assert!(client.transmit(1_000_000, &mut message));
//! assert_eq!(message, [0x48, 7, 0, 0, 3, b'A', b'd', b'a', 0]);
//! assert!(!client.transmit(1_000_000, &mut message));
//!
//! // A welcome: a room of her own.
//! let mut welcome = vec![0, 0x21, 30, 0, 0];
//! welcome.extend([7; 8]); // life
//! welcome.push(1); // id
//! welcome.extend([9; 16]); // token
//! welcome.extend([1, 0, 0]); // seq, applied, time
//! welcome.extend([0x38, 0]); // ready
//! let mut told = 0;
//! client.receive(link, 1_020_000, &welcome, &mut |event| {
//!     told += 1;
//!     assert!(told > 1 || matches!(event, Event::Welcome { .. }));
//! })?;
//! message.clear();
//! assert!(client.transmit(1_020_000, &mut message));
//! assert!(message.ends_with(&[0x09, 2, b'h', b'i']));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod align;
mod backlog;
mod clock;
mod ends;
mod hear;
mod pace;
mod states;

pub use backlog::{Kept, Unsendable};
pub use ends::{Next, after};

use super::down::{Packet, Welcome};
use super::up::{self, Act, Audience, Back, Cursor, Impairment, Join, KeyAudience, Mode};
use super::{Change, Groups, Key, Life, List, Malformed, Owner, Payload, PlayerId, Term, Token};
use crate::close::CloseCode;
use align::Align;
use backlog::Backlog;
use clock::Clock;
use pace::Pace;
use states::States;

/// What a client keeps unless told otherwise: 1,024 packets, 256 KiB.
pub const KEPT: Kept = Kept {
    packets: 1024,
    bytes: 256 * 1024,
};

/// Microseconds without a message after which a connection is given up.
pub const DEAD_AFTER: u64 = 6_000_000;

/// Microseconds of own silence after which a client says that it is there.
pub const HEARTBEAT: u64 = 2_500_000;

/// Microseconds between two questions for the time, at most.
const PING_AT_LEAST: u64 = 10_000_000;

/// How often a client asks for the time when it has got in, and how many microseconds apart.
const FIRST_PINGS: u32 = 5;
const FIRST_PINGS_APART: u64 = 200_000;

/// One connection of a [`Client`]: what an earlier one still delivers is told apart by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Link(u64);

/// What a client hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The client goes on where it was. Nothing was missed.
    Resumed,
    /// The client can't go on where it was: a welcome follows, and what happened between is not told.
    Reset {
        /// Why: [`down::reset`](super::down::reset).
        reason: u64,
    },
    /// A welcome begins: what was known of the room is void.
    Welcome {
        /// Who the client is now.
        welcome: Welcome<'a>,
        /// Packets that were not applied and never will be, because they were another player's.
        dropped: usize,
    },
    /// A packet for the game: settings, players, ready, events, states, properties, refusals, the host and its snapshot.
    Packet(Packet<'a>),
    /// What was said since the snapshot that was told before: for and from the host of then, up to the next *ready*. Who
    /// goes on from the snapshot does this first; of who is in the room, and of properties, it says nothing new.
    Tail(Packet<'a>),
}

/// What a relay did wrong: the client is at its end, and its socket is to be closed with 4006.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Bytes that mean nothing.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A packet that has no place there.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
    /// An acknowledgement of what was not sent, or was acknowledged otherwise before.
    #[error("applied: {0}, which can't be")]
    Applied(u64),
    /// A bundle that covers entries where none can be, or more than there are numbers.
    #[error("covered: {0}, which can't be")]
    Covered(u64),
}

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No connection.
    Lost,
    /// The join is on its way.
    Joining,
    /// In the middle of a welcome.
    Welcomed,
    Live,
    /// Told that a welcome will come.
    Resetting,
    /// There is nothing more to come.
    Ended,
}

/// Where the client is with a snapshot that it is given as the new host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Given {
    Nothing,
    /// It was told that it is the host, and that a snapshot follows.
    Promised,
    /// The snapshot has come, and its tail has not ended. In a welcome too.
    Tail,
}

/// Whose session it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Player {
    life: Life,
    id: PlayerId,
}

/// A client: bytes and time in, bytes and events out.
#[derive(Debug)]
pub struct Client {
    /// The join as it was asked for, encoded.
    wanted: Vec<u8>,
    state: State,
    link: Link,
    token: Option<Token>,
    player: Option<Player>,
    /// The last entry that was dealt with; None while what the game knows is no whole: before and in a welcome.
    cursor: Option<u64>,
    /// The entry as of which the welcome is that is coming.
    welcome_at: u64,
    given: Given,
    backlog: Backlog,
    states: States,
    /// How much is kept, of numbered packets and of states each.
    kept: Kept,
    /// Packets without a number that wait to be written.
    urgent: Vec<u8>,
    pace: Pace,
    clock: Clock,
    align: Align,
    /// The relay knows of ticks, and values that it has not sent because newer ones took their place.
    offers_ticks: bool,
    superseded: u64,
    message_max: usize,
    leaving: bool,
    heard_at: u64,
    spoke_at: u64,
    pinged_at: u64,
    first_pings: u32,
}

impl Client {
    /// Somebody new, or (with a token in `join`) a player whose client was started again. Keeps at most `kept`.
    #[must_use]
    pub fn new(join: &Join<'_>, kept: Kept) -> Self {
        let mut wanted = Vec::new();
        up::Packet::Join(*join).encode(&mut wanted);
        Self {
            wanted,
            state: State::Lost,
            link: Link(0),
            token: join.back.map(|back| back.token),
            player: None,
            cursor: None,
            welcome_at: 0,
            given: Given::Nothing,
            backlog: Backlog::new(kept),
            states: States::default(),
            kept,
            urgent: Vec::new(),
            pace: Pace::default(),
            clock: Clock::default(),
            align: Align::default(),
            offers_ticks: false,
            superseded: 0,
            message_max: usize::MAX,
            leaving: false,
            heard_at: 0,
            spoke_at: 0,
            pinged_at: 0,
            first_pings: 0,
        }
    }

    /// A new socket is open. From here on nothing of an earlier one counts.
    pub fn open(&mut self, now: u64) -> Link {
        self.link.0 += 1;
        if self.state == State::Ended {
            return self.link;
        }
        self.state = State::Joining;
        self.urgent.clear();
        self.pace.refill();
        self.backlog.hold();
        self.states.lost();
        self.align.lost();
        self.superseded = 0;
        self.heard_at = now;
        self.spoke_at = now;
        if let Some(Ok(up::Packet::Join(mut join))) = up::decode(&self.wanted)
            .ok()
            .and_then(|mut packets| packets.next())
        {
            join.back = self.token.map(|token| Back {
                token,
                cursor: self.cursor(),
            });
            // After a restart of the relay somebody has to make the room anew.
            if self.player.is_some() || join.back.is_some() && join.mode == Mode::Create {
                join.mode = Mode::Any;
            }
            up::Packet::Join(join).encode(&mut self.urgent);
        }
        self.link
    }

    /// The socket has closed, with a code or (None) without. None if it was an earlier one.
    pub fn closed(&mut self, link: Link, code: Option<CloseCode>) -> Option<Next> {
        if link != self.link || matches!(self.state, State::Lost | State::Ended) {
            return None;
        }
        let next = if self.leaving {
            Next::Stop
        } else {
            after(code)
        };
        self.lose(next);
        Some(next)
    }

    fn lose(&mut self, next: Next) {
        self.state = if next == Next::Stop {
            State::Ended
        } else {
            State::Lost
        };
        self.urgent.clear();
    }

    /// The program stood still until now: that it heard nothing meanwhile says nothing about the connection.
    pub fn stood_still(&mut self, now: u64) {
        self.heard_at = self.heard_at.max(now);
    }

    /// Does what is due. False: the connection is dead, its socket is to be dropped and another opened (or, if the client
    /// was leaving, none).
    pub fn wake(&mut self, now: u64) -> bool {
        if !self.is_open() {
            return true;
        }
        if now >= self.heard_at + DEAD_AFTER {
            self.lose(if self.leaving {
                Next::Stop
            } else {
                Next::Resume
            });
            return false;
        }
        self.ping_if_due(now);
        true
    }

    /// When [`wake`](Self::wake) or [`transmit`](Self::transmit) has something to do next.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        if !self.is_open() {
            return None;
        }
        let mut due = self.heard_at + DEAD_AFTER;
        if self.is_answered() {
            due = due.min(self.ping_due());
            let at = self.align.due();
            if self.backlog.has_unsent() || self.states.are_waiting() {
                due = due.min(self.pace.next().max(at.unwrap_or(0)));
            } else if let Some(at) = at {
                due = due.min(at);
            }
        }
        Some(due)
    }

    fn is_open(&self) -> bool {
        !matches!(self.state, State::Lost | State::Ended)
    }

    /// Whether the join has been answered, so that other packets may follow it.
    fn is_answered(&self) -> bool {
        self.is_open() && self.state != State::Joining
    }

    fn ping_due(&self) -> u64 {
        if self.first_pings > 0 {
            self.pinged_at + FIRST_PINGS_APART
        } else {
            let at_least = match self.align.is_on() {
                true => HEARTBEAT,
                false => PING_AT_LEAST,
            };
            (self.spoke_at + HEARTBEAT).min(self.pinged_at + at_least)
        }
    }

    fn ping_if_due(&mut self, now: u64) {
        if !self.is_answered() || now < self.ping_due() {
            return;
        }
        self.first_pings = self.first_pings.saturating_sub(1);
        self.pinged_at = now;
        self.spoke_at = now;
        let trip = self.clock.trip().unwrap_or(0);
        let ticks = self.offers_ticks && self.align.is_wanted();
        up::Packet::Ping {
            echo: now,
            trip,
            ticks,
        }
        .encode(&mut self.urgent);
    }

    /// Appends the next message that is to be written; false if there is none now.
    pub fn transmit(&mut self, now: u64, message: &mut Vec<u8>) -> bool {
        let before = message.len();
        if self.is_open() {
            self.pace.spend(now, usize::from(!self.urgent.is_empty()));
            message.append(&mut self.urgent);
        }
        let waits = self.backlog.has_unsent() || self.states.are_waiting();
        if self.is_answered() && (self.align.allows(now, waits) || self.leaving) {
            let packets = self.pace.allowed(now);
            let room = self.message_max.min(super::BUNDLE_BYTES_MAX);
            let sent = self.backlog.send(
                packets,
                room.saturating_sub(message.len() - before),
                message.len() == before,
                message,
            );
            let stated = self.states.send(
                (now, self.backlog.written()),
                packets - sent,
                room.saturating_sub(message.len() - before),
                message.len() == before,
                message,
            );
            self.pace.spend(now, sent + stated);
            if sent + stated > 0 {
                self.align.sent(now);
            }
        }
        let any = message.len() > before;
        if any {
            self.spoke_at = now;
        }
        any
    }

    /// Sends an event. Its number counts from the *welcome*'s `applied` if there was no welcome yet.
    ///
    /// # Errors
    /// If as much is kept already as may be, or the relay takes no message so long, or the session is at its end.
    pub fn event(
        &mut self,
        to: Audience<'_>,
        payload: Payload<'_>,
        droppable: bool,
    ) -> Result<u64, Unsendable> {
        self.keep(&up::Packet::Event {
            term: None,
            to,
            droppable,
            payload,
        })
    }

    /// The same as the host of this term; refused by the relay if the client is not.
    ///
    /// # Errors
    /// As for [`event`](Self::event).
    pub fn event_as_host(
        &mut self,
        term: Term,
        to: Audience<'_>,
        payload: Payload<'_>,
        droppable: bool,
    ) -> Result<u64, Unsendable> {
        self.keep(&up::Packet::Event {
            term: Some(term),
            to,
            droppable,
            payload,
        })
    }

    /// Says whether the client would be the host, and whether its page is visible. Who says nothing is both.
    ///
    /// # Errors
    /// As for [`event`](Self::event).
    pub fn willing(&mut self, willing: bool, visible: bool) -> Result<u64, Unsendable> {
        self.align.hide(!visible);
        self.keep(&up::Packet::Willing { willing, visible })
    }

    /// Whether to ask the relay, with each ping, for what ticks need, and to send in a room that has some once in each, little
    /// before it: so what the game says is as new as it can be when it leaves. What was said before the moment waits for it.
    /// Not while the page is hidden.
    pub fn align(&mut self, align: bool) {
        self.align.want(align);
    }

    /// Whether what the game says now would wait for the moment before a tick, because the client [aligns](Self::align). A game that
    /// waits itself, and asks again when the client is [due](Self::due), says its newest states then.
    pub fn holds(&mut self, now: u64) -> bool {
        !self.align.allows(now, true)
    }

    /// Values that the relay has not sent on this connection because newer ones took their place, as it has said last to who
    /// [aligns](Self::align).
    #[must_use]
    pub fn superseded(&self) -> u64 {
        self.superseded
    }

    /// Does what only the host of this term may do; refused by the relay if the client is not.
    ///
    /// # Errors
    /// As for [`event`](Self::event).
    pub fn act(&mut self, term: Term, act: Act<'_>) -> Result<u64, Unsendable> {
        self.keep(&up::Packet::Act { term, act })
    }

    /// Sets a key of this player, or of the room. It has no number: of what waits to be written of a key only the newest is
    /// written, never before an event that was sent earlier; what a lost connection may have lost is written again, of
    /// this player's own keys.
    ///
    /// # Errors
    /// If as many bytes of states or keys are kept already as may be, or the relay takes no message so long, or the
    /// session is at its end.
    pub fn state(&mut self, key: Key, room: bool, payload: Payload<'_>) -> Result<(), Unsendable> {
        self.state_of(None, key, room, payload)
    }

    /// The same as the host of this term; refused by the relay if the client is not.
    ///
    /// # Errors
    /// As for [`state`](Self::state).
    pub fn state_as_host(
        &mut self,
        term: Term,
        key: Key,
        room: bool,
        payload: Payload<'_>,
    ) -> Result<(), Unsendable> {
        self.state_of(Some(term), key, room, payload)
    }

    fn state_of(
        &mut self,
        term: Option<Term>,
        key: Key,
        room: bool,
        payload: Payload<'_>,
    ) -> Result<(), Unsendable> {
        // The longest head: its kind, length, term and key.
        if payload.bytes().len().saturating_add(19) > self.message_max {
            return Err(Unsendable::TooBig);
        }
        let packet = up::Packet::State {
            term,
            key,
            room,
            payload,
        };
        self.set((room, key), &packet)
    }

    /// Deletes a key of this player, or of the room.
    ///
    /// # Errors
    /// As for [`state`](Self::state).
    pub fn delete(&mut self, key: Key, room: bool) -> Result<(), Unsendable> {
        let term = None;
        self.set((room, key), &up::Packet::Delete { term, key, room })
    }

    /// The same as the host of this term; refused by the relay if the client is not.
    ///
    /// # Errors
    /// As for [`state`](Self::state).
    pub fn delete_as_host(&mut self, term: Term, key: Key, room: bool) -> Result<(), Unsendable> {
        let term = Some(term);
        self.set((room, key), &up::Packet::Delete { term, key, room })
    }

    fn set(&mut self, whose: (bool, Key), packet: &up::Packet<'_>) -> Result<(), Unsendable> {
        if self.leaving || self.state == State::Ended {
            return Err(Unsendable::Ended);
        }
        let after = self.backlog.taken();
        if self.states.set(whose, packet, after, self.kept) {
            Ok(())
        } else {
            Err(Unsendable::Full)
        }
    }

    /// Says who gets a key from now on: the value that it was given before, too.
    ///
    /// # Errors
    /// As for [`event`](Self::event).
    pub fn audience(&mut self, audience: KeyAudience) -> Result<u64, Unsendable> {
        if self.leaving || self.state == State::Ended {
            return Err(Unsendable::Ended);
        }
        let packet = up::Packet::Audience(audience);
        let whose = (audience.room, audience.key);
        // What was said of the key comes first: else those who get it now would be told what was said before that.
        let unknown = self.states.unknown(whose).unwrap_or(&[]);
        let number = self
            .backlog
            .push_behind(unknown, &packet, self.message_max)?;
        self.states.is_kept_elsewhere(whose);
        Ok(number)
    }

    /// Joins and leaves groups; if `only`, leaves all others.
    ///
    /// # Errors
    /// As for [`event`](Self::event); and if there is nothing to do.
    pub fn groups(&mut self, only: bool, groups: Groups<'_>) -> Result<u64, Unsendable> {
        if groups.is_empty() && !only {
            return Err(Unsendable::Nothing);
        }
        self.keep(&up::Packet::Groups { only, groups })
    }

    /// Changes properties of the room (None) or of a player.
    ///
    /// # Errors
    /// As for [`event`](Self::event); and if there are no changes.
    pub fn properties(
        &mut self,
        owner: Owner,
        changes: List<'_, Change<'_>>,
    ) -> Result<u64, Unsendable> {
        self.properties_of(None, owner, changes)
    }

    /// The same as the host of this term, who writes everybody's; refused by the relay if the client is not.
    ///
    /// # Errors
    /// As for [`properties`](Self::properties).
    pub fn properties_as_host(
        &mut self,
        term: Term,
        owner: Owner,
        changes: List<'_, Change<'_>>,
    ) -> Result<u64, Unsendable> {
        self.properties_of(Some(term), owner, changes)
    }

    fn properties_of(
        &mut self,
        term: Option<Term>,
        owner: Owner,
        changes: List<'_, Change<'_>>,
    ) -> Result<u64, Unsendable> {
        if changes.is_empty() {
            return Err(Unsendable::Nothing);
        }
        self.keep(&up::Packet::Properties {
            term,
            owner,
            changes,
        })
    }

    /// Asks for a bad network.
    ///
    /// # Errors
    /// As for [`event`](Self::event); and if a number is out of its bounds.
    pub fn impair(&mut self, to: Impairment) -> Result<u64, Unsendable> {
        if !to.is_within_bounds() {
            return Err(Unsendable::OutOfBounds);
        }
        self.keep(&up::Packet::Impair(to))
    }

    fn keep(&mut self, packet: &up::Packet<'_>) -> Result<u64, Unsendable> {
        if self.leaving || self.state == State::Ended {
            return Err(Unsendable::Ended);
        }
        self.backlog.push(packet, self.message_max)
    }

    /// Goes: once [`is_done`](Self::is_done) says so, the socket is to be closed with 1000.
    pub fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.backlog.push_last(&up::Packet::Leave);
        }
    }

    /// Whether a client that leaves has written all, or has nobody to write it to.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.leaving && !(self.is_answered() && self.backlog.has_unsent())
    }

    /// Who the client is.
    #[must_use]
    pub fn id(&self) -> Option<PlayerId> {
        self.player.map(|player| player.id)
    }

    /// What a client that is started again needs to be the same player.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        self.token
    }

    /// How far it has got: of which life, and the last entry. None while what it knows is no whole: in a welcome, and until
    /// a new host has all of the snapshot that it was promised.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        let cursor = self.cursor.filter(|_| self.given == Given::Nothing);
        let (player, seq) = self.player.zip(cursor)?;
        Some(Cursor {
            life: player.life,
            seq,
        })
    }

    /// Whether what the game hears is the room's present.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// The relay's time, in its microseconds; None before the first answer to a ping.
    #[must_use]
    pub fn time(&self, now: u64) -> Option<u64> {
        self.clock.time(now)
    }

    /// The shortest recent round trip, in microseconds.
    #[must_use]
    pub fn trip(&self) -> Option<u64> {
        self.clock.trip()
    }

    /// How many packets, beside those that wait already, the relay's budget lets go now; none while it is not told.
    #[must_use]
    pub fn allowance(&self, now: u64) -> usize {
        if !self.is_answered() {
            return 0;
        }
        let waiting = self.backlog.unsent() + usize::from(!self.urgent.is_empty());
        self.pace.allowed(now).saturating_sub(waiting)
    }

    /// When a packet may go again after the budget was used up.
    #[must_use]
    pub fn allowed_at(&self) -> u64 {
        self.pace.next()
    }

    /// Packets that are kept until they are acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.backlog.len()
    }
}
