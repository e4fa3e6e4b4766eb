//! Telemetry: what the daemon says about itself: its log, the events of it that are kept, and its metrics.
//!
//! Every room logs through `tracing`; this one decides where that goes: to standard error, as text or as one JSON
//! object a line, and to those who ask what happened ([`events`]). Metrics are declared in [`metrics`]; `grafana/` has a dashboard
//! of them.
//!
//! Must not know: any room but `config` and `clock`. Start at [`init`], then [`events`] and [`metrics`].

pub mod events;
pub mod metrics;

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub use self::events::EventLog;
use crate::clock::Clock;
use crate::config::{LogFormat, LogSettings};

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error(
        "setting log.level is {level:?}: expected a level such as \"info\", or directives such as \"info,wavekv=debug\": {source}"
    )]
    Level {
        /// The setting.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A directive of `log.level` is a bare word that is no level. The filter's own syntax takes it for a target, and a
    /// misspelt level would then silence the log.
    #[error(
        "setting log.level is {level:?}: {word:?} is no level, expected off, error, warn, info, debug, trace or \
         target=level"
    )]
    Word {
        /// The setting.
        level: String,
        /// The directive.
        word: String,
    },
    /// A metric is not declared as it should be: a bug.
    #[error("the metrics are not declared: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The process has a log already.
    #[error("the log is set up twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Sends the log of this process to standard error, from now on, and keeps its events.
///
/// # Errors
/// [`TelemetryError`], when `log.level` is no filter or the process has a log already.
pub fn init(settings: &LogSettings, clock: Clock) -> Result<EventLog, TelemetryError> {
    let filter = filter(&settings.level)?;
    let events = EventLog::new(clock);
    let log = layer()
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    let log = match settings.format {
        LogFormat::Text => log.with_filter(filter).boxed(),
        LogFormat::Json => log.json().with_filter(filter).boxed(),
    };
    let both = tracing_subscriber::registry()
        .with(log)
        .with(events.layer());
    both.try_init()?;
    Ok(events)
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    // With brackets a comma may stand inside a directive.
    let words = level.split(',').filter(|_| !level.contains('['));
    for word in words.map(str::trim).filter(|word| !word.is_empty()) {
        if !word.contains('=') && !is_level(word) {
            return Err(TelemetryError::Word {
                level: level.to_owned(),
                word: word.to_owned(),
            });
        }
    }
    EnvFilter::try_new(level).map_err(|source| TelemetryError::Level {
        level: level.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_levels_and_directives() {
        for level in [
            "info",
            "WARN",
            "info,wavekv=debug",
            "off",
            "info,wavekv[call{id=1}]=trace",
        ] {
            filter(level).unwrap();
        }
    }

    #[test]
    fn a_bad_filter_names_the_setting_and_the_word() {
        for (level, word) in [
            ("inof", "inof"),
            ("info,wavekv=loud", "loud"),
            ("a=b=c", "a=b=c"),
        ] {
            let sentence = filter(level).unwrap_err().to_string();
            assert!(
                sentence.contains("log.level") && sentence.contains(word),
                "{sentence}"
            );
        }
    }
}
