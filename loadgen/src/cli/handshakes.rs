//! The flags of `loadgen handshakes`.
//!
//! It owns their names and bounds. It must not know how handshakes are made.
//!
//! Invariant: a plan that comes out of here can be carried out.

use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use super::tls::TlsArgs;
use super::values::{parse_duration, parse_whole};
use crate::exit::Failure;
use crate::handshakes::Plan;
use crate::scenario::{STAGE_MAX, default_threads};
use crate::target::Target;

/// Flags of `handshakes`.
#[derive(Debug, Args)]
pub struct HandshakesArgs {
    /// Server to make handshakes with, wss://host:port
    #[arg(long, env = "LOADGEN_URL", default_value = "wss://127.0.0.1:7443")]
    pub url: String,
    /// How long to measure: 10, 500ms, 2m
    #[arg(long, short = 'd', env = "LOADGEN_DURATION", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Connections at a time
    #[arg(long, env = "LOADGEN_CONCURRENCY", value_name = "CONNECTIONS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,
    /// Threads that connect [default: half of the cores]
    #[arg(long, env = "LOADGEN_THREADS", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// How long one handshake may take
    #[arg(long, env = "LOADGEN_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub handshake_timeout: Duration,
    /// Process id of the server, for its CPU time [default: who listens at a loopback url]
    #[arg(long, env = "LOADGEN_SERVER_PID", value_name = "PID", value_parser = parse_whole::<u32>)]
    pub server_pid: Option<u32>,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Print JSON on stdout instead of the table
    #[arg(long, env = "LOADGEN_JSON", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub json: bool,
}

impl HandshakesArgs {
    /// The plan that is described.
    ///
    /// # Errors
    /// One line and exit code 2 for the first thing that cannot be done.
    pub fn plan(&self) -> Result<Plan, Failure> {
        let target =
            Target::parse(&self.url).map_err(|error| Failure::usage(format!("--url: {error}")))?;
        if !target.is_secure() {
            return Err(Failure::usage(format!(
                "--url: {target} has no TLS handshake: give a wss:// url"
            )));
        }
        for (flag, time) in [
            ("--duration", self.duration),
            ("--handshake-timeout", self.handshake_timeout),
        ] {
            if time.is_zero() || time > STAGE_MAX {
                return Err(Failure::usage(format!(
                    "{flag} must be more than nothing and at most 24 hours"
                )));
            }
        }
        Ok(Plan {
            target,
            tls: self.tls.tls(),
            duration: self.duration,
            concurrency: self.concurrency as usize,
            threads: self
                .threads
                .map_or_else(default_threads, |threads| threads as usize),
            handshake_timeout: self.handshake_timeout,
            server_pid: self.server_pid,
        })
    }
}
