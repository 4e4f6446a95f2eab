//! One TLS connection as a byte machine: bytes from the wire in, text out, and the other way.
//!
//! Owns rustls's connection object, the rest of an incomplete record and the ciphertext that the
//! socket did not take. Must not know sockets, nor what the text means.
//! Invariant: an idle connection owns no buffer: both are empty and unallocated between records.

pub(super) mod fault;

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, Error, HandshakeKind, InvalidMessage};

pub(crate) use self::fault::Fault;
use super::trust::Secure;

/// What a record may add to its text: header, explicit nonce, tag, type and a reserve (RFC 8446
/// section 5.2, RFC 5246 section 6.2.3).
const RECORD_OVERHEAD: usize = 64;
/// Text of one record at most (RFC 8446 section 5.1).
const RECORD_TEXT_MAX: usize = 16 * 1024;
/// What is kept of an incomplete record or handshake message at most. A handshake message of
/// more than 64 KiB is refused by rustls itself.
pub(crate) const KEPT_MAX: usize = 96 * 1024;

/// How a client's bytes travel.
#[derive(Debug)]
pub(crate) enum Transport {
    /// As they are.
    Plain,
    /// In TLS records.
    Tls(Box<Tls>),
}

impl Transport {
    /// The TLS connection, if it is one.
    #[inline]
    pub(crate) fn tls(&mut self) -> Option<&mut Tls> {
        match self {
            Self::Plain => None,
            Self::Tls(tls) => Some(tls),
        }
    }

    /// Whether the connection would be cut short if the server ended it now: TLS has an end of
    /// its own, which is the close_notify (RFC 8446 section 6.1).
    pub(crate) fn is_cut_short(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(tls) => !tls.peer_closed,
        }
    }
}

/// One TLS connection.
pub(crate) struct Tls {
    connection: UnbufferedClientConnection,
    /// The front of a record (or of a handshake message) whose rest has not come.
    kept: Vec<u8>,
    /// Ciphertext that the socket did not take; nothing is sealed while there is any.
    pub(crate) unsent: Vec<u8>,
    /// The server has sent its close_notify.
    peer_closed: bool,
    /// Ours has been sealed.
    closed: bool,
    /// Opening has failed: rustls must not be asked for anything any more.
    failed: bool,
    /// The authorities were given with `--ca`.
    given: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("kept", &self.kept.len())
            .field("unsent", &self.unsent.len())
            .field("peer_closed", &self.peer_closed)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Begins a handshake; [`Tls::open`] with no input then gives the first flight.
    ///
    /// # Errors
    /// Only if the configuration allows no handshake at all.
    pub(crate) fn new(secure: &Secure) -> Result<Self, Fault> {
        let config: Arc<ClientConfig> = Arc::clone(&secure.config);
        let connection = UnbufferedClientConnection::new(config, secure.name.clone());
        Ok(Self {
            connection: connection.map_err(|error| Fault::new(error, secure.given))?,
            kept: Vec::new(),
            unsent: Vec::new(),
            peer_closed: false,
            closed: false,
            failed: false,
            given: secure.given,
        })
    }

    /// How many bytes [`Tls::unkeep`] puts before what is read next.
    #[inline]
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Puts what was kept to the front of `input`, which must have left room for it.
    #[inline]
    pub(crate) fn unkeep(&mut self, input: &mut [u8]) {
        if !self.kept.is_empty() {
            input[..self.kept.len()].copy_from_slice(&self.kept);
            self.kept = Vec::new();
        }
    }

    /// Whether the handshake is complete.
    pub(crate) fn is_secure(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether the handshake resumed a session; only known once it is complete.
    pub(crate) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the server has sent its close_notify.
    pub(crate) fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether our own close_notify has been sealed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes every complete record out of `input` (what was kept and what was read, in one
    /// piece): text is added to `text`, and what must be answered to `out`. The rest of `input`
    /// is kept.
    ///
    /// # Errors
    /// As rustls says. `text` then has what came before the error, and `out` the alert.
    pub(crate) fn open(
        &mut self,
        input: &mut [u8],
        text: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let opened = self.open_records(input, text, out);
        opened.map_err(|error| Fault::new(error, self.given))
    }

    fn open_records(
        &mut self,
        input: &mut [u8],
        text: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.check()?;
        let mut at = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut input[at..]);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        text.extend_from_slice(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, out)?;
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // `out` is the caller's, who writes it before anything else.
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    self.alert(&mut input[at + discard..], out);
                    self.failed = true;
                    return Err(error);
                }
            };
            at += discard;
            if !more {
                break;
            }
        }
        // What follows a close_notify means nothing (RFC 8446 section 6.1).
        if at < input.len() && !self.peer_closed {
            if input.len() - at > KEPT_MAX {
                self.failed = true;
                return Err(Error::InvalidMessage(
                    InvalidMessage::HandshakePayloadTooLarge,
                ));
            }
            self.kept = input[at..].to_vec();
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::General("the connection has failed before".into()));
        }
        Ok(())
    }

    /// After an error: what the server is to be told about it, if anything. `input` is what is
    /// left: rustls still points into it, but must not look at it again, so it is asked only for
    /// what it has queued already.
    fn alert(&mut self, input: &mut [u8], out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            match self.connection.process_tls_records(input).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    // An alert that cannot be sent leaves the end that follows as it is.
                    if encode(&mut data, out).is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Seals `text` and adds the records to `out`.
    ///
    /// # Errors
    /// If the connection is closed or its keys are used up.
    pub(crate) fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let records = text.len() / RECORD_TEXT_MAX + 1;
        let room = text.len() + records * RECORD_OVERHEAD;
        self.write(room, out, |traffic, out| traffic.encrypt(text, out))
            .map_err(|error| Fault::new(error, self.given))
    }

    /// Seals our close_notify, once; after that nothing can be sealed.
    ///
    /// # Errors
    /// If the connection cannot say anything any more.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.write(RECORD_OVERHEAD, out, |traffic, out| {
            traffic.queue_close_notify(out)
        })
        .map_err(|error| Fault::new(error, self.given))
    }

    /// Lets `seal` write into `room` bytes (or as many as it then asks for) at the end of `out`.
    fn write(
        &mut self,
        room: usize,
        out: &mut Vec<u8>,
        mut seal: impl FnMut(
            &mut WriteTraffic<'_, rustls::client::ClientConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), Error> {
        self.check()?;
        loop {
            // With what is kept, as it would be with the rest of it: rustls may have looked at
            // it already. Nothing in it is complete, so nothing is discarded but what was.
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.kept);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let mut room = room;
                    loop {
                        let start = out.len();
                        out.resize(start + room, 0);
                        match seal(&mut traffic, &mut out[start..]) {
                            Ok(written) => {
                                out.truncate(start + written);
                                return Ok(());
                            }
                            Err(EncryptError::InsufficientSize(InsufficientSizeError {
                                required_size,
                            })) if required_size > room => {
                                out.truncate(start);
                                room = required_size;
                            }
                            Err(error) => {
                                out.truncate(start);
                                return Err(Error::General(error.to_string()));
                            }
                        }
                    }
                }
                // A key update that is due goes first.
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => return Err(Error::General("nothing can be sent now".into())),
            }
            self.kept.drain(..discard);
        }
    }
}

/// Adds a handshake record (or an alert) to `out`.
fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let mut room = 0;
    loop {
        out.resize(start + room, 0);
        match data.encode(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => {
                out.truncate(start);
                return Err(Error::General(error.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
