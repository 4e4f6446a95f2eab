//! Sources: how much of the process one address has, or one bearer of tickets.
//!
//! Owns: the counts of all connections and rooms by where they come from, and what is too much. Must not know: sockets,
//! requests. Invariants: this is the only table that all reactors write, and it is locked when a connection comes, is
//! seated or ends, never for a message; nobody is locked out because it is full: who is here is always counted (so the
//! process's own bounds bound it), and of who is gone the oldest is forgotten first.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use parking_lot::Mutex;
use roomcast_protocol::upgrade::Refusal;

use super::connection::Connection;
use super::notices::Notice;
use super::tickets::{Bearer, Pass};
use super::{CloseReason, Common, EndReason, Shard};
use crate::limits::{
    PerSource, SOURCE_JOINS_SECONDS, SOURCE_NOTED, SOURCE_SHARES, SOURCES_GONE, SOURCES_PER_SITE,
};
use crate::room::v1::RoomId;

/// Thousandths, so that no millisecond is lost.
const WHOLE: u64 = 1_000;

/// Who something counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Who has no ticket.
    Address(IpAddr),
    /// Whose ticket it is, as a keyed hash.
    Bearer(u64),
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    V4([u8; 4]),
    /// A /64: what one household or one phone has, in which it takes any address that it likes.
    Network([u8; 8]),
    /// A /48: what one customer may get, networks by the thousand.
    Site([u8; 6]),
    Bearer([u8; 8]),
}

impl Source {
    fn of(bearer: Bearer) -> Self {
        Self::Bearer(bearer.sub)
    }

    /// Under which it is counted alone.
    pub(super) fn own_key(self) -> Key {
        match self {
            Self::Bearer(hash) => Key::Bearer(hash.to_be_bytes()),
            Self::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => Key::V4(address.octets()),
                IpAddr::V6(address) => {
                    let [a, b, c, d, e, f, g, h, ..] = address.octets();
                    Key::Network([a, b, c, d, e, f, g, h])
                }
            },
        }
    }

    /// Under which it is counted, and how many times as much each of these may have.
    fn keys(self) -> impl Iterator<Item = (Key, u32)> {
        let own = self.own_key();
        let site = match own {
            Key::Network([a, b, c, d, e, f, ..]) => Some(Key::Site([a, b, c, d, e, f])),
            Key::V4(_) | Key::Site(_) | Key::Bearer(_) => None,
        };
        let site = site.map(|site| (site, SOURCES_PER_SITE));
        [Some((own, 1)), site].into_iter().flatten()
    }
}

/// Too much of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// Connections with a seat, or that had one and have not ended.
    Connections,
    /// Joins within the last seconds.
    Joins,
}

impl Excess {
    /// What is answered.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Connections => Refusal::AddressConnections,
            Self::Joins => Refusal::AddressJoins,
        }
    }

    /// What is counted.
    pub(super) fn reason(self) -> EndReason {
        match self {
            Self::Connections => EndReason::AddressConnections,
            Self::Joins => EndReason::AddressJoins,
        }
    }
}

/// As what a connection counts for its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Its source is not bounded, or not known.
    Not,
    /// It has no seat.
    Unseated,
    /// It has one, or had one.
    Seated,
}

/// What one key has.
#[derive(Debug, Default)]
struct Account {
    unseated: u32,
    seated: u32,
    rooms: u32,
    /// Joins, in thousandths, that are missing in the bucket, as of `joined_at` (ms). It is full at first.
    missing: u64,
    joined_at: u64,
}

impl Account {
    fn missing(&self, per_second: u32, now: u64) -> u64 {
        let filled = now.saturating_sub(self.joined_at) * u64::from(per_second);
        self.missing.saturating_sub(filled)
    }

    /// Takes a join from the bucket.
    fn join(&mut self, per_second: u32, now: u64) {
        self.missing = self.missing(per_second, now) + WHOLE;
        self.joined_at = now;
    }

