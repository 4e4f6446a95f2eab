//! Modules that import each other in a circle, so that none of them can be read first.
//!
//! Of two modules side by side, one imports the other if anything in it does. A module and what is inside it know each
//! other, as they must in Rust: a circle has at least two neighbours in it. Names that a module hands on count as those
//! of the module they come from, and what is there only for tests counts for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::source::{Source, module_of};
use crate::tree::File;

/// Where it holds.
const CRATES: [&str; 3] = ["protocol/src", "server/src", "loadgen/src"];

/// Circles that there still are, by a folder and a module in it, and why.
const KNOWN: [(&str, &str); 2] = [
    // A player that comes back takes its lanes along: they leave to an outbox, and an outbox gathers from them.
    ("server/src", "crate::delivery"),
    // A connection's player, its reattachment and its pressure read and write one state.
    ("server/src", "crate::shard"),
];

/// One line for each circle.
pub(crate) fn circles(files: &[File]) -> Vec<String> {
    CRATES
        .iter()
        .flat_map(|scope| {
            let inside = files.iter().filter(|file| {
                file.path.ends_with(".rs") && file.path.starts_with(&format!("{scope}/"))
            });
            let found = Imports::read(inside).circles();
            found
                .into_iter()
                .filter(|(within, _)| !KNOWN.contains(&(*scope, within.as_str())))
                .map(|(within, circle)| format!("{scope}: in {within}: {}", circle.join(" -> ")))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The files of a crate by their modules.
#[derive(Default)]
struct Imports {
    modules: BTreeMap<String, Source>,
}

impl Imports {
    fn read<'a>(files: impl Iterator<Item = &'a File>) -> Self {
        let (mut modules, mut tests) = (BTreeMap::new(), BTreeSet::new());
        for file in files {
            let module = module_of(&file.path).join("::");
            let (source, of_tests) = Source::shipped(&file.path, &file.text);
            tests.extend(of_tests.iter().map(|name| format!("{module}::{name}")));
            modules.insert(module, source);
        }
        let is_test = |module: &str| {
            tests
                .iter()
                .any(|test| module == test || module.starts_with(&format!("{test}::")))
        };
        modules.retain(|module, _| !is_test(module));
        Self { modules }
    }

    /// The file that a path, mentioned in `module`, leads to.
    fn file_of(&self, module: &str, path: &str) -> Option<String> {
        // The first name may be that of a module inside this one.
        let first = path.split("::").next()?;
        let inside = format!("{module}::{first}");
        let mut path = if self.modules.contains_key(&inside) {
            format!("{module}::{path}")
        } else {
            path.to_owned()
        };
        // Names are handed on a few times at most.
        for _ in 0..8 {
            let found = self.longest(&path)?;
            let rest = path[found.len()..].trim_start_matches("::");
            let (name, behind) = rest.split_once("::").unwrap_or((rest, ""));
            let Some(full) = self.modules[&found].names.get(name) else {
                return Some(found);
            };
            let inside = format!("{found}::{}", full.split("::").next()?);
            let full = if self.modules.contains_key(&inside) {
                format!("{found}::{full}")
            } else {
                full.clone()
            };
            if !full.starts_with("crate") {
                return Some(found);
            }
            path = format!("{full}::{behind}").trim_end_matches(':').to_owned();
        }
        self.longest(&path)
    }

    /// The longest beginning of a path that is a file.
    fn longest(&self, path: &str) -> Option<String> {
        let mut path = path;
        loop {
            if self.modules.contains_key(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    }

    /// (The module they are in, the neighbours that import each other in turn).
    fn circles(&self) -> Vec<(String, Vec<String>)> {
        // Within a module: which of its children import which.
        let mut levels: BTreeMap<String, HashMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (module, source) in &self.modules {
            for (_, path) in &source.paths {
                let Some(other) = self.file_of(module, path) else {
                    continue;
                };
                if let Some((within, from, to)) = neighbours(module, &other) {
                    let level = levels.entry(within).or_default();
                    level.entry(from).or_default().insert(to);
                }
            }
        }
        let circles = levels.into_iter().filter_map(|(within, imports)| {
            let mut from: Vec<&String> = imports.keys().collect();
            from.sort();
            let circle = from.into_iter().find_map(|from| circle(&imports, from))?;
            Some((within, circle))
        });
        circles.collect()
    }
}

/// What two modules are in together, and which children of it they are in; nothing if one is in the other.
fn neighbours(a: &str, b: &str) -> Option<(String, String, String)> {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split("::").collect(), b.split("::").collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    Some((
        a[..same].join("::"),
        (*a.get(same)?).to_owned(),
        (*b.get(same)?).to_owned(),
    ))
}

/// The shortest way from a module back to itself.
fn circle(imports: &HashMap<String, BTreeSet<String>>, from: &String) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.clone()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in imports.get(way.last()?).into_iter().flatten() {
                let mut way = way.clone();
                way.push(next.clone());
                if next == from {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File {
                path: format!("loadgen/src/{path}"),
                text: (*text).to_owned(),
            })
            .collect();
        circles(&files)
    }

    #[test]
    fn planted_circles_are_found() {
        // Two files; two folders, by their insides; three; and through a name that is handed on.
        for files in [
            &[
                ("a.rs", "use crate::b::X;"),
                ("b.rs", "fn f(x: crate::a::Y) {}"),
            ][..],
            &[
                ("a/x.rs", "use crate::b::y::Y;"),
                ("b/y.rs", "pub struct Y;"),
                ("b/z.rs", "use crate::a::x::X;"),
            ],
            &[
                ("a.rs", "use super::b::B;"),
                ("b.rs", "use super::c::C;"),
                ("c.rs", "use super::a::A;"),
            ],
            &[
                ("r/mod.rs", "mod model; mod metrics; pub use model::Report;"),
                ("r/model.rs", "fn f() { super::metrics::all(); }"),
                ("r/metrics.rs", "use super::Report;"),
            ],
        ] {
            assert_eq!(found(files).len(), 1, "{files:?}: {:?}", found(files));
        }
    }

    #[test]
    fn what_goes_one_way_is_not_found() {
        for files in [
            // A module and what is inside it.
            &[
                ("a/mod.rs", "mod b; use self::b::X; pub struct A;"),
                ("a/b.rs", "use super::A; pub struct X;"),
            ][..],
            // Tests may look anywhere.
            &[
                (
                    "a.rs",
                    "use crate::b::X; #[cfg(test)] mod tests { use crate::b::Y; }",
                ),
                ("b.rs", "#[cfg(test)]\nmod tests { use crate::a::Y; }"),
            ],
            &[
                ("a.rs", "use crate::b::X;"),
                ("b/mod.rs", "#[cfg(test)] pub(crate) mod sample;"),
                ("b/sample.rs", "use crate::a::Y;"),
            ],
            // Other crates are no neighbours.
            &[
                ("a.rs", "use b::X; use std::fmt;"),
                ("b.rs", "use crate::a::X;"),
            ],
        ] {
            assert_eq!(found(files), [""; 0], "{files:?}");
        }
    }
}
