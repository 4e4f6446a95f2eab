//! TLS for an operator: certificates, how they are renewed, and the one configuration that all reactors share.
//!
//! Owns: files, names, dates, the development authority. Must not know: connections; `transport` runs handshakes with
//! the configuration made here. Invariant: the configuration outlives every change of certificates, so tickets and
//! connections do too.

mod dev;
#[cfg(test)]
mod fixture;
mod flags;
mod pair;
mod reload;
mod session_keys;
mod table;
mod trust;

use std::sync::Arc;
use std::time::SystemTime;

use roomcast_protocol::tls::Acceptor;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::version::{TLS12, TLS13};
use thiserror::Error;

pub use self::dev::{Authority, Machine, Made, Unmade};
pub use self::flags::{Source, TlsFlags, Wanted};
pub use self::pair::{Contents, Files, Pair, Problem, Unusable};
pub use self::reload::{Outcome, Watch};
pub use self::session_keys::SessionKeys;
pub use self::table::{Certificates, Table};
pub use self::trust::command as dev_cert;

/// The only protocol spoken inside TLS (RFC 7301): WebSockets begin as HTTP/1.1.
pub const ALPN: &[u8] = b"http/1.1";

/// The same where a connection may speak HTTP/2, for who can.
const ALPN_HTTP2: &[u8] = b"h2";

