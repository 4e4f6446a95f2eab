//! What the loop needs of a network: the operating system's is one, the simulation's another.
//!
//! Owns: the interface, and nothing behind it. Must not know: rooms, frames. Invariant: whatever the loop does that
//! reaches beyond its own memory goes through here, the clock included; so a network that only looks like one runs the
//! very same loop.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::time::Duration;

use super::asks::Ask;
use super::mailbox::Mail;
use super::sockets::Sockets;
use crate::shard::{Figures, Shard};

/// What a poll says about one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What it was registered with.
    pub token: usize,
    /// Bytes, or the end of them, can be read.
    pub readable: bool,
    /// Bytes can be written.
    pub writable: bool,
    /// The peer's side has ended, or the connection is broken: no further event will say so.
    pub closed: bool,
}

/// What one attempt to accept gave.
#[derive(Debug)]
pub enum Accepted<S> {
    /// A connection, its options set, and where it comes from, if that is known.
    Connection(S, Option<IpAddr>),
    /// Nobody waits.
    Nobody,
    /// Whoever waited has gone again: try the next one.
    Gone,
    /// The process or the system is out of descriptors or memory: pause.
    Exhausted(io::Error),
}

/// What the loop has just done, for [`Net::watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The connection in this slot came from another reactor, or could not be sent to one.
    Adopted(u32),
    /// The socket in this slot gave so many bytes; at its end, or where it failed, none.
    Read(u32, usize),
    /// So many bytes of what came behind the request head of the connection in this slot were heard.
    Unread(u32, usize),
    /// The shard did not want the socket in this slot to be read.
    Declined(u32),
    /// Anything else that may have ended connections.
    Done,
}

/// One reactor's network.
pub trait Net {
    /// A connection's socket.
    type Socket;
    /// What one poll reports.
    type Events;

    /// Microseconds, monotonic.
    fn clock(&self) -> u64;

    /// Sleeps until there is something to report, at most for `timeout`.
    ///
    /// # Errors
    ///
    /// When polling itself fails, which only a fault of this program can cause.
    fn poll(&mut self, events: &mut Self::Events, timeout: Duration) -> io::Result<()>;

    /// What the last poll reported.
    fn events(events: &Self::Events) -> impl Iterator<Item = Event>;

    /// Accepts one connection at this door.
    fn accept(&mut self, door: usize) -> Accepted<Self::Socket>;

    /// Lets go of all doors: who still waits there is somebody else's now.
    fn close_doors(&mut self);

    /// Has polls report what happens to a socket, edge by edge, in both directions.
    ///
    /// # Errors
    ///
    /// When the system has no room for it.
    fn register(&mut self, socket: &mut Self::Socket, token: usize) -> io::Result<()>;

    /// Ends that: the socket goes elsewhere.
    fn deregister(&mut self, socket: &mut Self::Socket);

    /// Reads what is there.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing, else what is wrong with the connection.
    fn read(&mut self, socket: &Self::Socket, into: &mut [u8]) -> io::Result<usize>;

    /// Writes as much as the kernel takes.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it takes nothing, else what is wrong with the connection.
    fn write(&mut self, socket: &Self::Socket, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends our side of the connection, behind what was written.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    fn shutdown_write(&mut self, socket: &Self::Socket) -> io::Result<()>;

    /// Bytes that were written and that the peer has not acknowledged; the end of our side counts as one. Nothing, where
    /// that can't be told.
    fn unsent(&self, socket: &Self::Socket) -> usize;

    /// Connections that wait to be accepted, where that can be told.
    fn queued(&self) -> usize {
        0
    }

    /// What is known of the way to the peer, where that can be told.
    fn figures(&self, socket: &Self::Socket) -> Option<Figures> {
        let _ = socket;
        None
    }

    /// Drops a socket; what was written still leaves.
    fn close(&mut self, socket: Self::Socket);

    /// Drops a socket and what was written with it: the peer is sent a reset.
    fn abort(&mut self, socket: Self::Socket);

    /// The next mail, if there is any.
    fn take_mail(&mut self) -> Option<Mail<Self::Socket>>;

    /// The next question of the control plane, where there is one.
    fn take_ask(&mut self) -> Option<Ask> {
        None
    }

    /// Whether there is mail, or a question.
    fn has_mail(&self) -> bool;

    /// Sends mail to another reactor.
    ///
    /// # Errors
    ///
    /// Gives the mail back if it can't be delivered.
    fn send_mail(&mut self, to: usize, mail: Mail<Self::Socket>) -> Result<(), Mail<Self::Socket>>;

    /// Is shown the shard after each step. Nobody watches in production.
    #[inline]
    fn watch(&mut self, shard: &Shard, sockets: &Sockets<Self::Socket>, step: Step) {
        let _ = (shard, sockets, step);
    }
}
