//! The network of the simulation: wires, mail and the clock, as the loop of the server sees them.
//!
//! Owns: what each reactor's polls report, what is under way between reactors, the time, and what to note for the judges.
//! Must not know: players, what the bytes mean. Invariant: nothing happens here that an operating system does not do.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roomcast::reactor::{self, Accepted, Net, Sockets, Step, door};
use roomcast::shard::{DisconnectReason, Shard, Written};

use super::wire::{Got, Wire};

/// A connection, by its index among all wires of the world.
pub(crate) type WireId = usize;

/// What one reactor tells another.
pub(crate) type Mail = reactor::Mail<WireId>;

/// What an iteration did, in order.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The shard was given this many bytes: none, if it was given a connection of another shard, or heard what had waited.
    /// Then: how many still wait, has the connection a seat, and why does it end, if that came of it.
    Took {
        wire: WireId,
        bytes: usize,
        waiting: usize,
        seated: bool,
        ended: Option<DisconnectReason>,
    },
    /// A connection was accepted, to be dealt to another reactor perhaps.
    Accepted { wire: WireId },
    /// A reactor has a connection, new or from another shard.
    Registered { wire: WireId },
    /// A connection ends, for something else than what it sent.
    Ended {
        wire: WireId,
        reason: DisconnectReason,
    },
    /// The socket was dropped.
    Dropped { wire: WireId },
    /// The socket was dropped before it was a connection.
    TurnedAway { wire: WireId },
}

/// What polls and the kernel are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Events that one poll holds.
    pub(crate) poll: usize,
    /// Every poll is full: what does not happen is reported all the same, as a kernel may.
    pub(crate) full: bool,
    /// Microseconds that a read or write takes.
    pub(crate) call_us: u64,
    pub(crate) mailbox: usize,
}

/// Doors of a reactor: one that speaks as it is, and one that speaks TLS.
const DOORS: usize = 2;

/// A listener.
#[derive(Debug, Default)]
struct Door {
    /// Connections that wait to be accepted.
    backlog: VecDeque<WireId>,
    knocked: bool,
}

/// What one reactor's kernel holds.
#[derive(Debug, Default)]
struct Local {
    mailbox: VecDeque<Mail>,
    doors: [Door; DOORS],
    /// Its waker was used.
    woken: bool,
    /// What a poll reports about, with its token.
    registered: BTreeMap<WireId, usize>,
    /// Where the next poll begins to look.
    rotation: usize,
    /// The last poll had more to say than it holds.
    overfull: bool,
    /// The next attempts to accept that fail, and whether for want of descriptors.
    refused_accepts: (usize, bool),
    seen: Vec<Seen>,
}

/// All of it, shared by the reactors and the world.
#[derive(Debug)]
pub(crate) struct Network {
    /// Microseconds, without those that handshakes cost.
    clock: u64,
    /// What plays TLS adds to this.
    pub(crate) cost: Arc<AtomicU64>,
    pub(crate) weather: Weather,
    pub(crate) wires: Vec<Wire>,
    locals: Vec<Local>,
    /// Mail under way, by sender and receiver, with the time of its sending (ms).
    posts: Vec<VecDeque<(u64, Mail)>>,
    /// Whose end has been noted.
    ended: Vec<bool>,
    /// Bytes that shards took.
    pub(crate) taken: u64,
    /// Reads that a shard did not want, for its own sake or for that of a room.
    pub(crate) refused_reads: u64,
    /// Bytes that were heard later than they were read.
    pub(crate) heard_late: u64,
}

impl Network {
    pub(crate) fn new(reactors: usize, weather: Weather) -> Self {
        Self {
            clock: 0,
            cost: Arc::default(),
            weather,
            wires: Vec::new(),
            locals: (0..reactors).map(|_| Local::default()).collect(),
            posts: (0..reactors * reactors).map(|_| VecDeque::new()).collect(),
            ended: Vec::new(),
            taken: 0,
            refused_reads: 0,
            heard_late: 0,
        }
    }

    /// Microseconds.
    fn micros(&self) -> u64 {
        self.clock + self.cost.load(Ordering::Relaxed)
    }

