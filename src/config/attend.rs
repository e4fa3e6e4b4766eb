//! How attention is answered by default.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;

/// Table `[attend]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct AttendSettings {
    /// Relative error of the output that the adaptive mode aims at: above 0 and below 1.
    pub target_error: f64,
}

impl Default for AttendSettings {
    fn default() -> Self {
        Self { target_error: 0.05 }
    }
}

impl AttendSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            self.target_error > 0.0 && self.target_error < 1.0,
            "attend.target_error",
            self.target_error,
            "a number above 0 and below 1",
        );
    }
}
