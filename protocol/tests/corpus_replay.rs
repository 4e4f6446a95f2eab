//! Replays the committed fuzz corpora without a fuzzer.

#[path = "../../fuzz/src/protocol.rs"]
#[allow(
    unreachable_pub,
    reason = "written as a module of the library in fuzz/"
)]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

#[test]
fn every_input_of_every_target_passes() {
    for (target, body) in targets::TARGETS {
        let mut replayed = 0;
        for entry in
            fs::read_dir(corpus(target)).unwrap_or_else(|error| panic!("{target}: {error}"))
        {
            let path = entry.expect("a directory entry").path();
            let input = fs::read(&path).expect("a readable input");
            // Printed only when the test fails: which input it was.
            println!("{}", path.display());
            body(&input);
            replayed += 1;
        }
        assert!(replayed >= 5, "{target} has only {replayed} inputs");
    }
}
