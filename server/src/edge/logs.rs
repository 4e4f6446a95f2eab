//! Log lines, on standard error.

use std::io::{self, IsTerminal};

use tracing::Level;

use super::config::{LogFormat, LogLevel};

/// Sends everything of that level and above to standard error.
pub fn begin(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A terminal that was closed takes no lines: telling it so would panic.
        .log_internal_errors(false)
        .with_target(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
