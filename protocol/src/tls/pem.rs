//! Certificates and keys as text (RFC 7468), with nothing of it left out in silence.
//!
//! Owns: which blocks a text has. Must not know: files, and which blocks are wanted. Invariant: each block that begins
//! is returned, or the whole text is refused: a library that looks only for what it knows would pass over a certificate
//! whose first line is glued to the last one of another.

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// `openssl ecparam -genkey` writes this before the key, which says the same again.
const CURVE: &[u8] = b"EC PARAMETERS";

/// What a block holds.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Block {
    /// A certificate.
    Certificate(CertificateDer<'static>),
    /// A private key that is not encrypted: PKCS #8, SEC 1 or PKCS #1.
    Key(PrivateKeyDer<'static>),
    /// A public key, a revocation list, a request: known, and of no use here. In words.
    Other(&'static str),
}

impl Block {
    /// What it is, in words.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "a certificate",
            Self::Key(_) => "a private key",
            Self::Other(name) => name,
        }
    }
}

/// Why a text is not taken. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// `-----BEGIN` within a line: most often the line break between two files is missing.
    #[error("a block begins within line {0} (is a line break missing before it?)")]
    Glued(usize),
    /// It may be of use to somebody, but nobody here knows what it is.
    #[error("the block in line {0} is of an unknown kind: {1}")]
    Unknown(usize, String),
    /// Its END is missing, or is not that of its BEGIN.
    #[error("the block in line {0} does not end")]
    Endless(usize),
    /// What is between BEGIN and END can't be decoded.
    #[error("the block in line {0} is no base64")]
    Garbage(usize),
}

/// All blocks of `text`, in order. A byte order mark, CRLF, and text around blocks are fine.
///
/// # Errors
///
/// The first thing because of which a block that begins could not be returned.
///
/// # Examples
///
/// ```
/// use roomcast_protocol::tls::pem::{Malformed, blocks};
///
/// let cut = b"-----BEGIN CERTIFICATE-----\nMIIB";
/// assert_eq!(blocks(cut), Err(Malformed::Endless(1)));
/// ```
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, Malformed> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let begun = begun(text)?;
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text);
    let decoded = begun.into_iter().map(|line| match sections.next() {
        Some(Ok(section)) => Ok(block(section)),
        Some(Err(_)) | None => Err(Malformed::Garbage(line)),
    });
    decoded.collect()
}

fn block((kind, der): (SectionKind, Vec<u8>)) -> Block {
    match kind {
        SectionKind::Certificate => Block::Certificate(der.into()),
        SectionKind::PublicKey => Block::Other("a public key"),
        SectionKind::Crl => Block::Other("a revocation list"),
        SectionKind::Csr => Block::Other("a certificate request"),
        other => PrivateKeyDer::from_pem(other, der)
            .map_or(Block::Other("an ECH configuration"), Block::Key),
    }
}

