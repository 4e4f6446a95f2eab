//! Players without a WebSocket: what clients say over one is carried by the requests of docs/HTTP.md.
//!
//! Owns the door behind which WebSockets become sessions. Must not know what messages say, nor how anything is counted.
//! Invariant: frames go on in both directions in their order, each once, or the WebSocket ends. So what a relay loses, doubles
//! or makes up on such a way is judged as it is on any other. One thread carries all clients; what it takes counts as the
//! relay's.

mod down;
mod events;
mod line;
mod passage;
mod pipe;
mod up;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use self::passage::{Passage, Side, Then};
use self::pipe::Pipe;
use super::error::EngineError;
use super::limits;
use crate::scenario::{Carrier, Scenario};

/// Descriptors of a client: its WebSocket's two ends, what it asks on, and what it says on.
const DESCRIPTORS: usize = 4;

/// Events taken from one poll.
const EVENTS: usize = 1024;
/// That of the door. Passages have their indices, times the number of their sides.
const DOOR: Token = Token(usize::MAX);
const SIDES: [Side; 3] = [Side::Client, Side::Down, Side::Up];

/// For how long a request waits that is to be sent again.
const AGAIN: Duration = Duration::from_millis(20);

/// Where sessions are, and how they are asked for what comes.
struct Relay {
    address: SocketAddr,
    /// Fields that every request has, each with its CRLF.
    fields: String,
    carrier: Carrier,
}

/// Where WebSockets end as long as this lives.
pub(super) struct Door {
    address: SocketAddr,
    is_shut: Arc<AtomicBool>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_shut.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

/// Descriptors that a client takes.
pub(super) fn descriptors(carrier: Carrier) -> usize {
    match carrier {
        Carrier::Ws => 1,
        Carrier::Poll | Carrier::Stream | Carrier::Events => DESCRIPTORS,
    }
}

/// The same scenario for clients whose WebSockets end at a door of this process, if they are to be carried.
pub(super) fn begin(scenario: &Scenario) -> Result<Option<(Scenario, Door)>, EngineError> {
    if scenario.carrier == Carrier::Ws {
        return Ok(None);
    }
    scenario.check()?;
    let addresses = limits::resolve(&scenario.target)?;
    let is_there = |address: &&SocketAddr| TcpStream::connect(address).is_ok();
    let Some(&address) = addresses.iter().find(is_there) else {
        return Err(EngineError::NothingListens {
            target: scenario.target.clone(),
            address: addresses[0],
        });
    };
    let mut fields = format!("Host: {}\r\n", scenario.target.host_field());
    for (name, value) in &scenario.request.headers {
        fields += &format!("{name}: {value}\r\n");
    }
    let door = open(Relay {
        address,
        fields,
        carrier: scenario.carrier,
    });
    let door = door.map_err(|source| EngineError::System {
        what: "cannot carry clients",
        source,
    })?;
    let mut carried = scenario.clone();
    carried.target = scenario.target.carried_by(door.address);
    carried.server_pid = match scenario.server_pid {
        None => limits::server(None, address)?.map(|server| server.pid()),
        pid => pid,
    };
    Ok(Some((carried, door)))
}

fn open(relay: Relay) -> io::Result<Door> {
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, DOOR, Interest::READABLE)?;
    let door = Door {
        address: listener.local_addr()?,
        is_shut: Arc::new(AtomicBool::new(false)),
    };
    let mut passages = Passages {
        relay,
        listener,
        poll,
        all: Slab::new(),
        again: BTreeSet::new(),
        again_at: Instant::now(),
    };
    let is_shut = Arc::clone(&door.is_shut);
    thread::Builder::new().spawn(move || passages.run(&is_shut))?;
    Ok(door)
}

/// All clients' ways.
struct Passages {
    relay: Relay,
    listener: TcpListener,
    poll: Poll,
    all: Slab<Passage>,
    /// Those that are to go on in a while, and when.
    again: BTreeSet<usize>,
    again_at: Instant,
}

impl Passages {
    /// Carries clients until the door is shut. An error is the end of all of them, which their run tells of.
    fn run(&mut self, is_shut: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !is_shut.load(Ordering::Relaxed) {
            let timeout = Some(AGAIN).filter(|_| !self.again.is_empty());
            self.poll.poll(&mut events, timeout)?;
            for event in &events {
                if event.token() == DOOR {
                    self.let_in()?;
                    continue;
                }
                let (index, side) = (event.token().0 / SIDES.len(), event.token().0 % SIDES.len());
                let heeded = match self.all.get_mut(index) {
                    Some(passage) => passage.heed(SIDES[side], event),
                    // Of one that has ended.
                    None => continue,
                };
                self.go_on(index, heeded);
            }
            if !self.again.is_empty() && Instant::now() >= self.again_at {
                for index in std::mem::take(&mut self.again) {
                    self.go_on(index, Ok(()));
                }
            }
        }
        Ok(())
    }

    fn let_in(&mut self) -> io::Result<()> {
        loop {
            let client = match self.listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let entry = self.all.vacant_entry();
            let index = entry.key();
            let client = Pipe::new(client, self.poll.registry(), token(index, Side::Client))?;
            entry.insert(Passage::new(client));
            self.go_on(index, Ok(()));
        }
    }

    /// Whoever can't be carried on loses its WebSocket.
    fn go_on(&mut self, index: usize, so_far: io::Result<()>) {
        let Some(passage) = self.all.get_mut(index) else {
            return;
        };
        let registry = self.poll.registry();
        let then =
            so_far.and_then(|()| passage.go_on(&self.relay, registry, |side| token(index, side)));
        match then {
            Ok(Then::Wait) => {}
            Ok(Then::Again) => {
                if self.again.is_empty() {
                    self.again_at = Instant::now() + AGAIN;
                }
                self.again.insert(index);
            }
            Ok(Then::End) | Err(_) => drop(self.all.remove(index)),
        }
    }
}

fn token(index: usize, side: Side) -> Token {
    Token(index * SIDES.len() + side as usize)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
