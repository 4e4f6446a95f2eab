//! The flags of `loadgen handshakes`.
//!
//! It owns their names and bounds. It must not know how handshakes are made.
//!
//! Invariant: a plan that comes out of here can be carried out.

use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use super::tls::TlsArgs;
use super::values::{parse_duration, parse_number, parse_whole};
use crate::exit::Failure;
use crate::handshakes::Plan;
use crate::scenario::{RATE_MAX, STAGE_MAX, default_threads};
use crate::target::Target;

/// Connections at a time unless told otherwise; enough to keep any server busy.
const CONCURRENCY: f64 = 64.0;
/// The same at a rate: their buffers and TLS states take about 20 KB each.
const CONCURRENCY_AT_A_RATE: f64 = 20_000.0;

/// Flags of `handshakes`.
#[derive(Debug, Args)]
pub struct HandshakesArgs {
    /// Server to make handshakes with, wss://host:port
    #[arg(long, env = "LOADGEN_URL", default_value = "wss://127.0.0.1:7443")]
    pub url: String,
    /// Handshakes begun each second, whether those before are over or not, past what the server
    /// makes too; each is timed from when it was due. Without it: as fast as they go, a new one
    /// when one is over
    #[arg(long, short = 'r', env = "LOADGEN_RATE", value_name = "HZ", value_parser = parse_number)]
    pub rate: Option<f64>,
    /// How long to measure: 10, 500ms, 2m
    #[arg(long, short = 'd', env = "LOADGEN_DURATION", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Connections at a time [default: 64; with --rate as many as fall due within
    /// --handshake-timeout, 64 to 20000]
    #[arg(long, env = "LOADGEN_CONCURRENCY", value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: Option<u32>,
    /// Threads that connect [default: half of the cores]
    #[arg(long, env = "LOADGEN_THREADS", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// How long one handshake may take, with --rate from when it was due
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
        if let Some(rate) = self.rate
            && !(rate > 0.0 && rate <= RATE_MAX)
        {
            return Err(Failure::usage(format!(
                "--rate must be more than 0 and at most {RATE_MAX} handshakes a second"
            )));
        }
        Ok(Plan {
            target,
            tls: self.tls.tls(),
            duration: self.duration,
            rate_hz: self.rate,
            concurrency: self.concurrency.map_or_else(
                || default_concurrency(self.rate, self.handshake_timeout),
                |concurrency| concurrency as usize,
            ),
            threads: self
                .threads
                .map_or_else(default_threads, |threads| threads as usize),
            handshake_timeout: self.handshake_timeout,
            server_pid: self.server_pid,
        })
    }
}

/// At a rate: places for all that a server which answers none of them keeps.
fn default_concurrency(rate: Option<f64>, timeout: Duration) -> usize {
    let kept = rate.map_or(0.0, |rate| rate * timeout.as_secs_f64());
    kept.clamp(CONCURRENCY, CONCURRENCY_AT_A_RATE).ceil() as usize
}
