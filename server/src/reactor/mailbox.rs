//! Mailboxes: the only way from one reactor to another.
//!
//! A channel and a mio waker. Bounded, in number and in bytes: a full mailbox gives the mail back.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crossbeam_channel::{Receiver as Lane, TrySendError};
use mio::net::TcpStream;
use mio::{Registry, Token, Waker};

use super::asks::{self, Ask, Asks, Unasked};
use super::sockets::MAILBOX;
use super::weighed::{Receiver, Sender, Weigh, bounded};
use crate::limits::{MAILBOX_BYTES, MAILBOX_CAPACITY};
use crate::shard::Handover;

/// What one reactor tells another, with a socket.
#[derive(Debug)]
pub enum Mail<S = TcpStream> {
    /// A connection whose room is at home there.
    Adopt(S, Box<Handover>),
    /// A connection fresh from the listener, where only one reactor accepts.
    Accepted {
        /// Its socket.
        socket: S,
        /// The door by which it came.
        door: usize,
        /// Where it comes from, if that is known.
        peer: Option<IpAddr>,
    },
}

impl<S> Weigh for Mail<S> {
    fn bytes(&self) -> usize {
        match self {
            Self::Adopt(_, handover) => handover.held(),
            Self::Accepted { .. } => 0,
        }
    }
}

/// The sending end, one for each reactor, cheap to clone.
#[derive(Debug, Clone)]
pub struct Address {
    sender: Sender<Mail>,
    asks: Asks,
    waker: Arc<Waker>,
}

impl Address {
    /// Puts mail into the box and wakes its reactor.
    ///
    /// # Errors
    ///
    /// Gives the mail back if the box is full or its reactor has ended.
    pub fn send(&self, mail: Mail) -> Result<(), Mail> {
        match self.sender.try_send(mail) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(TrySendError::Full(mail) | TrySendError::Disconnected(mail)) => Err(mail),
        }
    }

    /// Asks the reactor, on a lane of its own.
    ///
    /// # Errors
    ///
    /// If the lane is full or the reactor has ended.
    pub fn ask(&self, ask: Ask) -> Result<(), Unasked> {
        self.asks.send(ask)?;
        self.wake();
        Ok(())
    }

    /// Mails that wait in the box.
    pub fn depth(&self) -> usize {
        self.sender.waiting()
    }

    /// Questions that wait for an answer.
    pub fn questions(&self) -> usize {
        self.asks.waiting()
    }

    /// Has the reactor begin an iteration, to look at what is not mail.
    pub fn wake(&self) {
        // A waker fails only if its eventfd is gone, and then so is its reactor.
        let _ = self.waker.wake();
    }
}

/// A mailbox whose waker fires on this registry, and the lane beside it.
///
/// # Errors
///
/// When the waker can't be made (out of descriptors).
pub fn mailbox(registry: &Registry) -> io::Result<(Address, Receiver<Mail>, Lane<Ask>)> {
    let (sender, receiver) = bounded(MAILBOX_CAPACITY, MAILBOX_BYTES);
    let (asks, asked) = asks::lane();
    let waker = Arc::new(Waker::new(registry, Token(MAILBOX))?);
    let address = Address {
        sender,
        asks,
        waker,
    };
    Ok((address, receiver, asked))
}
