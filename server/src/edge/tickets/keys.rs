//! Keys of tickets, in files of three kinds: a secret, a public key (PEM), a set of keys (JWKS, RFC 7517).
//!
//! Invariant: what may be a public key is never taken for a secret.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;
use thiserror::Error;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::limits::{TICKET_KEY_FILE, TICKET_SECRET_MIN};

/// Identifiers of the two kinds of public keys (RFC 5480, RFC 8410), and what such a key has: for P-256 an uncompressed
/// point, for Ed25519 the key itself.
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P256_POINT: usize = 65;
const ED25519: &str = "1.3.101.112";
const ED25519_KEY: usize = 32;

/// The byte order mark of UTF-8.
const BOM_UTF8: &[u8] = b"\xef\xbb\xbf";

/// A key, for one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name in a set; a ticket that names another key was not signed with this one.
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verifies: DecodingKey,
}

impl Key {
    pub(super) fn may_have_signed(&self, header: &Header) -> bool {
        let named = self.id.as_ref().zip(header.kid.as_ref());
        header.alg == self.algorithm && named.is_none_or(|(own, asked)| own == asked)
    }

    fn unnamed(algorithm: Algorithm, verifies: DecodingKey) -> Self {
        Self {
            id: None,
            algorithm,
            verifies,
        }
    }
}

/// A file that can't be used: one line for the operator.
#[derive(Debug, Error)]
#[error("can't use {}, which is about tickets: {problem}", .file.display())]
pub struct Unusable {
    file: PathBuf,
    problem: String,
}

impl Unusable {
    pub(super) fn new(file: &Path, problem: impl ToString) -> Self {
        Self {
            file: file.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// All keys of these files.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Key>, Unusable> {
    let mut keys = Vec::new();
    for file in files {
        let text = contents(file, TICKET_KEY_FILE)?;
        let own = of_text(&text).map_err(|problem| Unusable::new(file, problem))?;
        if is_open_to_others(file, &own) {
            tracing::warn!(file = %file.display(), "secret of tickets is readable by everyone on this machine: chmod 640 it");
        }
        keys.extend(own);
    }
    Ok(keys)
}

/// Whether everybody on this machine may read a file with a secret among its keys.
pub(super) fn is_open_to_others(file: &Path, keys: &[Key]) -> bool {
    let is_secret = keys.iter().any(|key| key.algorithm == Algorithm::HS256);
    // A file that went away in the meantime is open to nobody.
    let mode = std::fs::metadata(file).map_or(0, |file| file.permissions().mode());
    is_secret && mode & 0o004 != 0
}

/// The secret in this file.
pub(super) fn secret(file: &Path) -> Result<Vec<u8>, Unusable> {
    let text = contents(file, TICKET_KEY_FILE)?;
    let secret = match kind(&text) {
        Ok(Kind::Secret(secret)) => enough(secret).map(<[u8]>::to_vec),
        Ok(Kind::Pem | Kind::Set) => {
            Err("it is no secret (tickets are made here only with a secret, HS256)".to_owned())
        }
        Err(problem) => Err(problem),
    };
    secret.map_err(|problem| Unusable::new(file, problem))
}

/// What is in a file of at most so many bytes.
pub(super) fn contents(file: &Path, most: u64) -> Result<Vec<u8>, Unusable> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|open| open.take(most + 1).read_to_end(&mut text));
    read.map_err(|error| Unusable::new(file, error))?;
    if text.len() as u64 > most {
        return Err(Unusable::new(
            file,
            format!("it is larger than {most} bytes"),
        ));
    }
    Ok(text)
}

/// What a file holds, by how it begins.
enum Kind<'t> {
    Pem,
    Set,
    Secret(&'t [u8]),
}

/// Whatever is neither a key nor a set would do for a secret: also a public key in another form, which then whoever knows it,
/// and that is everybody, signs with. So what looks like one is refused.
fn kind(text: &[u8]) -> Result<Kind<'_>, String> {
    let trimmed = text.trim_ascii_start();
    if trimmed.starts_with(b"-----BEGIN") {
        return Ok(Kind::Pem);
    }
    if trimmed.starts_with(b"{") {
        return Ok(Kind::Set);
    }
    // Editors end a file with a line break.
    let secret = text.strip_suffix(b"\n").unwrap_or(text);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    match looks_like(text) {
        Some(other) => Err(format!("it is no secret: {other}")),
        None => Ok(Kind::Secret(secret)),
    }
}

/// What else a text is, if it looks like something that is no secret, and what to do about it.
fn looks_like(text: &[u8]) -> Option<&'static str> {
    let trimmed = text.trim_ascii();
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let begins = |words: &[&[u8]]| words.iter().any(|word| trimmed.starts_with(word));
    let is_array = trimmed.starts_with(b"[") && serde_json::from_slice::<Value>(trimmed).is_ok();
    if begins(&[BOM_UTF8]) || matches!(text, [0xff, 0xfe, _, 0, ..] | [0xfe, 0xff, 0, ..]) {
        Some("it begins with a byte order mark (save it as ASCII, without one)")
    } else if has(b"---- BEGIN") || has(b"-----BEGIN") {
        Some("something stands before the -----BEGIN of a key (remove that)")
    } else if is_der(text) || text.strip_suffix(b"\n").is_some_and(is_der) {
        Some("it is DER (convert a public key: openssl pkey -pubin -inform DER -in FILE)")
    } else if begins(&[b"ssh-", b"ecdsa-", b"sk-ssh-", b"sk-ecdsa-"]) {
        Some("it is a key of OpenSSH (convert a public one: ssh-keygen -e -m PKCS8 -f FILE)")
    } else if is_body(trimmed) {
        Some("it is a key without its -----BEGIN and -----END lines (put them around it)")
    } else if is_array {
        Some("it is a list, and no JWKS (write {\"keys\": LIST})")
    } else {
        None
    }
}

