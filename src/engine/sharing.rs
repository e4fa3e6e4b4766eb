//! Which bytes several collections have: the blocks and segments that forks share, and segments of the same content. Only
//! collections of one namespace share anything.

use std::collections::HashMap;
use std::sync::Arc;

use crate::collection::{Collection, Layer, Snapshot};
use crate::model::CollectionName;

/// How many layers have each piece.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// By where a piece is, which is the same for all that have it: its bytes, and how many layers have it.
    pieces: HashMap<usize, (u64, u64)>,
    /// Keeps the pieces where they are.
    _held: Vec<Snapshot>,
}

impl Sharing {
    /// Among these collections.
    pub(super) fn among<'a>(collections: impl Iterator<Item = &'a Collection>) -> Self {
        let layers = collections.flat_map(Collection::layers);
        let held: Vec<Snapshot> = layers.map(Layer::snapshot).collect();
        let mut pieces = HashMap::new();
        for (place, bytes) in held.iter().flat_map(Snapshot::pieces) {
            pieces.entry(place).or_insert((bytes, 0)).1 += 1;
        }
        Self {
            pieces,
            _held: held,
        }
    }

    /// Bytes of a layer that others have too.
    pub(super) fn of(&self, layer: &Snapshot) -> u64 {
        let shared = layer.pieces().filter(|(place, _)| {
            let known = self.pieces.get(place);
            known.is_some_and(|(_, layers)| *layers > 1)
        });
        shared.map(|(_, bytes)| bytes).sum()
    }

    /// Bytes that are counted more often than they are there.
    pub(super) fn repeated(&self) -> u64 {
        let pieces = self.pieces.values();
        pieces.map(|(bytes, layers)| bytes * (layers - 1)).sum()
    }
}

/// A collection that has pieces of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// Which.
    pub name: CollectionName,
    /// Bytes that both have.
    pub bytes: u64,
}

/// The collections of `all` that have pieces of one of them, those with the most first.
pub(super) fn sharers(of: &Collection, all: &[Arc<Collection>]) -> Vec<Sharer> {
    let snapshots = |collection: &Collection| -> Vec<Snapshot> {
        collection.layers().iter().map(Layer::snapshot).collect()
    };
    // Its pieces stay where they are for as long as this is held.
    let held = snapshots(of);
    let own: HashMap<usize, u64> = held.iter().flat_map(Snapshot::pieces).collect();
    let others = all
        .iter()
        .filter(|other| other.generation() != of.generation());
    let shared = others.filter_map(|other| {
        let theirs = snapshots(other);
        let both = theirs.iter().flat_map(Snapshot::pieces);
        let bytes = both.filter_map(|(place, _)| own.get(&place)).sum();
        (bytes > 0).then(|| Sharer {
            name: other.name().clone(),
            bytes,
        })
    });
    let mut shared: Vec<Sharer> = shared.collect();
    shared.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    shared
}
