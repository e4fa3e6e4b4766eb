//! One layer of a collection: steady tokens, sealed segments, and the swap between them.
//!
//! The state is behind a lock that is held for a few pointer copies, never across a kernel. A query takes a snapshot
//! and keeps it; writers (insert, truncate) take turns by a second lock; the background build works on a snapshot and
//! swaps its segment in only if no truncation came in between.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};
use wavekv_storage::store::StoredLayer;

use crate::collection::Fixed;
use crate::collection::audited::{AuditSize, Audited, AuditedHead};
use crate::collection::steady::Steady;
use crate::collection::used::{HeadUse, Used};
use crate::collection::watched::Watched;
use crate::index::{Layout, Segment};
use crate::model::{Geometry, LayerKind, SegmentId, TokenRange};

/// One layer.
#[derive(Debug)]
pub struct Layer {
    pub(super) fixed: Arc<Fixed>,
    kind: LayerKind,
    pub(super) layout: Layout,
    /// Where it is on disk, if it is; changed by the writer.
    pub(super) stored: Option<StoredLayer>,
    writer: Mutex<()>,
    state: RwLock<Snapshot>,
    pub(super) audited: Arc<Audited>,
    pub(super) used: Arc<Used>,
    pub(super) watched: Watched,
}

/// A layer at one moment; it never changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) fixed: Arc<Fixed>,
    pub(super) steady: Steady,
    /// In order of position, contiguous from the sink to the tail.
    pub(super) segments: Arc<Vec<Arc<Segment>>>,
    /// The tokens before this are those that the build in progress began with: the shortest that the layer was since.
    pub(super) uncut: u32,
}

/// Sizes of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSize {
    /// All of them.
    pub tokens: u64,
    /// Those in segments.
    pub clustered_tokens: u64,
    /// Sealed.
    pub segments: u64,
    /// Over all KV heads.
    pub clusters: u64,
    /// K and V, with the unused room of the last block.
    pub payload_bytes: u64,
    /// Codes of K and V of the segments.
    pub code_bytes: u64,
    /// All of the segments but K and V and their codes.
    pub meta_index_bytes: u64,
    /// Of all these, what others have too; of several layers together, what is counted more often than it is there.
    pub shared_bytes: u64,
}

impl LayerSize {
    /// The size of two together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens + other.tokens,
            clustered_tokens: self.clustered_tokens + other.clustered_tokens,
            segments: self.segments + other.segments,
            clusters: self.clusters + other.clusters,
            payload_bytes: self.payload_bytes + other.payload_bytes,
            code_bytes: self.code_bytes + other.code_bytes,
            meta_index_bytes: self.meta_index_bytes + other.meta_index_bytes,
            shared_bytes: self.shared_bytes + other.shared_bytes,
        }
    }
}

impl Layer {
    pub(super) fn new(fixed: Arc<Fixed>, kind: LayerKind, stored: Option<StoredLayer>) -> Self {
        let layout = Layout::new(&fixed.parameters, kind);
        let state = Snapshot {
            fixed: Arc::clone(&fixed),
            steady: Steady::new(layout.sink_end()),
            segments: Arc::default(),
            uncut: u32::MAX,
        };
        Self {
            fixed,
            kind,
            layout,
            stored,
            writer: Mutex::new(()),
            state: RwLock::new(state),
            audited: Arc::default(),
            used: Arc::default(),
            watched: Watched::default(),
        }
    }

    /// How it attends.
    pub fn kind(&self) -> LayerKind {
        self.kind
    }

    /// Tokens now.
    pub fn length(&self) -> u32 {
        self.state.read().length()
    }

    /// Sizes now.
    pub fn size(&self) -> LayerSize {
        self.snapshot().size()
    }

    /// What audits found so far.
    pub fn audits(&self) -> AuditSize {
        self.audited.size()
    }

    /// The same of every KV head; none before the first audit.
    pub fn audited_heads(&self) -> Vec<AuditedHead> {
        self.audited.heads()
    }

    /// What queries read of every KV head so far; none before the first that need not read everything.
    pub fn used(&self) -> Vec<HeadUse> {
        self.used.heads()
    }

    /// The layer now.
    pub fn snapshot(&self) -> Snapshot {
        self.state.read().clone()
    }

    /// Whether the layout asks for a segment.
    pub fn wants_sealing(&self) -> bool {
        let state = self.state.read();
        self.layout
            .next_range(&state.segment_ranges(), state.length(), false)
            .is_some()
    }

    /// See [`Snapshot::uncut`].
    pub(super) fn uncut(&self) -> u32 {
        self.state.read().uncut
    }

    /// The turn of one writer; hold it from reading the length to swapping.
    pub(super) fn writer(&self) -> MutexGuard<'_, ()> {
        self.writer.lock()
    }

    /// Changes the state in place; `change` must be quick.
    pub(super) fn swap<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) -> T {
        change(&mut self.state.write())
    }
}

impl Snapshot {
    /// Tokens.
    pub fn length(&self) -> u32 {
        self.steady.length()
    }

    /// What the vectors are.
    pub fn geometry(&self) -> &Geometry {
        &self.fixed.geometry
    }

    /// The sealed segments in order of position.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// A segment by name.
    pub fn segment(&self, id: SegmentId) -> Option<&Arc<Segment>> {
        self.segments.iter().find(|segment| segment.id() == id)
    }

    /// The tokens of each segment.
    pub fn segment_ranges(&self) -> Vec<TokenRange> {
        self.segments
            .iter()
            .map(|segment| segment.range())
            .collect()
    }

    /// The tokens that no segment has: sink and tail; none is empty.
    pub fn steady_ranges(&self) -> Vec<TokenRange> {
        self.steady
            .ranges()
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect()
    }

    /// Bytes of the tokens that no segment has, with the unused room of the last block.
    pub fn steady_bytes(&self) -> u64 {
        self.steady.payload_bytes()
    }

    /// What it is made of: where each block and segment is, which is the same for all layers that have it, and its bytes.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, u64)> {
        let segments = self.segments.iter().map(|segment| {
            let columns = segment.columns();
            (Arc::as_ptr(columns).addr(), columns.size().0)
        });
        segments.chain(self.steady.pieces())
    }

    /// Sizes, with nothing said of what is shared.
    pub fn size(&self) -> LayerSize {
        let segments = self.segments.iter();
        let empty = LayerSize {
            tokens: u64::from(self.length()),
            payload_bytes: self.steady.payload_bytes(),
            ..LayerSize::default()
        };
        segments.fold(empty, |size, segment| {
            size.plus(LayerSize {
                tokens: 0,
                clustered_tokens: u64::from(segment.range().tokens()),
                segments: 1,
                clusters: segment.clusters() as u64,
                payload_bytes: segment.payload_bytes(),
                code_bytes: segment.code_bytes(),
                meta_index_bytes: segment.meta_bytes(),
                shared_bytes: 0,
            })
        })
    }
}
