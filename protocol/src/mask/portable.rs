//! Unmasking without vector instructions or unsafe code: eight bytes at a time.

use super::doubled;

/// How much is copied before it is unmasked: small enough to be still in the first-level cache.
const BLOCK: usize = 4096;

/// XORs `payload` with `key`, a word that begins at the payload's first byte.
#[inline]
pub(super) fn in_place(payload: &mut [u8], key: u32) {
    let key = doubled(key);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ key).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_le_bytes()) {
        *byte ^= key;
    }
}

/// Appends `payload` XOR `key` to `out`.
#[inline]
pub(super) fn append(payload: &[u8], key: u32, out: &mut Vec<u8>) {
    out.reserve(payload.len());
    for block in payload.chunks(BLOCK) {
        let start = out.len();
        out.extend_from_slice(block);
        in_place(&mut out[start..], key);
    }
}
