//! What queries read of the KV heads of one layer. A head whose attention is flat has to be read widely for the same error; one
//! whose attention is sharp, little.
//!
//! It is an operator's picture and begins anew with the process: who finds another at it does not wait, and is not in it.

use parking_lot::Mutex;

use crate::model::Report;

/// The weight of the newest answer in a mean, once there are as many as its inverse.
const NEWEST: f64 = 1.0 / 64.0;

/// Of one layer; empty until its first query that need not read everything.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Of every KV head.
    heads: Mutex<Vec<HeadUse>>,
}

/// What queries read of a head: means over answers, the newer with more weight. Answers of mode `exact` read everything and are
/// not in them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HeadUse {
    /// So many.
    pub answers: u64,
    /// Of the tokens that the query saw, those that were read exactly or as codes.
    pub token_share: f64,
    /// Bytes that were read, of those of K and V of all tokens that the query saw.
    pub byte_share: f64,
    /// Of the attention mass, what was computed exactly.
    pub exact_mass: f64,
}

impl Used {
    /// Takes in an answer, by the reports of all KV heads in order.
    pub(super) fn note<'a>(&self, reports: impl ExactSizeIterator<Item = &'a Report>) {
        let Some(mut heads) = self.heads.try_lock() else {
            return;
        };
        heads.resize(reports.len(), HeadUse::default());
        for (head, report) in heads.iter_mut().zip(reports) {
            head.note(report);
        }
    }

    /// What was read of every head so far; of none, nothing.
    pub(super) fn heads(&self) -> Vec<HeadUse> {
        self.heads.lock().clone()
    }
}

impl HeadUse {
    fn note(&mut self, report: &Report) {
        let cost = &report.cost;
        let (visible, masses) = (cost.visible_tokens(), report.exact_mass.len());
        if visible == 0 || masses == 0 {
            return;
        }
        self.answers += 1;
        let weight = NEWEST.max(1.0 / self.answers as f64);
        let read = cost.steady_tokens + cost.retrieved_tokens + cost.coded_tokens;
        let mass: f64 = report.exact_mass.iter().copied().map(f64::from).sum();
        for (mean, now) in [
            (&mut self.token_share, read as f64 / visible as f64),
            (
                &mut self.byte_share,
                cost.bytes_read as f64 / cost.full_bytes.max(1) as f64,
            ),
            (&mut self.exact_mass, mass / masses as f64),
        ] {
            *mean += weight * (now - *mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cost;

    fn report(read: u64, bytes_read: u64) -> Report {
        Report {
            exact_mass: vec![0.5, 1.0],
            cost: Cost {
                retrieved_tokens: read,
                estimated_tokens: 100 - read,
                bytes_read,
                full_bytes: 1000,
                ..Cost::default()
            },
            ..Report::default()
        }
    }

    #[test]
    fn means_are_those_of_all_answers_first_and_of_the_newer_ones_later() {
        let used = Used::default();
        assert!(used.heads().is_empty());
        let answer = |read| [report(read, 10 * read), report(50, 500)];
        for read in [10, 30] {
            used.note(answer(read).iter());
        }
        let heads = used.heads();
        assert_eq!((heads.len(), heads[0].answers), (2, 2));
        assert!((heads[0].token_share - 0.2).abs() < 1e-9);
        assert!((heads[0].byte_share - 0.2).abs() < 1e-9);
        assert!((heads[1].token_share - 0.5).abs() < 1e-9);
        assert!((heads[1].exact_mass - 0.75).abs() < 1e-9);
        for _ in 0..1000 {
            used.note(answer(90).iter());
        }
        assert!((used.heads()[0].token_share - 0.9).abs() < 1e-3);
        // One that sees nothing says nothing.
        used.note([Report::default(), Report::default()].iter());
        assert_eq!(used.heads()[0].answers, 1002);
    }
}
