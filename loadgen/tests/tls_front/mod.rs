//! A TLS front before a plain relay: rustls's buffered server over blocking sockets, so that the
//! generator's own use of rustls is not tested by itself.
//!
//! Owns certificates and the two threads of each connection. Must not know WebSocket.
//! Invariant: what comes out of a record goes on as it is, in both directions; an end goes on as
//! [`End`] says.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

/// How the front ends the first connection, early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not at all.
    Never,
    /// With a close_notify, once so much text has gone to the client.
    Clean(usize),
    /// The same without a close_notify.
    Cut(usize),
}

/// An authority and a certificate for `localhost` and `127.0.0.1` by it.
pub struct Certificates {
    /// The authority's certificate.
    pub ca_pem: String,
    /// The server's own.
    pub leaf_pem: String,
    config: rustls::server::ServerConfig,
}

impl Certificates {
    /// New ones, for a server that speaks `versions`.
    pub fn new(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).expect("signed").pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let leaf = CertificateParams::new(names).expect("names");
        let leaf = leaf.signed_by(&key, &issuer).expect("signed");
        let leaf_pem = leaf.pem();
        Self::serving(versions, [ca_pem, leaf_pem], leaf.into(), &key)
    }

    /// One that has signed itself, for these hosts, and may sign others too or not. It is its own authority.
    pub fn self_signed(hosts: &[&str], may_sign: bool) -> Self {
        let key = KeyPair::generate().expect("a key");
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut leaf = CertificateParams::new(hosts).expect("names");
        if may_sign {
            leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let leaf = leaf.self_signed(&key).expect("signed");
        let pem = leaf.pem();
        Self::serving(
            &[&rustls::version::TLS13],
            [pem.clone(), pem],
            leaf.into(),
            &key,
        )
    }

    fn serving(
        versions: &[&'static SupportedProtocolVersion],
        [ca_pem, leaf_pem]: [String; 2],
        leaf: CertificateDer<'static>,
        key: &KeyPair,
    ) -> Self {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(versions)
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![leaf], key)
                .expect("a pair");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            ca_pem,
            leaf_pem,
            config,
        }
    }

    /// Starts a front before `backend` on a free port of loopback; it runs until the process
    /// ends.
    pub fn front(&self, backend: SocketAddr, end: End) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let config = Arc::new(self.config.clone());
        std::thread::spawn(move || {
            for (index, client) in listener.incoming().flatten().enumerate() {
                let end = if index == 0 { end } else { End::Never };
                let config = Arc::clone(&config);
                // A client that leaves early is no matter of the front.
                std::thread::spawn(move || serve(client, backend, config, end));
            }
        });
        address
    }
}

fn serve(
    mut client: TcpStream,
    backend: SocketAddr,
    config: Arc<ServerConfig>,
    end: End,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut backend = TcpStream::connect(backend)?;
    backend.set_nodelay(true)?;
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let tls = Arc::new(Mutex::new(tls));
    let down = {
        let (client, backend, tls) = (client.try_clone()?, backend.try_clone()?, Arc::clone(&tls));
        move || downwards(client, backend, &tls, end)
    };
    let down = std::thread::spawn(down);
    let up = upwards(&mut client, &mut backend, &tls);
    let _ = backend.shutdown(Shutdown::Write);
    let _ = down.join();
    let _ = client.shutdown(Shutdown::Both);
    up
}

/// From the client to the backend.
fn upwards(
    client: &mut TcpStream,
    backend: &mut TcpStream,
    tls: &Mutex<ServerConnection>,
) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let read = client.read(&mut buffer)?;
        let mut input = &buffer[..read];
        let mut text = Vec::new();
        {
            let mut tls = tls.lock().expect("not poisoned");
            while !input.is_empty() {
                tls.read_tls(&mut input)?;
                let state = tls.process_new_packets();
                let there = state
                    .as_ref()
                    .map_or(0, |state| state.plaintext_bytes_to_read());
                let start = text.len();
                text.resize(start + there, 0);
                tls.reader().read_exact(&mut text[start..])?;
                // An alert too.
                flush(&mut tls, client)?;
                if state.map_err(io::Error::other)?.peer_has_closed() {
                    backend.write_all(&text)?;
                    return Ok(());
                }
            }
        }
        if read == 0 {
            return Ok(());
        }
        backend.write_all(&text)?;
    }
}

/// From the backend to the client.
fn downwards(
    mut client: TcpStream,
    mut backend: TcpStream,
    tls: &Mutex<ServerConnection>,
    end: End,
) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    let mut sent = 0;
    loop {
        let read = backend.read(&mut buffer)?;
        let mut tls = tls.lock().expect("not poisoned");
        tls.writer().write_all(&buffer[..read])?;
        sent += read;
        let over = match end {
            End::Never => read == 0,
            End::Clean(text) | End::Cut(text) => read == 0 || sent >= text,
        };
        if over && !matches!(end, End::Cut(_)) {
            tls.send_close_notify();
        }
        flush(&mut tls, &mut client)?;
        if over {
            client.shutdown(Shutdown::Write)?;
            return Ok(());
        }
    }
}

fn flush(tls: &mut ServerConnection, client: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(client)?;
    }
    Ok(())
}
