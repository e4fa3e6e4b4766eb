//! What is asked: a list of entries, at most 1024, each of one layer of one collection. The meaning of every field is that
//! of the message of the same name in `proto/wavekv/v1/data.proto`.

use super::field::{Malformed, encode, parse, record};
use crate::descriptor::Operation;
use crate::layout::Region;

/// The body of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Of [`Operation::Open`].
    Open(Vec<Open>),
    /// Of [`Operation::Insert`].
    Insert(Vec<Insert>),
    /// Of [`Operation::SegmentCluster`].
    SegmentCluster(Vec<SegmentCluster>),
    /// Of [`Operation::TopClusters`].
    TopClusters(Vec<TopClusters>),
    /// Of [`Operation::Estimate`].
    Estimate(Vec<Estimate>),
    /// Of [`Operation::Attend`].
    Attend(Vec<Attend>),
    /// Of [`Operation::Fetch`].
    Fetch(Vec<Fetch>),
}

impl Request {
    /// What the bytes of an operation's body say.
    ///
    /// # Errors
    /// [`Malformed`] when they are no body of it.
    pub fn parse(operation: Operation, body: &[u8]) -> Result<Self, Malformed> {
        Ok(match operation {
            Operation::Open => Self::Open(parse(body)?),
            Operation::Insert => Self::Insert(parse(body)?),
            Operation::SegmentCluster => Self::SegmentCluster(parse(body)?),
            Operation::TopClusters => Self::TopClusters(parse(body)?),
            Operation::Estimate => Self::Estimate(parse(body)?),
            Operation::Attend => Self::Attend(parse(body)?),
            Operation::Fetch => Self::Fetch(parse(body)?),
        })
    }

    /// The operation whose body it is.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Open(_) => Operation::Open,
            Self::Insert(_) => Operation::Insert,
            Self::SegmentCluster(_) => Operation::SegmentCluster,
            Self::TopClusters(_) => Operation::TopClusters,
            Self::Estimate(_) => Operation::Estimate,
            Self::Attend(_) => Operation::Attend,
            Self::Fetch(_) => Operation::Fetch,
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Open(entries) => encode(entries),
            Self::Insert(entries) => encode(entries),
            Self::SegmentCluster(entries) => encode(entries),
            Self::TopClusters(entries) => encode(entries),
            Self::Estimate(entries) => encode(entries),
            Self::Attend(entries) => encode(entries),
            Self::Fetch(entries) => encode(entries),
        }
    }

    /// How many entries it has.
    pub fn entries(&self) -> usize {
        match self {
            Self::Open(entries) => entries.len(),
            Self::Insert(entries) => entries.len(),
            Self::SegmentCluster(entries) => entries.len(),
            Self::TopClusters(entries) => entries.len(),
            Self::Estimate(entries) => entries.len(),
            Self::Attend(entries) => entries.len(),
            Self::Fetch(entries) => entries.len(),
        }
    }
}

record! {
    /// Gives a collection an id for this connection, in place of whatever had the id's slot.
    pub struct Open {
        /// Chosen by the client, not 0, and never used again for another name: its slot is the remainder by
        /// [`OPEN_COLLECTIONS`](crate::layout::OPEN_COLLECTIONS).
        pub id: u64,
        /// Empty for "default".
        pub namespace: String,
        /// Of the collection.
        pub name: String,
        /// Every call by this id is refused unless this generation bears the name.
        pub generation: Option<u64>,
    }

    /// One layer of one collection.
    pub struct Layer {
        /// The id that [`Open`] gave; 0 is none.
        pub collection: u64,
        /// Of it.
        pub layer: u32,
    }

    /// A tensor beside the body.
    pub struct Tensor {
        /// 1 (bf16), 2 (f16) or 3 (f32).
        pub dtype: u32,
        /// Sides, slowest first.
        pub shape: Vec<u32>,
        /// Its elements.
        pub data: Region,
    }

    /// K and V to append.
    pub struct Insert {
        /// Unset where it stands in an attend.
        pub layer: Option<Layer>,
        /// Of the first token.
        pub start_position: u32,
        /// `[tokens, kv_heads, head_dim]`.
        pub k: Option<Tensor>,
        /// `[tokens, kv_heads, value_dim]`.
        pub v: Option<Tensor>,
    }

    /// A layer whose tail is to be clustered.
    pub struct SegmentCluster {
        /// Which.
        pub layer: Option<Layer>,
    }

    /// Clusters to be ranked.
    pub struct TopClusters {
        /// Where.
        pub layer: Option<Layer>,
        /// `[1, q_heads, head_dim]`.
        pub q: Option<Tensor>,
        /// Of the query token; unset for the layer's last.
        pub position: Option<u32>,
        /// Clusters a KV head.
        pub limit: u32,
        /// Also K, V and positions.
        pub with_payload: bool,
    }

    /// The name of a cluster.
    pub struct Cluster {
        /// Its segment.
        pub segment: u64,
        /// Its KV head.
        pub kv_head: u32,
        /// Its number there.
        pub number: u32,
    }

    /// An estimate of all clusters but some.
    pub struct Estimate {
        /// Where.
        pub layer: Option<Layer>,
        /// `[1, q_heads, head_dim]`.
        pub q: Option<Tensor>,
        /// Of the query token; unset for the layer's last.
        pub position: Option<u32>,
        /// The clusters that the caller computes itself.
        pub retrieved: Vec<Cluster>,
    }

    /// How much is computed exactly.
    pub struct Mode {
        /// One of [`mode`].
        pub kind: u32,
        /// `retrieve_share` of budget, `target_error` of adaptive.
        pub first: f32,
        /// `estimate_share` of budget, where it is set.
        pub second: f32,
    }

    /// Attention, after an insert where there is one.
    pub struct Attend {
        /// Where.
        pub layer: Option<Layer>,
        /// `[tokens, q_heads, head_dim]`.
        pub q: Option<Tensor>,
        /// Of each query token; empty for the layer's last.
        pub positions: Vec<u32>,
        /// How.
        pub mode: Mode,
        /// Whether the error is to be measured.
        pub audit: bool,
        /// K and V to insert first.
        pub insert: Option<Insert>,
    }

    /// What of a layer is fetched.
    pub struct What {
        /// One of [`what`].
        pub kind: u32,
        /// Of a range.
        pub start: u32,
        /// Of a range: the first token after it.
        pub end: u32,
        /// Of a cluster.
        pub cluster: Cluster,
    }

    /// Stored K and V.
    pub struct Fetch {
        /// Where.
        pub layer: Option<Layer>,
        /// Which.
        pub what: What,
    }
}

/// [`Mode::kind`].
pub mod mode {
    /// The daemon's default.
    pub const UNSET: u32 = 0;
    /// Everything.
    pub const EXACT: u32 = 1;
    /// A share, and all the rest estimated.
    pub const BUDGET: u32 = 2;
    /// As much as it takes.
    pub const ADAPTIVE: u32 = 3;
    /// The rule of the paper.
    pub const RETROINFER: u32 = 4;
    /// A share, and a share of the rest estimated.
    pub const BUDGET_WITH_SHARE: u32 = 5;
}

/// [`What::kind`].
pub mod what {
    /// Nothing: refused.
    pub const UNSET: u32 = 0;
    /// Tokens by position.
    pub const RANGE: u32 = 1;
    /// One cluster.
    pub const CLUSTER: u32 = 2;
}
