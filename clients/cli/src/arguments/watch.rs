//! The flag of those verbs that can be looked at again and again.

use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Show it again every so many seconds, until Ctrl-C: in the same place on a terminal, else one after the other
    #[arg(
        long = "watch",
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = seconds
    )]
    pub(crate) every: Option<Duration>,
}

/// A tenth of a second is as often as anybody can read.
pub(super) fn seconds(given: &str) -> Result<Duration, String> {
    let seconds = given.parse().ok();
    let seconds = seconds.filter(|seconds| (0.1..=86_400.0).contains(seconds));
    let seconds = seconds.map(Duration::from_secs_f64);
    seconds.ok_or_else(|| "expected a number of seconds, 0.1 to 86400".to_owned())
}
