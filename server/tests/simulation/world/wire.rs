//! A TCP connection without a network: two pipes, and the edges that the server's poll would see.
//!
//! Owns: what is in flight, what the server's kernel holds, how each side ended. Must not know: frames, players.
//! Invariant: bytes come out in the order in which they went in, and what raises an edge raises it once.

use std::io::IoSlice;
use std::net::IpAddr;

use roomcast::shard::Written;

/// Whose edges the server sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edges {
    /// An edge in one direction reports what is ready in both, as epoll does.
    Both,
    /// Each direction on its own, as kqueue does.
    Each,
}

/// What one poll says about one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer's side has ended: no further edge will say so.
    pub(crate) read_closed: bool,
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// This many bytes; 0 is the end of input.
    Bytes(usize),
    WouldBlock,
    Interrupted,
    Reset,
}

/// Bytes on their way; taken from the front in slices, because byte by byte is slow.
#[derive(Debug, Default)]
struct Pipe {
    bytes: Vec<u8>,
    taken: usize,
}

impl Pipe {
    fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Lends at most `most` bytes to `to`, and drops them.
    fn pull<R>(&mut self, most: usize, to: impl FnOnce(&[u8]) -> R) -> R {
        let end = self.taken + most.min(self.len());
        let result = to(&self.bytes[self.taken..end]);
        self.taken = end;
        if self.is_empty() {
            self.clear();
        } else if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        result
    }

    /// Takes at most `most` bytes; all of them without a copy.
    fn take(&mut self, most: usize) -> Vec<u8> {
        if self.taken == 0 && most >= self.bytes.len() {
            std::mem::take(&mut self.bytes)
        } else {
            self.pull(most, <[u8]>::to_vec)
        }
    }

    /// Loses what is behind the first so many bytes.
    fn cut(&mut self, at: usize) {
        self.bytes.truncate(self.taken + at);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.taken = 0;
    }
}

/// Bytes that a client's kernel takes though the client does not read, at most.
const ACKNOWLEDGED: usize = 16 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Where it comes from, if the server is told.
    pub(crate) peer: Option<IpAddr>,
    edges: Edges,
    /// Bytes that the kernel holds of what the server wrote and the client has not read.
    capacity: usize,
    /// Bytes of these that the client's kernel takes.
    acknowledged: usize,
    /// Bytes that the server has written.
    written: usize,
    in_flight: Pipe,
    fin_in_flight: bool,
    arrived: Pipe,
    fin_arrived: bool,
    reset: bool,
    sent: Pipe,
    /// The server has written less than it wanted to, and waits for an edge.
    wants_space: bool,
    read_edge: bool,
    write_edge: bool,
    /// The next write takes at most this many bytes.
    pub(crate) pinch: Option<usize>,
    /// The next read is interrupted.
    pub(crate) interrupt: bool,
    /// Writes fail, though nobody has told yet.
    pub(crate) broken: bool,
    server_shut: bool,
    server_gone: bool,
    /// The server ended the connection with bytes unread, so what it had sent may never arrive.
    aborted: bool,
}

impl Wire {
    /// A connection that the server's kernel has accepted.
    pub(crate) fn new(edges: Edges, capacity: usize) -> Self {
        Self {
            peer: None,
            edges,
            capacity,
            acknowledged: ACKNOWLEDGED.min(capacity / 2),
            written: 0,
            in_flight: Pipe::default(),
            fin_in_flight: false,
            arrived: Pipe::default(),
            fin_arrived: false,
            reset: false,
            sent: Pipe::default(),
            wants_space: false,
            read_edge: false,
            write_edge: false,
            pinch: None,
            interrupt: false,
            broken: false,
            server_shut: false,
            server_gone: false,
            aborted: false,
        }
    }

