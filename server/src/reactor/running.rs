//! The loop: one iteration after the other, in the order of the table in `docs/ARCHITECTURE.md`.
//!
//! Owns: that order, what is put off to the next iteration, and when. Must not know: rooms or frames, nor whose network
//! it runs on. Invariant: a socket is written in exactly one place ([`Running::flush`]), once per iteration unless it
//! takes everything and more waits.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Published;
use super::doors::{Accepting, Door};
use super::handshakes::{Handshakes, Turn};
use super::mailbox::Mail;
use super::net::{Accepted, Net, Step};
use super::pace::Pacer;
use super::slice::Slice;
use super::sockets::{Handle, Named, Sockets};
use crate::limits::{
    ACCEPT_BUDGET, ACCEPT_PAUSE_MS, ASK_BUDGET, EVICTED_BUDGET, FIN, HANDSHAKE_SLICE_US,
    LAST_PUBLICATION_MS, LAST_WORDS_MS, MAIL_BUDGET, POLL_MS, READ_SLICE_US, STANDSTILL_MS,
    STRANGERS_SLICE_MAX_US, STRANGERS_SLICE_US, WRITE_SLICE_US,
};
use crate::planted::{self, Fault};
use crate::shard::{Action, Answer, Common, Handover, Handshake, Shard, Unanswered, Written};
use crate::transport::Port;

/// How often the operator is told that descriptors have run out.
const WARN_EVERY_MS: u64 = 10_000;

/// How often a draining reactor without players looks whether the others are done.
const DRAIN_LOOK_MS: u64 = 50;

/// How often counters are published at most.
const PUBLISH_EVERY_MS: u64 = 1_000;

/// What a loop is made with.
#[derive(Debug)]
pub struct Setting {
    /// What all reactors share.
    pub common: Arc<Common>,
    /// The number of this reactor.
    pub index: usize,
    /// What its doors speak.
    pub ports: Vec<Port>,
    /// This reactor accepts for all and deals connections out.
    pub deals: bool,
    /// Bytes of the receive buffer.
    pub buffer: usize,
    /// Decides the jitter.
    pub seed: u64,
    /// Where counters can be read.
    pub published: Published,
}

/// The end of a reactor, in real time: whoever waits for the process waits by the clock on the wall.
#[derive(Debug, Clone, Copy)]
struct Draining {
    /// When the last player is sent away (ms), `None` once that was done.
    told_by: Option<u64>,
    /// When nobody is waited for any longer (ms).
    until: u64,
}

/// What one attempt to read a socket says about its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// It has sent nothing.
    Nothing,
    /// It has sent something, its end perhaps, or can't be asked now.
    Something,
}

/// One reactor at work.
#[derive(Debug)]
pub struct Running<N: Net> {
    net: N,
    shard: Shard,
    common: Arc<Common>,
    index: usize,
    published: Published,
    sockets: Sockets<N::Socket>,
    doors: Vec<Door>,
    deals: bool,
    /// The reactor that is dealt the next connection, where only this one accepts.
    deal_to: usize,
    buffer: Box<[u8]>,
    /// Milliseconds of this iteration by the shard's clock, which lags behind where the process stood still.
    now: u64,
    /// Milliseconds of this iteration by the network's clock.
    real: u64,
    /// Milliseconds that the next poll sleeps at most.
    sleep: u64,
    /// Reads for which no edge will come.
    carried: VecDeque<Handle>,
    /// Reads of who does not play, or not yet: their turn comes once everybody who plays has been read and written.
    strangers: VecDeque<Handle>,
    /// Reads that go into a handshake that costs much; those too are put off.
    handshakes: Handshakes<Handle>,
    actions: Vec<Action>,
    slots: Vec<u32>,
    draining: Option<Draining>,
    /// When it begins to drain (ms, real), once that is ordered.
    drains_at: Option<u64>,
    published_at: u64,
    pacer: Pacer,
    warned_at: Option<u64>,
}

