//! The shard: one reactor's whole state without I/O.
//!
//! Owns: connections, rooms, timers, and what is to be written next. It is handed bytes and the time, and answers with
//! bytes and [`Action`]s. Must not know: sockets, threads, where the time comes from. Invariant: whatever the input,
//! one connection ends at most, with exactly one [`DisconnectReason`].
//!
//! One iteration: [`advance`](Shard::advance), then any of [`accept`](Shard::accept), [`adopt`](Shard::adopt),
//! [`receive`](Shard::receive), [`end_of_input`](Shard::end_of_input), [`writable`](Shard::writable),
//! [`failed`](Shard::failed); then [`freeze`](Shard::freeze); then [`next_write`](Shard::next_write) /
//! [`pending`](Shard::pending) / [`wrote`](Shard::wrote) until there is nothing to write; then
//! [`expire`](Shard::expire) for the timers (what they ask to be written is written in the next iteration),
//! [`take_silent`](Shard::take_silent) and [`convict`](Shard::convict),
//! [`take_actions`](Shard::take_actions) and [`weighed`](Shard::weighed) until there are none, [`take_unpaused`](Shard::take_unpaused) and [`reap`](Shard::reap).

mod accounts;
mod admission;
mod announced;
mod asked;
mod connection;
mod counters;
mod deadlines;
mod disconnect;
mod ebb;
mod exchange;
mod farewells;
mod finding;
#[cfg(test)]
mod fixture;
mod flush;
mod gate;
mod guard;
mod handshake;
mod http2;
mod identity;
mod lifecycle;
mod links;
mod newcomers;
mod notices;
mod orders;
mod pages;
mod player;
mod pressure;
mod proxies;
mod pulse;
#[cfg(feature = "test-dialect")]
mod reattach;
mod receive;
mod remote;
mod residence;
mod secure;
mod sessions;
mod sources;
mod stock;
mod tickets;
mod unread;
mod v1;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use roomcast_protocol::frame::{Role, Rules};
use slab::Slab;

pub use self::accounts::Imbalance;
pub use self::asked::{Answer, EndRow, Figures, Page, PlayerRow, Question, RoomRow};
use self::connection::{Connection, Phase};
pub use self::counters::{BatchSizes, Counters, Pace};
pub use self::disconnect::{CloseReason, DisconnectReason, EndReason, Ends};
use self::ebb::Lingering;
use self::farewells::Farewells;
use self::finding::{Directory, Kind, Listed, Matches};
use self::flush::Flush;
pub use self::flush::{Pending, Written};
pub use self::gate::{Gate, HostName, Origin, can_be_rebound};
use self::guard::Guards;
pub use self::handshake::Handover;
pub use self::http2::Http2;
use self::http2::Streams;
pub use self::identity::{Addresses, Naming, RoomNames};
use self::links::Links;
use self::newcomers::Newcomers;
pub use self::newcomers::Unanswered;
use self::notices::Notices;
use self::orders::Orders;
pub use self::orders::{Command, Order};
use self::player::Player;
use self::pressure::Strains;
pub use self::proxies::{Network, Proxies};
use self::pulse::Pulse;
use self::remote::Remotes;
pub use self::remote::Word;
use self::residence::Residence;
pub use self::residence::{Bucket, Histogram, RoomResidence};
use self::sessions::Sessions;
pub use self::sources::Source;
use self::sources::{Bearers, Makers, Sources};
use self::stock::Stocktaking;
pub use self::stock::{AtDoor, Stock};
pub use self::tickets::{Bearer, Pass, Tickets};
use self::unread::Unread;
use self::v1::{Secrets, V1};
use crate::delivery::BatchPool;
use crate::limits::{
    BATCH_BYTES_MIN, BATCH_SHARE_OF_OUTBOX, FIRST_SLOTS, HANDSHAKE_RESERVE, Limits,
    SLOTS_GIVEN_BACK,
};
use crate::planted::{self, Fault};
use crate::room::{RoomId, Rooms};
use crate::timer::Wheel;
use crate::transport::{Acceptor, Security};

/// Set beside the order once a shard has begun to heed it.
const DRAIN_BEGUN: u64 = 1 << 63;

