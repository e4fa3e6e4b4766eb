//! Verbs on snapshots. What makes one, or a collection of one, is a verb on collections.

use clap::{Args, Subcommand};

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
