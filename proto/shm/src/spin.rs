//! How long a side looks at its ring before it sleeps.

use std::time::{Duration, Instant};

/// Looks between two looks at the clock.
const LOOKS: u32 = 16;

/// A time of looking, from its making on.
#[derive(Debug)]
pub struct Spin {
    until: Option<Instant>,
    looks: u32,
}

impl Spin {
    /// For so long; not at all when it is zero.
    pub fn lasting(time: Duration) -> Self {
        let until = (!time.is_zero()).then(|| now().checked_add(time)).flatten();
        Self { until, looks: 0 }
    }

    /// Waits a moment; false when the time is over.
    pub fn again(&mut self) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        std::hint::spin_loop();
        self.looks = self.looks.wrapping_add(1);
        !self.looks.is_multiple_of(LOOKS) || now() < until
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to look is a matter of both sides, and of no collection"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_no_look_and_some_time_ends() {
        assert!(!Spin::lasting(Duration::ZERO).again());
        let mut spin = Spin::lasting(Duration::from_micros(50));
        assert!(spin.again());
        while spin.again() {}
    }
}
