//! The smallest pieces: varints, names, payloads.
//!
//! Owns: how each is read and written, and the frame of a packet.
//! Must not know: any packet.
//! Invariant: what is read is in the only form that writing makes.

use super::{
    Fault, NAME_BYTES_MAX, NUMBER_MAX, Owner, PlayerId, VALUE_BYTES_MAX, VARINT_BYTES_MAX,
};

/// What a game sends: bytes, or text that arrives as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Payload<'a> {
    /// Any bytes.
    Bytes(&'a [u8]),
    /// UTF-8.
    Text(&'a str),
}

impl<'a> Payload<'a> {
    /// Its bytes, whichever it is.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }

    /// Whether it is text.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text(_))
    }

    pub(super) fn new(bytes: &'a [u8], is_text: bool) -> Result<Self, Fault> {
        Ok(if is_text {
            Self::Text(utf8(bytes, "the payload")?)
        } else {
            Self::Bytes(bytes)
        })
    }
}

/// The name of a player or of a property: 1 to 64 bytes of UTF-8 without control characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// The name of a raw player: none. No client may have it.
    pub const NONE: Name<'static> = Name("");

    /// `text` as a name.
    ///
    /// # Errors
    /// If it is empty, longer than [`NAME_BYTES_MAX`], or has a control character.
    pub fn new(text: &'a str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::Nothing("the name"));
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(Fault::TooLarge("the name"));
        }
        if text.chars().any(char::is_control) {
            return Err(Fault::ControlCharacter("the name"));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        write_varint(out, self.0.len() as u64);
        out.extend_from_slice(self.0.as_bytes());
    }
}

pub(super) fn utf8<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, Fault> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Fault::NotUtf8(field))
}

/// Appends a number, which must not be above [`NUMBER_MAX`].
///
/// ```
/// let mut out = Vec::new();
/// roomcast_protocol::v1::write_varint(&mut out, 300);
/// assert_eq!(out, [0xac, 0x02]);
/// ```
#[inline]
pub fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    debug_assert!(
        number <= NUMBER_MAX,
        "{number} is more than a varint carries"
    );
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a packet whose body is of a known length; the body follows.
#[inline]
pub(super) fn write_head(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    write_varint(out, len as u64);
}

/// Appends a packet.
pub(super) fn write_packet(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let at = out.len();
    out.push(0);
    body(out);
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = len as u8;
    } else {
        let mut varint = Vec::with_capacity(VARINT_BYTES_MAX);
        write_varint(&mut varint, len as u64);
        out.splice(at..=at, varint);
    }
}