    fn is_gone(&self) -> bool {
        self.unseated == 0 && self.seated == 0 && self.rooms == 0
    }
}

/// A part of the table.
#[derive(Debug, Default)]
struct Share {
    accounts: HashMap<Key, Account>,
    /// Who has gone lately and is remembered for its joins, and when (ms); some of them have come back since.
    gone: VecDeque<(Key, u64)>,
}

impl Share {
    /// The last of somebody has gone: nothing is kept of it but joins.
    fn forget(&mut self, key: Key, per_second: u32, now: u64) {
        let Some(account) = self.accounts.get(&key).filter(|account| account.is_gone()) else {
            return;
        };
        if account.missing(per_second, now) == 0 {
            self.accounts.remove(&key);
        } else {
            self.gone.push_back((key, now));
        }
        while let Some(&(key, at)) = self.gone.front() {
            let full = self.gone.len() > SOURCES_GONE / SOURCE_SHARES;
            if !full && now < at + SOURCE_JOINS_SECONDS * WHOLE {
                break;
            }
            self.gone.pop_front();
            // If it came back and joined, it stands further behind once more.
            let forgotten = |account: &Account| {
                account.is_gone() && (full || account.missing(per_second, now) == 0)
            };
            if self.accounts.get(&key).is_some_and(forgotten) {
                self.accounts.remove(&key);
            }
        }
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Sources {
    most: PerSource,
    shares: [Mutex<Share>; SOURCE_SHARES],
    hasher: RandomState,
}

impl Sources {
    /// Nobody is here.
    pub(super) fn new(most: PerSource) -> Self {
        Self {
            most,
            shares: Default::default(),
            hasher: RandomState::new(),
        }
    }

    /// Who a connection from this address counts for; nobody, if it is not known or not bounded.
    pub(super) fn at(&self, peer: Option<IpAddr>) -> Option<Source> {
        let address = peer?.to_canonical();
        let bounded = self.most.loopback_too || !address.is_loopback();
        bounded.then_some(Source::Address(address))
    }

    fn share(&self, key: Key) -> &Mutex<Share> {
        &self.shares[self.hasher.hash_one(key) as usize % SOURCE_SHARES]
    }

    fn of(&self, key: Key, look: impl FnOnce(&Account) -> bool) -> bool {
        self.share(key).lock().accounts.get(&key).is_some_and(look)
    }

    /// Whether there are so many connections of it without a seat that another is not even heard.
    pub(super) fn is_thronged(&self, source: Source) -> bool {
        source.keys().any(|(key, times)| {
            let most = self.most.unseated.saturating_mul(times);
            self.of(key, |account| account.unseated >= most)
        })
    }

    /// One more connection without a seat.
    pub(super) fn arrive(&self, source: Source) {
        for (key, _) in source.keys() {
            let mut share = self.share(key).lock();
            share.accounts.entry(key).or_default().unseated += 1;
        }
    }

    /// Whether another player of it would be too much. (As several reactors may ask at once, each may seat one more.)
    pub(super) fn excess(&self, source: Source, now: u64) -> Option<Excess> {
        let most = &self.most;
        source.keys().find_map(|(key, times)| {
            let share = self.share(key).lock();
            let account = share.accounts.get(&key)?;
            if account.seated >= most.connections.saturating_mul(times) {
                return Some(Excess::Connections);
            }
            let missing = account.missing(most.joins_per_second.saturating_mul(times), now);
            let burst = u64::from(most.joins_per_second) * SOURCE_JOINS_SECONDS * u64::from(times);
            (missing + WHOLE > burst * WHOLE).then_some(Excess::Joins)
        })
    }

    /// One more player. Returns how many connections of it have a seat.
    pub(super) fn seat(&self, source: Source, now: u64) -> u32 {
        let mut seats = 0;
        for (key, times) in source.keys() {
            let mut share = self.share(key).lock();
            let account = share.accounts.entry(key).or_default();
            account.seated += 1;
            account.join(self.most.joins_per_second.saturating_mul(times), now);
            seats = seats.max(account.seated);
        }
        seats
    }

    /// It asks where to play: that counts as a join, so that nobody asks more often than it may join.
    pub(super) fn ask(&self, source: Source, now: u64) {
        for (key, times) in source.keys() {
            let per_second = self.most.joins_per_second.saturating_mul(times);
            let mut share = self.share(key).lock();
            share.accounts.entry(key).or_default().join(per_second, now);
            share.forget(key, per_second, now);
        }
    }

    /// It makes a room. False if it has made too many.
    fn make_room(&self, source: Source) -> bool {
        let full = source.keys().any(|(key, times)| {
            let most = self.most.rooms.saturating_mul(times);
            self.of(key, |account| account.rooms >= most)
        });
        if !full {
            for (key, _) in source.keys() {
                let mut share = self.share(key).lock();
                share.accounts.entry(key).or_default().rooms += 1;
            }
        }
        !full
    }

    /// A room that it made is gone.
    fn unmake_room(&self, source: Source, now: u64) {
        self.less(source, now, |account| &mut account.rooms);
    }

    /// A connection that counted like this counts no longer.
    pub(super) fn depart(&self, source: Source, counted: Counted, now: u64) {
        match counted {
            Counted::Not => {}
            Counted::Unseated => self.less(source, now, |account| &mut account.unseated),
            Counted::Seated => self.less(source, now, |account| &mut account.seated),
        }
    }

    fn less(&self, source: Source, now: u64, count: fn(&mut Account) -> &mut u32) {
        for (key, times) in source.keys() {
            let mut share = self.share(key).lock();
            if let Some(account) = share.accounts.get_mut(&key) {
                let count = count(account);
                *count = count.saturating_sub(1);
            }
            share.forget(key, self.most.joins_per_second.saturating_mul(times), now);
        }
    }
}

/// Whose tickets the connections of a shard have, by slots.
#[derive(Debug, Default)]
pub(super) struct Bearers {
    by_slot: HashMap<u32, Bearer>,
    /// Of the tickets that were last looked through for some that were taken back.
    edition: u64,
}

impl Bearers {
    /// Who the connection in this slot counts for, as long as it does.
    pub(super) fn source(
        &self,
        slot: u32,
        connection: &Connection,
        sources: &Sources,
    ) -> Option<Source> {
        let address = sources.at(connection.who.peer());
        match connection.counted {
            Counted::Not => None,
            Counted::Unseated => address,
            Counted::Seated => self.of(slot).map(Source::of).or(address),
        }
    }

    /// The connection that was in this slot is gone.
    pub(super) fn depart(
        &mut self,
        slot: u32,
        connection: &Connection,
        sources: &Sources,
        now: u64,
    ) {
        if let Some(source) = self.source(slot, connection, sources) {
            sources.depart(source, connection.counted, now);
        }
        if !self.by_slot.is_empty() {
            self.by_slot.remove(&slot);
        }
    }

    fn of(&self, slot: u32) -> Option<Bearer> {
        self.by_slot.get(&slot).copied()
    }
}

/// Who has made the rooms of a shard that speak roomcast.v1, if that is counted.
#[derive(Debug, Default)]
pub(super) struct Makers(HashMap<RoomId, Source>);

impl Makers {
    /// A room begins its life.
    ///
    /// # Errors
    ///
    /// There are too many of its maker's, or of all.
    pub(super) fn make(
        &mut self,
        room: RoomId,
        maker: Option<Source>,
        common: &Common,
    ) -> Result<(), CloseReason> {
        if !common.take_room() {
            return Err(CloseReason::TooManyRooms);
        }
        let Some(maker) = maker else { return Ok(()) };
        if !common.sources.make_room(maker) {
            common.return_room();
            return Err(CloseReason::AddressRooms);
        }
        self.0.insert(room, maker);
        Ok(())
    }

    /// It has ended.
    pub(super) fn unmake(&mut self, room: RoomId, common: &Common, now: u64) {
        common.return_room();
        if let Some(maker) = self.0.remove(&room) {
            common.sources.unmake_room(maker, now);
        }
    }
}

impl Shard {
    /// Whether a connection from this address is to be closed as it comes: too many from there have no seat.
    pub fn turns_away(&mut self, peer: Option<IpAddr>) -> bool {
        let sources = &self.common.sources;
        let thronged = self
            .newcomer_at(peer)
            .is_some_and(|source| sources.is_thronged(source));
        self.counters.thronged += u64::from(thronged);
        thronged
    }

    /// Who a connection from this address counts for before it has a seat. Those of a proxy are many people's: whose each of
    /// them is, its request says.
    fn newcomer_at(&self, peer: Option<IpAddr>) -> Option<Source> {
        let is_proxy = peer.is_some_and(|peer| self.common.proxies.trust(peer));
        self.common.sources.at(peer).filter(|_| !is_proxy)
    }

    /// The connection in this slot has no seat yet, or does not get one.
    pub(super) fn count_newcomer(&mut self, slot: u32) {
        let peer = self.connections[slot as usize].who.peer();
        if let Some(source) = self.newcomer_at(peer) {
            self.common.sources.arrive(source);
            self.connections[slot as usize].counted = Counted::Unseated;
        }
    }

    /// The same, unless it does already.
    pub(super) fn count_again(&mut self, slot: u32) {
        if self.connections[slot as usize].counted == Counted::Not {
            self.count_newcomer(slot);
        }
    }

    /// The connection in this slot has no seat, and counts no longer.
    pub(super) fn count_no_longer(&mut self, slot: u32) {
        let before = self.take_source(slot);
        self.depart(before, Counted::Unseated);
    }

    /// Who the connection in this slot would count for with a seat.
    fn source(&self, slot: u32, pass: Pass) -> Option<Source> {
        let peer = self.connections[slot as usize].who.peer();
        let bearer = pass.bearer.map(Source::of);
        bearer.or_else(|| self.common.sources.at(peer))
    }

    /// What there is too much of for the connection in this slot to get a seat.
    pub(super) fn excess(&self, slot: u32, pass: Pass) -> Option<Excess> {
        let source = self.source(slot, pass)?;
        self.common.sources.excess(source, self.real)
    }

    /// The connection in this slot asks where to play.
    pub(super) fn count_question(&self, slot: u32, pass: Pass) {
        if let Some(source) = self.source(slot, pass) {
            self.common.sources.ask(source, self.real);
        }
    }

    /// The connection in this slot gets a seat.
    pub(super) fn count_player(&mut self, slot: u32, pass: Pass) {
        self.count_no_longer(slot);
        let source = self.source(slot, pass);
        self.count_adopted(slot, source, pass.bearer);
        let Some(source) = source else { return };
        let seats = self.common.sources.seat(source, self.real);
        let most_of_all = seats as usize * 2 > self.common.seated();
        if matches!(source, Source::Address(_)) && seats >= SOURCE_NOTED && most_of_all {
            self.tell(Notice::OneAddress(seats), slot);
        }
    }

    /// The connection in this slot counts as one with a seat, for this source, and has this bearer's ticket.
    pub(super) fn count_adopted(
        &mut self,
        slot: u32,
        source: Option<Source>,
        bearer: Option<Bearer>,
    ) {
        let connection = &mut self.connections[slot as usize];
        if source.is_some() {
            connection.counted = Counted::Seated;
        }
        if let Some(bearer) = bearer {
            self.bearers.by_slot.insert(slot, bearer);
        }
    }

    /// What counted like this for a source counts no longer.
    pub(super) fn depart(&self, source: Option<Source>, counted: Counted) {
        if let Some(source) = source {
            self.common.sources.depart(source, counted, self.real);
        }
    }

    /// Ends those whose tickets have been taken back since this was last asked.
    pub(super) fn heed_revocations(&mut self) {
        let Some(tickets) = &self.common.tickets else {
            return;
        };
        let edition = tickets.edition();
        if std::mem::replace(&mut self.bearers.edition, edition) == edition {
            return;
        }
        let bearers = self.bearers.by_slot.iter();
        let revoked = bearers.filter(|(_, bearer)| tickets.is_revoked(**bearer));
        let slots: Vec<u32> = revoked.map(|(slot, _)| *slot).collect();
        for slot in slots {
            self.end_revoked(slot);
        }
    }

    /// A connection was adopted: its ticket may have been taken back while it was on its way.
    pub(super) fn look_at_ticket(&mut self, slot: u32) {
        let tickets = self.common.tickets.as_ref();
        let bearer = self.bearers.of(slot);
        if tickets
            .zip(bearer)
            .is_some_and(|(tickets, bearer)| tickets.is_revoked(bearer))
        {
            self.end_revoked(slot);
        }
    }

    /// Whose ticket the connection in this slot has, or else where it comes from, bounded or not.
    pub(super) fn bearer_or_address(&self, slot: u32) -> Option<Source> {
        let address = self.connections[slot as usize].who.peer();
        let bearer = self.bearers.of(slot).map(Source::of);
        bearer.or(address.map(Source::Address))
    }

    fn end_revoked(&mut self, slot: u32) {
        if self.is_seated(slot) {
            self.close(slot, CloseReason::Revoked);
        }
    }

    /// Who the connection in this slot counted for: it does so no longer.
    pub(super) fn take_source(&mut self, slot: u32) -> Option<Source> {
        let connection = &mut self.connections[slot as usize];
        let source = self.bearers.source(slot, connection, &self.common.sources);
        connection.counted = Counted::Not;
        self.bearers.by_slot.remove(&slot);
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: PerSource = PerSource {
        connections: 3,
        unseated: 2,
        joins_per_second: 10,
        rooms: 2,
        loopback_too: false,
    };

    fn at(address: &str) -> Source {
        Source::Address(address.parse().unwrap())
    }

    impl Sources {
        /// Whoever goes tidies up.
        fn forget_all_gone(&self, now: u64) {
            for end in 1..=254 {
                let other = at(&format!("198.51.100.{end}"));
                self.arrive(other);
                self.depart(other, Counted::Unseated, now);
            }
        }
    }

    fn remembered(sources: &Sources) -> usize {
        let shares = sources.shares.iter();
        shares.map(|share| share.lock().accounts.len()).sum()
    }

    #[test]
    fn what_one_address_has_is_no_matter_of_another() {
        let sources = Sources::new(MOST);
        let (one, other) = (at("203.0.113.1"), at("203.0.113.2"));
        for _ in 0..3 {
            assert_eq!(sources.excess(one, 0), None);
            sources.seat(one, 0);
        }
        assert_eq!(sources.excess(one, 0), Some(Excess::Connections));
        assert_eq!(
            sources.excess(at("::ffff:203.0.113.1"), 0),
            Some(Excess::Connections)
        );
        assert_eq!(sources.excess(other, 0), None);
        assert_eq!(sources.excess(Source::Bearer(7), 0), None);
        sources.depart(one, Counted::Seated, 0);
        assert_eq!(sources.excess(one, 0), None);
    }

    #[test]
    fn ipv6_counts_by_network_and_by_site() {
        let sources = Sources::new(MOST);
        let network = |network: u32, host: u32| at(&format!("2001:db8:1:{network:x}::{host:x}"));
        for host in 0..3 {
            sources.seat(network(0, host), 0);
        }
        assert_eq!(sources.excess(network(0, 9), 0), Some(Excess::Connections));
        for other in 1..4 {
            for host in 0..3 {
                assert_eq!(sources.excess(network(other, host), 0), None);
                sources.seat(network(other, host), 0);
            }
        }
        assert_eq!(sources.excess(network(9, 0), 0), Some(Excess::Connections));
        assert_eq!(sources.excess(at("2001:db8:2::"), 0), None);
    }

    #[test]
    fn joins_come_again_with_time_also_for_who_was_gone() {
        let sources = Sources::new(MOST);
        let one = at("203.0.113.1");
        for _ in 0..20 {
            assert_eq!(sources.excess(one, 0), None);
            sources.seat(one, 0);
            sources.depart(one, Counted::Seated, 0);
        }
        assert_eq!(sources.excess(one, 0), Some(Excess::Joins));
        assert_eq!(sources.excess(one, 99), Some(Excess::Joins));
        assert_eq!(sources.excess(one, 100), None);
        assert_eq!(remembered(&sources), 1);
        sources.forget_all_gone(2_000);
        assert_eq!(remembered(&sources), 0);
    }

    #[test]
    fn who_has_no_seat_is_counted_apart() {
        let sources = Sources::new(MOST);
        let one = at("203.0.113.1");
        sources.arrive(one);
        assert!(!sources.is_thronged(one));
        sources.arrive(one);
        assert!(sources.is_thronged(one) && !sources.is_thronged(at("203.0.113.2")));
        assert_eq!(sources.excess(one, 0), None);
        sources.depart(one, Counted::Unseated, 0);
        assert!(!sources.is_thronged(one));
    }

    #[test]
    fn a_room_counts_for_its_maker_also_when_that_is_gone() {
        let sources = Sources::new(MOST);
        let maker = at("203.0.113.1");
        sources.seat(maker, 0);
        assert!(sources.make_room(maker) && sources.make_room(maker));
        assert!(!sources.make_room(maker));
        sources.depart(maker, Counted::Seated, 0);
        sources.forget_all_gone(60_000);
        assert!(!sources.make_room(maker) && sources.make_room(at("203.0.113.2")));
        sources.unmake_room(maker, 60_000);
        assert!(sources.make_room(maker));
    }

    /// Whoever has more addresses than are remembered gains nothing and keeps nobody out.
    #[test]
    fn a_full_table_forgets_who_is_gone_and_counts_who_is_here() {
        let sources = Sources::new(MOST);
        let player = at("203.0.113.1");
        sources.seat(player, 0);
        for number in 0..4 * SOURCES_GONE as u32 {
            let flooder = Source::Address(IpAddr::V4(number.into()));
            sources.seat(flooder, 0);
            sources.depart(flooder, Counted::Seated, 0);
        }
        assert!(remembered(&sources) <= SOURCES_GONE + 1);
        let newcomer = at("203.0.113.2");
        assert_eq!(sources.excess(newcomer, 0), None);
        for source in [player, player, newcomer, newcomer, newcomer] {
            assert_eq!(sources.excess(source, 0), None);
            sources.seat(source, 0);
        }
        assert_eq!(sources.excess(player, 0), Some(Excess::Connections));
        assert_eq!(sources.excess(newcomer, 0), Some(Excess::Connections));
    }

    #[test]
    fn loopback_is_bounded_only_if_told() {
        let peer = |text: &str| text.parse().ok();
        let sources = Sources::new(MOST);
        for exempt in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "nowhere"] {
            assert_eq!(sources.at(peer(exempt)), None, "{exempt}");
        }
        assert_eq!(sources.at(peer("::ffff:10.0.0.1")), Some(at("10.0.0.1")));
        let sources = Sources::new(PerSource {
            loopback_too: true,
            ..MOST
        });
        assert_eq!(sources.at(peer("127.0.0.1")), Some(at("127.0.0.1")));
    }
}
