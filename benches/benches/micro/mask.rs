//! Unmasking, in place and while copying, on each instruction set of this machine, beside its peers.
//!
//! The limit is a memcpy of the same bytes. tungstenite's mask function is private; fastwebsockets' public one is a
//! copy of it (its source says so), so that column stands for both. Payloads lie as frames lie in a receive buffer,
//! one behind the other, hardly ever at an aligned address. (Working on one short payload over and over would
//! measure the processor's store forwarding instead.)

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use roomcast_benches::{KEY, bytes, per_item};
use roomcast_protocol::mask::{self, Isa, MaskKey};

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

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Bytes of header before a masked payload of this size.
fn header(size: usize) -> usize {
    match size {
        0..=125 => 6,
        126..=65_535 => 8,
        _ => 14,
    }
}

/// Frames in the receive buffer: what fits in 16 KiB, at most 64.
fn frames(size: usize) -> usize {
    (16 * 1024 / (header(size) + size)).clamp(1, 64)
}

/// Measures `unmask`, per payload, on each payload of a receive buffer in turn.
fn each_in_place(
    group: &mut Group<'_>,
    who: &str,
    size: usize,
    mut unmask: impl FnMut(&mut [u8], MaskKey),
) {
    let frame = header(size) + size;
    let mut received = bytes(frames(size) * frame);
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function(BenchmarkId::new(who, size), |b| {
        per_item(b, frames(size) as u64, || {
            for frame in received.chunks_exact_mut(frame) {
                unmask(black_box(&mut frame[header(size)..]), black_box(KEY));
            }
        });
    });
}

pub(crate) fn in_place(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmask_in_place");
    for size in SIZES {
        each_in_place(&mut group, "roomcast", size, |payload, key| {
            mask::unmask_in_place(payload, key, 0);
        });
        each_in_place(&mut group, "fastwebsockets", size, fastwebsockets::unmask);
        let mut copy = vec![0; size];
        each_in_place(&mut group, "memcpy", size, |payload, _| {
            black_box(&mut copy[..]).copy_from_slice(payload);
        });
        for isa in Isa::available() {
            each_in_place(&mut group, isa.name(), size, |payload, key| {
                mask::unmask_in_place_with(isa, payload, key, 0);
            });
        }
    }
}

/// Measures `unmask`, per payload, which appends each payload of a receive buffer to the same vector.
fn each_copying(
    group: &mut Group<'_>,
    who: &str,
    size: usize,
    mut unmask: impl FnMut(&[u8], MaskKey, &mut Vec<u8>),
) {
    let frame = header(size) + size;
    let received = bytes(frames(size) * frame);
    let mut out = Vec::with_capacity(received.len());
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function(BenchmarkId::new(who, size), |b| {
        per_item(b, frames(size) as u64, || {
            out.clear();
            for frame in received.chunks_exact(frame) {
                unmask(
                    black_box(&frame[header(size)..]),
                    black_box(KEY),
                    black_box(&mut out),
                );
            }
        });
    });
}

pub(crate) fn copying(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmask_copying");
    for size in SIZES {
        each_copying(&mut group, "roomcast", size, |payload, key, out| {
            mask::unmask_to_vec(payload, key, 0, out);
        });
        each_copying(
            &mut group,
            "copy, then fastwebsockets",
            size,
            |payload, key, out| {
                let start = out.len();
                out.extend_from_slice(payload);
                fastwebsockets::unmask(&mut out[start..], key);
            },
        );
        each_copying(&mut group, "memcpy", size, |payload, _, out| {
            out.extend_from_slice(payload);
        });
        for isa in Isa::available() {
            each_copying(&mut group, isa.name(), size, |payload, key, out| {
                mask::unmask_to_vec_with(isa, payload, key, 0, out);
            });
        }
    }
}
