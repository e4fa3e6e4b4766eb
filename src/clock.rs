//! The one place that reads the clock.
//!
//! A [`Clock`] is made once, by `main`, and given to whoever measures time: what only computes never sees one, so its
//! results cannot depend on when it ran.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock whose [`uptime`](Self::uptime) is zero now.
    pub fn start() -> Self {
        Self { started: read() }
    }

    /// Now. Never goes back, also when the machine's date is set.
    #[expect(
        clippy::unused_self,
        reason = "the right to read the clock is to have been given one"
    )]
    pub fn now(&self) -> Instant {
        read()
    }

    /// The machine's date, in milliseconds since 1970: for people to read, since it may be set.
    #[expect(
        clippy::unused_self,
        reason = "the right to read the clock is to have been given one"
    )]
    pub fn unix_ms(&self) -> u64 {
        let since = date().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Time since [`start`](Self::start).
    pub fn uptime(&self) -> Duration {
        self.now().saturating_duration_since(self.started)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn read() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn date() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_never_goes_back() {
        let clock = Clock::start();
        let (first, second) = (clock.uptime(), clock.uptime());
        assert!(first <= second);
        assert!(clock.now() >= clock.started);
    }
}
