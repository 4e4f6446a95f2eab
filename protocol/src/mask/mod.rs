//! Masking and unmasking of payloads (RFC 6455 section 5.3), as fast as the machine can.
//!
//! Owns: which instruction set is used, and one entry point each for work in place and for work while copying.
//! Must not know: frames; a payload is bytes, a key and a phase.
//! Invariant: every instruction set gives what the scalar loop `byte[i] ^ key[(phase + i) % 4]` gives, at any
//! alignment, length and phase.

mod isa;
mod portable;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector;

pub use isa::{Isa, active_isa};

/// A client's masking key, in wire order.
pub type MaskKey = [u8; 4];

/// XORs `payload` with `key` in place. `phase` is how many payload bytes of the frame came before.
#[inline]
pub fn unmask_in_place(payload: &mut [u8], key: MaskKey, phase: usize) {
    let key = turned(key, phase);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    vector::in_place(payload, key);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    portable::in_place(payload, key);
}

/// Appends `payload` XOR `key` to `out`, in one pass. `phase` is how many payload bytes of the frame came before.
#[inline]
pub fn unmask_to_vec(payload: &[u8], key: MaskKey, phase: usize, out: &mut Vec<u8>) {
    let key = turned(key, phase);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    vector::append(payload, key, out);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    portable::append(payload, key, out);
}

/// [`unmask_in_place`] with a given instruction set, or the portable one where this machine does not have it.
#[doc(hidden)]
#[inline]
pub fn unmask_in_place_with(isa: Isa, payload: &mut [u8], key: MaskKey, phase: usize) {
    let key = turned(key, phase);
    match isa {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        isa if isa.is_available() && isa != Isa::Portable => {
            vector::in_place_with(isa, payload, key);
        }
        _ => portable::in_place(payload, key),
    }
}

/// [`unmask_to_vec`] with a given instruction set, or the portable one where this machine does not have it.
#[doc(hidden)]
#[inline]
pub fn unmask_to_vec_with(isa: Isa, payload: &[u8], key: MaskKey, phase: usize, out: &mut Vec<u8>) {
    let key = turned(key, phase);
    match isa {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        isa if isa.is_available() && isa != Isa::Portable => {
            vector::append_with(isa, payload, key, out);
        }
        _ => portable::append(payload, key, out),
    }
}

/// The key as a little-endian word whose lowest byte is for the first byte of the payload.
#[inline(always)]
fn turned(key: MaskKey, phase: usize) -> u32 {
    turn(u32::from_le_bytes(key), phase)
}

/// The key for what lies `bytes` further on.
#[inline(always)]
fn turn(key: u32, bytes: usize) -> u32 {
    key.rotate_right(8 * (bytes as u32 % 4))
}

/// The key for eight bytes, as a little-endian word.
#[inline(always)]
fn doubled(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}
