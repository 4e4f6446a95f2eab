//! Encoding of frames into a buffer, per frame, beside the peers and a memcpy of the payload.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastwebsockets::{OpCode, Payload};
use roomcast_benches::{KEY, bytes, criterion, per_item};
use roomcast_protocol::frame::{self, Opcode};
use tungstenite::Bytes;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode as TungsteniteOpCode};

const SIZES: [usize; 5] = [16, 64, 1024, 16 << 10, 64 << 10];
/// Frames to a buffer.
const FRAMES: u64 = 16;

fn server(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for size in SIZES {
        let payload = bytes(size);
        let mut out = Vec::with_capacity((size + frame::MAX_HEADER) * FRAMES as usize);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(
            BenchmarkId::new("roomcast", size),
            &payload,
            |b, payload| {
                per_item(b, FRAMES, || {
                    out.clear();
                    for _ in 0..FRAMES {
                        frame::encode(black_box(&mut out), Opcode::Binary, black_box(payload));
                    }
                });
            },
        );
        group.bench_with_input(BenchmarkId::new("memcpy", size), &payload, |b, payload| {
            per_item(b, FRAMES, || {
                out.clear();
                for _ in 0..FRAMES {
                    black_box(&mut out).extend_from_slice(black_box(payload));
                }
            });
        });
        group.bench_with_input(
            BenchmarkId::new("tungstenite", size),
            &payload,
            |b, payload| {
                let payload = Bytes::copy_from_slice(payload);
                per_item(b, FRAMES, || {
                    out.clear();
                    for _ in 0..FRAMES {
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
                per_item(b, FRAMES, || {
                    for _ in 0..FRAMES {
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
fn client(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode_masked");
    for size in SIZES {
        let payload = bytes(size);
        let mut out = Vec::with_capacity((size + frame::MAX_HEADER) * FRAMES as usize);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(
            BenchmarkId::new("roomcast", size),
            &payload,
            |b, payload| {
                per_item(b, FRAMES, || {
                    out.clear();
                    for _ in 0..FRAMES {
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
                per_item(b, FRAMES, || {
                    out.clear();
                    for _ in 0..FRAMES {
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
                per_item(b, FRAMES, || {
                    for _ in 0..FRAMES {
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

criterion_group! { name = benches; config = criterion(); targets = server, client }
criterion_main!(benches);
