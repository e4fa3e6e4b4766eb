//! How much memory the daemon may use.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;
use super::notation;

/// Table `[memory]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Memory for K, V and the index of all collections together: at least "16MiB". Where there is no more, K, V and codes of
    /// segments that are on disk leave; what does not fit even so is refused.
    #[serde(with = "notation::size")]
    pub budget: ByteSize,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            budget: ByteSize::gib(4),
        }
    }
}

impl MemorySettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            self.budget >= ByteSize::mib(16),
            "memory.budget",
            notation::exact(self.budget),
            "16MiB or more",
        );
    }
}
