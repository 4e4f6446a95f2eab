//! What a client's bytes go through: a TCP socket, with rustls's own client on it or not.

use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::DEADLINE;

/// A connected socket, with a deadline on everything.
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Its reads fail where the stream ends without a close_notify.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn plain(addr: SocketAddr) -> Self {
        Self::Plain(connect(addr))
    }

    /// Over TLS, to `localhost`; the handshake happens with the first bytes.
    pub(crate) fn tls(addr: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self::tls_over(connect(addr), config)
    }

    /// The same over this connection.
    pub(crate) fn tls_over(socket: TcpStream, config: &Arc<ClientConfig>) -> Self {
        let client = client(config, "localhost");
        Self::Tls(Box::new(StreamOwned::new(client, socket)))
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A TCP connection that fails a test rather than hanging.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    prepared(TcpStream::connect(addr).expect("the relay accepts"))
}

pub(crate) fn prepared(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("no delay");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline to read");
    stream
        .set_write_timeout(Some(DEADLINE))
        .expect("a deadline to write");
    stream
}

/// One session of this client, to the server of that name.
pub(crate) fn client(config: &Arc<ClientConfig>, name: &str) -> ClientConnection {
    let name = ServerName::try_from(name.to_owned()).expect("a name of a server");
    ClientConnection::new(Arc::clone(config), name).expect("a TLS client")
}

/// A client that trusts the authorities in this PEM file and nobody else, and speaks these versions.
pub(crate) fn trusting(
    ca: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("an authority's file") {
        roots
            .add(certificate.expect("a certificate"))
            .expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider's versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
