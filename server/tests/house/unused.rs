//! Public items that nobody outside their file names. The compiler takes every public item of a library for used, so
//! dead code behind a `pub` is seen by nobody else.
//!
//! Text decides: an item counts as used if its name stands in any other file, but for a `pub use`. A method called like
//! another one is therefore never found; what is found is never used. A type may be used without being named, as what a
//! function returns: it counts as used if its own file names it where it is neither declared nor given methods.

use std::collections::{HashMap, HashSet};

use crate::source::Source;
use crate::tree::File;

/// The libraries whose items are looked at.
const CRATES: &[&str] = &["protocol/src/", "server/src/"];

/// Words of the wire that stand in docs/PROTOCOL.md and that this relay does not say yet.
pub(crate) const KNOWN: &[(&str, &str)] = &[];

/// Every public item that no other file names, one line each.
pub(crate) fn unused(files: &[File], known: &[(&str, &str)]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    let rust: Vec<(&File, Source)> = rust
        .map(|file| (file, Source::new(&file.path, &file.text)))
        .collect();
    let mut named: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (file, source) in &rust {
        for word in words(source) {
            named.entry(word).or_default().insert(file.path.as_str());
        }
    }
    let ours = |path: &str| CRATES.iter().any(|scope| path.starts_with(scope));
    let mut findings = Vec::new();
    for (file, source) in rust.iter().filter(|(file, _)| ours(&file.path)) {
        let (shipped, _) = Source::shipped(&file.path, &file.text);
        for (line, name) in public(&shipped) {
            let elsewhere = named
                .get(name)
                .is_some_and(|paths| paths.iter().any(|path| *path != file.path));
            let is_known = known.contains(&(file.path.as_str(), name));
            if !elsewhere && !is_known && !is_type_in_use(source, name) {
                findings.push(format!("{}:{line}: nobody else names {name}", file.path));
            }
        }
    }
    findings
}

/// Whether the file names this type, for what it has, takes or returns.
fn is_type_in_use(source: &Source, name: &str) -> bool {
    let is_type = name.chars().any(char::is_lowercase) && name.starts_with(char::is_uppercase);
    let declares = ["struct", "enum", "impl", "type", "trait", "for"];
    let mut triples = source.tokens.windows(3);
    is_type
        && triples.any(|words| {
            let [before, last, word] = [&words[0].1, &words[1].1, &words[2].1];
            // `impl<T> Name` is a declaration, `-> Name` is a use.
            let generic = last == ">" && before != "-";
            word == name && !generic && !declares.contains(&last.as_str())
        })
}

/// The words of a file, without those of `pub use`: passing a name on is no use of it.
fn words(source: &Source) -> Vec<&str> {
    let mut found = Vec::new();
    let mut passing_on = false;
    let mut before = "";
    for (_, token) in &source.tokens {
        passing_on = match token.as_str() {
            "use" if matches!(before, "pub" | ")") => true,
            ";" => false,
            _ => passing_on,
        };
        if !passing_on {
            found.push(token.as_str());
        }
        before = token;
    }
    found
}

/// Names of functions, types, constants and traits that are `pub` without a limit.
fn public(source: &Source) -> Vec<(usize, &str)> {
    const KINDS: [&str; 8] = [
        "fn", "struct", "enum", "union", "trait", "type", "const", "static",
    ];
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for (at, (line, token)) in tokens.iter().enumerate() {
        if token != "pub" {
            continue;
        }
        let rest = tokens[at + 1..].iter().map(|(_, token)| token.as_str());
        let mut rest = rest
            .skip_while(|word| matches!(*word, "const" | "async" | "unsafe"))
            .peekable();
        let first = tokens.get(at + 1).map_or("", |(_, token)| token.as_str());
        let name = match rest.next() {
            Some(kind) if KINDS.contains(&kind) => rest.next(),
            // `pub const NAME`: the word before it was passed over.
            other if first == "const" => other,
            _ => None,
        };
        if let Some(name) = name {
            let line = *line;
            let name = tokens[at..].iter().find(|(_, token)| token == name);
            found.extend(name.map(|(_, name)| (line, name.as_str())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = texts
            .iter()
            .map(|(path, text)| File {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        unused(&files, &[])
    }

    #[test]
    fn planted_dead_items_are_found() {
        for text in [
            "pub fn dead() {} fn f() { dead() }",
            "pub const fn dead() {}",
            "pub const DEAD: u32 = 1;",
            "pub struct Dead;",
            "/// Documented.\n#[derive(Debug)]\npub enum Dead { A }",
            "impl Room { pub fn dead(&self) {} }",
            "pub struct Dead(u8); impl Dead {} impl<T> Dead {} impl Clone for Dead {}",
        ] {
            let others = [
                (
                    "server/src/room/mod.rs",
                    "pub use self::table::{dead, Dead, DEAD}; // dead, Dead, DEAD",
                ),
                ("server/src/room/table.rs", text),
            ];
            assert_eq!(found(&others).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_used_is_not_found() {
        for (text, user) in [
            (
                "pub fn live() {}",
                ("server/src/shard/mod.rs", "fn f() { live() }"),
            ),
            (
                "pub fn live() {}",
                ("benches/src/x.rs", "use roomcast::room::live;"),
            ),
            (
                "pub const LIVE: u32 = 1;",
                ("fuzz/src/x.rs", "roomcast::room::LIVE"),
            ),
            ("pub struct Live; fn f() -> Live {}", ("a.rs", "")),
            ("pub(crate) fn dead() {}", ("a.rs", "")),
            ("pub use a::dead;", ("a.rs", "")),
            (
                "#[cfg(test)]\nmod tests {\n    pub fn dead() {}\n}",
                ("a.rs", ""),
            ),
        ] {
            assert_eq!(
                found(&[("server/src/room/table.rs", text), user]),
                [""; 0],
                "{text}"
            );
        }
    }
}
