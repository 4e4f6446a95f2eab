//! What becomes of calls: seats, polls, frames that come up, farewells.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::upgrade::{Refusal, Reply, Status};

use super::call::{Call, Id, Opening};
use super::{Session, frames};
use crate::limits::{POLL_HOLD_MS, UP_VERDICT_MS};
use crate::shard::connection::Phase;
use crate::shard::exchange::Exchange;
use crate::shard::notices::Notice;
use crate::shard::{CloseReason, EndReason, Shard};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

impl Shard {
    /// Does what the request in this slot asks for; its content is whole.
    pub(in crate::shard) fn heed_call(&mut self, slot: u32, content: Vec<u8>) {
        let Phase::Exchange(exchange) = &self.connections[slot as usize].phase else {
            return;
        };
        match exchange.call.clone() {
            Call::Preflight => self.respond_done(slot),
            Call::Open(opening) => self.open_session(slot, &opening, &content),
            Call::Poll(id, ack) => {
                if let Some(session) = self.session_for(slot, id) {
                    self.poll(slot, session, ack);
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

    /// A seat, and a session for it. Whoever gets none for a reason that a WebSocket would be told in a close frame is told
    /// it so here too.
    fn open_session(&mut self, slot: u32, opening: &Opening, content: &[u8]) {
        let mut admission = opening.admission;
        if let Some(judge) = &self.common.tickets {
            let brought = str::from_utf8(content).ok().map(str::trim_ascii);
            let brought = brought.filter(|ticket| !ticket.is_empty());
            let ticket = brought.or(opening.ticket.as_deref());
            let judged = ticket.ok_or(Refusal::NoTicket);
            match judged.and_then(|ticket| judge.judge(ticket, Some(&*opening.room))) {
                Ok(pass) => admission.pass = pass,
                Err(refusal) => return self.refuse(slot, refusal, false),
            }
        }
        let pass = admission.pass;
        if self.draining {
            return self.refuse_for(slot, Refusal::Draining, false, CloseReason::Drain);
        }
        if self.is_banned(slot, pass) {
            return self.refuse_for(slot, Refusal::Banned, false, EndReason::Banned);
        }
        if let Some(excess) = self.excess(slot, pass) {
            self.tell(Notice::AddressFull, slot);
            return self.refuse_for(slot, excess.refusal(), false, excess.reason());
        }
        if !self.common.take_seat() {
            self.tell(Notice::Full, slot);
            return self.refuse_for(slot, Refusal::ServerFull, false, EndReason::Full);
        }
        let session = self.connect_carried(slot);
        self.count_player(session, pass);
        let id = Id {
            reactor: self.index,
            slot: session,
            secret: u128::from_be_bytes(self.v1.secrets.bytes()),
        };
        let limits = &self.common.limits;
        let most = limits.session_bytes(admission.is_v1());
        let up = limits.up_bytes();
        self.sessions
            .by_slot
            .insert(session, Session::new(id.secret, most));
        self.join(session, &admission, Vec::new());
        self.count_carrier(session, slot);
        let body = format!("{{\"id\":\"{id}\",\"hold_ms\":{POLL_HOLD_MS},\"up_bytes\":{up}}}\n");
        self.respond(slot, reply(Status::Ok200, JSON, &body));
    }

    /// The slot of the session of this name.
    fn session_of(&self, id: Id) -> Option<u32> {
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

    /// The request in slot `by` asks for the frames from number `ack` on.
    fn poll(&mut self, by: u32, slot: u32, ack: u64) {
        let now = self.now32();
        let carrier = self.carrier(by);
        let Some(session) = self.sessions.by_slot.get_mut(&slot) else {
            return;
        };
        if !session.acknowledge(ack) {
            let (first, end) = (session.first, session.first + session.count);
            let body = format!("There are the frames from {first} to {end}.\n");
            return self.respond(by, reply(Status::Conflict409, TEXT, &body));
        }
        let older = session.poll.replace(carrier);
        if let Some(older) = older.filter(|&older| older != carrier && self.is_asking(older)) {
            self.respond_done(older.slot);
        }
        self.connections[slot as usize].heard(now, 0);
        // There may be room again for what waits.
        if !self.is_clear(slot) || self.is_owed(slot) {
            self.list(slot);
        }
        self.answer_poll(slot);
        if !self.is_asking(carrier) {
            return;
        }
        if !self.is_seated(slot) && self.is_clear(slot) {
            self.forget_asker(slot);
            return self.respond_gone(by, Some(slot));
        }
        self.hold(by, POLL_HOLD_MS);
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
    fn hold(&mut self, slot: u32, ms: u32) {
        let now = self.now32();
        self.connections[slot as usize].deadline = now.wrapping_add(ms);
        self.rearm(slot);
    }

    /// Nobody polls the session in this slot any more.
    fn forget_asker(&mut self, slot: u32) {
        if let Some(session) = self.sessions.by_slot.get_mut(&slot) {
            session.poll = None;
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
        match exchange.call.clone() {
            Call::Poll(id, _) => {
                if let Some(session) = self.session_for(slot, id) {
                    self.forget_asker(session);
                    self.connections[session as usize].heard(self.now as u32, 0);
                    self.respond(slot, reply(Status::Ok200, "application/octet-stream", ""));
                }
            }
            Call::Up(id, _) => {
                let carrier = self.carrier(slot);
                if let Some(session) = self.sessions.find(id)
                    && let Some(session) = self.sessions.by_slot.get_mut(&session)
                {
                    session.verdict.take_if(|verdict| *verdict == carrier);
                }
                self.respond(slot, busy());
            }
            Call::Preflight | Call::Open(_) | Call::Close(_) => self.respond(slot, busy()),
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
        matches!(self.call, Call::Open(_))
    }
}

fn reply<'a>(status: Status, kind: &'a str, body: &'a str) -> Reply<'a> {
    let body = body.as_bytes();
    Reply { status, kind, body }
}

fn busy() -> Reply<'static> {
    reply(
        Status::Unavailable503,
        TEXT,
        "What came before is not heard yet: send the same again.\n",
    )
}
