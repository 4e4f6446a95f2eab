//! Encoding of frames into a buffer, per frame, beside the peers and a memcpy of the payload.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use fastwebsockets::{OpCode, Payload};
use roomcast_benches::{KEY, bytes, per_item};
use roomcast_protocol::frame::{self, Opcode};
use tungstenite::Bytes;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode as TungsteniteOpCode};

const SIZES: [usize; 5] = [16, 64, 1024, 16 << 10, 64 << 10];
/// Frames to a buffer: some, but so few that the buffer stays in the cache.
fn frames(size: usize) -> u64 {
    (32 * 1024 / size).clamp(1, 16) as u64
}

pub(crate) fn server(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for size in SIZES {
        let payload = bytes(size);
        let frames = frames(size);
        let mut out = Vec::with_capacity((size + frame::MAX_HEADER) * frames as usize);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(
            BenchmarkId::new("roomcast", size),
            &payload,
            |b, payload| {
                per_item(b, frames, || {
                    out.clear();
                    for _ in 0..frames {
                        frame::encode(black_box(&mut out), Opcode::Binary, black_box(payload));
                    }
                });
            },
        );
        group.bench_with_input(BenchmarkId::new("memcpy", size), &payload, |b, payload| {
            per_item(b, frames, || {
                out.clear();
                for _ in 0..frames {
                    black_box(&mut out).extend_from_slice(black_box(payload));
                }
            });
        });
        group.bench_with_input(
            BenchmarkId::new("tungstenite", size),
            &payload,
            |b, payload| {
                let payload = Bytes::copy_from_slice(payload);
                per_item(b, frames, || {
                    out.clear();
                    for _ in 0..frames {
                        let opcode = TungsteniteOpCode::Data(Data::Binary);
                        let frame = Frame::message(black_box(&payload).clone(), opcode, true);
                        frame
                            .format(black_box(&mut out))
                            .expect("a vector takes everything");
                    }
                });
            },
        );
        // It encodes at the front of a buffer, one frame at a time.
        group.bench_with_input(
            BenchmarkId::new("fastwebsockets", size),
            &payload,
            |b, payload| {
                per_item(b, frames, || {
                    for _ in 0..frames {
                        let payload = Payload::Borrowed(black_box(payload));
                        let mut frame =
                            fastwebsockets::Frame::new(true, OpCode::Binary, None, payload);
                        black_box(frame.write(black_box(&mut out)));
                    }
                });
            },
        );
    }
}

/// The load generator's side.
pub(crate) fn client(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode_masked");
    for size in SIZES {
        let payload = bytes(size);
        let frames = frames(size);
        let mut out = Vec::with_capacity((size + frame::MAX_HEADER) * frames as usize);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(
            BenchmarkId::new("roomcast", size),
            &payload,
            |b, payload| {
                per_item(b, frames, || {
                    out.clear();
                    for _ in 0..frames {
                        frame::encode_masked(
                            black_box(&mut out),
                            Opcode::Binary,
                            black_box(payload),
                            black_box(KEY),
                        );
                    }
                });
            },
        );
        group.bench_with_input(
            BenchmarkId::new("tungstenite", size),
            &payload,
            |b, payload| {
                let payload = Bytes::copy_from_slice(payload);
                per_item(b, frames, || {
                    out.clear();
                    for _ in 0..frames {
                        let opcode = TungsteniteOpCode::Data(Data::Binary);
                        let mut frame = Frame::message(black_box(&payload).clone(), opcode, true);
                        frame.header_mut().mask = Some(black_box(KEY));
                        frame
                            .format(black_box(&mut out))
                            .expect("a vector takes everything");
                    }
                });
            },
        );
        // To mask, it copies the payload first.
        group.bench_with_input(
            BenchmarkId::new("fastwebsockets", size),
            &payload,
            |b, payload| {
                per_item(b, frames, || {
                    for _ in 0..frames {
                        let payload = Payload::Borrowed(black_box(payload));
                        let mut frame = fastwebsockets::Frame::new(
                            true,
                            OpCode::Binary,
                            Some(black_box(KEY)),
                            payload,
                        );
                        frame.mask();
                        black_box(frame.write(black_box(&mut out)));
                    }
                });
            },
        );
    }
}
