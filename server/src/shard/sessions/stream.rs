//! Streams: answers to a session that go on until their connection ends, as frames or as events.
//!
//! Owns: how much of what waits a stream has been given, and when it ends. Must not know: what the frames say. Invariants: a
//! stream is given no more than one portion that it has not taken; what it has been given is kept for who comes back, a
//! little of it for a while.

use std::fmt::Write;

use roomcast_protocol::events;
use roomcast_protocol::frame::{self, Opcode};

use super::call::{Call, Format, Id};
use super::{Asker, Carrier, Session, frames};
use crate::limits::{
    STREAM_BYTES, STREAM_KEPT, STREAM_MS, STREAM_PING_MS, STREAM_PORTION, STREAM_RETRY_MS,
};
use crate::shard::connection::Phase;
use crate::shard::{Action, Shard};

impl Format {
    fn kind(self) -> &'static str {
        match self {
            Self::Frames => "application/octet-stream",
            Self::Events | Self::Watch => "text/event-stream",
        }
    }

    /// Appends what a stream of this session begins with, before any frame that is counted.
    fn greet(self, out: &mut Vec<u8>, id: Id, up: usize, retry_ms: u32) {
        match self {
            Self::Frames => self.beat(out),
            Self::Events => out.extend_from_slice(format!("retry: {retry_ms}\n\n").as_bytes()),
            Self::Watch => {
                Self::Events.greet(out, id, up, retry_ms);
                let session = format!("{{\"id\":\"{id}\",\"up_bytes\":{up}}}");
                events::tell(out, "session", &session);
            }
        }
    }

    /// Appends something that says nothing, so that the way is known to be open: no frame that is counted.
    fn beat(self, out: &mut Vec<u8>) {
        match self {
            Self::Frames => frame::encode(out, Opcode::Ping, &[]),
            Self::Events | Self::Watch => events::comment(out),
        }
    }
}

/// Who gets frames in a stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) carrier: Carrier,
    id: Id,
    format: Format,
    /// Bytes of the frames of its session that it has been given.
    given: usize,
    /// The number of the next one.
    number: u64,
    /// The same when it last said that it is there.
    before: u64,
    /// Bytes of its answer so far, and when that began (ms).
    sent: usize,
    began: u32,
}

/// Frames as events, without their numbers: made once for all who get the same.
#[derive(Debug, Default)]
pub(super) struct Events {
    frames: Vec<u8>,
    lines: Vec<u8>,
    ends: Vec<usize>,
}

impl Events {
    /// Appends these frames, the first of which has number `number`, to the stream of this session.
    fn encode(&mut self, out: &mut Vec<u8>, fresh: &[u8], number: u64, session: Option<Id>) {
        if self.frames != fresh {
            self.frames.clear();
            self.lines.clear();
            self.ends.clear();
            self.frames.extend_from_slice(fresh);
            let mut from = 0;
            for end in frames(fresh) {
                events::encode(&mut self.lines, &fresh[from..end]);
                self.ends.push(self.lines.len());
                from = end;
            }
        }
        let (mut id, mut from) = (String::new(), 0);
        for (number, &end) in (number + 1..).zip(&self.ends) {
            id.clear();
            // A text takes everything.
            let _ = match session {
                Some(session) => writeln!(id, "id: {session}:{number}"),
                None => writeln!(id, "id: {number}"),
            };
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&self.lines[from..end]);
            from = end;
        }
    }
}

impl Session {
    /// What its stream is to be given next, and what is there is then as if it had been.
    fn fresh(&self) -> Option<(&Stream, &[u8])> {
        let Some(Asker::Stream(stream)) = &self.asker else {
            return None;
        };
        Some((stream, self.front(stream.given, STREAM_PORTION)))
    }

    /// Its stream has been given so many bytes of frames, as so many bytes of its answer. Whether it goes on.
    fn gave(&mut self, bytes: usize, count: u64, encoded: usize) -> bool {
        let Some(Asker::Stream(stream)) = &mut self.asker else {
            return false;
        };
        stream.given += bytes;
        stream.number += count;
        stream.sent += encoded;
        let goes_on = stream.sent < STREAM_BYTES;
        if stream.given > STREAM_KEPT {
            let over = stream.given - STREAM_KEPT / 2;
            let gone = frames(&self.down).take_while(|&end| end <= over).count();
            self.forget(gone as u64);
        }
        goes_on
    }

    /// Forgets so many of the oldest frames, which its stream has been given.
    fn forget(&mut self, count: u64) {
        let before = self.down.len();
        self.acknowledge(self.first + count);
        if let Some(Asker::Stream(stream)) = &mut self.asker {
            stream.given -= before - self.down.len();
        }
    }

    /// Its stream says that it is there: forgets what had been given when it last did.
    fn beat(&mut self) {
        if let Some(Asker::Stream(stream)) = &mut self.asker {
            let before = std::mem::replace(&mut stream.before, stream.number);
            self.forget(before.saturating_sub(self.first));
        }
    }
}

