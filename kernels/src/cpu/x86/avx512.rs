//! Sixteen lanes in one AVX-512 register.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, __m256i, __m512, __m512bh, __m512i, _CMP_GE_OQ, _MM_HINT_T1, _mm_and_si128,
    _mm_loadu_si128, _mm_prefetch, _mm_set1_epi8, _mm_srli_epi16, _mm_storeu_ps, _mm_storeu_si128,
    _mm256_dpbusd_epi32, _mm256_loadu_si256, _mm256_storeu_si256, _mm512_add_epi32, _mm512_add_ps,
    _mm512_and_si512, _mm512_castps_si512, _mm512_castps512_ps128, _mm512_castsi256_si512,
    _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cmpgt_epi32_mask, _mm512_cvtepi8_epi32,
    _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32,
    _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_cvtps_epi32, _mm512_cvtss_f32,
    _mm512_cvttps_epi32, _mm512_div_ps, _mm512_dpbf16_ps, _mm512_dpwssd_epi32, _mm512_fmadd_ps,
    _mm512_inserti64x4, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_blend_ps,
    _mm512_mask_mov_epi32, _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_or_si512, _mm512_permutex2var_ps, _mm512_permutexvar_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setr_epi32, _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_slli_epi32,
    _mm512_sqrt_ps, _mm512_srai_epi32, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_epi32,
    _mm512_sub_ps,
};

use half::{bf16, f16};

use crate::cpu::lanes::{BYTES, LANES, PAIRS, Simd, Task, add_pairs_in_turn};
use crate::cpu::x86::bytes;

/// Proof that this CPU has AVX-512 F, BW, DQ, VL and VNNI; with `DOTS`, BF16 too.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Avx512<const DOTS: bool>(());

impl Avx512<true> {
    /// The proof, where it holds.
    pub(in crate::cpu) fn detect() -> Option<Self> {
        (Avx512::<false>::detect().is_some() && is_x86_feature_detected!("avx512bf16"))
            .then_some(Self(()))
    }

    /// The same CPU without BF16.
    pub(in crate::cpu) fn without_dots(self) -> Avx512<false> {
        let Self(proof) = self;
        Avx512(proof)
    }
}

