//! UTF-8 validation of text messages, whole and in pieces.
//!
//! Owns: what is well-formed (Unicode 15, table 3-7, by way of simdutf8 and std).
//! Must not know: frames or messages.
//! Invariant: a [`Stream`] fails on the call that brings the first bad byte, however the text was cut, and agrees
//! with `std::str::from_utf8` on the whole.

/// The bytes are not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("text is not valid UTF-8")]
pub struct InvalidUtf8;

/// Whether `bytes`, as a whole, is UTF-8.
#[must_use]
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    // Most short texts are ASCII, and seeing that costs less than setting up the vector validator.
    (bytes.len() <= SHORT && is_ascii(bytes)) || simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Up to this length, in bytes, a text is first tried as ASCII.
const SHORT: usize = 256;

/// As std's, but in the same steps from the front as the text was unmasked in just before: a load that needs two
/// recent stores has to wait for both to reach the cache.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words
        .iter()
        .fold(0, |seen, word| seen | u64::from_ne_bytes(*word));
    let rest = rest.iter().fold(0, |seen, byte| seen | byte);
    words & 0x8080_8080_8080_8080 == 0 && rest < 0x80
}

/// Validates a text that arrives in pieces. Four bytes: holds at most the three bytes of an incomplete code point.
#[derive(Default, Clone, Copy, Debug)]
pub struct Stream {
    /// The beginning of a code point; every proper prefix of a sequence has at most three bytes.
    begun: [u8; 3],
    begun_len: u8,
}

impl Stream {
    /// Takes the next piece.
    ///
    /// # Errors
    /// At the first bad byte, also in the middle of a code point that began in an earlier piece. A stream that
    /// failed is of no further use.
    #[inline]
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), InvalidUtf8> {
        if self.begun_len > 0 {
            bytes = self.resume(bytes)?;
        }
        let whole = bytes.len() - incomplete_suffix(bytes);
        let (whole, rest) = bytes.split_at(whole);
        if !is_valid(whole) {
            return Err(InvalidUtf8);
        }
        self.begin(rest)
    }

    /// Ends the text and makes the stream ready for the next.
    ///
    /// # Errors
    /// If the last code point is incomplete.
    #[inline]
    pub fn finish(&mut self) -> Result<(), InvalidUtf8> {
        if std::mem::take(&mut self.begun_len) == 0 {
            Ok(())
        } else {
            Err(InvalidUtf8)
        }
    }

    /// Feeds the begun code point until it is complete (or the bytes are used up); returns what is left.
    fn resume<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], InvalidUtf8> {
        let mut point = [0; 4];
        let mut len = usize::from(self.begun_len);
        point[..len].copy_from_slice(&self.begun[..len]);
        for (used, byte) in bytes.iter().enumerate() {
            point[len] = *byte;
            len += 1;
            match std::str::from_utf8(&point[..len]) {
                Ok(_) => {
                    self.begun_len = 0;
                    return Ok(&bytes[used + 1..]);
                }
                // No error_len: good so far, only incomplete, which four bytes never are.
                Err(error) if error.error_len().is_none() && len < 4 => {}
                Err(_) => return Err(InvalidUtf8),
            }
        }
        self.begun[..len].copy_from_slice(&point[..len]);
        self.begun_len = len as u8;
        Ok(&[])
    }

    /// Keeps `rest`, which is empty or looks like the beginning of a code point.
    #[inline]
    fn begin(&mut self, rest: &[u8]) -> Result<(), InvalidUtf8> {
        if rest.is_empty() {
            return Ok(());
        }
        match std::str::from_utf8(rest) {
            Err(error) if error.error_len().is_none() => {
                self.begun[..rest.len()].copy_from_slice(rest);
                self.begun_len = rest.len() as u8;
                Ok(())
            }
            _ => Err(InvalidUtf8),
        }
    }
}

/// How many bytes at the end (0 to 3) look like a code point that goes on after the end.
#[inline]
fn incomplete_suffix(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        return if needed > back + 1 { back + 1 } else { 0 };
    }
    0
}
