//! The second implementation, `tests/python`, which knows nothing but `docs/PROTOCOL.md`.

use std::path::Path;
use std::process::Command;

#[test]
fn the_second_implementation_replays_the_vectors() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/replay.py");
    let output = Command::new("python3")
        // No compiled files beside the sources.
        .arg("-B")
        .arg(&script)
        .arg(crate::vectors::folder())
        .output()
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{wrong}");
    // It says how many it has replayed: none would be no test.
    let replayed: usize = said.trim().parse().expect("a number");
    assert!(replayed > 150, "only {replayed} vectors");
}
