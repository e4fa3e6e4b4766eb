//! Whether the daemon is well, and if not, why: one answer for gRPC and HTTP. What is not well while the daemon serves is the
//! engine's to know; whether it serves, this room's.

use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::Engine;
use crate::engine::health::Trouble;
use crate::model::Error;

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It opens what the last process left.
    Opening,
    Serving,
    Stopping,
}

/// What a reason means for those who call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// They are answered; some are refused, or will be.
    Degraded,
    /// They are not.
    Unavailable,
}

impl Severity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why not all is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) severity: Severity,
    /// For programs.
    pub(super) code: &'static str,
    /// For people.
    pub(super) sentence: String,
}

/// Who is asked; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Health {
    engine: Arc<Engine>,
    phase: watch::Receiver<Phase>,
}

impl Health {
    pub(super) fn new(engine: Arc<Engine>, phase: watch::Receiver<Phase>) -> Self {
        Self { engine, phase }
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Why no call is answered, if none is. Waits for nothing.
    pub(super) fn unavailable(&self) -> Option<Reason> {
        let (code, sentence) = match *self.phase.borrow() {
            Phase::Serving => return None,
            Phase::Opening => {
                let (opened, all) = self.engine.opened_of();
                let sentence =
                    format!("the daemon is opening its collections: {opened} of {all} are open");
                ("recovering", sentence)
            }
            Phase::Stopping => ("stopping", "the daemon is stopping".to_owned()),
        };
        Some(Reason {
            severity: Severity::Unavailable,
            code,
            sentence,
        })
    }

    /// Everything that is not well, the worst first.
    ///
    /// # Errors
    /// `Internal` only: a broken promise of our own code.
    pub(super) async fn reasons(&self) -> Result<Vec<Reason>, Error> {
        let engine = Arc::clone(&self.engine);
        // It may wait for the file system, but not for the compute pool: a daemon that has much to do is well.
        let troubles = tokio::task::spawn_blocking(move || engine.troubles());
        let troubles = troubles.await.map_err(Error::internal)?;
        let degraded = troubles.iter().map(Reason::of);
        Ok(self.unavailable().into_iter().chain(degraded).collect())
    }
}

impl Reason {
    fn of(trouble: &Trouble) -> Self {
        Self {
            severity: Severity::Degraded,
            code: trouble.code(),
            sentence: trouble.to_string(),
        }
    }
}

/// What is worst of some reasons.
pub(super) fn worst(reasons: &[Reason]) -> Option<Severity> {
    // They stand in that order.
    reasons.first().map(|reason| reason.severity)
}
