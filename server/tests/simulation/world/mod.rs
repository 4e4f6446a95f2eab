//! A world in which production shards run: one thread, one source of decisions, a clock that is a number.
//!
//! Owns: the reactors, which run the production loop, and the players; what happens next. Must not know: what is right (the
//! oracle and the bounds do). Invariant: the same decisions make the same run, whatever the machine does.

mod bounds;
pub(crate) mod choices;
mod compose;
mod endings;
mod guest;
mod keys;
mod kicks;
mod ledger;
mod net;
mod oracle;
mod planted;
#[path = "../../tls/played.rs"]
mod played;
mod player;
mod powers;
mod said;
mod scenario;
mod secure;
mod tail;
mod wire;

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use roomcast::limits::{
    ACK_AFTER_MS, HANDSHAKE_SLICE_US, HEARD_WITHIN_MS, Limits, STRANGERS_PER_LOOK, UNREAD_MAX,
};
use roomcast::reactor::Running;
use roomcast::shard::{CloseReason, Common, DisconnectReason, EndReason, Ends};

use self::bounds::Times;
use self::choices::Choices;
use self::compose::Script;
use self::guest::Guest;
use self::net::{Events, Network, Seen, Side, WireId};
use self::oracle::{Oracle, Verdict, must};
pub(crate) use self::planted::Fault;
use self::planted::Planted;
use self::player::{Habit, Heard, Player};
use self::secure::Tls;
use self::wire::{Edges, Wire};

/// Milliseconds after which a reactor that has something to do is run, and mail arrives, at the latest.
const LAG_MS: u64 = 40;
/// Bytes of a receive buffer that take every request head of the simulation at once.
const WHOLE_HEAD: usize = 1024;
/// Milliseconds that a line which was made bad holds back what is said last, at most.
const LINE_MS: u64 = 1_000;
/// Iterations without a byte or a mail after which a reactor is said to spin.
const SPIN: usize = 1_000;
/// Milliseconds after which who still says something once all is over says it for ever.
const NO_REST_MS: u64 = 60 * 60 * 1_000;

/// What a run amounted to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Messages that reached a client.
    pub(crate) delivered: u64,
    /// Connections that went from one shard to another.
    pub(crate) moved: u64,
    /// Reads that a shard did not want, for its own sake or for that of a room.
    pub(crate) refused_reads: u64,
    /// Bytes that came behind a request head, and were heard later than they were read.
    pub(crate) heard_late: u64,
    pub(crate) ends: Ends,
    /// The planted fault had its occasion.
    pub(crate) struck: bool,
}

/// Runs a world to its end.
///
/// # Errors
///
/// What was wrong, and when.
pub(crate) fn run(choices: Choices<'_>, steps: usize, fault: Option<Fault>) -> (Report, Verdict) {
    let mut world = World::new(choices, fault);
    let verdict = world.play(steps).and_then(|()| world.finish());
    let verdict = verdict.map_err(|wrong| format!("at {} ms: {wrong}", world.now));
    let (refused_reads, heard_late) = {
        let network = world.net();
        (network.refused_reads, network.heard_late)
    };
    let report = Report {
        delivered: world.oracle.delivered,
        moved: world
            .reactors
            .iter()
            .map(|reactor| reactor.shard().counters().adopted)
            .sum(),
        refused_reads,
        heard_late,
        ends: world.oracle.ends.clone(),
        struck: world.planted.struck,
    };
    (report, verdict)
}

struct World<'c> {
    choices: Choices<'c>,
    now: u64,
    common: Arc<Common>,
    reactors: Vec<Running<Side>>,
    /// Which of them have ended.
    over: Vec<bool>,
    events: Events,
    network: Rc<RefCell<Network>>,
    /// Since when each reactor has had something to do.
    awake: Vec<Option<u64>>,
    /// Only the first reactor accepts, and deals connections out.
    deals: bool,
    edges: Edges,
    players: Vec<Player>,
    times: Vec<Times>,
    rooms: Vec<Rc<str>>,
    /// Clients of roomcast.v1, and the rooms that they come to.
    guests: Vec<Guest>,
    guest_rooms: Vec<Rc<str>>,
    /// Connections by which guests have come back.
    returns: usize,
    oracle: Oracle,
    planted: Planted,
    said: u32,
    /// Bytes that shards took of guests' heartbeats.
    heartbeats: u64,
    /// Connections for which there was no room before they were any.
    turned_away: u64,
    /// When a reactor was last out of descriptors (ms).
    starved_at: Option<u64>,
    /// There are doors that speak TLS; a handshake costs so much (us).
    tls: Option<u64>,
    /// Players who came at the beginning, all to one room.
    crowd: usize,
    /// The network delivers at once what the clock leaves it no time for.
    prompt: bool,
    /// Bytes of a reactor's receive buffer.
    buffer: usize,
    /// Floods are large.
    heavy: bool,
    /// Ticks of guests' rooms, per second; 0: none.
    tick_hz: u64,
    /// When the last player must have been sent away (ms).
    drained_at: Option<u64>,
    drained_by: Option<u64>,
    /// Clients have stopped reading and answering.
    asleep: bool,
}

