//! The local development authority: certificates for this machine that its own programs can trust.
//!
//! Owns: the authority's folder, what it signs and when. Must not know: who serves the result. Invariant: a private key
//! is in a file that only its owner may read before it has its final name, and whoever reads a file finds it whole.

mod machine;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::UnixTime;
use rustls::server::ParsedCertificate;
use tempfile::NamedTempFile;
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

pub use self::machine::Machine;
use super::pair::{Files, Pair, Problem, Unusable};

/// Where the folder is, if not in the user's data directory.
const FOLDER_VARIABLE: &str = "ROOMCAST_DATA_DIR";

const DAY: i64 = 24 * 60 * 60;

/// Seconds that an authority is good for: importing it into browsers is work, so it is done once.
const AUTHORITY_VALID: i64 = 3650 * DAY;

/// Seconds that a leaf is good for. Browsers refuse more than 398 days.
const LEAF_VALID: i64 = 397 * DAY;

/// A leaf with fewer seconds left is made anew.
const LEAF_RENEWED: i64 = 30 * DAY;

/// Seconds before now that validity begins, for clocks that are behind: in containers, on phones.
const BACKDATED: i64 = DAY;

/// Domains that nobody else's servers are in: every authority may sign for them (RFC 6761 section 6.3, RFC 6762).
const LOCAL: [&str; 2] = ["localhost", "local"];

/// Addresses that are always this machine's own.
const LOOPBACK: [CidrSubnet; 2] = [
    CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0]),
    CidrSubnet::V6(Ipv6Addr::LOCALHOST.octets(), [255; 16]),
];

/// Characters of a common name (RFC 5280 appendix A.1, ub-common-name).
const COMMON_NAME_MAX: usize = 64;

/// Name of every such authority, before the user and the machine it is for.
pub const AUTHORITY_NAME: &str = "roomcast development CA";

/// An authority in its folder.
#[derive(Debug, Clone)]
pub struct Authority {
    folder: PathBuf,
}

/// What had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// A new authority: whoever trusted an old one has to import this one.
    pub authority: bool,
    /// A new certificate.
    pub leaf: bool,
}

/// Why there is no development certificate.
#[derive(Debug, Error)]
pub enum Unmade {
    /// Neither the variable nor a home directory says where.
    #[error(
        "can't tell where to keep the development certificates: set {FOLDER_VARIABLE} to a folder"
    )]
    NoFolder,
    /// The operating system refuses.
    #[error("can't write {}: {source} (or set {FOLDER_VARIABLE} to a folder of your own)", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It was there a moment ago.
    #[error("can't read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is an authority, but it can't sign.
    #[error(
        "{0}; to begin anew, delete dev-ca.pem and dev-ca.key there and let browsers trust the new dev-ca.pem"
    )]
    Authority(Unusable),
    /// What was just made is not good, or could not be made at all.
    #[error("can't make a development certificate: {0} (is this machine's clock right?)")]
    Generate(String),
}

