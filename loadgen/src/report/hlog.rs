//! The interval log (`.hlog`, V2): one histogram per interval, for HdrHistogram's log tools.
//!
//! It owns the header of that file and the tags in it. It must not know how intervals are cut.
//!
//! Invariant: adding up the intervals of a log that have no tag gives the histogram of everything that arrived in
//! them; times are relative to the StartTime and BaseTime of the header.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Report;
use super::time::rfc3339;

/// Nanoseconds in the unit of the maximum that stands in clear before each histogram.
const MAX_VALUE_DIVISOR: f64 = 1e6;

/// What the times are tagged with that players took to come back: one histogram for the whole run, so that adding up
/// those without a tag is still the latency.
const RESUME: &str = "resume";

/// The whole text of the log.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let zero = UNIX_EPOCH + Duration::from_millis(report.measured_at_unix_ms);
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!(
            "[Latency in nanoseconds, Interval_Max in milliseconds; loadgen {}, {}]",
            report.loadgen_version,
            rfc3339(report.started_at_unix_ms)
        ))
        .with_start_time(zero)
        .with_base_time(zero)
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(&mut log, &mut serializer)
        .expect("writing into memory does not fail");
    for interval in &report.timeline {
        writer
            .write_histogram(
                &interval.latency.to_histogram(),
                seconds(interval.start_s),
                seconds(interval.length_s),
                None,
            )
            .expect("a histogram within its bounds serializes into memory");
    }
    if !report.histograms.resume.is_empty() {
        writer
            .write_histogram(
                &report.histograms.resume,
                Duration::ZERO,
                seconds(report.stages.measured_s),
                Tag::new(RESUME),
            )
            .expect("a histogram within its bounds serializes into memory");
    }
    String::from_utf8(log).expect("the log is text")
}

/// A duration from a report; what a damaged file may hold instead of one becomes zero.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::empty_histogram;
    use crate::report::{histogram, sample};
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn what_is_written_is_read_back() {
        let report = sample::report();
        let text = render(&report);
        let mut sum = empty_histogram();
        let mut starts = Vec::new();
        let (mut start_time, mut base_time) = (None, None);
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            match entry.unwrap() {
                LogEntry::StartTime(time) => start_time = Some(time),
                LogEntry::BaseTime(time) => base_time = Some(time),
                LogEntry::Interval(interval) => {
                    let whole = histogram::decode(interval.encoded_histogram()).unwrap();
                    let max_ms = whole.max() as f64 / 1e6;
                    assert!((interval.max() - max_ms).abs() < 0.001);
                    assert_eq!(interval.duration(), Duration::from_secs(1));
                    assert_eq!(interval.tag(), None);
                    starts.push(interval.start_timestamp().as_secs());
                    histogram::add(&mut sum, &whole).unwrap();
                }
            }
        }
        assert_eq!(starts, [0, 1, 2]);
        assert_eq!(sum, report.histograms.latency);
        let zero = Duration::from_millis(report.measured_at_unix_ms);
        for time in [start_time, base_time] {
            assert!(time.unwrap().abs_diff(zero) < Duration::from_millis(1));
        }
    }

    #[test]
    fn times_of_coming_back_have_a_tag() {
        let mut report = sample::report();
        report.histograms.resume = sample::ladder(200_000, 1_000, 20);
        let text = render(&report);
        let tagged = IntervalLogIterator::new(text.as_bytes()).filter_map(|entry| {
            let LogEntry::Interval(interval) = entry.unwrap() else {
                return None;
            };
            let tag = interval.tag()?;
            assert_eq!(tag.as_str(), RESUME);
            Some(histogram::decode(interval.encoded_histogram()).unwrap())
        });
        let tagged: Vec<_> = tagged.collect();
        assert_eq!(tagged, [report.histograms.resume]);
    }

    #[test]
    fn an_empty_timeline_is_a_log_without_intervals() {
        let mut report = sample::report();
        report.timeline.clear();
        let text = render(&report);
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
        let entries = IntervalLogIterator::new(text.as_bytes()).count();
        assert_eq!(entries, 2, "the two times of the header");
    }
}
