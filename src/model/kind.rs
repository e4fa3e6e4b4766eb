//! What finds the tokens that matter to a query; chosen when a collection is created.

use std::fmt;

/// The kinds of index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Clusters: the few that matter exactly, the others from their statistics.
    Wave,
    /// Nothing: every answer reads everything.
    Flat,
    /// FAISS inverted lists for each KV head of a segment: what they find exactly, the rest not at all.
    Ivf,
    /// A FAISS graph (hierarchical navigable small world) for each KV head of a segment: the same.
    Hnsw,
}

impl IndexKind {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 4] = [Self::Wave, Self::Flat, Self::Ivf, Self::Hnsw];

    /// As it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wave => "wave",
            Self::Flat => "flat",
            Self::Ivf => "ivf",
            Self::Hnsw => "hnsw",
        }
    }

    /// Whether tokens go into segments at all.
    pub fn has_segments(self) -> bool {
        self != Self::Flat
    }

    /// Whether the tokens of a segment are in clusters, to be ranked and estimated; else they are searched.
    pub fn has_clusters(self) -> bool {
        self == Self::Wave
    }
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
