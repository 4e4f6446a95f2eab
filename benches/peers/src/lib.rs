//! What the relays on tokio have in common: their flags, their accept loop, and the rooms.
//!
//! Written as a competent user of these libraries would: one task per connection, messages shared by reference
//! count, each receiver woken once and written to once for all that waits for it. Like the kernel floor they have no
//! limits, so that a load test measures the library and not a policy.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The room relay: who is in which room. `T` is a message, cheap to clone.
pub struct Rooms<T>(Mutex<HashMap<String, Arc<Room<T>>>>);

struct Room<T>(Mutex<Members<T>>);

struct Members<T> {
    next: u64,
    outboxes: Vec<(u64, UnboundedSender<T>)>,
}

/// One member's place in a room; leaves the room when dropped.
pub struct Seat<T> {
    rooms: Arc<Rooms<T>>,
    room: Arc<Room<T>>,
    name: String,
    id: u64,
}

impl<T: Clone> Rooms<T> {
    /// Takes a place in the room of this name. What the others publish comes out of the receiver.
    pub fn join(
        self: &Arc<Self>,
        name: String,
    ) -> (Seat<T>, UnboundedSender<T>, UnboundedReceiver<T>) {
        let (outbox, inbox) = unbounded_channel();
        let mut rooms = self.0.lock();
        let room = rooms.entry(name.clone()).or_insert_with(|| {
            Arc::new(Room(Mutex::new(Members {
                next: 0,
                outboxes: Vec::new(),
            })))
        });
        let room = Arc::clone(room);
        let mut members = room.0.lock();
        let id = members.next;
        members.next += 1;
        members.outboxes.push((id, outbox.clone()));
        drop(members);
        drop(rooms);
        (
            Seat {
                rooms: Arc::clone(self),
                room,
                name,
                id,
            },
            outbox,
            inbox,
        )
    }
}

impl<T: Clone> Seat<T> {
    /// Gives the message to everybody else in the room.
    pub fn publish(&self, message: &T) {
        for (id, outbox) in &self.room.0.lock().outboxes {
            if *id != self.id {
                // It fails for a member that is just leaving.
                let _ = outbox.send(message.clone());
            }
        }
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        let mut rooms = self.rooms.0.lock();
        let mut members = self.room.0.lock();
        members.outboxes.retain(|(id, _)| *id != self.id);
        if members.outboxes.is_empty() {
            rooms.remove(&self.name);
        }
    }
}

/// Accepts connections for ever and serves each in a task of its own. Flags: `--listen ADDRESS:PORT` and
/// `--threads N` (1: everything on one thread, as when the server has one core).
pub fn run<T, F>(serve: fn(Arc<Rooms<T>>, TcpStream) -> F) -> io::Result<()>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (address, threads) = flags().map_err(io::Error::other)?;
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime
        .worker_threads(threads)
        .enable_io()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind(address).await?;
            println!("listens on {}", listener.local_addr()?);
            let rooms = Arc::new(Rooms(Mutex::new(HashMap::new())));
            loop {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                tokio::spawn(serve(Arc::clone(&rooms), socket));
            }
        })
}

fn flags() -> Result<(SocketAddr, usize), String> {
    let (mut listen, mut threads) = ("127.0.0.1:7791".to_owned(), 1);
    let mut flags = std::env::args().skip(1);
    while let Some(flag) = flags.next() {
        let value = flags
            .next()
            .ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => listen = value,
            "--threads" => {
                threads = value
                    .parse()
                    .map_err(|_| format!("{value:?} is no number"))?
            }
            _ => {
                return Err(format!(
                    "unknown flag {flag}: there are --listen ADDRESS:PORT and --threads N"
                ));
            }
        }
    }
    let address = listen
        .parse()
        .map_err(|_| format!("{listen:?} is not ADDRESS:PORT"))?;
    if threads == 0 {
        return Err("--threads must be at least 1".to_owned());
    }
    Ok((address, threads))
}
