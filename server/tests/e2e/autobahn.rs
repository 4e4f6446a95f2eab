//! The cases of the Autobahn test suite, as PyPI's `kosoku` carries them, against `/echo`.

use crate::players::Puppet;
use crate::relay::Relay;

/// What came of every case. Whoever changes it says why in the commit.
const EXPECTED: &str = include_str!("autobahn.txt");

#[test]
fn autobahn_finds_what_it_found_before() {
    // Chapter 9 sends up to 16 MiB in one message.
    let relay = Relay::start(&["--max-message", "16MiB"]);
    let mut autobahn = Puppet::python("autobahn.py");
    autobahn.arg(relay.url("/echo"));
    let output = autobahn.output().expect("python starts");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        EXPECTED,
        "left is what Autobahn found, right what server/tests/e2e/autobahn.txt says; it ended with {} and said {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn nothing_that_is_expected_of_autobahn_is_a_failure() {
    for line in EXPECTED.lines() {
        let (verdict, _) = line.split_once(": ").expect("a verdict and its cases");
        // Informational: the RFC says nothing about these three.
        assert!(
            ["OK / OK", "INFORMATIONAL / INFORMATIONAL"].contains(&verdict),
            "{line}"
        );
    }
}
