//! What happens in a world, decision by decision.
//!
//! Owns: limits, sizes and likelihoods. Must not know: what is right. Invariant: decision 0 is always the harmless one,
//! so that a run whose decisions are used up comes to its end.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use roomcast::limits::{FANOUT_BUDGET, Limits};
use roomcast::reactor::{Running, Setting};
use roomcast::shard::Common;
use roomcast::transport::Port;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::SUBPROTOCOL;

use super::World;
use super::bounds::{SLACK_MS, Times};
use super::choices::Choices;
use super::compose::{Mark, Place, Script, message};
use super::ledger::GuestId;
use super::net::{Events, Network, Side, Weather, WireId};
use super::oracle::{Oracle, Verdict};
use super::planted::{Fault, Planted};
use super::played::End;
use super::player::{Habit, Player};
use super::secure::Tls;
use super::wire::{Edges, Wire};

/// Connections in one run at most, beside a crowd.
const CONNECTIONS: usize = 40;
/// Players of one room that are more than one iteration serves.
pub(super) const CROWD: usize = FANOUT_BUDGET as usize + 20;
/// Space for what a steady player has not read: never short.
const WIDE: usize = 64 << 20;

/// How somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the door that speaks as it is.
    Plain,
    /// To the one that speaks TLS.
    Secure,
    /// To that one, without speaking it.
    Mistaken,
}

/// Most ways, where there are two doors.
const WAYS: [Way; 12] = {
    let mut ways = [Way::Plain; 12];
    let mut at = 5;
    while at < ways.len() {
        ways[at] = Way::Secure;
        at += 1;
    }
    ways[11] = Way::Mistaken;
    ways
};

fn limits(choices: &mut Choices<'_>) -> Limits {
    let ping_ms = choices.one_of(&[20_000, 1_500]);
    Limits {
        max_message: choices.one_of(&[4096, 64 * 1024, 200]),
        handshake_ms: choices.one_of(&[10_000, 1_200]),
        ping_ms,
        idle_ms: 3 * ping_ms,
        close_ms: choices.one_of(&[2_000, 500]),
        outbox_bytes_max: choices.one_of(&[256 * 1024, 16 * 1024, 2 * 1024]),
        congested_ms_max: choices.one_of(&[5_000, 800]),
        max_connections: choices.one_of(&[16_384, 16_384, 12, 4]),
        max_room_members: choices.one_of(&[16_384, 16_384, 6, 2]),
        tls_handshakes: 64,
        flush_interval_ms: choices.one_of(&[0, 0, 5, 40]),
        grace_ms: choices.one_of(&[30_000, 2_000]),
        impairment: choices.once_in(2),
        ..Limits::default()
    }
}

impl<'c> World<'c> {
    pub(super) fn new(mut choices: Choices<'c>, fault: Option<Fault>) -> Self {
        let count = choices.below(3) + 1;
        let mut limits = limits(&mut choices);
        let crowd = if choices.once_in(30) { CROWD } else { 0 };
        if crowd > 0 {
            limits.max_connections = usize::from(u16::MAX);
            limits.max_room_members = usize::from(u16::MAX);
        }
        let buffer = choices.one_of(&[64 * 1024, 1024, 100]);
        let weather = Weather {
            poll: choices.one_of(&[4096, 4096, 4096, 3, 1]),
            full: choices.once_in(8),
            call_us: choices.one_of(&[0, 0, 10, 50]),
            mailbox: choices.one_of(&[4096, 4096, 2]),
        };
        let raw = choices.below(4) + 1;
        let shares = [raw, choices.one_of(&[0, 1, 0, 2])];
        let deals = count > 1 && choices.once_in(4);
        let network = Rc::new(RefCell::new(Network::new(count, weather)));
        let tls = choices.one_of(&[None, None, Some(300), Some(3_000), Some(20_000)]);
        let acceptor = End::acceptor(tls.unwrap_or(0), &network.borrow().cost);
        let common = Common::new(limits.clone(), count).with_tls(acceptor);
        let common = Arc::new(common.with_seeded_secrets());
        let reactor = |index| {
            let setting = Setting {
                common: Arc::clone(&common),
                index,
                ports: vec![Port::Plain, Port::Tls],
                deals: deals && index == 0,
                buffer,
                seed: index as u64,
                published: Default::default(),
            };
            Running::new(Side::new(index, &network), setting)
        };
        let reactors = (0..count).map(reactor).collect();
        // The hash of a name is another one in each process; where its room is at home must not be.
        let mut room = |number| {
            let home = choices.below(count);
            let name = |salt| format!("room-{number}-{salt:05}");
            let found = (0..100_000)
                .map(name)
                .find(|name| common.home(name) == home);
            Rc::from(found.expect("some name has that home"))
        };
        let [raw, v1] = shares;
        let rooms = (0..raw).map(&mut room).collect();
        let guest_rooms = (raw..raw + v1).map(room).collect();
        let edges = choices.one_of(&[Edges::Both, Edges::Each]);
        let countdown = if fault.is_some() {
            choices.below(200)
        } else {
            0
        };
        let mut world = Self {
            now: 0,
            reactors,
            over: vec![false; count],
            awake: vec![None; count],
            events: Events::default(),
            network,
            deals,
            edges,
            players: Vec::new(),
            times: Vec::new(),
            rooms,
            guests: Vec::new(),
            guest_rooms,
            returns: 0,
            oracle: Oracle::new(limits),
            planted: Planted::new(fault, countdown),
            said: 0,
            heartbeats: 0,
            turned_away: 0,
            starved_at: None,
            prompt: choices.once_in(2),
            buffer,
            heavy: choices.once_in(5),
            tick_hz: choices.one_of(&[0, 0, 20, 128]),
            drained_at: None,
            drained_by: None,
            asleep: false,
            tls,
            crowd,
            common,
            choices,
        };
        let guests = world.guest_rooms.first().cloned();
        for _ in 0..crowd {
            match &guests {
                Some(room) => world.arrive(Habit::Steady, 0, Way::Plain, Rc::clone(room)),
                None => {
                    let room = Rc::clone(&world.rooms[0]);
                    world.enter(Habit::Steady, 0, Way::Plain, Some(room), None);
                }
            }
        }
        world
    }