impl<N: Net> Running<N> {
    /// A loop whose first poll does not sleep: somebody may have knocked already.
    pub fn new(net: N, setting: Setting) -> Self {
        let Setting {
            common,
            index,
            ports,
            deals,
            buffer,
            seed,
            published,
        } = setting;
        let now = net.clock() / 1_000;
        let handshake_ms = common.limits.handshake_ms;
        Self {
            shard: Shard::new(Arc::clone(&common), index, now, seed),
            net,
            common,
            index,
            published,
            sockets: Sockets::default(),
            doors: ports.into_iter().map(Door::new).collect(),
            deals,
            deal_to: index,
            buffer: vec![0; buffer].into_boxed_slice(),
            now,
            real: now,
            sleep: 0,
            carried: VecDeque::new(),
            strangers: VecDeque::new(),
            handshakes: Handshakes::new(handshake_ms),
            actions: Vec::new(),
            slots: Vec::new(),
            draining: None,
            drains_at: None,
            published_at: 0,
            pacer: Pacer::default(),
            warned_at: None,
        }
    }

    /// Iterates until it has been drained.
    ///
    /// # Errors
    ///
    /// When polling itself fails, which only a fault of this program can cause.
    pub fn run(mut self, events: &mut N::Events) -> io::Result<()> {
        while !self.is_over() {
            self.turn(events)?;
        }
        self.end();
        Ok(())
    }

    /// The process waits for nobody any longer.
    pub fn end(&mut self) {
        self.shard.abandon();
        self.net.watch(&self.shard, &self.sockets, Step::Done);
        self.publish(true);
    }

    /// One iteration.
    ///
    /// # Errors
    ///
    /// When polling itself fails, which only a fault of this program can cause.
    pub fn turn(&mut self, events: &mut N::Events) -> io::Result<()> {
        let until = 1_000 * (self.real + self.sleep);
        self.net.poll(events, Duration::from_millis(self.sleep))?;
        let polled = self.net.clock();
        let real = polled / 1_000;
        let since = self
            .pacer
            .polled(polled, until, N::events(events).count() as u64);
        self.shard.heard_since(since);
        let passed = real - self.real;
        let at_most = self.sleep + STANDSTILL_MS;
        if passed > at_most {
            self.handshakes.stood_still();
        }
        self.now += passed.min(at_most);
        self.real = real;
        self.shard.advance(self.now, real);
        self.heed_handover();
        self.heed_drain();
        self.mail();
        self.asked();
        self.hear(events);
        self.shard.freeze();
        self.flush();
        self.receive_strangers(polled);
        // Last, so that a peer is not found slow for what this iteration has written.
        if !(planted::is(Fault::SleepingTimer) && N::events(events).next().is_some()) {
            self.shard.expire();
        }
        self.convict();
        self.net.watch(&self.shard, &self.sockets, Step::Done);
        self.shake_hands();
        self.act();
        self.net.watch(&self.shard, &self.sockets, Step::Done);
        self.reap();
        self.publish(false);
        let worked = self.net.clock();
        self.pacer.worked(worked);
        self.sleep = self.sleep(worked / 1_000);
        Ok(())
    }

    /// Milliseconds that the next poll sleeps, as of `now` (ms, real): not at all if work was carried over.
    fn sleep(&self, now: u64) -> u64 {
        let mut accept_at = None;
        for door in &self.doors {
            match door.accepting {
                Accepting::Ready => return 0,
                Accepting::PausedUntil(until) => accept_at = Some(until),
                Accepting::Idle | Accepting::HandedOver => {}
            }
        }
        let carried_over = !self.carried.is_empty() || !self.strangers.is_empty();
        if carried_over
            || !self.handshakes.is_empty()
            || self.shard.has_work()
            || self.net.has_mail()
        {
            return 0;
        }
        let passed = now - self.real;
        let until = |at: u64| at.saturating_sub(self.now + passed);
        // Draining, it stays to answer 503 until the players of the other reactors have gone too.
        let look_again = self.draining.map(|draining| {
            let next = draining.told_by.unwrap_or(draining.until);
            next.saturating_sub(self.real + passed).min(DRAIN_LOOK_MS)
        });
        let drain = self.drains_at.filter(|_| self.draining.is_none());
        let drain = drain.map(|at| at.saturating_sub(self.real + passed));
        let deadlines = [
            accept_at.map(until),
            self.shard.next_deadline().map(until),
            look_again,
            drain,
            Some(POLL_MS),
        ];
        deadlines.into_iter().flatten().min().unwrap_or(POLL_MS)
    }

