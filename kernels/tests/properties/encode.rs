//! What is kept of the rows of a cluster.

use half::f16;
use proptest::prelude::*;
use wavekv_kernels::{CodeErrors, Codes4, Encode, Kernels, Matrix, Members, Summarise, convert};

use crate::inputs::{Tensor, dims, dtypes, numbers};

/// The rows of a matrix beside a base, in f32.
fn beside(rows: Matrix<'_>, base: &[f32]) -> Vec<f32> {
    let mut all = vec![0.0; rows.rows() * rows.cols()];
    convert::read(rows, 0..rows.rows(), &mut all).unwrap();
    for row in all.chunks_exact_mut(base.len()) {
        row.iter_mut().zip(base).for_each(|(x, base)| *x -= base);
    }
    all
}

fn members() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..40_u32, 1..70)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn mean_and_squares_are_those_of_the_members(
        members in members(), dim in dims(), dtype in dtypes(), seed: u64,
    ) {
        let tensor = Tensor::random(seed, dtype, 40, dim);
        let base = numbers(seed ^ 1, dim);
        let rows = beside(tensor.matrix(), &base);
        let made: Vec<[Vec<f32>; 2]> = Kernels::available().map(|kernels| {
            let (mut mean, mut squares) = (vec![f32::NAN; dim], vec![f32::NAN; dim]);
            let of = Members::new(tensor.matrix(), &base, &members).unwrap();
            kernels.summarise(Summarise::new(of, &mut mean, &mut squares).unwrap());
            [mean, squares]
        }).collect();
        let count = members.len() as f64;
        for at in 0..dim {
            let column = || members.iter().map(|row| f64::from(rows[*row as usize * dim + at]));
            let mean = column().sum::<f64>() / count;
            let squares: f64 = column().map(|x| (x - mean).powi(2)).sum();
            // Numbers are below 4: each of up to 70 additions rounds a sum below 280, or one of squares below 4480.
            prop_assert!((f64::from(made[0][0][at]) - mean).abs() < 70.0 * 1.6e-5);
            prop_assert!((f64::from(made[0][1][at]) - squares).abs() < 70.0 * 1e-3);
        }
        for other in &made {
            prop_assert_eq!(other, &made[0]);
        }
    }

    #[test]
    fn codes_are_those_of_the_definition(
        members in members(), dim in dims(), dtype in dtypes(), still in prop::bool::ANY, seed: u64,
    ) {
        let tensor = Tensor::random(seed, dtype, 40, dim);
        let base = numbers(seed ^ 1, dim);
        let rows = beside(tensor.matrix(), &base);
        let mut profile: Vec<f32> = numbers(seed ^ 2, dim).iter().map(|x| x.abs() + 0.01).collect();
        if still {
            profile[dim / 2] = 0.0;
        }
        let inverse_profile: Vec<f32> = profile.iter().map(|p| if *p > 0.0 { p.recip() } else { 0.0 }).collect();
        let profiles = [profile.as_slice(), &inverse_profile];
        let bytes = Codes4::code_bytes(dim);
        for kernels in Kernels::available() {
            let (mut codes, mut scales) = (vec![0; members.len() * bytes], vec![f16::ZERO; members.len()]);
            let mut errors = CodeErrors::default();
            let of = Members::new(tensor.matrix(), &base, &members).unwrap();
            kernels.encode(Encode::new(of, profiles, &mut codes, &mut scales, &mut errors).unwrap());
            let view = Codes4::new(&codes, &scales, &profile).unwrap();
            let (mut expected, mut back) = (vec![0; bytes], vec![0.0; dim]);
            let (mut size, mut error) = (0.0_f64, 0.0_f64);
            for (at, row) in members.iter().enumerate() {
                let rest = &rows[*row as usize * dim..][..dim];
                let scale = Codes4::encode(rest, &inverse_profile, &mut expected).unwrap();
                prop_assert_eq!(scale, scales[at], "{}", kernels.isa());
                prop_assert_eq!(&codes[at * bytes..][..bytes], &expected[..], "{}", kernels.isa());
                view.decode(at, &mut back).unwrap();
                for (x, back) in rest.iter().zip(&back) {
                    size += f64::from(*x).powi(2);
                    error += f64::from(x - back).powi(2);
                }
            }
            // A lane sums up to 70 * 36 squares, each addition rounded to 2^-24 of the sum.
            prop_assert!((errors.size - size).abs() <= 4e-4 * size, "{} {size}", errors.size);
            prop_assert!((errors.error - error).abs() <= 4e-4 * error + 1e-6 * size, "{} {error}", errors.error);
        }
    }
}

#[test]
fn what_does_not_fit_is_no_shape() {
    let values = [0.0; 12];
    let rows = Matrix::from_f32(&values, 3, 4).unwrap();
    assert!(Members::new(rows, &[0.0; 3], &[]).is_err());
    assert!(Members::new(rows, &[0.0; 4], &[3]).is_err());
    let members = Members::new(rows, &[0.0; 4], &[2]).unwrap();
    assert!(Summarise::new(members, &mut [0.0; 4], &mut [0.0; 3]).is_err());
    let profiles = [[1.0; 4].as_slice(), &[1.0; 4]];
    let mut errors = CodeErrors::default();
    let mut scales = [f16::ZERO];
    assert!(Encode::new(members, profiles, &mut [0; 15], &mut scales, &mut errors).is_err());
    assert!(Encode::new(members, profiles, &mut [0; 16], &mut [], &mut errors).is_err());
}
