//! What becomes of calls: seats, polls, frames that come up, farewells.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{self, Opcode};
use roomcast_protocol::upgrade::{Refusal, Reply, Status};

use super::call::{Call, Format, Id, Opening};
use super::{Asker, Session, frames};
use crate::limits::{POLL_HOLD_MS, UP_VERDICT_MS};
use crate::shard::connection::Phase;
use crate::shard::exchange::{Exchange, busy};
use crate::shard::notices::Notice;
use crate::shard::tickets::Pass;
use crate::shard::{CloseReason, DisconnectReason, EndReason, Shard};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

impl Shard {
    /// Does what the request in this slot asks for; its content is whole.
    pub(in crate::shard) fn heed_call(&mut self, slot: u32, content: Vec<u8>) {
        let Phase::Exchange(exchange) = &self.connections[slot as usize].phase else {
            return;
        };
        let call = exchange.call.clone();
        if let Some(home) = call.home(&self.common).filter(|&home| home != self.index) {
            return self.ask_home(slot, home, call, content);
        }
        match call {
            Call::Preflight => self.respond_done(slot),
            Call::Match(asked) => self.answer_match(slot, &asked.0, asked.1),
            Call::Open(opening) => self.open_session(slot, &opening, &content),
            Call::Watch(opening, seen) => self.watch(slot, &opening, &content, seen),
            Call::Poll(id, ack) => {
                if let Some(session) = self.session_for(slot, id) {
                    self.poll(slot, session, ack);
                }
            }
            Call::Stream(id, ack, format) => {
                if let Some(session) = self.session_for(slot, id) {
                    self.begin_stream(slot, session, (id, ack), format);
                }
            }
            Call::Text(id, seq) => {
                if let Some(session) = self.session_for(slot, id) {
                    let next = self.sessions.by_slot.get(&session).map(|it| it.up);
                    let mut text = Vec::new();
                    frame::encode(&mut text, Opcode::Text, &content);
                    self.take_up(slot, session, seq.or(next).unwrap_or_default(), &text);
                }
            }
            Call::Up(id, seq) => {
                if let Some(session) = self.session_for(slot, id) {
                    self.take_up(slot, session, seq, &content);
                }
            }
            Call::Close(id) => {
                if let Some(session) = self.session_for(slot, id) {
                    if self.is_seated(session) {
                        self.answer_close(session, Some(CloseCode::NORMAL));
                    }
                    self.respond_done(slot);
                }
            }
        }
    }

    /// A seat, and a session for it.
    fn open_session(&mut self, slot: u32, opening: &Opening, content: &[u8]) {
        let Some((_, id)) = self.seat_session(slot, opening, content) else {
            return;
        };
        let up = self.common.limits.up_bytes();
        let body = format!("{{\"id\":\"{id}\",\"hold_ms\":{POLL_HOLD_MS},\"up_bytes\":{up}}}\n");
        self.respond(slot, reply(Status::Ok200, JSON, &body));
    }

    /// The same for who only listens, and at once; it may be who was here before.
    fn watch(&mut self, slot: u32, opening: &Opening, content: &[u8], seen: Option<(Id, u64)>) {
        let known = seen.and_then(|(id, ack)| {
            let session = self.session_of(id)?;
            let reaches = self.sessions.by_slot.get(&session)?.reaches(ack);
            reaches.then_some((session, id, ack))
        });
        let new = |(session, id)| (session, id, 0);
        let found = match known {
            Some(known) => Some(known),
            None => self.seat_session(slot, opening, content).map(new),
        };
        if let Some((session, id, ack)) = found {
            if let Phase::Exchange(exchange) = &mut self.connections[slot as usize].phase {
                exchange.call = Call::Stream(id, ack, Format::Watch);
            }
            self.count_carrier(session, slot);
            self.begin_stream(slot, session, (id, ack), Format::Watch);
        }
    }

