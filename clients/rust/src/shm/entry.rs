//! From messages to bytes: what each entry of a batch puts into the arena, and how long its answer may be.

use tonic::codegen::Bytes;
use wavekv_shm::body::{self, Field, Opened, mode, what};
use wavekv_shm::{Memory, Operation, Region};

use super::outcome;
use crate::{ClientError, wire};

/// Tensors begin at a line of a cache.
const ALIGNMENT: u64 = 64;
/// Of a token's position.
const POSITION_BYTES: u64 = 5;
/// Of a KV head, and of a cluster, of a ranking.
const HEAD_BYTES: u64 = 12;
const CLUSTER_BYTES: u64 = 48;
/// Beyond that, of a cluster's payload without its tokens.
const PAYLOAD_BYTES: u64 = 72;
/// Of a cluster, as many as a collection's parameters make it have, or more.
const CLUSTER_TOKENS: u64 = 128;

/// The tensors of a call, one after the other from the beginning of its block on.
#[derive(Debug)]
pub(crate) struct Tensors {
    /// Of the block, in the arena.
    start: u64,
    used: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Tensors {
    pub(super) fn at(start: u64) -> Self {
        Self {
            start,
            used: 0,
            parts: Vec::new(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// What is to be written, and where from the beginning of the block.
    pub(super) fn parts(&self) -> &[(u64, Bytes)] {
        &self.parts
    }

    fn put(&mut self, tensor: Option<&wire::Tensor>) -> Option<body::Tensor> {
        let tensor = tensor?;
        let at = self.used;
        let bytes = tensor.data.len() as u64;
        self.used += bytes.next_multiple_of(ALIGNMENT);
        self.parts.push((at, tensor.data.clone()));
        Some(body::Tensor {
            dtype: tensor.dtype.cast_unsigned(),
            shape: tensor.shape.clone(),
            data: Region {
                offset: self.start + at,
                bytes,
            },
        })
    }
}

/// An entry of a batch, as it crosses shared memory.
pub(crate) trait Entry {
    /// As it is asked.
    type Body: Field;
    /// As it is answered.
    type Answer: Field;
    /// The answer's message.
    type Outcome;
    /// What it is an entry of.
    const OPERATION: Operation;

    /// The layer that it is of.
    fn layer(&self) -> Option<&wire::LayerRef>;

    /// As it is asked, of the collection with an id.
    fn pack(&self, collection: u64, tensors: &mut Tensors) -> Self::Body;

    /// Bytes of the answer beyond 512, of an arena of `most`.
    fn answer_bytes(&self, opened: &Opened, most: u64) -> u64;

    /// The message of an answer.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when it names what is not in the arena.
    fn outcome(answer: Self::Answer, memory: &Memory) -> Result<Self::Outcome, ClientError>;
}

/// The collection that an entry names.
pub(super) fn name_of<E: Entry>(entry: &E) -> Option<&wire::CollectionRef> {
    entry.layer()?.collection.as_ref()
}

fn layer(given: Option<&wire::LayerRef>, collection: u64) -> Option<body::Layer> {
    given.map(|given| body::Layer {
        collection,
        layer: given.layer,
    })
}

fn cluster(given: &wire::ClusterRef) -> body::Cluster {
    body::Cluster {
        segment: given.segment,
        kv_head: given.kv_head,
        number: given.cluster,
    }
}

/// K and V of a token of one KV head, with its position.
fn token_bytes(opened: &Opened) -> u64 {
    let size = if opened.dtype == 3 { 4 } else { 2 };
    (u64::from(opened.head_dim) + u64::from(opened.value_dim)) * size + POSITION_BYTES
}

impl Entry for wire::InsertEntry {
    type Body = body::Insert;
    type Answer = body::Inserted;
    type Outcome = wire::InsertOutcome;
    const OPERATION: Operation = Operation::Insert;

    fn layer(&self) -> Option<&wire::LayerRef> {
        self.layer.as_ref()
    }

    fn pack(&self, collection: u64, tensors: &mut Tensors) -> body::Insert {
        body::Insert {
            layer: layer(self.layer.as_ref(), collection),
            start_position: self.start_position,
            k: tensors.put(self.k.as_ref()),
            v: tensors.put(self.v.as_ref()),
        }
    }

    fn answer_bytes(&self, _: &Opened, _: u64) -> u64 {
        0
    }

    fn outcome(answer: body::Inserted, _: &Memory) -> Result<wire::InsertOutcome, ClientError> {
        Ok(wire::InsertOutcome {
            generation: answer.generation,
            length: answer.length,
            already_stored: answer.already_stored,
        })
    }
}

impl Entry for wire::LayerRef {
    type Body = body::SegmentCluster;
    type Answer = body::Clustered;
    type Outcome = wire::SegmentClusterOutcome;
    const OPERATION: Operation = Operation::SegmentCluster;

    fn layer(&self) -> Option<&wire::LayerRef> {
        Some(self)
    }

    fn pack(&self, collection: u64, _: &mut Tensors) -> body::SegmentCluster {
        body::SegmentCluster {
            layer: layer(Some(self), collection),
        }
    }

    fn answer_bytes(&self, _: &Opened, _: u64) -> u64 {
        0
    }

    fn outcome(
        answer: body::Clustered,
        _: &Memory,
    ) -> Result<wire::SegmentClusterOutcome, ClientError> {
        Ok(wire::SegmentClusterOutcome {
            generation: answer.generation,
            segments: answer.segments,
            clusters: answer.clusters,
            steady: outcome::ranges(&answer.steady),
        })
    }
}

impl Entry for wire::TopClustersEntry {
    type Body = body::TopClusters;
    type Answer = body::Ranked;
    type Outcome = wire::TopClustersOutcome;
    const OPERATION: Operation = Operation::TopClusters;

    fn layer(&self) -> Option<&wire::LayerRef> {
        self.layer.as_ref()
    }

    fn pack(&self, collection: u64, tensors: &mut Tensors) -> body::TopClusters {
        body::TopClusters {
            layer: layer(self.layer.as_ref(), collection),
            q: tensors.put(self.q.as_ref()),
            position: self.position,
            limit: self.limit,
            with_payload: self.with_payload,
        }
    }

    fn answer_bytes(&self, opened: &Opened, most: u64) -> u64 {
        let clusters = u64::from(opened.kv_heads) * u64::from(self.limit.min(4096));
        let bare = u64::from(opened.kv_heads) * HEAD_BYTES + clusters * CLUSTER_BYTES;
        if !self.with_payload {
            return bare;
        }
        // How many tokens they have, the daemon alone knows; it refuses what does not fit.
        let payload = PAYLOAD_BYTES + CLUSTER_TOKENS * token_bytes(opened);
        (bare + clusters * payload).min(most / 2)
    }

    fn outcome(answer: body::Ranked, memory: &Memory) -> Result<Self::Outcome, ClientError> {
        outcome::ranked(answer, memory)
    }
}

impl Entry for wire::EstimateEntry {
    type Body = body::Estimate;
    type Answer = body::Estimated;
    type Outcome = wire::PartialOutcome;
    const OPERATION: Operation = Operation::Estimate;

    fn layer(&self) -> Option<&wire::LayerRef> {
        self.layer.as_ref()
    }

    fn pack(&self, collection: u64, tensors: &mut Tensors) -> body::Estimate {
        body::Estimate {
            layer: layer(self.layer.as_ref(), collection),
            q: tensors.put(self.q.as_ref()),
            position: self.position,
            retrieved: self.retrieved.iter().map(cluster).collect(),
        }
    }

    fn answer_bytes(&self, opened: &Opened, _: u64) -> u64 {
        u64::from(opened.q_heads) * (u64::from(opened.value_dim) + 1) * 4
    }

    fn outcome(answer: body::Estimated, memory: &Memory) -> Result<Self::Outcome, ClientError> {
        Ok(wire::PartialOutcome {
            generation: answer.generation,
            out: Some(outcome::tensor(answer.out, memory)?),
            lse: Some(outcome::tensor(answer.lse, memory)?),
        })
    }
}

impl Entry for wire::AttendEntry {
    type Body = body::Attend;
    type Answer = body::Attended;
    type Outcome = wire::AttendOutcome;
    const OPERATION: Operation = Operation::Attend;

    fn layer(&self) -> Option<&wire::LayerRef> {
        self.layer.as_ref()
    }

    fn pack(&self, collection: u64, tensors: &mut Tensors) -> body::Attend {
        body::Attend {
            layer: layer(self.layer.as_ref(), collection),
            q: tensors.put(self.q.as_ref()),
            positions: self.positions.clone(),
            mode: attend_mode(self.mode.as_ref()),
            audit: self.audit,
            insert: self
                .insert
                .as_ref()
                .map(|insert| insert.pack(collection, tensors)),
        }
    }

    fn answer_bytes(&self, opened: &Opened, _: u64) -> u64 {
        // As many tokens as there are bytes for, whatever the shape says: else it is refused.
        let bytes = self.q.as_ref().map_or(0, |q| q.data.len() as u64);
        let token = u64::from(opened.q_heads) * u64::from(opened.head_dim);
        let said = self.q.as_ref().and_then(|q| q.shape.first().copied());
        let tokens = (bytes / 2 / token.max(1)).min(said.unwrap_or(0).into());
        tokens * u64::from(opened.q_heads) * (u64::from(opened.value_dim) + 3) * 4
    }

    fn outcome(answer: body::Attended, memory: &Memory) -> Result<Self::Outcome, ClientError> {
        outcome::attended(answer, memory)
    }
}

impl Entry for wire::FetchEntry {
    type Body = body::Fetch;
    type Answer = body::Fetched;
    type Outcome = wire::FetchOutcome;
    const OPERATION: Operation = Operation::Fetch;

    fn layer(&self) -> Option<&wire::LayerRef> {
        self.layer.as_ref()
    }

    fn pack(&self, collection: u64, _: &mut Tensors) -> body::Fetch {
        let what = match &self.what {
            None => body::What::default(),
            Some(wire::fetch_entry::What::Range(range)) => body::What {
                kind: what::RANGE,
                start: range.start,
                end: range.end,
                ..Default::default()
            },
            Some(wire::fetch_entry::What::Cluster(given)) => body::What {
                kind: what::CLUSTER,
                cluster: cluster(given),
                ..Default::default()
            },
        };
        body::Fetch {
            layer: layer(self.layer.as_ref(), collection),
            what,
        }
    }

    fn answer_bytes(&self, opened: &Opened, most: u64) -> u64 {
        match &self.what {
            None => 0,
            Some(wire::fetch_entry::What::Range(range)) => {
                let tokens = range.end.saturating_sub(range.start).min(65_536);
                u64::from(tokens) * u64::from(opened.kv_heads) * token_bytes(opened)
            }
            Some(wire::fetch_entry::What::Cluster(_)) => {
                (CLUSTER_TOKENS * token_bytes(opened)).min(most / 2)
            }
        }
    }

    fn outcome(answer: body::Fetched, memory: &Memory) -> Result<Self::Outcome, ClientError> {
        Ok(wire::FetchOutcome {
            generation: answer.generation,
            positions: answer.positions,
            k: Some(outcome::tensor(answer.k, memory)?),
            v: Some(outcome::tensor(answer.v, memory)?),
        })
    }
}

fn attend_mode(given: Option<&wire::AttendMode>) -> body::Mode {
    use wire::attend_mode::Mode;
    /// None that there is: the daemon says so.
    const NONE: u32 = u32::MAX;
    let (kind, first, second) = match given.map(|given| given.mode) {
        None => (mode::UNSET, 0.0, 0.0),
        Some(None) => (NONE, 0.0, 0.0),
        Some(Some(Mode::Exact(_))) => (mode::EXACT, 0.0, 0.0),
        Some(Some(Mode::Budget(budget))) => match budget.estimate_share {
            None => (mode::BUDGET, budget.retrieve_share, 0.0),
            Some(share) => (mode::BUDGET_WITH_SHARE, budget.retrieve_share, share),
        },
        Some(Some(Mode::Adaptive(adaptive))) => (mode::ADAPTIVE, adaptive.target_error, 0.0),
        Some(Some(Mode::Retroinfer(_))) => (mode::RETROINFER, 0.0, 0.0),
    };
    body::Mode {
        kind,
        first,
        second,
    }
}
