//! Live progress on stderr: a bar on a terminal, plain lines elsewhere.
//!
//! It owns how progress looks and how often plain lines come. It must not know the engine beyond
//! its snapshots, and never writes to stdout.
//!
//! Invariant: plain lines are paced by the run's own time, so that a log has the same lines
//! however fast snapshots come.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::{Progress, Silent, Snapshot, Stage};
use crate::report::units::{count, duration};

/// Time between plain lines within one stage.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Steps of the bar: a stage is shown in thousandths of its planned time.
const BAR_STEPS: u64 = 1000;

/// The progress that fits: none if not wanted, a bar if stderr is a terminal, lines otherwise.
#[must_use]
pub fn choose(wanted: bool) -> Box<dyn Progress> {
    if !wanted {
        Box::new(Silent)
    } else if io::stderr().is_terminal() {
        Box::new(Bar::new())
    } else {
        Box::new(Lines::new(io::stderr()))
    }
}

/// A bar on a terminal; it vanishes when dropped.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(BAR_STEPS), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:>8} [{bar:24}] {wide_msg}")
            .expect("the template is constant and valid")
            .progress_chars("=> ");
        bar.set_style(style);
        Self { bar }
    }
}

impl Progress for Bar {
    fn update(&self, snapshot: &Snapshot) {
        self.bar.set_prefix(stage_name(snapshot.stage));
        self.bar
            .set_position((share_done(snapshot) * BAR_STEPS as f64) as u64);
        self.bar.set_message(describe(snapshot));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// One line when a stage begins and every few seconds of it.
struct Lines<W> {
    inner: Mutex<LinesInner<W>>,
}

struct LinesInner<W> {
    out: W,
    /// The stage of the last line and how far into it the next one is due.
    next: Option<(Stage, Duration)>,
}

impl<W: Write> Lines<W> {
    fn new(out: W) -> Self {
        Self {
            inner: Mutex::new(LinesInner { out, next: None }),
        }
    }
}

impl<W: Write> Progress for Lines<W> {
    fn update(&self, snapshot: &Snapshot) {
        let Ok(mut inner) = self.inner.lock() else {
            return;
        };
        let due = inner
            .next
            .is_none_or(|(stage, due)| stage != snapshot.stage || snapshot.stage_elapsed >= due);
        if due {
            inner.next = Some((snapshot.stage, snapshot.stage_elapsed + LINE_EVERY));
            let line = format!("{:<8} {}\n", stage_name(snapshot.stage), describe(snapshot));
            // Nobody reads stderr any more: the run is worth finishing all the same.
            let _ = inner.out.write_all(line.as_bytes());
        }
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Ramp => "connect",
        Stage::Settle => "settle",
        Stage::Warmup => "warm up",
        Stage::Measure => "measure",
        Stage::Drain => "drain",
        Stage::Close => "close",
    }
}

/// How much of the stage is over, 0 to 1.
fn share_done(snapshot: &Snapshot) -> f64 {
    let (done, all) = match snapshot.stage {
        Stage::Ramp => (snapshot.connected as f64, snapshot.clients as f64),
        Stage::Close => (
            snapshot.clients.saturating_sub(snapshot.connected) as f64,
            snapshot.clients as f64,
        ),
        _ => (
            snapshot.stage_elapsed.as_secs_f64(),
            snapshot.stage_planned.as_secs_f64(),
        ),
    };
    if all > 0.0 {
        (done / all).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

fn describe(snapshot: &Snapshot) -> String {
    let clients = format!(
        "{} of {} clients",
        count(snapshot.connected as u64),
        count(snapshot.clients as u64)
    );
    let mut parts = Vec::new();
    match snapshot.stage {
        Stage::Ramp | Stage::Settle | Stage::Close => parts.push(clients),
        Stage::Warmup | Stage::Measure | Stage::Drain => {
            parts.push(format!(
                "{:.0} of {:.0} s",
                snapshot.stage_elapsed.as_secs_f64(),
                snapshot.stage_planned.as_secs_f64()
            ));
            if snapshot.connected < snapshot.clients {
                parts.push(clients);
            }
            parts.push(format!(
                "{} msg/s",
                count(snapshot.send_rate.round() as u64)
            ));
            parts.push(format!(
                "{} deliveries/s",
                count(snapshot.delivery_rate.round() as u64)
            ));
        }
    }
    for (name, percentile) in [("p50", snapshot.p50), ("p99", snapshot.p99)] {
        if let Some(percentile) = percentile {
            parts.push(format!("{name} {}", duration(percentile.as_nanos() as f64)));
        }
    }
    for (what, times) in [
        ("failed to connect", snapshot.connect_failed),
        ("missing", snapshot.missing),
        ("wrong", snapshot.wrong),
    ] {
        if times > 0 {
            parts.push(format!("{} {what}", count(times)));
        }
    }
    if snapshot.lag >= Duration::from_millis(1) {
        parts.push(format!(
            "own lag {}",
            duration(snapshot.lag.as_nanos() as f64)
        ));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(stage: Stage, elapsed_ms: u64) -> Snapshot {
        Snapshot {
            stage,
            stage_elapsed: Duration::from_millis(elapsed_ms),
            stage_planned: Duration::from_secs(15),
            connected: 1_000,
            connect_failed: 0,
            clients: 1_000,
            sent: 0,
            delivered: 0,
            send_rate: 999.6,
            delivery_rate: 9_000.2,
            p50: None,
            p99: None,
            missing: 0,
            wrong: 0,
            lag: Duration::ZERO,
        }
    }

    #[test]
    fn lines_come_with_each_stage_and_every_few_seconds_of_it() {
        let lines = Lines::new(Vec::new());
        for ms in (0..2_000).step_by(250) {
            lines.update(&snapshot(Stage::Ramp, ms));
        }
        for ms in (0..12_000).step_by(250) {
            lines.update(&snapshot(Stage::Measure, ms));
        }
        let text = String::from_utf8(lines.inner.into_inner().unwrap().out).unwrap();
        assert_eq!(
            text,
            "connect  1,000 of 1,000 clients\n\
             measure  0 of 15 s, 1,000 msg/s, 9,000 deliveries/s\n\
             measure  5 of 15 s, 1,000 msg/s, 9,000 deliveries/s\n\
             measure  10 of 15 s, 1,000 msg/s, 9,000 deliveries/s\n"
        );
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let troubled = Snapshot {
            connected: 990,
            connect_failed: 10,
            missing: 4,
            wrong: 1,
            lag: Duration::from_millis(12),
            p50: Some(Duration::from_micros(60)),
            p99: Some(Duration::from_millis(2)),
            ..snapshot(Stage::Measure, 3_000)
        };
        assert_eq!(
            describe(&troubled),
            "3 of 15 s, 990 of 1,000 clients, 1,000 msg/s, 9,000 deliveries/s, p50 60 us, p99 2 ms, \
             10 failed to connect, 4 missing, 1 wrong, own lag 12 ms"
        );
    }

    #[test]
    fn the_share_done_follows_what_the_stage_is_about() {
        let half = Snapshot {
            connected: 500,
            ..snapshot(Stage::Ramp, 0)
        };
        assert_eq!(share_done(&half), 0.5);
        assert_eq!(share_done(&snapshot(Stage::Measure, 3_000)), 0.2);
        assert_eq!(share_done(&snapshot(Stage::Drain, 99_000)), 1.0);
        let nobody = Snapshot { clients: 0, ..half };
        assert_eq!(share_done(&nobody), 0.0);
    }
}
