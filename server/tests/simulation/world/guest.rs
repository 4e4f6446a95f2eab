//! Clients of roomcast.v1, as they act: the client machine of `protocol`, over whatever connections the world gives it.
//!
//! Owns: what guests say and to whom, when they open, leave and give up. Must not know: what is right (the ledger does).
//! Invariant: whatever is sent was written by the client machine, and it hears all that comes.

use std::rc::Rc;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::MessageKind;
use roomcast_protocol::v1::client::{Client, KEPT, Link, Next, Unsendable};
use roomcast_protocol::v1::up::{
    self, Audience, Back, Impairment, Join, KeyAudience, Mode, StateAudience,
};
use roomcast_protocol::v1::{
    Change, Groups, Guard, List, MINOR, Name, PairValue, Pairs, Payload, PlayerId, Token, setting,
};

use super::World;
use super::compose::{Errand, Script, message};
use super::ledger::GuestId;
use super::net::WireId;
use super::oracle::{Verdict, must};
use super::player::{Habit, Heard};
use super::said::{changes, event, numbered};
use super::scenario::Way;

/// Ids of players that are spoken to: some of them are not there.
const IDS: usize = 8;

/// Keys that are spoken of.
const KEYS: usize = 3;

/// Groups that are spoken of.
const GROUPS: [u32; 3] = [0, 1, 7];

/// Connections by which guests come back in one run, at most.
const RETURNS: usize = 60;

/// What is said to who is not wanted, and may not know better than to come again.
const OUT: [CloseCode; 3] = [
    CloseCode::KICKED,
    CloseCode::ROOM_CLOSED,
    CloseCode::ROOM_LOCKED,
];

/// Somebody who plays.
#[derive(Debug)]
pub(crate) struct Guest {
    client: Client,
    room: Rc<str>,
    /// Its latest connection; what the client calls it, once that is open.
    wire: WireId,
    link: Option<Link>,
    /// The next message over it is the first.
    joins: bool,
    /// It says that it goes.
    leaves: bool,
    /// Its session is at its end.
    is_over: bool,
    /// It was put out or not let in, and may try to come back all the same.
    is_out: bool,
    /// It has asked for the end of its room, and says no more.
    is_silent: bool,
    /// It has asked for a bad network, and may ask again on its next connection.
    is_impaired: bool,
    /// Tokens of players that it was.
    former: Vec<Token>,
}

/// A client for somebody new, or for whom it has lost.
fn client(guest: GuestId, token: Option<Token>, tick_hz: u64) -> Client {
    let name = format!("guest {guest}");
    let ticks = (tick_hz > 0).then_some((setting::TICK_HZ, PairValue::Number(tick_hz)));
    let mut wishes = Vec::new();
    let join = Join {
        minor: MINOR,
        mode: Mode::Any,
        back: token.map(|token| Back {
            token,
            cursor: None,
        }),
        name: Name::new(&name).expect("a name"),
        properties: List::EMPTY,
        wishes: Pairs::encode(ticks, &mut wishes).expect("a wish"),
    };
    Client::new(&join, KEPT)
}

