//! Decoding of a client's frames, per frame, beside tungstenite's and fastwebsockets' decoders fed from memory.
//!
//! `roomcast` decodes where the bytes lie, as the server does with what `recv` wrote. The peers can only read from
//! a stream, which copies; for them stands `roomcast, copied`: the same copy first, then the decoder.
//! Decoding in place unmasks, so the next round decodes other (equally valid binary) payloads; text is always copied.

use std::future::Future;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use criterion::{BenchmarkId, Criterion, Throughput};
use fastwebsockets::WebSocket;
use roomcast_benches::{bytes, masked_frames, per_item};
use roomcast_protocol::frame::{Decoder, Item, Opcode, Role, Rules};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::{WebSocketConfig, WebSocketContext};

const RULES: Rules = Rules {
    role: Role::Server,
    max_message: 64 << 10,
};

/// A stream that brings the same bytes over and over, at most one round of them a read, and swallows what is written.
struct Memory<'a> {
    wire: &'a [u8],
    read: usize,
}

impl Memory<'_> {
    fn next(&mut self, room: usize) -> &[u8] {
        let chunk = &self.wire[self.read..];
        let chunk = &chunk[..chunk.len().min(room)];
        self.read = (self.read + chunk.len()) % self.wire.len();
        chunk
    }
}

impl Read for Memory<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let chunk = self.next(buf.len());
        buf[..chunk.len()].copy_from_slice(chunk);
        Ok(chunk.len())
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = self.next(buf.remaining());
        buf.put_slice(chunk);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that never has to wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("memory never blocks"),
    }
}

/// Decodes one round and returns the bytes of payload.
fn decode_all(decoder: &mut Decoder, wire: &mut [u8]) -> usize {
    let mut input = wire;
    let mut total = 0;
    while let Some(item) = decoder
        .next(&RULES, &mut input)
        .expect("the frames are valid")
    {
        if let Item::Message { payload, .. } = item {
            total += black_box(payload).len();
        }
    }
    total
}

pub(crate) fn decode(c: &mut Criterion) {
    for (name, opcode) in [("binary", Opcode::Binary), ("text", Opcode::Text)] {
        let mut group = c.benchmark_group(format!("decode_{name}"));
        for (size, count) in [(64, 1), (64, 64), (1024, 16), (16 << 10, 4)] {
            let payload = match opcode {
                Opcode::Text => b"{\"x\":-12.25,\"y\":3.5},".repeat(size / 21 + 1)[..size].to_vec(),
                _ => bytes(size),
            };
            let wire = masked_frames(count, opcode, &payload);
            let total = size * count;
            let id = format!("{count} x {size} B");
            group.throughput(Throughput::Bytes(size as u64));

            if opcode == Opcode::Binary {
                group.bench_with_input(BenchmarkId::new("roomcast", &id), &wire, |b, wire| {
                    let mut decoder = Decoder::default();
                    let mut received = wire.clone();
                    per_item(b, count as u64, || {
                        assert_eq!(decode_all(&mut decoder, black_box(&mut received)), total);
                    });
                });
            }
            group.bench_with_input(
                BenchmarkId::new("roomcast, copied", &id),
                &wire,
                |b, wire| {
                    let mut decoder = Decoder::default();
                    let mut received = wire.clone();
                    per_item(b, count as u64, || {
                        received.copy_from_slice(black_box(wire));
                        assert_eq!(decode_all(&mut decoder, &mut received), total);
                    });
                },
            );
            group.bench_with_input(BenchmarkId::new("tungstenite", &id), &wire, |b, wire| {
                // A buffer of exactly one round is the kindest choice: the library clears what it does not use.
                let config = WebSocketConfig::default().read_buffer_size(wire.len());
                let mut socket =
                    WebSocketContext::new(tungstenite::protocol::Role::Server, Some(config));
                let mut stream = Memory { wire, read: 0 };
                per_item(b, count as u64, || {
                    for _ in 0..count {
                        let message = socket.read(&mut stream).expect("the frames are valid");
                        assert_eq!(black_box(message).len(), size);
                    }
                });
            });
            group.bench_with_input(BenchmarkId::new("fastwebsockets", &id), &wire, |b, wire| {
                let stream = Memory { wire, read: 0 };
                let mut socket = WebSocket::after_handshake(stream, fastwebsockets::Role::Server);
                per_item(b, count as u64, || {
                    for _ in 0..count {
                        let frame = ready(socket.read_frame()).expect("the frames are valid");
                        assert_eq!(black_box(frame).payload.len(), size);
                    }
                });
            });
        }
    }
}