    /// Whether it has been drained, and everybody has gone or has had the time for it.
    pub fn is_over(&self) -> bool {
        self.draining.is_some_and(|draining| {
            let all_gone = self.shard.connections() == 0 && self.common.seated() == 0;
            all_gone || self.real >= draining.until
        })
    }

    /// When it wants to be woken without an event or mail (ms, real): what the next poll sleeps for.
    pub fn wakes_at(&self) -> u64 {
        self.real + self.sleep
    }

    /// What it drives.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// What it runs on.
    pub fn net(&self) -> &N {
        &self.net
    }

    /// Its sockets.
    pub fn sockets(&self) -> &Sockets<N::Socket> {
        &self.sockets
    }

    /// Another process accepts from now on, or will: once, however often it is told.
    fn heed_handover(&mut self) {
        let mut open = self.doors.iter().map(|door| door.accepting);
        if self.common.doors_are_handed_over() && open.any(|at| at != Accepting::HandedOver) {
            self.net.close_doors();
            for door in &mut self.doors {
                door.accepting = Accepting::HandedOver;
            }
        }
    }

    /// The process is told to end: once, however often it is told.
    fn heed_drain(&mut self) {
        let closing = u64::from(self.common.limits.close_ms);
        // Twice: its timer may be late by a tick or two.
        let last_words = u64::from(2 * LAST_WORDS_MS);
        match &mut self.draining {
            Some(draining) => {
                if draining.told_by.is_some_and(|told_by| self.real >= told_by) {
                    // If the process stood still until now, there is still time for a word.
                    self.shard.end_stays();
                    self.net.watch(&self.shard, &self.sockets, Step::Done);
                    draining.told_by = None;
                    draining.until = draining.until.max(self.real + closing + last_words);
                }
            }
            None => {
                let ordered = self.common.drain_ordered();
                if ordered.is_none() {
                    // It may have been revoked.
                    self.drains_at = None;
                }
                if let Some(spread_ms) = ordered
                    && self.real >= self.drain_begins()
                    && self.common.begin_drain()
                {
                    self.shard.drain(spread_ms);
                    let told_by = self.real + u64::from(spread_ms);
                    self.draining = Some(Draining {
                        told_by: Some(told_by),
                        until: told_by + closing + last_words,
                    });
                }
            }
        }
    }

    /// When the drain begins that has been ordered (ms, real): its delay from when this reactor has first seen the order.
    fn drain_begins(&mut self) -> u64 {
        let delay = u64::from(self.common.drain_delay());
        *self.drains_at.get_or_insert(self.real + delay)
    }

    fn mail(&mut self) {
        for _ in 0..MAIL_BUDGET {
            match self.net.take_mail() {
                Some(Mail::Adopt(socket, handover)) => {
                    let slot = self.shard.adopt(*handover);
                    self.register(slot, socket);
                    self.net
                        .watch(&self.shard, &self.sockets, Step::Adopted(slot));
                }
                Some(Mail::Accepted { socket, door, peer }) => self.admit(socket, door, peer),
                Some(Mail::Word(word)) => self.shard.hear_word(word),
                None => break,
            }
        }
        self.shard.give_credit();
    }

