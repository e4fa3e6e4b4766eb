//! What is measured of one mode, and the row that it comes to.

use serde::Serialize;
use wavekv_client::{ClientError, wire};
use wavekv_trace::Trace;
use wavekv_trace::compare::{self, Summary};
use wavekv_trace::exact::Exact;

use crate::answer::{Answer, calibrated};

/// What f32 may add to an error: the audit of an exact answer says 0.
const ROUNDING: f64 = 1e-4;

/// Everything measured of one mode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    heads: Vec<HeadSample>,
    reads: Vec<ReadSample>,
    audits: Vec<AuditSample>,
    latencies_ms: Vec<f64>,
}

/// One query of one query head.
#[derive(Debug, Clone, Copy)]
struct HeadSample {
    layer: u32,
    q_head: usize,
    error: f64,
    estimated_error: f64,
    recalled_mass: f64,
}

/// One query of one layer.
#[derive(Debug, Clone, Copy)]
struct ReadSample {
    layer: u32,
    visible_tokens: u64,
    exact_tokens: u64,
    bytes: u64,
    full_bytes: u64,
}

/// One query of one layer, audited.
#[derive(Debug, Clone, Copy)]
struct AuditSample {
    layer: u32,
    /// Root mean square over the query heads.
    error: f64,
    audited: f64,
    interval: [f64; 2],
    bytes: u64,
    full_bytes: u64,
}

/// What audits said of the answers of a mode, beside what is true; over queries and layers, each by the root mean square
/// of its heads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct AuditRow {
    pub(crate) error_mean: f64,
    pub(crate) audited_mean: f64,
    /// Root mean squares over all of them: what is estimated without bias.
    pub(crate) error_rms: f64,
    pub(crate) audited_rms: f64,
    /// Share of the answers whose true error is within the interval.
    pub(crate) covered_share: f64,
    /// Half the width of the intervals, of the true error.
    pub(crate) half_width_mean: f64,
    /// Bytes read, of those of full attention.
    pub(crate) byte_share: f64,
}

/// One line of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) mode: String,
    /// Number of the layer in the model; none: all layers.
    pub(crate) layer: Option<u32>,
    /// |out - exact| / |exact|, over queries and query heads.
    pub(crate) error_mean: f64,
    pub(crate) error_p50: f64,
    pub(crate) error_p95: f64,
    pub(crate) error_p99: f64,
    /// The head with the largest mean error.
    pub(crate) worst_head: String,
    pub(crate) worst_head_error_mean: f64,
    /// True share of the attention mass that was computed exactly.
    pub(crate) recalled_mass_mean: f64,
    pub(crate) recalled_mass_p5: f64,
    /// Tokens read exactly, of the visible ones.
    pub(crate) token_share: f64,
    /// Bytes read, of those of full attention.
    pub(crate) byte_share: f64,
    /// Share of the queries whose reported error is within a factor 2 of the true one.
    pub(crate) calibrated_share: f64,
    /// Of an attend call of one token and one layer.
    pub(crate) latency_p50_ms: f64,
    pub(crate) latency_p99_ms: f64,
    /// Where answers were audited.
    pub(crate) audit: Option<AuditRow>,
}

impl Samples {
    /// Takes in the answer to query `row` of the layer with index `layer`, where `exact` begins with row `first_row`.
    ///
    /// # Errors
    /// When the answer has not the shapes of the contract.
    pub(crate) fn add(
        &mut self,
        trace: &Trace,
        layer: usize,
        exact: &Exact,
        row: usize,
        answer: &wire::AttendOutcome,
    ) -> Result<(), ClientError> {
        let (heads, dim) = (trace.q_heads, trace.value_dim);
        let number = trace.layers[layer].number;
        let Answer { out, lse, report } = Answer::read(answer, heads, dim)?;
        let errors = compare::relative_errors(
            &out,
            &exact.out[row * heads * dim..(row + 1) * heads * dim],
            dim,
        );
        if let Some(audit) = &report.audit {
            let squares: Vec<f64> = errors.iter().map(|error| error * error).collect();
            self.audits.push(AuditSample {
                layer: number,
                error: compare::mean(&squares).sqrt(),
                audited: audit.error.into(),
                interval: [audit.error_low.into(), audit.error_high.into()],
                bytes: audit.bytes_read,
                full_bytes: report.full_bytes,
            });
        }
        for (q_head, error) in errors.into_iter().enumerate() {
            let true_lse = exact.lse[row * heads + q_head];
            let exact_mass = f64::from(report.exact_mass[q_head]);
            self.heads.push(HeadSample {
                layer: number,
                q_head,
                error,
                estimated_error: f64::from(report.error_estimate[q_head]),
                recalled_mass: exact_mass * (f64::from(lse[q_head]) - true_lse).exp(),
            });
        }
        self.reads.push(ReadSample {
            layer: number,
            visible_tokens: report.visible_tokens,
            exact_tokens: report.steady_tokens + report.retrieved_tokens,
            bytes: report.bytes_read,
            full_bytes: report.full_bytes,
        });
        Ok(())
    }