/// Whether this is what stands between the lines of a PEM.
fn is_body(text: &[u8]) -> bool {
    let framed = [
        &b"-----BEGIN KEY-----\n"[..],
        text,
        b"\n-----END KEY-----\n",
    ];
    let framed = framed.concat();
    parse_x509_pem(&framed).is_ok_and(|(_, pem)| is_der(&pem.contents))
}

/// Whether this is a SEQUENCE of elements from its first byte to its last (X.690), as every key and certificate is.
fn is_der(bytes: &[u8]) -> bool {
    let Ok((&[], whole)) = Any::from_der(bytes) else {
        return false;
    };
    let mut rest = whole.data;
    while !rest.is_empty() {
        match Any::from_der(rest) {
            Ok((behind, _)) => rest = behind,
            Err(_) => return false,
        }
    }
    whole.tag() == Tag::Sequence && !whole.data.is_empty()
}

fn of_text(text: &[u8]) -> Result<Vec<Key>, String> {
    match kind(text)? {
        Kind::Pem => Ok(vec![of_pem(text)?]),
        Kind::Set => of_set(text),
        Kind::Secret(secret) => {
            let verifies = DecodingKey::from_secret(enough(secret)?);
            Ok(vec![Key::unnamed(Algorithm::HS256, verifies)])
        }
    }
}

fn enough(secret: &[u8]) -> Result<&[u8], String> {
    if secret.len() < TICKET_SECRET_MIN {
        return Err(format!(
            "a secret needs {TICKET_SECRET_MIN} bytes at least (make one: openssl rand -hex 32)"
        ));
    }
    Ok(secret)
}

fn of_pem(text: &[u8]) -> Result<Key, String> {
    let (rest, pem) =
        parse_x509_pem(text).map_err(|error| format!("it is no valid PEM: {error}"))?;
    if pem.label != "PUBLIC KEY" {
        let converts = match &*pem.label {
            "CERTIFICATE" => "openssl x509 -in FILE -pubkey -noout",
            _ => "openssl pkey -in FILE -pubout",
        };
        return Err(format!(
            "there is a {} in it (give the public key: {converts})",
            pem.label
        ));
    }
    if !rest.trim_ascii().is_empty() {
        return Err("something follows the key (give one key in each file, or a JWKS)".to_owned());
    }
    let unknown =
        || "it is no key that tickets are signed with (ECDSA P-256 and Ed25519 are)".to_owned();
    let (_, key) = SubjectPublicKeyInfo::from_der(&pem.contents).map_err(|_| unknown())?;
    let bytes = &*key.subject_public_key.data;
    let kind = key.algorithm.algorithm.to_id_string();
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|curve| curve.as_oid().ok());
    match (
        kind.as_str(),
        curve.map(|curve| curve.to_id_string()).as_deref(),
        bytes.len(),
    ) {
        (EC, Some(P256), P256_POINT) => Ok(Key::unnamed(
            Algorithm::ES256,
            DecodingKey::from_ec_der(bytes),
        )),
        (ED25519, None, ED25519_KEY) => Ok(Key::unnamed(
            Algorithm::EdDSA,
            DecodingKey::from_ed_der(bytes),
        )),
        _ => Err(unknown()),
    }
}

/// The keys of a set that sign tickets; others are for something else.
fn of_set(text: &[u8]) -> Result<Vec<Key>, String> {
    let set: JwkSet =
        serde_json::from_slice(text).map_err(|error| format!("it is no valid JWKS: {error}"))?;
    let signs = |jwk: &&Jwk| !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
    let mut keys = Vec::new();
    for jwk in set.keys.iter().filter(signs) {
        if let Some(algorithm) = algorithm(jwk) {
            let verifies = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
            if algorithm == Algorithm::HS256 {
                enough(
                    verifies
                        .try_get_as_bytes()
                        .map_err(|error| error.to_string())?,
                )?;
            }
            keys.push(Key {
                id: jwk.common.key_id.clone(),
                algorithm,
                verifies,
            });
        }
    }
    if keys.is_empty() {
        return Err("no key in it signs tickets (HS256, ES256 and EdDSA do)".to_owned());
    }
    Ok(keys)
}

/// What a key of a set is for, which its kind decides and its own word may only confirm.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let (algorithm, word) = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, "HS256"),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, "ES256")
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, "EdDSA")
        }
        _ => return None,
    };
    let said = jwk.common.key_algorithm.map(|said| said.to_string());
    said.is_none_or(|said| said == word).then_some(algorithm)
}