    /// Milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.micros() / 1_000
    }

    /// It is that late at least (ms).
    pub(crate) fn advance(&mut self, now: u64) {
        self.clock += (now * 1_000).saturating_sub(self.micros());
    }

    /// A connection that waits to be accepted by this reactor, at the door that speaks TLS or at the other.
    pub(crate) fn connect(&mut self, reactor: usize, at_tls: bool, wire: Wire) -> WireId {
        self.wires.push(wire);
        self.ended.push(false);
        let door = &mut self.locals[reactor].doors[usize::from(at_tls)];
        door.backlog.push_back(self.wires.len() - 1);
        door.knocked = true;
        self.wires.len() - 1
    }

    /// So many attempts to accept will fail.
    pub(crate) fn refuse_accepts(&mut self, reactor: usize, attempts: usize, exhausted: bool) {
        self.locals[reactor].refused_accepts = (attempts, exhausted);
    }

    /// All reactors are to begin an iteration.
    pub(crate) fn wake_all(&mut self) {
        self.locals.iter_mut().for_each(|local| local.woken = true);
    }

    /// From which socket on the next poll of a reactor reports.
    pub(crate) fn rotate(&mut self, reactor: usize, by: usize) {
        self.locals[reactor].rotation += by;
    }

    /// The oldest mail on one of the paths arrives. False if there is none.
    pub(crate) fn deliver_mail(&mut self, path: usize) -> bool {
        let Some((_, mail)) = self.posts[path].pop_front() else {
            return false;
        };
        let to = path % self.locals.len();
        self.locals[to].mailbox.push_back(mail);
        true
    }

    /// What was sent `lag` ms ago arrives.
    pub(crate) fn deliver_late_mail(&mut self, lag: u64) {
        let now = self.now();
        for path in 0..self.posts.len() {
            while self.posts[path]
                .front()
                .is_some_and(|(at, _)| at + lag <= now)
            {
                self.deliver_mail(path);
            }
        }
    }

    /// Whether a poll of this reactor would return at once.
    pub(crate) fn wakes(&self, reactor: usize) -> bool {
        let local = &self.locals[reactor];
        let edge = |wire: &WireId| self.wires[*wire].has_edge();
        local.woken
            || !local.mailbox.is_empty()
            || local.doors.iter().any(|door| door.knocked)
            || local.registered.keys().any(edge)
    }

    /// Whether the last poll of this reactor was full.
    pub(crate) fn was_overfull(&self, reactor: usize) -> bool {
        self.locals[reactor].overfull
    }

    /// What this reactor did since it was last asked.
    pub(crate) fn take_seen(&mut self, reactor: usize) -> Vec<Seen> {
        std::mem::take(&mut self.locals[reactor].seen)
    }
}

/// What a poll reports.
#[derive(Debug, Default)]
pub(crate) struct Events(Vec<reactor::Event>);

/// One reactor's part of the network.
#[derive(Debug)]
pub(crate) struct Side {
    index: usize,
    network: Rc<RefCell<Network>>,
}

impl Side {
    pub(crate) fn new(index: usize, network: &Rc<RefCell<Network>>) -> Self {
        Self {
            index,
            network: Rc::clone(network),
        }
    }

    fn network(&self) -> RefMut<'_, Network> {
        self.network.borrow_mut()
    }
}

impl Network {
    /// A call into the kernel takes its time.
    fn call(&mut self) {
        self.clock += self.weather.call_us;
    }

    /// Why a connection ends, if that is new.
    fn news(&mut self, wire: WireId, reason: Option<DisconnectReason>) -> Option<DisconnectReason> {
        let reason = reason.filter(|_| !self.ended[wire])?;
        self.ended[wire] = true;
        Some(reason)
    }

    fn note(&mut self, reactor: usize, wire: WireId, reason: Option<DisconnectReason>) {
        if let Some(reason) = self.news(wire, reason) {
            self.locals[reactor].seen.push(Seen::Ended { wire, reason });
        }
    }
}

impl Net for Side {
    type Socket = WireId;
    type Events = Events;

    fn clock(&self) -> u64 {
        self.network.borrow().micros()
    }

    fn poll(&mut self, events: &mut Events, sleep: Duration) -> io::Result<()> {
        let mut network = self.network();
        let Network {
            wires,
            locals,
            weather,
            ..
        } = &mut *network;
        let local = &mut locals[self.index];
        events.0.clear();
        local.woken = false;
        for (number, at) in local.doors.iter_mut().enumerate() {
            if std::mem::take(&mut at.knocked) {
                events.0.push(reactor::Event {
                    token: door(number),
                    readable: true,
                    writable: false,
                    closed: false,
                });
            }
        }
        let count = local.registered.len();
        let first = local.rotation % count.max(1);
        let whose = local.registered.iter().cycle().skip(first).take(count);
        local.overfull = false;
        for (at, (&wire, &token)) in whose.enumerate() {
            if events.0.len() >= weather.poll {
                local.overfull = wires[wire].has_edge();
                if local.overfull {
                    local.rotation = first + at;
                    break;
                }
            } else if let Some(event) = wires[wire].event() {
                events.0.push(reactor::Event {
                    token,
                    readable: event.readable,
                    writable: event.writable,
                    closed: event.read_closed,
                });
            }
        }
        // Not while there is work that was carried over: reads that were put off are never done where more come each time.
        if weather.full && !sleep.is_zero() {
            for &token in local.registered.values().cycle().skip(first).take(count) {
                if events.0.len() < weather.poll {
                    events.0.push(reactor::Event {
                        token,
                        readable: true,
                        writable: false,
                        closed: false,
                    });
                }
            }
        }
        Ok(())
    }

    fn events(events: &Events) -> impl Iterator<Item = reactor::Event> {
        events.0.iter().copied()
    }

