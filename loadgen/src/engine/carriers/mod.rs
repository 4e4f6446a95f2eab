//! Players without a WebSocket: what clients say over one is carried by the requests of docs/HTTP.md.
//!
//! Owns the door behind which WebSockets become sessions. Must not know what messages say, nor how anything is counted.
//! Invariant: frames go on in both directions in their order, each once, or the WebSocket ends. So what a relay loses, doubles
//! or makes up on such a way is judged as it is on any other. Two threads for each client wait for sockets; the time that
//! they take counts as the relay's.

mod ascent;
mod events;
mod line;
mod passage;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use self::passage::{Fetch, Passage};
use super::error::EngineError;
use super::limits;
use crate::scenario::{Carrier, Scenario};

/// Descriptors of a client: its WebSocket's two ends, one of them twice, what it asks on, and what it says on.
const DESCRIPTORS: usize = 5;

/// Bytes of stack of a thread: a few buffers.
const STACK: usize = 256 * 1024;

/// For how long a request waits that is to be sent again.
const AGAIN: Duration = Duration::from_millis(20);

/// Where sessions are, and how they are asked for what comes.
struct Relay {
    address: SocketAddr,
    /// Fields that every request has, each with its CRLF.
    fields: String,
    fetch: Fetch,
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
    let fetch = match scenario.carrier {
        Carrier::Ws => return Ok(None),
        Carrier::Poll => Passage::poll,
        Carrier::Stream => Passage::stream,
        Carrier::Events => Passage::events,
    };
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
        fetch,
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
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let door = Door {
        address: listener.local_addr()?,
        is_shut: Arc::new(AtomicBool::new(false)),
    };
    let (relay, is_shut) = (Arc::new(relay), Arc::clone(&door.is_shut));
    spawn(move || {
        for client in listener.incoming().flatten() {
            if is_shut.load(Ordering::Relaxed) {
                break;
            }
            let relay = Arc::clone(&relay);
            // Who can't be carried loses its WebSocket, which its run tells of.
            let _ = spawn(move || Passage::begin(client, &relay));
        }
    })?;
    Ok(door)
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().stack_size(STACK).spawn(run)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
