//! What an operator who looks at the KV heads of a layer sees: how the last query chose among the clusters, and the clusters of
//! a head in a plane.

use crate::collection::attend::Attend;
use crate::collection::layer::{Layer, Snapshot};
use crate::index::projection::Plane;
use crate::index::{HeadIndex, Segment, Zone};
use crate::model::{Error, ErrorKind, KvHead, Mode, SegmentId, TokenRange};

/// The clusters of one KV head.
#[derive(Clone, Debug)]
pub struct ClusterMap {
    /// All segments of the layer, in order of position.
    pub segments: Vec<MappedSegment>,
    /// In order of position of their segments: all, or every so manieth where there are more than was asked for.
    pub clusters: Vec<MappedCluster>,
    /// How many there are.
    pub all: u64,
    /// The share of the variance of the shown centroids that each axis has.
    pub axes: [f32; 2],
    /// What the zones are of; none where no query was kept.
    pub query: Option<MappedQuery>,
}

/// A segment of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedSegment {
    /// Its name.
    pub id: SegmentId,
    /// Its tokens.
    pub range: TokenRange,
    /// Its clusters of this head.
    pub clusters: u64,
}

/// A cluster of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MappedCluster {
    /// Place of its segment.
    pub segment: u32,
    /// Its centroid.
    pub point: [f32; 2],
    /// How many.
    pub tokens: u32,
    /// How far its keys are apart, beside those of other clusters of its segment: about 1 as a rule.
    pub spread: f32,
    /// What the query did with it.
    pub zone: Option<Zone>,
}

/// The query of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MappedQuery {
    /// As it was asked for.
    pub mode: Mode,
    /// The tokens that it saw.
    pub visible: TokenRange,
}

impl Layer {
    /// How sharp the last kept query was for every KV head; none where none was kept, or the head has nothing to choose
    /// among. From now on queries are kept for a while. Call it where kernels may run.
    ///
    /// # Errors
    /// `Internal` only: a broken promise of our own code.
    pub fn sharpness(&self) -> Result<Vec<Option<f32>>, Error> {
        let last = self.last_attend(&self.snapshot());
        let heads = (0..self.fixed.geometry.kv_heads).map(KvHead);
        let has_clusters = self.fixed.parameters.kind.has_clusters();
        heads
            .map(|head| match &last {
                Some(last) if has_clusters => last.sharpness(head),
                _ => Ok(None),
            })
            .collect()
    }

    /// The clusters of a head, at most `most` of them, with the zones of the last kept query as they would be now. From now on
    /// queries are kept for a while. Call it where kernels may run and the disk may be waited for.
    ///
    /// # Errors
    /// `FailedPrecondition` when the kind of index has no clusters; `Unavailable` or `DataLoss` when the disk does not give
    /// what the choice of zones reads.
    pub fn cluster_map(&self, head: KvHead, most: usize) -> Result<ClusterMap, Error> {
        let kind = self.fixed.parameters.kind;
        if !kind.has_clusters() {
            let message = format!(
                "index.kind of the collection is {kind}: expected wave, which has clusters to show"
            );
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        let snapshot = self.snapshot();
        let last = self.last_attend(&snapshot);
        let zones = last.as_ref().map(|last| last.zones(head)).transpose()?;
        let mut map = snapshot.cluster_map(head, most, zones.as_deref())?;
        map.query = last.map(|last| last.as_mapped());
        Ok(map)
    }
}

impl Snapshot {
    /// With the zones of all clusters of the head, segment after segment.
    fn cluster_map(
        &self,
        head: KvHead,
        most: usize,
        zones: Option<&[Zone]>,
    ) -> Result<ClusterMap, Error> {
        let indexes = self.segments().iter().map(|segment| segment.head(head));
        let indexes: Vec<HeadIndex<'_>> = indexes
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        let all: usize = indexes.iter().map(HeadIndex::clusters).sum();
        let every = all.div_ceil(most.max(1)).max(1);
        let dim = self.geometry().head_dim as usize;
        let mut centroids = vec![0.0; all.div_ceil(every) * dim];
        let mut shown = centroids.chunks_exact_mut(dim);
        let mut clusters = vec![];
        let mut ordinal = 0;
        for (place, index) in indexes.iter().enumerate() {
            for cluster in 0..index.clusters() {
                if ordinal % every == 0
                    && let Some(centroid) = shown.next()
                {
                    index.centroids.decode(cluster, centroid)?;
                    clusters.push(MappedCluster {
                        segment: place as u32,
                        point: [0.0; 2],
                        tokens: index.counts[cluster],
                        spread: index.key_spreads[cluster],
                        zone: zones.and_then(|zones| zones.get(ordinal).copied()),
                    });
                }
                ordinal += 1;
            }
        }
        let plane = Plane::of(&centroids, dim);
        for (cluster, point) in clusters.iter_mut().zip(plane.points) {
            cluster.point = point;
        }
        let segments = self.segments().iter().zip(&indexes);
        Ok(ClusterMap {
            segments: segments
                .map(|(segment, index)| mapped(segment, index))
                .collect(),
            clusters,
            all: all as u64,
            axes: plane.shares,
            query: None,
        })
    }
}

impl Attend {
    fn as_mapped(&self) -> MappedQuery {
        MappedQuery {
            mode: self.asked_mode(),
            visible: self.hull(),
        }
    }
}

fn mapped(segment: &Segment, index: &HeadIndex<'_>) -> MappedSegment {
    MappedSegment {
        id: segment.id(),
        range: segment.range(),
        clusters: index.clusters() as u64,
    }
}
