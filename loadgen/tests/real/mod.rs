//! The relay itself, as a program of its own.
//!
//! Owns the process and its address. Must not know the engine.
//! Invariant: it ends with the test.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running relay.
pub struct Relay {
    pub address: SocketAddr,
    process: Child,
}

impl Relay {
    /// With these flags, on a free port.
    pub fn start(flags: &[&str]) -> Self {
        // The programs of a build lie side by side.
        let program = Path::new(env!("CARGO_BIN_EXE_loadgen")).with_file_name("roomcast");
        let mut process = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--reactors", "2"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                let program = program.display();
                panic!("{program}: {error}; build it with cargo build -p roomcast")
            });
        let mut log = BufReader::new(process.stderr.take().expect("piped"));
        let address = loop {
            let mut line = String::new();
            let read = log.read_line(&mut line).expect("a log");
            assert!(read > 0, "the relay ended before it listened");
            if let Some((_, behind)) = line.split_once("ws://") {
                let end = behind.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
                break behind[..end.unwrap_or(behind.len())]
                    .parse()
                    .expect("an address");
            }
        };
        // So that it never waits for a reader.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Self { address, process }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