    /// A seat, and a session for it: its slot and its name. Whoever gets none for a reason that a WebSocket would be told in a
    /// close frame is told it so in the session; who gets none has been answered.
    fn seat_session(&mut self, slot: u32, opening: &Opening, content: &[u8]) -> Option<(u32, Id)> {
        let mut admission = opening.admission;
        if let Some(judge) = &self.common.tickets {
            let brought = str::from_utf8(content).ok().map(str::trim_ascii);
            let brought = brought.filter(|ticket| !ticket.is_empty());
            let ticket = brought.or(opening.ticket.as_deref());
            let judged = ticket.ok_or(Refusal::NoTicket);
            match judged.and_then(|ticket| judge.judge(ticket, Some(&*opening.room))) {
                Ok(pass) => admission.pass = pass,
                Err(refusal) => {
                    self.refuse(slot, refusal, false);
                    return None;
                }
            }
        }
        let pass = admission.pass;
        if let Err((refusal, reason)) = self.take_seat(slot, pass) {
            self.refuse_for(slot, refusal, false, reason);
            return None;
        }
        let session = self.connect_carried(slot);
        self.count_player(session, pass);
        let id = Id {
            reactor: self.index,
            slot: session,
            secret: u128::from_be_bytes(self.v1.secrets.bytes()),
        };
        let most = self.common.limits.session_bytes(admission.is_v1());
        let of = Session::new(id.secret, most);
        self.sessions.by_slot.insert(session, of);
        self.join(session, &admission, Vec::new());
        self.count_carrier(session, slot);
        Some((session, id))
    }

    /// Takes a seat of the process for the request in this slot, if it may have one.
    fn take_seat(&mut self, slot: u32, pass: Pass) -> Result<(), (Refusal, DisconnectReason)> {
        if self.draining {
            return Err((Refusal::Draining, CloseReason::Drain.into()));
        }
        if self.is_banned(slot, pass) {
            return Err((Refusal::Banned, EndReason::Banned.into()));
        }
        if let Some(excess) = self.excess(slot, pass) {
            self.tell(Notice::AddressFull, slot);
            return Err((excess.refusal(), excess.reason().into()));
        }
        if !self.common.take_seat() {
            self.tell(Notice::Full, slot);
            return Err((Refusal::ServerFull, EndReason::Full.into()));
        }
        Ok(())
    }

    /// The slot of the session of this name.
    pub(super) fn session_of(&self, id: Id) -> Option<u32> {
        let here = Some(id).filter(|id| id.reactor == self.index);
        here.and_then(|id| self.sessions.find(id))
    }

    /// The slot of the session that a request names. Who asks for one that is gone, or never was, is told so.
    fn session_for(&mut self, slot: u32, id: Id) -> Option<u32> {
        let found = self.session_of(id);
        match found {
            Some(session) => self.count_carrier(session, slot),
            None => self.respond_gone(slot, None),
        }
        found
    }

    /// The request in this slot brings something to a session. That may be much, so nothing is taken for a session that is not
    /// here, and of one session only what comes last: who brought something before was cut, and comes again.
    pub(in crate::shard) fn expect_frames(&mut self, slot: u32, id: Id) {
        let carrier = self.carrier(slot);
        let session = self.session_of(id);
        let session = session.and_then(|session| self.sessions.by_slot.get_mut(&session));
        let Some(session) = session else {
            return self.respond_gone(slot, None);
        };
        let older = session.bringing.replace(carrier);
        // On one connection the other one is over.
        if let Some(older) = older.filter(|&older| older != carrier && self.is_bringing(older)) {
            self.respond(older.slot, busy());
        }
    }

    /// The request in slot `by` asks for the frames from number `ack` on, until there are some, or for a while.
    fn poll(&mut self, by: u32, slot: u32, ack: u64) {
        if self.asks(by, slot, ack, Asker::Poll(self.carrier(by))) {
            self.hold(by, POLL_HOLD_MS);
            self.answer_poll(slot);
        }
    }

    /// The request in slot `by` asks for the frames from number `ack` on, and nobody else any longer. False if it has been
    /// answered otherwise.
    pub(super) fn asks(&mut self, by: u32, slot: u32, ack: u64, asker: Asker) -> bool {
        let now = self.now32();
        let Some(session) = self.sessions.by_slot.get_mut(&slot) else {
            return false;
        };
        if !session.acknowledge(ack) {
            let (first, end) = (session.first, session.first + session.count);
            let body = format!("There are the frames from {first} to {end}.\n");
            self.respond(by, reply(Status::Conflict409, TEXT, &body));
            return false;
        }
        let (older, has_some) = (session.asker.replace(asker), session.count > 0);
        let older = older.map(|older| older.carrier());
        let other = older.filter(|&older| older != self.carrier(by) && self.is_asking(older));
        if let Some(older) = other {
            self.respond_done(older.slot);
        }
        self.connections[slot as usize].heard(now, 0);
        self.goes_on(slot);
        if !has_some && !self.is_seated(slot) && self.is_clear(slot) {
            self.forget_asker(slot);
            self.respond_gone(by, Some(slot));
            return false;
        }
        true
    }

    /// There may be room again for what waits for the session in this slot.
    pub(super) fn goes_on(&mut self, slot: u32) {
        if !self.is_clear(slot) || self.is_owed(slot) {
            self.list(slot);
        }
    }

