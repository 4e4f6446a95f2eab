//! Sizes and times as people write them, for every flag of both programs: `64kB` and `20ms` mean the same everywhere.
//!
//! Owns the spelling. Must not know which flag an amount is for, what it may be at most, or a clock.
//! Invariant: what is taken is a finite number of at least zero.
//!
//! ```text
//! size   64 64B   1kB 1MB 1GB: by 1000   1KiB 1MiB 1GiB, or 1k 1M 1G: by 1024   in any case; a number alone is bytes
//! time   ns us µs ms s m min h           a number alone is seconds
//! ```

/// Nanoseconds in a second: what a time without a unit is taken by.
const SECOND: f64 = 1e9;

/// How many bytes a unit of size has; none is bytes.
#[must_use]
pub fn size_unit(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1_048_576.0,
        "g" | "gib" => 1_073_741_824.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return None,
    })
}

/// How many nanoseconds a unit of time has; none is seconds. The micro sign and the Greek letter are both read.
#[must_use]
pub fn time_unit(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "" | "s" => SECOND,
        "m" | "min" => 60.0 * SECOND,
        "h" => 3_600.0 * SECOND,
        _ => return None,
    })
}

/// The number in front, in which `_` may group digits, and the unit behind it. It is infinite if nothing holds it.
#[must_use]
pub fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'));
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let number: f64 = digits.replace('_', "").parse().ok()?;
    Some((number, unit.trim_start()))
}

/// A size in bytes; it may be a part of one.
#[must_use]
pub fn size(text: &str) -> Option<f64> {
    let (number, unit) = split(text)?;
    finite(number * size_unit(unit)?)
}

/// A time in nanoseconds.
#[must_use]
pub fn time(text: &str) -> Option<f64> {
    let (number, unit) = split(text)?;
    finite(number * time_unit(unit)?)
}

fn finite(amount: f64) -> Option<f64> {
    amount.is_finite().then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0.0),
            ("64", 64.0),
            ("64B", 64.0),
            ("64kB", 64_000.0),
            ("64KB", 64_000.0),
            ("64k", 65_536.0),
            ("64K", 65_536.0),
            ("64KiB", 65_536.0),
            ("64kib", 65_536.0),
            ("0.5MiB", 524_288.0),
            (" 1 MiB ", 1_048_576.0),
            ("1mb", 1e6),
            ("1_000", 1_000.0),
            ("1GB", 1e9),
            ("1GiB", 1_073_741_824.0),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in [
            "", "KiB", "-1", "1e3", "64 kibi", "1..2", "1TB", "inf", "NaN",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, seconds) in [
            ("20", 20.0),
            ("1.5", 1.5),
            ("1.5s", 1.5),
            ("500ms", 0.5),
            ("100us", 1e-4),
            ("100µs", 1e-4),
            ("100μs", 1e-4),
            ("2m", 120.0),
            ("2min", 120.0),
            ("1 h", 3_600.0),
        ] {
            let ns = time(text).unwrap_or(f64::NAN);
            assert!((ns - seconds * 1e9).abs() < 1e-3, "{text}: {ns}");
        }
        for text in ["", "s", "-1s", "1e3s", "20 parsecs", "1d", "1M", "inf"] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
