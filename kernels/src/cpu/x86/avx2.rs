//! Sixteen lanes in two AVX2 registers: the first eight, the last eight.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, __m256, __m256i, _CMP_GE_OQ, _MM_HINT_T1, _mm_add_ps, _mm_and_si128, _mm_loadu_si128,
    _mm_movehl_ps, _mm_movelh_ps, _mm_packus_epi16, _mm_prefetch, _mm_set1_epi8, _mm_shuffle_ps,
    _mm_srli_epi16, _mm_srli_si128, _mm_storeu_ps, _mm_storeu_si128, _mm256_add_epi32,
    _mm256_add_ps, _mm256_and_ps, _mm256_and_si256, _mm256_blendv_epi8, _mm256_castps_si256,
    _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cmp_ps,
    _mm256_cmpgt_epi32, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32,
    _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_cvtps_epi32, _mm256_cvttps_epi32, _mm256_div_ps,
    _mm256_extractf128_ps, _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
    _mm256_or_si256, _mm256_packs_epi32, _mm256_permute2f128_ps, _mm256_permute4x64_epi64,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_slli_epi32, _mm256_sqrt_ps,
    _mm256_srai_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi32, _mm256_sub_ps,
};

use half::{bf16, f16};

use crate::cpu::lanes::{BYTES, LANES, Simd, Task};
use crate::cpu::x86::bytes;

/// Proof that this CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Avx2(());

impl Avx2 {
    /// The proof, where it holds.
    pub(in crate::cpu) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c"))
        .then_some(Self(()))
    }
}

type Pair = [__m256; 2];

