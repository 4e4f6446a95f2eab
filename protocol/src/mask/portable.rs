//! Unmasking without vector instructions or unsafe code: eight bytes at a time.

use super::doubled;

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
    let (blocks, rest) = payload.as_chunks::<64>();
    for block in blocks {
        let mut block = *block;
        in_place(&mut block, key);
        out.extend_from_slice(&block);
    }
    let start = out.len();
    out.extend_from_slice(rest);
    in_place(&mut out[start..], key);
}
