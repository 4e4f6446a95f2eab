//! What becomes of a connection that ends while its peer has not read everything: the kernel keeps nothing for who reads
//! nothing, and whoever reads is told why.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::patience;
use crate::relay::Relay;
use crate::wire::{BINARY, CLOSE, FIN, Wire, frame};

/// Players of each kind.
const PLAYERS: usize = 20;

/// Bytes that a slow reader reads in a tick, of which there are twenty in a second: 60 KB/s.
const SIP: usize = 3_000;
const TICK_MS: u64 = 50;

/// Bytes that it tries to send in a tick.
const POUR: usize = 256 * 1024;

fn port_of(address: &str) -> u16 {
    let (_, port) = address.split_once(':').expect("an address and a port");
    u16::from_str_radix(port, 16).expect("a port")
}

/// The relay's sockets that the kernel has, in whatever state, whose other ends are at these ports.
fn in_the_kernel(relay: SocketAddr, peers: &BTreeSet<u16>) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's sockets");
    let belongs = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = port_of(fields.next().expect("a local address"));
        let remote = port_of(fields.next().expect("a remote address"));
        local == relay.port() && peers.contains(&remote)
    };
    table.lines().skip(1).filter(belongs).count()
}

/// A member of the room that neither reads nor ends.
fn stands_still(addr: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Wire {
    Wire::connect_through(addr, 4096, tls).upgrade("/rooms/flooded")
}

/// Players that read nothing are evicted: none of their sockets is in the kernel 5 s later.
fn nothing_is_left(relay: &Relay, addr: SocketAddr, tls: Option<&Arc<ClientConfig>>) {
    let still: Vec<Wire> = (0..PLAYERS).map(|_| stands_still(addr, tls)).collect();
    let ports: BTreeSet<u16> = still.iter().map(Wire::port).collect();
    let mut healthy = Wire::join(relay.addr(), "/rooms/flooded");
    let mut sender = Wire::join(relay.addr(), "/rooms/flooded");
    // More than the kernel and the outbox hold for each.
    for number in 0..64_u8 {
        sender.message(BINARY, &[number; 32 * 1024]);
        healthy.expect(BINARY, &[number; 32 * 1024]);
    }
    let evicted = Instant::now();
    assert_eq!(in_the_kernel(addr, &ports), PLAYERS, "they were there");
    let patience = patience("the kernel keeps nothing for who reads nothing");
    while in_the_kernel(addr, &ports) > 0 {
        patience.check();
        assert!(!healthy.readable_within(20), "nobody says anything");
    }
    let took = evicted.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

#[test]
fn the_kernel_keeps_nothing_for_who_was_evicted_and_does_not_read() {
    let relay = Relay::start(&[]);
    nothing_is_left(&relay, relay.addr(), None);
}

#[test]
fn the_kernel_keeps_nothing_over_tls_either() {
    let relay = Relay::start_secure(&[]);
    nothing_is_left(&relay, relay.secure_addr(), Some(&relay.client()));
}

/// Reads slowly and sends as much as is taken, until the close frame: its code.
fn reads_slowly_while_sending(mut wire: Wire) -> Option<u16> {
    let message = frame(FIN | BINARY, &[7; 4096]);
    let mut sent = 0;
    wire.hurry();
    let patience = patience("it is told why it ends");
    loop {
        patience.check();
        wire.idle(TICK_MS);
        match wire.sip(SIP) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                panic!("{error} before a close frame");
            }
            _ => {}
        }
        while let Some(frame) = wire.whole_frame() {
            if frame.first == FIN | CLOSE {
                return frame.close_code();
            }
        }
        let mut poured = 0;
        while poured < POUR
            && let Ok(taken) = wire.pour(&message[sent % message.len()..])
        {
            poured += taken;
            sent += taken;
        }
    }
}

/// Players that read 60 KB/s and go on sending are evicted: all of them see why.
fn everybody_is_told(relay: &Relay, addr: SocketAddr, tls: Option<&Arc<ClientConfig>>) {
    let plain = relay.addr();
    let wires: Vec<Wire> = (0..PLAYERS)
        .map(|_| Wire::connect_through(addr, 16 * 1024, tls).upgrade("/rooms/shouting"))
        .collect();
    let players: Vec<_> = wires
        .into_iter()
        .map(|wire| thread::spawn(|| reads_slowly_while_sending(wire)))
        .collect();
    // Somebody who reads speaks on, so that the last one is not left alone.
    let mut speaker = Wire::join(plain, "/rooms/shouting");
    let (stop, stopped) = mpsc::channel::<()>();
    let speaking = thread::spawn(move || {
        let message = frame(FIN | BINARY, &[1; 16 * 1024]);
        let mut sent = 0;
        speaker.hurry();
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            while speaker.sip(POUR).is_ok() {
                while speaker.whole_frame().is_some() {}
            }
            if let Ok(taken) = speaker.pour(&message[sent % message.len()..]) {
                sent += taken;
            }
            speaker.idle(10);
        }
    });
    let codes: Vec<_> = players
        .into_iter()
        .map(|player| player.join().unwrap_or_default())
        .collect();
    drop(stop);
    speaking.join().expect("the speaker");
    assert_eq!(codes, [Some(4002); PLAYERS]);
}

#[test]
fn who_reads_slowly_while_sending_is_told_why_it_was_evicted() {
    let relay = Relay::start(&[]);
    everybody_is_told(&relay, relay.addr(), None);
}

#[test]
fn who_reads_slowly_while_sending_over_tls_is_told_too() {
    let relay = Relay::start_secure(&[]);
    everybody_is_told(&relay, relay.secure_addr(), Some(&relay.client()));
}
