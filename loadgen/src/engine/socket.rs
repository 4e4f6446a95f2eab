//! Opening connections without blocking.
//!
//! Owns the socket options of a client and the reasons why one does not get in. Must not know
//! what is said over the connection.
//! Invariant: every failure has a reason that can be counted, and there are few of them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::upgrade::ClientError;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::fault::Fault;
use super::plan::Role;

/// Receive buffer of a slow reader: the least the kernel gives, so that the server notices soon.
const SLOW_RECEIVE_BUFFER: usize = 4 * 1024;
/// Receive buffer of a stalling reader: a stall of half a second should reach the server.
const STALLING_RECEIVE_BUFFER: usize = 16 * 1024;

/// Why a client is not in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Nobody listens, or the backlog is full and says so.
    Refused,
    /// Not in within the handshake timeout.
    TimedOut,
    /// The local address has no port left.
    NoPort,
    /// Another error of the socket.
    Io(io::ErrorKind),
    /// The server ended the connection before it answered.
    Ended,
    /// The server ended the connection within the TLS handshake, without an alert.
    EndedInTls,
    /// The server ended the TLS connection without a close_notify before it answered.
    Truncated,
    /// TLS failed.
    Tls(Fault),
    /// A plain request was answered with the advice to speak TLS.
    TlsWanted,
    /// The answer sends the client elsewhere, with this status.
    Redirected(u16, String),
    /// The answer was not a right 101.
    Upgrade(ClientError),
    /// The server closed the connection before the player was in its room.
    Closed(CloseCode),
    /// The server broke the protocol before the player was in its room.
    Broke(String),
    /// Too many others had failed.
    NotTried,
}

impl Failure {
    /// Whether the server itself turned the client away: a slow or limited generator cannot be
    /// the reason.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused
            | Self::Ended
            | Self::EndedInTls
            | Self::Truncated
            | Self::TlsWanted
            | Self::Redirected(..)
            | Self::Closed(_)
            | Self::Broke(_)
            | Self::Upgrade(_) => true,
            Self::Tls(fault) => fault.is_alert(),
            Self::TimedOut | Self::NoPort | Self::Io(_) | Self::NotTried => false,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Self::NoPort,
            kind => Self::Io(kind),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => write!(f, "connection refused"),
            Self::TimedOut => write!(f, "no answer within the handshake timeout"),
            Self::NoPort => write!(f, "no local port left: use more source addresses"),
            Self::Io(kind) => write!(f, "{kind}"),
            Self::Ended => write!(f, "the server ended the connection before it answered"),
            Self::EndedInTls => write!(
                f,
                "the server ended the connection within the TLS handshake: check that this port speaks TLS (wss), not plain ws"
            ),
            Self::Truncated => write!(
                f,
                "the server ended the TLS connection without close_notify before it answered"
            ),
            Self::Tls(fault) => write!(f, "{fault}"),
            Self::TlsWanted => write!(
                f,
                "the server speaks TLS on this port: use wss:// in --url, or the port for ws"
            ),
            // RFC 9110 section 15.6.4; this project's server answers so at --max-connections too.
            Self::Upgrade(ClientError::Status(503)) => {
                write!(f, "the server is full or draining (HTTP status 503)")
            }
            Self::Upgrade(ClientError::Status(401)) => write!(
                f,
                "the server wants to know who asks (HTTP status 401): give what it expects, such as --header 'Authorization: Bearer TOKEN', or a ticket in --url"
            ),
            Self::Upgrade(ClientError::Status(403)) => write!(
                f,
                "the server does not allow it (HTTP status 403): if it lets only pages of certain sites in, give one with --origin; if it knows who asks, other credentials are needed"
            ),
            Self::Redirected(status, location) => write!(
                f,
                "the server redirects to {location} (HTTP status {status}): give that as --url, or follow it with --follow-redirects"
            ),
            Self::Upgrade(error) => write!(f, "{error}"),
            Self::Closed(code) => write!(f, "the server answered the join with close code {code}"),
            Self::Broke(rule) => write!(f, "the server broke the protocol ({rule})"),
            Self::NotTried => write!(f, "not tried after too many failures"),
        }
    }
}

/// Begins to connect; the socket becomes writable when it is connected or has failed.
pub(crate) fn connect(
    target: SocketAddr,
    source: Option<IpAddr>,
    role: Role,
) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(target),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match role {
        Role::Slow => socket.set_recv_buffer_size(SLOW_RECEIVE_BUFFER)?,
        Role::Stalling => socket.set_recv_buffer_size(STALLING_RECEIVE_BUFFER)?,
        Role::Healthy | Role::Churning => {}
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&target.into()) {
        Ok(()) => {}
        Err(error) if is_in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// From now on the end of this connection is a reset, and nothing that waits is sent.
pub(crate) fn reset_at_close(stream: &TcpStream) {
    // Where that can't be had it is an end without a close frame all the same.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// Whether a socket that became writable is connected. `Ok(false)`: not yet.
pub(crate) fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}
