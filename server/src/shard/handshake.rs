//! From the first byte to a seat: the request head, its answer, and the way to the room's home.

use roomcast_protocol::proxy_header;
use roomcast_protocol::upgrade::{self, Content, Readers, Refusal, Request, RequestKind};

use super::admission::{Admission, Speaks};
use super::connection::{Closing, Connection, PartialHead, Phase};
use super::exchange::Exchange;
use super::finding::{Form, Kind, Search};
use super::identity::Identity;
use super::notices::Notice;
use super::pages;
use super::player::PlayerId;
use super::sessions::Call;
use super::sources::{Counted, Source};
use super::tickets::{self, Pass};
use super::{Action, CloseReason, DisconnectReason, EndReason, Shard};
use crate::delivery::Dialect;
use crate::planted;
use crate::room::RoomId;
use crate::transport::{Heard, Security};

const ALIVE: Content<'_> = pages::text(b"alive\n");
const READY: Content<'_> = pages::text(b"ready\n");

/// What a connection goes to another reactor for.
#[derive(Debug)]
enum Errand {
    /// That is home to its room.
    Seat(Admission),
    /// That knows who was sent where.
    Match(Kind, Form),
    /// That is home to its session, or will be.
    Exchange(Box<Exchange>),
}

/// What a connection takes along to another reactor. Nothing has been answered yet.
#[derive(Debug)]
pub struct Handover {
    who: Identity,
    security: Security,
    errand: Errand,
    /// Who it counts for.
    source: Option<Source>,
    /// Milliseconds that are left of the time for its handshake.
    left: u32,
    /// Bytes that came behind the request head.
    unread: Vec<u8>,
    /// TLS records that have not left yet.
    unsent: Vec<u8>,
}

impl Handover {
    /// Bytes that it holds, without the state of a TLS session itself.
    pub fn held(&self) -> usize {
        let content = match &self.errand {
            Errand::Exchange(exchange) => exchange.held(),
            Errand::Seat(_) | Errand::Match(..) => 0,
        };
        content + self.unread.capacity() + self.unsent.capacity()
    }

    /// As what it counts.
    pub(super) fn counted(&self) -> Counted {
        match self.errand {
            Errand::Seat(_) => Counted::Seated,
            Errand::Match(..) | Errand::Exchange(_) => Counted::Unseated,
        }
    }

    /// What a connection that is not adopted still needs, and who it counted for.
    pub(super) fn into_parts(self) -> (Identity, Security, Vec<u8>, Option<Source>) {
        (self.who, self.security, self.unsent, self.source)
    }
}

/// What a well-formed request asks for.
enum Route {
    Seat(Admission),
    /// Where a WebSocket would be: says what an upgrade would be told, to pages that see nothing of a refused one.
    Ask(Pass),
    /// Which rooms there are.
    List(Search),
    /// In which room to play: an upgrade follows, so it is told what that would be told.
    Match(Kind, Pass),
    /// Something of a session.
    Exchange(Box<Exchange>),
    Answer(Content<'static>),
    Refuse(Refusal),
}

impl Shard {
    /// Seats or answers a connection that another reactor handed over, with bytes already read.
    pub fn adopt(&mut self, handover: Handover) -> u32 {
        // Sessions are told their ends.
        if self.draining && !matches!(handover.errand, Errand::Exchange(_)) {
            return self.refuse_seat(handover, Refusal::Draining, CloseReason::Drain);
        }
        let Handover {
            who,
            security,
            errand,
            source,
            left,
            unread,
            unsent,
        } = handover;
        // What came behind the head, and so may have ended it all, was heard by the other shard already.
        let heard = match &security {
            Security::Plain => Heard::More,
            Security::Tls(tls) => tls.heard(),
        };
        let now = self.now32();
        let connection = Connection::new(
            who,
            security,
            Phase::Handshake(None),
            now,
            now.wrapping_add(left),
        );
        let slot = self.insert(connection);
        self.connections[slot as usize].outbox.push_sealed(&unsent);
        self.counters.adopted += 1;
        match errand {
            Errand::Seat(admission) => {
                self.count_adopted(slot, source, admission.pass.bearer);
                self.connections[slot as usize].came_with(unread.len());
                self.join(slot, &admission, unread);
            }
            Errand::Match(kind, form) => {
                if source.is_some() {
                    self.connections[slot as usize].counted = Counted::Unseated;
                }
                self.answer_match(slot, &kind, form);
            }
            Errand::Exchange(exchange) => {
                if source.is_some() {
                    self.connections[slot as usize].counted = Counted::Unseated;
                } else {
                    self.count_newcomer(slot);
                }
                self.begin_exchange(slot, exchange, &unread);
            }
        }
        self.heed(slot, heard);
        self.look_at_ticket(slot);
        slot
    }

