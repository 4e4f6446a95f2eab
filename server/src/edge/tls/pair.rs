//! One certificate and its private key, read from PEM and checked.
//!
//! Owns: what makes a pair usable. Must not know: where the result is served. Invariant: a [`Pair`] has a key that
//! belongs to its certificate and was valid at the time it was checked for.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roomcast_protocol::tls::pem::{self, Block, Malformed};
use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::limits::CERTIFICATE_FILE;

/// The two files of a pair, as the operator named them. They may be the same file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Files {
    /// PEM: the leaf first, then the certificates that lead to a root.
    pub cert: PathBuf,
    /// PEM: PKCS #8, SEC 1 or PKCS #1, not encrypted.
    pub key: PathBuf,
}

/// What the two files hold, or why they could not be read. Compared by its hash to find out whether they changed.
#[derive(Debug, Hash)]
pub struct Contents {
    cert: Result<Vec<u8>, Problem>,
    key: Result<Vec<u8>, Problem>,
}

/// A certificate with its chain and key, ready to be served.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Where it came from.
    pub files: Files,
    /// What rustls serves.
    pub certified: Arc<CertifiedKey>,
    /// What its leaf says.
    pub leaf: Leaf,
}

/// What the first certificate of a chain says of itself.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// dNSName entries (RFC 5280 section 4.2.1.6) in lower case, wildcards included. The common name is no name of a host
    /// any more (RFC 9525 section 2).
    pub names: Vec<String>,
    /// iPAddress entries. No client asks for one by SNI; they are kept for the log.
    pub addresses: Vec<IpAddr>,
    /// Unix time in seconds after which clients refuse it.
    pub not_after: i64,
    /// The certificate that it is signed by is not in the file: only clients that have that already trust it.
    pub lacks_issuer: bool,
}

/// A file that can't be used, and why: one line for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[error("can't use {}: {problem}", .file.display())]
pub struct Unusable {
    /// The file to look at.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum Problem {
    /// The operating system refuses it.
    #[error("{0} (it must exist and be readable for the user that runs roomcast)")]
    Unreadable(String),
    /// A folder, a pipe or a device: they can't be read again when they change.
    #[error("it is no regular file (give a PEM file)")]
    NoFile,
    /// Larger than any certificate.
    #[error("it is larger than {CERTIFICATE_FILE} bytes (give a PEM file with one chain)")]
    TooLarge,
    /// Base64 or section markers are broken, or something is in it that nobody knows.
    #[error("it is no valid PEM: {0}")]
    Pem(#[from] Malformed),
    /// Something that would not be used.
    #[error(
        "there is {0} in it that is not used (take it out, so that nothing is missing unnoticed)"
    )]
    Unused(&'static str),
    /// No CERTIFICATE section.
    #[error(
        "there is no certificate in it (--tls-cert takes PEM, -----BEGIN CERTIFICATE-----; the key goes to --tls-key)"
    )]
    NoCertificate,
    /// No private key section of a known kind.
    #[error(
        "there is no private key in it (--tls-key takes PEM, -----BEGIN PRIVATE KEY-----; the certificate goes to --tls-cert)"
    )]
    NoKey,
    /// The key needs a passphrase, and nobody is there to type one.
    #[error("the key in it is encrypted (decrypt it with openssl pkey -in FILE -out NEW)")]
    Encrypted,
    /// Not a certificate or key that this program can serve.
    #[error("{0} (RSA of 2048 bits and more, ECDSA P-256, P-384, P-521 and Ed25519 work)")]
    Unsupported(String),
    /// The key is another certificate's.
    #[error(
        "the key in it does not belong to the certificate in {} (--tls-cert and --tls-key are paired in the order given)",
        .0.display()
    )]
    Mismatch(PathBuf),
    /// Its time is over.
    #[error("the certificate in it expired on {0} (renew it)")]
    Expired(String),
    /// Its time has not come.
    #[error("the certificate in it is not valid before {0} (is this machine's clock right?)")]
    NotYetValid(String),
}

impl Files {
    /// Reads both files. What goes wrong is part of the result.
    pub fn read(&self) -> Contents {
        Contents {
            cert: read(&self.cert),
            key: read(&self.key),
        }
    }

    /// Whether everybody on this machine may read the private key.
    pub fn key_is_open_to_others(&self) -> bool {
        // A file that went away in the meantime is open to nobody.
        let mode = std::fs::metadata(&self.key).map_or(0, |key| key.permissions().mode());
        mode & 0o004 != 0
    }

