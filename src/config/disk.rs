//! How much of the disk the daemon may use.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;
use super::notation;

/// Table `[disk]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct DiskSettings {
    /// What all collections together may store in the data directory: at least "1MiB", or 0 for no limit. What does not fit
    /// is refused, unless collections that are expendable can be deleted for it. The catalog's log and tables need up to
    /// 256 MiB beside it.
    #[serde(with = "notation::size")]
    pub budget: ByteSize,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            budget: ByteSize::b(0),
        }
    }
}

impl DiskSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            self.budget == ByteSize::b(0) || self.budget >= ByteSize::mib(1),
            "disk.budget",
            notation::exact(self.budget),
            "1MiB or more, or 0 for no limit",
        );
    }
}
