//! Replays the committed fuzz corpus of whole shards without a fuzzer.

#[path = "../../fuzz/src/server.rs"]
#[allow(
    unreachable_pub,
    reason = "written as a module of the library in fuzz/"
)]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn every_input_of_every_target_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (target, body) in targets::TARGETS {
        let inputs = fs::read_dir(corpora.join(target));
        let inputs = inputs.unwrap_or_else(|error| panic!("{target}: {error}"));
        let mut replayed = 0;
        for entry in inputs {
            let path = entry.expect("a directory entry").path();
            let input = fs::read(&path).expect("a readable input");
            // Printed only when the test fails: which input it was.
            println!("{}", path.display());
            body(&input);
            replayed += 1;
        }
        assert!(replayed >= 20, "{target} has only {replayed} inputs");
    }
}
