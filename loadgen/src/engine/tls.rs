//! One TLS connection as a byte machine: bytes from the wire in, text out, and the other way.
//!
//! Owns rustls's connection object, the rest of an incomplete record and the ciphertext that the
//! socket did not take. Must not know sockets, nor what the text means.
//! Invariant: an idle connection owns no buffer: both are empty and unallocated between records.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, Error, HandshakeKind, InvalidMessage};

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
    pub(crate) fn new(secure: &Secure) -> Result<Self, Error> {
        let config: Arc<ClientConfig> = Arc::clone(&secure.config);
        Ok(Self {
            connection: UnbufferedClientConnection::new(config, secure.name.clone())?,
            kept: Vec::new(),
            unsent: Vec::new(),
            peer_closed: false,
            closed: false,
            failed: false,
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
    pub(crate) fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let records = text.len() / RECORD_TEXT_MAX + 1;
        let room = text.len() + records * RECORD_OVERHEAD;
        self.write(room, out, |traffic, out| traffic.encrypt(text, out))
    }

    /// Seals our close_notify, once; after that nothing can be sealed.
    ///
    /// # Errors
    /// If the connection cannot say anything any more.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.write(RECORD_OVERHEAD, out, |traffic, out| {
            traffic.queue_close_notify(out)
        })
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
mod tests {
    use super::*;
    use std::io::{Read, Write};

    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection};

    use crate::scenario::{Tls as Choice, Trust};
    use crate::target::Target;

    /// A client and rustls's own server, with the wire between them in two vectors.
    struct Pair {
        client: Tls,
        server: ServerConnection,
        text: Vec<u8>,
        to_server: Vec<u8>,
    }

    fn server() -> ServerConnection {
        let key = KeyPair::generate().expect("a key");
        let names = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let leaf = names.self_signed(&key).expect("signed");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.into()], key)
            .expect("a pair");
        ServerConnection::new(Arc::new(config)).expect("a server")
    }

    fn client(trust: Trust) -> Tls {
        let target = Target::parse("wss://localhost").expect("valid");
        let choice = Choice {
            trust,
            resume: false,
        };
        let secure = Secure::of(&target, &choice).expect("trust").expect("wss");
        Tls::new(&secure).expect("a client")
    }

    impl Pair {
        /// After the handshake, in which every flight came in pieces of `piece` bytes.
        fn new(piece: usize) -> Self {
            let mut pair = Self {
                client: client(Trust::Anyone),
                server: server(),
                text: Vec::new(),
                to_server: Vec::new(),
            };
            pair.receive(&[]).expect("a first flight");
            for _ in 0..4 {
                pair.deliver();
                let flight = pair.said();
                for piece in flight.chunks(piece) {
                    pair.receive(piece).expect("a good flight");
                }
            }
            assert!(pair.client.is_secure() && !pair.server.is_handshaking());
            assert!(!pair.client.is_resumed());
            pair
        }

        /// What the client said reaches the server.
        fn deliver(&mut self) {
            let mut input = &self.to_server[..];
            while !input.is_empty() {
                self.server.read_tls(&mut input).expect("from memory");
                // An alert is an error, which the tests look for themselves.
                let _ = self.server.process_new_packets();
            }
            self.to_server.clear();
        }

        /// What the server has to say.
        fn said(&mut self) -> Vec<u8> {
            let mut out = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut out).expect("into memory");
            }
            out
        }

        /// As a read of the socket does.
        fn receive(&mut self, bytes: &[u8]) -> Result<(), Error> {
            let kept = self.client.kept();
            let mut input = vec![0; kept + bytes.len()];
            input[kept..].copy_from_slice(bytes);
            self.client.unkeep(&mut input);
            let (text, out) = (&mut self.text, &mut self.to_server);
            self.client.open(&mut input, text, out)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn text_survives_any_cut(
            sizes in prop::collection::vec(1usize..40_000, 1..6),
            handshake in 1usize..3_000,
            piece in 1usize..20_000,
        ) {
            let mut pair = Pair::new(handshake);
            let mut want = Vec::new();
            for (fill, size) in (0u8..).zip(sizes) {
                let text = vec![fill; size];
                pair.server.writer().write_all(&text).expect("into memory");
                want.extend_from_slice(&text);
                let wire = pair.said();
                for piece in wire.chunks(piece) {
                    pair.receive(piece).expect("good records");
                    prop_assert!(pair.client.kept() < 17 * 1024);
                    // In the middle of a record, something is to be sent.
                    pair.client.seal(b"x", &mut pair.to_server).expect("open");
                }
                prop_assert_eq!(pair.client.kept(), 0);
                pair.deliver();
                let mut there = Vec::new();
                // It would block at the end of what there is.
                let _ = pair.server.reader().read_to_end(&mut there);
                prop_assert_eq!(there, vec![b'x'; wire.chunks(piece).len()]);
            }
            prop_assert_eq!(&pair.text, &want);
            prop_assert_eq!(pair.client.kept.capacity(), 0);
        }
    }

    #[test]
    fn one_byte_at_a_time() {
        let mut pair = Pair::new(1);
        pair.server
            .writer()
            .write_all(b"hello")
            .expect("into memory");
        for byte in pair.said() {
            pair.receive(&[byte]).expect("good records");
        }
        assert_eq!(pair.text, b"hello");
    }

    #[test]
    fn a_send_of_any_size_arrives() {
        let mut pair = Pair::new(usize::MAX);
        for size in [0, 1, 16_384, 16_385, 100_000] {
            pair.server.set_buffer_limit(None);
            let text = vec![7; size];
            pair.client.seal(&text, &mut pair.to_server).expect("open");
            let mut there = Vec::new();
            let mut input = &std::mem::take(&mut pair.to_server)[..];
            while !input.is_empty() {
                pair.server.read_tls(&mut input).expect("from memory");
                pair.server.process_new_packets().expect("good records");
                let _ = pair.server.reader().read_to_end(&mut there);
            }
            assert!(there == text, "{size}");
        }
    }

    #[test]
    fn ends_are_told_both_ways() {
        let mut pair = Pair::new(usize::MAX);
        assert!(Transport::Plain.tls().is_none() && !Transport::Plain.is_cut_short());
        pair.server
            .writer()
            .write_all(b"last")
            .expect("into memory");
        pair.server.send_close_notify();
        let wire = pair.said();
        // What follows an end is not looked at, and not kept.
        pair.receive(&[&wire[..], b"garbage"].concat())
            .expect("an end");
        assert_eq!(pair.text, b"last");
        assert!(pair.client.peer_closed() && pair.client.kept() == 0);
        pair.client.close(&mut pair.to_server).expect("open");
        let once = pair.to_server.len();
        pair.client.close(&mut pair.to_server).expect("closed");
        assert_eq!(pair.to_server.len(), once);
        assert!(pair.client.is_closed());
        let mut input = &std::mem::take(&mut pair.to_server)[..];
        pair.server.read_tls(&mut input).expect("from memory");
        let state = pair.server.process_new_packets().expect("an alert");
        assert!(state.peer_has_closed());
        let mut transport = Transport::Tls(Box::new(pair.client));
        assert!(!transport.is_cut_short() && transport.tls().is_some());
        let open = Transport::Tls(Box::new(Pair::new(usize::MAX).client));
        assert!(open.is_cut_short());
    }

    #[test]
    fn what_is_wrong_is_told_to_the_server() {
        // A record that was changed on its way.
        let mut pair = Pair::new(usize::MAX);
        pair.server
            .writer()
            .write_all(b"hello")
            .expect("into memory");
        let mut wire = pair.said();
        *wire.last_mut().expect("a tag") ^= 1;
        assert_eq!(pair.receive(&wire), Err(Error::DecryptError));
        assert!(!pair.to_server.is_empty(), "an alert");
        // After that nothing goes in or out.
        let told = pair.to_server.len();
        assert!(pair.client.seal(b"x", &mut pair.to_server).is_err());
        assert!(pair.client.close(&mut pair.to_server).is_err());
        assert!(pair.receive(&wire).is_err());
        assert_eq!(pair.to_server.len(), told);

        // A certificate by nobody that is known.
        let mut pair = Pair {
            client: client(Trust::System),
            server: server(),
            text: Vec::new(),
            to_server: Vec::new(),
        };
        pair.receive(&[]).expect("a first flight");
        pair.deliver();
        let flight = pair.said();
        let error = pair.receive(&flight).expect_err("not trusted");
        assert!(matches!(error, Error::InvalidCertificate(_)), "{error}");
        let mut alert = &std::mem::take(&mut pair.to_server)[..];
        pair.server.read_tls(&mut alert).expect("from memory");
        let heard = pair.server.process_new_packets().expect_err("an alert");
        assert!(matches!(heard, Error::AlertReceived(_)), "{heard}");

        // Something else altogether.
        let mut pair = Pair {
            client: client(Trust::Anyone),
            ..pair
        };
        pair.receive(&[]).expect("a first flight");
        let http = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        let error = pair.receive(http).expect_err("not TLS");
        assert_eq!(
            error,
            Error::InvalidMessage(InvalidMessage::InvalidContentType)
        );
    }
}