    /// At most so many decisions, one after the other.
    pub(super) fn play(&mut self, steps: usize) -> Verdict {
        for _ in 0..steps {
            if self.choices.are_used_up() {
                break;
            }
            match self.choices.below(32) {
                0..=1 if self.players.len() < CONNECTIONS + self.crowd + self.returns => {
                    self.connect();
                }
                0..=9 => self.someone(Self::act)?,
                10..=15 => self.someone(|world, wire| {
                    let most = world.choices.one_of(&[usize::MAX, 1, 7, 100, 5_000]);
                    world.net().wires[wire].deliver(most);
                    Ok(())
                })?,
                16..=19 => self.someone(Self::listen)?,
                20..=24 => {
                    let index = self.choices.below(self.reactors.len());
                    if self.wakes(index) {
                        let rotation = self.choices.below(16);
                        self.net().rotate(index, rotation);
                        self.iterate(index)?;
                    }
                }
                25..=26 => {
                    let paths = self.reactors.len() * self.reactors.len();
                    let path = self.choices.below(paths);
                    self.net().deliver_mail(path);
                }
                27 if self.choices.once_in(200) => self.drain(),
                27 if self.choices.once_in(12) => self.refuse_accepts(),
                27 if self.tls.is_some() && self.choices.once_in(20) => self.storm(),
                27 if self.choices.once_in(40) => {
                    // The process stands still: stopped, or on a machine that is paused.
                    let ms = self.choices.one_of(&[3_000, 30_000, 90_000]);
                    self.oracle.stands_still(ms);
                    self.reach(self.now + ms);
                    // Nobody else did: what they answer to what came before has arrived too.
                    self.all_but_the_process()?;
                    self.all_but_the_process()?;
                }
                27 => self.someone(|world, wire| {
                    if world.players[wire].habit != Habit::Steady {
                        let capacity = world.choices.one_of(&[32 * 1024, 4096, 300, 256 * 1024]);
                        let pinch = world.choices.below(3_000);
                        let wire = &mut world.net().wires[wire];
                        wire.interrupt = true;
                        wire.resize(capacity);
                        wire.pinch = Some(pinch);
                    }
                    Ok(())
                })?,
                _ => {
                    let ms = self.choices.one_of(&[1, 1, 4, 16, 16, 50, 150, 600]);
                    self.pass(ms)?;
                }
            }
        }
        Ok(())
    }

    fn someone(&mut self, mut does: impl FnMut(&mut Self, WireId) -> Verdict) -> Verdict {
        if self.players.is_empty() {
            return Ok(());
        }
        let wire = self.choices.below(self.players.len());
        does(self, wire)
    }

