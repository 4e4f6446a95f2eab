//! What a manifest may depend on, and which features it may switch on.

use std::collections::BTreeSet;

use crate::tree::File;

/// Features that only tests may have: each begins with this.
const TEST_FEATURE: &str = "test-";

/// Manifests by which a released program would get what only tests may have.
pub(crate) fn test_features(file: &File) -> Vec<String> {
    if !file.path.ends_with("Cargo.toml") || file.path == "fuzz/Cargo.toml" {
        return Vec::new();
    }
    let mut section = "";
    let mut found = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        }
        let line = line.split('#').next().unwrap_or_default();
        // Declared, and by nothing else switched on: not by default, and by no other feature.
        let declared = section == "[features]" && line.ends_with("= []");
        let allowed = declared || section == "[dev-dependencies]";
        if line.contains(TEST_FEATURE) && !allowed {
            found.push(format!(
                "{}:{}: a program must not have what only tests may: {line}",
                file.path,
                at + 1
            ));
        }
    }
    found
}

/// Dependencies that a manifest must not have: the same directions, where cargo would already allow it.
pub(crate) fn manifest(file: &File) -> Vec<String> {
    let forbidden: &[&str] = match file.path.as_str() {
        "protocol/Cargo.toml" => &[
            "roomcast",
            "roomcast-loadgen",
            "mio",
            "socket2",
            "rustix",
            "libc",
        ],
        "loadgen/Cargo.toml" => &["roomcast"],
        "server/Cargo.toml" => &["roomcast-loadgen"],
        _ => return Vec::new(),
    };
    let name_of = |line: &str| {
        line.split(['.', '=', ' '])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let lines = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| forbidden.contains(&name_of(line).as_str()));
    lines
        .map(|(at, line)| format!("{}:{}: must not depend on this: {line}", file.path, at + 1))
        .collect()
}

/// Which crates `docs/SECURITY.md` gives a reason for, and what the relay depends on, where these differ.
pub(crate) fn unexplained(files: &[File]) -> Vec<String> {
    let text = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map_or("", |file| &file.text)
    };
    let manifests = ["protocol/Cargo.toml", "server/Cargo.toml"];
    let used: BTreeSet<&str> = manifests
        .iter()
        .flat_map(|path| dependencies(text(path)))
        .filter(|name| !name.starts_with("roomcast"))
        .collect();
    let explained: BTreeSet<&str> = text("docs/SECURITY.md")
        .split_once("\n| crate | for | because |\n")
        .map_or("", |(_, table)| table)
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("| "))
        .filter_map(|row| row.split_once(" | "))
        .flat_map(|(names, _)| names.split(", "))
        .collect();
    let differ = used.symmetric_difference(&explained);
    differ
        .map(|name| match used.contains(name) {
            true => format!("docs/SECURITY.md: the table of dependencies lacks {name}, and why"),
            false => format!("docs/SECURITY.md: nothing depends on {name} any more"),
        })
        .collect()
}

/// What is under `[dependencies]`, also for some targets only.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.ends_with("-dependencies]");
            return None;
        }
        let name = line.split(['.', '=', ' ']).next()?;
        (inside && !name.is_empty() && !name.starts_with('#')).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_and_reasons_that_differ_are_found() {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\nmio.workspace = true\n\nroomcast-protocol = { }\n\
                        [target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n";
        let found = |table: &str| {
            let document = format!(
                "Text\n\n| crate | for | because |\n|---|---|---|\n{table}\nmore | x | y\n"
            );
            let files = [
                file("server/Cargo.toml", manifest),
                file("docs/SECURITY.md", &document),
            ];
            unexplained(&files)
        };
        assert_eq!(found("| mio, libc | sockets | safe |\n"), [""; 0]);
        assert_eq!(found("| mio | sockets | safe |\n").len(), 1);
        assert_eq!(found("| mio, libc, old | sockets | safe |\n").len(), 1);
        assert_eq!(found("").len(), 2);
    }

    #[test]
    fn programs_with_what_only_tests_may_have_are_found() {
        let found = |path: &str, text: &str| {
            test_features(&File {
                path: path.to_owned(),
                text: text.to_owned(),
            })
            .len()
        };
        let path = "server/Cargo.toml";
        assert_eq!(found(path, "[features]\n# test-tls: why\ntest-tls = []"), 0);
        assert_eq!(found(path, "[features]\ndefault = [\"test-tls\"]"), 1);
        assert_eq!(found(path, "[features]\ntest-all = [\"test-tls\"]"), 1);
        let depends = "roomcast = { path = \".\", features = [\"test-tls\"] }";
        assert_eq!(found(path, &format!("[dev-dependencies]\n{depends}")), 0);
        assert_eq!(found(path, &format!("[dependencies]\n{depends}")), 1);
        assert_eq!(
            found(
                "Cargo.toml",
                &format!("[workspace.dependencies]\n{depends}")
            ),
            1
        );
        assert_eq!(
            found("fuzz/Cargo.toml", &format!("[dependencies]\n{depends}")),
            0
        );
    }

    #[test]
    fn manifests_that_depend_upwards_are_found() {
        let found = |path: &str, text: &str| {
            manifest(&File {
                path: path.to_owned(),
                text: text.to_owned(),
            })
            .len()
        };
        assert_eq!(
            found(
                "loadgen/Cargo.toml",
                "roomcast.workspace = true\nroomcast-protocol.workspace = true"
            ),
            1
        );
        assert_eq!(found("protocol/Cargo.toml", "mio = \"1\""), 1);
        assert_eq!(
            found(
                "server/Cargo.toml",
                "roomcast-protocol = { path = \"../protocol\" }\nmio = \"1\""
            ),
            0
        );
    }
}