/// What every shard of the process shares: settings that only start-up writes, the count of players, what each address
/// has, and whether they have to go.
#[derive(Debug)]
pub struct Common {
    /// What the operator set.
    pub limits: Limits,
    /// Reactors of the process; a room's name decides which is its home.
    pub reactors: usize,
    /// For the ports that speak TLS.
    tls: Option<Acceptor>,
    /// Who judges tickets; without, everybody is let in.
    tickets: Option<Arc<dyn Tickets>>,
    /// By which names and from which pages a seat may be asked for.
    gate: Gate,
    /// Whether a game is served beside the start page.
    demo: bool,
    naming: Naming,
    /// Who is believed that says where a request comes from.
    proxies: Proxies,
    http2: Http2,
    sources: Sources,
    /// Somebody may ask how connections have ended.
    operated: bool,
    /// Tokens come from the seeds of the shards.
    seeded_secrets: bool,
    homes: RandomState,
    seated: AtomicUsize,
    /// Players that are away, and rooms that speak roomcast.v1.
    away: AtomicUsize,
    v1_rooms: AtomicUsize,
    /// Rooms that are listed, and what each reactor has published of them.
    listed: AtomicUsize,
    directory: Directory,
    connections: AtomicUsize,
    /// Connections that descriptors allow.
    connections_max: usize,
    pulse: Pulse,
    /// Milliseconds within which everyone has to go, and one more; 0 as long as nobody has to.
    drain: AtomicU64,
    /// Milliseconds from that order on until it is heeded.
    drain_delay: AtomicU32,
    /// Another process has the listeners.
    handed_over: AtomicBool,
}

impl Common {
    /// Settings for `reactors` shards.
    pub fn new(limits: Limits, reactors: usize) -> Self {
        Self {
            sources: Sources::new(limits.per_source),
            limits,
            reactors,
            tls: None,
            tickets: None,
            gate: Gate::default(),
            demo: false,
            naming: Naming::default(),
            proxies: Proxies::default(),
            http2: Http2::default(),
            operated: false,
            seeded_secrets: false,
            homes: RandomState::new(),
            seated: AtomicUsize::new(0),
            away: AtomicUsize::new(0),
            v1_rooms: AtomicUsize::new(0),
            listed: AtomicUsize::new(0),
            directory: Directory::new(reactors),
            connections: AtomicUsize::new(0),
            connections_max: usize::MAX,
            pulse: Pulse::new(reactors),
            drain: AtomicU64::new(0),
            drain_delay: AtomicU32::new(0),
            handed_over: AtomicBool::new(false),
        }
    }

    /// With what TLS needs, shared by all shards: so is the key of its session tickets.
    #[must_use]
    pub fn with_tls(mut self, acceptor: Acceptor) -> Self {
        self.tls = Some(acceptor);
        self
    }

    /// Nobody gets a seat any more but with a ticket that these let in.
    #[must_use]
    pub fn with_tickets(mut self, tickets: Arc<dyn Tickets>) -> Self {
        self.tickets = Some(tickets);
        self
    }

    /// With another gate than one that stands open.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// With the demo, a small game at /demo.
    #[must_use]
    pub fn with_demo(mut self, demo: bool) -> Self {
        self.demo = demo;
        self
    }

    /// These are believed that say where a request comes from.
    #[must_use]
    pub fn with_proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// With so many connections at most, in any phase: further ones would take the descriptors that others need.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// With somebody, or not, who may ask how connections have ended.
    #[must_use]
    pub fn with_operators(mut self, operated: bool) -> Self {
        self.operated = operated;
        self
    }

    fn is_operated(&self) -> bool {
        self.operated
    }

    /// With another way to name connections in log lines.
    #[must_use]
    pub fn with_naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// For simulations: the seed of a shard decides also what nobody may guess, the tokens of players above all.
    #[must_use]
    pub fn with_seeded_secrets(mut self) -> Self {
        self.seeded_secrets = true;
        self
    }

    /// The reactor that is home to a room. Keyed, so that peers can't choose names that crowd one reactor.
    pub fn home(&self, room: &str) -> usize {
        (self.homes.hash_one(room) % self.reactors as u64) as usize
    }

    /// The reactor that knows who was sent where of those who want to play this. Keyed, as homes are.
    fn owner(&self, kind: &Kind) -> usize {
        (self.homes.hash_one(kind) % self.reactors as u64) as usize
    }

