//! TLS as a machine from bytes to bytes, over rustls's unbuffered connection.
//!
//! Owns: one TLS session of either role, and the incomplete record at the end of what was read. Must not know: frames,
//! rooms, sockets. Invariants: between calls a session holds no byte of decrypted input and none that waits to be sent,
//! so an idle one owns nothing but its keys; what it keeps of undecrypted input is less than one record; after a breach
//! it neither opens nor seals anything more.

use std::fmt;
use std::ops::DerefMut;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, UnbufferedConnectionCommon, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, Error, HandshakeKind, ProtocolVersion, ServerConfig};

/// Bytes sealed into one TLS record (RFC 8446 section 5.1 allows no more).
pub const RECORD_PLAINTEXT: usize = 16 * 1024;

/// Bytes of a TLS record with its header (RFC 5246 section 6.2.3 allows so much beyond the plaintext). So much is kept
/// of input that is not complete (limit): a handshake message that is larger, in however many records, is refused.
pub const RECORD_MAX: usize = RECORD_HEADER + RECORD_PLAINTEXT + 2048;

/// Type, version and length.
const RECORD_HEADER: usize = 5;

/// Bytes that a server keeps of a TLS handshake that is not complete (limit). A ClientHello with a post-quantum key share
/// has 2 KiB.
const HELLO_MAX: usize = 8 * 1024;

/// Bytes that a client keeps of a TLS handshake that is not complete (limit): a chain of certificates, of which rustls
/// takes 64 KiB, in its records.
const FLIGHT_MAX: usize = 96 * 1024;

/// Records that a TLS 1.2 session seals before it is spent (limit). At 2^24 the keys of AES-GCM are (RFC 8446 section
/// 5.5) and rustls seals nothing more; TLS 1.3 changes keys by itself.
const TLS12_RECORDS: u32 = (1 << 24) - (1 << 12);

/// Bytes that sealing so many takes at most: header, tag and nonce of each record, and a key update or a close_notify
/// before or behind them.
pub const fn sealed_max(plain: usize) -> usize {
    plain + (plain.div_ceil(RECORD_PLAINTEXT)) * 64 + 512
}

/// What the end of a run of records was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// All whole records were opened; the next one is awaited.
    More,
    /// The peer said with a close_notify that it sends nothing more.
    Closed,
    /// The peer broke TLS, and nothing can be exchanged any more. An alert that says so is among the answers.
    Breach(Breach),
}

/// How TLS was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// There was no agreement on a session.
    Handshake,
    /// A record of an established session was not what it must be.
    Record,
}

/// Which end of a session this is. There are two.
pub trait Role: fmt::Debug + Sized + sealed::Role {}

/// The end that shows a certificate.
#[derive(Debug)]
pub enum Server {}

/// The end that knows whom it wants to talk to.
#[derive(Debug)]
pub enum Client {}

impl Role for Server {}
impl Role for Client {}

mod sealed {
    use super::{DerefMut, UnbufferedConnectionCommon, UnbufferedStatus};

    /// What rustls has twice.
    pub trait Role {
        type Data;
        type Connection: DerefMut<Target = UnbufferedConnectionCommon<Self::Data>> + Send;

        /// Bytes kept of a handshake that is not complete.
        const HANDSHAKE_MAX: usize;

        /// Whether anything is opened behind our own close_notify. (What can't be opened there is a failed assertion
        /// of rustls's, where assertions are on.)
        const READS_ON: bool;

        fn process<'c, 'i>(
            connection: &'c mut Self::Connection,
            input: &'i mut [u8],
        ) -> UnbufferedStatus<'c, 'i, Self::Data>;
    }
}

impl sealed::Role for Server {
    type Data = ServerConnectionData;
    type Connection = UnbufferedServerConnection;

    const HANDSHAKE_MAX: usize = HELLO_MAX;
    const READS_ON: bool = false;

    fn process<'c, 'i>(
        connection: &'c mut Self::Connection,
        input: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        connection.process_tls_records(input)
    }
}

impl sealed::Role for Client {
    type Data = ClientConnectionData;
    type Connection = UnbufferedClientConnection;

    const HANDSHAKE_MAX: usize = FLIGHT_MAX;
    const READS_ON: bool = true;

    fn process<'c, 'i>(
        connection: &'c mut Self::Connection,
        input: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        connection.process_tls_records(input)
    }
}

