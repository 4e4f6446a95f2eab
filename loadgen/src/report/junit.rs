//! junit.xml: what CI systems show as test results.
//!
//! It owns the form of the verdict's cases as test cases and the escaping of XML. It must not know
//! how a verdict came about.
//!
//! Invariant: the text is well-formed XML 1.0 whatever a check, a URL or a message contains.

use std::fmt::Write as _;

use super::time::rfc3339;
use super::{CaseStatus, Report};

/// The whole text of junit.xml.
#[must_use]
pub fn render(report: &Report) -> String {
    let verdict = report.verdict.as_ref();
    let cases = verdict.map_or(&[][..], |verdict| &verdict.cases);
    let are = |status| cases.iter().filter(|case| case.status == status).count();
    let (failures, skipped) = (are(CaseStatus::Failed), are(CaseStatus::Open));
    let stages = &report.stages;
    let seconds = stages.ramp_s
        + stages.settle_s
        + stages.warmup_s
        + stages.measured_s
        + stages.drain_s
        + stages.close_s;
    let totals = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{seconds:.3}\"",
        cases.len()
    );
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"loadgen\" {totals}>");
    let timestamp = rfc3339(report.started_at_unix_ms);
    let _ = writeln!(
        xml,
        "  <testsuite name=\"loadgen {}\" {totals} timestamp=\"{}\">",
        escape(&report.scenario.url),
        timestamp.trim_end_matches('Z')
    );
    for case in cases {
        let (name, why) = (escape(&case.name), escape(&case.message));
        let head = format!("    <testcase classname=\"loadgen\" name=\"{name}\" time=\"0\"");
        let _ = match case.status {
            CaseStatus::Passed => writeln!(xml, "{head}/>"),
            CaseStatus::Open => writeln!(
                xml,
                "{head}>\n      <skipped message=\"{why}\"/>\n    </testcase>"
            ),
            CaseStatus::Failed => writeln!(
                xml,
                "{head}>\n      <failure message=\"{why}\">{why}</failure>\n    </testcase>"
            ),
        };
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Text for an attribute in double quotes or for an element. Characters that XML 1.0 cannot hold
/// at all become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // As references, so that attribute normalization keeps them.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Check, judge_all};
    use crate::report::{Case, CaseKind, Status, Verdict, sample};
    use proptest::prelude::*;

    /// Element names in order if `xml` is well-formed in the subset this module writes: a
    /// declaration, nested elements, double-quoted attributes, five entities and references.
    fn elements(xml: &str) -> Result<Vec<String>, String> {
        let text_is_clean = |text: &str| {
            let mut rest = text;
            while let Some(at) = rest.find('&') {
                rest = &rest[at + 1..];
                let end = rest.find(';').ok_or("an entity without end")?;
                let known = ["amp", "lt", "gt", "quot", "apos", "#9", "#10", "#13"];
                if !known.contains(&&rest[..end]) {
                    return Err(format!("entity {}", &rest[..end]));
                }
                rest = &rest[end + 1..];
            }
            let forbidden =
                |c: char| (c < ' ' && c != '\n') || c == '<' || c == '\u{fffe}' || c == '\u{ffff}';
            match text.find(forbidden) {
                None => Ok(()),
                Some(at) => Err(format!("forbidden character in {:?}", &text[at..])),
            }
        };
        let mut rest = xml
            .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
            .ok_or("no declaration")?;
        let (mut open, mut seen) = (Vec::new(), Vec::new());
        while let Some(at) = rest.find('<') {
            text_is_clean(&rest[..at])?;
            rest = &rest[at + 1..];
            let end = rest.find('>').ok_or("a tag without end")?;
            let tag = &rest[..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop().as_deref() != Some(name) {
                    return Err(format!("</{name}> closes something else"));
                }
                continue;
            }
            let empty = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            while !attributes.trim().is_empty() {
                let (_, value) = attributes
                    .split_once("=\"")
                    .ok_or("an attribute without value")?;
                let (value, behind) = value.split_once('"').ok_or("a value without end")?;
                text_is_clean(value)?;
                attributes = behind;
            }
            seen.push(name.to_owned());
            if !empty {
                open.push(name.to_owned());
            }
        }
        text_is_clean(rest)?;
        if open.is_empty() {
            Ok(seen)
        } else {
            Err(format!("left open: {open:?}"))
        }
    }

    #[test]
    fn one_case_for_each_question() {
        let mut report = sample::report();
        let checks: Vec<Check> = ["p99<1ns", "delivered>=540"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        judge_all(&checks, &[], &mut report);
        let xml = render(&report);
        let elements = elements(&xml).unwrap();
        let cases = elements.iter().filter(|name| *name == "testcase").count();
        assert_eq!(cases, report.verdict.as_ref().unwrap().cases.len());
        assert_eq!(
            elements[elements.len() - 3..],
            ["testcase", "failure", "testcase"]
        );
        assert!(
            xml.contains(&format!("tests=\"{cases}\" failures=\"1\"")),
            "{xml}"
        );
        assert!(xml.contains("name=\"p99&lt;1ns\""), "{xml}");
        assert!(xml.contains("timestamp=\"2023-11-14T22:13:20\""), "{xml}");
    }

    #[test]
    fn loss_fails_unless_it_is_allowed() {
        let mut report = sample::report();
        report.counts.lost = 1_234;
        report.counts.expected = 10_000;
        judge_all(&[], &[], &mut report);
        let xml = render(&report);
        assert!(
            xml.contains("1,234 of 10,000 deliveries were lost"),
            "{xml}"
        );
        judge_all(&[], &["lost=20%".parse().unwrap()], &mut report);
        let xml = render(&report);
        assert!(xml.contains("failures=\"0\""), "{xml}");
    }

    #[test]
    fn an_invalid_run_fails_and_skips_what_it_leaves_open() {
        let mut report = sample::report();
        report.validity.valid = false;
        report.validity.reasons = vec![crate::report::Reason {
            code: "connections_failed".to_owned(),
            message: "3 of 20 clients could not join".to_owned(),
        }];
        judge_all(&["delivered>=540".parse().unwrap()], &[], &mut report);
        let xml = render(&report);
        let open = report.verdict.as_ref().unwrap().cases.len() - 1;
        assert!(
            xml.contains(&format!("failures=\"1\" errors=\"0\" skipped=\"{open}\"")),
            "{xml}"
        );
        assert!(xml.contains("3 of 20 clients could not join"), "{xml}");
        assert!(elements(&xml).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_escaped(name in any::<String>(), message in any::<String>()) {
            let mut report = sample::report();
            report.scenario.url = name.clone();
            let case = |status| Case {
                name: name.clone(),
                kind: CaseKind::Check,
                happened: false,
                status,
                message: message.clone(),
            };
            report.verdict = Some(Verdict {
                status: Status::Failed,
                exit_code: 99,
                cases: vec![case(CaseStatus::Failed), case(CaseStatus::Open)],
            });
            prop_assert!(elements(&render(&report)).is_ok(), "{:?}", elements(&render(&report)));
        }
    }
}
