//! The environment: every flag is a variable too.
//!
//! Owns: names of variables. Must not know what a value means. Invariant: a variable that begins like ours is read,
//! empty, or named in a warning.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use strsim::levenshtein;

/// What all names begin with.
const PREFIX: &str = "ROOMCAST_";

/// Variables that are read and are no flags.
const NO_FLAGS: [&str; 1] = ["ROOMCAST_DATA_DIR"];

/// The variable of a flag: `--max-message` is `ROOMCAST_MAX_MESSAGE`.
pub fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_");
    format!("{PREFIX}{}", name.to_uppercase())
}

/// The command, without those of its variables that are set to nothing: they count as not set.
pub fn without_empty(command: Command) -> Command {
    command.mut_args(|arg| {
        let value = arg.get_env().and_then(env::var_os);
        if value.is_some_and(|value| value.is_empty()) {
            arg.env(None)
        } else {
            arg
        }
    })
}

/// Takes a list of paths in the environment apart, which clap sees as one path. On the command line a path may hold any
/// character.
pub fn split_paths(matches: &ArgMatches, id: &str, paths: &mut Vec<PathBuf>) {
    if matches.value_source(id) == Some(ValueSource::EnvVariable) {
        *paths = paths.iter().flat_map(env::split_paths).collect();
    }
}

/// One line for each variable among those set that begins like ours and is none, in the order of their names.
pub fn unknown(command: &Command, set: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let ours: Vec<&str> = command
        .get_arguments()
        .filter_map(|arg| arg.get_env()?.to_str())
        .chain(NO_FLAGS)
        .collect();
    let mut unknown: Vec<String> = set
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let foreign = is_of_kubernetes(name.strip_prefix(PREFIX)?, &value.to_string_lossy());
            (!foreign && !ours.contains(&name.as_str())).then_some(name)
        })
        .collect();
    unknown.sort_unstable();
    let said = |name: String| match nearest(&name, &ours) {
        Some(near) => format!("unknown variable {name} has no effect: do you mean {near}?"),
        None => format!("unknown variable {name} has no effect: roomcast --help lists all"),
    };
    unknown.into_iter().map(said).collect()
}

/// What Kubernetes tells every pod of a service called "roomcast": nobody meant to set anything by it.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let port = rest.strip_prefix("PORT_").unwrap_or_default();
    rest.starts_with("SERVICE_")
        || port.starts_with(|c: char| c.is_ascii_digit())
        || rest == "PORT" && value.contains("://")
}

/// The name that one or two slips of the keyboard may have made `name` of.
fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let near = names.iter().map(|&known| (levenshtein(name, known), known));
    let (slips, known) = near.min()?;
    (slips <= 2).then_some(known)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::edge::Config;

    fn warnings(set: &[(&str, &str)]) -> Vec<String> {
        let set = set.iter().map(|(name, value)| (name.into(), value.into()));
        unknown(&Config::command(), set)
    }

    #[test]
    fn every_flag_has_the_variable_of_its_name() {
        let command = Config::command();
        let flags = command
            .get_arguments()
            .filter_map(|arg| Some((arg.get_long()?, arg.get_env())));
        for (flag, variable) in flags.filter(|(flag, _)| !["help", "version"].contains(flag)) {
            assert_eq!(variable, Some(variable_of(flag).as_ref()), "--{flag}");
        }
    }

    #[test]
    fn a_variable_that_nobody_reads_is_named() {
        let said = warnings(&[
            ("ROOMCAST_PORT", "8080"),
            ("ROOMCAST_IDLE_TIMOUT", "60s"),
            ("ROOMCAST_IDLE_TIMEOUT", "60s"),
            ("ROOMCAST_DATA_DIR", "here"),
            ("ROOMCAST_TLS_CERT", "cert.pem"),
            ("ROOMCAST_MAX_PLAYERS", ""),
            ("ROOMCAST", "target/release/roomcast"),
            ("PATH", "here"),
        ]);
        assert_eq!(
            said,
            [
                "unknown variable ROOMCAST_IDLE_TIMOUT has no effect: do you mean ROOMCAST_IDLE_TIMEOUT?",
                "unknown variable ROOMCAST_PORT has no effect: roomcast --help lists all",
            ]
        );
    }

    /// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
    #[test]
    fn what_kubernetes_sets_for_a_service_of_our_name_is_no_slip() {
        let said = warnings(&[
            ("ROOMCAST_SERVICE_HOST", "10.0.0.11"),
            ("ROOMCAST_SERVICE_PORT", "7777"),
            ("ROOMCAST_PORT", "tcp://10.0.0.11:7777"),
            ("ROOMCAST_PORT_7777_TCP", "tcp://10.0.0.11:7777"),
            ("ROOMCAST_PORT_7777_TCP_ADDR", "10.0.0.11"),
        ]);
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn a_variable_set_to_nothing_is_not_set() {
        // Cargo sets this one for every test, to nothing: a test can't set a variable while others run.
        const EMPTY: &str = "CARGO_PKG_VERSION_PRE";
        assert_eq!(env::var_os(EMPTY), Some(OsString::new()));
        let as_if = || Config::command().mut_arg("idle_timeout", |arg| arg.env(EMPTY));
        assert!(as_if().try_get_matches_from(["roomcast"]).is_err());
        let matches = without_empty(as_if()).try_get_matches_from(["roomcast"]);
        assert!(matches.is_ok(), "{matches:?}");
    }
}