    /// Takes in the time of one call.
    pub(crate) fn add_latency(&mut self, ms: f64) {
        self.latencies_ms.push(ms);
    }

    /// The row of all layers, or of the one with this number.
    pub(crate) fn row(&self, mode: &str, layer: Option<u32>) -> Row {
        let of_layer = |number: u32| layer.is_none_or(|layer| layer == number);
        let heads: Vec<HeadSample> = self
            .heads
            .iter()
            .filter(|sample| of_layer(sample.layer))
            .copied()
            .collect();
        let error = Summary::of(heads.iter().map(|sample| sample.error).collect());
        let mut masses: Vec<f64> = heads.iter().map(|sample| sample.recalled_mass).collect();
        masses.sort_by(f64::total_cmp);
        let (worst_head, worst_head_error_mean) = worst_head(&heads);
        let calibrated = heads
            .iter()
            .filter(|sample| calibrated(sample.estimated_error, sample.error))
            .count();
        let reads = || self.reads.iter().filter(|sample| of_layer(sample.layer));
        let share = |part: fn(&ReadSample) -> u64, whole: fn(&ReadSample) -> u64| {
            reads().map(part).sum::<u64>() as f64 / reads().map(whole).sum::<u64>() as f64
        };
        let latency = Summary::of(self.latencies_ms.clone());
        Row {
            mode: mode.to_owned(),
            layer,
            error_mean: error.mean,
            error_p50: error.p50,
            error_p95: error.p95,
            error_p99: error.p99,
            worst_head,
            worst_head_error_mean,
            recalled_mass_mean: compare::mean(&masses),
            recalled_mass_p5: compare::percentile(&masses, 0.05),
            token_share: share(|read| read.exact_tokens, |read| read.visible_tokens),
            byte_share: share(|read| read.bytes, |read| read.full_bytes),
            calibrated_share: calibrated as f64 / heads.len() as f64,
            latency_p50_ms: latency.p50,
            latency_p99_ms: latency.p99,
            audit: self.audit_row(of_layer),
        }
    }

    fn audit_row(&self, of_layer: impl Fn(u32) -> bool) -> Option<AuditRow> {
        let audits = self.audits.iter().filter(|sample| of_layer(sample.layer));
        let audits: Vec<AuditSample> = audits.copied().collect();
        if audits.is_empty() {
            return None;
        }
        let mean = |of: fn(&AuditSample) -> f64| {
            let numbers: Vec<f64> = audits.iter().map(of).collect();
            compare::mean(&numbers)
        };
        Some(AuditRow {
            error_mean: mean(|audit| audit.error),
            audited_mean: mean(|audit| audit.audited),
            error_rms: mean(|audit| audit.error * audit.error).sqrt(),
            audited_rms: mean(|audit| audit.audited * audit.audited).sqrt(),
            covered_share: mean(|audit| f64::from(u8::from(audit.covers()))),
            half_width_mean: mean(|audit| {
                let [low, high] = audit.interval;
                (high - low) / 2.0 / audit.error.max(ROUNDING)
            }),
            byte_share: audits.iter().map(|audit| audit.bytes).sum::<u64>() as f64
                / audits.iter().map(|audit| audit.full_bytes).sum::<u64>() as f64,
        })
    }
}

impl AuditSample {
    fn covers(&self) -> bool {
        let [low, high] = self.interval;
        (low - ROUNDING..=high + ROUNDING).contains(&self.error)
    }
}

