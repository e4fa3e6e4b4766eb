//! What is logged, and how. `telemetry` checks the level: it knows the syntax.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

/// Table `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// "off", "error", "warn", "info", "debug" or "trace"; by target too, as in `"info,wavekv::service=debug"`.
    pub level: String,

    /// "text", or "json": one object a line.
    #[toml_example(enum)]
    pub format: LogFormat,
}

/// Form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}
