//! The load generator as a library: what to run, how it is run, and what is said about it.
//!
//! It owns one run from the command line to the files on disk. It never imports the server:
//! a relay is known to it only by its socket.
//!
//! Invariant: numbers travel in one direction: the command line makes a
//! `Scenario`, the engine turns it into an `Outcome`, the report turns that into one
//! [`report::Report`], and every table, file, gate and comparison reads that report only.

pub mod cli;
pub mod commands;
pub mod compare;
pub mod decode;
pub mod doctor;
pub mod engine;
pub mod exit;
pub mod gate;
pub mod handshakes;
pub mod merge;
pub mod outcome;
pub mod paired;
pub mod payload;
pub mod play;
pub mod progress;
pub mod report;
pub mod runs;
pub mod scenario;
pub mod search;
pub mod signals;
pub mod target;
