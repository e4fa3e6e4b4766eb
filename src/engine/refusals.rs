//! What is refused for want of memory or disk: told to the operator, who may make room, and not for every call.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Engine;
use crate::model::{Error, ErrorKind};

/// Between two that are told.
const PAUSE_MS: u64 = 10_000;

/// Those since the daemon's start.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Not told yet.
    untold: AtomicU64,
    /// When the next may be told, in milliseconds of the engine's time.
    next_ms: AtomicU64,
}

impl Refusals {
    /// Takes in one of this moment: how many there are to tell with it, where it is time for that.
    fn count(&self, now_ms: u64) -> Option<u64> {
        self.untold.fetch_add(1, Ordering::Relaxed);
        let next = self.next_ms.load(Ordering::Relaxed);
        let turn = now_ms >= next
            && self
                .next_ms
                .compare_exchange(
                    next,
                    now_ms + PAUSE_MS,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        turn.then(|| self.untold.swap(0, Ordering::Relaxed))
    }
}

impl Engine {
    /// The same; where there was no room, the log has it.
    pub(super) fn told_if_full<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| {
            if error.kind() != ErrorKind::ResourceExhausted {
                return;
            }
            let now = u64::try_from(self.clock.uptime().as_millis()).unwrap_or(u64::MAX);
            if let Some(refused) = self.refusals.count(now) {
                tracing::warn!(refused, last = %error, "refused for want of room");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_once_and_its_rest_with_the_next() {
        let refusals = Refusals::default();
        assert_eq!(refusals.count(5), Some(1));
        for _ in 0..99 {
            assert_eq!(refusals.count(6), None);
        }
        assert_eq!(refusals.count(5 + PAUSE_MS), Some(100));
    }
}
