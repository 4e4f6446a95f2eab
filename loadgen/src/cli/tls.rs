//! The flags of TLS: whom to trust, and whether sessions are resumed.
//!
//! It owns what each of these flags means. It must not know how trust is decided.
//!
//! Invariant: nothing is left unverified without `--insecure`.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use crate::scenario::{Tls, Trust};

/// How TLS is done with a wss:// url; without meaning for ws://.
#[derive(Clone, Debug, Args)]
pub struct TlsArgs {
    /// PEM file of the authorities to trust instead of the system's (which, for localhost and
    /// loopback addresses, include that of `roomcast --dev-tls` on this machine)
    #[arg(
        long,
        env = "LOADGEN_CA",
        value_name = "FILE",
        conflicts_with = "insecure",
        help_heading = "TLS (wss://)"
    )]
    pub ca: Option<PathBuf>,
    /// Do not verify the server's certificate: for tests only
    #[arg(long, env = "LOADGEN_INSECURE", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "TLS (wss://)")]
    pub insecure: bool,
    /// Make every TLS handshake a full one, instead of resuming the sessions of earlier ones
    #[arg(long, env = "LOADGEN_NO_RESUME", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = "TLS (wss://)")]
    pub no_resume: bool,
}

impl TlsArgs {
    /// What is described.
    #[must_use]
    pub fn tls(&self) -> Tls {
        let trust = match &self.ca {
            _ if self.insecure => Trust::Anyone,
            Some(file) => Trust::Authorities(file.clone()),
            None => Trust::System,
        };
        Tls {
            trust,
            resume: !self.no_resume,
        }
    }
}
