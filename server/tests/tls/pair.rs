//! A TLS client that nobody here wrote (rustls's own), and settings for both sides.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
};

/// Settings of both sides, which trust each other.
pub struct Settings {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

/// One certificate for all.
pub fn settings(versions: &[&'static SupportedProtocolVersion]) -> Settings {
    static IDENTITY: LazyLock<rcgen::CertifiedKey<rcgen::KeyPair>> = LazyLock::new(|| {
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate")
    });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = IDENTITY.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        IDENTITY.signing_key.serialize_der(),
    ));
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a matching key");
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().expect("random bytes");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider's versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Settings {
        server: Arc::new(server),
        client: Arc::new(client),
    }
}

/// A client, and what is on its way to it and from it.
pub struct Peer {
    pub tls: ClientConnection,
    pub to_server: VecDeque<u8>,
    /// What it was sent, opened.
    pub got: Vec<u8>,
    /// The server's close_notify has come.
    pub told_closed: bool,
    pub broken: bool,
}

impl Peer {
    pub fn new(config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        let mut peer = Self {
            tls,
            to_server: VecDeque::new(),
            got: Vec::new(),
            told_closed: false,
            broken: false,
        };
        peer.pump();
        peer
    }

    /// Moves what rustls wants to send onto the way.
    pub fn pump(&mut self) {
        while self.tls.wants_write() {
            self.tls
                .write_tls(&mut self.to_server)
                .expect("memory takes all");
        }
    }

    /// Sends these bytes.
    pub fn say(&mut self, plain: &[u8]) {
        self.tls
            .writer()
            .write_all(plain)
            .expect("memory takes all");
        self.pump();
    }

    /// Takes bytes from the server.
    pub fn hear(&mut self, mut records: &[u8]) {
        while !records.is_empty() && !self.broken {
            if self.tls.read_tls(&mut records).is_err() {
                self.broken = true;
                return;
            }
            match self.tls.process_new_packets() {
                Ok(state) => {
                    self.told_closed |= state.peer_has_closed();
                    let mut plain = vec![0; state.plaintext_bytes_to_read()];
                    self.tls
                        .reader()
                        .read_exact(&mut plain)
                        .expect("as many as it said");
                    self.got.extend_from_slice(&plain);
                }
                Err(_) => self.broken = true,
            }
            if self.told_closed {
                return;
            }
        }
        self.pump();
    }
}