    /// A usable pair, if `contents` are one at the Unix time `now`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, certificate before key.
    pub fn check(&self, contents: &Contents, now: i64) -> Result<Pair, Unusable> {
        let of = |file: &Path| {
            let file = file.to_owned();
            move |problem| Unusable { file, problem }
        };
        // Both may be in one file; what is in two is all of its own kind.
        let together = contents.key == contents.cert;
        let cert = contents.cert.as_deref().map_err(Clone::clone);
        let chain = cert
            .and_then(|text| chain(text, together))
            .map_err(of(&self.cert))?;
        let leaf = Leaf::of(&chain, now).map_err(of(&self.cert))?;
        let key = contents.key.as_deref().map_err(Clone::clone);
        let key = key.and_then(|text| private_key(text, together));
        let key = key
            .and_then(|key| any_supported_type(&key).map_err(unsupported))
            .map_err(of(&self.key))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(of(&self.key)(Problem::Mismatch(self.cert.clone())));
            }
            // Every kind of key that this provider loads tells its public half; what is left is the certificate.
            Err(error) => return Err(of(&self.cert)(unsupported(error))),
        }
        Ok(Pair {
            files: self.clone(),
            certified: Arc::new(certified),
            leaf,
        })
    }
}

impl Pair {
    /// Reads and checks both files.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn load(files: &Files, now: i64) -> Result<Self, Unusable> {
        files.check(&files.read(), now)
    }

    /// Everything the leaf stands for, for the log.
    pub fn subjects(&self) -> String {
        let addresses = self.leaf.addresses.iter().map(ToString::to_string);
        let all: Vec<String> = self.leaf.names.iter().cloned().chain(addresses).collect();
        all.join(" ")
    }
}

/// A time in seconds since 1970 as people write dates.
pub fn date(unix: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(unix) else {
        return format!("second {unix} since 1970");
    };
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02} UTC",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute()
    )
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: io::Error| Problem::Unreadable(error.to_string());
    // Asked before it is opened: opening a pipe waits for a writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Problem::NoFile);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(CERTIFICATE_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > CERTIFICATE_FILE {
        return Err(Problem::TooLarge);
    }
    Ok(bytes)
}

/// All certificates of a PEM file, at least one. A key may be among them if the file is also the key's.
pub(super) fn chain(text: &[u8], together: bool) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let mut chain = Vec::new();
    let mut unused = None;
    for block in blocks(text)? {
        match block {
            Block::Certificate(certificate) => chain.push(certificate),
            Block::Key(_) if together => {}
            other => unused = Some(other.name()),
        }
    }
    match unused {
        _ if chain.is_empty() => Err(Problem::NoCertificate),
        Some(name) => Err(Problem::Unused(name)),
        None => Ok(chain),
    }
}

/// The key of a PEM file, which has one. Certificates may be beside it if the file is also theirs.
fn private_key(text: &[u8], together: bool) -> Result<PrivateKeyDer<'static>, Problem> {
    let mut key = None;
    let mut unused = None;
    for block in blocks(text)? {
        match block {
            Block::Key(found) if key.is_none() => key = Some(found),
            Block::Key(_) => unused = Some("a second private key"),
            Block::Certificate(_) if together => {}
            other => unused = Some(other.name()),
        }
    }
    match (key, unused) {
        (None, _) => Err(Problem::NoKey),
        (Some(_), Some(name)) => Err(Problem::Unused(name)),
        (Some(key), None) => Ok(key),
    }
}

fn blocks(text: &[u8]) -> Result<Vec<Block>, Problem> {
    pem::blocks(text).map_err(|malformed| {
        // PKCS #8 says it in the section's name, the older formats in a header that is no base64.
        if text.windows(9).any(|word| word == b"ENCRYPTED") {
            Problem::Encrypted
        } else {
            malformed.into()
        }
    })
}

