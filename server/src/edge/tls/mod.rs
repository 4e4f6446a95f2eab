//! TLS for an operator: certificates, how they are renewed, and the one configuration that all reactors share.
//!
//! Owns: files, names, dates, the development authority. Must not know: connections; `transport` runs handshakes with
//! the configuration made here. Invariant: the configuration outlives every change of certificates, so tickets and
//! connections do too.

mod dev;
mod flags;
mod pair;
mod reload;
mod table;
mod trust;

use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use thiserror::Error;

pub use self::dev::{Authority, Machine, Made, Unmade};
pub use self::flags::{Source, TlsFlags, Wanted};
pub use self::pair::{Contents, Files, Pair, Problem, Unusable};
pub use self::reload::{Outcome, Watch};
pub use self::table::{Certificates, Table};
pub use self::trust::command as dev_cert;

/// The only protocol spoken inside TLS (RFC 7301): WebSockets begin as HTTP/1.1.
pub const ALPN: &[u8] = b"http/1.1";

/// wss, ready to be served.
#[derive(Debug)]
pub struct Tls {
    /// For all reactors.
    pub config: Arc<ServerConfig>,
    /// To be started when the process is.
    pub watch: Watch,
    authority: Option<Authority>,
}

/// Why wss can't be served, in words for the operator.
#[derive(Debug, Error)]
pub enum NoTls {
    /// A file that the operator named.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The development authority.
    #[error(transparent)]
    Unmade(#[from] Unmade),
    /// No random bytes for the first ticket key.
    #[error("can't set TLS up: {0} (this is a fault of roomcast: please report it)")]
    Rustls(#[from] rustls::Error),
}

/// Loads, or makes, what the flags ask for.
///
/// # Errors
///
/// What can't be used or made. Nothing is served then.
pub fn setup(source: &Source) -> Result<Tls, NoTls> {
    let now = unix_now();
    let (files, authority) = match source {
        Source::Files(files) => (files.clone(), None),
        Source::Development => {
            let authority = Authority::of_this_user()?;
            let made = authority.ensure(&Machine::this(), now)?;
            if made.authority {
                tracing::info!(file = %authority.files().cert.display(), "made a development authority of your own");
            }
            (vec![authority.leaf()], Some(authority))
        }
    };
    let watch = Watch::begin(files, authority.clone(), now)?;
    reload::log_pairs(&watch.certificates().current());
    Ok(Tls {
        config: server_config(watch.certificates())?,
        watch,
        authority,
    })
}

impl Tls {
    /// What to do so that programs trust the development authority, if that is what signs.
    pub fn advice(&self, port: u16) -> Vec<String> {
        let ca = self
            .authority
            .as_ref()
            .map(|authority| authority.files().cert);
        ca.map_or(Vec::new(), |ca| trust::advice(&ca, port).into())
    }
}

/// The configuration that all reactors share: one ticketer, so that a session of one resumes at any other.
///
/// # Errors
///
/// When the operating system gives no random bytes for the first ticket key.
pub fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Keys rotate by themselves every six hours and never leave memory.
    config.ticketer = Ticketer::new()?;
    // A game client opens one connection at a time; a browser's second ticket would only be sealed, sent and forgotten.
    config.send_tls13_tickets = 1;
    // A cache would be a lock and memory that strangers fill; who has no ticket shakes hands in full.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // What comes with 0-RTT can be replayed (RFC 8446 section 8), and a join can't be told from its replay.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Seconds since 1970.
fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}
