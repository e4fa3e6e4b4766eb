//! How many threads compute.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;

/// Table `[compute]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct ComputeSettings {
    /// Threads that answer calls: 1 to 1024. 0: one for each core.
    pub threads: u32,

    /// Threads that cluster in the background, at a low priority: 1 to 256. 0: one for each core.
    pub background_threads: u32,
}

impl ComputeSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("compute.threads", self.threads, &(0..=1024));
        checks.range(
            "compute.background_threads",
            self.background_threads,
            &(0..=256),
        );
    }
}
