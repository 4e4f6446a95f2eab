//! HTTP/2: connections whose requests come as streams, each a connection of HTTP/1.1 without a socket.
//!
//! Owns: which connection has which streams, and whose answers found no room. Must not know: what is asked, and how HTTP/2 is
//! written. Invariants: a stream is judged by itself, as the only request of a connection; it ends with its answer or with its
//! connection; what finds no room in its window waits where it comes from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;

use roomcast_protocol::http2::{Ended, Event, Machine, PREFACE};

use super::connection::{Closing, Phase};
use super::exchange::busy;
use super::{Common, EndReason, Shard, Written};
use crate::limits::{HTTP2_CONTENT, HTTP2_DRAIN_MS, HTTP2_IDLE_MS, HTTP2_PING_MS};
use crate::transport::Security;

/// What of the preface looks like the head of a request.
const PREFACE_HEAD: &[u8] = PREFACE.split_at(PREFACE.len() - b"SM\r\n\r\n".len()).0;

/// Who may speak HTTP/2.
#[derive(Debug, Clone, Copy, Default)]
pub struct Http2 {
    /// Who agreed on it in the TLS handshake.
    pub over_tls: bool,
    /// Who begins with it in clear.
    pub in_clear: bool,
}

impl Common {
    /// With HTTP/2 for these.
    #[must_use]
    pub fn with_http2(mut self, http2: Http2) -> Self {
        self.http2 = http2;
        self
    }
}

/// A connection of HTTP/2.
#[derive(Debug, Default)]
pub(super) struct Multiplex {
    machine: Machine,
    /// The slots of its streams, by their numbers.
    slots: BTreeMap<u32, u32>,
    /// When it last asked for something (ms).
    asked_at: u32,
}

impl Multiplex {
    /// Whether nothing is asked over it now.
    pub(super) fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.machine.held()
    }
}

/// Where a stream belongs.
#[derive(Debug, Clone, Copy)]
struct Stream {
    /// The slot of its connection.
    parent: u32,
    number: u32,
}

/// The streams of a shard, by the slots of their connections without sockets.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_slot: HashMap<u32, Stream>,
    /// Those whose answers found no room.
    congested: HashSet<u32>,
    /// What was told while it was time to write, with the slots and ids of the connections.
    told: Vec<(u32, u64, Told)>,
}

impl Streams {
    /// Whether there is a stream in this slot.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.by_slot.contains_key(&slot)
    }

    /// Whether the stream in this slot takes what is written for it.
    pub(super) fn has_room(&self, slot: u32) -> bool {
        self.has(slot) && !self.congested.contains(&slot)
    }

    /// The slot of the connection that has the stream in this slot, or that is in it itself.
    pub(super) fn parent(&self, slot: u32) -> u32 {
        self.by_slot.get(&slot).map_or(slot, |stream| stream.parent)
    }

    /// Whether something is to be done in the next iteration.
    pub(super) fn has_work(&self) -> bool {
        !self.told.is_empty()
    }

    fn forget(&mut self, slot: u32) -> Option<Stream> {
        self.congested.remove(&slot);
        self.by_slot.remove(&slot)
    }
}

/// What a peer said, for when the machine is not lent any more.
#[derive(Debug)]
enum Told {
    Question(u32, Vec<u8>),
    Gone(u32),
}

impl Told {
    fn of(event: Event<'_>) -> Option<Self> {
        match event {
            Event::Question { stream, bytes } => Some(Self::Question(stream, bytes.to_vec())),
            Event::Gone { stream } => Some(Self::Gone(stream)),
            Event::Pong => None,
        }
    }
}

impl Shard {
    /// Whether this head begins HTTP/2, and the connection in this slot may speak it.
    pub(super) fn begins_http2(&self, slot: u32, head: &[u8]) -> bool {
        let allowed = match self.connections[slot as usize].security {
            Security::Plain => self.common.http2.in_clear,
            Security::Tls(_) => self.common.http2.over_tls,
        };
        head == PREFACE_HEAD && allowed && !self.connections[slot as usize].carried
    }

    /// From here on the connection in this slot speaks HTTP/2; this came of it.
    pub(super) fn begin_http2(&mut self, slot: u32, bytes: &[u8]) {
        let multiplex = Multiplex {
            asked_at: self.now32(),
            ..Multiplex::default()
        };
        self.connections[slot as usize].phase = Phase::Http2(Box::new(multiplex));
        self.receive_http2(slot, bytes);
    }

