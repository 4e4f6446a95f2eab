//! summary.md: a run as a CI step summary.
//!
//! It owns the Markdown and its escaping. It must not know which CI shows it.
//!
//! Invariant: no text of a run can break a table or become a tag or a link.

use std::fmt::Write as _;

use super::time::rfc3339;
use super::units::count;
use super::{Report, rows};

/// The whole text of summary.md.
#[must_use]
pub fn render(report: &Report) -> String {
    let (verdict, reasons) = rows::verdict(report);
    let mut text = format!(
        "## loadgen: {}\n\n{} against `{}`, {}.\n\n",
        escape(&verdict),
        escape(&rows::load(report)),
        report.scenario.url.replace('`', "'"),
        rfc3339(report.started_at_unix_ms)
    );
    for reason in &reasons {
        let _ = writeln!(text, "* {}", escape(reason));
    }
    if !reasons.is_empty() {
        text.push('\n');
    }
    let mut head = "| check | | measured |\n|---|---|---|\n";
    let mut any = false;
    for (verdict, case) in rows::cases(report) {
        let bold = if verdict == "FAIL" { "**" } else { "" };
        let (name, said) = (escape(&case.name), escape(&case.message));
        let _ = writeln!(text, "{head}| {name} | {bold}{verdict}{bold} | {said} |");
        (head, any) = ("", true);
    }
    if any {
        text.push('\n');
    }
    let latencies = rows::latencies(report);
    if !latencies.is_empty() {
        let heads: Vec<&str> = rows::latency_heads().collect();
        let _ = writeln!(text, "| time | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(heads.len()));
        for (name, cells) in latencies {
            let _ = writeln!(text, "| {} | {} |", name.trim(), cells.join(" | "));
        }
        text.push('\n');
    }
    let counts = rows::counts(report);
    let apart = counts
        .iter()
        .any(|(_, _, misbehaving)| misbehaving.is_some());
    text.push_str(if apart {
        "| messages | healthy | misbehaving |\n|---|--:|--:|\n"
    } else {
        "| messages | |\n|---|--:|\n"
    });
    for (name, healthy, misbehaving) in counts {
        let _ = write!(text, "| {name} | {} |", count(healthy));
        if let Some(misbehaving) = misbehaving {
            let _ = write!(text, " {} |", count(misbehaving));
        }
        text.push('\n');
    }
    text.push('\n');
    for (name, fact) in rows::facts(report) {
        let _ = writeln!(text, "* {name}: {}", escape(&fact));
    }
    text
}

/// Text that means nothing to Markdown or HTML, on one line.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::judge_all;
    use crate::report::{Reason, sample};

    #[test]
    fn tables_have_as_many_cells_as_heads() {
        let mut report = sample::report();
        report.misbehaving.delivered = 3;
        judge_all(&["p99<20ms".parse().unwrap()], &[], &mut report);
        let text = render(&report);
        assert!(text.starts_with("## loadgen: passed\n"), "{text}");
        let mut heads = None;
        let mut tables = 0;
        for line in text.lines() {
            if !line.starts_with('|') {
                heads = None;
                continue;
            }
            let bars = line.matches('|').count();
            if heads.is_none() {
                tables += 1;
            }
            assert_eq!(*heads.get_or_insert(bars), bars, "{line}");
        }
        assert_eq!(tables, 3, "{text}");
    }

    #[test]
    fn the_headline_tells_how_it_ended() {
        let mut report = sample::report();
        judge_all(&[], &[], &mut report);
        assert!(render(&report).starts_with("## loadgen: passed\n"));
        judge_all(
            &["p99<1ns".parse().unwrap(), "lost==0".parse().unwrap()],
            &[],
            &mut report,
        );
        assert!(render(&report).starts_with("## loadgen: FAILED: p99&lt;1ns\n"));
        report.validity.valid = false;
        report.validity.reasons.push(Reason {
            code: "nothing_measured".to_owned(),
            message: "not one delivery | <b>was</b> measured".to_owned(),
        });
        judge_all(&["lost==0".parse().unwrap()], &[], &mut report);
        let text = render(&report);
        assert!(text.starts_with("## loadgen: INVALID\n"), "{text}");
        assert!(
            text.contains("* not one delivery \\| &lt;b&gt;was&lt;/b&gt; measured\n"),
            "{text}"
        );
    }
}
