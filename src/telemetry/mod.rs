//! Telemetry: what the daemon says about itself: its log and its metrics.
//!
//! Every room logs through `tracing`; this one decides where that goes: to standard error, as text or as one JSON
//! object a line. Metrics are declared in [`metrics`]; `grafana/` has a dashboard of them.
//!
//! Must not know: any room but `config` and `clock`. Start at [`init`], then [`metrics`].

pub mod metrics;

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

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

/// Sends the log of this process to standard error, from now on.
///
/// # Errors
/// [`TelemetryError`], when `log.level` is no filter or the process has a log already.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = filter(&settings.level)?;
    let log = SubscriberBuilder::default()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    match settings.format {
        LogFormat::Text => log.finish().try_init()?,
        LogFormat::Json => log.json().finish().try_init()?,
    }
    Ok(())
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
