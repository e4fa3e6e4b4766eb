//! What the daemon tells of itself that its engine does not know.

use crate::telemetry::EventLog;

/// Handed over by `main`.
#[derive(Debug)]
pub struct About {
    /// The settings that hold, as TOML.
    pub settings: String,
    /// Those of a daemon that nothing is set of.
    pub default_settings: String,
    /// What happened.
    pub events: EventLog,
}
