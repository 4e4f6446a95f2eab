//! The smallest relay that can be driven, and the faults that it can be told to make.
//!
//! Owns a listener and a thread for each connection. Must not know the engine.
//! Invariant: what it did wrong is counted where it does it, so that a test can demand the very
//! same number.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{self, Decoder, Item, Opcode, Role, Rules};
use roomcast_protocol::upgrade::{self, RequestKind};

/// What to do wrong with every so-many-th delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Not deliver it.
    Drop,
    /// Deliver it twice.
    Double,
    /// Flip one bit of it.
    Corrupt,
    /// Deliver it to somebody in another room as well.
    Leak,
    /// Deliver it to its sender as well.
    Echo,
    /// Deliver it after the next one of the same sender to the same receiver.
    Swap,
    /// Close the receiver's connection instead.
    Kick,
    /// Send something that is not WebSocket instead.
    Garble,
    /// End every connection without a close frame, as a process that is killed.
    Die,
    /// From then on, do nothing any more, as a process that hangs.
    Freeze,
    /// Deliver it [`LATE`] after it came.
    Delay,
}

/// How late [`Fault::Delay`] is.
pub const LATE: Duration = Duration::from_millis(20);

/// A relay that runs until the process ends.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
}

/// While it is closed, no message is read.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = self.opened.wait_while(closed, |closed| *closed);
        drop(passed.unwrap_or_else(PoisonError::into_inner));
    }

    fn set_closed(&self, closed: bool) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
        self.opened.notify_all();
    }
}

#[derive(Default)]
struct State {
    members: Vec<Option<Member>>,
    /// Address of every connection there ever was.
    peers: Vec<String>,
    deliveries: u64,
    faults: u64,
    /// By sender and receiver: a frame that waits for the next one.
    held: HashMap<(usize, usize), Vec<u8>>,
}

struct Member {
    room: String,
    stream: TcpStream,
}

impl Relay {
    /// Makes `fault` with every `every`-th delivery (counted over all rooms).
    pub fn start(fault: Fault, every: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new(State::default()));
        let gate = Arc::new(Gate::default());
        let shared = (Arc::clone(&state), Arc::clone(&gate));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, gate) = shared.clone();
                std::thread::spawn(move || serve(stream, &state, &gate, fault, every));
            }
        });
        Self {
            address,
            state,
            gate,
        }
    }

    /// From now on (true) no message is read, or (false) they are read again.
    pub fn stop_reading(&self, stop: bool) {
        self.gate.set_closed(stop);
    }

    /// How many faults it has made.
    pub fn faults(&self) -> u64 {
        lock(&self.state).faults
    }

    /// The addresses that all connections came from.
    pub fn peers(&self) -> Vec<String> {
        lock(&self.state).peers.clone()
    }

    /// How many frames still wait for a next one.
    pub fn held(&self) -> u64 {
        lock(&self.state).held.len() as u64
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, gate: &Gate, fault: Fault, every: u64) {
    let _ = stream.set_nodelay(true);
    let Some((room, mut input)) = handshake(&mut stream) else {
        return;
    };
    let me = {
        let mut state = lock(state);
        let stream = stream.try_clone().expect("a descriptor");
        let peer = stream.peer_addr().map(|peer| peer.ip().to_string());
        state.peers.push(peer.unwrap_or_default());
        state.members.push(Some(Member { room, stream }));
        state.members.len() - 1
    };
    let rules = Rules {
        role: Role::Server,
        max_message: 1 << 20,
    };
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 * 1024];
    let (_never, nothing) = mpsc::channel::<()>();
    'connection: loop {
        let mut rest = &mut input[..];
        while let Ok(Some(item)) = decoder.next(&rules, &mut rest) {
            match item {
                Item::Message { kind, payload } => {
                    if fault == Fault::Delay {
                        // Nobody ever sends: what is waited for is the time.
                        let _ = nothing.recv_timeout(LATE);
                    }
                    let mut state = lock(state);
                    state.relay(me, kind.into(), payload, fault, every);
                    if fault == Fault::Freeze && state.deliveries >= every {
                        state.faults = 1;
                        gate.set_closed(true);
                    }
                }
                Item::Close { .. } => {
                    let mut state = lock(state);
                    state.close(me, CloseCode::NORMAL);
                    break 'connection;
                }
                Item::Ping(_) | Item::Pong(_) => {}
            }
        }
        gate.pass();
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => input = buffer[..read].to_vec(),
            _ => break,
        }
    }
    lock(state).members[me] = None;
}