    /// Answers the control plane. What of it concerns players leaves with this iteration's flush.
    fn asked(&mut self) {
        for _ in 0..ASK_BUDGET {
            let Some(ask) = self.net.take_ask() else {
                break;
            };
            if ask.asker.is_gone() {
                continue;
            }
            let mut answer = self.shard.reply(&ask.question);
            if let Answer::Players(Some(page)) = &mut answer {
                for row in &mut page.rows {
                    let socket = row.slot.and_then(|slot| self.sockets.get(slot));
                    if let (Some(socket), Some(connection)) = (socket, &mut row.connection) {
                        connection.network = self.net.figures(socket);
                    }
                }
            }
            ask.asker.hear(answer);
        }
    }

    /// Reads what was put off, then what the poll reports.
    fn hear(&mut self, events: &N::Events) {
        let mut slice = Slice::new(&self.net, READ_SLICE_US);
        // Before the edges: they have waited longer.
        for _ in 0..self.carried.len() {
            if slice.is_over(&self.net) {
                break;
            }
            if let Some(handle) = self.carried.pop_front()
                && let Some(to_the_end) = self.sockets.uncarry(handle)
            {
                self.read(handle, to_the_end);
            }
        }
        for event in N::events(events) {
            match Named::by(event.token) {
                Named::Door(number) => self.doors[number].knock(),
                // Its mail has been taken already.
                Named::Mailbox => {}
                Named::Connection(handle) => {
                    if event.writable && self.sockets.current(handle).is_some() {
                        self.shard.writable(handle.slot);
                    }
                    if event.readable && slice.is_over(&self.net) {
                        self.carry(handle, event.closed);
                    } else if event.readable {
                        self.read(handle, event.closed);
                    }
                }
            }
        }
    }

    /// Reads who does not play, and accepts: a slice for each, as long as the players of this iteration took since it `polled`
    /// (us), so that thousands of strangers at most double what a player waits for, and are not kept waiting by thousands of
    /// players. What they are answered leaves with the next iteration's flush.
    fn receive_strangers(&mut self, polled: u64) {
        // Most iterations have none, and a look at the clock is not free.
        let any_open = self.doors.iter().any(|door| door.is_open(self.now));
        if self.strangers.is_empty() && !any_open {
            return;
        }
        let took = self.net.clock() - polled;
        let us = took.clamp(STRANGERS_SLICE_US, STRANGERS_SLICE_MAX_US);
        let mut slice = Slice::of_strangers(&self.net, us);
        for _ in 0..self.strangers.len() {
            if slice.is_over(&self.net) {
                break;
            }
            if let Some(handle) = self.strangers.pop_front()
                && let Some(to_the_end) = self.sockets.uncarry(handle)
            {
                self.read_now(handle, to_the_end);
            }
        }
        for door in 0..self.doors.len() {
            if self.doors[door].is_open(self.now) {
                self.doors[door].accepting = self.accept_at(door, us);
            }
        }
    }

    /// Accepts one portion, for so many microseconds; returns how it goes on. Out of descriptors it pauses instead of spinning on a
    /// listener that stays ready.
    fn accept_at(&mut self, door: usize, us: u64) -> Accepting {
        let mut slice = Slice::of_strangers(&self.net, us);
        for _ in 0..ACCEPT_BUDGET {
            if slice.is_over(&self.net) {
                break;
            }
            match self.net.accept(door) {
                Accepted::Connection(socket, peer) => self.deal(socket, door, peer),
                Accepted::Gone => {}
                Accepted::Nobody => return Accepting::Idle,
                Accepted::Exhausted(error) => {
                    let warn = self
                        .warned_at
                        .is_none_or(|at| self.now >= at + WARN_EVERY_MS);
                    if warn {
                        self.warned_at = Some(self.now);
                        tracing::warn!(%error, connections = self.shard.connections(),
                        "can't accept: raise the limit of open files (ulimit -n) or lower --max-connections");
                    }
                    // Whoever has been shaking hands for long makes room; its descriptor is free after this iteration.
                    let evicted = (0..EVICTED_BUDGET).take_while(|_| self.shard.evict_newcomer());
                    return if evicted.count() > 0 {
                        Accepting::Ready
                    } else {
                        Accepting::PausedUntil(self.now + ACCEPT_PAUSE_MS)
                    };
                }
            }
        }
        Accepting::Ready
    }

