//! Unmasking with vector instructions.
//!
//! Owns: the short payloads, for which choosing and calling would cost more than the work, and the choice for the
//! others. The kernels are in a file per architecture.
//! Invariant: one kernel serves both entry points, because source and destination may be the same: whatever is
//! stored twice is loaded before the first store.

#![allow(unsafe_code)]

#[cfg_attr(target_arch = "x86_64", path = "x86.rs")]
#[cfg_attr(target_arch = "aarch64", path = "neon.rs")]
mod kernels;

use super::{Isa, active_isa, doubled, turn};

/// From this length on, in bytes, a kernel does the work. It is also the widest vector, so that a kernel can count on
/// one whole vector.
const LONG: usize = 64;

/// XORs `payload` with `key`, a word that begins at the payload's first byte.
#[inline(always)]
pub(super) fn in_place(payload: &mut [u8], key: u32) {
    let (at, len) = (payload.as_mut_ptr(), payload.len());
    // SAFETY: source and destination are the one slice, and the active instruction set is available.
    unsafe { xor(active_isa, at, at, len, key) }
}

/// Appends `payload` XOR `key` to `out`.
#[inline(always)]
pub(super) fn append(payload: &[u8], key: u32, out: &mut Vec<u8>) {
    // SAFETY: the active instruction set is available.
    unsafe { append_by(active_isa, payload, key, out) }
}

/// [`in_place`] with a given instruction set, which must be available.
pub(super) fn in_place_with(isa: Isa, payload: &mut [u8], key: u32) {
    assert!(isa.is_available());
    let (at, len) = (payload.as_mut_ptr(), payload.len());
    // SAFETY: source and destination are the one slice; the instruction set was just asked for.
    unsafe { xor(|| isa, at, at, len, key) }
}

/// [`append`] with a given instruction set, which must be available.
pub(super) fn append_with(isa: Isa, payload: &[u8], key: u32, out: &mut Vec<u8>) {
    assert!(isa.is_available());
    // SAFETY: the instruction set was just asked for.
    unsafe { append_by(|| isa, payload, key, out) }
}

/// # Safety
/// The machine must have the instruction set that `isa` returns.
#[inline(always)]
unsafe fn append_by(isa: impl FnOnce() -> Isa, payload: &[u8], key: u32, out: &mut Vec<u8>) {
    let len = payload.len();
    out.reserve(len);
    let to = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    // SAFETY: `len` bytes are reserved at `to`, apart from `payload`, and are all written before they count.
    unsafe {
        xor(isa, payload.as_ptr(), to, len, key);
        out.set_len(out.len() + len);
    }
}

/// # Safety
/// `from` must be readable and `to` writable for `len` bytes, and the two the same or apart; the machine must have
/// the instruction set that `isa` returns.
#[inline(always)]
unsafe fn xor(isa: impl FnOnce() -> Isa, from: *const u8, to: *mut u8, len: usize, key: u32) {
    // SAFETY: passed on, with the length that each of them asks for.
    unsafe {
        if len < LONG {
            short(from, to, len, key);
        } else {
            kernels::long(isa(), from, to, len, key);
        }
    }
}

/// Less than [`LONG`] bytes: words as large as fit, the first ones from the front and the others up to the end, so
/// that they may overlap in the middle.
///
/// # Safety
/// `from` must be readable and `to` writable for `len` bytes, and the two the same or apart; `len < LONG`.
#[inline(always)]
unsafe fn short(from: *const u8, to: *mut u8, len: usize, key: u32) {
    // SAFETY: every access lies within `len`, as each branch knows.
    unsafe {
        if len >= 16 {
            let (first, last) = (wide(key).to_le(), wide(turn(key, len)).to_le());
            let (a, b) = (word::<u128>(from, 0), word::<u128>(from, len - 16));
            if len > 32 {
                let (c, d) = (word::<u128>(from, 16), word::<u128>(from, len - 32));
                put(to, 16, c ^ first);
                put(to, len - 32, d ^ last);
            }
            put(to, 0, a ^ first);
            put(to, len - 16, b ^ last);
        } else if len >= 8 {
            let (a, b) = (word::<u64>(from, 0), word::<u64>(from, len - 8));
            put(to, 0, a ^ doubled(key).to_le());
            put(to, len - 8, b ^ doubled(turn(key, len)).to_le());
        } else if len >= 4 {
            let (a, b) = (word::<u32>(from, 0), word::<u32>(from, len - 4));
            put(to, 0, a ^ key.to_le());
            put(to, len - 4, b ^ turn(key, len).to_le());
        } else {
            let key = key.to_le_bytes();
            for (i, key) in key.iter().enumerate().take(len) {
                put(to, i, word::<u8>(from, i) ^ key);
            }
        }
    }
}

/// The key for 16 bytes, as a little-endian word.
#[inline(always)]
fn wide(key: u32) -> u128 {
    u128::from(doubled(key)) << 64 | u128::from(doubled(key))
}

/// # Safety
/// A `T` must be readable at `from + at`.
#[inline(always)]
unsafe fn word<T: Copy>(from: *const u8, at: usize) -> T {
    // SAFETY: as the caller promises; alignment is not needed.
    unsafe { from.add(at).cast::<T>().read_unaligned() }
}

/// # Safety
/// A `T` must be writable at `to + at`.
#[inline(always)]
unsafe fn put<T>(to: *mut u8, at: usize, value: T) {
    // SAFETY: as the caller promises; alignment is not needed.
    unsafe { to.add(at).cast::<T>().write_unaligned(value) }
}