/// The lines in which blocks begin, each of which ends.
fn begun(text: &[u8]) -> Result<Vec<usize>, Malformed> {
    let mut begun = Vec::new();
    // The block that is open, if one is: where it begins, and its label.
    let mut open: Option<(usize, &[u8])> = None;
    for (line, text) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let ends = |label: &[u8]| {
            let rest = text
                .strip_prefix(END)
                .and_then(|rest| rest.strip_prefix(label));
            rest.is_some_and(|rest| rest.starts_with(b"-----"))
        };
        if open.is_some_and(|(_, label)| ends(label)) {
            open = None;
        }
        let begins = text.windows(7).filter(|word| *word == b"-BEGIN ").count();
        let Some(label) = text.strip_prefix(BEGIN) else {
            match begins {
                0 => continue,
                _ => return Err(Malformed::Glued(line)),
            }
        };
        if let Some((line, _)) = open {
            return Err(Malformed::Endless(line));
        }
        if begins > 1 {
            return Err(Malformed::Glued(line));
        }
        let label = label.trim_ascii_end();
        let label = label.strip_suffix(b"-----").unwrap_or(label);
        if SectionKind::try_from(label).is_ok() {
            begun.push(line);
        } else if label != CURVE {
            let label = String::from_utf8_lossy(label).into_owned();
            return Err(Malformed::Unknown(line, label));
        }
        open = Some((line, label));
    }
    match open {
        Some((line, _)) => Err(Malformed::Endless(line)),
        None => Ok(begun),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    const TWO: &str = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMIIK\n-----END EC PRIVATE KEY-----\n";

    fn found(text: &str) -> Result<Vec<&'static str>, Malformed> {
        let blocks = blocks(text.as_bytes())?;
        Ok(blocks.iter().map(Block::name).collect())
    }

    #[test]
    fn every_block_that_begins_is_returned() {
        let curve = "-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n";
        let request = TWO.replace("CERTIFICATE", "CERTIFICATE REQUEST");
        for (text, blocks) in [
            (String::new(), &[][..]),
            ("no block at all".into(), &[]),
            (format!("{ONE}\n{TWO}"), &["a certificate", "a certificate"]),
            (format!("# root\nsubject=/CN=x\n{ONE}"), &["a certificate"]),
            (format!("\u{feff}{ONE}"), &["a certificate"]),
            (TWO.replace('\n', "\r\n"), &["a certificate"]),
            (TWO.replace("-----\n", "----- \n"), &["a certificate"]),
            (
                format!("{ONE} glued text\n{TWO}"),
                &["a certificate", "a certificate"],
            ),
            (format!("{curve}{KEY}"), &["a private key"]),
            (request, &["a certificate request"]),
        ] {
            assert_eq!(found(&text).as_deref(), Ok(blocks), "{text}");
        }
    }

    #[test]
    fn a_block_that_cannot_be_returned_refuses_the_text() {
        let trusted = ONE.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        let unknown = |line| Err(Malformed::Unknown(line, "TRUSTED CERTIFICATE".into()));
        let four = ONE.replacen("-----BEGIN", "----BEGIN", 1);
        for (text, refused) in [
            (format!("{ONE}{TWO}"), Err(Malformed::Glued(3))),
            (format!("x {TWO}"), Err(Malformed::Glued(1))),
            (format!(" {ONE}"), Err(Malformed::Glued(1))),
            (format!("{TWO}{four}"), Err(Malformed::Glued(4))),
            (
                ONE.replacen("MIIB\n", "MIIB", 1),
                Err(Malformed::Endless(1)),
            ),
            (format!("{TWO}{}", &ONE[..40]), Err(Malformed::Endless(4))),
            (
                ONE.replace("END CERT", "END KERT"),
                Err(Malformed::Endless(1)),
            ),
            (ONE[..ONE.len() - 1].into(), Err(Malformed::Endless(1))),
            (format!("{}\n{TWO}", &ONE[..32]), Err(Malformed::Endless(1))),
            (trusted.clone(), unknown(1)),
            (format!("{TWO}{trusted}"), unknown(4)),
            (
                format!("{TWO}{}", TWO.replace("MIIC", "M!!C")),
                Err(Malformed::Garbage(4)),
            ),
            (
                format!("{}{TWO}", TWO.replace("MIIC", "MIICA")),
                Err(Malformed::Garbage(1)),
            ),
        ] {
            assert_eq!(found(&text), refused, "{text}");
        }
    }

    proptest::proptest! {
        /// Whatever a text is: as many blocks as the mark of a beginning, or none of it.
        #[test]
        fn no_beginning_is_passed_over(parts in proptest::collection::vec(0usize..9, 0..12)) {
            let pieces = [
                "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "MIIB", "\n", "\r\n", " ",
                "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "\u{feff}",
            ];
            let text: String = parts.into_iter().map(|part| pieces[part]).collect();
            if let Ok(blocks) = blocks(text.as_bytes()) {
                proptest::prop_assert_eq!(blocks.len(), text.matches("-----BEGIN ").count());
            }
        }
    }
}