    /// Keeps a new connection, or deals it to the reactor whose turn it is.
    fn deal(&mut self, socket: N::Socket, door: usize, peer: Option<IpAddr>) {
        if self.deals {
            self.deal_to = (self.deal_to + 1) % self.common.reactors;
            if self.deal_to != self.index {
                let mail = Mail::Accepted { socket, door, peer };
                if let Err(Mail::Accepted { socket, .. }) = self.net.send_mail(self.deal_to, mail) {
                    // A full mailbox: the peer is told by the end of the connection, the fewest resources spent.
                    self.shard.leave_unanswered(Unanswered::Undealt);
                    self.pacer.mail_refused();
                    self.net.close(socket);
                }
                return;
            }
        }
        self.admit(socket, door, peer);
    }

    fn admit(&mut self, socket: N::Socket, door: usize, peer: Option<IpAddr>) {
        // Far beyond the limit there is not even room to say so.
        let no_room = self.common.is_crowded() && !self.shard.evict_newcomer();
        if no_room {
            self.shard.leave_unanswered(Unanswered::Crowded);
        }
        if no_room || self.shard.turns_away(peer) {
            self.net.close(socket);
            return;
        }
        let slot = self.shard.accept(self.doors[door].port, peer);
        self.shard.came_by(slot, door);
        self.register(slot, socket);
    }

    fn register(&mut self, slot: u32, mut socket: N::Socket) {
        let handle = self.sockets.reserve(slot);
        let registered = self.net.register(&mut socket, handle.token());
        self.sockets.insert(slot, socket);
        if let Err(error) = registered {
            tracing::warn!(%error, "a connection can't be registered");
            self.shard.failed(slot);
        }
    }

    /// Reads a socket: a player's at once, a stranger's once its turn comes, or, if that goes on with a handshake that costs much,
    /// when that is. Once per iteration whoever asks: of a read that is put off only what this edge says is kept.
    fn read(&mut self, handle: Handle, to_the_end: bool) {
        if self.sockets.current(handle).is_none() {
            return;
        }
        if !self.sockets.is_carried(handle) && self.shard.is_playing(handle.slot) {
            self.read_now(handle, to_the_end);
        } else if self.sockets.carry(handle, to_the_end) {
            match self.shard.handshake(handle.slot) {
                None => self.strangers.push_back(handle),
                Some(Handshake::Beginning(deadline)) => {
                    if let Some(oldest) = self.handshakes.knock(handle, self.now, deadline) {
                        self.refuse_handshake(oldest);
                    }
                }
                Some(Handshake::Begun(deadline)) => self.handshakes.answer(handle, deadline),
            }
        }
    }

    fn refuse_handshake(&mut self, handle: Handle) {
        if self.sockets.current(handle).is_some() {
            self.shard.refuse_handshake(handle.slot);
        }
    }

