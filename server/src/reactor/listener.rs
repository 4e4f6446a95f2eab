//! Listening sockets, and accepting from them in bounded portions.
//!
//! Linux: one `SO_REUSEPORT` listener per reactor, the kernel spreads connections. Elsewhere one reactor accepts and
//! deals connections out.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::net::Accepted;
use crate::limits::SEND_BUFFER;

/// Connections that may wait in the kernel for being accepted. It takes at most `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Whether the kernel spreads connections over several listeners of one port.
pub const KERNEL_SPREADS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Opens `count` listeners on one address; a port of 0 is chosen once for all.
///
/// # Errors
///
/// What binding or listening says. An address in use is an error also where its user shares ports.
pub fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    if count == 1 {
        return Ok(vec![open(address, false)?]);
    }
    // With SO_REUSEPORT alone, a second process would silently take half of the first one's players.
    drop(open(address, false)?);
    let first = open(address, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(open(address, true)?);
    }
    Ok(listeners)
}

/// Whether something could listen there now. Nothing does meanwhile: nobody who connects notices.
///
/// # Errors
///
/// What binding says.
pub fn try_bind(address: SocketAddr) -> io::Result<()> {
    socket(address)?.bind(&address.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if cfg!(unix) {
        // After a restart the port is free at once.
        socket.set_reuse_address(true)?;
    }
    Ok(socket)
}

fn open(address: SocketAddr, share_port: bool) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    if share_port {
        socket.set_reuse_port(true)?;
    }
    prepare(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes over a listener that somebody else has opened, with who waits there.
///
/// # Errors
///
/// `InvalidInput` if it does not listen, else what setting its options says.
pub fn adopt(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    if !socket.is_listener()? {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it does not listen",
        ));
    }
    prepare(&socket)
}

fn prepare(socket: &SockRef<'_>) -> io::Result<()> {
    // Inherited by what is accepted.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_nonblocking(true)
}

/// Accepts one connection.
pub fn accept(listener: &mio::net::TcpListener) -> Accepted<TcpStream> {
    match listener.accept() {
        // Fails only if the peer has reset the connection, which the first read will tell.
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Accepted::Connection(stream, Some(peer.ip()))
        }
        Err(error) => match blame(&error) {
            Blame::Nobody => Accepted::Nobody,
            Blame::Peer => Accepted::Gone,
            Blame::System => Accepted::Exhausted(error),
        },
    }
}

/// Who an error of accepting is about.
#[derive(Debug, PartialEq, Eq)]
enum Blame {
    /// There is nobody to accept.
    Nobody,
    /// Whoever waited: an error of its connection, or of the way to it, comes out of accepting too.
    Peer,
    /// The process, or the system, has no descriptor or no memory left.
    System,
}

fn blame(error: &io::Error) -> Blame {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Blame::System,
        // The last three would be about the listener; whoever tried again would only spin.
        Some(Errno::AGAIN | Errno::BADF | Errno::INVAL | Errno::NOTSOCK) | None => Blame::Nobody,
        // Network errors of all kinds (accept(2) lists ten), a firewall's refusal, an interruption.
        Some(_) => Blame::Peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shortage_is_a_shortage() {
        let of = |errno: Errno| blame(&errno.into());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(of(errno), Blame::System, "{errno}");
        }
        for errno in [
            Errno::CONNABORTED,
            Errno::CONNRESET,
            Errno::PROTO,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::HOSTUNREACH,
            Errno::HOSTDOWN,
            Errno::NOPROTOOPT,
            Errno::OPNOTSUPP,
            Errno::TIMEDOUT,
            Errno::PERM,
            Errno::INTR,
        ] {
            assert_eq!(of(errno), Blame::Peer, "{errno}");
        }
        assert_eq!(of(Errno::AGAIN), Blame::Nobody);
    }

    #[test]
    fn a_port_in_use_is_refused_even_where_ports_are_shared() {
        let first = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(address, first[1].local_addr().unwrap());
        assert_eq!(listen(address, 2).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(listen(address, 1).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