impl Leaf {
    /// Of the first certificate of a chain.
    fn of(chain: &[CertificateDer<'_>], now: i64) -> Result<Self, Problem> {
        let parsed: Vec<_> = chain.iter().map(parse).collect::<Result<_, _>>()?;
        let leaf = &parsed[0];
        let validity = leaf.validity();
        let (not_before, not_after) = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        if now > not_after {
            return Err(Problem::Expired(date(not_after)));
        }
        if now < not_before {
            return Err(Problem::NotYetValid(date(not_before)));
        }
        let mut names = Vec::new();
        let mut addresses = Vec::new();
        let subjects = leaf.subject_alternative_name().map_err(unsupported)?;
        for subject in subjects.iter().flat_map(|names| &names.value.general_names) {
            match subject {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        // By name, as clients find their way. A certificate may be its own issuer.
        let issuer = leaf.issuer().as_raw();
        Ok(Self {
            names,
            addresses,
            not_after,
            lacks_issuer: !parsed.iter().any(|one| one.subject().as_raw() == issuer),
        })
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Problem> {
    match x509_parser::parse_x509_certificate(der).map_err(unsupported)? {
        ([], certificate) => Ok(certificate),
        _ => Err(unsupported("bytes follow the certificate")),
    }
}

fn unsupported(error: impl ToString) -> Problem {
    Problem::Unsupported(error.to_string())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use base64::prelude::{BASE64_STANDARD, Engine};

    use super::super::fixture::{Folder, KINDS, NOW, certificate, key};
    use super::*;

    /// The key as OpenSSL wrote it before PKCS #8 (RFC 5208), which wraps just that in an OCTET STRING.
    fn traditional(key: &rcgen::KeyPair, label: &str) -> String {
        let (_, wrapped) = x509_parser::der_parser::parse_der(key.serialized_der()).unwrap();
        let inner = wrapped.as_sequence().unwrap()[2].as_slice().unwrap();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            BASE64_STANDARD.encode(inner)
        )
    }

    #[test]
    fn keys_come_in_three_formats() {
        let folder = Folder::new();
        let (ecdsa, rsa) = (&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256);
        for (kind, label) in [
            (ecdsa, None),
            (rsa, None),
            (ecdsa, Some("EC PRIVATE KEY")),
            (rsa, Some("RSA PRIVATE KEY")),
        ] {
            let key = key(kind);
            let pem = label.map_or_else(|| key.serialize_pem(), |label| traditional(&key, label));
            let files = Files {
                cert: folder.write("cert.pem", &certificate(&["a.example"], &key, (1, 1))),
                key: folder.write("key.pem", &pem),
            };
            let pair = Pair::load(&files, NOW).unwrap();
            assert_eq!(pair.certified.keys_match(), Ok(()), "{label:?}");
        }
    }

    #[test]
    fn the_leaf_says_its_names_and_its_end() {
        let folder = Folder::new();
        for kind in KINDS {
            let names = ["Game.Example", "*.game.example", "192.0.2.7", "::1"];
            let pair = Pair::load(&folder.pair_of("a", &names, kind, (1, 90)), NOW).unwrap();
            assert_eq!(pair.leaf.names, ["game.example", "*.game.example"]);
            assert_eq!(pair.subjects(), "game.example *.game.example 192.0.2.7 ::1");
            assert_eq!(pair.leaf.not_after, NOW + 90 * 24 * 60 * 60);
        }
    }

    #[test]
    fn a_chain_and_its_key_may_share_a_file() {
        let folder = Folder::new();
        let key = key(&rcgen::PKCS_ED25519);
        let leaf = certificate(&["leaf.example"], &key, (1, 1));
        let other = certificate(&["issuer.example"], &key, (1, 1));
        let all = folder.write("all.pem", &format!("{leaf}{}{other}", key.serialize_pem()));
        let files = Files {
            cert: all.clone(),
            key: all,
        };
        let pair = Pair::load(&files, NOW).unwrap();
        assert_eq!(pair.certified.cert.len(), 2);
        assert_eq!(pair.leaf.names, ["leaf.example"]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_one_line_that_names_the_file() {
        let folder = Folder::new();
        let kind = &rcgen::PKCS_ECDSA_P256_SHA256;
        let good = folder.pair("good", &["a.example"]);
        let other = folder.pair("other", &["a.example"]);
        let text = fs::read_to_string(&good.cert).unwrap();
        let missing = folder.path("missing.pem");
        let cut = folder.write("cut.pem", &text[..text.len() / 2]);
        let garbage = text.replacen("MII", "M!!", 1);
        let garbage = folder.write("garbage.pem", &garbage);
        let glued = folder.write("glued.pem", &format!("{}{text}", text.trim_end()));
        let strange = folder.write("strange.pem", &text.replace(" CERT", " X509 CERT"));
        let key_text = fs::read_to_string(&good.key).unwrap();
        let both = folder.write("both.pem", &format!("{text}{key_text}"));
        let two_keys = folder.write("two.key", &key_text.repeat(2));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let nonsense = folder.write("nonsense.pem", nonsense);
        let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let bad_key = folder.write("bad.key", bad_key);
        let empty = folder.write("empty.pem", "");
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let encrypted = folder.write("encrypted.key", encrypted);
        let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let old_encrypted = folder.write("old_encrypted.key", old_encrypted);
        let large = folder.write("large.pem", &" ".repeat(CERTIFICATE_FILE as usize + 1));
        let socket = folder.path("socket");
        let _listening = UnixListener::bind(&socket).unwrap();
        let expired = folder
            .pair_of("expired", &["a.example"], kind, (90, -1))
            .cert;
        let early = folder.pair_of("early", &["a.example"], kind, (-1, 90)).cert;

        let of_cert = |cert: &Path, says: &'static str| {
            (cert.to_owned(), good.key.clone(), cert.to_owned(), says)
        };
        let of_key = |key: &Path, says: &'static str| {
            (good.cert.clone(), key.to_owned(), key.to_owned(), says)
        };
        for (cert, key, named, says) in [
            of_cert(&missing, "No such file"),
            of_cert(&cut, "the block in line 1 does not end"),
            of_cert(&garbage, "the block in line 1 is no base64"),
            of_cert(&glued, "is a line break missing"),
            of_cert(&strange, "of an unknown kind: X509 CERTIFICATE"),
            of_cert(&both, "a private key in it that is not used"),
            of_cert(&nonsense, "ECDSA"),
            of_cert(&empty, "no certificate in it"),
            of_cert(&good.key, "the key goes to --tls-key"),
            of_cert(&large, "larger than"),
            of_cert(&socket, "no regular file"),
            of_cert(&folder.path(""), "no regular file"),
            of_cert(&expired, "expired on 2027-01-14 08:00 UTC"),
            of_cert(&early, "not valid before 2027-01-16 08:00 UTC"),
            of_key(&missing, "readable for the user that runs roomcast"),
            of_key(&empty, "no private key in it"),
            of_key(&good.cert, "the certificate goes to --tls-cert"),
            of_key(&bad_key, "ECDSA"),
            of_key(&both, "a certificate in it that is not used"),
            of_key(&two_keys, "a second private key in it"),
            of_key(&encrypted, "encrypted"),
            of_key(&old_encrypted, "openssl pkey"),
            of_key(&other.key, "good.pem"),
        ] {
            let refused = Pair::load(&Files { cert, key }, NOW).unwrap_err();
            let line = refused.to_string();
            assert_eq!(refused.file, named, "{line}");
            assert!(line.contains(&named.display().to_string()), "{line}");
            assert!(line.contains(says), "{says}: {line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn a_leaf_whose_issuer_is_not_in_the_file_is_noticed() {
        let folder = Folder::new();
        let kind = &rcgen::PKCS_ECDSA_P256_SHA256;
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "an issuer");
        let issuer = rcgen::CertifiedIssuer::self_signed(params, key(kind)).unwrap();
        let leaf_key = key(kind);
        let leaf = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap().pem();
        let stranger = certificate(&["b.example"], &leaf_key, (1, 1));
        let key = folder.write("key.pem", &leaf_key.serialize_pem());
        for (text, lacks_issuer) in [
            (leaf.clone(), true),
            (format!("{leaf}{stranger}"), true),
            (format!("{leaf}{}", issuer.pem()), false),
            (format!("{leaf}{stranger}{}", issuer.pem()), false),
            (stranger, false),
        ] {
            let cert = folder.write("cert.pem", &text);
            let key = key.clone();
            // Of those made here, one is valid now and the others for ever.
            let pair = Pair::load(&Files { cert, key }, NOW).unwrap();
            assert_eq!(pair.leaf.lacks_issuer, lacks_issuer, "{text}");
        }
    }

    #[test]
    fn a_certificate_is_good_to_its_last_second() {
        let files = Folder::new();
        let files = files.pair_of("a", &["a.example"], &rcgen::PKCS_ED25519, (0, 1));
        let contents = files.read();
        let at = |now| files.check(&contents, now).map_err(|error| error.problem);
        assert!(matches!(at(NOW - 1), Err(Problem::NotYetValid(_))));
        assert!(at(NOW).is_ok() && at(NOW + 86_400).is_ok());
        assert!(matches!(at(NOW + 86_401), Err(Problem::Expired(_))));
    }

    #[test]
    fn a_key_that_everyone_may_read_is_noticed() {
        let folder = Folder::new();
        let files = folder.pair("a", &["a.example"]);
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(files.key_is_open_to_others(), open, "{mode:o}");
        }
    }
}
