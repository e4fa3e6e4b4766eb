//! A collection in a daemon, and the calls that every promise makes on its first layer.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use wavekv_client::{Client, ClientError, wire};

use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Sequence, Shape};

/// Segments small enough that a few hundred tokens cross every threshold: sink, window, decode segments, full ones.
pub(crate) const SMALL_INDEX: wire::IndexParameters = wire::IndexParameters {
    kind: 0,
    sink_tokens: Some(3),
    recent_tokens: Some(20),
    segment_tokens: Some(128),
    decode_segment_tokens: Some(32),
    cluster_tokens: Some(8),
    kmeans_iterations: None,
    seed: None,
};

/// The name of a collection and the connection to its daemon.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub(crate) client: Client,
    pub(crate) name: wire::CollectionRef,
}

impl Collection {
    /// A name that no other test takes.
    pub(crate) fn unmade(client: &Client) -> Self {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        Self {
            client: client.clone(),
            name: named(&format!("collection-{number}")),
        }
    }

    /// Makes one with a single layer of `shape` and [`SMALL_INDEX`].
    pub(crate) async fn create(client: &Client, shape: Shape) -> Self {
        let collection = Self::unmade(client);
        collection.make(shape, SMALL_INDEX).await;
        collection
    }

    /// The same with another kind of index.
    pub(crate) async fn create_as(client: &Client, shape: Shape, kind: wire::IndexKind) -> Self {
        let collection = Self::unmade(client);
        let index = wire::IndexParameters {
            kind: kind.into(),
            ..SMALL_INDEX
        };
        collection.make(shape, index).await;
        collection
    }

    /// Makes one whose tokens outlive as much as it says.
    pub(crate) async fn create_lasting(
        client: &Client,
        shape: Shape,
        durability: wire::Durability,
    ) -> Self {
        let collection = Self::unmade(client);
        let request = wire::CreateRequest {
            durability: durability.into(),
            ..collection.request(shape, SMALL_INDEX)
        };
        client.create(request).await.unwrap();
        collection
    }

    /// The same collection by another connection.
    pub(crate) fn on(&self, client: &Client) -> Self {
        Self {
            client: client.clone(),
            name: self.name.clone(),
        }
    }

    /// Another that begins with its first tokens; all of them when no length is given.
    pub(crate) async fn fork(&self, length: Option<u32>) -> Self {
        self.fork_lasting(length, wire::Durability::Unspecified)
            .await
    }

    /// The same with a durability of its own.
    pub(crate) async fn fork_lasting(
        &self,
        length: Option<u32>,
        durability: wire::Durability,
    ) -> Self {
        let fork = Self::unmade(&self.client);
        let request = wire::ForkRequest {
            collection: Some(self.name.clone()),
            name: fork.name.name.clone(),
            length,
            durability: durability.into(),
        };
        self.client.fork(request).await.unwrap();
        fork
    }

    /// Makes it under its name, which must be free; the description says its generation.
    pub(crate) async fn make(
        &self,
        shape: Shape,
        index: wire::IndexParameters,
    ) -> wire::CollectionDescription {
        let request = self.request(shape, index);
        self.client.create(request).await.unwrap()
    }

    /// What makes it with a single layer.
    pub(crate) fn request(
        &self,
        shape: Shape,
        index: wire::IndexParameters,
    ) -> wire::CreateRequest {
        wire::CreateRequest {
            collection: Some(self.name.clone()),
            geometry: Some(shape.geometry(1)),
            index: Some(index),
            ..Default::default()
        }
    }

    /// Its first layer.
    pub(crate) fn layer(&self) -> wire::LayerRef {
        wire::LayerRef {
            collection: Some(self.name.clone()),
            layer: 0,
        }
    }

    /// K and V of a range of tokens of `sequence`, for the first layer.
    pub(crate) fn entry(&self, sequence: &Sequence, range: Range<usize>) -> wire::InsertEntry {
        wire::InsertEntry {
            layer: Some(self.layer()),
            ..sequence.entry(range)
        }
    }

