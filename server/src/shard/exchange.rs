//! Exchanges: requests that do more than fetch a page, with content, after which their connections may go on.
//!
//! Owns: what has come of a request's content, and what becomes of its connection behind the answer. Must not know: what is
//! asked for. Invariants: a connection has one request at a time, and nothing of it is remembered for the next one, which
//! may be another person's; what comes before the answer ends the connection with that.

use std::mem;
use std::net::IpAddr;

use roomcast_protocol::upgrade::{self, Body, Readers, Refusal, Reply, Request, Status};

use super::connection::{Closing, Phase};
use super::remote::Remote;
use super::sessions::Call;
use super::{Common, EndReason, Shard};
use crate::limits::{ANSWERED_MS, HANDSHAKE_READ};

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// This takes its content.
    Arriving(Body),
    /// Its content is whole, and the answer awaited.
    Heeded,
    /// The answer has begun, and ends with the connection.
    Streaming,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) call: Call,
    stage: Stage,
    content: Vec<u8>,
    /// Bytes that came before the answer.
    early: usize,
    /// Another request may follow.
    keeps: bool,
    expects_continue: bool,
    readers: Readers,
    /// Whose socket it is, if that is a proxy who says where the request comes from.
    proxy: Option<IpAddr>,
    /// The number under which another reactor is asked for its answer.
    pub(super) awaits: Option<u64>,
    /// It is another reactor's, which is told the answer.
    pub(super) remote: Option<Remote>,
    /// A session counts for the address of its connection, at home or elsewhere.
    pub(super) carries: bool,
    /// Bytes of its answer that came from another reactor, which does not know that they have left.
    owed: usize,
}

impl Exchange {
    /// What this request asks for, whose head is whole.
    ///
    /// # Errors
    ///
    /// It is announced to have more content than is taken.
    pub(super) fn new(call: Call, request: &Request<'_>, most: usize) -> Result<Self, Refusal> {
        Ok(Self {
            stage: Stage::Arriving(Body::new(request.framing, most)?),
            keeps: request.keeps,
            expects_continue: request.expects_continue,
            ..Self::whole(call, Readers::NoPage)
        })
    }

    /// One that is whole, of another reactor's connection.
    pub(super) fn of_another(call: Call, remote: Remote, readers: Readers) -> Self {
        Self {
            remote: Some(remote),
            ..Self::whole(call, readers)
        }
    }

    /// One that has no content.
    pub(super) fn whole(call: Call, readers: Readers) -> Self {
        Self {
            call,
            stage: Stage::Heeded,
            content: Vec::new(),
            early: 0,
            keeps: false,
            expects_continue: false,
            readers,
            proxy: None,
            awaits: None,
            remote: None,
            carries: false,
            owed: 0,
        }
    }

    /// Whether its connection goes to the home of what it asks of: for an answer without end, and where its content, which has
    /// not come whole, is taken only for a session that is there.
    pub(super) fn goes_home(&self, mut rest: &[u8]) -> bool {
        if self.call.is_endless() {
            return true;
        }
        let Stage::Arriving(body) = &self.stage else {
            return false;
        };
        let whole = body.clone().next(&mut rest, &mut Vec::new());
        self.call.brings_to().is_some() && matches!(whole, Ok(false))
    }

    /// Whose pages may read the answer, and which proxy it goes to, if it does.
    pub(super) fn is_for(&mut self, readers: Readers, proxy: Option<IpAddr>) {
        self.readers = readers;
        self.proxy = proxy;
    }

    /// The reactor that answers it, if it is not any.
    pub(super) fn home(&self, common: &Common) -> Option<usize> {
        self.call.home(common)
    }

    /// Whether its content is not whole.
    pub(super) fn is_arriving(&self) -> bool {
        matches!(self.stage, Stage::Arriving(_))
    }

    /// Whether its answer has begun.
    pub(super) fn is_streaming(&self) -> bool {
        matches!(self.stage, Stage::Streaming)
    }

    pub(super) fn readers(&self) -> Readers {
        self.readers
    }

    /// So many bytes of its answer came from another reactor.
    pub(super) fn streams(&mut self, bytes: usize) {
        self.stage = Stage::Streaming;
        self.owed += bytes;
    }

    /// The number of the question and how many bytes of its answer have left, of which its reactor does not know.
    pub(super) fn take_owed(&mut self) -> Option<(u64, usize)> {
        let bytes = mem::take(&mut self.owed);
        self.awaits
            .filter(|_| bytes > 0)
            .map(|number| (number, bytes))
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.content.capacity()
    }
}