    /// Somebody connects and asks for something.
    fn connect(&mut self) {
        let choices = &mut self.choices;
        let habits = [
            Habit::Steady,
            Habit::Steady,
            Habit::Brisk,
            Habit::Slow,
            Habit::Deaf,
        ];
        let habit = choices.one_of(&habits);
        let index = choices.below(self.reactors.len());
        let room = Rc::clone(&self.rooms[choices.below(self.rooms.len())]);
        let asks = choices.below(if habit == Habit::Steady { 12 } else { 16 });
        let way = match self.tls {
            Some(_) => choices.one_of(&WAYS),
            None => Way::Plain,
        };
        let habit = match way {
            Way::Mistaken if habit == Habit::Steady => Habit::Brisk,
            _ => habit,
        };
        let asks_for_room = asks < 10 && way != Way::Mistaken;
        if asks_for_room && !self.guest_rooms.is_empty() && self.choices.once_in(2) {
            let room = Rc::clone(&self.guest_rooms[self.choices.below(self.guest_rooms.len())]);
            return self.arrive(habit, index, way, room);
        }
        let wire = self.enter(habit, index, way, asks_for_room.then_some(room), None);
        let mut script = Script::default();
        match asks {
            _ if way == Way::Mistaken => {
                let key = &self.players[wire].key;
                script.request("/rooms/plain", Mark::Request { status: 400 }, key, None);
            }
            10..=11 => {
                let room = format!("echo of {wire}").into();
                let place = Place::Echo;
                let mark = Mark::Seat { room, place };
                let key = &self.players[wire].key;
                script.request("/echo", mark, key, None);
                self.players[wire].asked = true;
            }
            12..=13 => script.other_request(&mut self.choices),
            14 => script.unfinished_request(),
            _ => {}
        }
        self.send(wire, &script);
        if self.choices.once_in(3) && self.players[wire].asked {
            // Behind the head, at times more than may be heard at once.
            for _ in 0..self.choices.one_of(&[1, 1, 10]) {
                self.speak(wire);
            }
        }
        if self.choices.below(4) > 0 {
            self.net().wires[wire].deliver(usize::MAX);
        }
    }

    /// Many begin to shake hands at once. Not all of them go on.
    fn storm(&mut self) {
        for _ in 0..self.choices.one_of(&[4, 12, 40]) {
            let habit = self
                .choices
                .one_of(&[Habit::Brisk, Habit::Steady, Habit::Deaf]);
            let index = self.choices.below(self.reactors.len());
            let room = Rc::clone(&self.rooms[0]);
            let wire = self.enter(habit, index, Way::Secure, Some(room), None);
            self.net().wires[wire].deliver(usize::MAX);
        }
    }

    /// A connection to this reactor, with a request for a room: of a guest, or of somebody who speaks raw.
    pub(super) fn enter(
        &mut self,
        habit: Habit,
        reactor: usize,
        way: Way,
        room: Option<Rc<str>>,
        guest: Option<GuestId>,
    ) -> WireId {
        let choices = &mut self.choices;
        let steady = habit == Habit::Steady;
        let polite = steady || !choices.once_in(4);
        let wire = self.players.len();
        let mut player = Player::new(habit, wire as u32, polite);
        player.asked = room.is_some();
        player.guest = guest;
        let narrow = choices.one_of(&[32 * 1024, 4096, 300, 256 * 1024]);
        let capacity = if steady { WIDE } else { narrow };
        let reactor = if self.deals { 0 } else { reactor };
        let mut line = Wire::new(self.edges, capacity);
        player.at_tls = way != Way::Plain;
        player.tls = (way == Way::Secure).then(|| {
            let mut hello = Vec::new();
            let tls = Tls::new(&mut hello);
            line.send(&hello);
            tls
        });
        self.net().connect(reactor, way != Way::Plain, line);
        self.times.push(Times::new(self.now, guest.is_some()));
        self.oracle.connects(guest);
        let mut script = Script::default();
        if let Some(room) = room {
            let path = format!("/rooms/{room}");
            let (place, protocol) = match guest {
                Some(_) => (Place::Door, Some(SUBPROTOCOL)),
                None => (Place::Room, None),
            };
            let mark = Mark::Seat { room, place };
            script.request(&path, mark, &player.key, protocol);
        }
        self.players.push(player);
        self.send(wire, &script);
        wire
    }

    /// Sends one message.
    fn speak(&mut self, wire: WireId) {
        let max = self.common.limits.max_message;
        let choices = &mut self.choices;
        let len = match choices.below(12) {
            11 => max,
            other => [12, 60, 60, 300, 0, 1, 5, 125, 126, 1_000, 3_000][other],
        };
        self.said += 1;
        let message = message(self.said, len.min(max), choices);
        let mut script = Script::default();
        script.message(&message, choices);
        self.send(wire, &script);
    }