impl World<'_> {
    fn limits(&self) -> &Limits {
        &self.common.limits
    }

    fn net(&self) -> RefMut<'_, Network> {
        self.network.borrow_mut()
    }

    /// It is that late now (ms).
    fn reach(&mut self, now: u64) {
        self.net().advance(now);
        self.now = now;
    }

    /// Whether a reactor would wake up now.
    fn wakes(&self, index: usize) -> bool {
        let due = self.reactors[index].wakes_at() <= self.now;
        !self.over[index] && (due || self.net().wakes(index))
    }

    /// One iteration of a reactor, judged; and another one as long as a poll can't hold what there is to report.
    fn iterate(&mut self, index: usize) -> Verdict {
        loop {
            let began = self.now;
            let turn = self.reactors[index].turn(&mut self.events);
            turn.map_err(|error| format!("a poll failed: {error}"))?;
            let now = self.net().now();
            self.now = now;
            self.awake[index] = None;
            if self.reactors[index].is_over() {
                self.reactors[index].end();
                self.over[index] = true;
                return self.judge(index, began);
            }
            self.judge(index, began)?;
            if !self.net().was_overfull(index) {
                return Ok(());
            }
        }
    }

    /// Tells the oracle what an iteration did, and checks the bounds.
    fn judge(&mut self, index: usize, now: u64) -> Verdict {
        let seen = self.net().take_seen(index);
        let sent_away = |ended| {
            [CloseReason::Kicked, CloseReason::RoomClosed]
                .into_iter()
                .any(|reason| ended == Some(reason.into()))
        };
        let going = seen.iter().filter_map(|seen| match seen {
            Seen::Ended { wire, .. } => Some(*wire),
            Seen::Took { wire, ended, .. } if sent_away(*ended) => Some(*wire),
            _ => None,
        });
        self.oracle.ledger.going = going.collect();
        for seen in seen {
            match seen {
                Seen::Took {
                    wire,
                    bytes,
                    waiting,
                    seated,
                    ended,
                } => {
                    let taken = bytes as u64;
                    let bytes = self.players[wire].given(bytes);
                    let conduct = self.players[wire].conduct();
                    self.oracle.behaves(wire, conduct);
                    let before = self.oracle.ledger.taken;
                    self.oracle
                        .took(wire, (bytes, waiting), seated, ended, now)?;
                    if self.players[wire].guest.is_some() && before == self.oracle.ledger.taken {
                        self.heartbeats += taken;
                    }
                    let times = &mut self.times[wire];
                    times.heard = now;
                    times.seated |= seated;
                    if let Some(reason) = ended {
                        self.ended(wire, reason, now)?;
                    }
                }
                Seen::Accepted { wire } => self.times[wire].met = true,
                Seen::Registered { wire } => self.times[wire].registered(index, now),
                Seen::Ended { wire, reason } => {
                    let conduct = self.players[wire].conduct();
                    self.oracle.behaves(wire, conduct);
                    self.oracle.ended(wire, reason, now)?;
                    self.ended(wire, reason, now)?;
                }
                Seen::Dropped { wire } => {
                    must(self.times[wire].ended.is_some(), wire, "it vanished")?;
                }
                Seen::TurnedAway { wire } => {
                    must(self.deals, wire, "it was turned away for nothing")?;
                    self.turned_away += 1;
                    let player = &mut self.players[wire];
                    (player.done, player.ended) = (true, true);
                    player.habit = Habit::Deaf;
                }
            }
        }
        let reactor = &self.reactors[index];
        let accounts = reactor.shard().accounts();
        accounts.map_err(|wrong| format!("reactor {index}: {wrong}"))?;
        for (slot, &wire) in reactor.sockets().iter() {
            let shard = reactor.shard();
            let (held, unread) = (shard.held(slot), shard.unread(slot));
            let remembered = shard.is_paused(slot) || reactor.sockets().is_waiting(slot);
            must(unread == 0 || remembered, wire, "what waits is forgotten")?;
            must(unread <= UNREAD_MAX, wire, "what waits has no bound")?;
            let taken = self.network.borrow().wires[wire].taken();
            self.times[wire].took(taken, now);
            // Nobody is late by what the process stood still.
            let now = now - self.oracle.stalled;
            self.times[wire].check(wire, &self.common.limits, now, held, self.crowd)?;
        }
        if self
            .drained_by
            .is_some_and(|by| now > by + self.oracle.stalled)
            && self.common.seated() > 0
        {
            return Err("players were not sent away".into());
        }
        let (here, expected) = (self.common.seated(), self.oracle.seated());
        if here != expected {
            Err(format!("{here} seats are taken, {expected} should be"))
        } else if here > self.limits().max_connections {
            Err("one seat too many is taken".into())
        } else {
            Ok(())
        }
    }

    /// A connection ended: in time, and not one that did nothing to deserve it.
    fn ended(&mut self, wire: WireId, reason: DisconnectReason, now: u64) -> Verdict {
        let times = &self.times[wire];
        let early = match reason {
            DisconnectReason::Close(CloseReason::Idle) => !times.is_idle(&self.common.limits, now),
            DisconnectReason::End(EndReason::HandshakeTimeout) => {
                let limits = &self.common.limits;
                !times.is_late(limits, now, self.drained_at)
                    && !times.may_make_room(limits, now, self.starved_at)
            }
            DisconnectReason::End(EndReason::HandshakeRefused) => !self.is_storm(wire, now),
            _ => false,
        };
        must(!early, wire, "it ended too early")?;
        let stormy = self.is_storm(wire, now);
        self.times[wire].ended = Some(now);
        let steady =
            self.players[wire].habit == Habit::Steady && !self.asleep && !self.players[wire].done;
        // Who is late is read once more: with so small a buffer that is a part of its head.
        let in_parts =
            self.buffer < WHOLE_HEAD && (self.oracle.stalled > 0 || self.is_thronged(now));
        let in_a_hurry =
            self.drained_at.is_some() || self.starved_at.is_some() || stormy || in_parts;
        let late = [
            EndReason::HandshakeTimeout.into(),
            CloseReason::NoJoin.into(),
        ];
        let hurried = late.contains(&reason) && in_a_hurry;
        let fate = hurried
            || self.was_taken_back(wire, reason)
            || matches!(
                reason,
                DisconnectReason::End(
                    EndReason::Full | EndReason::Overloaded | EndReason::HandshakeRefused
                ) | DisconnectReason::Close(
                    CloseReason::RoomFull
                        | CloseReason::Drain
                        | CloseReason::Kicked
                        | CloseReason::Barred
                        | CloseReason::RoomClosed
                        | CloseReason::RoomLocked
                )
            );
        must(
            !steady || fate,
            wire,
            &format!("{reason:?}, though it read everything"),
        )
    }

    /// Whether heads, of which each read brings a part, come or came lately from more than are heard in time: in one iteration a
    /// reactor hears some strangers, and then looks at the clock.
    fn is_thronged(&self, now: u64) -> bool {
        let handshake = u64::from(self.limits().handshake_ms);
        let is_new = |times: &&Times| {
            let lately = times.ended.is_none_or(|ended| ended + handshake >= now);
            times.met && !times.seated && lately
        };
        let newcomers = self.times.iter().filter(is_new).count();
        let reads = newcomers * WHOLE_HEAD.div_ceil(self.buffer);
        let iterations = reads as u64 / u64::from(STRANGERS_PER_LOOK);
        iterations * LAG_MS >= handshake
    }

    /// Whether the player of this connection goes on over one that it had given up, of which no reactor could know that.
    fn was_taken_back(&self, wire: WireId, reason: DisconnectReason) -> bool {
        let guest = self.players[wire].guest;
        let other = guest.and_then(|guest| self.oracle.ledger.connection(guest));
        reason == CloseReason::Replaced.into()
            && other.is_some_and(|other| {
                other < wire && !self.times[other].certainly_before(&self.times[wire])
            })
    }

    /// Whether there are, or were just now, more TLS handshakes than there is time for: this one could not be complete in
    /// time, or has waited for half of it.
    fn is_storm(&self, wire: WireId, now: u64) -> bool {
        let Some(cost_us) = self.tls.filter(|_| self.players[wire].at_tls) else {
            return false;
        };
        let limits = self.limits();
        let handshake = match self.drained_at {
            Some(_) => limits.handshake_ms.min(limits.close_ms),
            None => limits.handshake_ms,
        };
        let handshake = u64::from(handshake);
        let waited = now - self.times[wire].accepted;
        let going_on = |&other: &WireId| {
            let times = &self.times[other];
            let agreed = self.players[other]
                .conduct()
                .is_none_or(|conduct| conduct.agreed);
            times.met && !agreed && times.ended.is_none_or(|ended| ended == now)
        };
        let count = (0..self.players.len()).filter(going_on).count() as u64;
        // One step of each reactor, or as many as its polls need to report all sockets, because they share one thread here;
        // and the time until this one has its next turn.
        let slice_us = cost_us.max(HANDSHAKE_SLICE_US) + cost_us;
        let turns = (1 + self.players.len() / self.net().weather.poll) * self.reactors.len();
        let pace = turns as u64 * slice_us / 1_000 + 2 * LAG_MS;
        waited >= handshake / 2 || waited + count * pace >= handshake / 2
    }

    /// A client sends.
    fn send(&mut self, wire: WireId, script: &Script) {
        self.oracle.sends(wire, script);
        let Some(tls) = &mut self.players[wire].tls else {
            return self.net().wires[wire].send(&script.bytes);
        };
        if !script.bytes.is_empty() {
            let most = self
                .choices
                .one_of(&[usize::MAX, usize::MAX, 1_000, 100, 30]);
            let bytes = tls.say(&script.bytes, most);
            self.net().wires[wire].send(&bytes);
        }
    }

    /// What a client makes of at most so many bytes.
    fn hear(&mut self, wire: WireId, most: usize) -> Verdict {
        let mut bytes = self.net().wires[wire].take(most);
        let player = &mut self.players[wire];
        if let Some(tls) = &mut player.tls {
            let (text, answers) = tls
                .hear(bytes)
                .map_err(|wrong| format!("connection {wire}: {wrong}"))?;
            bytes = text;
            self.network.borrow_mut().wires[wire].send(&answers);
        }
        let steady = player.habit == Habit::Steady;
        // What is flipped in a bundle may mean nothing: a time, for example.
        let is_raw = player.guest.is_none();
        if steady && is_raw && player.is_open() && self.oracle.is_seated(wire) {
            self.planted.corrupt(&mut bytes);
        }
        let heard = player.read(&mut bytes);
        let heard = heard.map_err(|wrong| format!("connection {wire}: {wrong}"))?;
        self.net().wires[wire].reuse(bytes);
        for heard in heard {
            self.react(wire, &heard)?;
            if let Some(guest) = self.players[wire].guest {
                if matches!(heard, Heard::Message(_)) {
                    self.oracle.bundle(wire)?;
                } else {
                    self.oracle.heard(wire, &heard)?;
                }
                self.tell_guest(wire, guest, &heard)?;
                continue;
            }
            if !steady {
                self.oracle.heard(wire, &heard)?;
                continue;
            }
            for (wire, heard) in self.planted.twist(wire, heard, self.players.len()) {
                self.oracle.heard(wire, &heard)?;
            }
        }
        Ok(())
    }

    /// A client reads at most so many bytes, if there are any, and reacts; and it notices the end.
    fn read(&mut self, wire: WireId, most: usize) -> Verdict {
        if self.net().wires[wire].readable() > 0 {
            self.hear(wire, most)?;
        }
        let steady = self.players[wire].habit == Habit::Steady;
        let (at_end, cut) = {
            let wire = &self.net().wires[wire];
            (wire.is_at_end(), wire.is_cut())
        };
        if at_end {
            self.tell_end(wire);
        }
        let player = &mut self.players[wire];
        if at_end && !player.ended {
            if steady && !cut && !self.oracle.may_be_untold(wire) {
                must(!player.is_in_the_middle(), wire, "it was cut in the middle")?;
                must(self.oracle.is_told(wire), wire, "it was never told why")?;
                // Who is waited for no longer, because the process stood still or ends, is only cut.
                let late = |ended| self.now >= ended + u64::from(self.common.limits.close_ms);
                let late = self.times[wire].ended.is_some_and(late);
                let closed = late || player.tls.as_ref().is_none_or(Tls::is_closed);
                must(closed, wire, "it was cut before the end of TLS")?;
            }
            player.done = true;
            player.ended = player.polite;
            if player.polite {
                let farewell = player.tls.as_mut().map(Tls::farewell).unwrap_or_default();
                let wire = &mut self.network.borrow_mut().wires[wire];
                wire.send(&farewell);
                wire.send_fin();
            }
        }
        Ok(())
    }

    /// What a client does on its own when it hears something.
    fn react(&mut self, wire: WireId, heard: &Heard) -> Verdict {
        let mut script = Script::default();
        let player = &mut self.players[wire];
        match heard {
            Heard::Ping => script.pong(&[], &mut self.choices),
            Heard::Close(code, _) if !player.done => {
                player.done = true;
                if player.polite {
                    script.close(*code, &mut self.choices);
                }
            }
            _ => {}
        }
        self.send(wire, &script);
        Ok(())
    }

    /// Lets at most `ms` pass in which the steady read and are heard, and whatever is late happens.
    fn pass(&mut self, ms: u64) -> Verdict {
        let until = self.now + ms;
        while self.now < until {
            self.reach(until.min(self.now + 16));
            self.keep_up()?;
        }
        Ok(())
    }

    /// What the network has had the time to deliver arrives, and who always reads has read.
    fn all_but_the_process(&mut self) -> Verdict {
        for wire in 0..self.players.len() {
            let steady = self.players[wire].habit == Habit::Steady;
            if steady || self.prompt {
                self.net().wires[wire].deliver(usize::MAX);
            }
            if steady && !self.asleep {
                self.read(wire, usize::MAX)?;
                self.talk(wire);
            }
        }
        Ok(())
    }

    /// Whatever must not wait any longer happens now.
    fn keep_up(&mut self) -> Verdict {
        self.all_but_the_process()?;
        self.net().deliver_late_mail(LAG_MS);
        for index in 0..self.reactors.len() {
            if self.wakes(index) {
                let since = *self.awake[index].get_or_insert(self.now);
                if since + LAG_MS <= self.now {
                    self.iterate(index)?;
                }
            }
        }
        Ok(())
    }

    /// Runs everything that can run now, and then from deadline to deadline, until `until` (ms) or until `done`.
    fn settle(&mut self, until: u64, done: impl Fn(&Self) -> bool) -> Verdict {
        let mut spins = 0;
        loop {
            let mut moved = false;
            for wire in 0..self.players.len() {
                moved |= self.net().wires[wire].deliver(usize::MAX);
                if !self.asleep && self.players[wire].habit != Habit::Deaf {
                    moved |= self.net().wires[wire].readable() > 0;
                    self.read(wire, usize::MAX)?;
                    moved |= self.talk(wire);
                }
            }
            for path in 0..self.reactors.len() * self.reactors.len() {
                while self.net().deliver_mail(path) {
                    moved = true;
                }
            }
            let mut woken = false;
            let taken = self.net().taken;
            for index in 0..self.reactors.len() {
                if self.wakes(index) {
                    woken = true;
                    self.iterate(index)?;
                }
            }
            moved |= taken != self.net().taken;
            spins = if moved || !woken { 0 } else { spins + 1 };
            if spins > SPIN {
                return Err("a reactor spins".into());
            }
            if moved || woken {
                let pass = u64::from(self.choices.once_in(4));
                self.reach(self.now + pass);
                continue;
            }
            if done(self) || self.now >= until {
                return Ok(());
            }
            let living = self.reactors.iter().zip(&self.over);
            let next = living.filter(|(_, over)| !**over);
            let next = next.map(|(reactor, _)| reactor.wakes_at()).min();
            self.reach(next.map_or(until, |next| next.min(until).max(self.now + 1)));
        }
    }

    /// Settles until `done`, or until shards have taken no bytes for `ms`.
    fn outlast(&mut self, ms: u64, done: impl Fn(&Self) -> bool + Copy) -> Verdict {
        let mut taken = None;
        let began = self.now;
        loop {
            if self.now > began + NO_REST_MS {
                return Err("after all that, it does not come to rest".into());
            }
            let now_taken = self.net().taken - self.heartbeats;
            if done(self) || taken.replace(now_taken) == Some(now_taken) {
                return Ok(());
            }
            self.settle(self.now + ms, done)?;
        }
    }

    /// When all is said: did everyone who reads get everything? Then everyone goes.
    fn finish(&mut self) -> Verdict {
        // Sometimes in the middle of everything.
        if !self.choices.once_in(4) {
            self.nothing_is_owed()?;
        }
        self.farewell();
        let limits = self.limits();
        let longest = (limits.idle_ms + 2 * limits.congested_ms_max).max(limits.handshake_ms);
        // Each connection is held to its own bounds.
        let longest = u64::from(longest.max(HEARD_WITHIN_MS) + limits.close_ms + limits.grace_ms);
        self.outlast(longest + 1_000, |world| {
            let mut reactors = world.reactors.iter();
            let gone =
                reactors.all(|reactor| reactor.is_over() || reactor.shard().connections() == 0);
            gone && world.common.away() == 0
        })?;
        // A room that went while it gathered is forgotten when it would have been frozen.
        self.settle(self.now + 100, |_| false)?;
        self.nothing_is_left()
    }

    fn nothing_is_owed(&mut self) -> Verdict {
        // Whoever is read no further waits for others to catch up or to be evicted, in one room after the other.
        let patience = 4 * u64::from(self.limits().congested_ms_max) + 4_000;
        let quiet = |world: &Self| {
            world.guests_are_heard() && world.net().wires.iter().all(Wire::is_drained)
        };
        self.outlast(patience, quiet)?;
        let gathering = u64::from(self.limits().flush_interval_ms);
        // Who came in last is told by then what was applied.
        let told = u64::from(ACK_AFTER_MS) + gathering + 100;
        self.settle(self.now + told, |_| false)?;
        for (wire, player) in self.players.iter().enumerate() {
            // Who knocks while the process ends may find nobody.
            let unmet = self.over.contains(&true) && !self.times[wire].seated;
            // Who hears nothing of an end that was in time for all that it knows, or whose answer went with the socket.
            let cut = self.times[wire].ended.is_some() && self.net().wires[wire].is_cut();
            let told = self.oracle.is_told(wire) || self.oracle.may_be_untold(wire) || cut;
            let gave_up = player.guest.is_some() && player.done;
            let lost = player.habit == Habit::Steady && !told && !unmet && !gave_up;
            let reads = player.habit != Habit::Deaf && !player.ended;
            if reads && self.oracle.is_seated(wire) || lost {
                self.oracle.owes_nothing(wire)?;
            }
        }
        if self.guests_are_owed_nothing().is_err() {
            // What all are told of who was lost just then may be on a line that is bad, of whose bytes nobody here knows.
            self.settle(self.now + LINE_MS, |_| false)?;
        }
        self.guests_are_owed_nothing()
    }

    fn nothing_is_left(&self) -> Verdict {
        let mut ends = Ends::default();
        let unmet = self.times.iter().filter(|times| !times.met).count();
        let mut accepted = self.turned_away + unmet as u64;
        for (index, reactor) in self.reactors.iter().enumerate() {
            let shard = reactor.shard();
            accepted += shard.counters().accepted;
            ends.add(&shard.counters().ends);
            if self.over[index] {
                continue;
            }
            let left = (
                shard.connections(),
                shard.rooms(),
                shard.has_work(),
                shard.next_deadline(),
            );
            if left != (0, 0, false, None) {
                return Err(format!("reactor {index} is left with {left:?}"));
            }
        }
        // Who is dealt out while the process ends may find nobody.
        let missing = accepted != self.players.len() as u64 && !self.over.contains(&true);
        if ends != self.oracle.ends || missing {
            let expected = &self.oracle.ends;
            return Err(format!(
                "{accepted} connections of {}, ends {ends:?} instead of {expected:?}",
                self.players.len()
            ));
        }
        let held = (
            self.common.seated(),
            self.common.away(),
            self.common.v1_rooms(),
        );
        match held {
            (0, 0, 0) => Ok(()),
            held => Err(format!(
                "seats, the away and rooms were never given back: {held:?}"
            )),
        }
    }
}
