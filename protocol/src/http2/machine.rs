//! One connection.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::{self, Builder, Handshake, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::Method;

use super::answer::{self, Answer, Head};
use super::paces::Paces;
use super::pipe::Pipe;
use super::{BUFFER_MAX, FIELDS_MAX, OUTPUT_MAX, PREFACE, STREAMS_MAX, TABLE, WINDOW, question};

/// Bytes that came and were not taken, because what is to leave finds no room, beyond which a peer is not waited for (limit).
const INPUT_MAX: usize = 128 * 1024;

/// What a peer said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Bytes of a request, as HTTP/1.1 has them: its head first, which says how its content ends.
    Question {
        /// The stream's number, which names it from here on.
        stream: u32,
        /// What came.
        bytes: &'a [u8],
    },
    /// It waits for no answer any more.
    Gone {
        /// Its number, which nothing else will have.
        stream: u32,
    },
    /// It answers [`Machine::ping`].
    Pong,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All has been said, or the peer wants no more.
    Done,
    /// What came is no HTTP/2, or breaks its rules. That is said in what is to leave.
    Violation,
    /// Too much of what brings nothing. That is said, too.
    Flood,
    /// It sends, but does not read.
    Deaf,
}

/// The answer to a stream, as h2 takes it.
enum Sender {
    Begin(SendResponse<Bytes>),
    Go(SendStream<Bytes>),
}

struct Stream {
    /// As long as it has not come whole.
    content: Option<RecvStream>,
    in_chunks: bool,
    answer: Answer,
    /// Only the head of an answer is asked for.
    head_only: bool,
    sender: Sender,
}

enum State {
    Begins(Handshake<Pipe, Bytes>),
    Open(server::Connection<Pipe, Bytes>),
    Over(Ended),
}

/// A connection of HTTP/2, the server's end.
///
/// Bytes that come go in by [`receive`](Self::receive), which tells what they say; answers go in by [`answer`](Self::answer), as
/// HTTP/1.1; what is to leave lies in [`output`](Self::output).
///
/// ```
/// use roomcast_protocol::http2::{Event, Machine, PREFACE};
///
/// let mut machine = Machine::new();
/// let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// machine.receive(&[PREFACE, &settings].concat(), 0, &mut |event| panic!("{event:?}"))?;
/// assert!(machine.output().len() > 9, "settings of our own");
/// # Ok::<(), roomcast_protocol::http2::Ended>(())
/// ```
pub struct Machine {
    pipe: Pipe,
    state: State,
    streams: BTreeMap<u32, Stream>,
    paces: Paces,
    pings: Option<PingPong>,
    output: Vec<u8>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = self.streams.len();
        f.debug_struct("Machine")
            .field("streams", &streams)
            .finish_non_exhaustive()
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// One of which nothing has come.
    pub fn new() -> Self {
        let pipe = Pipe::default();
        let handshake = Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(FIELDS_MAX)
            .header_table_size(TABLE)
            .max_send_buffer_size(BUFFER_MAX)
            // Its only clock, with which a run could not be repeated.
            .max_concurrent_reset_streams(0)
            // A page may cancel all that it asked for at once.
            .max_pending_accept_reset_streams(STREAMS_MAX as usize)
            .handshake(pipe.clone());
        Self {
            pipe,
            state: State::Begins(handshake),
            streams: BTreeMap::new(),
            paces: Paces::new(PREFACE.len()),
            pings: None,
            output: Vec::new(),
        }
    }

    /// Takes bytes of the peer that came at `now` (ms), and tells what they say.
    ///
    /// # Errors
    ///
    /// The connection is over. What is to leave says why, as far as the peer may care.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now: u64,
        heard: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Ended> {
        if !self.paces.look(bytes, now) {
            return self.break_off(Reason::ENHANCE_YOUR_CALM, Ended::Flood, heard);
        }
        let mut pipes = self.pipe.lock();
        pipes.give(bytes);
        let is_deaf = pipes.is_full && pipes.waiting() > INPUT_MAX;
        drop(pipes);
        if is_deaf {
            self.end(Ended::Deaf, heard);
            return Err(Ended::Deaf);
        }
        self.go_on(heard)
    }

