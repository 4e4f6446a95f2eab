//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 sections 1.3, 4.1 and 4.2.2).
//!
//! Owns both sides' arithmetic: base64, SHA-1 and the fixed GUID. Must not know the fields around them.

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, PAD, STANDARD},
};
use sha1::{Digest as _, Sha1};

/// Appended to the key before hashing (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Reads keys: the standard alphabet with its padding, whatever the bits say that no byte has. RFC 6455's own example
/// of a key (section 4.1, item 7) has some of them set, and section 4.2.1 asks only that it decodes to 16 bytes.
const READER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_allow_trailing_bits(true),
);

/// Bytes of base64 that hold a 16-byte nonce.
const KEY_LEN: usize = 24;

/// Bytes of base64 that hold a SHA-1 hash.
const ACCEPT_LEN: usize = 28;

/// The value of `Sec-WebSocket-Accept`: proof that the other side read this very handshake (RFC 6455 section 4.2.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AcceptKey([u8; ACCEPT_LEN]);

impl AcceptKey {
    /// Checks a client's key, and answers it. `None` unless it is the base64 of exactly 16 bytes, in the standard
    /// alphabet with its padding. What the four unused bits say does not matter; the answer is made from the text.
    pub(super) fn answer(key: &[u8]) -> Option<Self> {
        let key: &[u8; KEY_LEN] = key.try_into().ok()?;
        // The engine wants room for whole groups of three.
        let mut nonce = [0; KEY_LEN / 4 * 3];
        let len = READER.decode_slice(key, &mut nonce).ok()?;
        (len == 16).then(|| Self::hash(key))
    }

    fn hash(key: &[u8; KEY_LEN]) -> Self {
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut text = [0; ACCEPT_LEN];
        encode_exact(&digest, &mut text);
        Self(text)
    }

    /// The 28 characters that go on the wire.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

impl std::fmt::Debug for AcceptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AcceptKey({})", self.as_str())
    }
}

/// The value of a client's `Sec-WebSocket-Key` (RFC 6455 section 4.1, item 7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientKey([u8; KEY_LEN]);

impl ClientKey {
    /// Of a nonce, which must be freshly random for each connection.
    pub fn from_bytes(nonce: [u8; 16]) -> Self {
        let mut text = [0; KEY_LEN];
        encode_exact(&nonce, &mut text);
        Self(text)
    }

    /// The 24 characters that go on the wire.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// What a server that read the request must answer.
    pub fn expected_accept(&self) -> AcceptKey {
        AcceptKey::hash(&self.0)
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientKey({})", self.as_str())
    }
}

/// Base64 of `bytes` into `text`, which has exactly the room for it.
fn encode_exact(bytes: &[u8], text: &mut [u8]) {
    let written = STANDARD.encode_slice(bytes, text);
    debug_assert!(written.is_ok(), "text has the length of the encoding");
}

/// Base64 as text.
fn ascii(base64: &[u8]) -> &str {
    str::from_utf8(base64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_of_the_rfc() {
        // RFC 6455 section 1.3.
        let accept = AcceptKey::answer(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(accept.as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let key = ClientKey::from_bytes(*b"the sample nonce");
        assert_eq!(key.as_str(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(key.expected_accept(), accept);
    }

    #[test]
    fn unused_bits_do_not_matter() {
        for (key, accept) in [
            // RFC 6455 section 4.1, item 7.
            ("AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
            ("dGhlIHNhbXBsZSBub25jZR==", "Zgw8jYXtqX5qJr7MJ1Q/MqzeSRI="),
            ("abcdefghijklmnopqrstuv==", "bgAIe1Uyl8RkKSUGzScol17gp1Y="),
        ] {
            let answer = AcceptKey::answer(key.as_bytes());
            assert_eq!(answer.as_ref().map(AcceptKey::as_str), Some(accept));
        }
        for last in ('A'..='Z')
            .chain('a'..='z')
            .chain('0'..='9')
            .chain(['+', '/'])
        {
            let key = format!("dGhlIHNhbXBsZSBub25jZ{last}==");
            assert!(AcceptKey::answer(key.as_bytes()).is_some(), "{key}");
        }
    }

    #[test]
    fn only_sixteen_bytes_in_base64() {
        for bad in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ",    // no padding
            "dGhlIHNhbXBsZSBub25jZQ=",   // half of it
            "dGhlIHNhbXBsZSBub25jZQ===", // too much of it
            "dGhlIHNhbXBsZSBub25jZSE=",  // 17 bytes
            "dGhlIHNhbXBsZSBub25jZSEh",  // 18 bytes
            "dGhlIHNhbXBsZSBub25j",      // 15 bytes
            "SGVsbG8sIHdvcmxkIQ==",      // 13 bytes
            "dGhlIHNhbXBsZSBub25-ZQ==",  // the URL alphabet
            "dGhlIHNhbXBs ZSBub25jZQ=",  // a space inside
            "dGhlIHNhbXBsZSBub25jZQ=A",  // padding inside
            "====================ZQ==",
            "dGhlIHNhbXBsZSBub25j\u{e9}==",
        ] {
            assert_eq!(AcceptKey::answer(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
