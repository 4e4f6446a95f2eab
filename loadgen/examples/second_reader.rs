//! `scripts/accuracy --second-reader`: latency as somebody else would measure it, beside loadgen.
//!
//! It shares nothing with loadgen but the address of the relay: blocking sockets, one thread for each reader, its own
//! handshake and its own frames, and in each payload the time at which it was meant to be sent.
//!
//! usage: second_reader HOST:PORT MEMBERS HZ SECONDS
//!
//! Prints p50, p90 and p99 in microseconds, and how many deliveries they are of.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A member of the room: connected, and past the 101.
fn join(address: &str, room: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a relay listens");
    stream.set_nodelay(true).expect("TCP");
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
    assert!(
        answer.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    stream
}

/// A binary frame of 64 bytes, masked with zeros, that says when it was meant to be sent.
fn message(meant: u64) -> Vec<u8> {
    let mut frame = vec![0x82, 0x80 | 64, 0, 0, 0, 0];
    frame.extend_from_slice(&meant.to_le_bytes());
    frame.resize(6 + 64, 0);
    frame
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, members, hz, seconds] = &arguments[..] else {
        eprintln!("usage: second_reader HOST:PORT MEMBERS HZ SECONDS");
        std::process::exit(2);
    };
    let members: u64 = members.parse().expect("a number of members");
    let hz: f64 = hz.parse().expect("a rate");
    let rounds = (seconds.parse::<f64>().expect("seconds") * hz) as u64;
    let room = format!("second-reader-{}", std::process::id());
    let mut streams: Vec<TcpStream> = (0..members).map(|_| join(address, &room)).collect();
    let epoch = Instant::now();
    let (tell, told) = channel();
    for stream in &streams {
        let (tell, stream) = (tell.clone(), stream.try_clone().expect("a descriptor"));
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut frame = [0; 2 + 64];
            let mut latencies = Vec::new();
            for _ in 0..rounds * (members - 1) {
                reader.read_exact(&mut frame).expect("everything comes");
                let now = epoch.elapsed().as_nanos() as u64;
                assert_eq!(frame[..2], [0x82, 64], "a frame as it was sent");
                let meant = u64::from_le_bytes(frame[2..10].try_into().expect("eight bytes"));
                latencies.push(now - meant);
            }
            tell.send(latencies).expect("somebody waits");
        });
    }
    // Members send in turn, evenly spread over the period.
    let gap = Duration::from_secs_f64(1.0 / hz / members as f64);
    let start = epoch.elapsed() + Duration::from_millis(100);
    for turn in 0..rounds * members {
        let meant = start + gap * turn as u32;
        while let Some(wait) = meant.checked_sub(epoch.elapsed()) {
            if wait > Duration::from_micros(200) {
                std::thread::sleep(wait - Duration::from_micros(150));
            }
        }
        let frame = message(meant.as_nanos() as u64);
        streams[(turn % members) as usize]
            .write_all(&frame)
            .expect("written");
    }
    let mut all: Vec<u64> = (0..members)
        .flat_map(|_| told.recv().expect("a reader"))
        .collect();
    all.sort_unstable();
    let at =
        |share: f64| all[((all.len() as f64 * share) as usize).min(all.len() - 1)] as f64 / 1e3;
    println!(
        "{:.1} {:.1} {:.1} {}",
        at(0.5),
        at(0.9),
        at(0.99),
        all.len()
    );
}
