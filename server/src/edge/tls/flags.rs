//! What an operator says about TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgMatches, Args};

use super::pair::Files;
use crate::edge::environment::split_paths;
use crate::edge::units::parse_address;

/// Where wss listens when certificates are given but no address.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);

/// The part of the command line that is about TLS.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsFlags {
    /// Address and port for wss://, several times for several; in the environment, separated by commas [default:
    /// 127.0.0.1:7443 with --tls-cert or --dev-tls, else none]
    #[arg(long, env = "ROOMCAST_LISTEN_TLS", value_name = "IP:PORT", value_delimiter = ',',
        value_parser = parse_address)]
    listen_tls: Vec<SocketAddr>,

    /// PEM file with a certificate and its chain. Several times for several names: clients choose by SNI, the first is
    /// the default. Read again when it changes and on SIGHUP; in the environment, several are separated by `:`
    #[arg(long, env = "ROOMCAST_TLS_CERT", value_name = "FILE")]
    tls_cert: Vec<PathBuf>,

    /// PEM file with the private key of the certificate given in the same place
    #[arg(long, env = "ROOMCAST_TLS_KEY", value_name = "FILE")]
    tls_key: Vec<PathBuf>,

    /// File with keys of session tickets, so that players resume at the next process, or at any other with the same file. A key a
    /// line: seconds since 1970 at which it was made, a space, 64 hexadecimal digits. The first encrypts, all decrypt, each
    /// for a day. Mode 0600; read again on SIGHUP
    #[arg(long, env = "ROOMCAST_TLS_TICKET_KEY", value_name = "FILE")]
    tls_ticket_key: Option<PathBuf>,

    /// HTTP/2 for who offers it in the TLS handshake, for polls, streams and events. A WebSocket still begins as HTTP/1.1: a client
    /// that offers both and opens one all the same can't then, which no browser does
    #[arg(long, env = "ROOMCAST_HTTP2", value_parser = FalseyValueParser::new())]
    pub http2: bool,

    /// wss for development: makes a certificate authority of your own and a certificate for this machine, and says how
    /// browsers, curl and loadgen trust it
    #[arg(long, env = "ROOMCAST_DEV_TLS", value_parser = FalseyValueParser::new())]
    dev_tls: bool,
}

/// TLS as the flags ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where wss listens: in at least one place.
    pub addresses: Vec<SocketAddr>,
    /// Whether it does so there only because nobody said anything else.
    pub by_default: bool,
    /// Where certificates come from.
    pub source: Source,
    /// Where keys of session tickets are, if they are to outlive the process.
    pub session_keys: Option<PathBuf>,
    /// Whether HTTP/2 is spoken with who can.
    pub http2: bool,
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
    /// Takes lists in the environment apart.
    pub fn split_lists(&mut self, matches: &ArgMatches) {
        split_paths(matches, "tls_cert", &mut self.tls_cert);
        split_paths(matches, "tls_key", &mut self.tls_key);
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
        } else if !self.listen_tls.is_empty() {
            return Err(
                "--listen-tls needs a certificate: give --tls-cert and --tls-key, or --dev-tls to develop on this machine"
                    .to_owned(),
            );
        } else if self.http2 {
            return Err(
                "--http2 is agreed on in TLS handshakes: give --tls-cert and --tls-key, or --h2c to speak it in clear with a proxy"
                    .to_owned(),
            );
        } else if self.tls_ticket_key.is_some() {
            return Err(
                "--tls-ticket-key needs a certificate: give --tls-cert and --tls-key".to_owned(),
            );
        } else {
            return Ok(None);
        };
        let addresses = if self.listen_tls.is_empty() {
            vec![DEFAULT_ADDRESS]
        } else {
            self.listen_tls.clone()
        };
        Ok(Some(Wanted {
            addresses,
            by_default: self.listen_tls.is_empty(),
            source,
            session_keys: self.tls_ticket_key.clone(),
            http2: self.http2,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::ffi::OsString;
    use std::path::Path;

    use clap::{Command, FromArgMatches};

    use super::*;

    fn parse(flags: &[&str]) -> (TlsFlags, ArgMatches) {
        let command = TlsFlags::augment_args(Command::new("roomcast"));
        let matches = command.get_matches_from(["roomcast"].iter().chain(flags));
        (TlsFlags::from_arg_matches(&matches).unwrap(), matches)
    }

    fn wanted(flags: &[&str]) -> Result<Option<Wanted>, String> {
        parse(flags).0.wanted()
    }

    fn files(cert: &str, key: &str) -> Files {
        Files {
            cert: cert.into(),
            key: key.into(),
        }
    }

    #[test]
    fn certificates_and_keys_are_paired_in_their_order() {
        assert_eq!(wanted(&[]), Ok(None));
        let flags = [
            "--tls-cert=a.pem",
            "--tls-cert=b.pem",
            "--tls-key=a.key",
            "--tls-key=b.key",
        ];
        let pairs = vec![files("a.pem", "a.key"), files("b.pem", "b.key")];
        let source = Source::Files(pairs);
        let both = wanted(&flags).unwrap().unwrap();
        assert_eq!(both.source, source);
        assert_eq!(both.addresses, ["127.0.0.1:7443".parse().unwrap()]);
        let development = wanted(&["--dev-tls", "--listen-tls", "[::]:443"]);
        let development = development.unwrap().unwrap();
        assert_eq!(development.source, Source::Development);
        assert_eq!(development.addresses, ["[::]:443".parse().unwrap()]);
    }

    #[test]
    fn flags_that_make_no_sense_together_are_refused() {
        for (flags, says) in [
            (
                &["--tls-cert=a", "--tls-cert=b", "--tls-key=a"][..],
                "2 times",
            ),
            (&["--tls-cert=a"], "--tls-key 0 times"),
            (&["--tls-key=a"], "--tls-cert was given 0 times"),
            (&["--listen-tls=127.0.0.1:1"], "--dev-tls"),
            (&["--listen-tls=127.0.0.1:1"], "--tls-cert and --tls-key"),
            (&["--dev-tls", "--tls-cert=a", "--tls-key=a"], "--dev-tls"),
            (&["--dev-tls", "--tls-key=a"], "either"),
            (&["--tls-ticket-key=a"], "--tls-cert and --tls-key"),
            (&["--http2"], "--h2c"),
        ] {
            let line = wanted(flags).unwrap_err();
            assert!(
                line.starts_with("--") && line.contains(says),
                "{flags:?}: {line}"
            );
        }
    }

    /// A path with a colon is one path when it is typed, and two when it comes from the environment, like `PATH`.
    #[test]
    fn only_the_environment_has_lists() {
        let (mut flags, matches) = parse(&["--tls-cert=a:b", "--tls-key=c"]);
        flags.split_lists(&matches);
        assert_eq!(flags.tls_cert, [Path::new("a:b")]);

        let listed = |name: &'static str| {
            let command = TlsFlags::augment_args(Command::new("roomcast"));
            // As if the variable were set: another test's thread must not see it.
            let command = command.mut_arg("tls_cert", |arg| arg.env(name));
            let matches = command.get_matches_from([OsString::from("roomcast")]);
            let mut flags = TlsFlags::from_arg_matches(&matches).unwrap();
            flags.split_lists(&matches);
            flags.tls_cert
        };
        // Cargo sets this one for every test, and it has no colon.
        assert_eq!(listed("CARGO_MANIFEST_DIR").len(), 1);
        let path = env::var_os("PATH").unwrap();
        assert_eq!(listed("PATH"), env::split_paths(&path).collect::<Vec<_>>());
    }
}
