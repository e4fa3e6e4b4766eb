//! Shapes worth trying, and tensors of random numbers.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use wavekv_kernels::{Bounds, Codes8, Dtype, Matrix, Queries, convert};

/// Numbers in the bytes of a dtype, at an address that suits every dtype.
#[derive(Debug)]
pub(crate) struct Tensor {
    words: Vec<u32>,
    dtype: Dtype,
    rows: usize,
    cols: usize,
}

impl Tensor {
    pub(crate) fn new(values: &[f32], dtype: Dtype, rows: usize, cols: usize) -> Self {
        let size = values.len() * dtype.size_of();
        let mut words = vec![0; size.div_ceil(4)];
        convert::write(
            values,
            dtype,
            &mut bytemuck::cast_slice_mut(&mut words)[..size],
        )
        .unwrap();
        Self {
            words,
            dtype,
            rows,
            cols,
        }
    }

    pub(crate) fn random(seed: u64, dtype: Dtype, rows: usize, cols: usize) -> Self {
        Self::new(&numbers(seed, rows * cols), dtype, rows, cols)
    }

    pub(crate) fn matrix(&self) -> Matrix<'_> {
        let size = self.rows * self.cols * self.dtype.size_of();
        let bytes = &bytemuck::cast_slice(&self.words)[..size];
        Matrix::new(bytes, self.dtype, self.rows, self.cols).unwrap()
    }
}

/// Random rows of bytes with their scales and base.
#[derive(Debug)]
pub(crate) struct Bytes8 {
    codes: Vec<i8>,
    scales: Vec<f32>,
    base: Vec<f32>,
}

impl Bytes8 {
    pub(crate) fn random(seed: u64, rows: usize, cols: usize) -> Self {
        let base = numbers(seed, cols);
        let mut codes = vec![0; rows * cols];
        let values = numbers(seed ^ 9, rows * cols);
        let scales = codes
            .chunks_exact_mut(cols)
            .zip(values.chunks_exact(cols))
            .map(|(codes, values)| Codes8::encode(values, &base, codes).unwrap());
        let scales = scales.collect();
        Self {
            codes,
            scales,
            base,
        }
    }

    pub(crate) fn codes(&self) -> Codes8<'_> {
        Codes8::new(&self.codes, &self.scales, &self.base).unwrap()
    }
}

/// Numbers of both signs around one.
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-2.0..2.0)).collect()
}

pub(crate) fn queries(values: &[f32], dim: usize) -> Queries<'_> {
    Queries::new(values, values.len() / dim, dim).unwrap()
}

/// Dimensions: whole vectors, tails, and the odd ones.
pub(crate) fn dims() -> impl Strategy<Value = usize> {
    prop_oneof![
        prop::sample::select(vec![16, 32, 64, 80, 128, 192, 256, 576]),
        16..=150_usize,
        Just(1),
    ]
}

/// Token counts on both sides of a tile's end.
pub(crate) fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![
        prop::sample::select(vec![0, 1, 3, 4, 63, 64, 65, 127, 128, 129]),
        0..=300_usize,
    ]
}

pub(crate) fn rows() -> impl Strategy<Value = usize> {
    prop_oneof![1..=9_usize, 1..=40_usize]
}

pub(crate) fn dtypes() -> impl Strategy<Value = Dtype> {
    prop::sample::select(Dtype::ALL.to_vec())
}

/// Bounds of query rows over positions up to `end`, empty and inverted ones among them.
pub(crate) fn bounds(rows: usize, end: u32) -> impl Strategy<Value = Vec<Bounds>> {
    let one = prop_oneof![
        3 => (0..=end, 0..=end).prop_map(|(first, end)| Bounds { first, end }),
        2 => (0..=end).prop_map(|end| Bounds { first: 0, end }),
        1 => Just(Bounds { first: 0, end: 0 }),
        1 => Just(Bounds::ALL),
    ];
    prop::collection::vec(one, rows)
}

/// Whether `got` is `truth` up to `tolerance` relative to `size`.
pub(crate) fn close(got: f32, truth: f64, tolerance: f64, size: f64) -> bool {
    if truth.is_infinite() {
        return f64::from(got) == truth;
    }
    (f64::from(got) - truth).abs() <= tolerance * size.max(1e-30)
}
