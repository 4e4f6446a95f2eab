//! What no relay may do, whether a check asks for it or not.
//!
//! It owns the rules and what of a count can be charged to the server. It must not know checks.
//!
//! Invariant: a rule counts over everything that the clients saw, the warm-up and the misbehaving included, as far as
//! anybody can know what they should have seen.

use crate::report::{Counts, Report};

/// Something that must not happen.
#[derive(Debug)]
pub(super) struct Rule {
    /// What `--allow` calls it.
    pub(super) name: &'static str,
    /// What it counts, for `--help`.
    pub(super) about: &'static str,
    /// What holds if it never happens: the name of its case.
    pub(super) holds: &'static str,
    /// What is said behind the count.
    pub(super) happened: &'static str,
    /// How often it happened.
    pub(super) count: fn(&Report) -> u64,
    /// Out of how many: what a share in `--allow` is of.
    pub(super) of: fn(&Report) -> u64,
}

macro_rules! everyone {
    ($field:ident) => {
        |report| {
            let all = [&report.counts, &report.warmup, &report.misbehaving];
            all.iter().map(|counts| counts.$field).sum()
        }
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "lost",
        about: "deliveries that never came, the warm-up's too, and slow players' of v1",
        holds: "nothing is lost",
        happened: "deliveries were lost",
        count: |report| report.counts.lost + report.warmup.lost + gaps(report).lost,
        of: |report| report.counts.expected + report.warmup.expected + gaps(report).expected,
    },
    Rule {
        name: "unread",
        about: "messages that the server never took",
        holds: "everything is read",
        happened: "messages were never taken by the server",
        count: |report| report.counts.unread() + report.warmup.unread(),
        of: |report| report.counts.offered + report.warmup.offered,
    },
    Rule {
        name: "duplicates",
        about: "deliveries that came again",
        holds: "nothing comes twice",
        happened: "deliveries came again",
        count: everyone!(duplicates),
        of: everyone!(delivered),
    },
    Rule {
        name: "reordered",
        about: "deliveries after a later one of the same sender",
        holds: "everything comes in order",
        happened: "deliveries came after a later one of the same sender",
        count: everyone!(reordered),
        of: everyone!(delivered),
    },
    Rule {
        name: "corrupted",
        about: "messages with another content",
        holds: "nothing is altered",
        happened: "messages were not what was sent",
        count: everyone!(corrupted),
        of: everyone!(delivered),
    },
    Rule {
        name: "leaked",
        about: "messages of another room or run",
        holds: "nothing crosses rooms",
        happened: "messages were of another room or another run",
        count: everyone!(leaked),
        of: everyone!(delivered),
    },
    Rule {
        name: "own_echoed",
        about: "messages that came back to their sender",
        holds: "nobody hears itself",
        happened: "messages came back to their sender",
        count: everyone!(own_echoed),
        of: everyone!(sent),
    },
    Rule {
        name: "disconnects",
        about: "well-behaved clients whose connection ended",
        holds: "no connection ends",
        happened: "well-behaved clients lost their connection",
        count: |report| report.connections.disconnected,
        of: |report| report.scenario.clients,
    },
    Rule {
        name: "violations",
        about: "connections on which the server broke the protocol",
        holds: "the protocol is kept",
        happened: "connections saw the protocol broken",
        count: |report| report.connections.violations_total(),
        of: |report| report.scenario.clients,
    },
];

/// What must not be missing between misbehaving clients either: a player is told if it has missed something, so a gap that
/// it sees is a loss, however slow it is.
fn gaps(report: &Report) -> Counts {
    match report.scenario.profile.as_str() {
        "v1" => report.misbehaving.clone(),
        _ => Counts::default(),
    }
}

/// Whether what a count says can only have been done by the server, however badly the generator did. Who is saturated
/// reads late: a server may be right to drop such a client, and what it sent may be counted as lost. What nobody has
/// waited for may still have been on its way.
pub(super) fn is_the_servers(name: &str, report: &Report) -> bool {
    let validity = &report.validity;
    match name {
        "corrupted" | "leaked" | "own_echoed" | "violations" => true,
        "duplicates" | "reordered" => !validity.has("accounting_overflow"),
        "disconnects" | "truncated" => !validity.has("generator_saturated"),
        "lost" | "unread" | "loss_ratio" | "warmup_lost" => {
            !validity.has("generator_saturated") && !validity.has("drain_interrupted")
        }
        _ => false,
    }
}

/// What of a metric's value only the server can have caused; `None` for those that say nothing of that kind.
pub(super) fn by_server(name: &str, value: Option<f64>, report: &Report) -> Option<f64> {
    match name {
        "connect_failures" => Some(report.connections.refused as f64),
        _ if is_the_servers(name, report) => value,
        _ => None,
    }
}

impl Counts {
    /// Messages that fell due while their sender was connected, and that the server never took.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.offered
            .saturating_sub(self.sent)
            .saturating_sub(self.unconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_a_slow_player_misses_unsaid_is_lost() {
        let mut report = sample::report();
        report.misbehaving.lost = 3;
        let lost = RULES.iter().find(|rule| rule.name == "lost");
        let lost = lost.expect("a rule");
        for (profile, count) in [("raw", 0), ("v1", 3)] {
            report.scenario.profile = profile.to_owned();
            assert_eq!((lost.count)(&report), count, "{profile}");
        }
    }
}
