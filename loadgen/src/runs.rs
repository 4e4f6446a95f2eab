//! The runs of the sides of a comparison: as they lie on disk, or made one by one.
//!
//! It owns which files belong to a side, and the order in which runs are made. It must not know
//! what they are compared for, nor how a load is run.
//!
//! Invariant: the n-th run of one side is the one that was made beside the n-th of the other.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was before.
    Base,
    /// What is in question.
    New,
}

impl Side {
    /// What it is called, in messages and as a directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::New => "new",
        }
    }
}

/// Makes `rounds` runs of each side in turns, A B B A and so on, so that whatever drifts falls on
/// both alike. `run` is told the side and the round, from 1.
///
/// # Errors
/// The first of `run`; it ends the series.
pub fn in_turns(
    rounds: u64,
    mut run: impl FnMut(Side, u64) -> Result<Report, Failure>,
) -> Result<[Vec<Run>; 2], Failure> {
    let (mut base, mut new) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let order = if round % 2 == 1 {
            [Side::Base, Side::New]
        } else {
            [Side::New, Side::Base]
        };
        for side in order {
            let report = run(side, round)?;
            let runs = match side {
                Side::Base => &mut base,
                Side::New => &mut new,
            };
            runs.push((format!("{} {round}", side.name()), report));
        }
    }
    Ok([base, new])
}

/// Runs `command` in a shell; it must print a report. Its stderr is ours.
///
/// # Errors
/// Exit code 2 when it can't be run or prints none.
pub fn by_command(command: &str) -> Result<Report, Failure> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::usage(format!("cannot run sh: {error}")))?;
    Report::from_json(&String::from_utf8_lossy(&output.stdout)).map_err(|error| {
        Failure::usage(format!(
            "`{command}` ended with {} and printed {error}",
            output.status
        ))
    })
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

    #[test]
    fn sides_take_turns() {
        let mut order = String::new();
        let [base, new] = in_turns(3, |side, round| {
            order.push_str(&format!("{}{round} ", side.name()));
            let mut report = sample::report();
            report.counts.lost = round;
            Ok(report)
        })
        .unwrap();
        assert_eq!(order, "base1 new1 new2 base2 base3 new3 ");
        for (side, name) in [(base, "base"), (new, "new")] {
            let rounds: Vec<_> = side.iter().map(|(_, run)| run.counts.lost).collect();
            assert_eq!(rounds, [1, 2, 3]);
            assert_eq!(side[2].0, format!("{name} 3"));
        }
        let failed = in_turns(3, |side, round| match (side, round) {
            (Side::New, 2) => Err(Failure::could_not_connect("gone")),
            _ => Ok(sample::report()),
        });
        assert_eq!(failed.unwrap_err().message, "gone");
    }
}
