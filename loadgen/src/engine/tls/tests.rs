//! What the machine of `protocol` is asked for here, against rustls's own server, with the wire in memory.

use super::*;

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{Error, ServerConfig, ServerConnection};

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

impl Pair {
    fn begin(trust: Trust) -> Self {
        let target = Target::parse("wss://localhost").expect("valid");
        let choice = Choice {
            trust,
            resume: false,
        };
        let secure = Secure::of(&target, &choice).expect("trust").expect("wss");
        let mut to_server = Vec::new();
        Self {
            client: Tls::new(&secure, &mut to_server).expect("a client"),
            server: server(),
            text: Vec::new(),
            to_server,
        }
    }

    /// After the handshake.
    fn new() -> Self {
        let mut pair = Self::begin(Trust::Anyone);
        for _ in 0..4 {
            let mut flight = pair.answer();
            pair.receive(&mut flight).expect("a good flight");
        }
        assert!(pair.client.is_secure() && !pair.server.is_handshaking());
        assert!(!pair.client.is_resumed());
        pair
    }

    /// What the client said reaches the server, which answers.
    fn answer(&mut self) -> Vec<u8> {
        let mut input = &self.to_server[..];
        while !input.is_empty() {
            self.server.read_tls(&mut input).expect("from memory");
            // An alert is an error, which the tests look for themselves.
            let _ = self.server.process_new_packets();
        }
        self.to_server.clear();
        let mut out = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut out).expect("into memory");
        }
        out
    }

    /// As a read of the socket does.
    fn receive(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        let (text, out) = (&mut self.text, &mut self.to_server);
        self.client.open(bytes, text, out)
    }
}

#[test]
fn ends_are_told_both_ways() {
    let mut pair = Pair::new();
    assert!(!Security::Plain.is_cut_short());
    pair.server.send_close_notify();
    let mut wire = pair.answer();
    pair.receive(&mut wire).expect("an end");
    assert!(pair.client.peer_closed());
    pair.client.close(&mut pair.to_server).expect("open");
    let once = pair.to_server.len();
    pair.client.close(&mut pair.to_server).expect("closed");
    assert_eq!(pair.to_server.len(), once);
    assert!(pair.client.is_closed());
    pair.answer();
    let state = pair.server.process_new_packets().expect("an alert");
    assert!(state.peer_has_closed());
    assert!(!Security::Tls(Box::new(pair.client)).is_cut_short());
    assert!(Security::Tls(Box::new(Pair::new().client)).is_cut_short());
}

#[test]
fn what_is_wrong_is_told_to_the_server() {
    // A record that was changed on its way.
    let mut pair = Pair::new();
    pair.server.send_close_notify();
    let mut wire = pair.answer();
    *wire.last_mut().expect("a tag") ^= 1;
    let fault = pair.receive(&mut wire).expect_err("changed");
    assert_eq!(fault, Fault::new(Error::DecryptError, false));
    assert!(!pair.to_server.is_empty(), "an alert");
    // After that nothing goes in or out.
    let told = pair.to_server.len();
    assert!(pair.client.seal(b"x", &mut pair.to_server).is_err());
    assert!(pair.client.close(&mut pair.to_server).is_err());
    assert!(pair.receive(&mut wire).is_err());
    assert_eq!(pair.to_server.len(), told);

    // A certificate by nobody that is known.
    let mut pair = Pair::begin(Trust::System);
    let mut flight = pair.answer();
    let fault = pair.receive(&mut flight).expect_err("not trusted");
    assert!(fault.to_string().contains("not trusted"), "{fault}");
    let mut alert = &std::mem::take(&mut pair.to_server)[..];
    pair.server.read_tls(&mut alert).expect("from memory");
    let heard = pair.server.process_new_packets().expect_err("an alert");
    assert!(matches!(heard, Error::AlertReceived(_)), "{heard}");

    // Something else altogether.
    let mut pair = Pair::begin(Trust::Anyone);
    let mut http = *b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let fault = pair.receive(&mut http).expect_err("not TLS");
    assert!(fault.to_string().contains("does not speak TLS"), "{fault}");
}
