//! The repository's own files, as text.

use std::fs;
use std::path::Path;

/// A file of the repository.
pub(crate) struct File {
    /// From the root of the repository, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What is built or installed and not committed (`.gitignore` has the same), and what git keeps for itself.
const NOT_OURS: [&str; 8] = [
    ".git",
    "target",
    "node_modules",
    ".venv",
    "__pycache__",
    "out",
    "dist",
    "corpus",
];

/// Every text file; a corpus of fuzz inputs is none.
pub(crate) fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let mut found = Vec::new();
    walk(root, root, &mut found);
    assert!(
        found.len() > 20,
        "the repository was not found at {}",
        root.display()
    );
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_symlink() || NOT_OURS.contains(&name) {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("below the root");
            found.push(File {
                path: path.to_string_lossy().replace('\\', "/"),
                text,
            });
        }
    }
}
