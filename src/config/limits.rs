//! What is refused, beyond the limits that the contract documents.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;

/// Table `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Collections in the daemon: 1 to 16777216.
    pub max_collections: u32,

    /// Tokens of a layer of a collection: 1 to 1073741824.
    pub max_tokens_per_layer: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            max_collections: 65_536,
            max_tokens_per_layer: 16_777_216,
        }
    }
}

impl LimitSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range(
            "limits.max_collections",
            self.max_collections,
            &(1..=1 << 24),
        );
        checks.range(
            "limits.max_tokens_per_layer",
            self.max_tokens_per_layer,
            &(1..=1 << 30),
        );
    }
}
