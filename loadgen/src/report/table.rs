//! The final table: a run as a person reads it in a terminal.
//!
//! It owns columns and alignment. It must not know a terminal: no colour and no width is assumed,
//! so the same text serves a log file.
//!
//! Invariant: every figure a verdict rests on is in it.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::Report;
use super::rows;
use super::units::count;

/// The whole table, ending in a line break.
#[must_use]
pub fn render(report: &Report) -> String {
    let (verdict, reasons) = rows::verdict(report);
    let mut text = format!("\n{}\n{}\n", report.scenario.url, rows::load(report));
    if report.runs > 1 {
        text.push_str(&format!("joined from {} reports\n", report.runs));
    }
    text.push_str(&format!("\nrun {verdict}\n"));
    for reason in reasons {
        text.push_str(&format!("  ! {reason}\n"));
    }

    text.push('\n');
    let counts = rows::counts(report);
    let mut heads = vec!["messages".to_owned()];
    if counts
        .iter()
        .any(|(_, _, misbehaving)| misbehaving.is_some())
    {
        heads.extend(["healthy".to_owned(), "misbehaving".to_owned()]);
    }
    let mut lines = vec![heads];
    for (name, healthy, misbehaving) in counts {
        let mut line = vec![format!("  {name}"), count(healthy)];
        line.extend(misbehaving.map(count));
        lines.push(line);
    }
    text.push_str(&columns(&lines));

    let latencies = rows::latencies(report);
    if !latencies.is_empty() {
        let mut lines = vec![
            std::iter::once("time")
                .chain(rows::latency_heads())
                .map(str::to_owned)
                .collect(),
        ];
        for (name, cells) in latencies {
            let mut line = vec![format!("  {name}")];
            line.extend(cells);
            lines.push(line);
        }
        text.push('\n');
        text.push_str(&columns(&lines));
    }

    text.push('\n');
    for (name, fact) in rows::facts(report) {
        text.push_str(&format!("{name:<16}{fact}\n"));
    }
    let mut head = "\nchecks\n";
    for (verdict, case) in rows::cases(report) {
        text.push_str(&format!("{head}  {verdict}  {}\n", case.message));
        head = "";
    }
    text
}

/// Cells in columns two spaces apart: the first to the left, the others to the right.
#[must_use]
pub fn columns(lines: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).add_rows(lines);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if number == 0 { 0 } else { 2 }, 0));
        if number > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines();
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::judge_all;
    use crate::report::{Reason, sample};

    #[test]
    fn a_valid_run_shows_everything() {
        let mut report = sample::report();
        judge_all(
            &["p99<1us".parse().unwrap(), "lost==0".parse().unwrap()],
            &[],
            &mut report,
        );
        let text = render(&report);
        let golden = include_str!("golden/table.txt");
        assert_eq!(text, golden, "\n{text}");
    }

    #[test]
    fn an_invalid_run_says_why_and_misbehaviour_has_a_column() {
        let mut report = sample::report();
        report.validity.valid = false;
        report.validity.reasons.push(Reason {
            code: "connections_failed".to_owned(),
            message: "3 of 20 clients could not join".to_owned(),
        });
        judge_all(&[], &[], &mut report);
        report.scenario.slow_readers = 2;
        report
            .connections
            .failed
            .insert("HTTP status 503".to_owned(), 3);
        report.connections.close_codes.insert(4002, 2);
        let text = render(&report);
        for want in [
            "run INVALID\n  ! 3 of 20 clients could not join\n",
            "healthy  misbehaving\n",
            "3 x HTTP status 503",
            "4002 x 2",
        ] {
            assert!(text.contains(want), "{want}: {text}");
        }
    }

    #[test]
    fn percentiles_beyond_the_data_are_not_made_up() {
        let mut report = sample::report();
        report.histograms.latency = sample::ladder(1_000, 1_000, 100);
        let text = render(&report);
        let line = text
            .lines()
            .find(|line| line.starts_with("  latency "))
            .unwrap();
        let cells: Vec<&str> = line.split("  ").filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.len(), 8, "{line}");
        assert_eq!(cells[3].trim(), "99 us", "{line}");
        assert_eq!((cells[4].trim(), cells[5].trim()), ("-", "-"), "{line}");
    }

    #[test]
    fn columns_align() {
        let lines = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["bcd".to_owned(), "100".to_owned()],
        ];
        assert_eq!(columns(&lines), "a      1\nbcd  100\n");
    }
}
