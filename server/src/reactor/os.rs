//! The operating system's network, by mio.
//!
//! Owns: the poller, the listeners and the mailbox of one reactor, and the clock. Must not know: the shard, or in which
//! order the loop does what. Invariant: every socket is registered once, edge-triggered, for both directions.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver as Lane;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::asks::Ask;
use super::listener;
use super::mailbox::{self, Address, Mail, Mailbox};
use super::net::{Accepted, Event, Net};
use super::sockets::door;
use super::tcp_info;
use super::unsent::unsent;
use crate::shard::Figures;

/// One reactor's part of the operating system.
#[derive(Debug)]
pub struct Os {
    poll: Poll,
    listeners: Vec<TcpListener>,
    mail: Mailbox,
    asks: Lane<Ask>,
    peers: Vec<Address>,
    epoch: Instant,
}

impl Os {
    /// A poller with these listeners, and where mail for it goes.
    ///
    /// # Errors
    ///
    /// When the poller can't be made or a listener not be registered.
    pub fn new(mut listeners: Vec<TcpListener>) -> io::Result<(Self, Address)> {
        let poll = Poll::new()?;
        let (address, mail, asks) = mailbox::mailbox(poll.registry())?;
        for (number, listener) in listeners.iter_mut().enumerate() {
            poll.registry()
                .register(listener, Token(door(number)), Interest::READABLE)?;
        }
        let os = Self {
            poll,
            listeners,
            mail,
            asks,
            peers: Vec::new(),
            epoch: Instant::now(),
        };
        Ok((os, address))
    }

    /// Tells it the addresses of all reactors, in order.
    pub fn meet(&mut self, peers: Vec<Address>) {
        self.peers = peers;
    }
}

impl Net for Os {
    type Socket = TcpStream;
    type Events = Events;

    fn clock(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    fn poll(&mut self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn events(events: &Events) -> impl Iterator<Item = Event> {
        events.iter().map(|event| {
            let closed = event.is_read_closed() || event.is_error();
            Event {
                token: event.token().0,
                readable: event.is_readable() || closed,
                writable: event.is_writable(),
                closed,
            }
        })
    }

    fn accept(&mut self, door: usize) -> Accepted<TcpStream> {
        // Where only one reactor accepts, the others know what its doors speak.
        self.listeners
            .get(door)
            .map_or(Accepted::Nobody, listener::accept)
    }

    fn close_doors(&mut self) {
        // Closing the descriptors also takes them out of the poll.
        self.listeners.clear();
    }

    fn register(&mut self, socket: &mut TcpStream, token: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(socket, Token(token), interest)
    }

    fn deregister(&mut self, socket: &mut TcpStream) {
        // It can only fail for a descriptor that is not registered; the peer's poll would then be told the same.
        let _ = self.poll.registry().deregister(socket);
    }

    fn read(&mut self, mut socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        socket.read(into)
    }

    fn write(&mut self, mut socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => socket.write(one),
            many => socket.write_vectored(many),
        }
    }

    fn shutdown_write(&mut self, socket: &TcpStream) -> io::Result<()> {
        socket.shutdown(Shutdown::Write)
    }

    fn unsent(&self, socket: &TcpStream) -> usize {
        unsent(socket).unwrap_or_default()
    }

    fn queued(&self) -> usize {
        let listeners = self.listeners.iter();
        listeners.filter_map(tcp_info::queued).sum()
    }

    fn figures(&self, socket: &TcpStream) -> Option<Figures> {
        tcp_info::figures(socket)
    }

    fn close(&mut self, socket: TcpStream) {
        // Closing the descriptor also takes it out of the poll.
        drop(socket);
    }

    fn abort(&mut self, socket: TcpStream) {
        // If it can't be said, the kernel keeps what it holds for as long as it likes.
        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        drop(socket);
    }

    fn take_mail(&mut self) -> Option<Mail> {
        self.mail.take()
    }

    fn take_ask(&mut self) -> Option<Ask> {
        self.asks.try_recv().ok()
    }

    fn has_mail(&self) -> bool {
        !self.mail.is_empty() || !self.asks.is_empty()
    }

    fn send_mail(&mut self, to: usize, mail: Mail) -> Result<(), Mail> {
        self.peers[to].send(mail)
    }
}