/// The head with the largest mean error, as `L7/q3`.
fn worst_head(samples: &[HeadSample]) -> (String, f64) {
    let mut heads: Vec<(u32, usize)> = samples
        .iter()
        .map(|sample| (sample.layer, sample.q_head))
        .collect();
    heads.sort_unstable();
    heads.dedup();
    let mean = |&(layer, q_head): &(u32, usize)| {
        let same = |sample: &&HeadSample| sample.layer == layer && sample.q_head == q_head;
        let errors: Vec<f64> = samples
            .iter()
            .filter(same)
            .map(|sample| sample.error)
            .collect();
        compare::mean(&errors)
    };
    let means = heads.iter().map(|head| (head, mean(head)));
    match means.max_by(|(_, a), (_, b)| a.total_cmp(b)) {
        Some(((layer, q_head), error)) => (format!("L{layer}/q{q_head}"), error),
        None => ("-".into(), f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use wavekv_trace::Dtype;
    use wavekv_trace::generate::{GenerateParameters, generate};

    use super::*;

    fn answer(out: &[f32], lse: &[f32], mass: f32, estimate: f32) -> wire::AttendOutcome {
        let tensor = |values: &[f32], shape: Vec<u32>| wire::Tensor {
            dtype: wire::Dtype::F32.into(),
            shape,
            data: Dtype::F32.encode(values).into(),
        };
        wire::AttendOutcome {
            out: Some(tensor(out, vec![1, 2, 16])),
            lse: Some(tensor(lse, vec![1, 2])),
            report: Some(wire::AttendReport {
                exact_mass: vec![mass; 2],
                error_estimate: vec![estimate; 2],
                visible_tokens: 100,
                steady_tokens: 10,
                retrieved_tokens: 15,
                bytes_read: 30,
                full_bytes: 200,
                audit: Some(wire::Audit {
                    error: 0.06,
                    error_low: 0.05,
                    error_high: 0.08,
                    bytes_read: 50,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn small() -> Trace {
        let parameters = GenerateParameters {
            tokens: 40,
            kv_heads: 1,
            group: 2,
            head_dim: 16,
            value_dim: 16,
            needles: 0,
            ..Default::default()
        };
        generate(&parameters).unwrap()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-5
    }

    #[test]
    fn a_row_says_how_far_an_answer_is_from_the_exact_one() {
        let trace = small();
        let exact = trace.attend(&trace.layers[0], 0..2).unwrap();
        // Head 1 is 10 % too long; the mass that it claims is of a sum that is e^0.1 too large.
        let factor = |index: usize| if index < 16 { 1.0 } else { 1.1 };
        let out: Vec<f32> = exact.out[32..64]
            .iter()
            .enumerate()
            .map(|(index, x)| (x * factor(index)) as f32)
            .collect();
        let lse: Vec<f32> = exact.lse[2..4]
            .iter()
            .map(|lse| (lse + 0.1) as f32)
            .collect();
        let mut samples = Samples::default();
        samples
            .add(&trace, 0, &exact, 1, &answer(&out, &lse, 0.5, 0.06))
            .unwrap();
        samples.add_latency(2.0);
        let row = samples.row("budget", None);
        assert!(
            close(row.error_mean, 0.05) && close(row.error_p99, 0.1),
            "{row:?}"
        );
        assert_eq!(row.worst_head, "L0/q1");
        assert!(close(row.worst_head_error_mean, 0.1));
        assert!(close(row.recalled_mass_mean, 0.5 * 0.1_f64.exp()));
        assert!(close(row.token_share, 0.25) && close(row.byte_share, 0.15));
        assert!(close(row.calibrated_share, 0.5) && close(row.latency_p50_ms, 2.0));
        // Of heads with errors of 0 and 0.1.
        let audit = row.audit.as_ref().unwrap();
        assert!(close(audit.error_mean, 0.005_f64.sqrt()) && close(audit.audited_mean, 0.06));
        assert!(close(audit.covered_share, 1.0) && close(audit.byte_share, 0.25));
        assert!(close(audit.half_width_mean, 0.015 / 0.005_f64.sqrt()));
        assert_eq!(
            Row {
                layer: None,
                ..samples.row("budget", Some(0))
            },
            row
        );
    }
}