/// What sessions of a server begin with. Shared by all of them, so that each resumes the tickets of any other.
#[derive(Debug, Clone)]
pub struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// With these settings.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(config)
    }

    /// A session that awaits a ClientHello.
    ///
    /// # Errors
    ///
    /// What rustls has against the settings; those that start-up accepted are not refused later.
    pub fn accept(&self) -> Result<Session<Server>, Error> {
        let connection = UnbufferedServerConnection::new(Arc::clone(&self.0))?;
        Ok(Session::new(connection))
    }
}

/// What sessions of a client begin with: settings, and whom they are with.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// With these settings, to the server of that name.
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self { config, name }
    }

    /// A session, whose first flight is appended to `out`.
    ///
    /// # Errors
    ///
    /// What rustls has against the settings.
    pub fn connect(&self, out: &mut Vec<u8>) -> Result<Session<Client>, Error> {
        let config = Arc::clone(&self.config);
        let connection = UnbufferedClientConnection::new(config, self.name.clone())?;
        let mut session = Session::new(connection);
        session.open(&mut [], &mut Vec::new(), out);
        session.take_error().map_or(Ok(session), Err)
    }
}

/// One TLS session.
pub struct Session<R: Role> {
    connection: R::Connection,
    /// The incomplete record at the end of what was read.
    input: Vec<u8>,
    heard: Heard,
    /// We have said that we send nothing more, with a close_notify or with the alert of a breach.
    silent: bool,
    /// Records sealed.
    records: u32,
    /// What rustls says of a breach.
    error: Option<Box<Error>>,
}

impl<R: Role> fmt::Debug for Session<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("input", &self.input.len())
            .field("heard", &self.heard)
            .field("silent", &self.silent)
            .finish_non_exhaustive()
    }
}

impl<R: Role> Session<R> {
    fn new(connection: R::Connection) -> Self {
        Self {
            connection,
            input: Vec::new(),
            heard: Heard::More,
            silent: false,
            records: 0,
            error: None,
        }
    }

