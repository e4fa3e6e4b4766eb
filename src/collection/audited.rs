//! What audits found of the KV heads of one layer, and the factors on the targets of `adaptive` that follow from it.

use parking_lot::Mutex;

use crate::index::audit::Feedback;
use crate::index::audit::feedback::Target;
use crate::model::{Audit, KvHead, Mode};

/// Of one layer; empty until its first audit.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// Of every KV head.
    heads: Mutex<Vec<Feedback>>,
}

/// What audits found of a layer, or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditSize {
    /// Answers that were audited.
    pub audits: u64,
    /// Mean square relative errors of them, summed over answers and KV heads.
    squares: f64,
    /// Answers times KV heads.
    heads: u64,
    /// The head with the largest mean square error.
    pub worst: Option<AuditedHead>,
    /// The heads whose target is lowered, in order of layer.
    pub raised: Vec<AuditedHead>,
}

/// What audits found of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuditedHead {
    /// Place of its layer in the collection; 0 of one layer alone.
    pub layer: u32,
    /// Which.
    pub head: KvHead,
    /// Root mean square relative error over its audits.
    pub error: f64,
    /// What the target of `adaptive` is multiplied with.
    pub factor: f32,
}

impl Audited {
    /// What they found so far, for the same tokens in another collection.
    pub(super) fn copied(&self) -> Self {
        let heads = self.heads.lock().clone();
        Self {
            heads: Mutex::new(heads),
        }
    }

    /// The factor of every head, or none where all are 1.
    pub(super) fn factors(&self) -> Vec<f32> {
        let heads = self.heads.lock();
        if heads.iter().all(|head| head.factor() >= 1.0) {
            return vec![];
        }
        heads.iter().map(Feedback::factor).collect()
    }

    /// Takes in the audit of every head of an answer that was made with `factors`, none for 1.
    pub(super) fn learn(&self, audits: &[Audit], mode: Mode, factors: &[f32]) {
        let target = |head: usize| match mode {
            Mode::Adaptive { target_error } => Some(Target {
                error: target_error,
                factor: factors.get(head).copied().unwrap_or(1.0),
            }),
            Mode::Exact | Mode::Budget(_) => None,
        };
        let mut heads = self.heads.lock();
        heads.resize(audits.len(), Feedback::default());
        for (index, (head, audit)) in heads.iter_mut().zip(audits).enumerate() {
            head.learn(audit, target(index));
        }
    }

    /// What they found so far of every head.
    pub(super) fn heads(&self) -> Vec<AuditedHead> {
        audited(&self.heads.lock()).collect()
    }

    /// What they found so far.
    pub(super) fn size(&self) -> AuditSize {
        let heads = self.heads.lock();
        let mut size = AuditSize::default();
        for (feedback, head) in heads.iter().zip(audited(&heads)) {
            size.audits = feedback.audits();
            size.squares += feedback.mean_square() * feedback.audits() as f64;
            size.heads += feedback.audits();
            size.worst = worse(size.worst, Some(head));
            if head.factor < 1.0 {
                size.raised.push(head);
            }
        }
        size
    }
}

fn audited(heads: &[Feedback]) -> impl Iterator<Item = AuditedHead> {
    heads.iter().zip(0..).map(|(feedback, head)| AuditedHead {
        layer: 0,
        head: KvHead(head),
        error: feedback.mean_square().max(0.0).sqrt(),
        factor: feedback.factor(),
    })
}

impl AuditSize {
    /// Root mean square relative error over answers and KV heads; 0 of none.
    pub fn error(&self) -> f64 {
        let mean = self.squares / self.heads.max(1) as f64;
        mean.max(0.0).sqrt()
    }

    /// Of both.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.audits += other.audits;
        self.squares += other.squares;
        self.heads += other.heads;
        self.worst = worse(self.worst, other.worst);
        self.raised.extend(other.raised);
        self
    }

    /// The same, of the layer at a place in the collection.
    #[must_use]
    pub fn of_layer(mut self, layer: u32) -> Self {
        for head in self.raised.iter_mut().chain(&mut self.worst) {
            head.layer = layer;
        }
        self
    }
}

fn worse(a: Option<AuditedHead>, b: Option<AuditedHead>) -> Option<AuditedHead> {
    match (a, b) {
        (Some(a), Some(b)) if b.error <= a.error => Some(a),
        (a, None) => a,
        (_, b) => b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(error: f64) -> Audit {
        Audit {
            square: error * error,
            ..Audit::default()
        }
    }

    #[test]
    fn a_head_that_is_over_its_target_is_raised_alone() {
        let audited = Audited::default();
        assert_eq!(audited.size(), AuditSize::default());
        let mode = Mode::adaptive(0.05).unwrap();
        for _ in 0..8 {
            audited.learn(&[audit(0.04), audit(0.2)], mode, &[]);
        }
        let factors = audited.factors();
        assert!(factors[0] >= 1.0 && factors[1] < 1.0, "{factors:?}");
        let size = audited.size().of_layer(3);
        assert_eq!((size.audits, size.raised.len()), (8, 1));
        assert_eq!(size.raised[0].head, KvHead(1));
        assert_eq!(size.worst.unwrap().layer, 3);
        assert!((size.worst.unwrap().error - 0.2).abs() < 1e-9);
        assert!((size.error() - 0.0208_f64.sqrt()).abs() < 1e-9);
        let twice = size.plus(audited.size());
        assert_eq!((twice.audits, twice.raised.len()), (16, 2));
    }

    #[test]
    fn only_adaptive_mode_is_changed_by_what_is_found() {
        let audited = Audited::default();
        for _ in 0..100 {
            audited.learn(&[audit(0.5)], Mode::RETROINFER, &[]);
        }
        assert!(audited.factors().is_empty());
        assert_eq!(audited.size().audits, 100);
    }
}
