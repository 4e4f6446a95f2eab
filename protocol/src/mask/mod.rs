//! Masking and unmasking of payloads (RFC 6455 section 5.3), as fast as the machine can.
//!
//! Owns: which instruction set is used, and one entry point each for work in place and for work while copying.
//! Must not know: frames; a payload is bytes, a key and a phase.
//! Invariant: every instruction set gives what the scalar loop `byte[i] ^ key[(phase + i) % 4]` gives, at any
//! alignment, length and phase.

/// A client's masking key, in wire order.
pub type MaskKey = [u8; 4];

/// XORs `payload` with `key` in place. `phase` is how many payload bytes of the frame came before.
#[inline]
pub fn unmask_in_place(payload: &mut [u8], key: MaskKey, phase: usize) {
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[(phase + i) % 4];
    }
}

/// Appends `payload` XOR `key` to `out`. `phase` is how many payload bytes of the frame came before.
#[inline]
pub fn unmask_to_vec(payload: &[u8], key: MaskKey, phase: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(payload);
    unmask_in_place(&mut out[start..], key, phase);
}