    pub(super) fn receive_head(&mut self, slot: u32, bytes: &mut [u8]) {
        let Phase::Handshake(partial) = &mut self.connections[slot as usize].phase else {
            return;
        };
        let Some(mut partial) = partial.take() else {
            return match upgrade::find_head_end(bytes, 0) {
                Ok(Some(end)) => self.request(slot, bytes, end),
                Ok(None) => {
                    let partial = PartialHead {
                        bytes: bytes.to_vec(),
                        scanned: bytes.len(),
                    };
                    self.connections[slot as usize].phase =
                        Phase::Handshake(Some(Box::new(partial)));
                }
                Err(refusal) => self.refuse_head(slot, refusal, bytes),
            };
        };
        partial.bytes.extend_from_slice(bytes);
        match upgrade::find_head_end(&partial.bytes, partial.scanned) {
            Ok(Some(end)) => self.request(slot, &mut partial.bytes, end),
            Ok(None) => {
                partial.scanned = partial.bytes.len();
                self.connections[slot as usize].phase = Phase::Handshake(Some(partial));
            }
            Err(refusal) => self.refuse_head(slot, refusal, &partial.bytes),
        }
    }

    /// A whole request head, and what came behind it.
    fn request(&mut self, slot: u32, bytes: &mut [u8], end: usize) {
        if self.begins_http2(slot, &bytes[..end]) {
            return self.begin_http2(slot, bytes);
        }
        let (head, rest) = bytes.split_at_mut(end);
        let head_only = upgrade::asks_for_head_only(head);
        let request = match upgrade::parse_request(head) {
            Ok(request) => request,
            Err(refusal) => return self.refuse_head(slot, refusal, bytes),
        };
        let hop = self.connections[slot as usize].who.peer();
        let is_forwarded = match self.heed_proxies(slot, &request) {
            Ok(is_forwarded) => is_forwarded,
            Err(refusal) => return self.refuse(slot, refusal, head_only),
        };
        let route = self.route(&request);
        let mut route = self.admitted(slot, &request, is_forwarded, route);
        if matches!(&route, Route::Refuse(Refusal::HostNotAllowed)) {
            self.tell(Notice::HostNotAllowed, slot);
        }
        if let RequestKind::Upgrade(upgrade) = &request.kind
            && upgrade.protocols().next().is_some()
            && !matches!(&route, Route::Refuse(_))
            && !matches!(&route, Route::Seat(admission) if admission.names_dialect())
        {
            self.tell(Notice::UnknownSubprotocol, slot);
        }
        let form = Form {
            head_only,
            readers: match self.common.gate.lets_in(request.origin) {
                true => Readers::EveryPage,
                false => Readers::NoPage,
            },
        };
        if let Route::Exchange(exchange) = &mut route {
            exchange.is_for(form.readers, hop.filter(|_| is_forwarded));
        }
        self.follow(slot, route, form, rest);
    }

