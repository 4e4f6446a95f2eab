//! What a run's TLS connections have in common: whom they trust, and what they offer.
//!
//! Owns the making of the one client configuration, and the reading of authorities from disk.
//! Must not know connections.
//! Invariant: nothing is believed that was not asked for: only [`Trust::Anyone`] skips the
//! verification.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roomcast_protocol::tls::Connector;
use roomcast_protocol::tls::pem::{self, Block};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::EngineError;
use super::fault::is_about_the_issuer;
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
    /// Shared by all threads, with its store of sessions. What is asked for (SNI) and what the
    /// certificate must be for is the host of the URL.
    pub(crate) connector: Connector,
    /// The authorities were given with `--ca`.
    pub(crate) given: bool,
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
            Trust::Authorities(file) => {
                let authorities = read(file)?;
                Arc::new(Given {
                    by_authorities: by_authorities(roots(&authorities, file)?, &provider)?,
                    authorities,
                })
            }
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
            connector: Connector::new(Arc::new(config), name),
            given: matches!(tls.trust, Trust::Authorities(_)),
        }))
    }
}

impl Secure {
    /// To be called once by a thread before its first handshake: seeds its random numbers, which
    /// takes milliseconds that are not the server's.
    pub(crate) fn prepare(&self) {
        // If there is no randomness, the handshake itself says so.
        let _ = aws_lc_rs::default_provider()
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
    let mut all = RootCertStore::empty();
    if loopback
        && let Some(path) = data_dir().map(|directory| directory.join(DEV_CA))
        && path.exists()
    {
        all = roots(&read(&path)?, &path)?;
    }
    // What cannot be read is not trusted; if that matters, the handshake says so.
    all.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(all)
}

/// Where Roomcast keeps its data, if that is known.
fn data_dir() -> Option<PathBuf> {
    match std::env::var_os(DATA_DIR) {
        Some(directory) if !directory.is_empty() => Some(directory.into()),
        _ => Some(dirs::data_dir()?.join("roomcast")),
    }
}

/// Every certificate of a PEM file, of which there must be one, and nothing else.
fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, EngineError> {
    let shown = file.display();
    let fail = |what: String| EngineError::Trust(what);
    let text = std::fs::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => fail(format!(
            "there is no file {shown}: give --ca the certificate authority's PEM file"
        )),
        _ => fail(format!("cannot read {shown}: {error}")),
    })?;
    let blocks = pem::blocks(&text).map_err(|malformed| {
        fail(format!(
            "{shown} is not a PEM file of certificates: {malformed}"
        ))
    })?;
    let mut certificates = Vec::new();
    for block in blocks {
        match block {
            Block::Certificate(certificate) => certificates.push(certificate),
            other => {
                return Err(fail(format!(
                    "{shown} has {} in it, which is nothing to trust: give --ca a file of certificates only",
                    other.name()
                )));
            }
        }
    }
    if certificates.is_empty() {
        return Err(fail(format!(
            "{shown} has no certificate in it: give --ca the certificate authority's PEM file"
        )));
    }
    Ok(certificates)
}

/// These certificates as authorities.
fn roots(
    certificates: &[CertificateDer<'static>],
    file: &Path,
) -> Result<RootCertStore, EngineError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|_| {
            let shown = file.display();
            EngineError::Trust(format!(
                "a certificate in {shown} is damaged, or of a kind that nobody uses for servers"
            ))
        })?;
    }
    Ok(roots)
}

/// Believes what the given certificates have signed, and the given ones themselves, as curl does: a server may show one
/// that it has signed by itself, or one whose issuer nobody here knows.
#[derive(Debug)]
struct Given {
    by_authorities: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.by_authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // Its time was looked at before its issuer, and its name is looked at last.
            Err(rustls::Error::InvalidCertificate(error))
                if is_about_the_issuer(&error) && self.authorities.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verifier = &self.by_authorities;
        verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verifier = &self.by_authorities;
        verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authorities.supported_verify_schemes()
    }
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
