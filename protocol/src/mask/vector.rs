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

use std::ops::BitXor;

use super::{Isa, active_isa, doubled};

/// From this length on, in bytes, a kernel does the work: below, inlined pieces are faster than a call. A kernel can
/// count on several whole vectors, and leaves what is shorter than a vector to the pieces.
const LONG: usize = 256;

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

/// Less than [`LONG`] bytes: pieces of 64 bytes, then of 32, 16, 8, 4, 2 and 1, as the length's bits say. They do not
/// overlap: whoever reads the payload next would wait for two stores to reach the cache where one load needs both.
///
/// # Safety
/// `from` must be readable and `to` writable for `len` bytes, and the two the same or apart; `len < LONG`.
#[inline(always)]
unsafe fn short(from: *const u8, to: *mut u8, len: usize, key: u32) {
    let wide = kernels::wide(key);
    let mut at = 0;
    // SAFETY: the pieces add up to `len`. All but the last two begin at a multiple of four.
    unsafe {
        while at + 64 <= len {
            kernels::piece(from, to, at, wide);
            kernels::piece(from, to, at + 16, wide);
            kernels::piece(from, to, at + 32, wide);
            kernels::piece(from, to, at + 48, wide);
            at += 64;
        }
        if len & 32 != 0 {
            kernels::piece(from, to, at, wide);
            kernels::piece(from, to, at + 16, wide);
            at += 32;
        }
        if len & 16 != 0 {
            kernels::piece(from, to, at, wide);
            at += 16;
        }
        if len & 8 != 0 {
            piece(from, to, at, doubled(key).to_le());
            at += 8;
        }
        if len & 4 != 0 {
            piece(from, to, at, key.to_le());
            at += 4;
        }
        let [first, second, third, _] = key.to_le_bytes();
        if len & 2 != 0 {
            piece(from, to, at, u16::from_ne_bytes([first, second]));
            if len & 1 != 0 {
                piece(from, to, at + 2, third);
            }
        } else if len & 1 != 0 {
            piece(from, to, at, first);
        }
    }
}

/// XORs the `T` at `at`.
///
/// # Safety
/// A `T` must be readable at `from + at` and writable at `to + at`.
#[inline(always)]
unsafe fn piece<T: BitXor<Output = T>>(from: *const u8, to: *mut u8, at: usize, key: T) {
    // SAFETY: as the caller promises; alignment is not needed.
    unsafe {
        let word = from.add(at).cast::<T>().read_unaligned();
        to.add(at).cast::<T>().write_unaligned(word ^ key);
    }
}
