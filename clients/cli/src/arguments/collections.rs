//! Verbs on collections.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use wavekv_client::wire;

use super::{Durability, IndexKind, Watch};
use crate::upload;

#[derive(Debug, Subcommand)]
pub(crate) enum CollectionsVerb {
    /// List collections
    Ls(Ls),
    /// Explain a collection: geometry, index, layers, tiers, clusters, the heads that are read most and least, who shares it
    Show(Show),
    /// Remove collections and all that they hold
    Rm(Several),
    /// Make a collection that begins with another's first tokens and shares them
    Fork(Fork),
    /// Bring K, V and codes into memory and keep them there, until they are unpinned or the daemon ends
    Pin(Several),
    /// Let K, V and codes that were pinned come and leave as they are used
    Unpin(Several),
    /// Bring K, V and codes into memory now, until others need the room more
    Promote(Several),
    /// Have K, V and codes leave memory now; unpins
    Demote(Several),
    /// Save a collection, as it is now, to a directory of its own in the daemon's directory of snapshots
    Snapshot(Save),
    /// Make a collection of a snapshot
    Restore(Restore),
    /// Write a collection's K and V to a file that others read, a row a token and KV head
    Export(Export),
    /// Read collections again and compare them with their checksums and the index with its tokens
    Verify(Verify),
}

/// One that is there.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Of the collection
    pub(crate) name: String,
    /// That it is in
    #[arg(long, default_value = "default")]
    pub(crate) namespace: String,
}

impl Named {
    pub(crate) fn reference(&self) -> wire::CollectionRef {
        upload::collection(&self.namespace, &self.name)
    }
}

/// Some that are there.
#[derive(Debug, Args)]
pub(crate) struct Several {
    /// Of the collections
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    /// That they are in
    #[arg(long, default_value = "default")]
    pub(crate) namespace: String,
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Of this namespace only; "*" for all
    #[arg(long, default_value = "default")]
    pub(crate) namespace: String,
    /// Names that begin with this only
    #[arg(long, default_value = "")]
    pub(crate) prefix: String,
    /// With this kind of index only
    #[arg(long, value_enum)]
    pub(crate) kind: Option<IndexKind>,
    /// Those that are not served only, because they are damaged
    #[arg(long)]
    pub(crate) refused: bool,
    /// Of so many tokens or more only
    #[arg(long, default_value_t = 0, value_name = "TOKENS")]
    pub(crate) min_tokens: u32,
    /// In this order, the smallest first
    #[arg(long, value_enum, default_value_t = Order::Name)]
    pub(crate) sort: Order,
    /// The largest first
    #[arg(long)]
    pub(crate) reverse: bool,
    #[command(flatten)]
    pub(crate) watch: Watch,
}

/// What collections are listed in order of; those that are alike in it, in order of name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Namespace and name
    Name,
    /// Fingerprint of the model
    Model,
    /// Tokens that every layer has
    Tokens,
    /// Layers
    Layers,
    /// K and V of all layers
    Bytes,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) collection: Named,
    #[command(flatten)]
    pub(crate) watch: Watch,
}

#[derive(Debug, Args)]
pub(crate) struct Fork {
    #[command(flatten)]
    pub(crate) source: Named,
    /// Of the fork, in the same namespace
    #[arg(value_name = "FORK")]
    pub(crate) called: String,
    /// How many of the source's tokens [default: all that every layer has]
    #[arg(long)]
    pub(crate) tokens: Option<u32>,
    /// What the fork's tokens outlive [default: what the source's do]
    #[arg(long, value_enum)]
    pub(crate) durability: Option<Durability>,
}

#[derive(Debug, Args)]
pub(crate) struct Save {
    #[command(flatten)]
    pub(crate) collection: Named,
    /// Of the snapshot: A-Z a-z 0-9 . _ -
    pub(crate) snapshot: String,
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

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) collection: Named,
    /// Of the file
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// The file to write; its user alone can read it
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// This layer only [default: all]
    #[arg(long)]
    pub(crate) layer: Option<u32>,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// An Arrow IPC file, to be mapped and read in place
    Arrow,
    /// A Parquet file
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Of the collection; all of them with --all
    #[arg(required_unless_present = "all")]
    pub(crate) name: Option<String>,
    /// All collections of all namespaces
    #[arg(long, conflicts_with = "name")]
    pub(crate) all: bool,
    /// That it is in
    #[arg(long, default_value = "default", conflicts_with = "all")]
    pub(crate) namespace: String,
}