impl Authority {
    /// The one of the user that runs this.
    ///
    /// # Errors
    ///
    /// [`Unmade::NoFolder`].
    pub fn of_this_user() -> Result<Self, Unmade> {
        let given = env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty());
        let folder = given.map(PathBuf::from);
        let folder = folder.or_else(|| Some(dirs::data_dir()?.join("roomcast")));
        folder.map(Self::in_folder).ok_or(Unmade::NoFolder)
    }

    /// The one in this folder, which need not exist yet.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The authority's certificate, for everyone to trust, and its key, for nobody to see.
    pub fn files(&self) -> Files {
        Files {
            cert: self.folder.join("dev-ca.pem"),
            key: self.folder.join("dev-ca.key"),
        }
    }

    /// What the server serves.
    pub fn leaf(&self) -> Files {
        Files {
            cert: self.folder.join("dev-cert.pem"),
            key: self.folder.join("dev-cert.key"),
        }
    }

    /// Sees to it that there is an authority and a good leaf for this machine at the Unix time `now`. Several processes may
    /// do so at once.
    ///
    /// # Errors
    ///
    /// When something can't be written, or the authority that is there can't sign.
    pub fn ensure(&self, machine: &Machine, now: i64) -> Result<Made, Unmade> {
        self.make_folder()?;
        let lock = self.folder.join("dev.lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|source| Unmade::Write { path: lock, source })?;
        let mut made = Made {
            authority: false,
            leaf: false,
        };
        if !self.is_good(machine, now) {
            made.authority = self.ensure_authority(machine, now)?;
            self.make_leaf(machine, now)?;
            made.leaf = true;
        }
        drop(lock);
        Ok(made)
    }

    fn make_folder(&self) -> Result<(), Unmade> {
        let failed = |source| Unmade::Write {
            path: self.folder.clone(),
            source,
        };
        if let Some(parent) = self.folder.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Whether a client of today that trusts the authority would accept the leaf for all of this machine's names.
    fn is_good(&self, machine: &Machine, now: i64) -> bool {
        let Ok(pair) = Pair::load(&self.leaf(), now) else {
            return false;
        };
        let leaf = &pair.leaf;
        let names: BTreeSet<String> = leaf.names.iter().cloned().collect();
        let addresses: BTreeSet<IpAddr> = leaf.addresses.iter().copied().collect();
        leaf.not_after - now >= LEAF_RENEWED
            && self.vouched_for(machine) == Some(names)
            && addresses == Machine::addresses()
            && self.signed(&pair, now).is_some()
    }

    /// Nothing unless the authority in the folder, with or without its key, signed this leaf.
    fn signed(&self, leaf: &Pair, now: i64) -> Option<()> {
        let authority = fs::read(self.files().cert).ok()?;
        let mut roots = RootCertStore::empty();
        for certificate in super::pair::chain(&authority, false).ok()? {
            roots.add(certificate).ok()?;
        }
        let leaf = leaf.certified.end_entity_cert().ok()?;
        let leaf = ParsedCertificate::try_from(leaf).ok()?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().ok()?));
        let algorithms = default_provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &[], now, algorithms).ok()
    }

    /// This machine's names, as far as the authority may sign for them; nothing if it can't be read.
    fn vouched_for(&self, machine: &Machine) -> Option<BTreeSet<String>> {
        let names = machine.names().into_iter();
        Some(match self.domains()? {
            Some(domains) => names.filter(|name| is_within(name, &domains)).collect(),
            None => names.collect(),
        })
    }

    /// The domains that the authority is constrained to (RFC 5280 section 4.2.1.10), if it is.
    fn domains(&self) -> Option<Option<Vec<String>>> {
        let text = fs::read(self.files().cert).ok()?;
        let chain = super::pair::chain(&text, false).ok()?;
        let (_, authority) = x509_parser::parse_x509_certificate(&chain[0]).ok()?;
        let constraints = authority.name_constraints().ok()?;
        Some(constraints.map(|constraints| {
            let permitted = constraints.value.permitted_subtrees.iter().flatten();
            let domains = permitted.filter_map(|subtree| match &subtree.base {
                GeneralName::DNSName(domain) => Some((*domain).to_owned()),
                _ => None,
            });
            domains.collect()
        }))
    }

    /// What the operator should know about an authority that was made for another machine, or before authorities were
    /// constrained. It is not replaced by itself: browsers trust it.
    pub fn doubt(&self, machine: &Machine) -> Option<String> {
        let anew = format!(
            "to begin anew, delete {} and let browsers trust the new dev-ca.pem",
            self.folder.display()
        );
        let Some(domains) = self.domains()? else {
            return Some(format!(
                "the development authority may vouch for any site, as they did once; {anew}"
            ));
        };
        let names = machine.names();
        let left_out: Vec<&str> = names
            .iter()
            .filter(|name| !is_within(name, &domains))
            .map(String::as_str)
            .collect();
        (!left_out.is_empty()).then(|| {
            format!(
                "the development authority was made for another machine and does not vouch for {}; {anew}",
                left_out.join(" ")
            )
        })
    }

    /// True if it had to be made.
    fn ensure_authority(&self, machine: &Machine, now: i64) -> Result<bool, Unmade> {
        let files = self.files();
        if !files.cert.exists() {
            return self.make_authority(machine, now).map(|()| true);
        }
        match Pair::load(&files, now) {
            Ok(_) => Ok(false),
            Err(error) if matches!(error.problem, Problem::Expired(_)) => {
                self.make_authority(machine, now).map(|()| true)
            }
            // Perhaps its key was taken away on purpose. Browsers trust this one: it is not replaced in silence.
            Err(error) => Err(Unmade::Authority(error)),
        }
    }

    fn make_authority(&self, machine: &Machine, now: i64) -> Result<(), Unmade> {
        let mut params = valid(now - BACKDATED, now + AUTHORITY_VALID)?;
        let name = format!("{AUTHORITY_NAME} ({}@{})", machine.user, machine.host);
        let name: String = name.chars().take(COMMON_NAME_MAX).collect();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Whoever gets hold of the key can pose as this machine's own servers, and as nobody else. A kind of name that
        // is not mentioned would not be constrained.
        let domains = machine
            .names()
            .into_iter()
            .filter(|name| !is_within(name, &LOCAL));
        let domains = LOCAL.map(str::to_owned).into_iter().chain(domains);
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: domains
                .map(GeneralSubtree::DnsName)
                .chain(LOOPBACK.map(GeneralSubtree::IpAddress))
                .collect(),
            excluded_subtrees: Vec::new(),
        });
        let key = key()?;
        let certificate = params.self_signed(&key).map_err(generate)?;
        write_pair(&self.files(), &certificate.pem(), &key)
    }

    fn make_leaf(&self, machine: &Machine, now: i64) -> Result<(), Unmade> {
        let files = self.files();
        let authority = Pair::load(&files, now).map_err(Unmade::Authority)?;
        let signing = fs::read_to_string(&files.key).map_err(|source| Unmade::Read {
            path: files.key.clone(),
            source,
        })?;
        let signing = KeyPair::from_pem(&signing).map_err(generate)?;
        let issuer = authority.certified.end_entity_cert();
        let issuer = issuer.map_err(|error| Unmade::Generate(error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(issuer, signing).map_err(generate)?;

        let begin = now - BACKDATED;
        let end = (begin + LEAF_VALID).min(authority.leaf.not_after);
        let mut params = valid(begin, end)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        let common_name = "roomcast development certificate";
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        for name in self.vouched_for(machine).unwrap_or_default() {
            let name = name.as_str().try_into().map_err(generate)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let addresses = Machine::addresses().into_iter().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = key()?;
        let certificate = params.signed_by(&key, &issuer).map_err(generate)?;
        write_pair(&self.leaf(), &certificate.pem(), &key)
    }
}

/// The key first: a certificate whose key is not there yet would be taken for a pair.
fn write_pair(files: &Files, certificate: &str, key: &KeyPair) -> Result<(), Unmade> {
    replace(&files.key, &key.serialize_pem())?;
    replace(&files.cert, certificate)
}

/// Puts a file in place as a whole. It is its owner's alone from the beginning.
fn replace(path: &Path, text: &str) -> Result<(), Unmade> {
    let folder = path.parent().unwrap_or(path);
    let written = NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(io::Error::from)
    });
    written.map(drop).map_err(|source| Unmade::Write {
        path: path.to_owned(),
        source,
    })
}

/// Whether a name is one of these domains, or in one.
fn is_within(name: &str, domains: &[impl AsRef<str>]) -> bool {
    domains.iter().any(|domain| {
        let rest = name.strip_suffix(domain.as_ref());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn generate(error: rcgen::Error) -> Unmade {
    Unmade::Generate(error.to_string())
}

fn key() -> Result<KeyPair, Unmade> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(generate)
}

/// Parameters of a certificate that is valid between these two Unix times.
fn valid(begin: i64, end: i64) -> Result<CertificateParams, Unmade> {
    let wrong = |error: x509_parser::error::X509Error| Unmade::Generate(error.to_string());
    let mut params = CertificateParams::default();
    params.not_before = ASN1Time::from_timestamp(begin)
        .map_err(wrong)?
        .to_datetime();
    params.not_after = ASN1Time::from_timestamp(end).map_err(wrong)?.to_datetime();
    Ok(params)
}