    /// The request in slot `by` brings these frames, of which the first has number `seq`.
    fn take_up(&mut self, by: u32, slot: u32, seq: u64, content: &[u8]) {
        if !self.is_seated(slot) {
            return self.respond_gone(by, Some(slot));
        }
        let (mut count, mut end) = (0, 0);
        for at in frames(content) {
            (count, end) = (count + 1, at);
        }
        if end < content.len() {
            return self.refuse(by, Refusal::CutFrames, false);
        }
        let now = self.now32();
        let waits = self.unread.of(slot) > 0;
        let carrier = self.carrier(by);
        let Some(session) = self.sessions.by_slot.get_mut(&slot) else {
            return;
        };
        let Some(known) = session.up.checked_sub(seq) else {
            let body = format!("{}\n", session.up);
            return self.respond(by, reply(Status::Conflict409, TEXT, &body));
        };
        if known < count {
            if waits {
                // It would be the second on its way.
                return self.respond(by, busy());
            }
            session.up += count - known;
            let from = known
                .checked_sub(1)
                .and_then(|last| frames(content).nth(last as usize));
            let fresh = &content[from.unwrap_or_default()..];
            self.connections[slot as usize].heard(now, fresh.len());
            self.set_aside(slot, fresh.to_vec());
            self.hear_aside(slot);
        } else {
            self.connections[slot as usize].heard(now, 0);
        }
        if let Some(session) = self.sessions.by_slot.get_mut(&slot) {
            let older = session.verdict.replace(carrier);
            if let Some(older) = older.filter(|&older| older != carrier && self.is_asking(older)) {
                self.respond(older.slot, busy());
            }
            self.hold(by, UP_VERDICT_MS);
            self.give_verdict(slot);
        } else {
            self.respond_gone(by, None);
        }
    }

    /// The request in this slot waits for at most so long.
    pub(in crate::shard) fn hold(&mut self, slot: u32, ms: u32) {
        let now = self.now32();
        self.connections[slot as usize].deadline = now.wrapping_add(ms);
        self.rearm(slot);
    }

    /// Nobody polls the session in this slot any more.
    fn forget_asker(&mut self, slot: u32) {
        if let Some(session) = self.sessions.by_slot.get_mut(&slot) {
            session.asker = None;
        }
    }

    /// The time of the request in this slot is over: for its content, or for what it waits for.
    pub(in crate::shard) fn end_exchange(&mut self, slot: u32) {
        let Phase::Exchange(exchange) = &self.connections[slot as usize].phase else {
            return;
        };
        if exchange.is_arriving() {
            let reason = EndReason::HandshakeTimeout;
            return self.refuse_for(slot, Refusal::HeadTimeout, false, reason);
        }
        if exchange.awaits.is_some() {
            return self.respond(slot, busy());
        }
        match exchange.call.clone() {
            Call::Poll(id, _) => {
                if let Some(session) = self.session_for(slot, id) {
                    self.forget_asker(session);
                    self.connections[session as usize].heard(self.now as u32, 0);
                    self.respond(slot, reply(Status::Ok200, "application/octet-stream", ""));
                }
            }
            Call::Stream(id, ..) => self.beat(slot, id),
            Call::Up(id, _) | Call::Text(id, _) => {
                let carrier = self.carrier(slot);
                if let Some(session) = self.sessions.find(id)
                    && let Some(session) = self.sessions.by_slot.get_mut(&session)
                {
                    session.verdict.take_if(|verdict| *verdict == carrier);
                }
                self.respond(slot, busy());
            }
            Call::Preflight | Call::Open(_) | Call::Watch(..) | Call::Match(_) | Call::Close(_) => {
                self.respond(slot, busy());
            }
        }
    }

    /// Tells that a session is gone, and why, as long as that is known.
    pub(super) fn respond_gone(&mut self, slot: u32, session: Option<u32>) {
        let reason = session.and_then(|session| self.reason(session));
        let body = match reason.and_then(|reason| reason.close_code()) {
            Some(code) => format!("{{\"code\":{}}}\n", code.0),
            None => "{}\n".to_owned(),
        };
        self.respond(slot, reply(Status::Gone410, JSON, &body));
    }
}

impl Exchange {
    /// Whether a ticket comes with it.
    pub(in crate::shard) fn may_bring_ticket(&self) -> bool {
        matches!(self.call, Call::Open(_) | Call::Watch(..))
    }
}

fn reply<'a>(status: Status, kind: &'a str, body: &'a str) -> Reply<'a> {
    let body = body.as_bytes();
    Reply { status, kind, body }
}
