//! Mailboxes: the only way from one reactor to another.
//!
//! A channel and a mio waker. Bounded, in number and in bytes: a full mailbox gives the mail back. What shards say to each other
//! is bounded by them, a question and its answer for each request that waits; it has a lane of its own, which no sockets fill.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crossbeam_channel::{Receiver as Lane, Sender as LaneSender, TrySendError, unbounded};
use mio::net::TcpStream;
use mio::{Registry, Token, Waker};

use super::asks::{self, Ask, Asks, Unasked};
use super::sockets::MAILBOX;
use super::weighed::{Receiver, Sender, Weigh, bounded};
use crate::limits::{MAILBOX_BYTES, MAILBOX_CAPACITY};
use crate::shard::{Handover, Word};

/// What one reactor tells another.
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
    /// What its shard says to the other one. Never given back but by who has ended.
    Word(Word),
}

impl<S> Weigh for Mail<S> {
    fn bytes(&self) -> usize {
        match self {
            Self::Adopt(_, handover) => handover.held(),
            Self::Accepted { .. } | Self::Word(_) => 0,
        }
    }
}

/// The sending end, one for each reactor, cheap to clone.
#[derive(Debug, Clone)]
pub struct Address {
    sender: Sender<Mail>,
    words: LaneSender<Word>,
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
        let sent = match mail {
            Mail::Word(word) => self
                .words
                .try_send(word)
                .map_err(|error| TrySendError::Disconnected(Mail::Word(error.into_inner()))),
            mail => self.sender.try_send(mail),
        };
        match sent {
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
        self.sender.waiting() + self.words.len()
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

/// The receiving end.
#[derive(Debug)]
pub struct Mailbox {
    mail: Receiver<Mail>,
    words: Lane<Word>,
    /// Words come next.
    words_next: bool,
}

impl Mailbox {
    /// The next mail: connections and words take turns.
    pub fn take(&mut self) -> Option<Mail> {
        let word = || self.words.try_recv().ok().map(Mail::Word);
        let mail = || self.mail.try_recv().ok();
        self.words_next = !self.words_next;
        match self.words_next {
            false => word().or_else(mail),
            true => mail().or_else(word),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.mail.is_empty() && self.words.is_empty()
    }
}

/// A mailbox whose waker fires on this registry, and the lane beside it.
///
/// # Errors
///
/// When the waker can't be made (out of descriptors).
pub fn mailbox(registry: &Registry) -> io::Result<(Address, Mailbox, Lane<Ask>)> {
    let (sender, mail) = bounded(MAILBOX_CAPACITY, MAILBOX_BYTES);
    let (say, words) = unbounded();
    let (asks, asked) = asks::lane();
    let waker = Arc::new(Waker::new(registry, Token(MAILBOX))?);
    let address = Address {
        sender,
        words: say,
        asks,
        waker,
    };
    let mailbox = Mailbox {
        mail,
        words,
        words_next: true,
    };
    Ok((address, mailbox, asked))
}
