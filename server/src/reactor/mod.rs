//! The reactor: one thread, one poll, one shard.
//!
//! Owns: sockets, the clock, the order of an iteration (`docs/ARCHITECTURE.md` has the table). Must not know: rooms or
//! frames. Invariant: a socket is registered once, for both directions, edge-triggered, and is written in exactly one
//! place (`Running::flush`), once per iteration unless it takes everything and more waits.

mod listener;
mod mailbox;
mod sockets;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll};
use parking_lot::Mutex;

use self::listener::{Accepted, Accepting, Door};
pub use self::listener::{KERNEL_SPREADS, listen};
pub use self::mailbox::{Address, Mail, Undelivered};
use self::sockets::{Handle, MAILBOX, PLAIN_LISTENER, Sockets, TLS_LISTENER};
use crate::limits::{
    ACCEPT_BUDGET, ACCEPT_PAUSE_MS, EVENTS_PER_POLL, HANDSHAKE_SLICE_US, LAST_WORDS_MS,
    MAIL_BUDGET, POLL_MS, RECEIVE_BUFFER,
};
use crate::shard::{Action, Common, Counters, Handover, Shard, Written};
use crate::transport::Port;

/// How often the operator is told that descriptors have run out.
const WARN_EVERY_MS: u64 = 10_000;

/// How often a draining reactor without players looks whether the others are done.
const DRAIN_LOOK_MS: u64 = 50;

/// How often counters are published at most.
const PUBLISH_EVERY_MS: u64 = 1_000;

/// What a reactor lets others read: its counters, as of a second ago.
pub type Published = Arc<Mutex<Counters>>;

/// One reactor. Made on the main thread (so that start-up errors are reported there), run on its own.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    mail: Receiver<Mail>,
    address: Address,
    doors: Vec<Door>,
    common: Arc<Common>,
    index: usize,
    peers: Vec<Address>,
    /// The reactor that is dealt the next connection, where only this one accepts.
    deal_to: usize,
    published: Published,
    epoch: Instant,
}

/// What lives on the reactor's thread only.
struct Running {
    reactor: Reactor,
    shard: Shard,
    sockets: Sockets,
    buffer: Box<[u8]>,
    now: u64,
    /// Reads for which no edge will come.
    carried: Vec<Handle>,
    /// Reads that go into a TLS handshake, in the order in which they came; those too are put off.
    handshakes: VecDeque<Handle>,
    actions: Vec<Action>,
    slots: Vec<u32>,
    /// When draining must be over (ms).
    drain_until: Option<u64>,
    published_at: u64,
    warned_at: Option<u64>,
}

impl Reactor {
    /// Reactor number `index`, with its listeners, if it has any, and what is spoken at each.
    ///
    /// # Errors
    ///
    /// When the poller can't be made or a listener not be registered.
    pub fn new(
        common: Arc<Common>,
        index: usize,
        listeners: Vec<(Port, TcpListener)>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let (address, mail) = mailbox::mailbox(poll.registry(), MAILBOX)?;
        let mut doors = Vec::new();
        for (port, mut listener) in listeners {
            let token = match port {
                Port::Plain => PLAIN_LISTENER,
                Port::Tls => TLS_LISTENER,
            };
            poll.registry()
                .register(&mut listener, token, Interest::READABLE)?;
            doors.push(Door {
                listener,
                port,
                accepting: Accepting::Ready,
            });
        }
        Ok(Self {
            poll,
            mail,
            address,
            doors,
            common,
            index,
            peers: Vec::new(),
            deal_to: index,
            published: Published::default(),
            epoch: Instant::now(),
        })
    }

    /// Where mail for this reactor goes.
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// Where its counters can be read.
    pub fn published(&self) -> Published {
        Arc::clone(&self.published)
    }

