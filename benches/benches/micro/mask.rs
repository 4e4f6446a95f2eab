//! Unmasking, in place and while copying, on each instruction set of this machine, beside its peers.
//!
//! The limit is a memcpy of the same bytes. tungstenite's mask function is private; fastwebsockets' public one is a
//! copy of it (its source says so), so that column stands for both. Payloads lie where a frame's header leaves
//! them, which is hardly ever at an aligned address.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use roomcast_benches::{KEY, bytes};
use roomcast_protocol::mask::{self, Isa};

const SIZES: [usize; 11] = [
    8,
    16,
    32,
    64,
    125,
    256,
    1024,
    4096,
    16 << 10,
    64 << 10,
    1 << 20,
];

/// Bytes of header before a masked payload of this size.
fn header(size: usize) -> usize {
    match size {
        0..=125 => 6,
        126..=65_535 => 8,
        _ => 14,
    }
}

pub(crate) fn in_place(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmask_in_place");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut wire = bytes(header(size) + size);
        let payload = &mut wire[header(size)..];
        group.bench_with_input(BenchmarkId::new("roomcast", size), &(), |b, ()| {
            b.iter(|| mask::unmask_in_place(black_box(&mut *payload), black_box(KEY), 0));
        });
        group.bench_with_input(BenchmarkId::new("fastwebsockets", size), &(), |b, ()| {
            b.iter(|| fastwebsockets::unmask(black_box(&mut *payload), black_box(KEY)));
        });
        let mut copy = vec![0; size];
        group.bench_with_input(BenchmarkId::new("memcpy", size), &(), |b, ()| {
            b.iter(|| black_box(&mut copy[..]).copy_from_slice(black_box(payload)));
        });
        for isa in Isa::available() {
            group.bench_with_input(BenchmarkId::new(isa.name(), size), &(), |b, ()| {
                b.iter(|| {
                    mask::unmask_in_place_with(isa, black_box(&mut *payload), black_box(KEY), 0);
                });
            });
        }
    }
}

pub(crate) fn copying(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmask_copying");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let wire = bytes(header(size) + size);
        let payload = &wire[header(size)..];
        let mut out: Vec<u8> = Vec::with_capacity(size);
        group.bench_with_input(BenchmarkId::new("roomcast", size), &(), |b, ()| {
            b.iter(|| {
                out.clear();
                mask::unmask_to_vec(black_box(payload), black_box(KEY), 0, black_box(&mut out));
            });
        });
        group.bench_with_input(
            BenchmarkId::new("copy, then fastwebsockets", size),
            &(),
            |b, ()| {
                b.iter(|| {
                    out.clear();
                    out.extend_from_slice(black_box(payload));
                    fastwebsockets::unmask(black_box(&mut out), black_box(KEY));
                });
            },
        );
        group.bench_with_input(BenchmarkId::new("memcpy", size), &(), |b, ()| {
            b.iter(|| {
                out.clear();
                black_box(&mut out).extend_from_slice(black_box(payload));
            });
        });
        for isa in Isa::available() {
            group.bench_with_input(BenchmarkId::new(isa.name(), size), &(), |b, ()| {
                b.iter(|| {
                    out.clear();
                    mask::unmask_to_vec_with(
                        isa,
                        black_box(payload),
                        black_box(KEY),
                        0,
                        black_box(&mut out),
                    );
                });
            });
        }
    }
}
