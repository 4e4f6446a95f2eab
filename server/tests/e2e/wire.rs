//! A peer made of nothing but a TCP socket, or of TLS on one: it can be as rude as a test needs, and sees
//! every byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConfig;
use socket2::{Domain, SockRef, Socket, Type};

use crate::patience;
use crate::stream::{Stream, prepared};

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;
pub(crate) const FIN: u8 = 0x80;

/// The key and its answer that RFC 6455 1.3 gives as the example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One WebSocket frame as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, RSV and opcode, as on the wire.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The status of a close frame.
    pub(crate) fn close_code(&self) -> Option<u16> {
        assert_eq!(self.first, FIN | CLOSE, "not a close frame: {self:?}");
        self.payload
            .first_chunk()
            .map(|code| u16::from_be_bytes(*code))
    }
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    fields: Vec<(String, String)>,
}

impl Response {
    /// The value of the only field with this name, if there is one.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(has, _)| has == name)
            .map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is doubled: {self:?}");
        value
    }
}

/// A request to upgrade, whole.
pub(crate) fn upgrade_request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A frame as a client must send it: masked, the length in its shortest form.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(first, payload.len() as u64);
    out.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    out
}

/// The header of such a frame alone, for a payload that may never come.
pub(crate) fn header(first: u8, len: u64) -> Vec<u8> {
    let mut out = vec![first];
    match len {
        0..=125 => out.push(0x80 | len as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend(len.to_be_bytes());
        }
    }
    out.extend(MASK);
    out
}

/// A close frame's payload.
pub(crate) fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

/// Waits for this on a socket for at most `millis`; errors are always waited for.
pub(crate) fn ready_within(socket: &TcpStream, flags: PollFlags, millis: u64) -> bool {
    let timeout = Timespec {
        tv_sec: (millis / 1000) as i64,
        tv_nsec: (millis % 1000 * 1_000_000) as i64,
    };
    poll(&mut [PollFd::new(socket, flags)], Some(&timeout)).expect("poll") > 0
}

/// A connection whose receive buffer has this size, or the smallest that the system gives.
fn narrow(addr: SocketAddr, buffer: usize) -> TcpStream {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(buffer)
        .expect("a small receive buffer");
    socket.connect(&addr.into()).expect("the relay accepts");
    prepared(socket.into())
}