    /// Does what a route leads to; `rest` came behind the head.
    fn follow(&mut self, slot: u32, route: Route, form: Form, rest: &[u8]) {
        let head_only = form.head_only;
        match route {
            Route::Answer(content) => self.answer(slot, content, form),
            Route::Refuse(refusal) => self.refuse(slot, refusal, head_only),
            Route::Ask(_) | Route::Match(..) | Route::List(_) if self.draining => {
                self.refuse_for(slot, Refusal::Draining, head_only, CloseReason::Drain);
            }
            Route::List(search) => self.list_rooms(slot, &search, form),
            Route::Exchange(exchange) => match exchange.home(&self.common) {
                Some(home)
                    if home != self.index
                        && exchange.goes_home(rest)
                        && !self.streams.has(slot) =>
                {
                    self.hand_off(slot, home, Errand::Exchange(exchange), rest);
                }
                _ => self.begin_exchange(slot, exchange, rest),
            },
            Route::Ask(_) | Route::Match(..) if self.common.is_full() => {
                self.refuse_for(slot, Refusal::ServerFull, head_only, EndReason::Full);
            }
            Route::Ask(pass) | Route::Match(_, pass) if self.is_banned(slot, pass) => {
                self.refuse_for(slot, Refusal::Banned, head_only, EndReason::Banned);
            }
            Route::Ask(pass) | Route::Match(_, pass)
                if let Some(excess) = self.excess(slot, pass) =>
            {
                self.refuse_for(slot, excess.refusal(), head_only, excess.reason());
            }
            Route::Ask(_) => self.refuse(slot, Refusal::UpgradeRequired, head_only),
            Route::Match(kind, pass) => self.find_match(slot, kind, pass, form),
            Route::Seat(_) if self.draining => {
                self.refuse_for(slot, Refusal::Draining, false, CloseReason::Drain);
            }
            Route::Seat(admission) if self.is_banned(slot, admission.pass) => {
                self.refuse_for(slot, Refusal::Banned, false, EndReason::Banned);
            }
            Route::Seat(_) if !self.common.take_seat() => {
                self.tell(Notice::Full, slot);
                self.refuse_for(slot, Refusal::ServerFull, false, EndReason::Full);
            }
            Route::Seat(admission) => self.give_seat(slot, admission, rest),
        }
    }

    /// The process has a seat for who asks for one: it is taken here or at the room's home, unless its source has too many.
    fn give_seat(&mut self, slot: u32, admission: Admission, rest: &[u8]) {
        if let Some(excess) = self.excess(slot, admission.pass) {
            self.common.return_seat();
            self.tell(Notice::AddressFull, slot);
            return self.refuse_for(slot, excess.refusal(), false, excess.reason());
        }
        self.count_player(slot, admission.pass);
        let home = admission.room.map(|room| self.common.home(&room));
        match home.filter(|&home| home != self.index) {
            Some(home) => self.hand_off(slot, home, Errand::Seat(admission), rest),
            None => self.join(slot, &admission, rest.to_vec()),
        }
    }

    /// Somebody may ask in which room to play: here, or the shard that knows.
    fn find_match(&mut self, slot: u32, kind: Kind, pass: Pass, form: Form) {
        self.count_question(slot, pass);
        match self.common.owner(&kind) {
            owner if owner == self.index => self.answer_match(slot, &kind, form),
            // A stream stays with its connection.
            _ if self.streams.has(slot) => {
                let call = Call::Match(Box::new((kind, form)));
                let exchange = Exchange::whole(call, form.readers);
                self.connections[slot as usize].phase = Phase::Exchange(Box::new(exchange));
                self.rearm(slot);
                self.heed_call(slot, Vec::new());
            }
            owner => self.hand_off(slot, owner, Errand::Match(kind, form), &[]),
        }
    }

    /// The connection in this slot goes to another reactor, with what came behind its head.
    fn hand_off(&mut self, slot: u32, home: usize, errand: Errand, rest: &[u8]) {
        let now = self.now32();
        let source = self.take_source(slot);
        let connection = &mut self.connections[slot as usize];
        let left = connection.deadline.wrapping_sub(now) as i32;
        let handover = Handover {
            who: connection.who,
            security: std::mem::replace(&mut connection.security, Security::Plain),
            errand,
            source,
            left: left.max(0) as u32,
            unread: planted::cut(rest).to_vec(),
            unsent: connection.outbox.sealed().to_vec(),
        };
        self.actions.push(Action::HandOff {
            slot,
            home,
            handover: Box::new(handover),
        });
        self.bury(slot);
    }

    /// Where a request comes from, if a proxy is believed that says so. Whether one does.
    fn heed_proxies(&mut self, slot: u32, request: &Request<'_>) -> Result<bool, Refusal> {
        let who = &mut self.connections[slot as usize].who;
        let Some(peer) = who.peer() else {
            return Ok(false);
        };
        let proxies = &self.common.proxies;
        let client = proxies.client(peer, &request.forwarded)?;
        if let Some(client) = client {
            who.comes_from(client);
        } else if proxies.overlook(peer, &request.forwarded) {
            self.tell(Notice::UnnamedProxy, slot);
        }
        Ok(client.is_some())
    }

