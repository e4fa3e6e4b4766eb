//! What of the collections outlives the daemon.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;

/// Table `[storage]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    /// What stored tokens outlive, where the creator of a collection does not say: "none" (nothing: it ends with the
    /// daemon), "process" (the daemon, however it ends) or "power" (a loss of power: every insert waits for the disk).
    #[toml_example(enum)]
    pub durability: Durability,

    /// Directory of snapshots, which is made when the first one is. On the file system of `data_dir`, a snapshot shares the
    /// files of segments; what is in it does not count in `disk.budget`. "": no snapshots.
    pub snapshot_dir: PathBuf,
}

impl StorageSettings {
    pub(super) fn check(&self, data_dir: &Path, checks: &mut Checks) {
        let own = ["", "catalog", "collections"].map(|folder| data_dir.join(folder));
        checks.require(
            self.snapshot_dir != own[0]
                && !own[1..]
                    .iter()
                    .any(|own| self.snapshot_dir.starts_with(own)),
            "storage.snapshot_dir",
            self.snapshot_dir.display(),
            "the path of a directory that has nothing else, or \"\" for no snapshots",
        );
    }
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing.
    None,
    /// It outlives the process.
    #[default]
    Process,
    /// It outlives a loss of power.
    Power,
}