    /// Goes on with such handshakes, in portions and after everything else, so that a storm of them does not hurt those
    /// who play. What they answer leaves with the next iteration's flush.
    fn shake_hands(&mut self) {
        if self.handshakes.is_empty() {
            return;
        }
        while let Some(handle) = self.handshakes.hopeless(self.now) {
            self.refuse_handshake(handle);
        }
        let began = self.net.clock();
        let mut steps = 0;
        while steps < self.common.limits.tls_handshakes as u64 {
            let sockets = &self.sockets;
            let Some(turn) = self.handshakes.next(|handle| sockets.is_carried(handle)) else {
                break;
            };
            let (Turn::GoOn(handle) | Turn::Begin(handle)) = turn;
            if let Some(to_the_end) = self.sockets.uncarry(handle) {
                self.read_now(handle, to_the_end);
            }
            if let Turn::Begin(handle) = turn {
                let (sockets, shard) = (&self.sockets, &self.shard);
                let goes_on = |handle: Handle| {
                    let here = sockets.current(handle).is_some();
                    here && shard.handshake(handle.slot).is_some()
                };
                if let Some(oldest) = self.handshakes.begin(handle, goes_on) {
                    self.refuse_handshake(oldest);
                }
            }
            steps += 1;
            if self.net.clock() >= began + HANDSHAKE_SLICE_US {
                break;
            }
        }
        self.handshakes.measure(steps, began, self.net.clock());
    }

    /// Who seems to have been silent for too long, or late with its request head, is read once: only who has really sent
    /// nothing, or not enough, ends for it. Its bytes may wait among the reads that were put off.
    fn convict(&mut self) {
        let mut slots = std::mem::take(&mut self.slots);
        self.shard.take_silent(&mut slots);
        let mut until = None;
        for slot in slots.drain(..) {
            if let Some(handle) = self.sockets.handle(slot) {
                // Late heads with tickets get as much time as handshakes do, and no more: thousands may be late together.
                let in_time = self.shard.handshake(slot).is_none() || {
                    let now = self.net.clock();
                    now < *until.get_or_insert(now + HANDSHAKE_SLICE_US)
                };
                let nothing = in_time && self.read_now(handle, false) == Read::Nothing;
                self.shard.convict(slot, nothing);
            }
        }
        self.slots = slots;
    }

