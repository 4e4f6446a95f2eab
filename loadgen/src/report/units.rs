//! Numbers as people read them: durations, bytes, counts, ratios and rates.
//!
//! It owns how a number looks and how the bound of a check is read. It must not know what any
//! number means.
//!
//! Invariant: what is printed can be typed back into a check (`us`, not `µs`, is printed; both
//! are read).

use roomcast_protocol::units as amounts;
use serde::{Deserialize, Serialize};

/// What a metric's number counts. The number itself is always in the base unit named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Time in nanoseconds.
    Nanoseconds,
    /// Memory or traffic in bytes.
    Bytes,
    /// A share, 1 being all of it.
    Ratio,
    /// How many.
    Count,
    /// How many per second.
    PerSecond,
}

impl Unit {
    /// How a suffix behind a number of this unit counts; what sizes and times are written in is the same for every flag
    /// of both programs.
    fn factor(self, suffix: &str) -> Option<f64> {
        match self {
            Self::Nanoseconds => amounts::time_unit(suffix),
            Self::Bytes => amounts::size_unit(suffix),
            Self::Ratio => {
                ["", "%"]
                    .contains(&suffix)
                    .then_some(if suffix == "%" { 0.01 } else { 1.0 })
            }
            Self::Count => suffix.is_empty().then_some(1.0),
            Self::PerSecond => ["", "/s", "Hz"].contains(&suffix).then_some(1.0),
        }
    }

    /// The suffixes, for whoever wrote another.
    fn suffixes(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns, us, ms, s, m, h",
            Self::Bytes => "B, KiB, MiB, GiB, kB, MB, GB",
            Self::Ratio => "%",
            Self::Count => "",
            Self::PerSecond => "/s, Hz",
        }
    }

    /// Reads `20ms`, `0.1 %`, `1_000` as an amount of this unit, in its base unit.
    ///
    /// # Errors
    /// Says what is wrong and which suffixes exist.
    pub fn parse(self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err("the bound is negative; nothing measured ever is".to_owned());
        }
        let (number, suffix) = amounts::split(text)
            .ok_or_else(|| format!("{text:?} does not begin with a number such as 20 or 0.5"))?;
        if !number.is_finite() {
            return Err("the number is too large".to_owned());
        }
        // Nobody says seconds when speaking of latencies.
        if self == Self::Nanoseconds && suffix.is_empty() && number != 0.0 {
            return Err(format!("a duration needs a unit: {}", self.suffixes()));
        }
        self.factor(suffix)
            .map(|factor| number * factor)
            .ok_or_else(|| match self {
                Self::Count => {
                    format!("unit {suffix:?} does not fit: this metric is a plain number")
                }
                _ => format!("unit {suffix:?} does not fit: use {}", self.suffixes()),
            })
    }

    /// `value` in this unit, as a person reads it.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Nanoseconds => duration(value),
            Self::Bytes => bytes(value),
            Self::Ratio => ratio(value),
            Self::Count => count(value.round() as u64),
            Self::PerSecond if value < 100.0 => format!("{}/s", significant(value)),
            Self::PerSecond => format!("{}/s", count(value.round() as u64)),
        }
    }
}

/// A duration in nanoseconds with three significant digits and the unit that fits it; what takes
/// for ever never comes.
#[must_use]
pub fn duration(ns: f64) -> String {
    if ns.is_infinite() {
        return "never".to_owned();
    }
    // The limits are a little below the round numbers so that 999.7 ns becomes
    // "1.00 us" and not "1000 ns".
    let (divisor, unit) = match ns {
        ns if ns < 999.5 => (1.0, "ns"),
        ns if ns < 999.5e3 => (1e3, "us"),
        ns if ns < 999.5e6 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", significant(ns / divisor))
}

/// A number of bytes with three significant digits and a binary prefix.
#[must_use]
pub fn bytes(value: f64) -> String {
    if value < 1023.5 {
        return format!("{} B", significant(value.round()));
    }
    let mut value = value / 1024.0;
    for unit in ["KiB", "MiB"] {
        if value < 1023.5 {
            return format!("{} {unit}", significant(value));
        }
        value /= 1024.0;
    }
    format!("{} GiB", significant(value))
}

/// A share as a percentage: "0 %" and "100 %" only when they are exact.
#[must_use]
pub fn ratio(value: f64) -> String {
    let percent = value * 100.0;
    if percent == 0.0 || percent == 100.0 {
        return format!("{percent:.0} %");
    }
    if percent < 0.001 {
        return "< 0.001 %".to_owned();
    }
    if percent > 99.9 && percent < 100.0 {
        // Cut, never rounded up to 100.
        return format!("{:.3} %", (percent * 1e3).floor() / 1e3);
    }
    format!("{} %", significant(percent))
}

/// A whole number with thousands separated by commas.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three significant digits (and at most four decimals), never in scientific notation: 0.123,
/// 1.23, 12.3, 123, 1234.
#[must_use]
pub fn significant(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        m if m == 0.0 || m >= 99.95 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.9995 => 2,
        m if m >= 0.009_95 => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    // Whole numbers carry no ".00": "5 s", not "5.00 s", is what was asked for.
    match text.trim_end_matches('0').strip_suffix('.') {
        Some(whole) if decimals > 0 => whole.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_pick_their_unit() {
        let table = [
            (0.0, "0 ns"),
            (1.0, "1 ns"),
            (999.4, "999 ns"),
            (999.6, "1 us"),
            (1_500.0, "1.50 us"),
            (60_123.0, "60.1 us"),
            (999_600.0, "1 ms"),
            (16_000_000.0, "16 ms"),
            (2_345_678.0, "2.35 ms"),
            (15e9, "15 s"),
            (61.26e9, "61.3 s"),
            (f64::INFINITY, "never"),
        ];
        for (ns, want) in table {
            assert_eq!(duration(ns), want, "{ns} ns");
        }
    }

    #[test]
    fn bytes_use_binary_prefixes() {
        let table = [
            (0.0, "0 B"),
            (523.0, "523 B"),
            (1024.0, "1 KiB"),
            (29.4 * 1024.0, "29.4 KiB"),
            (1024.0 * 1023.9, "1 MiB"),
            (3.5 * 1024.0 * 1024.0 * 1024.0, "3.50 GiB"),
        ];
        for (value, want) in table {
            assert_eq!(bytes(value), want, "{value} B");
        }
    }

    #[test]
    fn ratios_never_round_to_all_or_nothing() {
        assert_eq!(ratio(0.0), "0 %");
        assert_eq!(ratio(1.0), "100 %");
        assert_eq!(ratio(0.000_000_1), "< 0.001 %");
        assert_eq!(ratio(0.999_999_9), "99.999 %");
        assert_eq!(ratio(0.0123), "1.23 %");
        assert_eq!(ratio(0.000_6), "0.060 %");
        assert_eq!(ratio(1.5), "150 %");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn every_unit_shows_its_suffix() {
        assert_eq!(Unit::PerSecond.show(180_000.2), "180,000/s");
        assert_eq!(Unit::PerSecond.show(12.25), "12.2/s");
        assert_eq!(Unit::Count.show(3.0), "3");
        assert_eq!(Unit::Nanoseconds.show(2e6), "2 ms");
        assert_eq!(Unit::Bytes.show(450.0), "450 B");
        assert_eq!(Unit::Ratio.show(0.5), "50 %");
    }
}
