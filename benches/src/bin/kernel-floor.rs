//! The kernel floor: what a room relay costs when it does nothing but the system calls.
//!
//! Every figure of Roomcast's is a ratio to this program, so it is as cheap as we know how to make it while still
//! delivering every message: one thread, one edge-triggered epoll, one `recv` per ready socket into a shared buffer,
//! the least possible parsing, one contiguous buffer per room, and after all reads ONE `send` per receiver.
//!
//! With `--tick HZ` what all rooms have gathered leaves together, so often in a second: the floor of relays whose rooms
//! tick.
//!
//! What a real relay needs and this one leaves out on purpose: limits, timers, keepalive, bounded queues (what a socket
//! does not take waits in an unbounded buffer of the connection), fragmented messages, UTF-8 checks, refusals worth
//! reading. Never let anybody but a load generator on the same machine talk to it.

use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use roomcast_protocol::{mask, upgrade};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
/// Bytes of the one receive buffer. Larger than any tail (one message at most) plus all a socket holds as a rule.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Bytes of payload. A longer message ends its connection, as with the server's default.
const MAX_MESSAGE: usize = 64 * 1024;

struct Peer {
    socket: TcpStream,
    /// Key of its room, `None` until the upgrade.
    room: Option<usize>,
    seat: usize,
    /// Where its own frames lie in the room's buffer that it sent last: those of one read are contiguous.
    own: Range<usize>,
    /// Those before, which only ticks leave there; and in order.
    earlier: Vec<Range<usize>>,
    /// An incomplete frame or HTTP head.
    tail: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

#[derive(Default)]
struct Room {
    name: String,
    members: Vec<usize>,
    /// This iteration's frames of all members.
    frames: Vec<u8>,
}

/// The connection is over, whatever the reason.
struct Gone;

#[derive(Default)]
struct Relay {
    peers: Slab<Peer>,
    rooms: Slab<Room>,
    names: HashMap<String, usize>,
    /// Rooms with frames to send at the end of the iteration.
    dirty: Vec<usize>,
    gone: Vec<usize>,
    /// What lies between the frames of a peer that was read more than once.
    pieces: Vec<u8>,
}

fn main() {
    let mut listen = "127.0.0.1:7790".to_owned();
    let mut tick = None;
    let mut flags = std::env::args().skip(1);
    while let Some(flag) = flags.next() {
        match (flag.as_str(), flags.next()) {
            ("--listen", Some(address)) => listen = address,
            ("--tick", Some(hz)) => match hz.parse() {
                Ok(hz @ 1..=1_000) => tick = Some(Duration::from_secs(1) / hz),
                _ => usage("--tick takes 1 to 1000"),
            },
            _ => usage("expected nothing but --listen ADDRESS:PORT and --tick HZ"),
        }
    }
    let address: SocketAddr = match listen.parse() {
        Ok(address) => address,
        Err(_) => usage(&format!("{listen:?} is not ADDRESS:PORT")),
    };
    if let Err(error) = run(address, tick) {
        eprintln!("kernel-floor: {address}: {error}");
        std::process::exit(1);
    }
}

fn usage(problem: &str) -> ! {
    eprintln!("kernel-floor: {problem}\nusage: kernel-floor [--listen 127.0.0.1:7790] [--tick HZ]");
    std::process::exit(2)
}

fn run(address: SocketAddr, tick: Option<Duration>) -> std::io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("kernel-floor listens on {}", listener.local_addr()?);

