//! Keys of tickets, in files of three kinds: a secret, a public key (PEM), a set of keys (JWKS, RFC 7517).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use thiserror::Error;
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
        keys.extend(of_text(&text).map_err(|problem| Unusable::new(file, problem))?);
    }
    Ok(keys)
}

/// The secret in this file.
pub(super) fn secret(file: &Path) -> Result<Vec<u8>, Unusable> {
    let text = contents(file, TICKET_KEY_FILE)?;
    match kind(&text) {
        Kind::Secret(secret) => enough(secret).map(<[u8]>::to_vec),
        Kind::Pem | Kind::Set => {
            Err("it is no secret (tickets are made here only with a secret, HS256)".to_owned())
        }
    }
    .map_err(|problem| Unusable::new(file, problem))
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

fn kind(text: &[u8]) -> Kind<'_> {
    let trimmed = text.trim_ascii_start();
    if trimmed.starts_with(b"-----BEGIN") {
        Kind::Pem
    } else if trimmed.starts_with(b"{") {
        Kind::Set
    } else {
        // Editors end a file with a line break.
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        Kind::Secret(text.strip_suffix(b"\r").unwrap_or(text))
    }
}

fn of_text(text: &[u8]) -> Result<Vec<Key>, String> {
    match kind(text) {
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
        return Err(format!(
            "there is a {} in it (give the public key: openssl pkey -in FILE -pubout)",
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