    /// The client sends.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if !self.fin_in_flight && !self.reset {
            self.in_flight.push(bytes);
        }
    }

    /// The client ends its side, after what it has sent.
    pub(crate) fn send_fin(&mut self) {
        self.fin_in_flight = true;
    }

    /// The client resets the connection: what was in flight is lost in both directions.
    pub(crate) fn send_reset(&mut self) {
        if !self.reset && !self.server_gone {
            self.reset = true;
            self.in_flight.clear();
            self.sent.clear();
            self.read_edge = true;
            self.write_edge = true;
        }
    }

    /// The network delivers at most `most` bytes, and the end behind the last one. False if there was nothing.
    pub(crate) fn deliver(&mut self, most: usize) -> bool {
        if self.reset || self.server_gone {
            self.in_flight.clear();
            return false;
        }
        let n = most.min(self.in_flight.len());
        self.in_flight.pull(n, |bytes| self.arrived.push(bytes));
        let fin = self.in_flight.is_empty() && self.fin_in_flight && !self.fin_arrived;
        self.fin_arrived |= fin;
        self.read_edge |= n > 0 || fin;
        self.offer_space();
        n > 0 || fin
    }

    /// The client reads at most `most` bytes.
    pub(crate) fn take(&mut self, most: usize) -> Vec<u8> {
        let bytes = self.sent.take(most);
        self.offer_space();
        bytes
    }

    /// What was taken is done with: what comes next goes where it was.
    pub(crate) fn reuse(&mut self, mut space: Vec<u8>) {
        if self.sent.bytes.capacity() < space.capacity() && self.sent.is_empty() {
            space.clear();
            self.sent.bytes = space;
            self.sent.taken = 0;
        }
    }

    /// Raises the writable edge once a third of the buffer is free, as Linux does.
    fn offer_space(&mut self) {
        let free = self.capacity - self.sent.len().min(self.capacity);
        if self.wants_space && free > 0 && free * 3 >= self.capacity {
            self.wants_space = false;
            self.write_edge = true;
        }
    }

    /// The kernel holds more, or less, from now on.
    pub(crate) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.offer_space();
    }

    /// Bytes that the client could read.
    pub(crate) fn readable(&self) -> usize {
        self.sent.len()
    }

    /// Whether the client has read everything up to the end of the server's side.
    pub(crate) fn is_at_end(&self) -> bool {
        self.sent.is_empty() && (self.server_shut || self.server_gone)
    }

    /// Whether either side cut the connection so that bytes may have been lost.
    pub(crate) fn is_cut(&self) -> bool {
        self.reset || self.aborted
    }

    /// Whether everything that the client sent was read by the server.
    pub(crate) fn is_drained(&self) -> bool {
        self.in_flight.is_empty() && self.arrived.is_empty()
    }

    /// Whether a poll would report anything.
    pub(crate) fn has_edge(&self) -> bool {
        self.read_edge || self.write_edge
    }

    /// The server registers the socket with a poll, which reports at once what is ready.
    pub(crate) fn register(&mut self) {
        self.read_edge = !self.arrived.is_empty() || self.fin_arrived || self.reset;
        self.write_edge = true;
    }

    /// What the server's poll reports.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let (read, write) = (self.read_edge, self.write_edge);
        if !read && !write {
            return None;
        }
        (self.read_edge, self.write_edge) = (false, false);
        let both = self.edges == Edges::Both;
        let can_read = !self.arrived.is_empty() || self.fin_arrived || self.reset;
        let can_write = !self.wants_space && (self.sent.len() < self.capacity || self.reset);
        let event = Event {
            readable: (read || both) && can_read,
            writable: (write || both) && can_write,
            read_closed: (read || both) && (self.fin_arrived || self.reset),
        };
        (event.readable || event.writable).then_some(event)
    }

    /// The server reads.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Got {
        if std::mem::take(&mut self.interrupt) {
            return Got::Interrupted;
        }
        let n = into.len().min(self.arrived.len());
        self.arrived
            .pull(n, |bytes| into[..n].copy_from_slice(bytes));
        match n {
            0 if self.reset => Got::Reset,
            0 if !self.fin_arrived => Got::WouldBlock,
            n => Got::Bytes(n),
        }
    }

    /// The server writes; a short write means that there is no more space, and that an edge will follow.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> Written {
        if self.reset || self.server_shut || self.broken {
            return Written::Failed;
        }
        let mut free = self.capacity.saturating_sub(self.sent.len());
        if let Some(pinch) = self.pinch.take() {
            free = free.min(pinch);
        }
        let mut written = 0;
        for slice in slices {
            let n = slice.len().min(free - written);
            self.sent.push(&slice[..n]);
            written += n;
            self.wants_space |= n < slice.len();
        }
        self.written += written;
        let blocked = written == 0 && self.wants_space;
        self.offer_space();
        if blocked {
            Written::Blocked
        } else {
            Written::Bytes(written)
        }
    }

    /// The server ends its side. False if the connection is broken.
    pub(crate) fn shutdown_write(&mut self) -> bool {
        self.server_shut = true;
        !self.reset
    }

    /// What the server wrote and the client's kernel has not acknowledged; the end counts as one.
    pub(crate) fn unsent(&self) -> usize {
        let waits = self.sent.len().saturating_sub(self.acknowledged);
        waits + usize::from(self.server_shut && waits > 0)
    }

    /// Bytes that the client's kernel has acknowledged so far.
    pub(crate) fn taken(&self) -> usize {
        self.written - self.sent.len().saturating_sub(self.acknowledged)
    }

    /// The server is about to drop the socket, and what it wrote with it.
    pub(crate) fn abort(&mut self) {
        self.aborted = !self.reset;
        self.sent.cut(self.acknowledged);
    }

    /// The server drops the socket.
    pub(crate) fn close(&mut self) {
        self.server_gone = true;
        // RFC 9293 section 3.10.4: with bytes unread, or still coming, the peer is sent a reset.
        if !self.is_drained() && !self.reset {
            self.aborted = true;
            self.sent.clear();
        }
        self.in_flight.clear();
        self.arrived.clear();
    }
}
