//! Telemetry: what the daemon says about itself: its log, the events of it that are kept, its metrics, and traces of its calls.
//!
//! Every room logs through `tracing`; this one decides where that goes: to standard error, as text or as one JSON
//! object a line, and to those who ask what happened ([`events`]). Metrics are declared in [`metrics`]; `grafana/` has a dashboard
//! of them.
//!
//! Must not know: any room but `config` and `clock`. Start at [`init`], then [`events`], [`metrics`] and [`traces`].

pub mod events;
pub mod metrics;
pub mod traces;

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub use self::events::EventLog;
use self::traces::Traces;
use crate::clock::Clock;
use crate::config::{LogFormat, LogSettings, TraceSettings};

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
    /// Spans cannot be sent there.
    #[error("setting trace.otlp_endpoint is {endpoint:?}: {source}")]
    Traces {
        /// The setting.
        endpoint: String,
        /// What is wrong with it.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The process has a log already.
    #[error("the log is set up twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Sends the log of this process to standard error, from now on, keeps its events, and sends spans where the settings say. Call
/// it within the runtime that is to carry these.
///
/// # Errors
/// [`TelemetryError`], when `log.level` is no filter, spans cannot be sent or the process has a log already.
pub fn init(
    log: &LogSettings,
    trace: &TraceSettings,
    clock: Clock,
) -> Result<(EventLog, Traces), TelemetryError> {
    let filter = filter(&log.level)?;
    let events = EventLog::new(clock);
    let to_stderr = layer()
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    let to_stderr = match log.format {
        LogFormat::Text => to_stderr.with_filter(filter).boxed(),
        LogFormat::Json => to_stderr.json().with_filter(filter).boxed(),
    };
    let refused = |source| TelemetryError::Traces {
        endpoint: trace.otlp_endpoint.clone(),
        source,
    };
    let (spans, traces) = if trace.otlp_endpoint.is_empty() {
        (None, Traces::none())
    } else {
        let (spans, traces) = traces::layer(trace).map_err(refused)?;
        (Some(spans), traces)
    };
    tracing_subscriber::registry()
        .with(to_stderr)
        .with(events.layer())
        .with(spans)
        .try_init()?;
    Ok((events, traces))
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
