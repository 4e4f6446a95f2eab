//! What a run's TLS connections have in common: whom they trust, and what they offer.
//!
//! Owns the making of the one client configuration, and the reading of authorities from disk.
//! Must not know connections.
//! Invariant: nothing is believed that was not asked for: only [`Trust::Anyone`] skips the
//! verification.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::EngineError;
use super::tickets::Tickets;
use crate::scenario::{Tls, Trust};
use crate::target::Target;

/// The protocol of WebSocket's upgrade (RFC 6455 section 1.2 is HTTP/1.1).
const ALPN: &[u8] = b"http/1.1";
/// The environment variable that moves Roomcast's data directory.
const DATA_DIR: &str = "ROOMCAST_DATA_DIR";
/// The certificate of the development authority, in that directory.
const DEV_CA: &str = "dev-ca.pem";

/// What every TLS connection of a run begins with.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    /// Shared by all threads, with its store of sessions.
    pub(crate) config: Arc<ClientConfig>,
    /// What is asked for (SNI) and what the certificate must be for: the host of the URL.
    pub(crate) name: ServerName<'static>,
}

impl Secure {
    /// For a target; `None` if it is not `wss`.
    ///
    /// # Errors
    /// [`EngineError::Trust`] if authorities cannot be read, or the host cannot be in a
    /// certificate.
    pub(crate) fn of(target: &Target, tls: &Tls) -> Result<Option<Self>, EngineError> {
        if !target.is_secure() {
            return Ok(None);
        }
        let host = target.host();
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            EngineError::Trust(format!("a certificate cannot be for the host '{host}'"))
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match &tls.trust {
            Trust::System => by_authorities(system(target.is_loopback())?, &provider)?,
            Trust::Authorities(file) => by_authorities(authorities(file)?, &provider)?,
            Trust::Anyone => Arc::new(Unverified(Arc::clone(&provider))),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| EngineError::Trust(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = if tls.resume {
            Resumption::store(Arc::new(Tickets::default()))
        } else {
            Resumption::disabled()
        };
        Ok(Some(Self {
            config: Arc::new(config),
            name,
        }))
    }
}

impl Secure {
    /// To be called once by a thread before its first handshake: seeds its random numbers, which
    /// takes milliseconds that are not the server's.
    pub(crate) fn prepare(&self) {
        // If there is no randomness, the handshake itself says so.
        let _ = self
            .config
            .crypto_provider()
            .secure_random
            .fill(&mut [0; 32]);
    }
}

fn by_authorities(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, EngineError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| {
            EngineError::Trust(
                "this system has no certificate authorities: give the server's with --ca FILE, or for a test --insecure".into(),
            )
        })
}

/// The authorities of the system and, for a target on this machine, the one that `roomcast
/// --dev-tls` made here.
fn system(loopback: bool) -> Result<RootCertStore, EngineError> {
    let mut roots = RootCertStore::empty();
    // What cannot be read is not trusted; if that matters, the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if loopback
        && let Some(path) = data_dir().map(|directory| directory.join(DEV_CA))
        && path.exists()
    {
        add(&mut roots, &path)?;
    }
    Ok(roots)
}

/// Where Roomcast keeps its data, if that is known.
fn data_dir() -> Option<PathBuf> {
    match std::env::var_os(DATA_DIR) {
        Some(directory) if !directory.is_empty() => Some(directory.into()),
        _ => Some(dirs::data_dir()?.join("roomcast")),
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, EngineError> {
    let mut roots = RootCertStore::empty();
    add(&mut roots, file)?;
    Ok(roots)
}

/// Adds every certificate of a PEM file, of which there must be one.
fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), EngineError> {
    let shown = file.display();
    let fail = |what: String| EngineError::Trust(what);
    let unreadable = |error: pem::Error| match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => fail(format!(
            "there is no file {shown}: give --ca the certificate authority's PEM file"
        )),
        pem::Error::Io(error) => fail(format!("cannot read {shown}: {error}")),
        other => fail(format!(
            "{shown} is not a PEM file of certificates: {other}"
        )),
    };
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots
            .add(certificate)
            .map_err(|error| fail(format!("a certificate in {shown} cannot be used: {error}")))?;
    }
    if roots.len() == before {
        return Err(fail(format!(
            "{shown} has no certificate in it: give --ca the certificate authority's PEM file"
        )));
    }
    Ok(())
}

/// Believes every certificate, but not a server that does not own the one it shows: so much is
/// needed for the handshake to cost what it costs others.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
