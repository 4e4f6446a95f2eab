//! TLS as a machine from bytes to bytes, over rustls's unbuffered connection.
//!
//! Owns: one TLS session, and the incomplete record at the end of what was read. Must not know: frames, rooms, sockets.
//! Invariants: between calls a session holds no byte of decrypted input and none that waits to be sent, so an idle one
//! owns nothing but its keys; what it keeps of undecrypted input is less than one record; after a breach it neither
//! opens nor seals anything more.

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::EncodeError;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};

use crate::limits::{RECORD_PLAINTEXT, SEAL_PORTION, TLS_HELLO_MAX, TLS_INPUT_MAX, TLS12_RECORDS};

/// Bytes that sealing [`SEAL_PORTION`] bytes may take: header, tag and nonce of each record, and a key update that
/// rustls may put before them.
pub const SEALED_MAX: usize = SEAL_PORTION + SEAL_PORTION.div_ceil(RECORD_PLAINTEXT) * 64 + 512;

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

/// One TLS session.
pub struct Tls {
    session: UnbufferedServerConnection,
    /// The incomplete record at the end of what was read.
    input: Vec<u8>,
    heard: Heard,
    /// We have said that we send nothing more, with a close_notify or with the alert of a breach.
    silent: bool,
    /// Records sealed.
    records: u32,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("input", &self.input.len())
            .field("heard", &self.heard)
            .field("silent", &self.silent)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// A session that awaits a ClientHello.
    ///
    /// # Errors
    ///
    /// What rustls has against the settings; those that start-up accepted are not refused later.
    pub fn new(config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self {
            session: UnbufferedServerConnection::new(Arc::clone(config))?,
            input: Vec::new(),
            heard: Heard::More,
            silent: false,
            records: 0,
        })
    }

    /// The handshake is not complete: nothing can be sealed yet.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// The keys have sealed about as much as they may, and can't be changed: say goodbye while something can be said.
    pub fn is_spent(&self) -> bool {
        self.records >= TLS12_RECORDS
            && self.session.protocol_version() == Some(ProtocolVersion::TLSv1_2)
    }

    /// Whether the session was agreed on from scratch or resumed, once it is known.
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.session.handshake_kind()
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
        // Nobody would act on what comes behind either end.
        if self.silent || self.heard != Heard::More {
            return self.heard;
        }
        if self.input.is_empty() {
            let used = self.open(bytes, plain, answers);
            self.keep(&mut bytes[used..], answers);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let used = self.open(&mut input, plain, answers);
            if used == 0 && self.heard == Heard::More && input.len() <= self.input_max() {
                self.input = input;
            } else {
                self.keep(&mut input[used..], answers);
            }
        }
        self.heard
    }

    fn input_max(&self) -> usize {
        if self.is_handshaking() {
            TLS_HELLO_MAX
        } else {
            TLS_INPUT_MAX
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
                self.session.process_tls_records(&mut input[used..]);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                plain.extend_from_slice(record.payload);
                                used += record.discard;
                            }
                            Err(_) => {
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
                    tracing::debug!(%error, handshake = self.is_handshaking(), "TLS session refused");
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
        while self.session.wants_write() {
            match self.session.process_tls_records(rest).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(answers, |out| data.encode(out));
                }
                _ => return,
            }
        }
    }

    /// Seals at most [`SEAL_PORTION`] bytes, as one record or as few as hold them, into the front of `out`, which has
    /// room for [`SEALED_MAX`] bytes. Returns how many bytes that took; `None` if this session seals nothing (any more):
    /// then it has to end.
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Option<usize> {
        debug_assert!(plain.len() <= SEAL_PORTION, "one portion");
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
        write: impl FnOnce(Traffic<'_>, &mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        if self.silent {
            return None;
        }
        let mut written = 0;
        loop {
            // Nothing in it can be opened yet, but rustls remembers places in it.
            let UnbufferedStatus { discard, state } =
                self.session.process_tls_records(&mut self.input);
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

type Traffic<'c> = rustls::unbuffered::WriteTraffic<'c, rustls::server::ServerConnectionData>;

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