    /// The handshake is not complete: nothing can be sealed yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The keys have sealed about as much as they may, and can't be changed: say goodbye while something can be said.
    pub fn is_spent(&self) -> bool {
        self.records >= TLS12_RECORDS
            && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2)
    }

    /// Whether it goes on from an earlier session, instead of having been agreed on from scratch; only known once the
    /// handshake is complete.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What rustls said of the breach, once.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take().map(|error| *error)
    }

    /// What the last record was.
    pub fn heard(&self) -> Heard {
        self.heard
    }

    /// Bytes kept of a record that has not come whole.
    pub fn buffered(&self) -> usize {
        self.input.len()
    }

    /// Takes what was read. Appends what was in it to `plain`, and to `answers` what has to be sent in return: the
    /// flights of the handshake, tickets, alerts.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        answers: &mut Vec<u8>,
    ) -> Heard {
        // Nobody would act on what comes behind either end, but for a client's tickets.
        if self.heard != Heard::More || (self.silent && !R::READS_ON) {
            return self.heard;
        }
        let mut bytes = bytes;
        if !self.input.is_empty() {
            let mut input = std::mem::take(&mut self.input);
            let (begun, behind) = bytes.split_at_mut(missing(&input).min(bytes.len()));
            input.extend_from_slice(begun);
            let mut used = self.open(&mut input, plain, answers);
            bytes = behind;
            if used < input.len() && self.heard == Heard::More && !bytes.is_empty() {
                // A handshake message in several records, or only now it is known how long the record is.
                input.drain(..used);
                input.extend_from_slice(bytes);
                bytes = &mut [];
                used = self.open(&mut input, plain, answers);
            }
            if used == 0 && self.heard == Heard::More && input.len() <= self.input_max() {
                self.input = input;
            } else {
                self.keep(&mut input[used..], answers);
            }
        }
        if !bytes.is_empty() && self.heard == Heard::More {
            let used = self.open(bytes, plain, answers);
            self.keep(&mut bytes[used..], answers);
        }
        self.heard
    }

    fn input_max(&self) -> usize {
        if self.is_handshaking() {
            R::HANDSHAKE_MAX
        } else {
            RECORD_MAX
        }
    }

    /// Keeps the incomplete record for the next time.
    fn keep(&mut self, rest: &mut [u8], answers: &mut Vec<u8>) {
        if self.heard != Heard::More || rest.is_empty() {
            return;
        }
        if rest.len() > self.input_max() {
            // A handshake message in many records, larger than any that makes sense.
            self.breach(rest, answers);
        } else {
            self.input = rest.to_vec();
        }
    }

    /// Opens whole records from the front; returns how many bytes of `input` are done with.
    fn open(&mut self, input: &mut [u8], plain: &mut Vec<u8>, answers: &mut Vec<u8>) -> usize {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } =
                R::process(&mut self.connection, &mut input[used..]);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                plain.extend_from_slice(record.payload);
                                used += record.discard;
                            }
                            Err(error) => {
                                self.error = Some(Box::new(error));
                                self.breach(&mut input[used..], answers);
                                return used;
                            }
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(answers, |out| data.encode(out));
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.heard = Heard::Closed,
                Ok(
                    ConnectionState::BlockedHandshake
                    | ConnectionState::WriteTraffic(_)
                    | ConnectionState::Closed,
                ) => {
                    return used;
                }
                Err(error) => {
                    self.error = Some(Box::new(error));
                    self.breach(&mut input[used..], answers);
                    return used;
                }
                // Early data is never offered; rustls refuses it. Whatever rustls may add is not understood.
                Ok(_) => {
                    self.breach(&mut input[used..], answers);
                    return used;
                }
            }
        }
    }

    /// Ends the session, and tells the peer what rustls has to say about it. `rest` is the input that is not done with:
    /// rustls remembers places in it.
    fn breach(&mut self, rest: &mut [u8], answers: &mut Vec<u8>) {
        let breach = if self.is_handshaking() {
            Breach::Handshake
        } else {
            Breach::Record
        };
        self.heard = Heard::Breach(breach);
        self.silent = true;
        // The alert waits behind what was to be sent before it; behind the alert nothing may be opened again.
        while self.connection.wants_write() {
            match R::process(&mut self.connection, rest).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(answers, |out| data.encode(out));
                }
                _ => return,
            }
        }
    }

    /// Seals these bytes, as one record or as few as hold them, into the front of `out`, which has room for
    /// [`sealed_max`] bytes. Returns how many bytes that took; `None` if this session seals nothing (any more): then it
    /// has to end.
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Option<usize> {
        debug_assert!(out.len() >= sealed_max(plain.len()), "there is room");
        let records = plain.len().div_ceil(RECORD_PLAINTEXT) as u32;
        self.records = self.records.saturating_add(records);
        self.write(out, |mut traffic, out| traffic.encrypt(plain, out).ok())
    }

    /// Writes a close_notify into the front of `out`, once. Returns how many bytes that took; `None` if there is
    /// nothing (more) to say.
    pub fn close_notify(&mut self, out: &mut [u8]) -> Option<usize> {
        let written = self.write(out, |mut traffic, out| traffic.queue_close_notify(out).ok());
        self.silent = true;
        written
    }

    fn write(
        &mut self,
        out: &mut [u8],
        write: impl FnOnce(WriteTraffic<'_, R::Data>, &mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        if self.silent {
            return None;
        }
        let mut written = 0;
        loop {
            // Nothing in it can be opened yet, but rustls remembers places in it.
            let UnbufferedStatus { discard, state } =
                R::process(&mut self.connection, &mut self.input);
            debug_assert_eq!(discard, 0, "what could be opened was opened");
            match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    written += data.encode(&mut out[written..]).ok()?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                // It may be said once, at any time; what `receive` heard is kept.
                Ok(ConnectionState::PeerClosed) => {}
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    return Some(written + write(traffic, &mut out[written..])?);
                }
                _ => return None,
            }
        }
    }
}

/// Bytes until the record that `input` begins with is whole, or until its length is known. `input` is not whole; more
/// than one record of it, and it is a handshake message, of which nobody knows.
fn missing(input: &[u8]) -> usize {
    match *input {
        [_, _, _, high, low, ref body @ ..] => {
            let len = usize::from(u16::from_be_bytes([high, low]));
            len.checked_sub(body.len()).unwrap_or(usize::MAX)
        }
        _ => RECORD_HEADER - input.len(),
    }
}

/// Appends a piece of the handshake, or an alert.
fn append(out: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    // Asked without room, rustls says how much it needs.
    if let Err(EncodeError::InsufficientSize(needed)) = encode(&mut []) {
        let start = out.len();
        out.resize(start + needed.required_size, 0);
        let encoded = encode(&mut out[start..]);
        debug_assert_eq!(
            encoded.ok(),
            Some(needed.required_size),
            "as much as it said"
        );
    }
}
