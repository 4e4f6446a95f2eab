//! Log lines, on standard error, which nobody may be reading.
//!
//! Owns: how lines look and which are wanted. Must not know: what they say. Invariant: logging never waits, also not in a
//! panic: all that goes to standard error takes the way of `lines`.

mod json;
mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::{panic, thread};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::json::Json;
use self::lines::{Line, Lines};
use super::log_flags::{LogFormat, LogLevel};

/// There is one standard error. Everybody may have something to say, also a panic in whatever thread.
static LINES: OnceLock<Lines> = OnceLock::new();

/// To be called first of all: lines written before are lost.
///
/// # Errors
///
/// When the thread that writes them can't be started.
pub fn open() -> io::Result<()> {
    if LINES.get().is_none() {
        let lines = Lines::open(lines::standard_error())?;
        // Only the main thread calls this, and only once.
        let _ = LINES.set(lines);
    }
    Ok(())
}

/// Sends everything of that level and above to standard error, and every panic.
pub fn begin(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // What libraries say of their insides (mio names each registration) tells an operator nothing.
    let wanted = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("roomcast", level);
    let layer = fmt::layer()
        .with_writer(ToLines)
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false)
        .with_target(false);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.event_format(Json).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(wanted))
        .init();
    panic::set_hook(Box::new(report_panic));
}

/// One line that is no log line: why the process does not start, or ends.
pub fn say(text: &str) {
    if let Some(lines) = LINES.get() {
        lines.push(format!("{text}\n").as_bytes());
    }
}

/// Lines that found no room, because nobody reads.
pub fn dropped() -> u64 {
    LINES.get().map_or(0, Lines::dropped)
}

/// To be called last of all: waits for what is on its way, though not for ever.
pub fn finish() {
    if let Some(lines) = LINES.get() {
        lines.finish();
    }
}

/// What the standard hook says, but through the queue: that one would wait for whoever does not read.
fn report_panic(info: &panic::PanicHookInfo<'_>) {
    let current = thread::current();
    let thread = current.name().unwrap_or("unnamed");
    let message = info.payload_as_str().unwrap_or("(no text)");
    let place = info.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("an unknown place");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!("thread '{thread}' panicked at {place}: {message}\n{backtrace}");
    } else {
        tracing::error!("thread '{thread}' panicked at {place}: {message}");
    }
}

/// Gives each log line its way.
struct ToLines;

impl MakeWriter<'_> for ToLines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line::of(LINES.get())
    }
}
