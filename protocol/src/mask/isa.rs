//! Which instruction sets this machine has, found out once.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that payloads can be unmasked with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Isa {
    /// 64 bytes at a time: AVX-512 F and BW.
    Avx512 = 1,
    /// 32 bytes at a time.
    Avx2 = 2,
    /// 16 bytes at a time; every x86-64 has it.
    Sse2 = 3,
    /// 16 bytes at a time; every 64-bit Arm has it.
    Neon = 4,
    /// Eight bytes at a time, anywhere.
    Portable = 5,
}

impl Isa {
    /// Best first.
    const ALL: [Self; 5] = [
        Self::Avx512,
        Self::Avx2,
        Self::Sse2,
        Self::Neon,
        Self::Portable,
    ];

    /// A short name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Sse2 => "sse2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// Those that this machine has, best first; the last is [`Isa::Portable`].
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// Whether this machine has it.
    #[must_use]
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => true,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            _ => false,
        }
    }
}

/// The answer of [`choose`], 0 before it was asked. Racing threads store the same number.
static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// What [`unmask_in_place`](super::unmask_in_place) and [`unmask_to_vec`](super::unmask_to_vec) use for payloads
/// that are not short.
#[must_use]
#[inline(always)]
pub fn active_isa() -> Isa {
    match ACTIVE.load(Ordering::Relaxed) {
        1 => Isa::Avx512,
        2 => Isa::Avx2,
        3 => Isa::Sse2,
        4 => Isa::Neon,
        5 => Isa::Portable,
        _ => choose(),
    }
}

#[cold]
fn choose() -> Isa {
    let isa = Isa::available().next().unwrap_or(Isa::Portable);
    ACTIVE.store(isa as u8, Ordering::Relaxed);
    isa
}