#[target_feature(enable = "avx2,fma,f16c")]
fn run<T: Task>(level: Avx2, task: T) {
    task.run(level);
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_16_bits(from: &[u16; 8]) -> __m128i {
    // SAFETY: the reference is to 16 bytes.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_8(from: &[f32; 8]) -> __m256 {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store_8(lanes: __m256, to: &mut [f32; 8]) {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), lanes) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_bf16_8(from: &[u16; 8]) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(
        load_16_bits(from),
    )))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_f16_8(from: &[u16; 8]) -> __m256 {
    _mm256_cvtph_ps(load_16_bits(from))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn power_of_two_8(low_bits: __m256) -> __m256 {
    let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(low_bits));
    _mm256_castsi256_ps(_mm256_add_epi32(
        exponent,
        _mm256_castps_si256(_mm256_set1_ps(1.0)),
    ))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn split_exponent_8(x: __m256) -> (__m256, __m256) {
    let sqrt_half = _mm256_set1_epi32(0x3f35_04f3);
    let offset = _mm256_sub_epi32(_mm256_castps_si256(x), sqrt_half);
    let mantissa = _mm256_and_si256(offset, _mm256_set1_epi32(0x007f_ffff));
    let exponent = _mm256_cvtepi32_ps(_mm256_srai_epi32::<23>(offset));
    (
        exponent,
        _mm256_castsi256_ps(_mm256_add_epi32(mantissa, sqrt_half)),
    )
}

/// The tree for four vectors at once: each step adds two halves and packs two vectors into one.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sums([a, b, c, d]: [Pair; 4]) -> [f32; 4] {
    let ab = add_halves(_mm256_add_ps(a[0], a[1]), _mm256_add_ps(b[0], b[1]));
    let cd = add_halves(_mm256_add_ps(c[0], c[1]), _mm256_add_ps(d[0], d[1]));
    let (a, b) = (_mm256_castps256_ps128(ab), _mm256_extractf128_ps::<1>(ab));
    let (c, d) = (_mm256_castps256_ps128(cd), _mm256_extractf128_ps::<1>(cd));
    let ab = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
    let cd = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));
    let even = _mm_shuffle_ps::<0b10_00_10_00>(ab, cd);
    let odd = _mm_shuffle_ps::<0b11_01_11_01>(ab, cd);
    let sums = _mm_add_ps(even, odd);
    let mut out = [0.0; 4];
    // SAFETY: `out` is 16 bytes.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_halves(a: __m256, b: __m256) -> __m256 {
    let low = _mm256_permute2f128_ps::<0x20>(a, b);
    let high = _mm256_permute2f128_ps::<0x31>(a, b);
    _mm256_add_ps(low, high)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add(a: Pair, b: Pair) -> Pair {
    [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sub(a: Pair, b: Pair) -> Pair {
    [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mul(a: Pair, b: Pair) -> Pair {
    [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn max(a: Pair, b: Pair) -> Pair {
    [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mul_add(a: Pair, b: Pair, c: Pair) -> Pair {
    [
        _mm256_fmadd_ps(a[0], b[0], c[0]),
        _mm256_fmadd_ps(a[1], b[1], c[1]),
    ]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load([low, high]: &[[f32; 8]; 2]) -> Pair {
    [load_8(low), load_8(high)]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_bf16([low, high]: &[[u16; 8]; 2]) -> Pair {
    [widen_bf16_8(low), widen_bf16_8(high)]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_f16([low, high]: &[[u16; 8]; 2]) -> Pair {
    [widen_f16_8(low), widen_f16_8(high)]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store(lanes: Pair, [low, high]: &mut [[f32; 8]; 2]) {
    store_8(lanes[0], low);
    store_8(lanes[1], high);
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn splat(value: f32) -> Pair {
    [_mm256_set1_ps(value); 2]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn power_of_two([low, high]: Pair) -> Pair {
    [power_of_two_8(low), power_of_two_8(high)]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn split_exponent([low, high]: Pair) -> (Pair, Pair) {
    let (low, high) = (split_exponent_8(low), split_exponent_8(high));
    ([low.0, high.0], [low.1, high.1])
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn div(a: Pair, b: Pair) -> Pair {
    [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn min(a: Pair, b: Pair) -> Pair {
    [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sqrt(x: Pair) -> Pair {
    x.map(|half| _mm256_sqrt_ps(half))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_i8(from: &[i8; LANES]) -> Pair {
    // SAFETY: the reference is to 16 bytes.
    let all = unsafe { _mm_loadu_si128(from.as_ptr().cast()) };
    [
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(all)),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128::<8>(all))),
    ]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_nibbles(from: &[u8; LANES]) -> [Pair; 2] {
    // SAFETY: the reference is to 16 bytes.
    let all = unsafe { _mm_loadu_si128(from.as_ptr().cast()) };
    let four_bits = _mm_set1_epi8(15);
    let low = _mm_and_si128(all, four_bits);
    let high = _mm_and_si128(_mm_srli_epi16::<4>(all), four_bits);
    [widen_u8(low), widen_u8(high)]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_u8(all: __m128i) -> Pair {
    [
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(all)),
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(all))),
    ]
}

/// Four columns a vector. Pairs of products of bytes up to 15 fit 16 bits: nothing saturates.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_quads(columns: [__m256i; 4], quads: [__m256i; 4], weights: [u8; 4]) -> [__m256i; 4] {
    let weights = bytes::splat_four(weights);
    [0, 1, 2, 3].map(|part| add_products(columns[part], weights, quads[part]))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sub_sums(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
    [0, 1].map(|half| _mm256_sub_epi32(a[half], b[half]))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sums_as_lanes(sums: [__m256i; 2]) -> Pair {
    sums.map(|half| _mm256_cvtepi32_ps(half))
}

/// Pairs of products fit 16 bits, since the smaller factors are at most 64: nothing saturates.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_products(sums: __m256i, magnitudes: __m256i, signed: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(magnitudes, signed);
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn where_ge(a: Pair, b: Pair, x: Pair) -> Pair {
    [0, 1].map(|half| _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a[half], b[half]), x[half]))
}

impl Simd for Avx2 {
    type Lanes = Pair;
    type Bytes = __m256i;
    type Signed = [__m256i; 2];
    type Ints = __m256i;
    type Pairs = [__m256i; 2];
    type Sums = [__m256i; 2];
    type Columns = [__m256i; 4];

    const BIAS: i32 = 0;

    const WIDE: bool = false;

    #[inline]
    fn run<T: Task>(self, task: T) {
        // SAFETY: `self` was made by `detect`.
        unsafe { run(self, task) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { splat(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { load(bytemuck::cast_ref(from)) }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { load_bf16(bytemuck::cast_ref(from)) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16; LANES]) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { load_f16(bytemuck::cast_ref(from)) }
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, to: &mut [f32; LANES]) {
        // SAFETY: `self` was made by `detect`.
        unsafe { store(lanes, bytemuck::cast_mut(to)) }
    }

    #[inline(always)]
    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { add(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { sub(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { mul(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { max(a, b) }
    }

    #[inline(always)]
    fn where_ge(self, a: Self::Lanes, b: Self::Lanes, x: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { where_ge(a, b, x) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { mul_add(a, b, c) }
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
    fn div(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { div(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { min(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, x: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { sqrt(x) }
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
        unsafe { [bytes::magnitudes(bytes), bytes] }
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
        unsafe { add_products(sums, nibbles, signed) }
    }

    #[inline(always)]
    fn add_signed_products(
        self,
        sums: Self::Ints,
        biased: Self::Signed,
        signed: Self::Bytes,
    ) -> Self::Ints {
        // SAFETY: `self` was made by `detect`.
        let signed = unsafe { bytes::with_signs(signed, biased[1]) };
        // SAFETY: `self` was made by `detect`.
        unsafe { add_products(sums, biased[0], signed) }
    }

    #[inline(always)]
    fn join_ints(self, high: Self::Ints, low: Self::Ints) -> Self::Ints {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::join(high, low) }
    }

    #[inline(always)]
    fn sums_of_ints(self, ints: &[Self::Ints; LANES]) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        unsafe { bytes::sums_of_all(ints) }
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
        unsafe { bytes::in_order(columns) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[[i16; 2]; LANES]) -> Self::Pairs {
        let [low, high]: &[[u8; BYTES]; 2] = bytemuck::cast_ref(from);
        // SAFETY: `self` was made by `detect`.
        [unsafe { bytes::load(low) }, unsafe { bytes::load(high) }]
    }

    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> Self::Pairs {
        // SAFETY: `self` was made by `detect`.
        [unsafe { _mm256_set1_epi32(bytemuck::cast(pair)) }; 2]
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        [unsafe { _mm256_set1_epi32(value) }; 2]
    }

    #[inline(always)]
    fn load_sums(self, from: &[i32; LANES]) -> Self::Sums {
        let [low, high]: &[[u8; BYTES]; 2] = bytemuck::cast_ref(from);
        // SAFETY: `self` was made by `detect`.
        [unsafe { bytes::load(low) }, unsafe { bytes::load(high) }]
    }

    #[inline(always)]
    fn sub_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        unsafe { sub_sums(a, b) }
    }

    #[inline(always)]
    fn sums_as_lanes(self, sums: Self::Sums) -> Self::Lanes {
        // SAFETY: `self` was made by `detect`.
        unsafe { sums_as_lanes(sums) }
    }

    #[inline(always)]
    fn store_sums(self, sums: Self::Sums, to: &mut [i32; LANES]) {
        // SAFETY: `self` was made by `detect`.
        unsafe { store_sums(sums, bytemuck::cast_mut(to)) }
    }

    #[inline(always)]
    fn add_pairs(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        // SAFETY: `self` was made by `detect`.
        unsafe { add_pairs(sums, a, b) }
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
#[target_feature(enable = "avx2,fma,f16c")]
fn store_ints(ints: __m256i, to: &mut [u8; BYTES]) {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), ints) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store_sums(sums: [__m256i; 2], [low, high]: &mut [[u8; BYTES]; 2]) {
    store_ints(sums[0], low);
    store_ints(sums[1], high);
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_pairs(sums: [__m256i; 2], a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
    [0, 1].map(|half| _mm256_add_epi32(sums[half], _mm256_madd_epi16(a[half], b[half])))
}

type Marked = ([__m256i; 2], [__m256i; 2]);

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn larger(a: Marked, b: Marked) -> Marked {
    let is_b = [0, 1].map(|half| _mm256_cmpgt_epi32(b.0[half], a.0[half]));
    (
        [0, 1].map(|half| _mm256_blendv_epi8(a.0[half], b.0[half], is_b[half])),
        [0, 1].map(|half| _mm256_blendv_epi8(a.1[half], b.1[half], is_b[half])),
    )
}

/// Sixteen integers of 32 bits as 16 bits, in order.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn narrow([low, high]: [__m256i; 2]) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store_nibbles(low: Pair, high: Pair, to: &mut [u8; LANES]) {
    let both = [0, 1].map(|half| {
        let high = _mm256_slli_epi32::<4>(_mm256_cvttps_epi32(high[half]));
        _mm256_or_si256(_mm256_cvttps_epi32(low[half]), high)
    });
    let words = narrow(both);
    let bytes = _mm_packus_epi16(
        _mm256_castsi256_si128(words),
        _mm256_extracti128_si256::<1>(words),
    );
    // SAFETY: the reference is to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), bytes) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store_i16(lanes: Pair, to: &mut [i16; LANES]) {
    let integers = lanes.map(|half| _mm256_cvtps_epi32(half));
    store_ints(narrow(integers), bytemuck::cast_mut(to));
}
