//! The reactor: one thread, one poll, one shard.
//!
//! Owns: sockets, threads, the clock, mailboxes, the order of an iteration. Must not know: rooms or frames. Invariant: the
//! loop ([`Running`]) reaches sockets, mail and the clock through [`Net`] alone, so that the simulation runs the same one.

mod asks;
mod doors;
mod handshakes;
mod listener;
mod mailbox;
mod net;
mod os;
mod pace;
mod running;
mod slice;
mod sockets;
mod tcp_info;
mod unsent;
mod weighed;

use std::io;
use std::sync::Arc;

use mio::Events;
use mio::net::TcpListener;
use parking_lot::Mutex;

pub use self::asks::{Ask, Asker, Unasked};
pub use self::listener::{KERNEL_SPREADS, adopt, listen, try_bind};
pub use self::mailbox::{Address, Mail};
pub use self::net::{Accepted, Event, Net, Step};
use self::os::Os;
pub use self::running::{Running, Setting};
pub use self::sockets::{Sockets, door};
use crate::limits::{EVENTS_PER_POLL, RECEIVE_BUFFER};
use crate::shard::{Common, Counters};
use crate::transport::Port;

/// What a reactor lets others read: its counters, as of a second ago.
pub type Published = Arc<Mutex<Counters>>;

/// One reactor. Made on the main thread (so that start-up errors are reported there), run on its own.
#[derive(Debug)]
pub struct Reactor {
    os: Os,
    address: Address,
    ports: Vec<Port>,
    common: Arc<Common>,
    index: usize,
    published: Published,
}

impl Reactor {
    /// Reactor number `index`, with its listeners if it has any, and what they speak. All reactors have the same doors in
    /// the same order, or only one has any.
    ///
    /// # Errors
    ///
    /// When the poller can't be made or a listener not be registered.
    pub fn new(
        common: Arc<Common>,
        index: usize,
        ports: Vec<Port>,
        listeners: Vec<TcpListener>,
    ) -> io::Result<Self> {
        let (os, address) = Os::new(listeners)?;
        Ok(Self {
            os,
            address,
            ports,
            common,
            index,
            published: Published::default(),
        })
    }

    /// What its doors speak, in the order of their numbers.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Where mail for this reactor goes.
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// Where its counters can be read.
    pub fn published(&self) -> Published {
        Arc::clone(&self.published)
    }

    /// Runs until it has been drained. `peers` are the addresses of all reactors, in order.
    ///
    /// # Errors
    ///
    /// When polling itself fails, which only a fault of this program can cause.
    pub fn run(mut self, peers: Vec<Address>) -> io::Result<()> {
        self.os.meet(peers);
        let setting = Setting {
            deals: !KERNEL_SPREADS && self.common.reactors > 1,
            common: self.common,
            index: self.index,
            ports: self.ports,
            buffer: RECEIVE_BUFFER,
            seed: fastrand::u64(..),
            published: self.published,
        };
        Running::new(self.os, setting).run(&mut Events::with_capacity(EVENTS_PER_POLL))
    }
}

#[cfg(test)]
impl Reactor {
    /// All reactors of a process, with a port of this machine at which so many of them listen.
    pub fn all(common: &Arc<Common>, listening: usize) -> (Vec<Self>, std::net::SocketAddr) {
        let width = if KERNEL_SPREADS { listening } else { 1 };
        let listeners = listen("127.0.0.1:0".parse().unwrap(), width).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let mut listeners = listeners.into_iter().map(TcpListener::from_std);
        let reactors = (0..common.reactors).map(|index| {
            let own = listeners.next().into_iter().collect();
            Self::new(Arc::clone(common), index, vec![Port::Plain], own).unwrap()
        });
        (reactors.collect(), address)
    }
}