    /// Seated connections of the whole process.
    pub fn seated(&self) -> usize {
        self.seated.load(Ordering::Relaxed)
    }

    /// Connections of the whole process that have sockets, in any phase.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Whether the process has as many connections as it may, with those that shake hands or are told 503.
    pub fn is_crowded(&self) -> bool {
        let most = self.limits.max_connections + HANDSHAKE_RESERVE;
        self.connections() >= most.min(self.connections_max)
    }

    /// Whether there is a seat left, as of this moment.
    fn is_full(&self) -> bool {
        self.seated() >= self.limits.max_connections
    }

    /// Orders every shard to say goodbye to its players within `spread_ms`, each in its next iteration. A second order
    /// changes nothing.
    pub fn order_drain(&self, spread_ms: u32) {
        let order = u64::from(spread_ms) + 1;
        let _ = self
            .drain
            .compare_exchange(0, order, Ordering::Release, Ordering::Relaxed);
    }

    /// The same, to be heeded in `delay_ms`. Until then only `/readyz` says it, so that whoever balances by that sends nobody
    /// new, and nobody who is on the way is turned away.
    pub fn order_drain_after(&self, delay_ms: u32, spread_ms: u32) {
        if self.drain_ordered().is_none() {
            self.drain_delay.store(delay_ms, Ordering::Relaxed);
        }
        self.order_drain(spread_ms);
    }

    /// Milliseconds from that order until it is heeded.
    pub fn drain_delay(&self) -> u32 {
        self.drain_delay.load(Ordering::Relaxed)
    }

    /// Orders every reactor to leave its listeners to another process, in its next iteration.
    pub fn hand_doors_over(&self) {
        self.handed_over.store(true, Ordering::Relaxed);
    }

    /// Whether that has been ordered.
    pub fn doors_are_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// Within how many milliseconds everyone has to go, if that has been ordered.
    pub fn drain_ordered(&self) -> Option<u32> {
        let order = self.drain.load(Ordering::Acquire) & !DRAIN_BEGUN;
        order.checked_sub(1).map(|spread_ms| spread_ms as u32)
    }

    /// A shard begins to heed the order. False if it has been revoked meanwhile.
    pub fn begin_drain(&self) -> bool {
        let begin = |order| (order != 0).then_some(order | DRAIN_BEGUN);
        self.drain
            .try_update(Ordering::AcqRel, Ordering::Acquire, begin)
            .is_ok()
    }

    /// Takes the order back, unless a shard has begun to heed it, another process has the doors, or there is none.
    pub fn revoke_drain(&self) -> bool {
        // Nor may it stay without doors.
        let begun = |order| order & DRAIN_BEGUN != 0 || self.doors_are_handed_over();
        let revoke = |order| (order != 0 && !begun(order)).then_some(0);
        self.drain
            .try_update(Ordering::AcqRel, Ordering::Acquire, revoke)
            .is_ok()
    }

    /// A note of when this reactor has last finished an iteration: another one each time.
    pub fn beat_of(&self, reactor: usize) -> u64 {
        self.pulse.last(reactor)
    }

    /// A room as log lines name it.
    pub fn logged_room(&self, name: &str) -> String {
        self.naming.room(name)
    }

    /// An address as log lines name it.
    pub fn logged_address(&self, address: IpAddr) -> String {
        self.naming.address(address).to_string()
    }