pub(crate) struct Wire {
    stream: Stream,
    unread: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::over(Stream::plain(addr))
    }

    /// Over TLS. Where its stream ends without a close_notify, whoever reads fails.
    pub(crate) fn connect_tls(addr: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self::over(Stream::tls(addr, config))
    }

    /// With the smallest receive buffer that the system gives, so that it is full soon.
    pub(crate) fn connect_narrow(addr: SocketAddr) -> Self {
        Self::connect_within(addr, 4096)
    }

    /// With a receive buffer of so many bytes.
    pub(crate) fn connect_within(addr: SocketAddr, buffer: usize) -> Self {
        Self::connect_through(addr, buffer, None)
    }

    /// From one of this machine's own addresses.
    pub(crate) fn connect_from(
        from: IpAddr,
        addr: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::new(from, 0).into())
            .expect("an address of this machine");
        socket.connect(&addr.into()).expect("the relay accepts");
        let socket = prepared(socket.into());
        Self::over(match tls {
            Some(config) => Stream::tls_over(socket, config),
            None => Stream::Plain(socket),
        })
    }

    /// With a receive buffer of this size, over TLS if there is a client for it.
    pub(crate) fn connect_through(
        addr: SocketAddr,
        buffer: usize,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Self {
        let socket = narrow(addr, buffer);
        Self::over(match tls {
            Some(config) => Stream::tls_over(socket, config),
            None => Stream::Plain(socket),
        })
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Connects and upgrades.
    pub(crate) fn join(addr: SocketAddr, path: &str) -> Self {
        Self::connect(addr).upgrade(path)
    }

    /// Connects over TLS and upgrades.
    pub(crate) fn join_tls(addr: SocketAddr, config: &Arc<ClientConfig>, path: &str) -> Self {
        Self::connect_tls(addr, config).upgrade(path)
    }

    pub(crate) fn upgrade(mut self, path: &str) -> Self {
        self.send(upgrade_request(path).as_bytes());
        self.accepted();
        self
    }

    /// Reads the answer to an upgrade and checks that it is a right 101.
    pub(crate) fn accepted(&mut self) -> Response {
        let response = self.response_head();
        assert_eq!(response.status, 101, "{response:?}");
        assert_eq!(response.field("sec-websocket-accept"), Some(ACCEPT));
        assert!(
            response
                .field("upgrade")
                .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        );
        assert!(
            response
                .field("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("upgrade"))
        );
        assert_eq!(
            response.field("sec-websocket-extensions"),
            None,
            "no extension is ever agreed"
        );
        response
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the relay takes the bytes");
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Every byte in a segment of its own, as far as the kernel allows.
    pub(crate) fn send_byte_by_byte(&mut self, bytes: &[u8]) {
        for byte in bytes.chunks(1) {
            // The relay may have seen enough already and be gone.
            if self.try_send(byte).is_err() {
                return;
            }
        }
    }

    pub(crate) fn message(&mut self, opcode: u8, payload: &[u8]) {
        self.send(&frame(FIN | opcode, payload));
    }

    /// A socket of its own over the same connection, to write from another thread; not for TLS.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.tcp().try_clone().expect("a second handle")
    }

    /// Says that nothing more will be written: a bare FIN.
    pub(crate) fn finish_writing(&self) {
        self.stream
            .tcp()
            .shutdown(std::net::Shutdown::Write)
            .expect("a half-closed socket");
    }

    /// Ends the connection with RST instead of FIN.
    pub(crate) fn reset(self) {
        SockRef::from(self.stream.tcp())
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("no lingering");
    }

    /// Waits for bytes for at most `millis`; true when there are some, or the end.
    pub(crate) fn readable_within(&self, millis: u64) -> bool {
        !self.unread.is_empty() || self.ready_within(PollFlags::IN, millis)
    }

    fn ready_within(&self, flags: PollFlags, millis: u64) -> bool {
        ready_within(self.stream.tcp(), flags, millis)
    }

    /// Reads some bytes; false at the end of the stream, however it came.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(len) => {
                self.unread.extend(&chunk[..len]);
                len > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came in time: {error}; unread: {:?}", &self.unread),
        }
    }

    /// From here on reads and writes wait for nothing.
    pub(crate) fn hurry(&self) {
        let hurried = self.stream.tcp().set_nonblocking(true);
        hurried.expect("a socket that waits for nothing");
    }

    /// Reads at most so many bytes of what is there; an error is the end of the stream, or that nothing is there.
    pub(crate) fn sip(&mut self, most: usize) -> std::io::Result<()> {
        let mut chunk = vec![0; most];
        let len = self.stream.read(&mut chunk)?;
        self.unread.extend(&chunk[..len]);
        if len == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Writes as much of this as is taken.
    pub(crate) fn pour(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    /// The next frame, if all of it has been read.
    pub(crate) fn whole_frame(&mut self) -> Option<Frame> {
        let &[_, len, ..] = &self.unread[..] else {
            return None;
        };
        let (head, len) = match (len, &self.unread[2..]) {
            (126, &[a, b, ..]) => (4, usize::from(u16::from_be_bytes([a, b]))),
            (126 | 127, _) => return None,
            (short, _) => (2, usize::from(short)),
        };
        (self.unread.len() >= head + len).then(|| self.next())
    }

    /// The port of our end.
    pub(crate) fn port(&self) -> u16 {
        let address = self.stream.tcp().local_addr();
        address.expect("a connected socket").port()
    }

    /// Lets so much time pass, or less if the connection breaks.
    pub(crate) fn idle(&self, millis: u64) {
        self.ready_within(PollFlags::empty(), millis);
    }

    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.unread.len() < len {
            if !self.fill() {
                return None;
            }
        }
        Some(self.unread.drain(..len).collect())
    }

    /// The status of the response that comes; the response stays to be read.
    pub(crate) fn peek_status(&mut self) -> u16 {
        while self.unread.len() < 12 {
            assert!(
                self.fill(),
                "the connection ended before a status line: {:?}",
                self.unread
            );
        }
        let digits = std::str::from_utf8(&self.unread[9..12]).expect("digits");
        digits.parse().expect("a status")
    }

    /// Reads whatever comes until the end of the stream.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    pub(crate) fn response_head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self
                .unread
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at + 4;
            }
            assert!(
                self.fill(),
                "the connection ended inside a head: {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).expect("a head of ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a status line");
        // Caddy answers in the version that it was asked in.
        let said = ["HTTP/1.1 ", "HTTP/1.0 "]
            .iter()
            .find_map(|version| status_line.strip_prefix(version));
        let status = said.and_then(|rest| rest.get(..3)).expect("a status");
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Response {
            status: status.parse().expect("three digits"),
            fields: fields.collect(),
        }
    }

    /// The whole response of a server that then closes: the body must be as long as announced.
    pub(crate) fn response(&mut self) -> (Response, Vec<u8>) {
        let response = self.response_head();
        let body = self.read_to_end();
        assert_eq!(
            response
                .field("connection")
                .map(|value| value.ends_with("close")),
            Some(true),
            "{response:?}"
        );
        (response, body)
    }

    /// A response behind which the connection goes on, or ends.
    pub(crate) fn answer(&mut self) -> (Response, Vec<u8>) {
        let response = self.response_head();
        let length = response.field("content-length");
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        let body = self.take(length).expect("a whole body");
        (response, body)
    }

    /// The next line, with its end.
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line = self.unread.drain(..=at).collect();
                return String::from_utf8(line).expect("a line of text");
            }
            assert!(self.fill(), "the stream ended within a line");
        }
    }

    /// Like [`Wire::response`]; None if the stream ended before the first byte.
    pub(crate) fn try_response(&mut self) -> Option<(Response, Vec<u8>)> {
        (!self.unread.is_empty() || self.fill()).then(|| self.response())
    }

    /// The next frame; None at the end of the stream.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        let start = self.take(2)?;
        assert_eq!(start[1] & 0x80, 0, "a server masks nothing");
        let len = match start[1] {
            126 => self
                .take(2)
                .map(|len| u16::from_be_bytes(len.try_into().expect("two bytes")).into()),
            127 => self
                .take(8)
                .map(|len| u64::from_be_bytes(len.try_into().expect("eight bytes"))),
            short => Some(u64::from(short)),
        };
        let payload = self
            .take(len.expect("a whole length") as usize)
            .expect("a whole frame");
        Some(Frame {
            first: start[0],
            payload,
        })
    }

    /// The next frame that is not a keepalive ping.
    pub(crate) fn next(&mut self) -> Frame {
        loop {
            let frame = self
                .next_frame()
                .expect("a frame, not the end of the stream");
            if frame.first != FIN | PING {
                return frame;
            }
        }
    }

    /// The next frame must be this one.
    pub(crate) fn expect(&mut self, opcode: u8, payload: &[u8]) {
        let frame = self.next();
        assert_eq!(frame.first, FIN | opcode, "{frame:?}");
        assert!(
            frame.payload == payload,
            "{} bytes came, {} were sent, or they differ",
            frame.payload.len(),
            payload.len()
        );
    }

    /// Reads on to the close frame, whatever comes before.
    pub(crate) fn read_to_close_frame(&mut self) -> Option<u16> {
        while let Some(frame) = self.next_frame() {
            if frame.first == FIN | CLOSE {
                return frame.close_code();
            }
        }
        panic!("the stream ended without a close frame");
    }

    /// Reads on to the close frame, answers it, and sees the stream end.
    pub(crate) fn read_to_close(&mut self) -> Option<u16> {
        let code = self.read_to_close_frame();
        self.answer_close(code);
        code
    }

    /// Answers a close frame as a peer should, and sees the stream end.
    pub(crate) fn answer_close(&mut self, code: Option<u16>) {
        let payload = code.map_or(Vec::new(), |code| close_payload(code, b""));
        // A relay that was owed no answer may be gone already.
        let _ = self.try_send(&frame(FIN | CLOSE, &payload));
        self.expect_end();
    }

    /// Nothing may follow but the end of the stream.
    pub(crate) fn expect_end(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "before the end came {rest:?}");
    }

    /// Waits until the relay has let go of the connection altogether, so that whatever is written is
    /// answered by RST. A peer that had its FIN alone could still write.
    pub(crate) fn expect_gone(&mut self) {
        let patience = patience("the relay lets go of the connection");
        // An error is always polled for; the wait only bounds how often a byte is tried.
        while self.try_send(&[0]).is_ok() && !self.ready_within(PollFlags::empty(), 10) {
            patience.check();
        }
    }
}
