//! The `roomcast` binary: see `roomcast::edge`.

use std::process::ExitCode;

fn main() -> ExitCode {
    roomcast::edge::run()
}
