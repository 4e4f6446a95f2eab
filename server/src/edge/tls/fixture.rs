//! For the tests: certificates of every kind, and handshakes without a network. Nothing here reads the clock.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, Error, RootCertStore, ServerConfig,
    ServerConnection, SideData, SupportedProtocolVersion,
};
use tempfile::TempDir;
use x509_parser::time::ASN1Time;

use super::pair::Files;

pub(super) const DAY: i64 = 24 * 60 * 60;

/// The time it always is: a day in 2027.
pub(super) const NOW: i64 = 1_800_000_000;

/// The kinds of keys that are served.
pub(super) const KINDS: [&rcgen::SignatureAlgorithm; 5] = [
    &rcgen::PKCS_ECDSA_P256_SHA256,
    &rcgen::PKCS_ECDSA_P384_SHA384,
    &rcgen::PKCS_ECDSA_P521_SHA512,
    &rcgen::PKCS_ED25519,
    &rcgen::PKCS_RSA_SHA256,
];

/// A key of this kind. RSA keys take long to find, so there is one for all.
pub(super) fn key(kind: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    static RSA: OnceLock<String> = OnceLock::new();
    if kind == &rcgen::PKCS_RSA_SHA256 {
        let pem = RSA.get_or_init(|| KeyPair::generate_for(kind).unwrap().serialize_pem());
        return KeyPair::from_pem(pem).unwrap();
    }
    KeyPair::generate_for(kind).unwrap()
}

/// A self-signed certificate for these names, from so many days before [`NOW`] until so many after.
pub(super) fn certificate(names: &[&str], key: &KeyPair, days: (i64, i64)) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let at = |days| ASN1Time::from_timestamp(NOW + days * DAY).unwrap();
    params.not_before = at(-days.0).to_datetime();
    params.not_after = at(days.1).to_datetime();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let common_name = "common.example";
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.self_signed(key).unwrap().pem()
}

/// A folder of PEM files, gone at the end of the test.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A good P-256 pair for these names.
    pub(super) fn pair(&self, stem: &str, names: &[&str]) -> Files {
        self.pair_of(stem, names, &rcgen::PKCS_ECDSA_P256_SHA256, (1, 90))
    }

    pub(super) fn pair_of(
        &self,
        stem: &str,
        names: &[&str],
        kind: &'static rcgen::SignatureAlgorithm,
        days: (i64, i64),
    ) -> Files {
        let key = key(kind);
        Files {
            cert: self.write(&format!("{stem}.pem"), &certificate(names, &key, days)),
            key: self.write(&format!("{stem}.key"), &key.serialize_pem()),
        }
    }
}

#[derive(Debug)]
struct AlwaysNow;

impl TimeProvider for AlwaysNow {
    fn current_time(&self) -> Option<UnixTime> {
        let now = Duration::from_secs(NOW.cast_unsigned());
        Some(UnixTime::since_unix_epoch(now))
    }
}

/// A client that trusts exactly these certificates.
pub(super) fn client(
    trusted: &[CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(AlwaysNow))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// Both ends of a connection.
pub(super) struct Ends {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
}

impl Ends {
    /// Shakes hands, as far as it goes.
    pub(super) fn connect(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut ends = Self {
            client: ClientConnection::new(Arc::clone(client), name)?,
            server: ServerConnection::new(Arc::clone(server))?,
        };
        ends.exchange()?;
        assert!(!ends.client.is_handshaking() && !ends.server.is_handshaking());
        Ok(ends)
    }

    /// Carries bytes to and fro until neither end has any. The server's errors count first: it is under test.
    pub(super) fn exchange(&mut self) -> Result<(), Error> {
        while self.client.wants_write() || self.server.wants_write() {
            carry(&mut self.client, &mut self.server)?;
            carry(&mut self.server, &mut self.client)?;
        }
        Ok(())
    }

    /// What the server identified itself with.
    pub(super) fn leaf(&self) -> CertificateDer<'static> {
        self.client.peer_certificates().unwrap()[0].clone()
    }
}

fn carry<F: SideData, T: SideData>(
    from: &mut ConnectionCommon<F>,
    to: &mut ConnectionCommon<T>,
) -> Result<(), Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut rest = &wire[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}
