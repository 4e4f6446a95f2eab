//! Points in time as text.
//!
//! It owns which form of it this program writes, and nothing else.
//!
//! Invariant: the text is UTC in RFC 3339 and sorts as the times do.

use jiff::Timestamp;

/// `2023-11-14T22:13:20Z` for milliseconds since 1970-01-01T00:00:00Z; the rest is cut off, and what is beyond the
/// calendar is its end.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let seconds = (unix_ms / 1000).cast_signed();
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    format!("{time:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, want) in table {
            assert_eq!(rfc3339(seconds * 1000 + 999), want);
        }
    }

    #[test]
    fn what_no_clock_shows_is_still_text() {
        assert!(rfc3339(u64::MAX).starts_with("9999-12-"));
    }
}
