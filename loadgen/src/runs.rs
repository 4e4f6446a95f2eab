//! The runs of one side of a comparison, as they lie on disk.
//!
//! It owns which files belong to a side and in which order. It must not know what they are
//! compared for.
//!
//! Invariant: the same files come in the same order, so that the n-th of one side was made beside
//! the n-th of the other.

use std::path::{Path, PathBuf};

use crate::compare::Run;
use crate::exit::Failure;
use crate::report::{Report, files};

/// The report in `path`; if that is a directory, the reports in the directories below it
/// (DIR/1/report.json, DIR/2/report.json …), those with a number for a name by their number.
///
/// # Errors
/// One line and exit code 2 for what cannot be read or is no report.
pub fn read(path: &Path) -> Result<Vec<Run>, Failure> {
    let paths = if path.is_dir() {
        below(path)?
    } else {
        vec![path.to_owned()]
    };
    let read = |path: PathBuf| Ok((path.display().to_string(), Report::read(&path)?));
    paths.into_iter().map(read).collect()
}

fn below(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let own = directory.join(files::REPORT);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let shown = directory.display();
    let cannot = |error| Failure::usage(format!("cannot read {shown}: {error}"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let report = entry.path().join(files::REPORT);
        if report.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push((name.parse().unwrap_or(u64::MAX), name, report));
        }
    }
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "{shown} holds no {report}, nor does a directory in it; give it what --out wrote",
            report = files::REPORT
        )));
    }
    found.sort();
    Ok(found.into_iter().map(|(.., report)| report).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn save(path: &Path) {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join(files::REPORT), sample::report().to_json()).unwrap();
    }

    fn names(path: &Path) -> Vec<String> {
        let runs = read(path).unwrap();
        let shown = path.display().to_string();
        let name = |(name, _): Run| name.trim_start_matches(&shown).to_owned();
        runs.into_iter().map(name).collect()
    }

    #[test]
    fn a_file_a_directory_and_directories_in_it() {
        let scratch = tempfile::tempdir().unwrap();
        let side = scratch.path().join("side");
        for round in ["1", "2", "10", "last"] {
            save(&side.join(round));
        }
        std::fs::create_dir(side.join("3")).unwrap();
        assert_eq!(
            names(&side),
            [
                "/1/report.json",
                "/2/report.json",
                "/10/report.json",
                "/last/report.json"
            ]
        );
        assert_eq!(names(&side.join("10")), ["/report.json"]);
        assert_eq!(names(&side.join("10/report.json")), [""]);
        let failure = read(scratch.path()).unwrap_err();
        assert!(
            failure.message.contains("holds no report.json"),
            "{failure}"
        );
        assert!(read(&scratch.path().join("nothing")).is_err());
    }
}
