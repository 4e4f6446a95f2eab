//! What a player calls itself, as it is kept.
//!
//! Owns: the bytes of one name. Must not know: whose it is. Invariant: only a name can be kept, so one can be had back.

use roomcast_protocol::v1::{NAME_BYTES_MAX, Name};

/// Bytes that need no memory elsewhere: with their length and which of the two it is, they fill two words.
const IN_PLACE: usize = 14;

/// A name, or that there is none. Most are short, and an allocation for one takes 32 bytes at least.
#[derive(Debug)]
pub(super) enum Called {
    Short(u8, [u8; IN_PLACE]),
    Long(u8, Box<[u8; NAME_BYTES_MAX]>),
}

impl Called {
    pub(super) fn new(name: Name<'_>) -> Self {
        let bytes = name.as_str().as_bytes();
        let len = bytes.len() as u8;
        if bytes.len() <= IN_PLACE {
            let mut place = [0; IN_PLACE];
            place[..bytes.len()].copy_from_slice(bytes);
            Self::Short(len, place)
        } else {
            let mut place = Box::new([0; NAME_BYTES_MAX]);
            place[..bytes.len()].copy_from_slice(bytes);
            Self::Long(len, place)
        }
    }

    pub(super) fn name(&self) -> Name<'_> {
        let bytes = match self {
            Self::Short(len, bytes) => &bytes[..usize::from(*len)],
            Self::Long(len, bytes) => &bytes[..usize::from(*len)],
        };
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        Name::new(text).unwrap_or(Name::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Called>(), 16);
    }

    #[test]
    fn a_name_of_any_length_comes_back() {
        for len in 1..=NAME_BYTES_MAX {
            for letter in ["x", "é"] {
                let text = letter.repeat(len / letter.len());
                let Ok(name) = Name::new(&text) else { continue };
                let called = Called::new(name);
                assert_eq!(called.name(), name);
                let in_place = matches!(called, Called::Short(..));
                assert_eq!(in_place, text.len() <= IN_PLACE, "{text}");
            }
        }
        assert_eq!(Called::new(Name::NONE).name(), Name::NONE);
    }
}
