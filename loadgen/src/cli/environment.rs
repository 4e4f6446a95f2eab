//! Which environment variables count, and which of them a refusal is about.
//!
//! It owns the precedence of the command line. It must not know what any flag means.
//!
//! Invariant: an empty variable is one that is not set, and what is typed wins over what is in
//! the environment, be it about the same flag or one that excludes it.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::Arg;

/// Flags that exclude each other.
const EXCLUSIVE: [[&str; 2]; 2] = [["room-size", "rooms"], ["ca", "insecure"]];

/// A command line as it was typed, to see what is on it before it is understood.
pub(super) struct Typed<'a>(pub(super) &'a [OsString]);

impl Typed<'_> {
    /// Whether `--name` is on it.
    fn has(&self, name: &str) -> bool {
        self.0.iter().filter_map(|word| word.to_str()).any(|word| {
            let flag = word.strip_prefix("--");
            let flag = flag.map(|flag| flag.split_once('=').map_or(flag, |(flag, _)| flag));
            flag == Some(name)
        })
    }

    /// Takes the variable from an argument for which it does not count.
    pub(super) fn overrule(&self, arg: Arg) -> Arg {
        let set = arg.get_env().is_some_and(is_set);
        let excluded = arg.get_long().is_some_and(|long| {
            let others = EXCLUSIVE
                .iter()
                .filter(|pair| pair.contains(&long))
                .flatten();
            !self.has(long) && { others }.any(|other| *other != long && self.has(other))
        });
        if set && !excluded {
            arg
        } else {
            arg.env(None::<&str>)
        }
    }

    /// The variables that a refusal is about: their flags are named in it and were not typed.
    /// Values may come from either, so one must be named as well where there is any.
    pub(super) fn blamed(&self, message: &str) -> Vec<String> {
        let mut names: Vec<String> = message
            .split('\'')
            .filter_map(|quoted| quoted.strip_prefix("--")?.split(' ').next())
            .filter(|long| !self.has(long))
            .map(variable)
            .filter(|name| is_set(name.as_ref()))
            .filter(|name| {
                let value = env::var(name).unwrap_or_default();
                !message.contains("invalid value") || value.split(',').any(|v| message.contains(v))
            })
            .collect();
        names.dedup();
        names
    }
}

/// The variable of `--name`.
fn variable(name: &str) -> String {
    format!("LOADGEN_{}", name.to_uppercase().replace('-', "_"))
}

fn is_set(name: &OsStr) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}
