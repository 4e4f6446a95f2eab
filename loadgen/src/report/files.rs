//! The files of `--out DIR`, written so that nobody ever reads half of one.
//!
//! It owns file names and atomic writing. It must not know what is in a file.
//!
//! Invariant: a file appears under its name only when it is complete on disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Report, hgrm, hlog, junit, summary, svg};
use crate::exit::Failure;

/// The report for programs: `merge` and `compare` read it.
pub const REPORT: &str = "report.json";

/// Creates `directory` (and what is above it) if needed and checks that it can be written to,
/// so that a run does not end with nowhere to put its report.
///
/// # Errors
/// One line and exit code 2.
pub fn prepare(directory: &Path) -> Result<(), Failure> {
    let shown = directory.display();
    fs::create_dir_all(directory).map_err(|error| {
        Failure::usage(format!(
            "cannot create the directory {shown}: {error}; choose another --out"
        ))
    })?;
    let probe = directory.join(format!(".loadgen-{}.tmp", std::process::id()));
    File::create(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .map_err(|error| {
            Failure::usage(format!(
                "cannot write to the directory {shown}: {error}; choose another --out"
            ))
        })
}

/// What only some runs have: an earlier run's must not stay beside the files of one that has none.
const OF_SOME: [&str; 4] = [TLS, RESUME, STATE_AGE, HOST_CHANGE];
const TLS: &str = "tls.hgrm";
const RESUME: &str = "resume.hgrm";
const STATE_AGE: &str = "state_age.hgrm";
const HOST_CHANGE: &str = "host_change.hgrm";

/// Writes every file of a report into `directory`, removes what an earlier run had beyond that, and
/// returns the paths.
///
/// # Errors
/// One line and exit code 2 for the first file that cannot be written.
pub fn write_all(report: &Report, directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = vec![
        (REPORT, report.to_json()),
        ("latency.hgrm", hgrm::render(&report.histograms.latency)),
        (
            "latency_uncorrected.hgrm",
            hgrm::render(&report.histograms.latency_uncorrected),
        ),
        ("latency.hlog", hlog::render(report)),
        ("latency.svg", svg::render(report).map_err(Failure::usage)?),
        ("summary.md", summary::render(report)),
        ("junit.xml", junit::render(report)),
    ];
    let histograms = &report.histograms;
    let of_some = [
        &histograms.tls,
        &histograms.resume,
        &histograms.state_age,
        &histograms.host_change,
    ];
    for (name, histogram) in OF_SOME.into_iter().zip(of_some) {
        if !histogram.is_empty() {
            files.push((name, hgrm::render(histogram)));
        }
    }
    for name in OF_SOME {
        if !files.iter().any(|(written, _)| *written == name) {
            remove(&directory.join(name))?;
        }
    }
    files
        .into_iter()
        .map(|(name, text)| {
            let path = directory.join(name);
            write(&path, &text)?;
            Ok(path)
        })
        .collect()
}

/// Writes `text` to a temporary file beside `path` and renames it to `path`.
///
/// # Errors
/// One line and exit code 2; no temporary file stays behind.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_atomically(path, text)
        .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::usage(format!(
            "cannot remove {} of an earlier run: {error}",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The first error is the one to tell; a file that was never made cannot be removed.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("a/b");
        prepare(&out).unwrap();
        let report = sample::report();
        let written = write_all(&report, &out).unwrap();
        assert_eq!(
            names(&out),
            [
                "junit.xml",
                "latency.hgrm",
                "latency.hlog",
                "latency.svg",
                "latency_uncorrected.hgrm",
                "report.json",
                "summary.md"
            ]
        );
        assert_eq!(written.len(), 7);
        assert_eq!(Report::read(&out.join(REPORT)).unwrap(), report);
    }

    #[test]
    fn handshakes_and_returns_have_a_file_if_there_were_any() {
        let scratch = tempfile::tempdir().unwrap();
        let mut report = sample::report();
        report.histograms.tls = sample::ladder(200_000, 1_000, 20);
        report.histograms.resume = sample::ladder(300_000, 1_000, 20);
        report.histograms.state_age = sample::ladder(400_000, 1_000, 20);
        report.histograms.host_change = sample::ladder(500_000, 1_000, 20);
        report.metrics = crate::report::metrics::all(&report);
        write_all(&report, scratch.path()).unwrap();
        for name in OF_SOME {
            assert!(names(scratch.path()).contains(&name.to_owned()));
        }
        assert_eq!(Report::read(&scratch.path().join(REPORT)).unwrap(), report);
        // The next run is over ws and nobody is lost: nothing of this one stays beside it.
        write(&scratch.path().join("notes.txt"), "mine").unwrap();
        write_all(&sample::report(), scratch.path()).unwrap();
        for name in OF_SOME {
            assert!(!names(scratch.path()).contains(&name.to_owned()));
        }
        assert!(names(scratch.path()).contains(&"notes.txt".to_owned()));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("x");
        write(&path, "a long first text").unwrap();
        write(&path, "short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(names(scratch.path()), ["x"]);
    }

    #[test]
    fn failures_are_one_line_and_leave_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        write(&file, "x").unwrap();
        let failure = prepare(&file.join("below")).unwrap_err();
        assert!(
            failure.message.starts_with("cannot create the directory"),
            "{failure}"
        );
        // A directory is in the way of the rename.
        let taken = scratch.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), "x").unwrap();
        let failure = write(&taken, "x").unwrap_err();
        assert!(failure.message.starts_with("cannot write"), "{failure}");
        assert_eq!(names(scratch.path()), ["file", "taken"]);
    }
}