    /// Bytes of a connection that speaks HTTP/2.
    pub(super) fn receive_http2(&mut self, slot: u32, bytes: &[u8]) {
        let now = self.now;
        // What it said before that comes first, and may be its last.
        self.carry_on_streams();
        let Phase::Http2(multiplex) = &mut self.connections[slot as usize].phase else {
            return;
        };
        let mut told = Vec::new();
        let ended = multiplex
            .machine
            .receive(bytes, now, &mut |event| told.extend(Told::of(event)));
        for told in told {
            self.heed_stream(slot, told);
        }
        // Windows may have opened.
        for of in self.decongested(slot) {
            self.list(of);
        }
        self.list(slot);
        if let Err(ended) = ended {
            self.end_http2(slot, ended);
        }
    }

    /// Goes on with what was told while it was time to write.
    pub(super) fn carry_on_streams(&mut self) {
        for (slot, id, told) in mem::take(&mut self.streams.told) {
            let connection = self.connections.get(slot as usize);
            if connection.is_some_and(|connection| connection.who.id() == id) {
                self.heed_stream(slot, told);
            }
        }
    }

    fn heed_stream(&mut self, slot: u32, told: Told) {
        match told {
            Told::Question(number, mut bytes) => self.ask_in_stream(slot, number, &mut bytes),
            Told::Gone(number) => {
                if let Phase::Http2(multiplex) = &mut self.connections[slot as usize].phase
                    && let Some(of) = multiplex.slots.remove(&number)
                {
                    self.streams.forget(of);
                    self.drop_connection(of, EndReason::PeerGone);
                }
            }
        }
    }

    /// Streams of the connection in this slot that had no room, and may have some now.
    fn decongested(&mut self, slot: u32) -> Vec<u32> {
        let Phase::Http2(multiplex) = &self.connections[slot as usize].phase else {
            return Vec::new();
        };
        let congested = &mut self.streams.congested;
        let slots = multiplex.slots.values();
        slots.copied().filter(|of| congested.remove(of)).collect()
    }

    /// It is over, and says why.
    fn end_http2(&mut self, slot: u32, ended: Ended) {
        let connection = &mut self.connections[slot as usize];
        if let Phase::Http2(multiplex) = &mut connection.phase {
            let last = multiplex.machine.output();
            connection.outbox.push(|out| out.extend_from_slice(last));
        }
        let reason = match ended {
            Ended::Done => EndReason::Answered,
            Ended::Violation => EndReason::Http2Violation,
            Ended::Flood => EndReason::Http2Flood,
            Ended::Deaf => EndReason::Http2Deaf,
        };
        self.begin_closing(slot, Closing::Flush, reason);
    }

    /// Some of a request came in a stream.
    fn ask_in_stream(&mut self, parent: u32, number: u32, bytes: &mut [u8]) {
        let now = self.now32();
        let Phase::Http2(multiplex) = &mut self.connections[parent as usize].phase else {
            return;
        };
        multiplex.asked_at = now;
        let Some(&of) = multiplex.slots.get(&number) else {
            let of = self.connect_stream(parent, number);
            return self.receive_plain(of, bytes);
        };
        // A window for each would let a hundred hold much at once.
        let slots: Vec<u32> = multiplex.slots.values().copied().collect();
        let held: usize = slots.into_iter().map(|slot| self.held(slot).1).sum();
        if held + bytes.len() > HTTP2_CONTENT && self.held(of).1 < held {
            return self.respond(of, busy());
        }
        self.receive_plain(of, bytes);
    }

    /// A connection without a socket for a stream of the one in this slot.
    fn connect_stream(&mut self, parent: u32, number: u32) -> u32 {
        let slot = self.connect_carried(parent);
        self.rearm(slot);
        self.streams.by_slot.insert(slot, Stream { parent, number });
        if let Phase::Http2(multiplex) = &mut self.connections[parent as usize].phase {
            multiplex.slots.insert(number, slot);
        }
        slot
    }