    fn take_seat(&self) -> bool {
        let limit = self.limits.max_connections;
        self.seated
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < limit).then_some(n + 1)
            })
            .is_ok()
    }

    fn return_seat(&self) {
        self.seated.fetch_sub(1, Ordering::Relaxed);
    }

    /// Players of the whole process that have lost their connection and may come back.
    pub fn away(&self) -> usize {
        self.away.load(Ordering::Relaxed)
    }

    fn take_away(&self) -> bool {
        take_one(&self.away, self.limits.max_away)
    }

    fn return_away(&self) {
        self.away.fetch_sub(1, Ordering::Relaxed);
    }

    /// Rooms of the whole process that speak roomcast.v1 and have players.
    pub fn v1_rooms(&self) -> usize {
        self.v1_rooms.load(Ordering::Relaxed)
    }

    fn take_room(&self) -> bool {
        take_one(&self.v1_rooms, self.limits.max_rooms)
    }

    fn return_room(&self) {
        self.v1_rooms.fetch_sub(1, Ordering::Relaxed);
    }

    /// Rooms of the whole process that are listed.
    pub fn listed(&self) -> usize {
        self.listed.load(Ordering::Relaxed)
    }

    fn take_listing(&self) -> bool {
        take_one(&self.listed, self.limits.listed_rooms)
    }

    fn return_listing(&self) {
        self.listed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that a room gathers at most before its senders are read no further.
fn gathered_max(limits: &Limits) -> usize {
    (limits.outbox_bytes_max / BATCH_SHARE_OF_OUTBOX).max(BATCH_BYTES_MIN)
}

/// Counts one more, unless there are as many as there may be.
fn take_one(counted: &AtomicUsize, limit: usize) -> bool {
    let one_more = |n| (n < limit).then_some(n + 1);
    counted
        .try_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
        .is_ok()
}

/// What only the reactor can do.
#[derive(Debug)]
pub enum Action {
    /// Everything was written: end our side of TCP.
    ShutdownWrite(u32),
    /// Tell [`Shard::weighed`] what the kernel holds for this slot that its peer has not acknowledged.
    Weigh(u32),
    /// Take the socket from this slot and give it to another reactor, with what it needs to go on.
    HandOff {
        /// The slot here, free after this iteration.
        slot: u32,
        /// The reactor that is home to the room.
        home: usize,
        /// What the other shard needs.
        handover: Box<Handover>,
    },
    /// Tell [`Shard::hear_word`] of another reactor this, in order; [`Shard::unsaid`], if that has ended.
    Say {
        /// To which.
        reactor: usize,
        /// What.
        word: Word,
    },
}

/// How far a handshake is that costs much: that of TLS, or a request head with a ticket. And when it must be complete (ms).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// Nothing has been read, and nothing is kept for it.
    Beginning(u64),
    /// There is a session that is not agreed on, or a part of a head.
    Begun(u64),
}

/// All state of one reactor.
#[derive(Debug)]
pub struct Shard {
    common: Arc<Common>,
    index: usize,
    rules: Rules,
    /// A room's open batch is not read into beyond this many bytes.
    batch_bytes: usize,
    /// Milliseconds, monotonic.
    now: u64,
    /// Milliseconds by the clock on the wall, which all reactors share to within some milliseconds.
    real: u64,
    connections: Slab<Connection>,
    players: Slab<Player>,
    /// Most connections since nobody was here.
    peak: usize,
    rooms: Rooms,
    v1: V1,
    strains: Strains,
    unread: Unread,
    sessions: Sessions,
    remotes: Remotes,
    streams: Streams,
    links: Links,
    guards: Guards,
    bearers: Bearers,
    makers: Makers,
    /// Rooms of this shard that are listed, and whom it has sent where.
    listed: Listed,
    matches: Matches,
    pool: BatchPool,
    /// Which connection has to be looked at, and when.
    timers: Wheel,
    /// Which player, and when; only who is behind or away has a timer.
    player_timers: Wheel,
    expired: Vec<u32>,
    /// Rooms with an open batch.
    dirty: Vec<RoomId>,
    frozen_at: u64,
    flush: Flush,
    actions: Vec<Action>,
    unpaused: Vec<u32>,
    /// Who seems to have been silent for too long, or late with its request head or join.
    silent: Vec<u32>,
    dead: Vec<u32>,
    draining: bool,
    /// What was opened of one read.
    plain: Vec<u8>,
    newcomers: Newcomers,
    notices: Notices,
    farewells: Farewells,
    lingering: Lingering,
    orders: Orders,
    residence: Residence,
    stocktaking: Stocktaking,
    random: fastrand::Rng,
    counters: Counters,
}

