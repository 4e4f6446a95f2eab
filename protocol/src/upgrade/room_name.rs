//! Room names.
//!
//! Owns which path segment may name a room. Must not know rooms.

/// The most characters a room name may have; each is one byte.
pub const MAX_ROOM_NAME: usize = 64;

/// `segment` if it is a room name: 1 to 64 of `[A-Za-z0-9._~-]`, the unreserved characters of RFC 3986 section 2.3,
/// so that a name has only one spelling in a URL. Percent-encoding is therefore refused, not decoded, and names that
/// differ in case are different rooms.
pub fn room_name(segment: &str) -> Option<&str> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let good = (1..=MAX_ROOM_NAME).contains(&segment.len()) && segment.bytes().all(unreserved);
    good.then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_unreserved_bytes() {
        for code in 0..=u8::MAX {
            let one = char::from(code).to_string();
            let expected =
                matches!(code, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'~' | b'-');
            assert_eq!(room_name(&one).is_some(), expected, "{one:?}");
            assert_eq!(
                room_name(&format!("a{one}b")).is_some(),
                expected,
                "{one:?} inside"
            );
        }
    }

    #[test]
    fn one_to_sixty_four() {
        assert_eq!(room_name(""), None);
        assert_eq!(room_name("x"), Some("x"));
        assert_eq!(room_name(&"x".repeat(64)), Some(&*"x".repeat(64)));
        assert_eq!(room_name(&"x".repeat(65)), None);
    }

    #[test]
    fn one_spelling() {
        assert_eq!(room_name("Lobby"), Some("Lobby"));
        assert_eq!(room_name("lobb%79"), None);
        assert_eq!(room_name("a/b"), None);
        assert_eq!(room_name("a b"), None);
        assert_eq!(room_name("a\r\nb"), None);
    }
}
