//! How values on the command line are spelled: times, sizes, addresses.
//!
//! It owns their bounds, and the spelling of those that only this program takes. It must not know which flag a value is for.
//!
//! Invariant: what is refused is answered with an example of what is not.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use roomcast_protocol::units;

/// Most addresses that `--source-address` may name.
pub(super) const SOURCE_ADDRESSES_MAX: usize = 4096;

/// One value of `--source-address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(pub(super) Vec<IpAddr>);

/// `15`, `15s`, `500ms`, `2m`, `1h`; a number alone is seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let ns = units::time(text).filter(|ns| *ns < u64::MAX as f64);
    let ns = ns.ok_or_else(|| format!("{text:?} is not a time; write 15s, 500ms, 2m or 1h"))?;
    Ok(Duration::from_nanos(ns.round() as u64))
}

/// The shortest interval of a time line: the server's CPU time is known in steps of 10 ms, so
/// that shorter ones would say little about it.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The longest.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// A time of 100 ms to 1 hour.
pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        return Err(format!("{text:?} is not between 100 ms and 1 hour"));
    }
    Ok(interval)
}

/// `10000`.
pub(super) fn parse_whole<T: FromStr>(text: &str) -> Result<T, String> {
    let wrong = |_| "give a whole number like 10000".to_owned();
    text.trim().parse().map_err(wrong)
}

/// The largest seed: the largest whole number up to which readers of JSON that know only 64-bit
/// floats (JavaScript, jq 1.6) tell all apart, so that the seed in a report repeats the run.
pub(super) const SEED_MAX: u64 = (1 << 53) - 1;

/// 0 to [`SEED_MAX`].
pub(super) fn parse_seed(text: &str) -> Result<u64, String> {
    let seed = parse_whole(text)?;
    if seed > SEED_MAX {
        return Err(format!("{seed} is more than {SEED_MAX}, the largest seed"));
    }
    Ok(seed)
}

/// 1 to 1,000,000,000.
pub(super) fn parse_clients(text: &str) -> Result<u64, String> {
    let clients = parse_whole(text)?;
    if !(1..=1_000_000_000).contains(&clients) {
        return Err(format!("{clients} is not between 1 and 1000000000"));
    }
    Ok(clients)
}

/// `20`, `0.5`.
pub(super) fn parse_number(text: &str) -> Result<f64, String> {
    let wrong = |_| "give a number like 20 or 0.5".to_owned();
    text.trim().parse().map_err(wrong)
}

/// `20`, `0.5/s`.
pub(super) fn parse_per_second(text: &str) -> Result<f64, String> {
    let text = text.trim();
    parse_number(text.strip_suffix("/s").unwrap_or(text))
}

/// `20`, `20Hz`, `0.5/s`.
pub(super) fn parse_hertz(text: &str) -> Result<f64, String> {
    let text = text.trim();
    parse_per_second(text.strip_suffix("Hz").unwrap_or(text))
}

/// `20`, `20Hz`.
pub(super) fn parse_ticks(text: &str) -> Result<u32, String> {
    let text = text.trim();
    parse_whole(text.strip_suffix("Hz").unwrap_or(text))
}

/// `64`, `4KiB`, `4kB`, `1MiB`.
pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size; write 64, 4KiB (4096 bytes) or 4kB (4000)");
    let bytes = units::size(text).ok_or_else(wrong)?;
    if bytes.fract() != 0.0 || bytes > 1e15 {
        return Err(format!("{text:?} is not a whole number of bytes"));
    }
    Ok(bytes as usize)
}

/// One address, or the first and last of a range of IPv4 addresses.
pub(super) fn parse_addresses(text: &str) -> Result<Addresses, String> {
    let wrong =
        || format!("{text:?} is not an address or a range; write 127.0.0.2 or 127.0.0.2-127.0.0.9");
    let Some((first, last)) = text.split_once('-') else {
        return text
            .trim()
            .parse()
            .map(|address| Addresses(vec![address]))
            .map_err(|_| wrong());
    };
    let first: Ipv4Addr = first.trim().parse().map_err(|_| wrong())?;
    let last: Ipv4Addr = last.trim().parse().map_err(|_| wrong())?;
    let (first, last) = (u32::from(first), u32::from(last));
    if last < first {
        return Err(format!("{text:?} ends before it begins"));
    }
    if (last - first) as usize >= SOURCE_ADDRESSES_MAX {
        return Err(format!(
            "{text:?} has more than {SOURCE_ADDRESSES_MAX} addresses"
        ));
    }
    Ok(Addresses(
        (first..=last)
            .map(|address| Ipv4Addr::from(address).into())
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        for (text, ms) in [
            ("15", 15_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("100us", 0),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
        for bad in ["", "s", "1d", "1e300h", "-5s", "inf"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for (text, bytes) in [
            ("64", 64),
            ("64B", 64),
            ("4KiB", 4_096),
            ("4kB", 4_000),
            ("4k", 4_096),
            ("0.5MiB", 524_288),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn seeds_survive_as_floats() {
        for (text, seed) in [
            ("0", Some(0)),
            ("9007199254740991", Some(SEED_MAX)),
            ("9007199254740992", None),
        ] {
            assert_eq!(parse_seed(text).ok(), seed, "{text}");
        }
        assert_eq!(SEED_MAX as f64 as u64, SEED_MAX);
    }

    #[test]
    fn addresses_and_ranges() {
        let text = |addresses: Addresses| {
            let all: Vec<String> = addresses.0.iter().map(ToString::to_string).collect();
            all.join(" ")
        };
        for (written, want) in [
            ("127.0.0.2", "127.0.0.2"),
            ("::1", "::1"),
            (
                "127.0.0.254-127.0.1.1",
                "127.0.0.254 127.0.0.255 127.0.1.0 127.0.1.1",
            ),
            ("10.0.0.1 - 10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(text(parse_addresses(written).unwrap()), want, "{written}");
        }
        for (written, want) in [
            ("localhost", "write 127.0.0.2"),
            ("127.0.0.2-9", "write 127.0.0.2"),
            ("127.0.0.9-127.0.0.2", "ends before it begins"),
            ("10.0.0.0-10.0.16.0", "more than 4096"),
        ] {
            let error = parse_addresses(written).unwrap_err();
            assert!(error.contains(want), "{written}: {error}");
        }
    }
}
