//! What is measured of one mode on one context, and the point that it comes to.

use wavekv_client::{ClientError, Mode, wire};
use wavekv_trace::Geometry;
use wavekv_trace::compare::{self, Summary};

use crate::answer::{Answer, calibrated};
use crate::formats::bench::{Point, Zones};

/// Everything measured of one mode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    latencies_ms: Vec<f64>,
    estimates: Vec<f64>,
    /// Of the queries that were checked: error and estimate, a query head each.
    checked: Vec<(f64, f64)>,
    checked_queries: usize,
    bytes_read: u64,
    full_bytes: u64,
    /// Steady, retrieved, coded, estimated, ignored; over queries and KV heads.
    tokens: [u64; 5],
}

impl Tally {
    /// Takes in one answer, and how far it is from the exact one where that is known.
    ///
    /// # Errors
    /// When the answer has not the shapes of the contract.
    pub(crate) fn add(
        &mut self,
        geometry: &Geometry,
        answer: &wire::AttendOutcome,
        latency_ms: f64,
        exact: Option<&[f64]>,
    ) -> Result<(), ClientError> {
        let Answer { out, report, .. } =
            Answer::read(answer, geometry.q_heads, geometry.value_dim)?;
        let estimates = report.error_estimate.iter().map(|&x| f64::from(x));
        if let Some(exact) = exact {
            let errors = compare::relative_errors(&out, exact, geometry.value_dim);
            self.checked
                .extend(errors.into_iter().zip(estimates.clone()));
            self.checked_queries += 1;
        }
        self.estimates.extend(estimates);
        self.latencies_ms.push(latency_ms);
        self.bytes_read += report.bytes_read;
        self.full_bytes += report.full_bytes;
        let tokens = [
            report.steady_tokens,
            report.retrieved_tokens,
            report.coded_tokens,
            report.estimated_tokens,
            report.ignored_tokens,
        ];
        for (sum, tokens) in self.tokens.iter_mut().zip(tokens) {
            *sum += tokens;
        }
        Ok(())
    }

    /// All of it as one point.
    pub(crate) fn point(&self, mode: Mode, kv_heads: usize) -> Point {
        let queries = self.latencies_ms.len();
        let latency = Summary::of(self.latencies_ms.clone());
        let error = Summary::of(self.checked.iter().map(|&(error, _)| error).collect());
        let good = |&&(error, estimate): &&(f64, f64)| calibrated(estimate, error);
        let good = self.checked.iter().filter(good).count();
        let [steady, retrieved, coded, estimated, ignored] = self
            .tokens
            .map(|sum| sum as f64 / (queries * kv_heads) as f64);
        Point {
            system: "wavekv".into(),
            method: mode.to_string(),
            exact: mode == Mode::Exact,
            queries,
            latency_p50_ms: latency.p50,
            latency_p99_ms: latency.p99,
            checked: self.checked_queries,
            error_mean: number(error.mean),
            error_p50: number(error.p50),
            error_p95: number(error.p95),
            error_p99: number(error.p99),
            error_estimate_mean: number(compare::mean(&self.estimates)),
            calibrated_share: number(good as f64 / self.checked.len() as f64),
            bytes_read: number(self.bytes_read as f64 / queries as f64),
            byte_share: number(self.bytes_read as f64 / self.full_bytes as f64),
            zones: Some(Zones {
                steady,
                retrieved,
                coded,
                estimated,
                ignored,
            }),
        }
    }
}

/// JSON has no NaN.
fn number(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use wavekv_trace::Dtype;

    use super::*;

    const GEOMETRY: Geometry = Geometry {
        q_heads: 2,
        kv_heads: 1,
        head_dim: 16,
        value_dim: 2,
        dtype: Dtype::F32,
        scale: 1.0,
    };

    fn answer(out: &[f32; 4], bytes_read: u64) -> wire::AttendOutcome {
        let tensor = |values: &[f32], shape: Vec<u32>| wire::Tensor {
            dtype: wire::Dtype::F32.into(),
            shape,
            data: Dtype::F32.encode(values).into(),
        };
        wire::AttendOutcome {
            out: Some(tensor(out, vec![1, 2, 2])),
            lse: Some(tensor(&[0.0; 2], vec![1, 2])),
            report: Some(wire::AttendReport {
                exact_mass: vec![1.0; 2],
                error_estimate: vec![0.1; 2],
                steady_tokens: 10,
                retrieved_tokens: 20,
                estimated_tokens: 70,
                bytes_read,
                full_bytes: 1000,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_point_has_times_of_all_answers_and_errors_of_those_checked() {
        let mut tally = Tally::default();
        // The first head is off by 0.1, the second by 0.5.
        let exact = [1.0, 0.0, 0.0, 2.0];
        let off = answer(&[1.1, 0.0, 0.0, 1.0], 100);
        tally.add(&GEOMETRY, &off, 4.0, Some(&exact)).unwrap();
        for ms in [1.0, 2.0, 3.0] {
            tally
                .add(&GEOMETRY, &answer(&[0.0; 4], 300), ms, None)
                .unwrap();
        }
        let point = tally.point(Mode::Adaptive { target: 0.05 }, 1);
        assert_eq!((point.queries, point.checked), (4, 1));
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-6;
        assert!(close(point.error_mean, 0.3) && close(point.error_p99, 0.5));
        assert!(close(point.calibrated_share, 0.5) && close(point.error_estimate_mean, 0.1));
        assert!(close(point.bytes_read, 250.0) && close(point.byte_share, 0.25));
        assert!(close(Some(point.latency_p50_ms), 2.0) && close(Some(point.latency_p99_ms), 4.0));
        let zones = point.zones.unwrap();
        assert!(close(Some(zones.steady), 10.0) && close(Some(zones.estimated), 70.0));
        assert_eq!(point.method, "adaptive:0.05");
    }

    #[test]
    fn what_was_not_measured_is_absent() {
        let mut tally = Tally::default();
        tally
            .add(&GEOMETRY, &answer(&[0.0; 4], 1), 1.0, None)
            .unwrap();
        let point = tally.point(Mode::Exact, 1);
        assert_eq!((point.error_mean, point.calibrated_share), (None, None));
    }
}