fn handshake(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        let read = stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
        head.extend_from_slice(&buffer[..read]);
        if let Some(end) = upgrade::find_head_end(&head, 0).ok()? {
            break end;
        }
    };
    let request = upgrade::parse_request(&head[..end]).ok()?;
    let mut answer = Vec::new();
    match (request.path.strip_prefix("/rooms/"), &request.kind) {
        (Some(room), RequestKind::Upgrade(upgrade)) => {
            upgrade::write_accept(&mut answer, &upgrade.accept, None);
            stream.write_all(&answer).ok()?;
            Some((room.to_owned(), head[end..].to_vec()))
        }
        _ => {
            let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(text);
            None
        }
    }
}

impl State {
    fn relay(&mut self, sender: usize, opcode: Opcode, payload: &[u8], fault: Fault, every: u64) {
        let Some(room) = self.members[sender].as_ref().map(|m| m.room.clone()) else {
            return;
        };
        let mut whole = Vec::new();
        frame::encode(&mut whole, opcode, payload);
        for receiver in 0..self.members.len() {
            let here = |m: &Member| m.room == room;
            if receiver == sender || !self.members[receiver].as_ref().is_some_and(here) {
                continue;
            }
            self.deliveries += 1;
            let faulty = fault != Fault::None && self.deliveries.is_multiple_of(every);
            if faulty && fault == Fault::Swap && !self.held.contains_key(&(sender, receiver)) {
                self.held.insert((sender, receiver), whole.clone());
                continue;
            }
            self.faults += u64::from(faulty && fault != Fault::Swap && fault != Fault::Freeze);
            match fault {
                Fault::Drop if faulty => continue,
                Fault::Double if faulty => self.write(receiver, &whole),
                Fault::Corrupt if faulty => {
                    let mut bad = whole.clone();
                    let bits = 8 * payload.len() as u64;
                    // Any bit of the payload, another one each time.
                    let bit = (self.faults * 7919 % bits) as usize;
                    let at = bad.len() - payload.len() + bit / 8;
                    bad[at] ^= 1 << (bit % 8);
                    self.write(receiver, &bad);
                    continue;
                }
                Fault::Leak if faulty => {
                    let elsewhere = |m: &Member| m.room != room;
                    let mut all = 0..self.members.len();
                    let other = all.find(|&i| self.members[i].as_ref().is_some_and(elsewhere));
                    self.write(other.expect("another room"), &whole);
                }
                Fault::Echo if faulty => self.write(sender, &whole),
                Fault::Kick if faulty => {
                    self.close(receiver, CloseCode::KICKED);
                    continue;
                }
                Fault::Die if faulty => {
                    let members = self.members.iter_mut().filter_map(Option::take);
                    self.faults = 0;
                    for member in members {
                        let _ = member.stream.shutdown(std::net::Shutdown::Both);
                        self.faults += 1;
                    }
                    return;
                }
                Fault::Garble if faulty => {
                    self.write(receiver, &[0xff; 10]);
                    self.members[receiver] = None;
                    continue;
                }
                _ => {}
            }
            self.write(receiver, &whole);
            if let Some(held) = self.held.remove(&(sender, receiver)) {
                self.faults += 1;
                self.write(receiver, &held);
            }
        }
    }

    fn write(&mut self, member: usize, bytes: &[u8]) {
        if let Some(member) = &mut self.members[member] {
            // A member that is gone notices by itself.
            let _ = member.stream.write_all(bytes);
        }
    }

    fn close(&mut self, member: usize, code: CloseCode) {
        let mut bytes = Vec::new();
        frame::encode_close(&mut bytes, code, "", None);
        self.write(member, &bytes);
        if let Some(member) = self.members[member].take() {
            let _ = member.stream.shutdown(std::net::Shutdown::Write);
        }
    }
}
