//! Which zone each cluster is in for one query. Sink, window and tail are in no cluster and always steady; a cluster
//! that the query sees only in part (causality or a sliding window cuts it) is steady too, because its statistics would
//! count tokens that the query must not see.

use crate::index::segment::HeadIndex;
use crate::model::TokenRange;

/// The part a cluster plays in the answer to one query. Every cluster has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// No token of it is visible.
    Hidden,
    /// Some of its tokens are visible: computed exactly under a mask.
    Steady,
    /// Chosen: computed exactly.
    Retrieval,
    /// Chosen for its codes: its tokens are weighed by the codes of their keys; the few that matter most are computed
    /// exactly, the next from the codes of their values, the rest with the cluster's mean value.
    Coded,
    /// Its contribution is estimated from the meta index.
    Estimation,
    /// Left out altogether.
    Ignored,
}

/// Where a cluster stands in a survey: the segment's place in the list of segments, the cluster's in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Place of the segment.
    pub segment: usize,
    /// Place of the cluster within the segment and head.
    pub cluster: usize,
}

/// Appends the zone of every cluster of a segment before anything is chosen: hidden, steady or estimation.
pub(super) fn classify(head: &HeadIndex<'_>, visible: TokenRange, zones: &mut Vec<Zone>) {
    if visible.covers(head.range) {
        zones.resize(zones.len() + head.clusters(), Zone::Estimation);
        return;
    }
    zones.extend(head.position_bounds.iter().map(|[first, last]| {
        let cluster = TokenRange::new(*first, last + 1);
        if visible.covers(cluster) {
            Zone::Estimation
        } else if cluster.intersection(visible).is_empty() {
            Zone::Hidden
        } else {
            Zone::Steady
        }
    }));
}
