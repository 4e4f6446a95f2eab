//! The other side of a session, which nobody here wrote (rustls's own buffered one), and settings for both.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use roomcast_protocol::tls::{Acceptor, Connector};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

/// Settings of both sides, which trust each other.
pub struct Settings {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Settings {
    /// For our side as the server.
    pub fn acceptor(&self) -> Acceptor {
        Acceptor::new(Arc::clone(&self.server))
    }

    /// For our side as the client.
    pub fn connector(&self) -> Connector {
        Connector::new(Arc::clone(&self.client), localhost())
    }

    /// A client, whose first flight is on its way.
    pub fn client(&self) -> Peer {
        let client = ClientConnection::new(Arc::clone(&self.client), localhost());
        Peer::new(client.expect("a client").into())
    }

    /// A server.
    pub fn server(&self) -> Peer {
        let server = ServerConnection::new(Arc::clone(&self.server));
        Peer::new(server.expect("a server").into())
    }
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
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

/// The other side, and what is on its way from it.
pub struct Peer {
    pub tls: Connection,
    pub to_us: VecDeque<u8>,
    /// What it was sent, opened.
    pub got: Vec<u8>,
    /// Our close_notify has come.
    pub told_closed: bool,
    pub broken: bool,
}

impl Peer {
    fn new(tls: Connection) -> Self {
        let mut peer = Self {
            tls,
            to_us: VecDeque::new(),
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
                .write_tls(&mut self.to_us)
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

    /// Takes bytes from us.
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
