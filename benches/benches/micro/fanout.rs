//! Fan-out, per delivery: every member of every room says 64 B, and all others get it in one write each.
//!
//! * `roomcast`: the bookkeeping. Append to the open batch, freeze, and gather the slices of each receiver's write.
//! * `whole shard`: the production path from masked frames to the slices of each write, everything but the system
//!   calls: decoder, flood accounting, fan-out turns, what became of each write.
//! * `reference per message`: what a relay without batches does. Each receiver queues a reference to each message and
//!   gathers a slice for each.

use std::hash::RandomState;
use std::hint::black_box;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion};
use roomcast::delivery::{Audience, BatchPool, Class, Dialect};
use roomcast::limits::{DIRECT_RANGES, Limits};
use roomcast::room::{Receiver, Rooms};
use roomcast::shard::{Common, Shard, Written};
use roomcast::transport::{Port, encode_message};
use roomcast_benches::{bytes, masked_frames, per_item};
use roomcast_protocol::frame::{self, MessageKind, Opcode};
use roomcast_protocol::upgrade::{self, ClientKey};

/// As in the scenarios of `scripts/bench`.
const CLIENTS: usize = 1000;
const PAYLOAD: usize = 64;

/// Bytes that a round must deliver if each member sends one message.
fn total(members: usize) -> usize {
    CLIENTS * (members - 1) * frame::encoded_len(PAYLOAD)
}

pub(crate) fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fanout");
    for members in [10, 100] {
        let deliveries = (CLIENTS * (members - 1)) as u64;
        group.bench_function(BenchmarkId::new("roomcast", members), |b| {
            let mut relay = Bookkeeping::new(members);
            per_item(b, deliveries, || {
                assert_eq!(relay.round(), total(members));
            });
        });
        group.bench_function(BenchmarkId::new("whole shard", members), |b| {
            let mut relay = WholeShard::new(members);
            per_item(b, deliveries, || {
                assert_eq!(relay.round(), total(members));
            });
        });
        group.bench_function(BenchmarkId::new("reference per message", members), |b| {
            let mut relay = ReferencePerMessage::new(members);
            per_item(b, deliveries, || {
                assert_eq!(relay.round(), total(members));
            });
        });
    }
}

/// What a write would be handed.
fn hand_over(slices: &[IoSlice<'_>]) -> usize {
    black_box(slices).iter().map(|slice| slice.len()).sum()
}

struct Bookkeeping {
    rooms: Rooms,
    ids: Vec<u32>,
    members: u32,
    pool: BatchPool,
    payload: Vec<u8>,
}

impl Bookkeeping {
    fn new(members: usize) -> Self {
        let mut rooms = Rooms::new(RandomState::new());
        let mut connection = 0;
        let ids = (0..CLIENTS / members)
            .map(|room| {
                let id = rooms.open(&room.to_string());
                for _ in 0..members {
                    rooms[id].join(connection, Dialect::Raw);
                    connection += 1;
                }
                id
            })
            .collect();
        Self {
            rooms,
            ids,
            members: members as u32,
            pool: BatchPool::default(),
            payload: bytes(PAYLOAD),
        }
    }

    fn round(&mut self) -> usize {
        for &id in &self.ids {
            let room = &mut self.rooms[id];
            for seat in 0..self.members {
                let payload = &self.payload;
                let encode = |dialect, author, out: &mut Vec<u8>| {
                    encode_message(
                        dialect,
                        out,
                        author,
                        MessageKind::Binary,
                        black_box(payload),
                    );
                };
                room.append(seat, Class::Event, Audience::All, &mut self.pool, encode);
            }
        }
        let mut delivered = 0;
        for &id in &self.ids {
            let room = &mut self.rooms[id];
            room.freeze();
            while let Some((receiver, batch)) = room.next_receiver() {
                let Receiver {
                    member,
                    from,
                    dialect,
                    ..
                } = receiver;
                let mut slices = [IoSlice::new(&[]); DIRECT_RANGES];
                let mut filled = 0;
                let encoding = batch.encoding(dialect);
                batch.others(dialect, member, from, |range| {
                    slices[filled] = IoSlice::new(encoding.slice(range));
                    filled += 1;
                });
                delivered += hand_over(&slices[..filled]);
            }
            room.finish_fanout(&mut self.pool, |_, _| {});
        }
        delivered
    }
}

struct WholeShard {
    shard: Shard,
    slots: Vec<u32>,
    frame: Vec<u8>,
    received: Vec<u8>,
    now: u64,
}

impl WholeShard {
    fn new(members: usize) -> Self {
        let common = Arc::new(Common::new(Limits::default(), 1));
        let mut relay = Self {
            shard: Shard::new(common, 0, 0, 1),
            slots: Vec::new(),
            frame: masked_frames(1, Opcode::Binary, &bytes(PAYLOAD)),
            received: Vec::new(),
            now: 0,
        };
        let key = ClientKey::from_bytes([7; 16]);
        for client in 0..CLIENTS {
            let mut head = Vec::new();
            let path = format!("/rooms/{}", client / members);
            upgrade::write_client_request(&mut head, "localhost", &path, &key, None, &[]);
            let slot = relay.shard.accept(Port::Plain, None);
            relay.shard.writable(slot);
            relay.shard.receive(slot, &mut head);
            relay.slots.push(slot);
        }
        relay.flush();
        relay
    }

    fn round(&mut self) -> usize {
        // Time passes as in a 20 Hz game, or everybody would count as flooding.
        self.now += 50;
        self.shard.advance(self.now, self.now);
        for &slot in &self.slots {
            self.received.clone_from(&self.frame);
            assert!(self.shard.may_read(slot) > 0);
            self.shard.receive(slot, black_box(&mut self.received));
        }
        self.flush()
    }

    fn flush(&mut self) -> usize {
        let mut delivered = 0;
        self.shard.freeze();
        while let Some(slot) = self.shard.next_write() {
            black_box(slot);
            let written = self.shard.pending().with_slices(hand_over);
            self.shard.wrote(Written::Bytes(written));
            delivered += written;
        }
        delivered
    }
}

struct ReferencePerMessage {
    rooms: Vec<Vec<Vec<Rc<[u8]>>>>,
    payload: Vec<u8>,
    scratch: Vec<u8>,
}

impl ReferencePerMessage {
    fn new(members: usize) -> Self {
        Self {
            rooms: vec![vec![Vec::new(); members]; CLIENTS / members],
            payload: bytes(PAYLOAD),
            scratch: Vec::new(),
        }
    }

    fn round(&mut self) -> usize {
        for room in &mut self.rooms {
            for sender in 0..room.len() {
                self.scratch.clear();
                encode_message(
                    Dialect::Raw,
                    &mut self.scratch,
                    0,
                    MessageKind::Binary,
                    black_box(&self.payload),
                );
                let message: Rc<[u8]> = Rc::from(&self.scratch[..]);
                for (member, outbox) in room.iter_mut().enumerate() {
                    if member != sender {
                        outbox.push(Rc::clone(&message));
                    }
                }
            }
        }
        let mut delivered = 0;
        for outbox in self.rooms.iter_mut().flatten() {
            // As many slices as a vectored write takes as a rule.
            let mut slices = [IoSlice::new(&[]); 64];
            for messages in outbox.chunks(slices.len()) {
                for (slice, message) in slices.iter_mut().zip(messages) {
                    *slice = IoSlice::new(message);
                }
                delivered += hand_over(&slices[..messages.len()]);
            }
            outbox.clear();
        }
        delivered
    }
}