    /// Goes on after bytes have left, or after an answer.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive) has them.
    pub fn go_on(&mut self, heard: &mut dyn FnMut(Event<'_>)) -> Result<(), Ended> {
        let ended = self.poll(heard).err();
        self.collect();
        if let Some(ended) = ended {
            self.end(ended, heard);
        }
        match self.state {
            State::Over(ended) => Err(ended),
            State::Begins(_) | State::Open(_) => Ok(()),
        }
    }

    fn poll(&mut self, heard: &mut dyn FnMut(Event<'_>)) -> Result<(), Ended> {
        let mut context = Context::from_waker(Waker::noop());
        let context = &mut context;
        if let State::Begins(handshake) = &mut self.state {
            match Pin::new(handshake).poll(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => return Err(Ended::Violation),
                Poll::Ready(Ok(mut connection)) => {
                    self.pings = connection.ping_pong();
                    self.state = State::Open(connection);
                }
            }
        }
        let State::Open(connection) = &mut self.state else {
            return Ok(());
        };
        while let Poll::Ready(next) = connection.poll_accept(context) {
            let (request, respond) = match next {
                None => return Err(Ended::Done),
                Some(Err(error)) if error.is_io() => return Err(Ended::Done),
                Some(Err(_)) => return Err(Ended::Violation),
                Some(Ok(next)) => next,
            };
            let (parts, content) = request.into_parts();
            let stream = respond.stream_id().as_u32();
            let ends = content.is_end_stream();
            let mut head = Vec::new();
            let in_chunks = question::write(&mut head, &parts, !ends);
            let asked = Stream {
                content: (!ends).then_some(content),
                in_chunks,
                answer: Answer::Head(Vec::new()),
                head_only: parts.method == Method::HEAD,
                sender: Sender::Begin(respond),
            };
            self.streams.insert(stream, asked);
            let bytes = &head;
            heard(Event::Question { stream, bytes });
        }
        if let Some(pings) = &mut self.pings
            && let Poll::Ready(Ok(_)) = pings.poll_pong(context)
        {
            heard(Event::Pong);
        }
        // Where nothing came, nothing is to be told of any stream.
        if !std::mem::take(&mut self.pipe.lock().was_read) {
            return Ok(());
        }
        self.streams.retain(|&stream, asked| {
            let goes_on = asked.hear(stream, context, heard);
            if !goes_on {
                heard(Event::Gone { stream });
            }
            goes_on
        });
        Ok(())
    }

    /// Takes some of an answer, as HTTP/1.1 has it. Returns how many bytes: less than all if its window, or what waits to leave, has
    /// no room for more now. Of a stream that is gone all is taken, and forgotten.
    pub fn answer(&mut self, stream: u32, bytes: &[u8]) -> usize {
        let waits = self.output.len() + self.pipe.lock().output.len();
        let Some(asked) = self.streams.get_mut(&stream) else {
            return bytes.len();
        };
        let room = OUTPUT_MAX.saturating_sub(waits);
        match asked.answer(bytes, room) {
            Ok(taken) => taken,
            Err(Broken) => {
                self.reset(stream);
                bytes.len()
            }
        }
    }

    /// An answer ends, here or where it said that it would.
    pub fn finish(&mut self, stream: u32) {
        let Some(mut asked) = self.streams.remove(&stream) else {
            return;
        };
        let Sender::Go(sender) = &mut asked.sender else {
            return asked.reset(Reason::INTERNAL_ERROR);
        };
        match asked.answer {
            Answer::Content(Some(0)) => {}
            // It may be gone.
            Answer::Content(None) => drop(sender.send_data(Bytes::new(), true)),
            _ => asked.reset(Reason::INTERNAL_ERROR),
        }
    }

    /// There will be no answer, or no more of it.
    pub fn reset(&mut self, stream: u32) {
        if let Some(asked) = self.streams.remove(&stream) {
            asked.reset(Reason::CANCEL);
        }
    }

    /// Asks the peer whether it is there; false if it has not answered what was asked before, or has not begun.
    pub fn ping(&mut self) -> bool {
        let pings = self.pings.as_mut();
        pings.is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok())
    }

    /// Whether the peer's preface and settings have come.
    pub fn has_begun(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Takes no more streams, says so, and is over when those are that there are.
    pub fn drain(&mut self) {
        if let State::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    /// Streams that wait for an answer, or for the rest of it.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// What is to leave. It stays until [`left`](Self::left).
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// All of the output has left: there is room for more.
    pub fn left(&mut self) {
        self.output = Vec::new();
    }

    /// Bytes that it holds in buffers of its own; h2's are not known.
    pub fn held(&self) -> usize {
        let pipes = self.pipe.lock();
        self.output.capacity() + pipes.output.capacity() + pipes.waiting()
    }

    fn collect(&mut self) {
        // What did not leave is bounded by the pipe behind it.
        if self.output.is_empty() {
            let mut pipes = self.pipe.lock();
            self.output = std::mem::take(&mut pipes.output);
            // What it had read then is heard when it goes on.
            pipes.was_read |= std::mem::take(&mut pipes.is_full);
        }
    }

    fn break_off(
        &mut self,
        reason: Reason,
        ended: Ended,
        heard: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Ended> {
        if let State::Open(connection) = &mut self.state {
            connection.abrupt_shutdown(reason);
            // Its last words.
            let mut context = Context::from_waker(Waker::noop());
            let _ = connection.poll_closed(&mut context);
            self.collect();
        }
        self.end(ended, heard);
        Err(ended)
    }

    fn end(&mut self, ended: Ended, heard: &mut dyn FnMut(Event<'_>)) {
        self.pings = None;
        // First what it has of them, then what they are of.
        for (stream, _) in std::mem::take(&mut self.streams) {
            heard(Event::Gone { stream });
        }
        self.state = State::Over(ended);
    }
}

/// An answer that is none.
struct Broken;

impl Stream {
    /// Tells what has come. False if nobody waits for an answer.
    fn hear(
        &mut self,
        stream: u32,
        context: &mut Context<'_>,
        heard: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        let reset = match &mut self.sender {
            Sender::Begin(respond) => respond.poll_reset(context),
            Sender::Go(sender) => sender.poll_reset(context),
        };
        if reset.is_ready() {
            return false;
        }
        while let Some(content) = &mut self.content {
            let bytes = match content.poll_data(context) {
                Poll::Pending => break,
                Poll::Ready(Some(Err(_))) => return false,
                Poll::Ready(Some(Ok(bytes))) if bytes.is_empty() => continue,
                Poll::Ready(Some(Ok(bytes))) => bytes,
                Poll::Ready(None) => Bytes::new(),
            };
            // What is not wanted is thrown away by who hears it: the window is not its bound.
            let _ = content.flow_control().release_capacity(bytes.len());
            if bytes.is_empty() {
                self.content = None;
            }
            let mut question = Vec::new();
            question::write_content(&mut question, &bytes, self.in_chunks);
            if !question.is_empty() {
                let bytes = &question;
                heard(Event::Question { stream, bytes });
            }
        }
        true
    }

    fn answer(&mut self, bytes: &[u8], room: usize) -> Result<usize, Broken> {
        let mut taken = 0;
        if let Answer::Head(before) = &mut self.answer {
            let (head_bytes, head) = answer::read(before, bytes).ok_or(Broken)?;
            taken = head_bytes;
            let Some(head) = head else { return Ok(taken) };
            self.begin(head)?;
        }
        let Sender::Go(sender) = &mut self.sender else {
            return Err(Broken);
        };
        let rest = &bytes[taken..];
        let left = match &mut self.answer {
            Answer::Content(left) => left,
            Answer::Head(_) => return Err(Broken),
        };
        let wanted = left.map_or(rest.len(), |left| rest.len().min(left as usize));
        if wanted == 0 {
            // Behind its end nothing counts.
            let is_over = *left == Some(0);
            return Ok(if is_over { bytes.len() } else { taken });
        }
        // Never a standing wish: that would take the window of the others.
        sender.reserve_capacity(wanted.min(room));
        let len = sender.capacity().min(wanted).min(room);
        if len > 0 {
            let ends = *left == Some(len as u64);
            let data = Bytes::copy_from_slice(&rest[..len]);
            sender.send_data(data, ends).map_err(|_| Broken)?;
            *left = left.map(|left| left - len as u64);
        }
        sender.reserve_capacity(0);
        Ok(taken + len)
    }

    /// Begins its answer.
    fn begin(&mut self, head: Head) -> Result<(), Broken> {
        let Sender::Begin(respond) = &mut self.sender else {
            return Err(Broken);
        };
        let length = if self.head_only { Some(0) } else { head.length };
        let ends = length == Some(0);
        let sender = respond.send_response(head.response, ends);
        self.sender = Sender::Go(sender.map_err(|_| Broken)?);
        self.answer = Answer::Content(length);
        Ok(())
    }

    fn reset(mut self, reason: Reason) {
        match &mut self.sender {
            Sender::Begin(respond) => respond.send_reset(reason),
            Sender::Go(sender) => sender.send_reset(reason),
        }
    }
}