    /// A client does something.
    fn act(&mut self, wire: WireId) -> Verdict {
        if self.players[wire].done {
            self.may_come_back(wire);
        }
        let player = &mut self.players[wire];
        if player.done || !player.asked {
            match self.choices.below(16) {
                14 if player.habit != Habit::Steady => self.hang_up(wire),
                15 if player.habit != Habit::Steady => self.reset(wire),
                // A trickle does not renew the time that it has.
                0..=7 if !player.asked => {
                    let script = Script {
                        bytes: b"x".to_vec(),
                        ..Script::default()
                    };
                    self.send(wire, &script);
                }
                _ => {}
            }
            return Ok(());
        }
        if let Some(guest) = player.guest {
            return self.act_as_guest(wire, guest);
        }
        let steady = player.habit == Habit::Steady;
        let mut script = Script::default();
        match self.choices.below(if steady { 24 } else { 32 }) {
            0..=16 => self.speak(wire),
            17..=19 => {
                let most = if self.heavy { 300 } else { 60 };
                for _ in 0..self.choices.one_of(&[3, 10, most]) {
                    self.speak(wire);
                }
            }
            20..=21 => script.ping(b"are you there", &mut self.choices),
            22..=23 => script.pong(b"here I am", &mut self.choices),
            24..=25 => {
                let codes = [Some(CloseCode::NORMAL), None, Some(CloseCode(3000))];
                let code = self.choices.one_of(&codes);
                script.close(code, &mut self.choices);
                self.players[wire].done = true;
            }
            26 if self.players[wire].tls.is_some() => {
                let broken = self.players[wire].tls.as_mut().map(Tls::breach);
                self.net().wires[wire].send(&broken.unwrap_or_default());
                self.players[wire].done = true;
            }
            26..=27 => {
                script.breach(self.common.limits.max_message, &mut self.choices);
                self.players[wire].done = true;
            }
            28 => self.hang_up(wire),
            29 => self.reset(wire),
            30 => self.players[wire].habit = Habit::Deaf,
            _ => {
                // The line is cut in the middle of a frame.
                script.bytes.extend_from_slice(b"\x82\xfe\x01");
                self.send(wire, &script);
                self.hang_up(wire);
                return Ok(());
            }
        }
        self.send(wire, &script);
        Ok(())
    }

    /// A client ends its side without a word.
    pub(super) fn hang_up(&mut self, wire: WireId) {
        if let Some(tls) = &mut self.players[wire].tls
            && self.choices.below(2) == 0
        {
            let farewell = tls.farewell();
            self.net().wires[wire].send(&farewell);
        }
        self.net().wires[wire].send_fin();
        (self.players[wire].done, self.players[wire].ended) = (true, true);
    }

    pub(super) fn reset(&mut self, wire: WireId) {
        self.net().wires[wire].send_reset();
        (self.players[wire].done, self.players[wire].ended) = (true, true);
    }

    /// A client reads as it is used to.
    fn listen(&mut self, wire: WireId) -> Verdict {
        let most = match self.players[wire].habit {
            Habit::Steady | Habit::Brisk => usize::MAX,
            Habit::Slow => self.choices.below(2_000),
            Habit::Deaf => return Ok(()),
        };
        self.read(wire, most)?;
        self.talk(wire);
        Ok(())
    }

    /// The process is told to end.
    fn drain(&mut self) {
        let spread = self.choices.one_of(&[0, 300, 2_000]);
        self.oracle.drains();
        self.common.order_drain(spread);
        self.net().wake_all();
        // A second order changes nothing.
        if self.drained_at.is_none() {
            self.drained_at = Some(self.now);
            self.drained_by = Some(self.now + u64::from(spread) + SLACK_MS);
        }
    }

    /// The next attempts to accept fail: who waited has gone, or there are no descriptors.
    fn refuse_accepts(&mut self) {
        let index = self.choices.below(self.reactors.len());
        let attempts = self.choices.one_of(&[1, 3, 20]);
        let exhausted = self.choices.once_in(2);
        self.net().refuse_accepts(index, attempts, exhausted);
        if exhausted {
            self.starved_at = Some(self.now);
        }
    }

    /// Everyone goes, in one of three ways.
    pub(super) fn farewell(&mut self) {
        match self.choices.below(3) {
            0 => self.drain(),
            1 => {
                for wire in 0..self.players.len() {
                    let end = self.choices.below(3);
                    if !self.players[wire].done && self.players[wire].asked && end == 0 {
                        let mut script = Script::default();
                        script.close(Some(CloseCode::GOING_AWAY), &mut self.choices);
                        self.send(wire, &script);
                    } else if end == 1 {
                        self.hang_up(wire);
                    } else {
                        self.reset(wire);
                    }
                    self.players[wire].done = true;
                }
            }
            _ => self.asleep = true,
        }
    }
}