impl Shard {
    /// The shard number `index` of `common.reactors`, whose time begins at `now` (ms). `seed` decides the jitter.
    pub fn new(common: Arc<Common>, index: usize, now: u64, seed: u64) -> Self {
        let limits = &common.limits;
        let mut random = fastrand::Rng::with_seed(seed);
        let secrets = if common.seeded_secrets {
            Secrets::Seeded(random.fork())
        } else {
            Secrets::System
        };
        Self {
            index,
            rules: Rules {
                role: Role::Server,
                max_message: limits.max_message,
            },
            batch_bytes: gathered_max(limits),
            now,
            real: now,
            connections: Slab::with_capacity(FIRST_SLOTS),
            players: Slab::with_capacity(FIRST_SLOTS),
            peak: 0,
            rooms: Rooms::new(RandomState::new()),
            v1: V1::new(limits, common.reactors, now, secrets),
            strains: Strains::default(),
            unread: Unread::default(),
            sessions: Sessions::default(),
            remotes: Remotes::new(common.reactors),
            streams: Streams::default(),
            links: Links::new(common.reactors),
            guards: Guards::default(),
            bearers: Bearers::default(),
            makers: Makers::default(),
            listed: Listed::default(),
            matches: Matches::default(),
            pool: BatchPool::default(),
            timers: Wheel::with_capacity(now, FIRST_SLOTS),
            player_timers: Wheel::new(now),
            expired: Vec::new(),
            dirty: Vec::new(),
            frozen_at: 0,
            flush: Flush::default(),
            actions: Vec::new(),
            unpaused: Vec::new(),
            silent: Vec::new(),
            dead: Vec::new(),
            draining: false,
            plain: Vec::new(),
            newcomers: Newcomers::default(),
            notices: Notices::default(),
            farewells: Farewells::default(),
            lingering: Lingering::default(),
            orders: Orders::default(),
            residence: Residence::default(),
            stocktaking: Stocktaking::default(),
            random,
            counters: Counters::default(),
            common,
        }
    }

    /// Begins an iteration at `now` (ms, never less than before), which lags behind `real` time where the process stood
    /// still. What happens between peers and us goes by `now`, what others see of us by `real`.
    pub fn advance(&mut self, now: u64, real: u64) {
        debug_assert!(now >= self.now, "time does not run backwards");
        self.now = now;
        self.real = real;
    }

    fn insert(&mut self, connection: Connection) -> u32 {
        if !connection.carried {
            self.common.connections.fetch_add(1, Ordering::Relaxed);
        }
        let slot = self.connections.insert(connection);
        self.peak = self.peak.max(self.connections.len());
        slot as u32
    }

    /// Whether what comes from this socket is a player's.
    #[inline]
    pub fn is_playing(&self, slot: u32) -> bool {
        matches!(self.connections[slot as usize].phase, Phase::Open(_))
    }

    /// How far a handshake is that the next bytes of this socket go into, if they do. Its steps cost a thousand times what a
    /// message does, and so does a ticket's signature, forged or not: the reactor rations such reads.
    pub fn handshake(&self, slot: u32) -> Option<Handshake> {
        let connection = &self.connections[slot as usize];
        let left = connection.deadline.wrapping_sub(self.now32()) as i32;
        let deadline = self.now + left.max(0) as u64;
        match connection.phase {
            Phase::Announced(..) => None,
            Phase::Hello => Some(Handshake::Beginning(deadline)),
            _ if connection.is_shaking_hands() => Some(Handshake::Begun(deadline)),
            _ if self.common.tickets.is_none() => None,
            Phase::Handshake(None) if matches!(connection.security, Security::Plain) => {
                Some(Handshake::Beginning(deadline))
            }
            Phase::Handshake(_) | Phase::Answered => Some(Handshake::Begun(deadline)),
            Phase::Exchange(ref exchange) if exchange.may_bring_ticket() => {
                Some(Handshake::Begun(deadline))
            }
            // Each of its requests may bring one.
            Phase::Http2(_) => Some(Handshake::Begun(deadline)),
            _ => None,
        }
    }

    /// The socket can take bytes again.
    pub fn writable(&mut self, slot: u32) {
        if !self.v1.impairments.unstick(slot) {
            self.takes_again(slot);
        }
    }

    /// What is written for this connection leaves again.
    fn takes_again(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        connection.writable = true;
        if !self.is_clear(slot) || self.is_owed(slot) {
            self.list(slot);
        }
    }

    /// When the shard wants to be woken without input (ms), `None` if never.
    pub fn next_deadline(&self) -> Option<u64> {
        let timers = [&self.timers, &self.player_timers, self.v1.timers()];
        let timer = timers.into_iter().filter_map(Wheel::next_deadline);
        let others = [
            self.strains.look_at(),
            self.v1.impairments.next(),
            self.listed.due(),
            self.v1.next_tick(),
        ];
        let timer = timer.chain(others.into_iter().flatten()).min();
        if self.dirty.is_empty() && !self.v1.has_dirty() {
            return timer;
        }
        let freeze = self.frozen_at + u64::from(self.common.limits.flush_interval_ms);
        Some(timer.map_or(freeze, |timer| timer.min(freeze)))
    }

