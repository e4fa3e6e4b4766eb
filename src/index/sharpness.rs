//! How sharp the attention of a query is, by what the meta index says of it.

use crate::index::survey::Survey;
use crate::index::zones::Zone;

impl Survey<'_> {
    /// 0 where all tokens of the clusters that can be estimated weigh the same, 1 where one of them has all the weight: how far
    /// the estimated masses are from those of a flat head (Kullback-Leibler), of the farthest that they can be. Mean over the
    /// group; none where there is nothing to choose among. Ask before anything is chosen.
    pub fn sharpness(&self) -> Option<f32> {
        let tokens = self.tokens(Zone::Estimation);
        if tokens < 2 {
            return None;
        }
        let clusters = |row| {
            let places = self.places(Zone::Estimation);
            places.map(move |place| (self.log_mass[self.at(row, place)], self.tokens_at(place)))
        };
        let of_rows = (0..self.group()).map(|row| distance_from_flat(clusters(row).collect()));
        let mean = of_rows.sum::<f32>() / self.group() as f32;
        Some((mean / (tokens as f32).ln()).clamp(0.0, 1.0))
    }
}

/// `sum p ln(p / q)` over clusters, given as the logarithm of their mass and their tokens: `p` is their share of the mass, `q`
/// that of the tokens.
fn distance_from_flat(clusters: Vec<(f32, u32)>) -> f32 {
    let masses = clusters.iter().map(|(mass, _)| *mass);
    let max = masses.clone().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = masses.map(|mass| (mass - max).exp()).sum();
    let tokens: u32 = clusters.iter().map(|(_, tokens)| tokens).sum();
    let terms = clusters.into_iter().map(|(mass, of_cluster)| {
        let share = (mass - max).exp() / sum;
        let flat = of_cluster as f32 / tokens as f32;
        // What has no mass is in no sum.
        if share > 0.0 {
            share * (share / flat).ln()
        } else {
            0.0
        }
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_head_is_at_no_distance_and_a_single_token_at_the_farthest() {
        let flat = [3_u32, 1, 12].map(|tokens| (5.0 + (tokens as f32).ln(), tokens));
        assert!(distance_from_flat(flat.to_vec()).abs() < 1e-6);
        let single = vec![(-700.0, 15), (40.0, 1)];
        assert!((distance_from_flat(single) - 16.0_f32.ln()).abs() < 1e-5);
        // Half of the mass on a quarter of the tokens: ln(2) / 2 + ln(2/3) / 2.
        let half = distance_from_flat(vec![(1.0, 1), (1.0, 3)]);
        assert!((half - 0.143_841).abs() < 1e-5, "{half}");
        let none = distance_from_flat(vec![(f32::NEG_INFINITY, 4), (0.0, 4)]);
        assert!((none - 2.0_f32.ln()).abs() < 1e-6);
    }
}