impl Shard {
    /// The request in slot `by` asks for the frames from number `ack` on, and for those that come.
    pub(super) fn begin_stream(
        &mut self,
        by: u32,
        slot: u32,
        (id, ack): (Id, u64),
        format: Format,
    ) {
        let stream = Stream {
            carrier: self.carrier(by),
            id,
            format,
            given: 0,
            number: ack,
            before: ack,
            sent: 0,
            began: self.now32(),
        };
        if !self.asks(by, slot, ack, Asker::Stream(stream)) {
            return;
        }
        let retry_ms = self.random.u32(STREAM_RETRY_MS..2 * STREAM_RETRY_MS);
        let up = self.common.limits.up_bytes();
        self.open_answer(by, format.kind(), |out| {
            format.greet(out, id, up, retry_ms);
        });
        self.hold(by, STREAM_PING_MS);
    }

    /// In a flush: gives the stream of the session in this slot what is new, if it has taken what it was given before.
    pub(super) fn pour(&mut self, slot: u32) {
        let is_over = !self.is_seated(slot) && self.is_clear(slot);
        let Self {
            sessions,
            connections,
            ..
        } = self;
        let Some(session) = sessions.by_slot.get_mut(&slot) else {
            return;
        };
        let Some((stream, fresh)) = session.fresh() else {
            return;
        };
        let (carrier, number) = (stream.carrier, stream.number);
        let connection = connections.get_mut(carrier.slot as usize);
        let Some(connection) = connection.filter(|it| it.who.id() == carrier.id) else {
            session.asker = None;
            return;
        };
        let bytes = fresh.len();
        if !connection.outbox.is_clear() || (bytes == 0 && !is_over) {
            return;
        }
        let (mut count, mut encoded) = (0, 0);
        if bytes > 0 {
            count = frames(fresh).count() as u64;
            let watcher = (stream.format == Format::Watch).then_some(stream.id);
            let events = &mut sessions.events;
            connection.outbox.push(|out| {
                let before = out.len();
                match stream.format {
                    Format::Frames => out.extend_from_slice(fresh),
                    Format::Events | Format::Watch => events.encode(out, fresh, number, watcher),
                }
                encoded = out.len() - before;
            });
        }
        let goes_on = session.gave(bytes, count, encoded);
        let has_more = session.fresh().is_some_and(|(_, fresh)| !fresh.is_empty());
        self.write_on(carrier.slot);
        if !goes_on || (is_over && !has_more) {
            self.end_stream(slot);
        }
        // There may be room again for what waits.
        self.goes_on(slot);
    }

    /// In a flush: the connection in this slot has taken all that it was given; if that is a stream, it goes on.
    pub(in crate::shard) fn drained(&mut self, slot: u32) {
        let Phase::Exchange(exchange) = &self.connections[slot as usize].phase else {
            return;
        };
        let &Call::Stream(id, ..) = &exchange.call else {
            return;
        };
        if let Some((session, true)) = self.has_fresh(slot, id) {
            self.pour(session);
        }
    }

    /// The session whose stream the connection in this slot carries, and whether there is something for it to do.
    fn has_fresh(&self, by: u32, id: Id) -> Option<(u32, bool)> {
        let slot = self.session_of(id)?;
        let session = self.sessions.by_slot.get(&slot)?;
        let (stream, fresh) = session.fresh()?;
        let is_over = !self.is_seated(slot) && self.is_clear(slot);
        (stream.carrier == self.carrier(by)).then_some((slot, is_over || !fresh.is_empty()))
    }

    /// Time has come for the stream that the connection in this slot carries to say that it is there, or to end.
    pub(super) fn beat(&mut self, by: u32, id: Id) {
        let now = self.now32();
        let session = self.has_fresh(by, id);
        let session =
            session.and_then(|(slot, _)| Some((slot, self.sessions.by_slot.get_mut(&slot)?)));
        let Some((slot, session)) = session else {
            return self.close_answer(by);
        };
        session.beat();
        let Some((stream, _)) = session.fresh() else {
            return;
        };
        if now.wrapping_sub(stream.began) >= STREAM_MS {
            return self.end_stream(slot);
        }
        let format = stream.format;
        // Who has acknowledged everything until now is there.
        if self.streams.has(by) || self.links.has(by) {
            // What has its connection is asked for as a whole.
            self.has_all(by);
        } else {
            self.actions.push(Action::Weigh(by));
        }
        let outbox = &mut self.connections[by as usize].outbox;
        if outbox.is_clear() {
            outbox.push(|out| format.beat(out));
            self.list(by);
        }
        self.hold(by, STREAM_PING_MS);
    }

    /// The peer of the connection in this slot has acknowledged all that its socket took: if that is a stream, somebody is
    /// there.
    pub(in crate::shard) fn has_all(&mut self, slot: u32) {
        let now = self.now32();
        if let Phase::Exchange(exchange) = &self.connections[slot as usize].phase
            && let Call::Stream(id, ..) = exchange.call
            && let Some((session, _)) = self.has_fresh(slot, id)
        {
            self.connections[session as usize].heard(now, 0);
        }
    }

    fn end_stream(&mut self, slot: u32) {
        let session = self.sessions.by_slot.get_mut(&slot);
        let asker = session.and_then(|session| session.asker.take());
        if let Some(carrier) = asker.map(|asker| asker.carrier())
            && self.is_asking(carrier)
        {
            self.close_answer(carrier.slot);
        }
    }
}