    /// Takes the current write into the stream in this slot. False if there is none.
    pub(super) fn stream_write(&mut self, slot: u32) -> bool {
        let Some(&Stream { parent, number }) = self.streams.by_slot.get(&slot) else {
            return false;
        };
        // Taken out, because what is written lies in the shard too.
        let phase = mem::replace(&mut self.connections[parent as usize].phase, Phase::Dead);
        let Phase::Http2(mut multiplex) = phase else {
            self.connections[parent as usize].phase = phase;
            self.wrote_other(Written::Failed);
            return true;
        };
        let (mut taken, mut offered) = (0, 0);
        self.pending().with_slices(|slices| {
            for slice in slices {
                if taken == offered {
                    taken += multiplex.machine.answer(number, slice);
                }
                offered += slice.len();
            }
        });
        self.connections[parent as usize].phase = Phase::Http2(multiplex);
        if taken < offered {
            self.streams.congested.insert(slot);
        }
        self.write_last(parent);
        self.wrote_other(Written::Carried(taken));
        true
    }

    /// The answer in this slot is whole.
    pub(super) fn finish_stream(&mut self, slot: u32) {
        if let Some(parent) = self.take_stream(slot, Machine::finish) {
            self.write_last(parent);
        }
        self.bury(slot);
    }

    /// The connection in this slot dies: if it is a stream there will be no answer, or no more of it.
    pub(super) fn forget_stream(&mut self, slot: u32) {
        if let Some(parent) = self.take_stream(slot, Machine::reset) {
            self.list(parent);
        }
    }

    /// Takes the stream in this slot, if it is one, off its connection, for which this is its `last`. The slot of that.
    fn take_stream(&mut self, slot: u32, last: impl FnOnce(&mut Machine, u32)) -> Option<u32> {
        let Stream { parent, number } = self.streams.forget(slot)?;
        let Phase::Http2(multiplex) = &mut self.connections[parent as usize].phase else {
            return None;
        };
        last(&mut multiplex.machine, number);
        multiplex.slots.remove(&number);
        Some(parent)
    }

    /// The connection in this slot ends, and its streams with it.
    pub(super) fn forget_streams(&mut self, slot: u32) {
        let Phase::Http2(multiplex) = &mut self.connections[slot as usize].phase else {
            return;
        };
        let slots = mem::take(&mut multiplex.slots);
        let reason = self.reason(slot).unwrap_or(EndReason::PeerGone.into());
        for of in slots.into_values() {
            self.streams.forget(of);
            self.drop_connection(of, reason);
        }
    }

    /// In a flush: the socket of the connection in this slot has taken all; if that speaks HTTP/2, it goes on.
    pub(super) fn drained_http2(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let Phase::Http2(multiplex) = &mut connection.phase else {
            return;
        };
        let id = connection.who.id();
        let told = &mut self.streams.told;
        let machine = &mut multiplex.machine;
        let ended = machine.go_on(&mut |event| {
            told.extend(Told::of(event).map(|told| (slot, id, told)));
        });
        if let Err(ended) = ended {
            return self.end_http2(slot, ended);
        }
        if machine.output().is_empty() {
            return;
        }
        connection
            .outbox
            .push(|out| out.extend_from_slice(machine.output()));
        machine.left();
        self.write_on(slot);
        for of in self.decongested(slot) {
            self.write_on(of);
        }
    }

    /// Time has come to ask whether the peer of the connection in this slot is there, or to tell it to go.
    pub(super) fn look_at_http2(&mut self, slot: u32) {
        let now = self.now32();
        let draining = self.draining;
        let connection = &mut self.connections[slot as usize];
        let Phase::Http2(multiplex) = &mut connection.phase else {
            return;
        };
        let idle = now.wrapping_sub(multiplex.asked_at) >= HTTP2_IDLE_MS || draining;
        if multiplex.slots.is_empty() && idle {
            multiplex.machine.drain();
            let _ = multiplex.machine.go_on(&mut |_| {});
            return self.end_http2(slot, Ended::Done);
        }
        if !multiplex.machine.ping() && !draining {
            let reason = match multiplex.machine.has_begun() {
                true => EndReason::ConnectionLost,
                false => EndReason::HandshakeTimeout,
            };
            return self.drop_connection(slot, reason);
        }
        let again = if draining {
            HTTP2_DRAIN_MS
        } else {
            HTTP2_PING_MS
        };
        connection.deadline = now.wrapping_add(again);
        self.rearm(slot);
        self.list(slot);
    }

    /// The process is to end: nothing more is to be asked over the connection in this slot.
    pub(super) fn drain_http2(&mut self, slot: u32) {
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        if let Phase::Http2(multiplex) = &mut connection.phase {
            multiplex.machine.drain();
            connection.deadline = now.wrapping_add(HTTP2_DRAIN_MS);
            self.rearm(slot);
            self.list(slot);
        }
    }
}
