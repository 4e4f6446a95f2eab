//! Mailboxes: the only way from one reactor to another.
//!
//! A crossbeam channel and a mio waker. Bounded: a full mailbox gives the mail back.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use mio::net::TcpStream;
use mio::{Registry, Token, Waker};

use crate::limits::MAILBOX_CAPACITY;
use crate::shard::Handover;
use crate::transport::Port;

/// What one reactor, or the main thread, tells another.
#[derive(Debug)]
pub enum Mail {
    /// A connection whose room is at home there.
    Adopt(TcpStream, Box<Handover>),
    /// A connection fresh from the listener, where only one reactor accepts.
    Accepted(TcpStream, Port, IpAddr),
    /// Say goodbye to everyone within this many milliseconds, then end.
    Drain(u32),
}

/// The sending end, one for each reactor, cheap to clone.
#[derive(Debug, Clone)]
pub struct Address {
    sender: Sender<Mail>,
    waker: Arc<Waker>,
}

impl Address {
    /// Puts mail into the box and wakes its reactor.
    ///
    /// # Errors
    ///
    /// Gives the mail back if the box is full or its reactor has ended.
    pub fn send(&self, mail: Mail) -> Result<(), Undelivered> {
        match self.sender.try_send(mail) {
            Ok(()) => {
                // A waker fails only if its eventfd is gone, and then so is its reactor.
                let _ = self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(mail)) => Err(Undelivered::Full(mail)),
            Err(TrySendError::Disconnected(mail)) => Err(Undelivered::Gone(mail)),
        }
    }
}

/// Why mail came back.
#[derive(Debug)]
pub enum Undelivered {
    /// The box is full.
    Full(Mail),
    /// The reactor has ended.
    Gone(Mail),
}

/// A mailbox whose waker fires `token` on this registry.
///
/// # Errors
///
/// When the waker can't be made (out of descriptors).
pub fn mailbox(registry: &Registry, token: Token) -> io::Result<(Address, Receiver<Mail>)> {
    let (sender, receiver) = bounded(MAILBOX_CAPACITY);
    let waker = Arc::new(Waker::new(registry, token)?);
    Ok((Address { sender, waker }, receiver))
}
