//! junit.xml: what CI systems show as test results.
//!
//! It owns the form of the verdict's cases as test cases. It must not know how a verdict came about, nor how XML is
//! written.
//!
//! Invariant: every case of the verdict is one test case, with the same outcome and the same words.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::time::rfc3339;
use super::{Case, CaseStatus, Report};

/// The whole text of junit.xml.
#[must_use]
pub fn render(report: &Report) -> String {
    let stages = &report.stages;
    let seconds = stages.ramp_s
        + stages.settle_s
        + stages.warmup_s
        + stages.measured_s
        + stages.drain_s
        + stages.close_s;
    // A report that was read from a file may hold any number.
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let mut suite = TestSuite::new(format!("loadgen {}", report.scenario.url));
    suite.set_time(time);
    let began = rfc3339(report.started_at_unix_ms);
    suite.extra.insert("timestamp".into(), began.into());
    let verdict = report.verdict.as_ref();
    suite.add_test_cases(verdict.iter().flat_map(|verdict| &verdict.cases).map(case));
    let mut document = Document::new("loadgen");
    document.set_time(time).add_test_suite(suite);
    document.to_string().expect("text is written to memory")
}

fn case(case: &Case) -> TestCase {
    let mut status = match case.status {
        CaseStatus::Passed => TestCaseStatus::success(),
        CaseStatus::Open => TestCaseStatus::skipped(),
        CaseStatus::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    if case.status != CaseStatus::Passed {
        status.set_message(case.message.as_str());
    }
    if case.status == CaseStatus::Failed {
        status.set_description(case.message.as_str());
    }
    let mut case = TestCase::new(case.name.as_str(), status);
    case.set_classname("loadgen").set_time(Duration::ZERO);
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Check, judge_all};
    use crate::report::{Case, CaseKind, Status, Verdict, sample};
    use proptest::prelude::*;
    use quick_junit::XmlString;

    /// (Name, message if it is not passed, whether that is a failure) of each test case, as another program reads them.
    fn cases(xml: &str) -> Vec<(String, Option<String>, bool)> {
        let document = Document::deserialize_from_str(xml).expect("well-formed");
        let suites = document.test_suites.into_iter();
        let cases = suites.flat_map(|suite| suite.test_cases);
        cases
            .map(|case| {
                let (message, failed) = match case.status {
                    TestCaseStatus::Success { .. } => (None, false),
                    TestCaseStatus::NonSuccess { message, .. } => (message, true),
                    TestCaseStatus::Skipped { message, .. } => (message, false),
                };
                (
                    case.name.into_string(),
                    message.map(|text| text.into_string()),
                    failed,
                )
            })
            .collect()
    }

    #[test]
    fn one_case_for_each_question() {
        let mut report = sample::report();
        let checks: Vec<Check> = ["p99<1ns", "delivered>=540"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        judge_all(&checks, &[], &mut report);
        let xml = render(&report);
        let told = cases(&xml);
        assert_eq!(told.len(), report.verdict.as_ref().unwrap().cases.len());
        let [.., (failed, Some(why), true), (passed, None, false)] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!([&failed[..], &passed[..]], ["p99<1ns", "delivered>=540"]);
        assert!(why.contains("does not hold"), "{why}");
        assert!(xml.contains("timestamp=\"2023-11-14T22:13:20Z\""), "{xml}");
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
        let told = cases(&render(&report));
        let failed: Vec<_> = told.iter().filter(|(.., failed)| *failed).collect();
        let [(_, Some(why), _)] = &failed[..] else {
            panic!("{told:?}");
        };
        assert!(why.contains("3 of 20 clients could not join"), "{why}");
        let mut others = told.iter().filter(|(.., failed)| !failed);
        assert!(others.all(|(_, message, _)| message.is_some()), "{told:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_told(name in any::<String>(), message in any::<String>()) {
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
            // What XML cannot hold is left out.
            let [name, message] = [name, message].map(|text| XmlString::new(text).into_string());
            let told = cases(&render(&report));
            prop_assert_eq!(&told[0], &(name.clone(), Some(message.clone()), true));
            prop_assert_eq!(&told[1], &(name, Some(message), false));
        }
    }
}
