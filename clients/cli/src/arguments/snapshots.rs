//! Verbs on snapshots.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    /// The collection
    pub(crate) collection: String,
    /// Of the snapshot: A-Z a-z 0-9 . _ -
    pub(crate) name: String,
    /// That the collection is in
    #[arg(long, default_value = "default")]
    pub(crate) namespace: String,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The snapshot
    pub(crate) snapshot: String,
    /// Of the collection [default: as it was called]
    pub(crate) name: Option<String>,
    /// That the collection is to be in [default: the one that it was in, or "default" when a name is given]
    #[arg(long, requires = "name")]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsVerb {
    /// List snapshots in order of name
    Ls,
    /// Remove snapshots; collections that were restored from them stay
    Rm(RmSnapshots),
}

#[derive(Debug, Args)]
pub(crate) struct RmSnapshots {
    /// Of the snapshots
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}