    let mut events = Events::with_capacity(4096);
    let mut buffer = vec![0; RECEIVE_BUFFER];
    let mut relay = Relay::default();
    let mut next = Instant::now();
    loop {
        let wait = tick.map(|_| next.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                relay.accept(&listener, &poll)?;
                continue;
            }
            let key = event.token().0;
            let writable = !event.is_writable() || relay.peers[key].flush().is_ok();
            if !writable || (event.is_readable() && relay.read(key, &mut buffer).is_err()) {
                relay.gone.push(key);
            }
        }
        if let Some(tick) = tick {
            if Instant::now() >= next {
                next += tick;
                relay.fan_out();
            }
        } else {
            relay.fan_out();
        }
        relay.reap();
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> std::io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let entry = self.peers.vacant_entry();
            poll.registry().register(
                &mut socket,
                Token(entry.key()),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            entry.insert(Peer {
                socket,
                room: None,
                seat: 0,
                own: 0..0,
                earlier: Vec::new(),
                tail: Vec::new(),
                unsent: Vec::new(),
            });
        }
    }

    /// Empties the socket: one `recv`, unless that fills the buffer.
    fn read(&mut self, key: usize, buffer: &mut [u8]) -> Result<(), Gone> {
        loop {
            let peer = &mut self.peers[key];
            let kept = peer.tail.len();
            buffer[..kept].copy_from_slice(&peer.tail);
            let read = match peer.socket.read(&mut buffer[kept..]) {
                Ok(0) => return Err(Gone),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Gone),
            };
            let full = kept + read == buffer.len();
            let mut input = &buffer[..kept + read];
            if peer.room.is_none() {
                self.join(key, &mut input)?;
            }
            self.take_frames(key, &mut input)?;
            let tail = &mut self.peers[key].tail;
            if input.is_empty() {
                // Also gives the allocation back: an idle connection owns no buffer.
                *tail = Vec::new();
            } else {
                tail.clear();
                tail.extend_from_slice(input);
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Takes the HTTP head off `input` if it is whole, and seats the connection in the room it names.
    fn join(&mut self, key: usize, input: &mut &[u8]) -> Result<(), Gone> {
        let Some(end) = upgrade::find_head_end(input, 0).map_err(|_| Gone)? else {
            return Ok(());
        };
        let request = upgrade::parse_request(&input[..end]).map_err(|_| Gone)?;
        *input = &input[end..];
        let name = request.path.strip_prefix("/rooms/").ok_or(Gone)?;
        let upgrade::RequestKind::Upgrade(wanted) = request.kind else {
            return Err(Gone);
        };
        let room = *self.names.entry(name.to_owned()).or_insert_with(|| {
            self.rooms.insert(Room {
                name: name.to_owned(),
                ..Room::default()
            })
        });
        let peer = &mut self.peers[key];
        peer.room = Some(room);
        peer.seat = self.rooms[room].members.len();
        self.rooms[room].members.push(key);
        let mut answer = Vec::new();
        upgrade::write_accept(&mut answer, &wanted.accept, None);
        peer.send(&answer, &[])
    }

    /// Appends every whole frame of `input`, unmasked, to the room's buffer.
    fn take_frames(&mut self, key: usize, input: &mut &[u8]) -> Result<(), Gone> {
        let peer = &mut self.peers[key];
        let Some(room_key) = peer.room else {
            return Ok(());
        };
        let frames = &mut self.rooms[room_key].frames;
        let was_clean = frames.is_empty();
        if peer.own.is_empty() {
            peer.own = frames.len()..frames.len();
        } else if peer.own.end < frames.len() {
            let own = mem::replace(&mut peer.own, frames.len()..frames.len());
            peer.earlier.push(own);
        }
        while let Some((head, len)) = head(input)? {
            let Some(body) = input.get(head..head + len) else {
                break;
            };
            let key = [
                input[head - 4],
                input[head - 3],
                input[head - 2],
                input[head - 1],
            ];
            match input[0] {
                0x81 | 0x82 => {
                    frames.extend_from_slice(&input[..head - 4]);
                    let second = frames.len() - (head - 4) + 1;
                    frames[second] &= 0x7f;
                    mask::unmask_to_vec(body, key, 0, frames);
                }
                0x89 => {
                    let mut pong = vec![0x8a, input[1] & 0x7f];
                    mask::unmask_to_vec(body, key, 0, &mut pong);
                    peer.send(&pong, &[])?;
                }
                0x8a => {}
                _ => return Err(Gone),
            }
            *input = &input[head + len..];
        }
        peer.own.end = frames.len();
        if was_clean && !frames.is_empty() {
            self.dirty.push(room_key);
        }
        Ok(())
    }

    /// Sends each member of each dirty room all frames of the iteration but its own.
    fn fan_out(&mut self) {
        for room in self.dirty.drain(..) {
            let Room {
                members, frames, ..
            } = &mut self.rooms[room];
            for &key in &*members {
                let peer = &mut self.peers[key];
                let own = mem::take(&mut peer.own);
                let mut start = 0;
                // Of who was read more than once, what lies between is put together.
                for own in peer.earlier.drain(..) {
                    self.pieces.extend_from_slice(&frames[start..own.start]);
                    start = own.end;
                }
                let sent = if start == 0 {
                    peer.send(&frames[..own.start], &frames[own.end..])
                } else {
                    self.pieces.extend_from_slice(&frames[start..own.start]);
                    peer.send(&self.pieces, &frames[own.end..])
                };
                self.pieces.clear();
                if sent.is_err() {
                    self.gone.push(key);
                }
            }
            frames.clear();
        }
    }

    /// Frees who died, after everyone has stopped pointing at it.
    fn reap(&mut self) {
        while let Some(key) = self.gone.pop() {
            // Reading and sending may both have noticed.
            let Some(peer) = self.peers.try_remove(key) else {
                continue;
            };
            let Some(room_key) = peer.room else {
                continue;
            };
            let members = &mut self.rooms[room_key].members;
            members.swap_remove(peer.seat);
            if let Some(&moved) = members.get(peer.seat) {
                self.peers[moved].seat = peer.seat;
            } else if members.is_empty() {
                let room = self.rooms.remove(room_key);
                self.names.remove(&room.name);
            }
        }
    }
}

impl Peer {
    /// One `send` of what is before and after the own frames; what the socket does not take is kept for [`flush`].
    ///
    /// [`flush`]: Self::flush
    fn send(&mut self, before: &[u8], after: &[u8]) -> Result<(), Gone> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(before);
            self.unsent.extend_from_slice(after);
            return Ok(());
        }
        let sent = match (before.is_empty(), after.is_empty()) {
            (true, true) => return Ok(()),
            (false, true) => self.socket.write(before),
            (true, false) => self.socket.write(after),
            (false, false) => self
                .socket
                .write_vectored(&[IoSlice::new(before), IoSlice::new(after)]),
        };
        let sent = taken(sent)?;
        let rest = &before[sent.min(before.len())..];
        self.unsent.extend_from_slice(rest);
        let rest = &after[sent.saturating_sub(before.len())..];
        self.unsent.extend_from_slice(rest);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = taken(self.socket.write(&self.unsent))?;
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }
}

/// How many bytes the kernel took.
fn taken(written: std::io::Result<usize>) -> Result<usize, Gone> {
    match written {
        Ok(sent) => Ok(sent),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(_) => Err(Gone),
    }
}

/// Length of the header at the front of `input` and of the payload it announces; `None` if it is incomplete.
fn head(input: &[u8]) -> Result<Option<(usize, usize)>, Gone> {
    let (head, len) = match *input {
        [_, byte, ..] if byte < 0x80 => return Err(Gone),
        [_, byte, ..] if byte < 0x80 + 126 => (6, usize::from(byte & 0x7f)),
        [_, 0xfe, a, b, ..] => (8, usize::from(u16::from_be_bytes([a, b]))),
        [_, 0xff, a, b, c, d, e, f, g, h, ..] => (
            14,
            usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h])).map_err(|_| Gone)?,
        ),
        _ => return Ok(None),
    };
    if len > MAX_MESSAGE {
        return Err(Gone);
    }
    Ok((input.len() >= head).then_some((head, len)))
}
