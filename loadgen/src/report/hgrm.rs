//! The percentile distribution as text, in the layout of HdrHistogram's own tool (`.hgrm`).
//!
//! It owns that layout, the choice of percentiles along the way to 100 %, and the rounding of
//! the reference implementation (half up on the shortest decimal digits). It must not know what
//! was measured.
//!
//! Invariant: the text equals, byte for byte, what the reference implementation's
//! `outputPercentileDistribution(out, 5, 1_000_000.0)` prints for the same histogram.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Reporting points for every halving of the distance to 100 %, as the reference tool has them.
pub const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Nanoseconds in the unit that is printed, milliseconds.
const SCALE: f64 = 1e6;
/// Decimals of values: the number of significant digits of the histograms.
const DECIMALS: usize = 3;

/// One reporting point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// At least `percentile` of all values are at most this, in nanoseconds.
    pub value: u64,
    /// The percentile asked for, 0 to 100.
    pub percentile: f64,
    /// How many values are at most `value`.
    pub total: u64,
}

/// Walks from 0 to 100 % in steps that halve with the distance to 100 %; the last step is 100 %.
#[must_use]
pub fn steps(histogram: &Histogram<u64>, ticks_per_half_distance: u32) -> Vec<Step> {
    let all = histogram.len();
    let (mut steps, mut percentile, mut total) = (Vec::new(), 0.0_f64, 0_u64);
    for recorded in histogram.iter_recorded() {
        total += recorded.count_at_value();
        let value = recorded.value_iterated_to();
        while 100.0 * total as f64 / all as f64 >= percentile {
            steps.push(Step {
                value,
                percentile,
                total,
            });
            let halvings = (100.0 / (100.0 - percentile)).ln() / 2_f64.ln();
            let ticks = f64::from(ticks_per_half_distance) * 2_f64.powf(halvings.trunc() + 1.0);
            percentile += 100.0 / ticks;
            // The last value is reported once on the way and once as the 100 % that closes.
            if total == all {
                break;
            }
        }
        if total == all {
            steps.push(Step {
                value,
                percentile: 100.0,
                total,
            });
        }
    }
    steps
}

/// The whole text, values in milliseconds.
#[must_use]
pub fn render(histogram: &Histogram<u64>) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for step in steps(histogram, TICKS_PER_HALF_DISTANCE) {
        let value = fixed(step.value as f64 / SCALE, DECIMALS);
        let quantile = step.percentile / 100.0;
        let shown = fixed(quantile, 12);
        let _ = write!(text, "{value:>12} {shown} {:>10}", step.total);
        if step.percentile != 100.0 {
            let inverse = fixed(1.0 / (1.0 - quantile), 2);
            let _ = write!(text, " {inverse:>14}");
        }
        text.push('\n');
    }
    let scaled = |value: f64| fixed(value / SCALE, DECIMALS);
    let (mean, deviation) = (scaled(histogram.mean()), scaled(histogram.stdev()));
    let max = scaled(histogram.max() as f64);
    let _ = writeln!(
        text,
        "#[Mean    = {mean:>12}, StdDeviation   = {deviation:>12}]"
    );
    let _ = writeln!(
        text,
        "#[Max     = {max:>12}, Total count    = {:>12}]",
        histogram.len()
    );
    let _ = writeln!(
        text,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        histogram.buckets(),
        sub_buckets(histogram.sigfig())
    );
    text
}

/// Linear steps within each power of two: enough to tell apart what the digits must.
fn sub_buckets(digits: u8) -> u64 {
    (2 * 10_u64.pow(u32::from(digits))).next_power_of_two()
}

/// `value` with `decimals`, rounded half up on its shortest decimal digits. Rust's own formatting
/// rounds the exact binary value instead, which differs from the reference in the last digit.
fn fixed(value: f64, decimals: usize) -> String {
    let shortest = value.to_string();
    let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
    let kept: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(decimals)
        .collect();
    let mut digits = format!("{whole}{kept}").into_bytes();
    if fraction
        .as_bytes()
        .get(decimals)
        .is_some_and(|&digit| digit >= b'5')
    {
        let mut carried = true;
        for digit in digits.iter_mut().rev() {
            carried = *digit == b'9';
            *digit = if carried { b'0' } else { *digit + 1 };
            if !carried {
                break;
            }
        }
        if carried {
            digits.insert(0, b'1');
        }
    }
    digits.insert(digits.len() - decimals, b'.');
    String::from_utf8(digits).expect("digits and a point are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::empty_histogram;
    use crate::report::sample;

    #[test]
    fn rounding_is_that_of_the_reference() {
        let table = [
            (0.0, 3, "0.000"),
            (0.0625, 3, "0.063"),
            (1.0005, 3, "1.001"),
            (2.0004999, 3, "2.000"),
            (9.9995, 3, "10.000"),
            (99.999_999, 2, "100.00"),
            (12.0, 2, "12.00"),
            (0.1, 12, "0.100000000000"),
            (2_097_152.0, 2, "2097152.00"),
        ];
        for (value, decimals, want) in table {
            assert_eq!(fixed(value, decimals), want, "{value}");
        }
    }

    #[test]
    fn golden() {
        // Printed by the reference implementation for this histogram.
        let golden = include_str!("golden/ladder.hgrm");
        assert_eq!(render(&sample::ladder(50_000, 12_345, 1_000)), golden);
    }

    #[test]
    fn golden_with_a_long_tail() {
        // Printed by the reference implementation for this histogram.
        let golden = include_str!("golden/tail.hgrm");
        let mut histogram = empty_histogram();
        histogram.record_n(61_234, 9_000_000).unwrap();
        histogram.record_n(1_250_500, 999_000).unwrap();
        histogram.record_n(20_000_000, 990).unwrap();
        histogram.record_n(1_500_000_000, 9).unwrap();
        histogram.record_n(59_000_000_000, 1).unwrap();
        assert_eq!(render(&histogram), golden);
    }

    #[test]
    fn golden_of_nothing() {
        let golden = include_str!("golden/empty.hgrm");
        assert_eq!(render(&empty_histogram()), golden);
    }

    #[test]
    fn steps_end_with_everything() {
        let histogram = sample::ladder(1_000, 1_000, 37);
        let steps = steps(&histogram, TICKS_PER_HALF_DISTANCE);
        assert!(steps.is_sorted_by(|a, b| a.value <= b.value && a.percentile < b.percentile));
        let last = steps.last().unwrap();
        assert_eq!(
            (last.percentile, last.total, last.value),
            (100.0, 37, histogram.max())
        );
    }
}