/// Bytes that [`write_varint`] appends.
#[must_use]
#[inline]
pub const fn varint_len(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

pub(super) fn write_owner(out: &mut Vec<u8>, owner: Owner) {
    write_varint(out, owner.map_or(0, |id| u64::from(id.get())));
}

/// Appends a value: None is a deleted one.
pub(super) fn write_value(out: &mut Vec<u8>, value: Option<Payload<'_>>) {
    match value {
        None => write_varint(out, 0),
        Some(payload) => {
            let bytes = payload.bytes();
            write_varint(
                out,
                1 + 2 * bytes.len() as u64 + u64::from(payload.is_text()),
            );
            out.extend_from_slice(bytes);
        }
    }
}

/// What is left of a body.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Fault::Truncated(field))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Fault> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Fault::Truncated(field))?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, Fault> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    #[inline]
    pub(super) fn varint(&mut self, field: &'static str) -> Result<u64, Fault> {
        if let [byte @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint(field)
    }

    fn long_varint(&mut self, field: &'static str) -> Result<u64, Fault> {
        let mut number = 0;
        for (place, byte) in self.0.iter().take(VARINT_BYTES_MAX).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                if *byte == 0 {
                    return Err(Fault::NotShortest(field));
                }
                if number > NUMBER_MAX {
                    return Err(Fault::TooLarge(field));
                }
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(if self.0.len() < VARINT_BYTES_MAX {
            Fault::Truncated(field)
        } else {
            Fault::TooLarge(field)
        })
    }

    /// A number up to `max`.
    pub(super) fn bounded(&mut self, max: u64, field: &'static str) -> Result<u64, Fault> {
        match self.varint(field)? {
            number if number > max => Err(Fault::TooLarge(field)),
            number => Ok(number),
        }
    }

    /// A player, or the room.
    pub(super) fn owner(&mut self, field: &'static str) -> Result<Owner, Fault> {
        Ok(PlayerId::new(self.u32(field)?))
    }

    pub(super) fn player(&mut self, field: &'static str) -> Result<PlayerId, Fault> {
        self.owner(field)?.ok_or(Fault::NoPlayer(field))
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, Fault> {
        match self.u8(field)? {
            flag @ 0..2 => Ok(flag == 1),
            _ => Err(Fault::TooLarge(field)),
        }
    }

    /// The key of a state, or a group.
    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, Fault> {
        Ok(self.bounded(u64::from(u32::MAX), field)? as u32)
    }

    /// A name, which may be none.
    pub(super) fn name_or_none(&mut self) -> Result<Name<'a>, Fault> {
        let len = self.bounded(NAME_BYTES_MAX as u64, "the name")?;
        match utf8(self.bytes(len as usize, "the name")?, "the name")? {
            "" => Ok(Name::NONE),
            text => Name::new(text),
        }
    }

    pub(super) fn name(&mut self) -> Result<Name<'a>, Fault> {
        match self.name_or_none()? {
            Name::NONE => Err(Fault::Nothing("the name")),
            name => Ok(name),
        }
    }

    pub(super) fn value(&mut self) -> Result<Option<Payload<'a>>, Fault> {
        let Some(said) = self.varint("the value")?.checked_sub(1) else {
            return Ok(None);
        };
        let len = said / 2;
        if len > VALUE_BYTES_MAX as u64 {
            return Err(Fault::TooLarge("the value"));
        }
        let bytes = self.bytes(len as usize, "the value")?;
        Payload::new(bytes, said % 2 == 1).map(Some)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The next packet's kind and body; None at the end.
    pub(super) fn packet(&mut self) -> Result<Option<(u8, Reader<'a>)>, Fault> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let kind = self.u8("the kind")?;
        let len = self.varint("the length")?;
        let len = usize::try_from(len).map_err(|_| Fault::TooLarge("the length"))?;
        Ok(Some((kind, Reader(self.bytes(len, "the body")?))))
    }

    pub(super) fn end(self) -> Result<(), Fault> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Fault::LeftOver)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, Fault> {
        let mut reader = Reader(bytes);
        let number = reader.varint("it")?;
        reader.end()?;
        Ok(number)
    }

    #[test]
    fn varints_have_one_form_and_a_bound() {
        for number in [
            0,
            1,
            127,
            128,
            300,
            16_383,
            16_384,
            1 << 32,
            NUMBER_MAX - 1,
            NUMBER_MAX,
        ] {
            let mut out = Vec::new();
            write_varint(&mut out, number);
            assert_eq!(read(&out), Ok(number), "{out:02x?}");
            assert!(out.len() <= VARINT_BYTES_MAX);
        }
        for (bytes, fault) in [
            (&[][..], Fault::Truncated("it")),
            (&[0x80], Fault::Truncated("it")),
            (&[0xff; 7], Fault::Truncated("it")),
            (&[0x80, 0], Fault::NotShortest("it")),
            (&[0xff, 0x80, 0], Fault::NotShortest("it")),
            (&[0xff; 8], Fault::TooLarge("it")),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10],
                Fault::TooLarge("it"),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Fault::TooLarge("it"),
            ),
            (&[0, 0], Fault::LeftOver),
        ] {
            assert_eq!(read(bytes), Err(fault), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_long_body_gets_its_length_in_front() {
        for len in [0, 127, 128, 20_000] {
            let mut out = vec![1];
            write_packet(&mut out, 9, |out| out.resize(out.len() + len, 7));
            let mut expected = vec![1];
            write_head(&mut expected, 9, len);
            expected.resize(expected.len() + len, 7);
            assert_eq!(out, expected);
        }
    }
}
