//! How often the daemon measures the error of its own answers.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;

/// Table `[audit]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// Share of the answers whose error is measured after they are given, without being asked, at one of their query tokens:
    /// 0 to 1. Those in exact mode have none. What is found is in the statistics, and lowers the target of heads that are
    /// over it. An audit reads some 40 % of the bytes of an exact answer.
    pub share: f64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { share: 0.001 }
    }
}

impl AuditSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("audit.share", self.share, &(0.0..=1.0));
    }
}
