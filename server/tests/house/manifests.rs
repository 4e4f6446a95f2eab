//! What a manifest may depend on, and which features it may switch on.

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
            "tokio",
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

#[cfg(test)]
mod tests {
    use super::*;

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
