//! Certificates as an operator gets them: from an authority, in two PEM files, good or bad.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_RSA_SHA256,
    RsaKeySize,
};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::relay::{Relay, roomcast};
use crate::stream::trusting;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The two files of a pair.
#[derive(Clone)]
pub(super) struct Files {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// A pair as text.
pub(super) struct Issued {
    pub(super) cert: String,
    pub(super) key: String,
}

/// An authority, and a folder for what it issues.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client that trusts it and begins each session anew.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        let config = trusting(&self.path("ca.pem"), &[&TLS13, &TLS12]);
        let mut config = Arc::unwrap_or_clone(config);
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }

    /// A good pair with which a handshake costs what it costs at most: RSA of 4,096 bits.
    pub(super) fn costly_pair(&self, name: &str) -> Files {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = self.files(name);
        files.replace(&Issued {
            cert: cert.pem(),
            key: key.serialize_pem(),
        });
        files
    }

    /// A certificate for these names, good since yesterday and for so many days from now, which may be gone.
    pub(super) fn issue(&self, names: &[&str], days: i32) -> Issued {
        let names = names.iter().map(|name| (*name).to_owned());
        let mut params = CertificateParams::new(names.collect::<Vec<_>>()).expect("names");
        let now = SystemTime::now();
        let end = DAY * days.unsigned_abs();
        params.not_before = (now - DAY * 100).into();
        params.not_after = if days < 0 { now - end } else { now + end }.into();
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Where a pair of that name is.
    pub(super) fn files(&self, name: &str) -> Files {
        Files {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    /// A good pair in files of that name.
    pub(super) fn pair(&self, name: &str, hosts: &[&str]) -> Files {
        let files = self.files(name);
        files.replace(&self.issue(hosts, 90));
        files
    }

    /// A relay with wss alone, these pairs and these flags.
    pub(super) fn relay(pairs: &[&Files], flags: &[&str]) -> Relay {
        let mut command = roomcast();
        command.args([
            "--listen",
            "none",
            "--listen-tls",
            "127.0.0.1:0",
            "--reactors",
            "2",
        ]);
        for pair in pairs {
            command.arg("--tls-cert").arg(&pair.cert);
            command.arg("--tls-key").arg(&pair.key);
        }
        command.args(flags);
        Relay::spawn_secure(command)
    }
}

impl Files {
    /// Writes this pair to the files, as an ACME client does: each is whole at every moment.
    pub(super) fn replace(&self, issued: &Issued) {
        for (path, text) in [(&self.cert, &issued.cert), (&self.key, &issued.key)] {
            let new = path.with_extension("new");
            fs::write(&new, text).expect("a file");
            fs::rename(&new, path).expect("a file in its place");
        }
    }
}
