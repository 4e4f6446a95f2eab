//! What must be true in rooms of roomcast.v1: what each guest is told, over however many connections.
//!
//! Owns: what was said in which room, in the order in which shards took it in; how far each guest is, and what it knows.
//! Must not know: bytes on wires, how a shard does it. Invariant: of a shard it believes only which id and token it gives to
//! whom; everything else follows from the packets that were taken, and from when connections ended.

mod heard;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use roomcast::limits::Limits;
use roomcast_protocol::v1::up::{self, Audience};
use roomcast_protocol::v1::{Life, PlayerId, Term, Token};

use super::bounds::{Moment, SLACK_MS};
use super::keys::{Ears, Held, Keys};
use super::kicks::{Kicks, Terms, Who};
use super::net::WireId;
use super::oracle::Verdict;
use super::powers::{Asked, LifeId, Powers};
use super::said::{Said, To, changes, event, numbered};
use super::tail::{Saved, Tail};

/// A client of roomcast.v1, by its index among all of the world.
pub(crate) type GuestId = usize;

/// The seat of a guest, as a shard must see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// It has none.
    None,
    Here(WireId),
    /// It is kept until then (ms) at least.
    Away {
        until: u64,
    },
}

/// A guest's join, at the moment at which a shard took it.
#[derive(Debug, Clone, Copy)]
struct Joined {
    wire: WireId,
    /// So much had been said.
    said: usize,
    /// It came back to a seat that must be there.
    kept: bool,
    /// It was put out before, as others had heard.
    is_out: bool,
    /// The life of its room that was known to be locked, and that which was known to be over.
    known: [Option<LifeId>; 2],
}

/// What a guest knows of its room.
#[derive(Debug, Default, PartialEq, Eq)]
struct View {
    life: Option<[u8; 8]>,
    /// Who is there, and whether away.
    players: BTreeMap<u32, bool>,
    properties: BTreeMap<(u32, String), Vec<u8>>,
    /// The term, and who is the host; 0: nobody.
    host: (Term, u32),
    /// Nobody new is let in.
    locked: bool,
}

/// The groups of a player: now, and ever.
#[derive(Debug, Default)]
struct Groups {
    now: BTreeSet<u32>,
    ever: BTreeSet<u32>,
}

#[derive(Debug)]
struct Guest {
    room: Rc<str>,
    seat: Seat,
    /// In the order in which shards took them.
    joined: Vec<Joined>,
    id: u32,
    token: Option<Token>,
    /// A shard has this id for it: it may be somebody new, and not know yet.
    is_sure: bool,
    /// Nothing that was said before this is still to come.
    next: usize,
    /// It was too far behind: what comes next may be anything from there on.
    skips: bool,
    /// Why it is welcomed anew.
    reset: Option<u64>,
    /// What it said and no shard has taken.
    unheard: VecDeque<Vec<u8>>,
    /// So much of that was lost with a page: it counts until the next join.
    lost: usize,
    /// Packets of its that may have been refused.
    doubtful: usize,
    /// Whom it asked to put out, with the numbers of those packets, but for those that were refused.
    kicks: Vec<(u64, u32)>,
    view: View,
    held: Held,
    /// The relay's time (µs) in what it heard last that says it, and when (ms) that was heard.
    stated: Option<(u64, u64)>,
    /// How long before the bundle that it is told was written the tick was of which it is, ms.
    late_ms: u64,
    /// For how long values that it is told of had waited then, as it is told, ms.
    aged_ms: u64,
    /// The tail of a snapshot that it is being told.
    tail: Option<Tail>,
    /// It knows all of its room.
    is_live: bool,
}