    /// What is left of a route that leads to a seat: it begins at the gate, and where tickets are judged, nobody goes on
    /// without a good one.
    fn admitted(
        &self,
        slot: u32,
        request: &Request<'_>,
        is_forwarded: bool,
        route: Route,
    ) -> Route {
        if matches!(route, Route::Answer(_) | Route::Refuse(_)) {
            return route;
        }
        // A page whose own name leads here (DNS rebinding) comes from its browser, not by way of a proxy.
        let gate = &self.common.gate;
        let door = usize::from(self.connections[slot as usize].who.door);
        let local = gate.is_loopback(door) && !gate.is_announced(door) && !is_forwarded;
        if let Err(refusal) = gate.admit(request.host, request.origin, local) {
            return Route::Refuse(refusal);
        }
        if let Route::Exchange(exchange) = &route
            && exchange.call.is_watch()
            && request.is_foreign
        {
            return Route::Refuse(Refusal::OriginNotSaid);
        }
        // A session's ticket comes with its content.
        let judge = self.common.tickets.as_ref();
        let Some(judge) = judge.filter(|_| !matches!(route, Route::Exchange(_))) else {
            return route;
        };
        let named = request.path.strip_prefix("/rooms/");
        let named = named.and_then(upgrade::room_name);
        let made_up = match &route {
            Route::Match(kind, _) => Some(kind.beginning()),
            _ => None,
        };
        let room = made_up.as_deref().or(named.as_deref());
        let ticket = tickets::carried(request).ok_or(Refusal::NoTicket);
        match ticket.and_then(|ticket| judge.judge(ticket, room)) {
            Ok(pass) => match route {
                Route::Match(..) if pass.spectates => Route::Refuse(Refusal::TicketSpectates),
                Route::Seat(mut admission) => {
                    admission.pass = pass;
                    Route::Seat(admission)
                }
                Route::Ask(_) => Route::Ask(pass),
                Route::Match(kind, _) => Route::Match(kind, pass),
                other => other,
            },
            Err(refusal) => Route::Refuse(refusal),
        }
    }

    fn route(&self, request: &Request<'_>) -> Route {
        if let Some(call) = Call::of(request) {
            let begun = call.and_then(|call| {
                let most = call.content_max(&self.common.limits);
                Exchange::new(call, request, most)
            });
            return begun.map_or_else(Route::Refuse, |begun| Route::Exchange(Box::new(begun)));
        }
        if request.method == "POST" {
            return Route::Refuse(Refusal::MethodNotAllowed);
        }
        let room = request.path.strip_prefix("/rooms/");
        match (room.map(upgrade::room_name), request.path, &request.kind) {
            (Some(Some(name)), _, RequestKind::Upgrade(upgrade)) => {
                Route::Seat(Admission::new(Some(name), upgrade))
            }
            (Some(None), ..) => Route::Refuse(Refusal::BadRoomName),
            (None, "/echo", RequestKind::Upgrade(upgrade)) => {
                Route::Seat(Admission::new(None, upgrade))
            }
            (Some(Some(_)), ..) | (None, "/echo", _) => Route::Ask(Pass::default()),
            (None, "/rooms", RequestKind::Plain) => {
                Search::of(request.query).map_or_else(Route::Refuse, Route::List)
            }
            (None, "/match", RequestKind::Plain) => {
                let kind = Kind::of(request.query, self.common.limits.max_room_members);
                kind.map_or_else(Route::Refuse, |kind| Route::Match(kind, Pass::default()))
            }
            (None, "/healthz", RequestKind::Plain) => Route::Answer(ALIVE),
            (None, "/readyz", RequestKind::Plain)
                if self.draining || self.common.drain_ordered().is_some() =>
            {
                Route::Refuse(Refusal::Draining)
            }
            (None, "/readyz", RequestKind::Plain) if !self.common.pulse.is_whole(self.real) => {
                Route::Refuse(Refusal::Stalled)
            }
            (None, "/readyz", RequestKind::Plain) => Route::Answer(READY),
            (None, path, RequestKind::Plain) => match pages::find(path, self.common.demo) {
                Some(page) => Route::Answer(page),
                None => Route::Refuse(Refusal::NotFound),
            },
            (None, ..) => Route::Refuse(Refusal::NotFound),
        }
    }

