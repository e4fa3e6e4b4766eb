//! An answer to one query token, checked against the shapes of the contract.

use wavekv_client::{ClientError, wire};
use wavekv_trace::Dtype;

/// Two errors below this are both as good as none.
const NEGLIGIBLE: f64 = 1e-3;

/// What Attend answers for one query token.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// `[q_heads, value_dim]`.
    pub(crate) out: Vec<f32>,
    /// `[q_heads]`.
    pub(crate) lse: Vec<f32>,
    /// One number a query head in each list.
    pub(crate) report: &'a wire::AttendReport,
}

impl<'a> Answer<'a> {
    /// Reads the answer to one query token of `heads` query heads, for values of `dim` elements.
    ///
    /// # Errors
    /// When it has not the shapes of the contract.
    pub(crate) fn read(
        answer: &'a wire::AttendOutcome,
        heads: usize,
        dim: usize,
    ) -> Result<Self, ClientError> {
        let out = floats("out", answer.out.as_ref(), &[1, heads, dim])?;
        let lse = floats("lse", answer.lse.as_ref(), &[1, heads])?;
        let report = answer
            .report
            .as_ref()
            .ok_or_else(|| malformed("no report".into()))?;
        for (field, found) in [
            ("exact_mass", &report.exact_mass),
            ("error_estimate", &report.error_estimate),
        ] {
            if found.len() != heads {
                return Err(malformed(format!(
                    "{} {field} for {heads} heads",
                    found.len()
                )));
            }
        }
        Ok(Self { out, lse, report })
    }
}

/// Whether an error estimate is good: within a factor 2 of the error, or both as good as none.
pub(crate) fn calibrated(estimated: f64, error: f64) -> bool {
    (error < NEGLIGIBLE && estimated < NEGLIGIBLE) || (0.5..=2.0).contains(&(estimated / error))
}

fn floats(
    field: &str,
    tensor: Option<&wire::Tensor>,
    shape: &[usize],
) -> Result<Vec<f32>, ClientError> {
    let tensor = tensor.ok_or_else(|| malformed(format!("no {field}")))?;
    let expected: Vec<u32> = shape.iter().map(|&length| length as u32).collect();
    let bytes = shape.iter().product::<usize>() * 4;
    if tensor.dtype() != wire::Dtype::F32 || tensor.shape != expected || tensor.data.len() != bytes
    {
        let found = (
            tensor.dtype().as_str_name(),
            &tensor.shape,
            tensor.data.len(),
        );
        return Err(malformed(format!(
            "{field} is {found:?}, expected f32 {expected:?}"
        )));
    }
    Ok(Dtype::F32.decode(&tensor.data))
}

fn malformed(what: String) -> ClientError {
    ClientError::Protocol { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_shape_is_malformed() {
        let tensor = |shape: Vec<u32>| {
            let elements = shape.iter().product::<u32>() as usize;
            Some(wire::Tensor {
                dtype: wire::Dtype::F32.into(),
                shape,
                data: vec![0; elements * 4].into(),
            })
        };
        let good = wire::AttendOutcome {
            out: tensor(vec![1, 2, 16]),
            lse: tensor(vec![1, 2]),
            report: Some(wire::AttendReport {
                exact_mass: vec![1.0; 2],
                error_estimate: vec![0.0; 2],
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(Answer::read(&good, 2, 16).unwrap().out.len(), 32);
        let refused =
            |answer: wire::AttendOutcome| Answer::read(&answer, 2, 16).unwrap_err().to_string();
        let but = |change: fn(&mut wire::AttendOutcome)| {
            let mut answer = good.clone();
            change(&mut answer);
            refused(answer)
        };
        assert!(but(|answer| answer.report = None).contains("no report"));
        assert!(but(|answer| answer.lse = None).contains("no lse"));
        assert!(but(|answer| answer.out = answer.lse.clone()).contains("out is"));
        assert!(
            but(|answer| answer.report = Some(wire::AttendReport::default()))
                .contains("0 exact_mass")
        );
    }

    #[test]
    fn an_estimate_is_good_within_a_factor_2() {
        assert!(calibrated(0.05, 0.1) && calibrated(0.2, 0.1) && calibrated(0.0, 1e-6));
        assert!(!calibrated(0.04, 0.1) && !calibrated(0.3, 0.1) && !calibrated(0.0, 0.1));
        assert!(!calibrated(f64::NAN, 0.1));
    }
}
