//! UTF-8 validation, whole and as it streams in, beside the standard library's.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use roomcast_protocol::utf8;

const SIZES: [usize; 4] = [16, 64, 1024, 64 << 10];
/// Payload of a TCP segment on Ethernet: what a long message arrives in.
const SEGMENT: usize = 1448;

const SCRIPTS: [(&str, &str); 3] = [
    ("ascii", "the quick brown fox jumps over the lazy dog, "),
    (
        "mixed",
        "Zwölf Boxkämpfer jagen Viktor 🎮 quer über den Deich: ça va? ",
    ),
    ("cjk", "房間廣播遊戲中繼伺服器，每一個位元組都很重要。"),
];

/// Whole characters of `sample`, over and over, at most `len` bytes.
fn text(sample: &str, len: usize) -> String {
    let mut text = String::new();
    text.extend(sample.chars().cycle().take_while({
        let mut room = len;
        move |c| {
            let fits = c.len_utf8() <= room;
            room = room.saturating_sub(c.len_utf8());
            fits
        }
    }));
    text
}

pub(crate) fn whole(c: &mut Criterion) {
    for (script, sample) in SCRIPTS {
        let mut group = c.benchmark_group(format!("utf8_whole_{script}"));
        for size in SIZES {
            let text = text(sample, size);
            let text = text.as_bytes();
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::new("roomcast", size), text, |b, text| {
                b.iter(|| utf8::is_valid(black_box(text)));
            });
            group.bench_with_input(BenchmarkId::new("std", size), text, |b, text| {
                b.iter(|| str::from_utf8(black_box(text)).is_ok());
            });
        }
    }
}

/// std cannot stream: its column checks the whole text at once, which is the easier job.
pub(crate) fn streaming(c: &mut Criterion) {
    for (script, sample) in SCRIPTS {
        let mut group = c.benchmark_group(format!("utf8_streaming_{script}"));
        for chunk in [16, 125, SEGMENT] {
            let text = text(sample, 64 << 10);
            let text = text.as_bytes();
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::new("roomcast", chunk), text, |b, text| {
                b.iter(|| {
                    let mut stream = utf8::Stream::default();
                    black_box(text)
                        .chunks(chunk)
                        .all(|chunk| stream.push(chunk).is_ok())
                        && stream.finish().is_ok()
                });
            });
            group.bench_with_input(BenchmarkId::new("std, whole", chunk), text, |b, text| {
                b.iter(|| str::from_utf8(black_box(text)).is_ok());
            });
        }
    }
}
