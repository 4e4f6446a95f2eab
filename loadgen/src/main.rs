//! `loadgen`: reads the command line, does it, ends with the exit code that tells how it went.

use std::process::ExitCode;

use roomcast_loadgen::cli::{Answer, Cli};
use roomcast_loadgen::commands;
use roomcast_loadgen::exit::Failure;

fn main() -> ExitCode {
    let result = match Cli::read(std::env::args_os()) {
        Ok(cli) => commands::execute(&cli),
        Err(Answer::Text(text)) => commands::answer(&text),
        Err(Answer::Failure(failure)) => Err(failure),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            commands::say(&format!("loadgen: {message}"));
            exit.into()
        }
    }
}