    /// Runs until it has been drained. `peers` are the addresses of all reactors, in order.
    ///
    /// # Errors
    ///
    /// When polling itself fails, which only a fault of this program can cause.
    pub fn run(mut self, peers: Vec<Address>) -> io::Result<()> {
        self.peers = peers;
        let shard = Shard::new(Arc::clone(&self.common), self.index, 0, fastrand::u64(..));
        let running = Running {
            reactor: self,
            shard,
            sockets: Sockets::default(),
            buffer: vec![0; RECEIVE_BUFFER].into_boxed_slice(),
            now: 0,
            carried: Vec::new(),
            handshakes: VecDeque::new(),
            actions: Vec::new(),
            slots: Vec::new(),
            drain_until: None,
            published_at: 0,
            warned_at: None,
        };
        running.run()
    }
}

impl Running {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        while !self.is_over() {
            let timeout = self.timeout();
            match self.reactor.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.now = self.reactor.epoch.elapsed().as_millis() as u64;
            self.shard.advance(self.now);
            self.mail();
            // Before the edges: they have waited longer.
            for handle in std::mem::take(&mut self.carried) {
                if let Some(to_the_end) = self.sockets.uncarry(handle) {
                    self.read(handle, to_the_end);
                }
            }
            let mut seen = 0;
            for event in &events {
                seen += 1;
                match event.token() {
                    PLAIN_LISTENER => self.knock(Port::Plain),
                    TLS_LISTENER => self.knock(Port::Tls),
                    // Its mail has been taken already.
                    MAILBOX => {}
                    token => {
                        let handle = Handle::from_token(token);
                        if event.is_writable() && self.sockets.current(handle).is_some() {
                            self.shard.writable(handle.slot);
                        }
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            let to_the_end = event.is_read_closed() || event.is_error();
                            self.read(handle, to_the_end);
                        }
                    }
                }
            }
            self.accept();
            self.shard.freeze();
            self.flush();
            // Last, so that a peer is not found silent or slow for bytes that waited while this process stood still;
            // and not at all while there are more events than one poll holds.
            if seen < EVENTS_PER_POLL {
                self.shard.expire();
            }
            self.shake_hands();
            self.act();
            let Self { shard, sockets, .. } = &mut self;
            // Closing the descriptor also takes it out of the poll.
            shard.reap(|slot| drop(sockets.take(slot)));
            self.publish(false);
        }
        self.shard.abandon();
        self.publish(true);
        Ok(())
    }

    /// How long the poll may sleep: not at all if work was carried over.
    fn timeout(&self) -> Duration {
        let mut accept_at = None;
        for door in &self.reactor.doors {
            match door.accepting {
                Accepting::Ready => return Duration::ZERO,
                Accepting::PausedUntil(until) => accept_at = Some(until),
                Accepting::Idle => {}
            }
        }
        let carried_over = !self.carried.is_empty() || !self.handshakes.is_empty();
        if carried_over || self.shard.has_work() || !self.reactor.mail.is_empty() {
            return Duration::ZERO;
        }
        // Draining, it stays to answer 503 until the players of the other reactors have gone too.
        let look_again = self
            .drain_until
            .map(|until| until.min(self.now + DRAIN_LOOK_MS));
        let deadlines = [accept_at, self.shard.next_deadline(), look_again];
        let now = self.reactor.epoch.elapsed().as_millis() as u64;
        let next = deadlines.into_iter().flatten().min();
        let sleep = next.map_or(POLL_MS, |next| next.saturating_sub(now).min(POLL_MS));
        Duration::from_millis(sleep)
    }

    fn is_over(&self) -> bool {
        self.drain_until.is_some_and(|until| {
            self.shard.connections() == 0 && self.reactor.common.seated() == 0 || self.now >= until
        })
    }

    fn mail(&mut self) {
        for _ in 0..MAIL_BUDGET {
            match self.reactor.mail.try_recv() {
                Ok(Mail::Adopt(stream, handover)) => self.adopt(stream, *handover),
                Ok(Mail::Accepted(stream, port, peer)) => self.admit(stream, port, peer),
                Ok(Mail::Drain(spread_ms)) => {
                    self.shard.drain(spread_ms);
                    let closing = u64::from(self.reactor.common.limits.close_ms);
                    // Twice: its timer may be late by a tick or two.
                    let last_words = u64::from(2 * LAST_WORDS_MS);
                    self.drain_until = Some(self.now + u64::from(spread_ms) + closing + last_words);
                }
                Err(_) => break,
            }
        }
    }

    fn adopt(&mut self, stream: TcpStream, handover: Handover) {
        let slot = self.shard.adopt(handover);
        self.register(slot, stream);
    }

    /// Somebody waits at a listener of this kind.
    fn knock(&mut self, port: Port) {
        for door in &mut self.reactor.doors {
            if door.port == port && door.accepting == Accepting::Idle {
                door.accepting = Accepting::Ready;
            }
        }
    }

    /// Accepts in portions; out of descriptors it pauses instead of spinning on a listener that stays ready.
    fn accept(&mut self) {
        for door in 0..self.reactor.doors.len() {
            match self.reactor.doors[door].accepting {
                Accepting::Idle => {}
                Accepting::PausedUntil(until) if self.now < until => {}
                Accepting::Ready | Accepting::PausedUntil(_) => {
                    self.reactor.doors[door].accepting = self.accept_at(door);
                }
            }
        }
    }

    /// Accepts one portion; returns how it goes on.
    fn accept_at(&mut self, door: usize) -> Accepting {
        for _ in 0..ACCEPT_BUDGET {
            let Door { listener, port, .. } = &self.reactor.doors[door];
            let port = *port;
            match listener::accept(listener) {
                Accepted::Connection(stream, peer) => self.deal(stream, port, peer),
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
                    let evicted = (0..ACCEPT_BUDGET).take_while(|_| self.shard.evict_newcomer());
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
    fn deal(&mut self, stream: TcpStream, port: Port, peer: IpAddr) {
        if !KERNEL_SPREADS && self.reactor.peers.len() > 1 {
            self.reactor.deal_to = (self.reactor.deal_to + 1) % self.reactor.peers.len();
            if self.reactor.deal_to != self.reactor.index {
                // A full mailbox: the peer is told by the end of the connection, the fewest resources spent.
                let _ = self.reactor.peers[self.reactor.deal_to]
                    .send(Mail::Accepted(stream, port, peer));
                return;
            }
        }
        self.admit(stream, port, peer);
    }

    fn admit(&mut self, stream: TcpStream, port: Port, peer: IpAddr) {
        // Far beyond the limit there is not even room to say so.
        if self.reactor.common.is_crowded() && !self.shard.evict_newcomer() {
            return;
        }
        let slot = self.shard.accept(port, Some(peer));
        self.register(slot, stream);
    }

    fn register(&mut self, slot: u32, mut stream: TcpStream) {
        let handle = self.sockets.reserve(slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered =
            self.reactor
                .poll
                .registry()
                .register(&mut stream, handle.token(), interest);
        self.sockets.insert(slot, stream);
        if let Err(error) = registered {
            tracing::warn!(%error, "a connection can't be registered");
            self.shard.failed(slot);
        }
    }

    /// Reads a socket, at once or, if that goes on with a TLS handshake, when its turn comes. Once per iteration whoever
    /// asks: of a read that is put off only what this edge says is kept.
    fn read(&mut self, handle: Handle, to_the_end: bool) {
        if self.sockets.current(handle).is_none() {
            return;
        }
        if self.sockets.is_carried(handle) {
            self.sockets.carry(handle, to_the_end);
        } else if self.shard.is_shaking_hands(handle.slot) {
            self.sockets.carry(handle, to_the_end);
            self.handshakes.push_back(handle);
        } else {
            self.read_now(handle, to_the_end);
        }
    }

    /// Goes on with TLS handshakes, in portions and after everything else, so that a storm of them does not hurt those
    /// who play. What they answer leaves with the next iteration's flush.
    fn shake_hands(&mut self) {
        if self.handshakes.is_empty() {
            return;
        }
        let began = Instant::now();
        let slice = Duration::from_micros(HANDSHAKE_SLICE_US);
        for _ in 0..self.reactor.common.limits.tls_handshakes {
            let Some(handle) = self.handshakes.pop_front() else {
                break;
            };
            if let Some(to_the_end) = self.sockets.uncarry(handle) {
                self.read_now(handle, to_the_end);
            }
            if began.elapsed() >= slice {
                break;
            }
        }
    }

    /// Reads a socket. A short read ends the edge, so no second read is made to see
    /// `WouldBlock`; unless the peer has ended its side (`to_the_end`), for which there would be no further edge.
    fn read_now(&mut self, handle: Handle, to_the_end: bool) {
        let Some(stream) = self.sockets.current(handle) else {
            return;
        };
        if !self.shard.may_read(handle.slot) {
            return;
        }
        match stream.read(&mut self.buffer) {
            Ok(0) => self.shard.end_of_input(handle.slot),
            Ok(n) => {
                self.shard.receive(handle.slot, &mut self.buffer[..n]);
                if n == self.buffer.len() || to_the_end {
                    self.carry(handle, to_the_end);
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {}
                ErrorKind::Interrupted => self.carry(handle, to_the_end),
                _ => self.shard.failed(handle.slot),
            },
        }
    }

    /// Puts a read off to the next iteration.
    fn carry(&mut self, handle: Handle, to_the_end: bool) {
        if self.sockets.carry(handle, to_the_end) {
            self.carried.push(handle);
        }
    }

    /// The only place where sockets are written.
    fn flush(&mut self) {
        while let Some(slot) = self.shard.next_write() {
            let Some(mut stream) = self.sockets.get(slot) else {
                self.shard.wrote(Written::Failed);
                continue;
            };
            let result = self.shard.pending().with_slices(|slices| {
                loop {
                    let result = match slices {
                        [one] => stream.write(one),
                        many => stream.write_vectored(many),
                    };
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
        }
    }

    fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        self.shard.take_actions(&mut actions);
        for action in actions.drain(..) {
            match action {
                Action::ShutdownWrite(slot) => {
                    if let Some(stream) = self.sockets.get(slot)
                        && stream.shutdown(std::net::Shutdown::Write).is_err()
                    {
                        self.shard.failed(slot);
                    }
                }
                Action::HandOff {
                    slot,
                    home,
                    handover,
                } => self.hand_off(slot, home, handover),
            }
        }
        self.actions = actions;
        let mut slots = std::mem::take(&mut self.slots);
        self.shard.take_unpaused(&mut slots);
        // What edges came while they were paused is not remembered: such a read goes on until there is nothing left.
        // They have waited longest, so they come before those that filled the buffer in this iteration.
        let mut first = Vec::new();
        for slot in slots.drain(..) {
            if let Some(handle) = self.sockets.handle(slot)
                && self.sockets.carry(handle, true)
            {
                first.push(handle);
            }
        }
        if !first.is_empty() {
            first.append(&mut self.carried);
            self.carried = first;
        }
        self.slots = slots;
    }

    fn hand_off(&mut self, slot: u32, home: usize, handover: Box<Handover>) {
        let Some(mut stream) = self.sockets.take(slot) else {
            return;
        };
        // It can only fail for a descriptor that is not registered; the peer's poll would then be told the same.
        let _ = self.reactor.poll.registry().deregister(&mut stream);
        let undelivered = self.reactor.peers[home].send(Mail::Adopt(stream, handover));
        if let Err(Undelivered::Full(mail) | Undelivered::Gone(mail)) = undelivered
            && let Mail::Adopt(stream, handover) = mail
        {
            let slot = self.shard.refuse_hand_off(*handover);
            self.register(slot, stream);
        }
    }

    fn publish(&mut self, at_the_end: bool) {
        if at_the_end || self.now >= self.published_at + PUBLISH_EVERY_MS {
            // Whoever reads is done soon: only the last publication waits for that.
            let published = if at_the_end {
                Some(self.reactor.published.lock())
            } else {
                self.reactor.published.try_lock()
            };
            if let Some(mut published) = published {
                self.published_at = self.now;
                published.clone_from(self.shard.counters());
            }
        }
    }
}
