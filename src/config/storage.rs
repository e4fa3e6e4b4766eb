//! What of the collections outlives the daemon.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

/// Table `[storage]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    /// What stored tokens outlive, where the creator of a collection does not say: "none" (nothing: it ends with the
    /// daemon), "process" (the daemon, however it ends) or "power" (a loss of power: every insert waits for the disk).
    #[toml_example(enum)]
    pub durability: Durability,
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
