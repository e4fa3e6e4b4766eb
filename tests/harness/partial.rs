//! Partials, and how an engine merges them.

use wavekv_client::wire;
use wavekv_trace::exact::Exact;

use crate::harness::sequence::floats;

/// An attention output over some tokens, `[rows, value_dim]`, with its log-sum-exp, `[rows]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Partial {
    pub(crate) out: Vec<f64>,
    pub(crate) lse: Vec<f64>,
}

impl Partial {
    /// Of no tokens.
    pub(crate) fn of_nothing(rows: usize, value_dim: usize) -> Self {
        Self {
            out: vec![0.0; rows * value_dim],
            lse: vec![f64::NEG_INFINITY; rows],
        }
    }

    /// As the daemon sent it.
    pub(crate) fn of_answer(out: Option<&wire::Tensor>, lse: Option<&wire::Tensor>) -> Self {
        let numbers = |tensor| floats(tensor).into_iter().map(f64::from).collect();
        Self {
            out: numbers(out),
            lse: numbers(lse),
        }
    }

    /// `lse = logsumexp(lse_a, lse_b)`, `out = exp(lse_a - lse) out_a + exp(lse_b - lse) out_b`.
    pub(crate) fn merge(mut self, other: &Self) -> Self {
        let dim = self.out.len() / self.lse.len();
        let rows = self.out.chunks_exact_mut(dim).zip(&mut self.lse);
        let others = other.out.chunks_exact(dim).zip(&other.lse);
        for ((out, lse), (other_out, other_lse)) in rows.zip(others) {
            let most = lse.max(*other_lse);
            if most == f64::NEG_INFINITY {
                continue;
            }
            let (a, b) = ((*lse - most).exp(), (other_lse - most).exp());
            for (x, other) in out.iter_mut().zip(other_out) {
                *x = (a * *x + b * other) / (a + b);
            }
            *lse = most + (a + b).ln();
        }
        self
    }

    /// Puts the rows of another after these.
    pub(crate) fn extend(&mut self, other: Self) {
        self.out.extend(other.out);
        self.lse.extend(other.lse);
    }
}

impl From<Exact> for Partial {
    fn from(Exact { out, lse }: Exact) -> Self {
        Self { out, lse }
    }
}
