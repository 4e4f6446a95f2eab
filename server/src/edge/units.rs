//! Durations, sizes and addresses of flags: `20s`, `500ms`, `64KiB`, `0.0.0.0:7777`.
//!
//! Owns how long and how large they may be. How they are written is `protocol::units`'s, as for loadgen.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use roomcast_protocol::units;

/// A duration in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(u32);

impl Millis {
    /// Longest duration taken: a day. Timers compare 32-bit milliseconds by distance.
    const MAX: u32 = 24 * 60 * 60 * 1000;

    const WRONG: &str = "give a time like 20s, 500ms, 2m or 1h; a number alone is seconds";

    /// In milliseconds.
    pub fn as_millis(self) -> u32 {
        self.0
    }
}

impl FromStr for Millis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ns = units::time(text).ok_or_else(|| Self::WRONG.to_owned())?;
        let millis = (ns / 1e6).round();
        if !(0.0..=f64::from(Self::MAX)).contains(&millis) {
            return Err("at most 24h".to_owned());
        }
        Ok(Self(millis as u32))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}s", self.0 / 1000)
        } else {
            write!(f, "{}ms", self.0)
        }
    }
}

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(usize);

impl Bytes {
    /// Largest size taken: offsets into batches have 32 bits.
    const MAX: usize = 1 << 30;

    const WRONG: &str =
        "give a size like 64KiB (65536 bytes), 64kB (64000) or 1MiB; a number alone is bytes";

    /// In bytes.
    pub fn get(self) -> usize {
        self.0
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = units::size(text).filter(|bytes| bytes.fract() == 0.0);
        let bytes = bytes.ok_or_else(|| Self::WRONG.to_owned())?;
        if bytes > Self::MAX as f64 {
            return Err("at most 1GiB".to_owned());
        }
        Ok(Self(bytes as usize))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => {
                write!(f, "{}MiB", bytes >> 20)
            }
            bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => {
                write!(f, "{}KiB", bytes >> 10)
            }
            bytes => write!(f, "{bytes}B"),
        }
    }
}

/// An address to listen on.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "give an IP address and a port, like 127.0.0.1:7777, 0.0.0.0:7777 or [::]:7777".to_owned()
    })
}

/// A number of things.
pub(super) fn parse_count(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| "give a whole number like 1000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let good = [
            ("500ms", 500),
            ("20s", 20_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("20", 20_000),
            ("1.5", 1_500),
            ("0", 0),
            ("24h", 86_400_000),
        ];
        for (text, millis) in good {
            assert_eq!(
                text.parse::<Millis>().map(Millis::as_millis),
                Ok(millis),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "-1s",
            "-1",
            "1e3s",
            "20 parsecs",
            "25h",
            "86401",
            "1..2s",
        ] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
        assert_eq!("1500ms".parse::<Millis>().unwrap().to_string(), "1500ms");
        assert_eq!("60s".parse::<Millis>().unwrap().to_string(), "60s");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("64KiB", 65_536),
            ("1000", 1_000),
            ("1 MiB", 1 << 20),
            ("64kib", 65_536),
            ("64K", 65_536),
            ("1.5KiB", 1_536),
            ("2kB", 2_000),
            ("2KB", 2_000),
            ("1mb", 1_000_000),
            ("1GB", 1_000_000_000),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(text.parse::<Bytes>().map(Bytes::get), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "KiB",
            "-1",
            "0.3B",
            "2GiB",
            "99999999999999999999",
            "64 kibi",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert_eq!("262144".parse::<Bytes>().unwrap().to_string(), "256KiB");
    }
}