    /// Work was carried over to the next iteration: do not sleep.
    pub fn has_work(&self) -> bool {
        self.flush.has_work()
            || self.v1.has_work()
            || self.sessions.has_work()
            || self.streams.has_work()
    }

    /// What the reactor has to do; empties the list.
    pub fn take_actions(&mut self, into: &mut Vec<Action>) {
        into.append(&mut self.actions);
    }

    /// Slots whose peers seem to have been silent for too long, or late with a request head or join; empties the list. Each is
    /// to be read once, and [convicted](Shard::convict).
    pub fn take_silent(&mut self, into: &mut Vec<u32>) {
        into.append(&mut self.silent);
    }

    /// Frees what died, after everyone has stopped pointing at it, and names each slot once.
    pub fn reap(&mut self, mut freed: impl FnMut(u32)) {
        self.counters.pinned = self.pool.pinned() as u64;
        self.counters.lingering = self.lingering.len() as u64;
        let Self {
            dead,
            connections,
            timers,
            common,
            farewells,
            unread,
            guards,
            bearers,
            real,
            v1,
            ..
        } = self;
        dead.retain(|&slot| {
            // The next flush points at it, and takes it off its list.
            let connection = &connections[slot as usize];
            if connection.listed {
                return true;
            }
            if planted::is(Fault::LeakedSlot) && !connection.outbox.is_clear() {
                return false;
            }
            timers.disarm(slot);
            unread.forget(slot);
            guards.forget(slot);
            v1.impairments.remove(slot);
            let connection = connections.remove(slot as usize);
            bearers.depart(slot, &connection, &common.sources, *real);
            farewells.say(slot, &connection, common, *real);
            if !connection.carried {
                common.connections.fetch_sub(1, Ordering::Relaxed);
            }
            freed(slot);
            false
        });
        self.counters.rooms = self.rooms() as u64;
        self.common.pulse.beat(self.index, self.real);
        let nobody = self.connections.is_empty() && self.players.is_empty();
        if nobody && self.peak > SLOTS_GIVEN_BACK {
            self.connections = Slab::with_capacity(FIRST_SLOTS);
            self.players = Slab::with_capacity(FIRST_SLOTS);
            self.peak = 0;
        }
    }

    /// Connections in any phase.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Rooms with members.
    pub fn rooms(&self) -> usize {
        self.rooms.len() + self.v1.rooms.len()
    }

    /// Bytes of what was said lately in roomcast.v1 rooms.
    pub fn logged(&self) -> usize {
        self.v1.log_bytes()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Brings those counters up to date that nobody keeps while things change: for who publishes them now and then.
    pub fn take_stock(&mut self) {
        self.counters.logged = self.logged() as u64;
        self.counters.snapshots = self.v1.snapshots() as u64;
        (self.counters.pressing, self.counters.paused) = self.strains.sums();
        self.counters.spare = self.pool.spare() as u64;
        self.look_at_connections();
        self.forget_unasked();
    }

    /// Whether the connection in this slot is a player: past its handshake, not yet closing.
    pub fn is_seated(&self, slot: u32) -> bool {
        let connection = self.connections.get(slot as usize);
        connection.is_some_and(|connection| matches!(connection.phase, Phase::Open(_)))
    }

    /// Why the connection in this slot ends, once it does.
    pub fn reason(&self, slot: u32) -> Option<DisconnectReason> {
        self.connections.get(slot as usize)?.reason
    }

    /// Whether nothing waits for this connection, nor for its player.
    fn is_clear(&self, slot: u32) -> bool {
        let connection = &self.connections[slot as usize];
        connection.outbox.is_clear()
            && match connection.phase {
                Phase::Open(player) => self.players[player as usize].lanes.is_clear(),
                _ => true,
            }
    }

    /// Puts a connection on the list of the next flush.
    fn list(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !connection.listed {
            connection.listed = true;
            self.flush.listed.push(slot);
        }
    }

    fn now32(&self) -> u32 {
        self.now as u32
    }
}