    /// Reads a socket. A short read ends the edge, so no second read is made to see
    /// `WouldBlock`; unless the peer has ended its side (`to_the_end`), for which there would be no further edge.
    fn read_now(&mut self, handle: Handle, to_the_end: bool) -> Read {
        let Some(socket) = self.sockets.current(handle) else {
            return Read::Something;
        };
        let slot = handle.slot;
        let mut most = self.shard.may_read(slot).min(self.buffer.len());
        if to_the_end && self.shard.is_sated(slot) {
            most = self.buffer.len();
        }
        if most == 0 {
            self.net
                .watch(&self.shard, &self.sockets, Step::Declined(slot));
            return Read::Something;
        }
        // What came behind the request head comes before what the socket holds.
        let heard = self.shard.receive_unread(slot, most);
        if heard > 0 {
            self.carry(handle, to_the_end);
            self.net
                .watch(&self.shard, &self.sockets, Step::Unread(slot, heard));
            return Read::Something;
        }
        let mut took = 0;
        match self.net.read(socket, &mut self.buffer[..most]) {
            Ok(0) => self.shard.end_of_input(slot),
            Ok(n) => {
                took = n;
                self.shard.receive(slot, &mut self.buffer[..n]);
                if n == most || to_the_end {
                    self.carry(handle, to_the_end);
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Read::Nothing,
                ErrorKind::Interrupted => self.carry(handle, to_the_end),
                _ => self.shard.failed(slot),
            },
        }
        self.net
            .watch(&self.shard, &self.sockets, Step::Read(slot, took));
        Read::Something
    }

    /// Puts a read off to the next iteration.
    fn carry(&mut self, handle: Handle, to_the_end: bool) {
        if self.sockets.carry(handle, to_the_end) && !planted::is(Fault::ForgottenRead) {
            self.carried.push_back(handle);
        }
    }

    /// The only place where sockets are written.
    fn flush(&mut self) {
        let mut slice = Slice::new(&self.net, WRITE_SLICE_US);
        while let Some(slot) = self.shard.next_write() {
            let Some(socket) = self.sockets.get(slot) else {
                self.shard.wrote(Written::Failed);
                continue;
            };
            let net = &mut self.net;
            let result = self.shard.pending().with_slices(|slices| {
                loop {
                    let result = net.write(socket, slices);
                    if !matches!(&result, Err(error) if error.kind() == ErrorKind::Interrupted) {
                        break result;
                    }
                }
            });
            self.shard.wrote(match result {
                Ok(n) => Written::Bytes(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Written::Blocked,
                Err(_) => Written::Failed,
            });
            if let Some(now) = slice.look(&self.net) {
                self.shard.written_by(now);
                if slice.is_over {
                    self.shard.carry_writes();
                    break;
                }
            }
        }
        if self.shard.has_written() {
            self.shard.written_by(self.net.clock());
        }
    }

    fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        loop {
            self.shard.take_actions(&mut actions);
            if actions.is_empty() {
                break;
            }
            actions.drain(..).for_each(|action| self.act_on(action));
        }
        self.actions = actions;
        let mut slots = std::mem::take(&mut self.slots);
        self.shard.take_unpaused(&mut slots);
        // What edges came while they were paused is not remembered: such a read goes on until there is nothing left.
        // They have waited longest, so they come before those that filled the buffer in this iteration.
        for slot in slots.drain(..).rev() {
            if let Some(handle) = self.sockets.handle(slot)
                && self.sockets.carry(handle, true)
            {
                self.carried.push_front(handle);
            }
        }
        self.slots = slots;
    }

    fn act_on(&mut self, action: Action) {
        match action {
            Action::ShutdownWrite(slot) => {
                if let Some(socket) = self.sockets.get(slot)
                    && self.net.shutdown_write(socket).is_err()
                {
                    self.shard.failed(slot);
                }
            }
            Action::Weigh(slot) => {
                if let Some(socket) = self.sockets.get(slot) {
                    self.shard.weighed(slot, self.net.unsent(socket));
                }
            }
            Action::HandOff {
                slot,
                home,
                handover,
            } => self.hand_off(slot, home, handover),
            Action::Say { reactor, word } => {
                if let Err(Mail::Word(word)) = self.net.send_mail(reactor, Mail::Word(word)) {
                    self.shard.unsaid(reactor, word);
                }
            }
        }
    }

    /// Drops the sockets of those who have died. Whoever was worth waiting for has been waited for: what the kernel still
    /// holds of one goes with it.
    fn reap(&mut self) {
        let Self {
            shard,
            sockets,
            net,
            ..
        } = self;
        shard.reap(|slot| {
            if let Some(socket) = sockets.take(slot) {
                if net.unsent(&socket) > FIN {
                    net.abort(socket);
                } else {
                    net.close(socket);
                }
            }
        });
    }

    fn hand_off(&mut self, slot: u32, home: usize, handover: Box<Handover>) {
        let Some(mut socket) = self.sockets.take(slot) else {
            return;
        };
        self.net.deregister(&mut socket);
        let undelivered = self.net.send_mail(home, Mail::Adopt(socket, handover));
        if let Err(Mail::Adopt(socket, handover)) = undelivered {
            self.pacer.mail_refused();
            let slot = self.shard.refuse_hand_off(*handover);
            self.register(slot, socket);
            self.net
                .watch(&self.shard, &self.sockets, Step::Adopted(slot));
        }
    }

    fn publish(&mut self, at_the_end: bool) {
        if at_the_end || self.now >= self.published_at + PUBLISH_EVERY_MS {
            // Whoever reads is done soon. Only the last publication waits for that, and not for who is stuck.
            let published = if at_the_end {
                self.published
                    .try_lock_for(Duration::from_millis(LAST_PUBLICATION_MS))
            } else {
                self.published.try_lock()
            };
            if let Some(mut published) = published {
                self.published_at = self.now;
                self.shard.take_stock();
                published.clone_from(self.shard.counters());
                let waiting = (self.handshakes.len(), self.net.queued());
                published.pace = self.pacer.publish(waiting.0, waiting.1);
            }
        }
    }
}