/// What was said in rooms of roomcast.v1, and who was told.
#[derive(Debug)]
pub(crate) struct Ledger {
    grace_ms: u32,
    flush_interval_ms: u32,
    players_max: usize,
    /// Milliseconds that the whole process stood still.
    stalled: u64,
    rooms: BTreeMap<Rc<str>, Vec<Said>>,
    guests: Vec<Guest>,
    keys: Keys,
    groups: BTreeMap<([u8; 8], u32), Groups>,
    /// Snapshots, by what they are.
    saved: BTreeMap<Vec<u8>, Saved>,
    terms: Terms,
    kicks: Kicks,
    powers: Powers,
    /// Whose each id is, in each life of a room.
    ids: BTreeMap<([u8; 8], u32), (GuestId, Token)>,
    /// Players whose guests never heard of them, or have forgotten them: they may have a seat.
    ghosts: usize,
    /// Packets that were taken, but for heartbeats.
    pub(crate) taken: u64,
    /// Connections that end in this iteration, and not by what they sent: somebody may have got their seats before that is heard.
    pub(crate) going: Vec<WireId>,
}

impl Ledger {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            grace_ms: limits.grace_ms,
            flush_interval_ms: limits.flush_interval_ms,
            stalled: 0,
            players_max: limits.max_room_members,
            rooms: BTreeMap::new(),
            guests: Vec::new(),
            keys: Keys::default(),
            groups: BTreeMap::new(),
            saved: BTreeMap::new(),
            terms: Terms::new(),
            kicks: Kicks::default(),
            powers: Powers::default(),
            ids: BTreeMap::new(),
            ghosts: 0,
            taken: 0,
            going: Vec::new(),
        }
    }

    /// Somebody new; they are numbered in this order.
    pub(crate) fn comes(&mut self, room: &Rc<str>) {
        self.rooms.entry(Rc::clone(room)).or_default();
        self.guests.push(Guest {
            room: Rc::clone(room),
            seat: Seat::None,
            joined: Vec::new(),
            id: 0,
            token: None,
            is_sure: false,
            next: 0,
            skips: false,
            reset: None,
            unheard: VecDeque::new(),
            lost: 0,
            doubtful: 0,
            kicks: Vec::new(),
            view: View::default(),
            held: Held::new(),
            stated: None,
            late_ms: 0,
            aged_ms: 0,
            tail: None,
            is_live: false,
        });
    }

    /// The whole process stood still.
    pub(crate) fn stands_still(&mut self, ms: u64) {
        self.stalled += ms;
    }

    fn moment(&self, now: u64) -> Moment {
        Moment {
            at: now,
            awake: now - self.stalled,
        }
    }

    /// A guest's client has taken something to send.
    pub(crate) fn says(&mut self, guest: GuestId, what: Vec<u8>) {
        self.guests[guest].unheard.push_back(what);
    }

    /// Whether a guest takes itself for the host, and knows all that it heard.
    pub(crate) fn may_save(&self, guest: GuestId) -> bool {
        let this = &self.guests[guest];
        this.is_live && !this.skips && this.view.host.1 == this.id
    }

    /// A guest's client has taken a snapshot to send.
    pub(crate) fn saves(&mut self, guest: GuestId, state: Vec<u8>) {
        let this = &self.guests[guest];
        let saved = Saved {
            guest,
            host: this.id,
            heard: this.next,
            said: self.rooms[&this.room].len(),
        };
        self.saved.insert(state, saved);
    }

    /// Players of whom a guest knows.
    pub(crate) fn known_to(&self, guest: GuestId) -> Vec<PlayerId> {
        let known = self.guests[guest].view.players.keys();
        known.filter_map(|id| PlayerId::new(*id)).collect()
    }

    /// A guest's client has taken a packet of this number that puts somebody out.
    pub(crate) fn kicks(&mut self, guest: GuestId, number: u64, whom: PlayerId) {
        self.guests[guest].kicks.push((number, whom.get()));
    }

    /// Whether a guest may have been put out, be it as somebody of whom it has not heard yet.
    pub(crate) fn may_be_put_out(&self, guest: GuestId) -> bool {
        let is_it = |who: Who| self.ids.get(&who).is_none_or(|(whose, _)| *whose == guest);
        let room = &self.guests[guest].room;
        self.kicks.may_be_one(room, &self.terms, is_it)
    }

    /// Whether who comes with this join may have been put out.
    pub(crate) fn may_be_barred(&self, join: &[u8]) -> bool {
        let mut packets = up::decode(join).into_iter().flatten();
        let Some(Ok(up::Packet::Join(join))) = packets.next() else {
            return false;
        };
        let mut players = self.players_of(join.back.map(|back| back.token));
        players.any(|who| self.kicks.may_be_out(who, &self.terms))
    }

    /// Whether a guest may be kept out of its room because that is locked.
    pub(crate) fn may_be_locked(&self, guest: GuestId) -> bool {
        let room = &self.guests[guest].room;
        self.powers.may_be_locked(room, &self.terms)
    }

    /// Whether a host may have closed the room of a guest.
    pub(crate) fn may_be_closed(&self, guest: GuestId) -> bool {
        let room = &self.guests[guest].room;
        self.powers.may_be_closed(room, &self.terms)
    }

    /// A guest is sent away over this connection because its room is closed.
    pub(crate) fn sent_away(&mut self, wire: WireId, guest: GuestId) {
        let this = &self.guests[guest];
        if let Some(life) = this.view.life
            && this.seat == Seat::Here(wire)
            && this.is_sure
            && this.is_live
        {
            self.powers.closes(&this.room, life);
        }
    }

    /// Who has this token.
    fn players_of(&self, token: Option<Token>) -> impl Iterator<Item = Who> {
        let ids = self.ids.iter();
        ids.filter(move |(_, (_, other))| Some(*other) == token)
            .map(|(who, _)| *who)
    }

    /// A guest's page is loaded anew: what it has not sent is lost.
    pub(crate) fn reloads(&mut self, guest: GuestId) {
        let this = &mut self.guests[guest];
        this.lost = this.unheard.len();
    }

    /// Players of a room who have a connection and keep it, and those who may have a seat.
    fn players(&self, room: &str) -> (usize, usize) {
        let stays = |wire: WireId| !self.going.contains(&wire);
        let here = |guest: &&Guest| matches!(guest.seat, Seat::Here(wire) if stays(wire));
        let seated = |guest: &&Guest| guest.seat != Seat::None;
        let guests = || self.guests.iter().filter(|guest| &*guest.room == room);
        (
            guests().filter(here).count(),
            guests().filter(seated).count(),
        )
    }

    /// Whether somebody may be turned away because the room of this guest is full.
    pub(crate) fn may_be_full(&self, guest: GuestId) -> bool {
        self.players(&self.guests[guest].room).1 + self.ghosts >= self.players_max
    }

    /// A shard took a message of a guest.
    pub(crate) fn took(
        &mut self,
        wire: WireId,
        guest: GuestId,
        message: &[u8],
        now: u64,
    ) -> Verdict {
        let packets = up::decode(message).map_err(|wrong| wrong.to_string())?;
        for packet in packets {
            let packet = packet.map_err(|wrong| wrong.to_string())?;
            self.taken += u64::from(!matches!(packet, up::Packet::Ping { .. }));
            if let up::Packet::Join(join) = packet {
                self.joins(wire, guest, &join, now)?;
            } else if self.guests[guest].seat == Seat::Here(wire) {
                self.applied(guest, packet, now)
                    .map_err(|wrong| format!("guest {guest}: {wrong}"))?;
            }
        }
        Ok(())
    }

    fn joins(&mut self, wire: WireId, guest: GuestId, join: &up::Join<'_>, now: u64) -> Verdict {
        let this = &mut self.guests[guest];
        // If it is somebody new and was never told so, it names who it was before that.
        let comes_back =
            this.is_sure && join.back.is_some_and(|back| Some(back.token) == this.token);
        let kept = match this.seat {
            Seat::None => false,
            Seat::Here(_) => true,
            Seat::Away { until } => now < until,
        };
        let token = join.back.map(|back| back.token);
        let kicks = &self.kicks;
        let may_be_out = self
            .players_of(token)
            .any(|who| kicks.may_be_out(who, &self.terms));
        let is_out = self.players_of(token).any(|who| kicks.is_out(who));
        let kept = comes_back && kept && !may_be_out && !self.may_be_closed(guest);
        let known = self.powers.known(&self.guests[guest].room);
        let this = &mut self.guests[guest];
        // Of a connection that it gave up before, whose join took longer: it never hears of that.
        let late = this.joined.iter().any(|other| other.wire > wire);
        if late && !kept {
            self.ghosts += 1;
            return Ok(());
        }
        if !comes_back && this.seat != Seat::None {
            self.ghosts += 1;
        }
        this.is_sure = kept;
        this.reset = None;
        this.unheard.drain(..std::mem::take(&mut this.lost));
        this.joined.push(Joined {
            wire,
            said: self.rooms[&this.room].len(),
            kept,
            is_out,
            known,
        });
        this.seat = Seat::Here(wire);
        let room = Rc::clone(&this.room);
        if self.players(&room).0 > self.players_max {
            return Err(format!("guest {guest}: one too many in its room"));
        }
        Ok(())
    }

    /// A packet of a player that is in its room.
    fn applied(&mut self, guest: GuestId, packet: up::Packet<'_>, now: u64) -> Verdict {
        let this = &self.guests[guest];
        let author = this.id;
        let life = Life(this.view.life.unwrap_or_default());
        let after = self.rooms[&this.room].len();
        let at = self.moment(now);
        let (to, what, droppable) = match packet {
            up::Packet::Event {
                to,
                droppable,
                payload,
                ..
            } => {
                let to = match to {
                    Audience::Others => To::Others,
                    Audience::All => To::All,
                    Audience::One(player) => To::Some(vec![player.get()]),
                    Audience::List(players) => {
                        To::Some(players.iter().map(PlayerId::get).collect())
                    }
                    Audience::Group(group) => {
                        let all = self.groups.range((life.0, 0)..=(life.0, u32::MAX));
                        let all = all.filter(|(_, groups)| groups.now.contains(&group));
                        let all = all.map(|(&(_, player), _)| player);
                        To::Some(all.filter(|player| *player != author).collect())
                    }
                    other => return Err(format!("{other:?} was not said")),
                };
                (to, event(payload), droppable)
            }
            up::Packet::Properties {
                owner,
                changes: changed,
                ..
            } => {
                let changed = changed
                    .iter()
                    .map(|change| (change.key.as_str(), change.value));
                (To::All, changes(owner, changed), false)
            }
            up::Packet::State {
                key, room, payload, ..
            } => {
                let of = (author, room, key);
                self.keys.says(life, of, Some(payload), (after, at));
                return Ok(());
            }
            up::Packet::Delete { key, room, .. } => {
                let of = (author, room, key);
                self.keys.says(life, of, None, (after, at));
                return Ok(());
            }
            up::Packet::Audience(audience) => {
                self.keys.addresses(life, author, audience, at);
                return self.takes(guest, &numbered(packet));
            }
            up::Packet::Groups { only, groups } => {
                let Groups { now, ever } = self.groups.entry((life.0, author)).or_default();
                now.retain(|_| !only);
                for (group, is_in) in groups.iter() {
                    if is_in {
                        now.insert(group);
                        ever.insert(group);
                    } else {
                        now.remove(&group);
                    }
                }
                return self.takes(guest, &numbered(packet));
            }
            up::Packet::Willing { .. } => return self.takes(guest, &numbered(packet)),
            up::Packet::Act { term, act } => {
                if let up::Act::Kick(whom) = act {
                    let whom = (life.0, whom.get());
                    self.kicks.takes(&this.room, (author, term), whom);
                }
                if let Some(asked) = Asked::of(act) {
                    let room = Rc::clone(&this.room);
                    self.powers.takes(&room, life.0, (author, term), asked);
                }
                self.guests[guest].doubtful += 1;
                return self.takes(guest, &numbered(packet));
            }
            up::Packet::Leave => {
                self.guests[guest].seat = Seat::None;
                return Ok(());
            }
            _ => return Ok(()),
        };
        if let (
            up::Packet::Event {
                to: Audience::One(player),
                ..
            },
            room,
        ) = (packet, &this.room)
        {
            let is_here = |other: &Guest| {
                let same = other.room == *room && other.id == player.get();
                same && other.is_sure && matches!(other.seat, Seat::Here(_))
            };
            let doubtful = !self.guests.iter().any(is_here);
            self.guests[guest].doubtful += usize::from(doubtful);
        }
        self.takes(guest, &what)?;
        self.guests[guest].doubtful += usize::from(packet.term().is_some());
        let this = &self.guests[guest];
        let said = Said {
            author,
            to,
            what,
            droppable,
            term: packet.term(),
        };
        self.rooms
            .entry(Rc::clone(&this.room))
            .or_default()
            .push(said);
        Ok(())
    }

    /// A shard has taken this of a guest, and everything before.
    fn takes(&mut self, guest: GuestId, what: &[u8]) -> Verdict {
        let this = &mut self.guests[guest];
        this.lost = this.lost.saturating_sub(1);
        if this.unheard.pop_front().as_deref() == Some(what) {
            Ok(())
        } else {
            Err("what it said is applied twice, or something before it never was".into())
        }
    }

    /// A connection of a guest has ended. `grace_ms`: the most for which its seat is kept; None if it leaves.
    pub(crate) fn parted(&mut self, wire: WireId, guest: GuestId, grace_ms: Option<u32>, now: u64) {
        let grace = |most: u32| u64::from(most.min(self.grace_ms));
        let this = &mut self.guests[guest];
        if this.seat == Seat::Here(wire) {
            this.seat = match grace_ms {
                None => Seat::None,
                Some(most) => Seat::Away {
                    until: (now + grace(most)).saturating_sub(SLACK_MS),
                },
            };
        }
    }

    /// Nobody's seat is kept any longer.
    pub(crate) fn drains(&mut self) {
        for guest in &mut self.guests {
            if matches!(guest.seat, Seat::Away { .. }) {
                guest.seat = Seat::Away { until: 0 };
            }
        }
    }

    /// When nothing is under way any longer: has a guest that reads everything heard everything, and been heard?
    pub(crate) fn owes_nothing(&self, wire: WireId, guest: GuestId) -> Verdict {
        let this = &self.guests[guest];
        if this.seat != Seat::Here(wire) {
            return Ok(());
        }
        let missing = |said: &Said| said.is_for(this.id) && !said.may_be_missing() && !this.skips;
        let wrong = if !this.is_live {
            "it was never welcomed"
        } else if self.rooms[&this.room][this.next..].iter().any(missing) {
            "an event is missing"
        } else if !this.unheard.is_empty() {
            "what it said was not applied"
        } else if this
            .kicks
            .iter()
            .any(|(_, whom)| this.view.players.contains_key(whom))
        {
            "whom it put out is there"
        } else if this.view.life.is_some() && this.view.life == self.powers.known(&this.room)[1] {
            "its room was closed"
        } else {
            return Ok(());
        };
        Err(format!("guest {guest}, connection {wire}: {wrong}"))
    }

    /// Whether those who have heard everything know the same of a room, and the newest of keys.
    pub(crate) fn agree(&self, guests: &[GuestId]) -> Verdict {
        let mut known = BTreeMap::new();
        for guest in guests {
            let Guest { view, held, id, .. } = &self.guests[*guest];
            let life = Life(view.life.unwrap_or_default());
            let is_here = |id| view.players.contains_key(&id);
            let none = Groups::default();
            let groups = self.groups.get(&(life.0, *id)).unwrap_or(&none);
            let ears = Ears {
                player: *id,
                is_host: view.host.1 == *id,
                groups: &groups.now,
            };
            let held = self.keys.are_held(life, &ears, is_here, held);
            held.map_err(|wrong| format!("guest {guest}: {wrong}"))?;
            let (other, same) = *known.entry(view.life).or_insert((guest, view));
            if same != view {
                return Err(format!(
                    "guest {guest} knows {view:?}, guest {other} knows {same:?}"
                ));
            }
        }
        Ok(())
    }

    /// The connection over which a guest has a seat.
    pub(crate) fn connection(&self, guest: GuestId) -> Option<WireId> {
        match self.guests[guest].seat {
            Seat::Here(wire) => Some(wire),
            Seat::None | Seat::Away { .. } => None,
        }
    }

    /// The term as a guest knows it.
    pub(crate) fn term(&self, guest: GuestId) -> Term {
        self.guests[guest].view.host.0
    }

    /// Whether a guest has a seat over this connection, and knows of it.
    pub(crate) fn is_live(&self, wire: WireId, guest: GuestId) -> bool {
        self.guests[guest].seat == Seat::Here(wire) && self.guests[guest].is_live
    }
}
