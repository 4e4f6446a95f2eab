//! Bytes onto a socket, as they are or sealed.
//!
//! Owns a single write and what becomes of what the socket does not take. Must not know clients, messages or time.
//! Invariant: records are written in the order in which they were sealed.

use std::io::{self, Write};

use mio::net::TcpStream;

use super::socket::Failure;
use super::tls::Tls;

/// Writes once; an interrupted write is repeated.
pub(crate) fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes once, and tells how many bytes: none, if the socket takes nothing now.
pub(crate) fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match write(stream, bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Seals `text` in `scratch` and writes it with one send; what the socket does not take is kept.
/// Nothing else may be kept. Tells how many bytes were written.
#[inline]
pub(crate) fn seal_and_write(
    stream: &mut TcpStream,
    tls: &mut Tls,
    text: &[u8],
    scratch: &mut Vec<u8>,
) -> io::Result<usize> {
    scratch.clear();
    tls.seal(text, scratch).map_err(io::Error::other)?;
    write_or_keep(stream, tls, scratch)
}

/// Writes what is sealed, and keeps what the socket does not take.
pub(crate) fn write_or_keep(
    stream: &mut TcpStream,
    tls: &mut Tls,
    sealed: &[u8],
) -> io::Result<usize> {
    debug_assert!(tls.unsent.is_empty(), "records in order");
    let written = write_some(stream, sealed)?;
    tls.unsent.extend_from_slice(&sealed[written..]);
    Ok(written)
}

/// Opens what was read during a handshake into `text`, and answers what has to be answered; also when opening failed:
/// then the answer is the alert. `sealed` is scratch space.
pub(crate) fn open_and_answer(
    stream: &mut TcpStream,
    tls: &mut Tls,
    input: &mut [u8],
    text: &mut Vec<u8>,
    sealed: &mut Vec<u8>,
) -> Result<(), Failure> {
    text.clear();
    sealed.clear();
    let opened = tls.open(input, text, sealed);
    let written = write_whole(stream, sealed);
    opened.map_err(Failure::Tls).and(written)
}

/// Writes a part of a handshake: far less than the buffer of a socket that has sent nothing.
pub(crate) fn write_whole(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Failure> {
    if bytes.is_empty() {
        return Ok(());
    }
    match write(stream, bytes) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) => Err(Failure::Io(io::ErrorKind::WriteZero)),
        Err(error) => Err(error.into()),
    }
}
