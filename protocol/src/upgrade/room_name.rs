//! Room names.
//!
//! Owns which path segment names which room. Must not know rooms.

use std::{fmt, ops};

/// The most characters a room name may have; each is one byte.
const MAX_ROOM_NAME: usize = 64;

/// The name of a room: 1 to 64 of `[A-Za-z0-9._~-]`, the unreserved characters of RFC 3986 section 2.3, but neither `.`
/// nor `..`, which clients take out of a path before they ask for it (section 5.2.4). Names that differ in case are
/// different rooms.
#[derive(Clone, Copy)]
pub struct RoomName {
    bytes: [u8; MAX_ROOM_NAME],
    /// How many of them are in use.
    len: usize,
}

impl ops::Deref for RoomName {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomName({:?})", &**self)
    }
}

/// The room that this path segment names. A percent-encoded unreserved character is that character (RFC 3986 section
/// 2.3: such URIs are equivalent), decoded once and before anything else is asked; of every other encoding there is none.
pub fn room_name(segment: &str) -> Option<RoomName> {
    let mut name = RoomName {
        bytes: [0; MAX_ROOM_NAME],
        len: 0,
    };
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? << 4 | hex(*low)?, after),
            (byte, after) => (*byte, after),
        };
        if !(byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)) {
            return None;
        }
        *name.bytes.get_mut(name.len)? = byte;
        name.len += 1;
        rest = after;
    }
    (!["", ".", ".."].contains(&&*name)).then_some(name)
}

fn hex(digit: u8) -> Option<u8> {
    let digit = char::from(digit).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(segment: &str) -> Option<String> {
        room_name(segment).map(|name| name.to_string())
    }

    #[test]
    fn exactly_the_unreserved_bytes() {
        for code in 0..=u8::MAX {
            let one = format!("a{}b", char::from(code));
            let unreserved =
                matches!(code, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'~' | b'-');
            let expected = unreserved.then(|| one.clone());
            assert_eq!(named(&one), expected, "{one:?}");
            // The same if it is encoded, with digits of either case.
            assert_eq!(named(&format!("a%{code:02x}b")), expected, "{one:?}");
            assert_eq!(named(&format!("a%{code:02X}b")), expected, "{one:?}");
        }
    }

    #[test]
    fn one_to_sixty_four() {
        assert_eq!(named(""), None);
        assert_eq!(named("x"), Some("x".into()));
        for letter in ["x", "%78"] {
            assert_eq!(named(&letter.repeat(64)), Some("x".repeat(64)));
            assert_eq!(named(&letter.repeat(65)), None);
        }
    }

    #[test]
    fn no_dot_segments_however_they_are_written() {
        for dots in [".", "..", "%2E", "%2e", "%2E%2E", ".%2e", "%2e."] {
            assert_eq!(named(dots), None, "{dots}");
        }
        for good in ["...", ".a", "a.", "a..b", "..a", "a%2E%2Eb", "%2e%2e%2e"] {
            assert!(named(good).is_some(), "{good}");
        }
    }

    #[test]
    fn decoded_once_and_never_reserved() {
        assert_eq!(named("lobb%79"), Some("lobby".into()));
        assert_eq!(named("%7Eme"), Some("~me".into()));
        assert_eq!(named("Lobby"), Some("Lobby".into()));
        for bad in [
            "%2541",
            "%25",
            "%2F",
            "a%2fb",
            "%00",
            "%0D%0A",
            "%20",
            "%C3%A9",
            "%",
            "%4",
            "%4g",
            "%g4",
            "%%41",
            "%+1",
            "%-1",
            "a/b",
            "a b",
            "a+b",
            "a\r\nb",
            "caf\u{e9}",
            "%u0041",
        ] {
            assert_eq!(named(bad), None, "{bad}");
        }
    }
}
