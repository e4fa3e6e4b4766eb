//! Gains of reading clusters.

use proptest::prelude::*;
use wavekv_kernels::{Appraise, Clusters, Kernels, Prospects, Spreads, reference};

use crate::inputs::{close, numbers, rows};

proptest! {
    #[test]
    fn gains_are_the_reference_and_the_same_bits_on_every_level(
        rows in rows(), count in 0..70_usize, size in 0.01..100.0_f32, seed: u64,
    ) {
        let positive = |seed, count, size: f32| {
            numbers(seed, count).iter().map(|x| x.abs() * size + 1e-3).collect::<Vec<f32>>()
        };
        let mut log_mass: Vec<f32> = numbers(seed, rows * count).iter().map(|x| x * 20.0).collect();
        for mass in log_mass.iter_mut().step_by(5) {
            *mass = f32::NEG_INFINITY;
        }
        let (of_clusters, of_rows) = (positive(seed ^ 1, count, size), positive(seed ^ 2, rows, 1.0));
        let (value_spreads, value_norms) = (positive(seed ^ 3, count, 1.0), positive(seed ^ 4, count, 3.0));
        let (norms, lse) = (positive(seed ^ 5, rows, 2.0), positive(seed ^ 6, rows, 1.0));
        let lse: Vec<f32> = lse.iter().map(|x| x + 40.0).collect();
        let counts: Vec<u32> = positive(seed ^ 7, count, 30.0).iter().map(|x| 1 + *x as u32).collect();
        let clusters = Clusters {
            log_mass: &log_mass,
            counts: &counts,
            spreads: Spreads { of_clusters: &of_clusters, of_rows: &of_rows },
            value_spreads: &value_spreads,
            value_norms: &value_norms,
            lse: &lse,
            norms: &norms,
            linear: 0.01,
            caution: 1.0,
        };
        let mut first: Option<Vec<u32>> = None;
        for kernels in Kernels::available() {
            let mut found = [rows * count, rows * count, count].map(|numbers| vec![f32::NAN; numbers]);
            let [gains, chances, worths] = &mut found;
            kernels.appraise(Appraise::new(clusters, Prospects { gains, chances, worths }).unwrap());
            let [gains, chances, worths] = &found;
            for (j, worth) in worths.iter().enumerate() {
                let of_rows = gains.iter().zip(chances).skip(j).step_by(count);
                let of_rows = of_rows.map(|(g, c)| (f64::from(*g), f64::from(*c)));
                let truth: f64 = of_rows.map(|(g, c)| g * (g + 0.01) + c * 1.01).sum();
                prop_assert!(close(*worth, truth, 1e-5, truth), "{worth} {truth}");
            }
            for (index, chance) in chances.iter().enumerate() {
                let (row, j) = (index / count, index % count);
                let (tokens, norm) = (f64::from(counts[j]), f64::from(norms[row]));
                let variance = f64::from(of_clusters[j]) * f64::from(of_rows[row]);
                let mass = (tokens * (1.0 + variance / 2.0 + variance * variance / 8.0)).ln();
                let score = f64::from(log_mass[index]) - f64::from(lse[row]) - mass;
                let value = [value_spreads[j], value_norms[j]].map(f64::from);
                // Nobody asks what is on one side of the least variance by the last place.
                if (variance - 4.0).abs() > 1e-5 {
                    let truth = reference::chance(score, tokens, variance, value, norm);
                    prop_assert!(close(*chance, truth, 2e-4, truth + 1e-30), "{chance} {truth}");
                }
            }
            for (index, gain) in gains.iter().enumerate() {
                let (row, j) = (index / count, index % count);
                let share = (f64::from(log_mass[index]) - f64::from(lse[row])).exp();
                let variance = f64::from(of_clusters[j]) * f64::from(of_rows[row]);
                let (spread, norm) = (f64::from(value_spreads[j]), f64::from(value_norms[j]));
                let truth = reference::gain(share, variance, spread, norm, f64::from(norms[row]));
                // Differences of scores up to 80 are off by a few millionths, and the doubt, one less than a
                // number near one, by a few units in the last place of that one.
                let of_doubt = share * norm.hypot(f64::from(norms[row])) / f64::from(norms[row]);
                prop_assert!(close(*gain, truth, 2e-5, truth + of_doubt / 50.0), "{gain} {truth}");
            }
            let bits: Vec<u32> = gains.iter().chain(chances).map(|x| x.to_bits()).collect();
            prop_assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "{}", kernels.isa());
        }
    }
}

#[test]
fn shapes_that_disagree_are_refused() {
    let fits = |masses: usize, clusters: usize, rows: usize| {
        let (three, two) = (vec![1.0; clusters], vec![1.0; rows]);
        let clusters = Clusters {
            log_mass: &vec![0.0; masses],
            counts: &[1; 3],
            spreads: Spreads {
                of_clusters: &three,
                of_rows: &two,
            },
            value_spreads: &[1.0; 3],
            value_norms: &three,
            lse: &[0.0; 2],
            norms: &two,
            linear: 0.0,
            caution: 1.0,
        };
        let to = Prospects {
            gains: &mut [0.0; 6],
            chances: &mut [0.0; 6],
            worths: &mut [0.0; 3],
        };
        Appraise::new(clusters, to).is_ok()
    };
    assert!(fits(6, 3, 2));
    assert!(!fits(5, 3, 2));
    assert!(!fits(6, 2, 2));
    assert!(!fits(6, 3, 1));
}
