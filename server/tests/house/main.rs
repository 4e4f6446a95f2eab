//! The rules of the house, held against every file of the repository. Each rule is a function over text, and is
//! shown violations planted for it, so that a rule which finds nothing has found nothing.

mod circles;
mod manifests;
mod rules;
mod source;
mod structs;
mod tree;
mod unused;

use manifests::{manifest, test_features, unexplained};
use rules::{
    CLAIMS, clocks_in_tests, forbidden_imports, forbidden_words, functions, idle_exceptions,
    length, names, unsafe_code,
};
use source::Source;
use tree::{File, files};

/// Every finding of `rule` over the Rust files whose path it is asked about.
fn over_rust(rule: impl Fn(&File, &Source) -> Vec<String>) -> Vec<String> {
    let files = files();
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    rust.flat_map(|file| rule(file, &Source::new(&file.path, &file.text)))
        .collect()
}

fn nothing(findings: &[String]) {
    assert!(
        findings.is_empty(),
        "{} violations of the house rules:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn layers_import_only_what_they_may_know() {
    nothing(&over_rust(forbidden_imports));
}

/// A claim over a folder that was renamed away would hold for ever.
#[test]
fn every_claim_covers_some_file() {
    let files = files();
    for claim in CLAIMS {
        assert!(
            files.iter().any(|file| claim.covers(&file.path)),
            "{} covers no file",
            claim.scope
        );
    }
}

/// An exception that nothing needs would be one for whatever comes next.
#[test]
fn every_exception_of_a_claim_is_needed() {
    nothing(&idle_exceptions(&files()));
}

#[test]
fn manifests_depend_only_downwards() {
    nothing(&files().iter().flat_map(manifest).collect::<Vec<_>>());
}

#[test]
fn every_dependency_of_the_relay_has_a_reason() {
    nothing(&unexplained(&files()));
}

#[test]
fn no_program_has_what_only_tests_may() {
    nothing(&files().iter().flat_map(test_features).collect::<Vec<_>>());
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    nothing(&files().iter().flat_map(length).collect::<Vec<_>>());
}

#[test]
fn no_function_is_longer_than_a_screen() {
    nothing(&over_rust(functions));
}

#[test]
fn no_struct_of_the_generators_engine_is_several() {
    nothing(&over_rust(structs::structs));
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    nothing(&circles::circles(&files()));
}

/// An exception that nothing needs would be one for whatever comes next.
#[test]
fn every_public_item_is_named_elsewhere() {
    let files = files();
    nothing(&unused::unused(&files, unused::KNOWN));
    let all = unused::unused(&files, &[]);
    assert_eq!(all.len(), unused::KNOWN.len(), "exceptions for {all:?}");
}

#[test]
fn nothing_is_left_unfinished_and_no_test_is_skipped() {
    nothing(&over_rust(forbidden_words));
}

#[test]
fn only_the_masks_are_unsafe() {
    nothing(&over_rust(unsafe_code));
}

#[test]
fn no_test_sleeps() {
    nothing(&over_rust(clocks_in_tests));
}

#[test]
fn files_are_named_for_what_they_own_and_name_no_registry_and_no_machine() {
    nothing(&files().iter().flat_map(names).collect::<Vec<_>>());
}
