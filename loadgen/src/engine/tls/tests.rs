//! The byte machine against rustls's own server, with the wire in memory.

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
    fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
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
    assert_eq!(
        pair.receive(&wire),
        Err(Fault::new(Error::DecryptError, false))
    );
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
    assert!(error.to_string().contains("not trusted"), "{error}");
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
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}
