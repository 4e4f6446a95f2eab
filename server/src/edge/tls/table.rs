//! Which certificate a client gets: by the name it asks for (SNI, RFC 6066 section 3).
//!
//! Owns: the table of names, and that it can be exchanged while handshakes run. Must not know: files. Invariant: a
//! client always gets a certificate; one whose name nobody has gets the first pair's and may judge for itself.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{Leaf, Pair};

/// All pairs, in the order of the command line. Never changed, only replaced.
#[derive(Debug)]
pub struct Table(Vec<Pair>);

impl Table {
    /// A table of these pairs; the first one is the default.
    ///
    /// # Panics
    ///
    /// Without any pair: nobody could connect.
    pub fn new(pairs: Vec<Pair>) -> Self {
        assert!(!pairs.is_empty(), "a table needs at least one pair");
        Self(pairs)
    }

    /// Its pairs, in the order of the command line.
    pub fn pairs(&self) -> &[Pair] {
        &self.0
    }

    /// The pair for a client that asks for `name` and can verify these signatures. All are looked at: a few hundred names
    /// are nothing beside the handshake.
    pub fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> &Pair {
        let name = name.unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name);
        // A wildcard stands for exactly one label (RFC 9525 section 6.3).
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let is_whole = |own: &str| own.eq_ignore_ascii_case(name);
        let is_wildcard = |own: &str| {
            let covered = own.strip_prefix("*.").zip(parent);
            covered.is_some_and(|(own, parent)| own.eq_ignore_ascii_case(parent))
        };
        let whole = self.first(schemes, |pair| pair.names.iter().any(|own| is_whole(own)));
        whole
            .or_else(|| {
                self.first(schemes, |pair| {
                    pair.names.iter().any(|own| is_wildcard(own))
                })
            })
            .or_else(|| self.first(schemes, |_| true))
            .unwrap_or(&self.0[0])
    }

    /// The first of these pairs whose signature the client can verify, an RSA certificate beside an ECDSA one, say. If
    /// there is none the handshake fails anyway, and rustls says so to the client.
    fn first(&self, schemes: &[SignatureScheme], is: impl Fn(&Leaf) -> bool) -> Option<&Pair> {
        let mut pairs = self.0.iter().filter(|pair| is(&pair.leaf));
        let fits = |pair: &&Pair| pair.certified.key.choose_scheme(schemes).is_some();
        pairs.clone().find(fits).or_else(|| pairs.next())
    }
}

/// The table in force. Handshakes that run keep the pair they have got.
#[derive(Debug)]
pub struct Certificates(RwLock<Arc<Table>>);

impl Certificates {
    /// Serves this table until it is replaced.
    pub fn new(table: Table) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// When each of the certificates that are served now ends (Unix time in seconds), in the order in which they were given.
    pub fn ends(&self) -> Vec<i64> {
        let table = self.current();
        let ends = table.pairs().iter().map(|pair| pair.leaf.not_after);
        ends.collect()
    }

    /// The table that is served now.
    pub fn current(&self) -> Arc<Table> {
        Arc::clone(&self.0.read())
    }

    /// Serves this table from now on.
    pub fn replace(&self, table: Table) {
        *self.0.write() = Arc::new(table);
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.0.read();
        let pair = table.find(client_hello.server_name(), client_hello.signature_schemes());
        Some(Arc::clone(&pair.certified))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Folder, NOW};
    use super::*;

    const EVERYTHING: [SignatureScheme; 4] = [
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ED25519,
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PKCS1_SHA256,
    ];

    fn table(pairs: &[(&str, &[&str], &'static rcgen::SignatureAlgorithm)]) -> Table {
        let folder = Folder::new();
        let pairs = pairs.iter().map(|(stem, names, kind)| {
            Pair::load(&folder.pair_of(stem, names, kind, (1, 90)), NOW).unwrap()
        });
        Table::new(pairs.collect())
    }

    fn found(table: &Table, name: Option<&str>, schemes: &[SignatureScheme]) -> String {
        let stem = table.find(name, schemes).files.cert.file_stem();
        stem.unwrap().to_string_lossy().into_owned()
    }

    #[test]
    fn names_match_as_clients_match_them() {
        let p256 = &rcgen::PKCS_ECDSA_P256_SHA256;
        let table = table(&[
            ("default", &["Play.Example"], p256),
            ("wild", &["*.example", "other.test"], p256),
            ("exact", &["eu.example", "*.eu.example"], p256),
        ]);
        for (name, stem) in [
            (Some("play.example"), "default"),
            (Some("PLAY.EXAMPLE"), "default"),
            (Some("play.example."), "default"),
            (Some("us.example"), "wild"),
            (Some("other.test"), "wild"),
            (Some("eu.example"), "exact"),
            (Some("one.eu.example"), "exact"),
            (Some("two.labels.example"), "default"),
            (Some("example"), "default"),
            (Some(".example"), "wild"),
            (Some("common.example"), "wild"),
            (Some("unknown.test"), "default"),
            (Some(""), "default"),
            (None, "default"),
        ] {
            assert_eq!(found(&table, name, &EVERYTHING), stem, "{name:?}");
        }
    }

    #[test]
    fn a_client_that_only_knows_rsa_gets_rsa_where_there_is_one() {
        let table = table(&[
            ("ecdsa", &["game.example"], &rcgen::PKCS_ECDSA_P256_SHA256),
            ("rsa", &["game.example"], &rcgen::PKCS_RSA_SHA256),
            ("edwards", &["other.example"], &rcgen::PKCS_ED25519),
        ]);
        let only_rsa = [SignatureScheme::RSA_PKCS1_SHA256];
        let name = Some("game.example");
        assert_eq!(found(&table, name, &EVERYTHING), "ecdsa");
        assert_eq!(found(&table, name, &only_rsa), "rsa");
        assert_eq!(found(&table, None, &only_rsa), "rsa");
        assert_eq!(found(&table, Some("other.example"), &only_rsa), "edwards");
    }
}