impl Shard {
    /// The head of this request is whole; `rest` came behind it.
    pub(super) fn begin_exchange(&mut self, slot: u32, exchange: Box<Exchange>, rest: &[u8]) {
        // What is for another reactor is here as a whole.
        let elsewhere = exchange
            .home(&self.common)
            .is_some_and(|home| home != self.index);
        let brings_to = exchange.call.brings_to().filter(|_| !elsewhere);
        let waits = exchange.expects_continue && rest.is_empty();
        self.connections[slot as usize].phase = Phase::Exchange(exchange);
        self.rearm(slot);
        if let Some(id) = brings_to {
            self.expect_frames(slot, id);
            if !matches!(self.connections[slot as usize].phase, Phase::Exchange(_)) {
                // What comes of it is thrown away.
                return;
            }
        }
        if waits {
            let outbox = &mut self.connections[slot as usize].outbox;
            outbox.push_own(upgrade::write_continue);
            self.list(slot);
        }
        self.receive_content(slot, rest);
    }

    /// Bytes behind the head of a request that is under way.
    pub(super) fn receive_content(&mut self, slot: u32, bytes: &[u8]) {
        let Phase::Exchange(exchange) = &mut self.connections[slot as usize].phase else {
            return;
        };
        let Stage::Arriving(body) = &mut exchange.stage else {
            exchange.keeps = false;
            exchange.early += bytes.len();
            if exchange.early > HANDSHAKE_READ {
                self.drop_connection(slot, EndReason::Refused(Refusal::BodyTooLarge));
            }
            return;
        };
        let mut input = bytes;
        match body.next(&mut input, &mut exchange.content) {
            Ok(false) => {}
            Ok(true) => {
                exchange.keeps &= input.is_empty();
                exchange.stage = Stage::Heeded;
                let content = mem::take(&mut exchange.content);
                self.heed_call(slot, content);
            }
            Err(refusal) => self.refuse(slot, refusal, false),
        }
    }

    /// Bytes of the next request on a connection whose last one has been answered.
    pub(super) fn receive_next(&mut self, slot: u32, bytes: &mut [u8]) {
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        if !connection.outbox.is_clear() {
            // Who has not read one answer does not ask again.
            return self.begin_closing(slot, Closing::Flush, EndReason::Answered);
        }
        connection.phase = Phase::Handshake(None);
        connection.deadline = now.wrapping_add(self.common.limits.handshake_ms);
        self.rearm(slot);
        self.receive_head(slot, bytes);
    }

    /// Answers the request that is under way.
    pub(super) fn respond(&mut self, slot: u32, reply: Reply<'_>) {
        if self.reply_to_remote(slot, reply) {
            return;
        }
        self.finish(slot, |out, keeps, readers| {
            upgrade::write_reply(out, reply, keeps, readers);
        });
    }

    /// Answers that it has been done.
    pub(super) fn respond_done(&mut self, slot: u32) {
        if self.done_for_remote(slot) {
            return;
        }
        self.finish(slot, upgrade::write_done);
    }

    /// Begins an answer that goes on until the connection ends.
    pub(super) fn open_answer(&mut self, slot: u32, kind: &str, greet: impl FnOnce(&mut Vec<u8>)) {
        let connection = &mut self.connections[slot as usize];
        let Phase::Exchange(exchange) = &mut connection.phase else {
            return;
        };
        exchange.stage = Stage::Streaming;
        let readers = exchange.readers;
        connection.outbox.push(|out| {
            upgrade::write_endless(out, kind, readers);
            greet(out);
        });
        self.list(slot);
    }

    /// Ends an answer that has begun, behind what was queued of it.
    pub(super) fn close_answer(&mut self, slot: u32) {
        self.begin_closing(slot, Closing::Flush, EndReason::Answered);
    }

    fn finish(&mut self, slot: u32, write: impl FnOnce(&mut Vec<u8>, bool, Readers)) {
        let now = self.now32();
        if matches!(&self.connections[slot as usize].phase, Phase::Exchange(it) if it.is_streaming())
        {
            return self.close_answer(slot);
        }
        self.forget_question(slot);
        let connection = &mut self.connections[slot as usize];
        let Phase::Exchange(exchange) = &mut connection.phase else {
            return;
        };
        let is_stream = self.streams.has(slot);
        let is_last = self.draining || is_stream;
        let keeps = exchange.keeps && !exchange.is_arriving() && !is_last;
        let (readers, proxy) = (exchange.readers, exchange.proxy);
        let counts_again = exchange.awaits.is_some() && !exchange.carries && !is_stream;
        connection.outbox.push_own(|out| write(out, keeps, readers));
        connection.phase = Phase::Answered;
        if counts_again {
            self.count_again(slot);
        }
        if let Some(proxy) = proxy {
            // The next request is another person's.
            self.count_no_longer(slot);
            self.connections[slot as usize].who.comes_from(proxy);
        }
        if !keeps {
            return self.begin_closing(slot, Closing::Flush, EndReason::Answered);
        }
        self.connections[slot as usize].deadline = now.wrapping_add(ANSWERED_MS);
        self.rearm(slot);
        self.list(slot);
    }
}

/// There is no room for a request now.
pub(super) fn busy() -> Reply<'static> {
    Reply {
        status: Status::Unavailable503,
        kind: "text/plain; charset=utf-8",
        body: b"What came before is not heard yet: send the same again.\n",
    }
}