impl World<'_> {
    /// Somebody comes to a room.
    pub(super) fn arrive(&mut self, habit: Habit, reactor: usize, way: Way, room: Rc<str>) {
        let guest = self.guests.len();
        self.oracle.ledger.comes(&room);
        self.guests.push(Guest {
            client: client(guest, None, self.tick_hz),
            room: Rc::clone(&room),
            wire: self.players.len(),
            link: None,
            joins: false,
            leaves: false,
            is_over: false,
            is_out: false,
            is_silent: false,
            is_impaired: false,
            former: Vec::new(),
        });
        self.open(guest, habit, reactor, way, room);
    }

    /// A guest opens a connection.
    fn open(&mut self, guest: GuestId, habit: Habit, reactor: usize, way: Way, room: Rc<str>) {
        let wire = self.enter(habit, reactor, way, Some(room), Some(guest));
        // Some send their first packet right behind the request.
        if self.choices.once_in(4) {
            self.opened(wire);
        }
    }

    /// A guest comes back, to whichever reactor, whether it has lost its connection or not; the server may know of that, or not.
    /// At times it is a page that was loaded anew, at times with a token of long ago.
    pub(super) fn come_back(&mut self, guest: GuestId) {
        let steady = [Habit::Steady, Habit::Steady, Habit::Brisk, Habit::Slow];
        let habit = match self.choices.one_of(&steady) {
            Habit::Steady if self.guests[guest].is_impaired => Habit::Brisk,
            habit => habit,
        };
        let reactor = self.choices.below(self.reactors.len());
        let way = match self.tls {
            Some(_) => self.choices.one_of(&[Way::Plain, Way::Secure]),
            None => Way::Plain,
        };
        let is_over = self.guests[guest].is_over;
        let reloads = is_over || self.choices.once_in(6);
        let of_long_ago = reloads && self.choices.once_in(3);
        let wire = self.players.len();
        self.returns += 1;
        let this = &mut self.guests[guest];
        let old = &mut self.players[this.wire];
        if !old.done {
            (old.habit, old.done) = (Habit::Deaf, true);
        }
        if let Some(link) = this.link.take() {
            this.client.closed(link, None);
        }
        this.wire = wire;
        this.joins = false;
        if reloads {
            let token = match this.former.first() {
                Some(former) if of_long_ago => Some(*former),
                _ => this.client.token(),
            };
            this.client = client(guest, token, self.tick_hz);
            (this.leaves, this.is_over) = (false, false);
            (this.is_out, this.is_silent) = (false, false);
            self.oracle.ledger.reloads(guest);
        }
        let room = Rc::clone(&this.room);
        self.open(guest, habit, reactor, way, room);
    }

    /// A guest without a connection may come back.
    pub(super) fn may_come_back(&mut self, wire: WireId) {
        if let Some(guest) = self.players[wire].guest
            && self.guests[guest].wire == wire
            && !self.guests[guest].leaves
            && (!self.guests[guest].is_over || self.guests[guest].is_out)
            && self.returns < RETURNS
            && self.choices.once_in(2)
        {
            self.come_back(guest);
        }
    }

    /// Whose this connection is, if it is the one that its client uses.
    fn guest(&mut self, wire: WireId) -> Option<&mut Guest> {
        let guest = &mut self.guests[self.players[wire].guest?];
        (guest.wire == wire).then_some(guest)
    }

    /// The connection of a guest is open, or will be.
    fn opened(&mut self, wire: WireId) {
        let now = self.now * 1_000;
        if let Some(guest) = self.guest(wire)
            && guest.link.is_none()
        {
            guest.link = Some(guest.client.open(now));
            guest.joins = true;
            self.talk(wire);
        }
    }

    /// A guest does what is due, and sends what it has to say. Whether there was anything.
    pub(super) fn talk(&mut self, wire: WireId) -> bool {
        let now = self.now * 1_000;
        if self.players[wire].done {
            return false;
        }
        let Some(guest) = self.guest(wire).filter(|guest| guest.link.is_some()) else {
            return false;
        };
        if !guest.client.wake(now) {
            self.give_up(wire);
            return true;
        }
        let mut messages = Vec::new();
        let mut message = Vec::new();
        while guest.client.transmit(now, &mut message) {
            messages.push(std::mem::take(&mut message));
        }
        let goes = guest.leaves && guest.client.is_done();
        let count = messages.len();
        let joins = count > 0 && std::mem::take(&mut guest.joins);
        let mut script = Script::default();
        for (at, message) in messages.iter().enumerate() {
            let errand = match at {
                0 if joins => Errand::Join,
                _ if goes && at + 1 == count => Errand::Leave,
                _ => Errand::Speak,
            };
            script.packets(errand, message, &mut self.choices);
        }
        if goes {
            script.close(Some(CloseCode::NORMAL), &mut self.choices);
            self.players[wire].done = true;
        }
        self.send(wire, &script);
        !script.bytes.is_empty()
    }

    /// A guest takes its connection for dead. The server may hear of it, or not.
    fn give_up(&mut self, wire: WireId) {
        match self.choices.below(3) {
            0 => self.reset(wire),
            1 => self.hang_up(wire),
            _ => {
                let player = &mut self.players[wire];
                (player.habit, player.done) = (Habit::Deaf, true);
            }
        }
    }

    /// What a guest makes of what comes.
    pub(super) fn tell_guest(&mut self, wire: WireId, whose: GuestId, heard: &Heard) -> Verdict {
        let (at, now) = (self.now, self.now * 1_000);
        let steady = self.players[wire].habit == Habit::Steady;
        let guest = &mut self.guests[whose];
        if guest.wire != wire {
            return Ok(());
        }
        match (heard, guest.link) {
            (Heard::Welcome, _) => self.opened(wire),
            (Heard::Message((MessageKind::Binary, bundle)), Some(link)) => {
                let ledger = &mut self.oracle.ledger;
                ledger.opens_bundle(whose, bundle, at);
                let mut verdict = Ok(());
                let token = guest.client.token();
                let received = guest.client.receive(link, now, bundle, &mut |event| {
                    if verdict.is_ok() {
                        verdict = ledger.heard(wire, whose, event, (steady, at));
                    }
                });
                verdict?;
                let former = token.filter(|token| guest.client.token() != Some(*token));
                guest.former.extend(former);
                received.map_err(|wrong| format!("connection {wire}: {wrong}"))?;
            }
            (Heard::Message(_), _) => must(false, wire, "that is no bundle")?,
            (Heard::Close(code, _), Some(link)) => {
                guest.is_over |= guest.client.closed(link, *code) == Some(Next::Stop);
                guest.is_out |= code.is_some_and(|code| OUT.contains(&code));
            }
            _ => {}
        }
        Ok(())
    }

    /// The server has ended the connection of a guest.
    pub(super) fn tell_end(&mut self, wire: WireId) {
        if let Some(guest) = self.guest(wire)
            && let Some(link) = guest.link
        {
            guest.client.closed(link, None);
        }
    }

    /// When a guest has something to do next (ms).
    pub(super) fn guest_due(&self, guest: &Guest) -> Option<u64> {
        let player = &self.players[guest.wire];
        let acts = !player.done && player.habit != Habit::Deaf && !self.asleep;
        let due = guest.client.due().filter(|_| acts && guest.link.is_some());
        due.map(|due| due.div_ceil(1_000))
    }

    /// Something that others are to hear of.
    pub(super) fn act_as_guest(&mut self, wire: WireId, guest: GuestId) -> Verdict {
        if self.guests[guest].wire != wire {
            return Ok(());
        }
        if self.guests[guest].is_silent {
            self.talk(wire);
            return Ok(());
        }
        let steady = self.players[wire].habit == Habit::Steady;
        match self.choices.below(if steady { 24 } else { 32 }) {
            0..=10 => self.call(guest),
            11..=13 => self.state(guest),
            14 => match self.choices.below(4) {
                0..=1 => self.readdress(guest),
                2 => self.regroup(guest),
                _ => self.reign(guest),
            },
            15..=17 => {
                let states = self.choices.once_in(2);
                for _ in 0..self.choices.one_of(&[3, 10, 60]) {
                    if states && self.choices.once_in(4) {
                        self.state(guest);
                    } else {
                        self.call(guest);
                    }
                }
            }
            18..=20 => self.change(guest),
            21 if self.common.limits.impairment && self.choices.once_in(4) => {
                self.impair(wire, guest);
            }
            21 if self.choices.once_in(2) => self.rule(guest),
            21 => self.save(guest),
            22 if self.returns < RETURNS && self.choices.once_in(8) => {
                self.come_back(guest);
                return Ok(());
            }
            22 => {}
            23 if self.choices.once_in(3) => {
                let guest = &mut self.guests[guest];
                guest.client.leave();
                guest.leaves = true;
            }
            23..=25 => {}
            26 => {
                let codes = [CloseCode::NORMAL, CloseCode::GOING_AWAY, CloseCode(3000)];
                let mut script = Script::default();
                let code = self.choices.one_of(&codes);
                script.close(Some(code), &mut self.choices);
                self.send(wire, &script);
                self.players[wire].done = true;
            }
            27..=28 => self.hang_up(wire),
            29..=30 => self.reset(wire),
            _ => self.players[wire].habit = Habit::Deaf,
        }
        self.talk(wire);
        Ok(())
    }

    /// Says something to somebody.
    fn call(&mut self, guest: GuestId) {
        let choices = &mut self.choices;
        let len = match self.guests[guest].client.id() {
            Some(_) => choices.one_of(&[12, 60, 60, 5, 0, 126, 300, 1_000, 3_000]),
            // How much the relay takes is not known yet.
            None => 60,
        };
        self.said += 1;
        let (kind, text) = message(self.said, len, choices);
        let payload = match (kind, std::str::from_utf8(&text)) {
            (MessageKind::Text, Ok(text)) => Payload::Text(text),
            _ => Payload::Bytes(&text),
        };
        let mut buffer = Vec::new();
        let mut id = || PlayerId::new(choices.below(IDS) as u32 + 1).expect("not 0");
        let (one, other) = (id(), id());
        let list = [one.min(other), one.max(other)];
        let ids = &list[usize::from(one == other)..];
        let list = List::encode(ids.iter().copied(), &mut buffer).expect("a list");
        let to = choices.one_of(&[
            Audience::Others,
            Audience::Others,
            Audience::All,
            Audience::One(one),
            Audience::List(list),
            Audience::Group(GROUPS[0]),
        ]);
        // Of two that are the same nobody could tell which one was dropped, or refused.
        let is_one = !payload.bytes().is_empty();
        let droppable = choices.once_in(8) && is_one;
        let as_host = choices.once_in(4) && is_one;
        let term = self.oracle.ledger.term(guest);
        let client = &mut self.guests[guest].client;
        let sent = if as_host {
            client.event_as_host(term, to, payload, droppable)
        } else {
            client.event(to, payload, droppable)
        };
        self.keep(guest, sent, event(payload));
    }

    /// Gives a key another value, or none: one of its own, or of the room.
    fn state(&mut self, guest: GuestId) {
        let choices = &mut self.choices;
        let (key, room) = (choices.below(KEYS) as u32, choices.once_in(4));
        let client = &mut self.guests[guest].client;
        let sent = if choices.once_in(6) {
            client.delete(key, room)
        } else {
            self.said += 1;
            let most = client.id().map_or(60, |_| 300);
            let len = choices.one_of(&[12, 12, 60, most]);
            let (_, value) = message(self.said, len, choices);
            client.state(key, room, Payload::Bytes(&value))
        };
        // If as much is kept as may be, it is not said: the newest value is the one before.
        let _ = sent;
    }

    /// Says for whom a key is from now on.
    fn readdress(&mut self, guest: GuestId) {
        let choices = &mut self.choices;
        let audience = KeyAudience {
            key: choices.below(KEYS) as u32,
            room: choices.once_in(4),
            to: choices.one_of(&[
                StateAudience::Others,
                StateAudience::All,
                StateAudience::Host,
                StateAudience::Group(GROUPS[0]),
                StateAudience::Group(GROUPS[1]),
            ]),
            stays: false,
        };
        let sent = self.guests[guest].client.audience(audience);
        self.keep(guest, sent, numbered(up::Packet::Audience(audience)));
    }

    /// Joins and leaves groups.
    fn regroup(&mut self, guest: GuestId) {
        let choices = &mut self.choices;
        let only = choices.once_in(2);
        let mut buffer = Vec::new();
        let groups = GROUPS.map(|group| (group, choices.once_in(2)));
        let groups = &groups[choices.below(groups.len())..];
        let groups = Groups::encode(groups.iter().copied(), &mut buffer).expect("groups");
        let sent = self.guests[guest].client.groups(only, groups);
        self.keep(guest, sent, numbered(up::Packet::Groups { only, groups }));
    }

    /// Says whether it would be the host, or, be it the host or not, hands the role over or asks for what is the host's.
    fn reign(&mut self, guest: GuestId) {
        let choices = &mut self.choices;
        let (willing, visible) = (!choices.once_in(4), !choices.once_in(3));
        let to = PlayerId::new(choices.below(IDS) as u32 + 1).expect("not 0");
        match self.choices.below(6) {
            0..=1 => {
                let packet = up::Packet::Willing { willing, visible };
                let sent = self.guests[guest].client.willing(willing, visible);
                self.keep(guest, sent, numbered(packet));
            }
            2..=3 => self.ask(guest, up::Act::HandOver(to)),
            4 => self.ask(guest, up::Act::Kick(to)),
            _ if self.choices.once_in(3) => self.ask(guest, up::Act::Close),
            _ => {
                let locked = self.choices.once_in(2);
                self.ask(guest, up::Act::Lock(locked));
            }
        }
    }

    /// If it takes itself for the host: puts out somebody of whom it knows, or locks its room, opens or closes it.
    fn rule(&mut self, guest: GuestId) {
        let ledger = &self.oracle.ledger;
        let known = ledger.known_to(guest);
        if !ledger.may_save(guest) || known.is_empty() {
            return;
        }
        let act = match self.choices.below(10) {
            0..=5 => up::Act::Kick(known[self.choices.below(known.len())]),
            6..=7 => up::Act::Lock(true),
            8 => up::Act::Lock(false),
            _ => up::Act::Close,
        };
        self.ask(guest, act);
    }

    /// Asks for something that is the host's to ask for.
    fn ask(&mut self, guest: GuestId, act: up::Act<'_>) {
        let ledger = &mut self.oracle.ledger;
        let term = ledger.term(guest);
        let sent = self.guests[guest].client.act(term, act);
        if let (up::Act::Kick(whom), Ok(number)) = (act, &sent) {
            ledger.kicks(guest, *number, whom);
        }
        self.guests[guest].is_silent |= act == up::Act::Close;
        self.keep(guest, sent, numbered(up::Packet::Act { term, act }));
    }

    /// Leaves a snapshot with the relay, as of all that it has heard, if it takes itself for the host.
    fn save(&mut self, guest: GuestId) {
        let Guest { client, .. } = &mut self.guests[guest];
        let ledger = &mut self.oracle.ledger;
        let Some(cursor) = client.cursor().filter(|_| ledger.may_save(guest)) else {
            return;
        };
        self.said += 1;
        let (_, state) = message(self.said, 60, &mut self.choices);
        let term = ledger.term(guest);
        let act = up::Act::Snapshot {
            seq: cursor.seq,
            state: &state,
        };
        let sent = client.act(term, act);
        if sent.is_ok() {
            ledger.saves(guest, state.to_vec());
        }
        self.keep(guest, sent, numbered(up::Packet::Act { term, act }));
    }

    /// Asks for a bad network, or for none any more.
    fn impair(&mut self, wire: WireId, guest: GuestId) {
        let choices = &mut self.choices;
        let to = Impairment {
            delay: choices.one_of(&[0, 20, 300]),
            jitter: choices.one_of(&[0, 50]),
            rate: choices.one_of(&[0, 20_000, 200_000]),
            cut: choices.one_of(&[0, 0, 100, 2_000]),
        };
        self.guests[guest].is_impaired = true;
        if self.guests[guest].client.impair(to).is_ok() && self.players[wire].habit == Habit::Steady
        {
            // It reads at once what there is, but its line is narrow, and may break.
            self.players[wire].habit = Habit::Brisk;
        }
    }

    /// Changes a property, of its own or of the room.
    fn change(&mut self, guest: GuestId) {
        let key = self.choices.one_of(&["team", "score", "map"]);
        self.said += 1;
        let text = format!("{}", self.said);
        let value = (!self.choices.once_in(4)).then_some(Payload::Text(&text));
        let client = &mut self.guests[guest].client;
        let owner = client.id().filter(|_| self.choices.once_in(2));
        let change = Change {
            key: Name::new(key).expect("a name"),
            guard: Guard::Any,
            value,
        };
        let mut buffer = Vec::new();
        let list = List::encode([change], &mut buffer).expect("a list");
        let sent = client.properties(owner, list);
        self.keep(guest, sent, changes(owner, [(key, value)].into_iter()));
    }

    /// The ledger is told what a client has taken.
    fn keep(&mut self, guest: GuestId, sent: Result<u64, Unsendable>, what: Vec<u8>) {
        if sent.is_ok() {
            self.oracle.ledger.says(guest, what);
        }
    }

    /// When nothing is under way any longer: have all guests who read heard everything, and do they know the same?
    pub(super) fn guests_are_owed_nothing(&self) -> Verdict {
        let ledger = &self.oracle.ledger;
        let mut settled = Vec::new();
        for (guest, Guest { wire, .. }) in self.guests.iter().enumerate() {
            let player = &self.players[*wire];
            let reads = player.habit != Habit::Deaf && !player.done;
            if reads && self.oracle.is_seated(*wire) {
                ledger.owes_nothing(*wire, guest)?;
                let known = self.guests[guest].client.unacknowledged() == 0;
                must(known, *wire, "it does not know what was applied")?;
                if ledger.is_live(*wire, guest) {
                    settled.push(guest);
                }
            }
        }
        ledger.agree(&settled)
    }

    /// Whether guests know that all that they have said was applied, of those who still can say something.
    pub(super) fn guests_are_heard(&self) -> bool {
        let mut guests = self.guests.iter().enumerate();
        guests.all(|(guest, Guest { wire, .. })| {
            self.guest_due(&self.guests[guest]).is_none()
                || !self.oracle.is_seated(*wire)
                || self.guests[guest].client.unacknowledged() == 0
        })
    }
}
