//! Vector registers and the choice of an instruction set at run time.

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

/// A register of `LANES` `f32` values.
///
/// # Safety
///
/// Every method may only run where [`Level::dispatch`] has enabled the
/// instruction set of the implementor, and the pointers must be valid for the
/// lanes that are touched. They need no alignment.
pub(super) trait Vector: Copy {
    /// Lanes of one register.
    const LANES: usize;
    /// Most pixels of a tile whose accumulators, two registers each, stay in
    /// the register file along with two weights and one input.
    const ROWS: usize;
    /// Selects the first lanes of a register.
    type Mask: Copy;

    unsafe fn zero() -> Self;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self * factor + addend`.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The mask of the first `lanes` lanes; all of them from `LANES` on.
    unsafe fn mask(lanes: usize) -> Self::Mask;
    /// Loads the lanes of `mask`, zero in the others, which are not touched.
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self;
}

/// The portable register.
pub(super) type Portable = [f32; 8];

impl Vector for Portable {
    const LANES: usize = 8;
    const ROWS: usize = 4;
    type Mask = usize;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 8]
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for eight readable values.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for eight writable values.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        core::array::from_fn(|i| self[i] * factor[i] + addend[i])
    }

    #[inline(always)]
    unsafe fn mask(lanes: usize) -> usize {
        lanes.min(8)
    }

    #[inline(always)]
    unsafe fn load_masked(from: *const f32, mask: usize) -> Self {
        let mut register = [0.0; 8];
        for (i, lane) in register.iter_mut().enumerate().take(mask) {
            // SAFETY: the caller vouches for the lanes of the mask.
            *lane = unsafe { *from.add(i) };
        }
        register
    }
}

/// Implements [`Vector`] on a register of `core::arch`.
#[cfg(target_arch = "x86_64")]
macro_rules! implement_vector {
    (
        $register:ty, $lanes:literal lanes, $rows:literal rows, $mask:ty,
        $zero:ident, $splat:ident, $load:ident, $store:ident, $mul_add:ident,
        |$count:ident| $make_mask:expr,
        |$from:ident, $selected:ident| $load_masked:expr
    ) => {
        impl Vector for $register {
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;
            type Mask = $mask;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller has enabled the instruction set.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: the caller has enabled the instruction set.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as above, and the caller vouches for the pointer.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above, and the caller vouches for the pointer.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                // SAFETY: the caller has enabled the instruction set.
                unsafe { $mul_add(self, factor, addend) }
            }

            #[inline(always)]
            unsafe fn mask($count: usize) -> $mask {
                // SAFETY: the caller has enabled the instruction set.
                unsafe { $make_mask }
            }

            #[inline(always)]
            unsafe fn load_masked($from: *const f32, $selected: $mask) -> Self {
                // SAFETY: as above; lanes outside the mask are not read.
                unsafe { $load_masked }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
implement_vector!(
    __m512,
    16 lanes,
    14 rows,
    __mmask16,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    |lanes| _cvtu32_mask16((1 << lanes.min(16)) - 1),
    |from, mask| _mm512_maskz_loadu_ps(mask, from)
);

#[cfg(target_arch = "x86_64")]
implement_vector!(
    __m256,
    8 lanes,
    6 rows,
    __m256i,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    |lanes| _mm256_cmpgt_epi32(
        _mm256_set1_epi32(lanes.min(8) as i32),
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
    ),
    |from, mask| _mm256_maskload_ps(from, mask)
);

/// Hints that the cache line at `from`, a valid address or not, is read soon.
#[inline(always)]
pub(super) fn prefetch(from: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the hint, and it never faults.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Whatever the target guarantees.
    Portable,
    /// AVX2 with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 foundation.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A computation to run with a level's registers.
pub(super) trait Operation {
    /// Runs the computation.
    ///
    /// # Safety
    ///
    /// The instruction set of `V` must be enabled. Implementors are
    /// `#[inline(always)]`, so that they are compiled for that instruction set.
    unsafe fn run<V: Vector>(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn run_avx512(operation: impl Operation) {
    // SAFETY: this function has the instruction set.
    unsafe { operation.run::<__m512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(operation: impl Operation) {
    // SAFETY: this function has the instruction set.
    unsafe { operation.run::<__m256>() }
}

impl Level {
    /// The levels that this processor has, slowest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let levels = {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2 && is_x86_feature_detected!("avx512f");
            [(true, Self::Portable), (avx2, Self::Avx2), (avx512, Self::Avx512)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let levels = [(true, Self::Portable)];
        levels.into_iter().filter_map(|(has, level)| has.then_some(level)).collect()
    }

    /// The fastest level that this processor has.
    pub fn detect() -> Self {
        Self::available().into_iter().max().unwrap_or(Self::Portable)
    }

    /// Most pixels of a register tile.
    pub(super) fn rows(self) -> usize {
        match self {
            Self::Portable => Portable::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => __m256::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => __m512::ROWS,
        }
    }

    /// Runs `operation` compiled for this level.
    ///
    /// # Safety
    ///
    /// The processor must have the level.
    #[inline(always)]
    pub(super) unsafe fn dispatch(self, operation: impl Operation) {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            match self {
                Self::Portable => operation.run::<Portable>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => run_avx2(operation),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => run_avx512(operation),
            }
        }
    }
}
