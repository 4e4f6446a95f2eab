//! What the kernel knows of the way to a peer.
//!
//! Owns: the one question for which no crate has a safe call. Must not know: what the answer is for. Invariant: where the
//! system does not tell, there is no answer.

use std::os::fd::AsFd;

use crate::shard::Figures;

/// Round-trip time, what was sent again, and what is not acknowledged.
pub fn figures(socket: impl AsFd) -> Option<Figures> {
    let unsent_bytes = super::unsent::unsent(socket.as_fd()).ok()?;
    told(socket).map(|told| Figures {
        round_trip_us: told.round_trip_us,
        variation_us: told.variation_us,
        retransmits: told.retransmits,
        unsent_bytes,
    })
}

/// Connections that wait to be accepted from a listener.
pub fn queued(listener: impl AsFd) -> Option<usize> {
    told(listener).map(|told| told.unacknowledged as usize)
}

/// What is asked for of what the kernel tells.
struct Told {
    round_trip_us: u32,
    variation_us: u32,
    retransmits: u32,
    /// Segments; of a listener, connections that wait to be accepted.
    unacknowledged: u32,
}

#[cfg(target_os = "linux")]
fn told(socket: impl AsFd) -> Option<Told> {
    use std::os::fd::AsRawFd;

    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes (tcp(7)), which `info` has; zeroes are a `tcp_info`, which is made of
    // numbers alone, wherever it writes fewer. The descriptor is borrowed, and so is open.
    let info = unsafe {
        let socket = socket.as_fd().as_raw_fd();
        let into = info.as_mut_ptr().cast();
        let told = libc::getsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            into,
            &raw mut len,
        );
        (told == 0).then(|| info.assume_init())
    }?;
    Some(Told {
        round_trip_us: info.tcpi_rtt,
        variation_us: info.tcpi_rttvar,
        retransmits: info.tcpi_total_retrans,
        unacknowledged: info.tcpi_unacked,
    })
}

/// Only Linux is asked.
#[cfg(not(target_os = "linux"))]
fn told(_: impl AsFd) -> Option<Told> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_has_a_round_trip_and_a_file_has_none() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        assert_eq!(queued(&listener), Some(0));
        let mut peer = TcpStream::connect(address).expect("a connection");
        assert_eq!(queued(&listener), Some(1));
        let (mut socket, _) = listener.accept().expect("a connection");
        socket.write_all(b"ping").expect("room");
        peer.read_exact(&mut [0; 4]).expect("bytes");
        peer.write_all(b"pong").expect("room");
        socket.read_exact(&mut [0; 4]).expect("bytes");
        let told = figures(&socket).expect("a TCP socket");
        assert!((1..1_000_000).contains(&told.round_trip_us), "{told:?}");
        assert_eq!(told.retransmits, 0);
        let no_socket = std::fs::File::open("/dev/null").expect("it is everywhere");
        assert_eq!(figures(&no_socket), None);
        assert_eq!(queued(&no_socket), None);
    }
}