    /// Takes the seat that was asked for, here.
    pub(super) fn join(&mut self, slot: u32, admission: &Admission, unread: Vec<u8>) {
        self.set_aside(slot, unread);
        let dialect = match (admission.speaks, &admission.room) {
            (Speaks::V1, Some(name)) => {
                let player = self.stand_at_door(slot, name);
                return self.seat(slot, player, admission);
            }
            (Speaks::Messages(dialect), _) => dialect,
            (Speaks::V1, None) => Dialect::Raw,
        };
        if let Some(name) = &admission.room
            && let Some(room) = self.v1.rooms.find(name)
            && room.players() > 0
        {
            return match (room.lets_raw_in(), room.is_full()) {
                (false, _) => self.turn_away(slot, admission, CloseReason::OtherDialect),
                _ if room.is_locked() => {
                    self.turn_away(slot, admission, CloseReason::RoomLocked);
                }
                (true, true) => self.turn_away(slot, admission, CloseReason::RoomFull),
                (true, false) => {
                    let player = self.enter_mixed(slot, name);
                    self.seat(slot, player, admission);
                }
            };
        }
        if admission.pass.spectates
            && let Some(name) = &admission.room
            && self.rooms.find(name).is_none()
        {
            return self.turn_away(slot, admission, CloseReason::NobodyPlays);
        }
        let room = admission.room.map(|name| self.rooms.open(&name));
        #[cfg(feature = "test-dialect")]
        if let (Some(id), Some(room)) = (admission.returns, room)
            && let Some(player) = self.reattach(slot, id, room)
        {
            return self.seat(slot, player, admission);
        }
        if let Some(id) = room
            && self.is_full(id)
        {
            let name = self.common.naming.room(self.rooms[id].name());
            self.rooms.close_if_empty(id);
            self.tell(Notice::RoomFull(&name), slot);
            return self.turn_away(slot, admission, CloseReason::RoomFull);
        }
        let player = self.enter(slot, room, dialect);
        self.seat(slot, player, admission);
    }

    /// Opens the WebSocket only to say why it ends: pages see nothing of a refused one.
    fn turn_away(&mut self, slot: u32, admission: &Admission, reason: CloseReason) {
        self.common.return_seat();
        admission.accept(&mut self.connections[slot as usize].outbox);
        self.close(slot, reason);
        self.hear_aside(slot);
    }

    fn is_full(&self, id: RoomId) -> bool {
        let room = &self.rooms[id];
        let most = self.common.limits.max_room_members;
        room.seats() >= most && room.members() >= most
    }

    /// The connection in this slot is the player's from here on.
    fn seat(&mut self, slot: u32, player: PlayerId, admission: &Admission) {
        let connection = &mut self.connections[slot as usize];
        connection.phase = Phase::Open(player);
        admission.accept(&mut connection.outbox);
        self.guard(slot, admission.pass);
        #[cfg(feature = "test-dialect")]
        self.welcome(slot, player);
        self.rearm(slot);
        self.list(slot);
        self.hear_aside(slot);
    }

    /// Refuses what these bytes are, which is no request head.
    fn refuse_head(&mut self, slot: u32, refusal: Refusal, bytes: &[u8]) {
        if proxy_header::is_begun(bytes) {
            self.tell(Notice::UnaskedHeader, slot);
        }
        self.refuse(slot, refusal, upgrade::asks_for_head_only(bytes));
    }

    /// Refuses a request that is wrong in itself, and ends the connection.
    pub(super) fn refuse(&mut self, slot: u32, refusal: Refusal, head_only: bool) {
        if refusal == Refusal::TlsOnPlainPort {
            self.tell(Notice::TlsOnPlainPort, slot);
            return self.drop_connection(slot, EndReason::Refused(refusal));
        }
        self.refuse_for(slot, refusal, head_only, EndReason::Refused(refusal));
    }

    /// Answers with the status of `refusal` and ends the connection.
    pub(super) fn refuse_for(
        &mut self,
        slot: u32,
        refusal: Refusal,
        head_only: bool,
        reason: impl Into<DisconnectReason>,
    ) {
        let reason = reason.into();
        if self.refuse_remote(slot, refusal, reason) {
            return;
        }
        let outbox = &mut self.connections[slot as usize].outbox;
        outbox.push_own(|out| upgrade::write_refusal_for(out, refusal, head_only));
        self.begin_closing(slot, Closing::Flush, reason);
    }
}