    fn accept(&mut self, door: usize) -> Accepted<WireId> {
        let mut network = self.network();
        let local = &mut network.locals[self.index];
        let backlog = &mut local.doors[door].backlog;
        if backlog.is_empty() {
            return Accepted::Nobody;
        }
        if let Some(left) = local.refused_accepts.0.checked_sub(1) {
            local.refused_accepts.0 = left;
            return if local.refused_accepts.1 {
                Accepted::Exhausted(ErrorKind::OutOfMemory.into())
            } else {
                Accepted::Gone
            };
        }
        let wire = backlog.pop_front().expect("it is not empty");
        local.seen.push(Seen::Accepted { wire });
        Accepted::Connection(wire, network.wires[wire].peer)
    }

    fn close_doors(&mut self) {
        // Who waits here goes on waiting: for another process, and no run has one.
    }

    fn register(&mut self, &mut wire: &mut WireId, token: usize) -> io::Result<()> {
        let mut network = self.network();
        network.wires[wire].register();
        let local = &mut network.locals[self.index];
        local.seen.push(Seen::Registered { wire });
        let registered = local.registered.insert(wire, token);
        assert!(registered.is_none(), "a socket is registered once");
        Ok(())
    }

    fn deregister(&mut self, wire: &mut WireId) {
        self.network().locals[self.index].registered.remove(wire);
    }

    fn read(&mut self, &wire: &WireId, into: &mut [u8]) -> io::Result<usize> {
        let mut network = self.network();
        network.call();
        match network.wires[wire].read(into) {
            Got::Bytes(bytes) => Ok(bytes),
            Got::WouldBlock => Err(ErrorKind::WouldBlock.into()),
            Got::Interrupted => Err(ErrorKind::Interrupted.into()),
            Got::Reset => Err(ErrorKind::ConnectionReset.into()),
        }
    }

    fn write(&mut self, &wire: &WireId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut network = self.network();
        network.call();
        match network.wires[wire].write(slices) {
            Written::Bytes(bytes) | Written::Carried(bytes) => Ok(bytes),
            Written::Blocked => Err(ErrorKind::WouldBlock.into()),
            Written::Failed => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn shutdown_write(&mut self, &wire: &WireId) -> io::Result<()> {
        if self.network().wires[wire].shutdown_write() {
            Ok(())
        } else {
            Err(ErrorKind::NotConnected.into())
        }
    }

    fn unsent(&self, &wire: &WireId) -> usize {
        self.network().wires[wire].unsent()
    }

    fn abort(&mut self, wire: WireId) {
        self.network().wires[wire].abort();
        self.close(wire);
    }

    fn close(&mut self, wire: WireId) {
        let mut network = self.network();
        network.wires[wire].close();
        let local = &mut network.locals[self.index];
        let registered = local.registered.remove(&wire).is_some();
        local.seen.push(if registered {
            Seen::Dropped { wire }
        } else {
            Seen::TurnedAway { wire }
        });
    }

    fn take_mail(&mut self) -> Option<Mail> {
        self.network().locals[self.index].mailbox.pop_front()
    }

    fn has_mail(&self) -> bool {
        !self.network.borrow().locals[self.index].mailbox.is_empty()
    }

    fn send_mail(&mut self, to: usize, mail: Mail) -> Result<(), Mail> {
        let mut network = self.network();
        let count = network.locals.len();
        let on_the_way = (0..count).map(|from| network.posts[from * count + to].len());
        let waiting = network.locals[to].mailbox.len() + on_the_way.sum::<usize>();
        if waiting >= network.weather.mailbox && !matches!(mail, Mail::Word(_)) {
            return Err(mail);
        }
        let now = network.now();
        network.posts[self.index * count + to].push_back((now, mail));
        Ok(())
    }

    fn watch(&mut self, shard: &Shard, sockets: &Sockets<WireId>, step: Step) {
        let mut network = self.network();
        match step {
            Step::Adopted(slot) | Step::Read(slot, _) | Step::Unread(slot, _) => {
                let wire = *sockets.get(slot).expect("the slot has a socket");
                let reason = shard.reason(slot);
                match step {
                    Step::Read(_, 0) => network.note(self.index, wire, reason),
                    Step::Read(_, bytes) => {
                        network.taken += bytes as u64;
                        self.took(&mut network, shard, slot, wire, bytes);
                    }
                    Step::Unread(_, heard) => {
                        network.taken += heard as u64;
                        network.heard_late += heard as u64;
                        self.took(&mut network, shard, slot, wire, 0);
                    }
                    _ => self.took(&mut network, shard, slot, wire, 0),
                }
            }
            Step::Declined(_) => network.refused_reads += 1,
            Step::Done => {
                for (slot, &wire) in sockets.iter() {
                    network.note(self.index, wire, shard.reason(slot));
                }
            }
        }
    }
}

impl Side {
    fn took(&self, network: &mut Network, shard: &Shard, slot: u32, wire: WireId, bytes: usize) {
        let ended = network.news(wire, shard.reason(slot));
        let seated = shard.is_seated(slot);
        network.locals[self.index].seen.push(Seen::Took {
            wire,
            bytes,
            waiting: shard.unread(slot),
            seated,
            ended,
        });
    }
}