    /// Inserts them; an empty range is no call.
    pub(crate) async fn insert(&self, sequence: &Sequence, range: Range<usize>) {
        if !range.is_empty() {
            let entry = self.entry(sequence, range);
            self.client.insert_one(entry).await.unwrap();
        }
    }

    /// Inserts pieces of a size from `start` on until one is refused: the tokens that are stored, and why no more are.
    pub(crate) async fn fill(
        &self,
        sequence: &Sequence,
        start: usize,
        piece: usize,
    ) -> (usize, ClientError) {
        let mut stored = start;
        loop {
            assert!(stored + piece <= sequence.tokens, "{stored} tokens fit");
            let entry = self.entry(sequence, stored..stored + piece);
            match self.client.insert_one(entry).await {
                Ok(inserted) => stored = inserted.length as usize,
                Err(full) => return (stored, full),
            }
        }
    }

    /// What is in memory of it, and what was done with its blocks.
    pub(crate) async fn residence(&self) -> wire::ResidenceStats {
        let stats = self.client.stats(Some(self.name.clone())).await.unwrap();
        stats.residence.unwrap()
    }

    /// Clusters the tail now.
    pub(crate) async fn cluster(&self) -> wire::SegmentClusterOutcome {
        self.client.segment_cluster_one(self.layer()).await.unwrap()
    }

    /// Waits until the daemon has clustered what it wants to.
    pub(crate) async fn settle(&self) {
        // Longer than any clustering takes, however busy the machine.
        let settled = async || (self.waiting().await == 0).then_some(());
        let settled = until(2 * A_MINUTE, settled).await;
        assert!(settled.is_some(), "the daemon does not finish clustering");
    }

    /// Layers of the daemon that wait for clustering.
    pub(crate) async fn waiting(&self) -> u64 {
        let stats = self.client.stats(None).await.unwrap();
        stats.clustering.unwrap().layers_waiting
    }

    /// Asks with the queries of some tokens, each at its own position.
    pub(crate) fn question(
        &self,
        sequence: &Sequence,
        tokens: &[u32],
        mode: wire::AttendMode,
    ) -> wire::AttendEntry {
        wire::AttendEntry {
            layer: Some(self.layer()),
            q: Some(sequence.queries(tokens)),
            positions: tokens.to_vec(),
            mode: Some(mode),
            insert: None,
            audit: false,
        }
    }

    /// The answer to [`Collection::question`].
    pub(crate) async fn attend(
        &self,
        sequence: &Sequence,
        tokens: &[u32],
        mode: wire::AttendMode,
    ) -> wire::AttendOutcome {
        let question = self.question(sequence, tokens, mode);
        self.client.attend_one(question).await.unwrap()
    }

    /// The stored K and V of a range of tokens, or why there are none.
    pub(crate) async fn fetch(&self, range: Range<u32>) -> Result<wire::FetchOutcome, ClientError> {
        let range = wire::TokenRange {
            start: range.start,
            end: range.end,
        };
        let entry = wire::FetchEntry {
            layer: Some(self.layer()),
            what: Some(wire::fetch_entry::What::Range(range)),
        };
        self.client.fetch_one(entry).await
    }

    /// Asserts that the first `tokens` tokens are those of the sequence.
    pub(crate) async fn assert_has(&self, sequence: &Sequence, tokens: usize) {
        if tokens > 0 {
            let fetched = self.fetch(0..tokens as u32).await.unwrap();
            assert!(sequence.equals(0..tokens, &fetched), "of {tokens} tokens");
        }
    }

    /// Its tokens.
    pub(crate) async fn length(&self) -> usize {
        let described = self.client.get(self.name.clone()).await;
        described.unwrap().length as usize
    }

    pub(crate) async fn delete(&self) {
        self.client.delete(self.name.clone()).await.unwrap();
    }
}

/// Names a collection of the default namespace.
pub(crate) fn named(name: &str) -> wire::CollectionRef {
    wire::CollectionRef {
        name: name.to_owned(),
        ..Default::default()
    }
}