impl Avx512<false> {
    /// The proof, where it holds.
    pub(in crate::cpu) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni"))
        .then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn run<T: Task>(level: Avx512<false>, task: T) {
    task.run(level);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
fn run_with_dots<T: Task>(level: Avx512<true>, task: T) {
    task.run(level);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
fn add_dots(sums: __m512, a: &[bf16; PAIRS], b: &[bf16; PAIRS]) -> __m512 {
    _mm512_dpbf16_ps(sums, load_pairs_of_bf16(a), load_pairs_of_bf16(b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
fn load_pairs_of_bf16(from: &[bf16; PAIRS]) -> __m512bh {
    // SAFETY: the reference is to 64 bytes, and any bits are a vector.
    unsafe { from.as_ptr().cast::<__m512bh>().read_unaligned() }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn load_16_bits(from: &[u16; LANES]) -> __m256i {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn power_of_two(low_bits: __m512) -> __m512 {
    let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(low_bits));
    _mm512_castsi512_ps(_mm512_add_epi32(
        exponent,
        _mm512_castps_si512(_mm512_set1_ps(1.0)),
    ))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn split_exponent(x: __m512) -> (__m512, __m512) {
    let sqrt_half = _mm512_set1_epi32(0x3f35_04f3);
    let offset = _mm512_sub_epi32(_mm512_castps_si512(x), sqrt_half);
    let mantissa = _mm512_and_si512(offset, _mm512_set1_epi32(0x007f_ffff));
    let exponent = _mm512_cvtepi32_ps(_mm512_srai_epi32::<23>(offset));
    (
        exponent,
        _mm512_castsi512_ps(_mm512_add_epi32(mantissa, sqrt_half)),
    )
}

/// The tree for four vectors at once: each step adds two halves and packs two vectors into one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sums([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
    let ab = add_halves::<0x44, 0xee>(a, b);
    let cd = add_halves::<0x44, 0xee>(c, d);
    // Quarter q of `abcd` now holds four partial sums of vector q.
    let abcd = add_halves::<0x88, 0xdd>(ab, cd);
    let pairs = _mm512_add_ps(abcd, _mm512_shuffle_ps::<0b01_00_11_10>(abcd, abcd));
    let all = _mm512_add_ps(pairs, _mm512_shuffle_ps::<0b10_11_00_01>(pairs, pairs));
    let first_of_quarters = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    let sums = _mm512_castps512_ps128(_mm512_permutexvar_ps(first_of_quarters, all));
    let mut out = [0.0; 4];
    // SAFETY: `out` is 16 bytes.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_halves<const LOW: i32, const HIGH: i32>(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(
        _mm512_shuffle_f32x4::<LOW>(a, b),
        _mm512_shuffle_f32x4::<HIGH>(a, b),
    )
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn load_i8(from: &[i8; LANES]) -> __m512 {
    // SAFETY: the reference is to 16 bytes.
    let all = unsafe { _mm_loadu_si128(from.as_ptr().cast()) };
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(all))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn load_nibbles(from: &[u8; LANES]) -> [__m512; 2] {
    // SAFETY: the reference is to 16 bytes.
    let all = unsafe { _mm_loadu_si128(from.as_ptr().cast()) };
    let four_bits = _mm_set1_epi8(15);
    let low = _mm_and_si128(all, four_bits);
    let high = _mm_and_si128(_mm_srli_epi16::<4>(all), four_bits);
    [widen_u8(low), widen_u8(high)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn widen_u8(all: __m128i) -> __m512 {
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(all))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn where_ge(a: __m512, b: __m512, x: __m512) -> __m512 {
    _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b), x)
}

/// The tree for sixteen vectors at once.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sums_of_all(lanes: &[__m512; LANES]) -> __m512 {
    let mut fours = [lanes[0]; 4];
    for i in 0..4 {
        let ab = add_halves_by_blend(lanes[i], lanes[4 + i]);
        let cd = add_halves_by_blend(lanes[8 + i], lanes[12 + i]);
        // Quarter q now holds four partial sums of vector `4 q + i`.
        fours[i] = add_halves::<0x88, 0xdd>(ab, cd);
    }
    let [a, b, c, d] = fours;
    let ab = _mm512_add_ps(
        _mm512_shuffle_ps::<0x44>(a, b),
        _mm512_shuffle_ps::<0xee>(a, b),
    );
    let cd = _mm512_add_ps(
        _mm512_shuffle_ps::<0x44>(c, d),
        _mm512_shuffle_ps::<0xee>(c, d),
    );
    _mm512_add_ps(
        _mm512_shuffle_ps::<0x88>(ab, cd),
        _mm512_shuffle_ps::<0xdd>(ab, cd),
    )
}

/// The halves of `a` added, then those of `b`. One shuffle: a blend waits for no port that products use.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_halves_by_blend(a: __m512, b: __m512) -> __m512 {
    let inner = _mm512_shuffle_f32x4::<0b01_00_11_10>(a, b);
    _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a, b), inner)
}

/// Even elements, then odd ones: a shift and a mask, where a vector after the other takes a shuffle each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn load_two_bf16(from: &[u16; 2 * LANES]) -> [__m512; 2] {
    // SAFETY: the reference is to 64 bytes.
    let all = unsafe { _mm512_loadu_si512(from.as_ptr().cast()) };
    let odd = _mm512_and_si512(all, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()));
    [
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(all)),
        _mm512_castsi512_ps(odd),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn reorder([a, b]: [__m512; 2]) -> [__m512; 2] {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    [
        _mm512_permutex2var_ps(a, even, b),
        _mm512_permutex2var_ps(a, odd, b),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn restore([even, odd]: [__m512; 2]) -> [__m512; 2] {
    let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let last = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    [
        _mm512_permutex2var_ps(even, first, odd),
        _mm512_permutex2var_ps(even, last, odd),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sum(lanes: __m512) -> f32 {
    let tree = _mm512_add_ps(lanes, _mm512_shuffle_f32x4::<0b01_00_11_10>(lanes, lanes));
    let tree = _mm512_add_ps(tree, _mm512_shuffle_f32x4::<0b10_11_00_01>(tree, tree));
    let tree = _mm512_add_ps(tree, _mm512_shuffle_ps::<0b01_00_11_10>(tree, tree));
    let tree = _mm512_add_ps(tree, _mm512_shuffle_ps::<0b10_11_00_01>(tree, tree));
    _mm512_cvtss_f32(tree)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn largest(lanes: __m512) -> f32 {
    let tree = _mm512_max_ps(lanes, _mm512_shuffle_f32x4::<0b01_00_11_10>(lanes, lanes));
    let tree = _mm512_max_ps(tree, _mm512_shuffle_f32x4::<0b10_11_00_01>(tree, tree));
    let tree = _mm512_max_ps(tree, _mm512_shuffle_ps::<0b01_00_11_10>(tree, tree));
    let tree = _mm512_max_ps(tree, _mm512_shuffle_ps::<0b10_11_00_01>(tree, tree));
    _mm512_cvtss_f32(tree)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn join([low, high]: [__m256i; 2]) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sums_of_ints(ints: &[__m256i; LANES]) -> __m512i {
    join(bytes::sums_of_all(ints))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_quads(columns: [__m256i; 4], quads: [__m256i; 4], weights: [u8; 4]) -> [__m256i; 4] {
    let weights = bytes::splat_four(weights);
    [0, 1, 2, 3].map(|part| _mm256_dpbusd_epi32(columns[part], weights, quads[part]))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn in_order(columns: [__m256i; 4]) -> [__m512i; 2] {
    bytes::in_order(columns).map(|halves| join(halves))
}

impl<const DOTS: bool> Simd for Avx512<DOTS> {
    type Lanes = __m512;
    type Bytes = __m256i;
    type Signed = __m256i;
    type Ints = __m256i;
    type Pairs = __m512i;
    type Sums = __m512i;
    type Columns = [__m256i; 4];

    const BIAS: i32 = 128;

    const WIDE: bool = true;

    #[inline]
    fn run<T: Task>(self, task: T) {
        if DOTS {
            // SAFETY: `self` was made by `detect` with `DOTS`.
            unsafe { run_with_dots(Avx512(()), task) }
        } else {
            // SAFETY: `self` was made by `detect`.
            unsafe { run(Avx512(()), task) }
        }
    }

    #[inline(always)]
    fn add_dots(self, sums: Self::Lanes, a: &[bf16; PAIRS], b: &[bf16; PAIRS]) -> Self::Lanes {
        if DOTS {
            // SAFETY: `self` was made by `detect` with `DOTS`.
            unsafe { add_dots(sums, a, b) }
        } else {
            add_pairs_in_turn(self, sums, a, b)
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`, and the reference is to 64 bytes.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { widen_bf16(bytemuck::cast_ref(from)) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { widen_f16(bytemuck::cast_ref(from)) }
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, to: &mut [f32; LANES]) {
        // SAFETY: `self` was made by `detect`, and the reference is to 64 bytes.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), lanes) }
    }

    #[inline(always)]
    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn where_ge(self, a: Self::Lanes, b: Self::Lanes, x: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { where_ge(a, b, x) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: a prefetch reads nothing and ignores addresses that are not mapped.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }

    #[inline(always)]
    fn power_of_two(self, low_bits: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { power_of_two(low_bits) }
    }

    #[inline(always)]
    fn split_exponent(self, x: Self::Lanes) -> (Self::Lanes, Self::Lanes) {
        // SAFETY: `self` was made by `detect`.
        unsafe { split_exponent(x) }
    }

    #[inline(always)]
    fn sums(self, lanes: [Self::Lanes; 4]) -> [f32; 4] {
        // SAFETY: `self` was made by `detect`.
        unsafe { sums(lanes) }
    }

    #[inline(always)]
    fn sums_of_all(self, lanes: &[Self::Lanes; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { sums_of_all(lanes) }
    }

    #[inline(always)]
    fn sum(self, lanes: Self::Lanes) -> f32 {
        // SAFETY: `self` was made by `detect`.
        unsafe { sum(lanes) }
    }

    #[inline(always)]
    fn largest(self, lanes: Self::Lanes) -> f32 {
        // SAFETY: `self` was made by `detect`.
        unsafe { largest(lanes) }
    }

    #[inline(always)]
    fn load_two_bf16(self, from: &[bf16; 2 * LANES]) -> [Self::Lanes; 2] {
        // SAFETY: `self` was made by `detect`.
        unsafe { load_two_bf16(bytemuck::cast_ref(from)) }
    }

    #[inline(always)]
    fn reorder(self, two: [Self::Lanes; 2]) -> [Self::Lanes; 2] {
        // SAFETY: `self` was made by `detect`.
        unsafe { reorder(two) }
    }

    #[inline(always)]
    fn restore(self, two: [Self::Lanes; 2]) -> [Self::Lanes; 2] {
        // SAFETY: `self` was made by `detect`.
        unsafe { restore(two) }
    }

    #[inline(always)]
    fn div(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, x: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_sqrt_ps(x) }
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { load_i8(from) }
    }

    #[inline(always)]
    fn load_nibbles(self, from: &[u8; LANES]) -> [Self::Lanes; 2] {
        // SAFETY: `self` was made by `detect`.
        unsafe { load_nibbles(from) }
    }

    #[inline(always)]
    fn no_bytes(self) -> Self::Bytes {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::zero() }
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; BYTES]) -> Self::Bytes {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::load(from) }
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: Self::Bytes) -> Self::Bytes {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::low_nibbles(bytes) }
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: Self::Bytes) -> Self::Bytes {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::high_nibbles(bytes) }
    }

    #[inline(always)]
    fn signed(self, bytes: Self::Bytes) -> Self::Signed {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::flip_signs(bytes) }
    }

    #[inline(always)]
    fn no_ints(self) -> Self::Ints {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::zero() }
    }

    #[inline(always)]
    fn add_products(
        self,
        sums: Self::Ints,
        nibbles: Self::Bytes,
        signed: Self::Bytes,
    ) -> Self::Ints {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm256_dpbusd_epi32(sums, nibbles, signed) }
    }

    #[inline(always)]
    fn add_signed_products(
        self,
        sums: Self::Ints,
        biased: Self::Signed,
        signed: Self::Bytes,
    ) -> Self::Ints {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm256_dpbusd_epi32(sums, biased, signed) }
    }

    #[inline(always)]
    fn join_ints(self, high: Self::Ints, low: Self::Ints) -> Self::Ints {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::join(high, low) }
    }

    #[inline(always)]
    fn sums_of_ints(self, ints: &[Self::Ints; LANES]) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        unsafe { sums_of_ints(ints) }
    }

    #[inline(always)]
    fn interleave(self, four: [Self::Bytes; 4]) -> [Self::Bytes; 4] {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::interleave(four) }
    }

    #[inline(always)]
    fn no_columns(self) -> Self::Columns {
        [self.no_ints(); 4]
    }

    #[inline(always)]
    fn add_quads(
        self,
        columns: Self::Columns,
        quads: [Self::Bytes; 4],
        weights: [u8; 4],
    ) -> Self::Columns {
        // SAFETY: `self` was made by `detect`.
        unsafe { add_quads(columns, quads, weights) }
    }

    #[inline(always)]
    fn in_order(self, columns: Self::Columns) -> [Self::Sums; 2] {
        // SAFETY: `self` was made by `detect`.
        unsafe { in_order(columns) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[[i16; 2]; LANES]) -> Self::Pairs {
        // SAFETY: `self` was made by `detect`, and the reference is to 64 bytes.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> Self::Pairs {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_set1_epi32(bytemuck::cast(pair)) }
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn load_sums(self, from: &[i32; LANES]) -> Self::Sums {
        // SAFETY: `self` was made by `detect`, and the reference is to 64 bytes.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn sub_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn sums_as_lanes(self, sums: Self::Sums) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn store_sums(self, sums: Self::Sums, to: &mut [i32; LANES]) {
        // SAFETY: `self` was made by `detect`, and the reference is to 64 bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sums) }
    }

    #[inline(always)]
    fn add_pairs(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        unsafe { _mm512_dpwssd_epi32(sums, a, b) }
    }

    #[inline(always)]
    fn larger(
        self,
        a: (Self::Sums, Self::Sums),
        b: (Self::Sums, Self::Sums),
    ) -> (Self::Sums, Self::Sums) {
        // SAFETY: `self` was made by `detect`.
        unsafe { larger(a, b) }
    }

    #[inline(always)]
    fn store_nibbles(self, low: Self::Lanes, high: Self::Lanes, to: &mut [u8; LANES]) {
        // SAFETY: `self` was made by `detect`.
        unsafe { store_nibbles(low, high, to) }
    }

    #[inline(always)]
    fn store_i16(self, lanes: Self::Lanes, to: &mut [i16; LANES]) {
        // SAFETY: `self` was made by `detect`.
        unsafe { store_i16(lanes, to) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn larger(a: (__m512i, __m512i), b: (__m512i, __m512i)) -> (__m512i, __m512i) {
    let is_b = _mm512_cmpgt_epi32_mask(b.0, a.0);
    (
        _mm512_mask_mov_epi32(a.0, is_b, b.0),
        _mm512_mask_mov_epi32(a.1, is_b, b.1),
    )
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn store_nibbles(low: __m512, high: __m512, to: &mut [u8; LANES]) {
    let high = _mm512_slli_epi32::<4>(_mm512_cvttps_epi32(high));
    let both = _mm512_cvtepi32_epi8(_mm512_or_si512(_mm512_cvttps_epi32(low), high));
    // SAFETY: the reference is to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), both) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn store_i16(lanes: __m512, to: &mut [i16; LANES]) {
    let narrow = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(lanes));
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), narrow) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn widen_bf16(from: &[u16; LANES]) -> __m512 {
    let wide = _mm512_cvtepu16_epi32(load_16_bits(from));
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn widen_f16(from: &[u16; LANES]) -> __m512 {
    _mm512_cvtph_ps(load_16_bits(from))
}