/// wss, ready to be served.
#[derive(Debug)]
pub struct Tls {
    /// For all reactors.
    pub acceptor: Acceptor,
    /// To be started when the process is.
    pub watch: Watch,
    /// To be read again with the certificates.
    pub session_keys: Option<Arc<SessionKeys>>,
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
pub fn setup(wanted: &Wanted) -> Result<Tls, NoTls> {
    let now = unix_now();
    let (files, authority) = match &wanted.source {
        Source::Files(files) => (files.clone(), None),
        Source::Development => {
            let authority = Authority::of_this_user()?;
            let machine = Machine::this();
            let made = authority.ensure(&machine, now)?;
            if made.authority {
                tracing::info!(file = %authority.files().cert.display(), "made a development authority of your own");
            }
            if let Some(doubt) = authority.doubt(&machine) {
                tracing::warn!("{doubt}");
            }
            (vec![authority.leaf()], Some(authority))
        }
    };
    let watch = Watch::begin(files, authority.clone(), now)?;
    watch.log_pairs();
    // Keys rotate by themselves every six hours and never leave memory.
    let own = Ticketer::new()?;
    let session_keys = wanted
        .session_keys
        .clone()
        .map(|path| Arc::new(SessionKeys::load(path, Arc::clone(&own))));
    let ticketer = session_keys.clone().map_or(own, |keys| keys as _);
    Ok(Tls {
        acceptor: Acceptor::new(server_config(watch.certificates(), ticketer, wanted.http2)?),
        watch,
        session_keys,
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

/// The configuration that all reactors share: one ticketer, so that a session of one resumes at any other. `http2`: who can is
/// agreed with on HTTP/2.
///
/// # Errors
///
/// When the provider does not know the versions.
pub fn server_config(
    certificates: Arc<Certificates>,
    ticketer: Arc<dyn ProducesTickets>,
    http2: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    let offered = [ALPN_HTTP2, ALPN].into_iter();
    config.alpn_protocols = offered
        .skip(usize::from(!http2))
        .map(<[u8]>::to_vec)
        .collect();
    config.ticketer = ticketer;
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use rustls::pki_types::CertificateDer;
    use rustls::{AlertDescription, HandshakeKind, ProtocolVersion};

    use super::fixture::{Ends, Folder, KINDS, NOW, client};
    use super::*;

    fn leaf(pair: &Pair) -> CertificateDer<'static> {
        pair.certified.cert[0].clone()
    }

    fn serve(pairs: Vec<Pair>) -> (Arc<ServerConfig>, Arc<Certificates>) {
        let certificates = Arc::new(Certificates::new(Table::new(pairs)));
        (
            server_config(Arc::clone(&certificates), Ticketer::new().unwrap(), false).unwrap(),
            certificates,
        )
    }

    #[test]
    fn every_kind_of_key_is_served_in_both_versions() {
        let folder = Folder::new();
        for (index, kind) in KINDS.into_iter().enumerate() {
            let files = folder.pair_of(&index.to_string(), &["game.example"], kind, (1, 90));
            let pair = Pair::load(&files, NOW).unwrap();
            let trusted = [leaf(&pair)];
            let (config, _) = serve(vec![pair]);
            for (version, number) in [
                (&TLS12, ProtocolVersion::TLSv1_2),
                (&TLS13, ProtocolVersion::TLSv1_3),
            ] {
                let client = client(&trusted, &[version], &["http/1.1"]);
                let ends = Ends::connect(&config, &client, "game.example").unwrap();
                assert_eq!(ends.server.protocol_version(), Some(number), "{kind:?}");
                assert_eq!(ends.client.alpn_protocol(), Some(ALPN));
            }
        }
    }

    #[test]
    fn nothing_but_http_1_1_is_spoken() {
        let pair = Pair::load(&Folder::new().pair("a", &["game.example"]), NOW).unwrap();
        let trusted = [leaf(&pair)];
        let (config, _) = serve(vec![pair]);
        let with = |alpn| {
            let client = client(&trusted, &[&TLS13], alpn);
            let ends = Ends::connect(&config, &client, "game.example")?;
            Ok(ends.client.alpn_protocol().map(<[u8]>::to_vec))
        };
        assert_eq!(with(&["h2", "http/1.1"]), Ok(Some(ALPN.to_vec())));
        assert_eq!(with(&[]), Ok(None), "old clients don't say");
        assert_eq!(
            with(&["h2"]),
            Err(rustls::Error::NoApplicationProtocol),
            "and are told {:?}",
            AlertDescription::NoApplicationProtocol
        );
    }

    #[test]
    fn a_session_resumes_from_one_ticket_and_without_the_server_keeping_anything() {
        let pair = Pair::load(&Folder::new().pair("a", &["game.example"]), NOW).unwrap();
        let trusted = [leaf(&pair)];
        let (config, _) = serve(vec![pair]);
        assert!(!config.session_storage.can_cache());
        for version in [&TLS12, &TLS13] {
            let client = client(&trusted, &[version], &["http/1.1"]);
            let kinds = [0; 3].map(|_| {
                let ends = Ends::connect(&config, &client, "game.example").unwrap();
                ends.server.handshake_kind().unwrap()
            });
            let [first, second, third] = kinds;
            assert_ne!(first, HandshakeKind::Resumed);
            assert_eq!(second, HandshakeKind::Resumed, "{version:?}");
            assert_eq!(
                third,
                HandshakeKind::Resumed,
                "{version:?}: each gets a new ticket"
            );
        }
        let client = client(&trusted, &[&TLS13], &[]);
        let ends = Ends::connect(&config, &client, "game.example").unwrap();
        assert_eq!(ends.client.tls13_tickets_received(), 1);
        assert_eq!(config.max_early_data_size, 0);
    }

    #[test]
    fn renewed_certificates_leave_connections_and_tickets_alone() {
        let folder = Folder::new();
        let (old, new) = (
            Pair::load(&folder.pair("old", &["game.example"]), NOW).unwrap(),
            Pair::load(&folder.pair("new", &["game.example"]), NOW).unwrap(),
        );
        let trusted = [leaf(&old), leaf(&new)];
        let (config, certificates) = serve(vec![old.clone()]);
        let first = client(&trusted, &[&TLS13], &["http/1.1"]);
        let mut ends = Ends::connect(&config, &first, "game.example").unwrap();
        assert_eq!(ends.leaf(), leaf(&old));

        certificates.replace(Table::new(vec![new.clone()]));
        ends.client.writer().write_all(b"still here").unwrap();
        ends.exchange().unwrap();
        let mut heard = [0; 10];
        ends.server.reader().read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"still here");
        let resumed = Ends::connect(&config, &first, "game.example").unwrap();
        assert_eq!(
            resumed.server.handshake_kind(),
            Some(HandshakeKind::Resumed)
        );
        let stranger = client(&trusted, &[&TLS13], &["http/1.1"]);
        let fresh = Ends::connect(&config, &stranger, "game.example").unwrap();
        assert_eq!(fresh.leaf(), leaf(&new));
    }
}
