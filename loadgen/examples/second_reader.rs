//! `scripts/accuracy --second-reader`: the latency of loadgen's own messages, as somebody else reads it.
//!
//! Members of loadgen's room that only listen. They share nothing with loadgen but the address, the room, where in a
//! message its intended time stands (`payload.rs`), and the clock which that is of, `CLOCK_MONOTONIC`: blocking sockets,
//! one thread for each member, a handshake and frames of its own, and its own reading of the clock after each frame.
//!
//! usage: second_reader HOST:PORT ROOM MEMBERS JOINS_PER_SECOND PAYLOAD_BYTES MESSAGES
//!
//! Each member reads so many messages. Prints p50, p90 and p99 in microseconds, and how many deliveries they are of.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nothing comes for so long only if something was lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A member of the room: connected, and past the 101.
fn join(address: &str, room: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a relay listens");
    stream.set_nodelay(true).expect("TCP");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let request = format!(
        "GET /rooms/{room} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("written");
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 101"), "{text}");
    stream
}

/// How late each of `messages` is read, in ns.
fn listen(stream: TcpStream, payload: u8, messages: usize) -> Vec<u64> {
    let mut reader = BufReader::new(stream);
    let mut frame = vec![0; 2 + usize::from(payload)];
    let mut latencies = Vec::with_capacity(messages);
    while latencies.len() < messages {
        reader.read_exact(&mut frame).expect("everything comes");
        let now = clock_gettime(ClockId::Monotonic);
        let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        assert_eq!(frame[..2], [0x82, payload], "a binary message, whole");
        let meant = u64::from_le_bytes(frame[18..26].try_into().expect("eight bytes"));
        latencies.push(now.checked_sub(meant).expect("sent when it was due"));
    }
    latencies
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, room, members, joins, payload, messages] = &arguments[..] else {
        eprintln!(
            "usage: second_reader HOST:PORT ROOM MEMBERS JOINS_PER_SECOND PAYLOAD_BYTES MESSAGES"
        );
        std::process::exit(2);
    };
    let members: u32 = members.parse().expect("a number of members");
    let gap = Duration::from_secs_f64(1.0 / joins.parse::<f64>().expect("a rate"));
    let payload: u8 = payload.parse().expect("bytes, at most 125");
    let messages: usize = messages.parse().expect("a number of messages");
    let mut readers = Vec::new();
    for _ in 0..members {
        // Among loadgen's members, not behind them: a relay may serve a room in the order in which it filled.
        std::thread::sleep(gap / 2);
        let stream = join(address, room);
        readers.push(std::thread::spawn(move || {
            listen(stream, payload, messages)
        }));
        std::thread::sleep(gap / 2);
    }
    let told = readers.into_iter().map(|reader| reader.join());
    let mut all: Vec<u64> = told.flat_map(|read| read.expect("it read all")).collect();
    all.sort_unstable();
    let at = |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)] as f64 / 1e3;
    let (p50, p90, p99) = (at(50), at(90), at(99));
    println!("{p50:.1} {p90:.1} {p99:.1} {}", all.len());
}
