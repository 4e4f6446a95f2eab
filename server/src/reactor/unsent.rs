//! What the kernel holds of a socket that its peer has not acknowledged.
//!
//! Owns: the one question for which no crate has a safe call. Must not know: what the answer is for. Invariant: where the
//! system does not tell, the answer is nothing.

use std::io;
use std::os::fd::AsFd;

#[cfg(target_os = "linux")]
use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ` of `linux/sockios.h`, which is `TIOCOUTQ` of this architecture.
#[cfg(target_os = "linux")]
const SIOCOUTQ: Opcode = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    0x7472
} else if cfg!(any(
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc64"
)) {
    0x4004_7473
} else {
    0x5411
};

/// Bytes that were written to this TCP socket and that its peer has not acknowledged; the end of our side counts as one.
///
/// # Errors
///
/// When it is no TCP socket.
#[cfg(target_os = "linux")]
pub fn unsent(socket: impl AsFd) -> io::Result<usize> {
    // SAFETY: for every descriptor this number either is refused or has the kernel write one int (tcp(7), tty_ioctl(4)).
    let unsent = unsafe { ioctl(socket, Getter::<SIOCOUTQ, i32>::new()) }?;
    Ok(usize::try_from(unsent).unwrap_or_default())
}

/// Only Linux is asked: elsewhere a connection ends in its time, and what is left is up to the kernel.
///
/// # Errors
///
/// None.
#[cfg(not(target_os = "linux"))]
pub fn unsent(_: impl AsFd) -> io::Result<usize> {
    Ok(0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// The kernel acknowledges at once what finds room in the peer's buffer; the test needs no more than that it does.
    fn until(socket: &TcpStream, holds: impl Fn(usize) -> bool) {
        let asked = (0..1_000_000).any(|_| {
            std::thread::yield_now();
            holds(unsent(socket).expect("a TCP socket"))
        });
        assert!(asked, "{:?}", unsent(socket));
    }

    #[test]
    fn it_is_what_the_peer_has_not_acknowledged_and_the_end_is_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        // Of a fixed size: one that grew as it is read could take all that is left.
        let peer = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        peer.set_recv_buffer_size(16 * 1024).expect("a size");
        let address = listener.local_addr().expect("an address");
        peer.connect(&address.into()).expect("a connection");
        let mut peer = TcpStream::from(peer);
        let (mut socket, _) = listener.accept().expect("a connection");
        assert_eq!(unsent(&socket).expect("a TCP socket"), 0);
        socket.write_all(b"taken").expect("room");
        until(&socket, |left| left == 0);
        // More than the peer has room for.
        socket.set_nonblocking(true).expect("no waiting");
        while socket.write(&[7; 4096]).is_ok() {}
        let full = unsent(&socket).expect("a TCP socket");
        assert!(full > 4096, "{full}");
        socket.shutdown(Shutdown::Write).expect("a connection");
        let mut read = 0;
        let mut chunk = vec![0; 64 * 1024];
        while read < full / 2 {
            read += peer.read(&mut chunk).expect("bytes");
        }
        until(&socket, |left| left < full && left > 1);
        while peer.read(&mut chunk).expect("bytes or the end") > 0 {}
        until(&socket, |left| left == 0);
        let no_socket = std::fs::File::open("/dev/null").expect("it is everywhere");
        assert!(unsent(&no_socket).is_err());
    }
}
