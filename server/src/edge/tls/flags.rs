//! What an operator says about TLS.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::pair::Files;

/// Where wss listens when certificates are given but no address.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);

/// The part of the command line that is about TLS.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsFlags {
    /// Address and port for wss:// [default: 127.0.0.1:7443 with --tls-cert or --dev-tls, else none]
    #[arg(long, env = "ROOMCAST_LISTEN_TLS", value_name = "IP:PORT", value_parser = crate::edge::config::parse_address)]
    listen_tls: Option<SocketAddr>,

    /// PEM file with a certificate and its chain. Several times for several names: clients choose by SNI, the first is
    /// the default. Read again when it changes and on SIGHUP; in the environment, several are separated by `:`
    #[arg(long, env = "ROOMCAST_TLS_CERT", value_name = "FILE")]
    tls_cert: Vec<PathBuf>,

    /// PEM file with the private key of the certificate given in the same place
    #[arg(long, env = "ROOMCAST_TLS_KEY", value_name = "FILE")]
    tls_key: Vec<PathBuf>,

    /// wss for development: makes a certificate authority of your own and a certificate for this machine, and says how
    /// browsers, curl and loadgen trust it
    #[arg(long, env = "ROOMCAST_DEV_TLS", value_parser = FalseyValueParser::new())]
    dev_tls: bool,
}

/// TLS as the flags ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where wss listens.
    pub address: SocketAddr,
    /// Where certificates come from.
    pub source: Source,
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From files that somebody else makes, at least one pair.
    Files(Vec<Files>),
    /// From this machine's own development authority.
    Development,
}

impl TlsFlags {
    /// Takes lists in the environment apart, which clap sees as one path. On the command line a path may hold any
    /// character.
    pub fn split_lists(&mut self, matches: &ArgMatches) {
        for (id, paths) in [
            ("tls_cert", &mut self.tls_cert),
            ("tls_key", &mut self.tls_key),
        ] {
            if matches.value_source(id) == Some(ValueSource::EnvVariable) {
                *paths = paths.iter().flat_map(env::split_paths).collect();
            }
        }
    }

    /// What is asked for; nothing without certificates.
    ///
    /// # Errors
    ///
    /// One line that names the flags and says what to do.
    pub fn wanted(&self) -> Result<Option<Wanted>, String> {
        let (certs, keys) = (self.tls_cert.len(), self.tls_key.len());
        if self.dev_tls && certs + keys > 0 {
            return Err(
                "--dev-tls makes its own certificate: give either --dev-tls or --tls-cert and --tls-key"
                    .to_owned(),
            );
        }
        if certs != keys {
            return Err(format!(
                "--tls-cert was given {certs} times and --tls-key {keys} times: give one key for each certificate, in \
                 the same order"
            ));
        }
        let source = if self.dev_tls {
            Source::Development
        } else if certs > 0 {
            let pairs = self.tls_cert.iter().zip(&self.tls_key);
            let files = pairs.map(|(cert, key)| Files {
                cert: cert.clone(),
                key: key.clone(),
            });
            Source::Files(files.collect())
        } else if self.listen_tls.is_some() {
            return Err(
                "--listen-tls needs a certificate: give --tls-cert and --tls-key, or --dev-tls to develop on this machine"
                    .to_owned(),
            );
        } else {
            return Ok(None);
        };
        Ok(Some(Wanted {
            address: self.listen_tls.unwrap_or(DEFAULT_ADDRESS),
            source,
        }))
    }
}
