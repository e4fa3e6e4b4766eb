//! Ranking and estimating for an engine that retrieves by itself: the clusters of a query, and the partial of those that
//! the engine does not read.

use std::collections::HashSet;

use wavekv_kernels::{Accumulator, Queries};

use crate::collection::attend::visible;
use crate::collection::fetch::{Fetched, What};
use crate::collection::layer::{Layer, Snapshot};
use crate::collection::refusal::checked_position;
use crate::index::{HeadQuery, Place, Segment, Survey, Zone};
use crate::model::{
    ClusterAddress, ClusterId, ClusterQuery, Error, ErrorKind, KvHead, Partial, TokenRange,
};

/// The best clusters of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Of every KV head, in order.
    pub heads: Vec<HeadRanking>,
    /// The visible tokens that no cluster holds.
    pub steady: Vec<TokenRange>,
}

/// The best clusters of one KV head, best first.
pub type HeadRanking = Vec<Ranked>;

/// One cluster for one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its name.
    pub address: ClusterAddress,
    /// `scale * q . centroid`, the largest of the group.
    pub score: f32,
    /// Tokens.
    pub tokens: u32,
    /// Share of the estimated mass of all visible clusters, mean over the group.
    pub mass: f32,
    /// Whether its K and V are in memory.
    pub resident: bool,
    /// K, V and positions, when asked for.
    pub payload: Option<Fetched>,
}

/// A checked query over a snapshot.
struct Question<'a> {
    snapshot: &'a Snapshot,
    queries: &'a [f32],
    visible: TokenRange,
}

impl Ranking {
    /// How many clusters are ranked, and how many tokens they have.
    pub fn clusters_and_tokens(&self) -> (usize, usize) {
        let ranked = || self.heads.iter().flatten();
        let tokens = ranked().map(|ranked| ranked.tokens as usize);
        (ranked().count(), tokens.sum())
    }
}

impl Layer {
    /// The `limit` heaviest clusters of every KV head in a snapshot of this layer, without their payload. Segments that
    /// the query sees only in part are not ranked: their visible tokens are in [`Ranking::steady`].
    ///
    /// # Errors
    /// `OutOfRange` when the position is not of a stored token; `FailedPrecondition` when the kind of index has no
    /// clusters.
    pub fn top_clusters(
        &self,
        snapshot: &Snapshot,
        query: &ClusterQuery,
        limit: usize,
    ) -> Result<Ranking, Error> {
        let question = self.question(snapshot, query)?;
        let heads = 0..snapshot.geometry().kv_heads;
        let heads = heads.map(|head| question.rank(KvHead(head), limit));
        Ok(Ranking {
            heads: heads.collect::<Result<_, _>>()?,
            steady: question.steady(),
        })
    }

    /// The partial `[1, q_heads]` of every visible cluster that is not among `retrieved`.
    ///
    /// # Errors
    /// `OutOfRange` when the position is not of a stored token; `NotFound` when `retrieved` names a cluster that is of no
    /// present segment; `FailedPrecondition` when the kind of index has no clusters.
    pub fn estimate(
        &self,
        query: &ClusterQuery,
        retrieved: &[ClusterAddress],
    ) -> Result<Partial, Error> {
        let snapshot = self.snapshot();
        let question = self.question(&snapshot, query)?;
        question.check_present(retrieved)?;
        let retrieved: HashSet<ClusterAddress> = retrieved.iter().copied().collect();
        let mut partial = Partial {
            out: vec![],
            lse: vec![],
        };
        for head in 0..snapshot.geometry().kv_heads {
            question.estimate(KvHead(head), &retrieved, &mut partial)?;
        }
        Ok(partial)
    }

    fn question<'a>(
        &self,
        snapshot: &'a Snapshot,
        query: &'a ClusterQuery,
    ) -> Result<Question<'a>, Error> {
        let kind = self.fixed.parameters.kind;
        if !kind.has_clusters() {
            let message = format!(
                "index.kind of the collection is {kind}: expected wave, which has clusters to rank and to estimate"
            );
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        let length = snapshot.length();
        let visible = match query.position {
            Some(position) => visible(
                self.kind(),
                checked_position("position", position, length)?,
                length,
            ),
            None => length
                .checked_sub(1)
                .map_or(TokenRange::EMPTY, |last| visible(self.kind(), last, length)),
        };
        Ok(Question {
            snapshot,
            queries: &query.queries,
            visible,
        })
    }
}

impl Snapshot {
    /// Adds K, V and positions to the clusters of a ranking over this snapshot.
    ///
    /// # Errors
    /// `NotFound` when the ranking is over another one.
    pub fn add_payload(&self, ranking: &mut Ranking) -> Result<(), Error> {
        for ranked in ranking.heads.iter_mut().flatten() {
            ranked.payload = Some(self.fetch(What::Cluster(ranked.address))?);
        }
        Ok(())
    }
}

impl Question<'_> {
    /// The segments whose clusters are ranked and estimated: those that are visible whole. The visible part of any other
    /// is a range that the engine attends to as it does to the tail.
    fn segments(&self) -> impl Iterator<Item = &Segment> {
        let segments = self.snapshot.segments().iter().map(AsRef::as_ref);
        segments.filter(|segment: &&Segment| self.visible.covers(segment.range()))
    }

    fn survey(&self, head: KvHead) -> Result<Survey<'_>, Error> {
        let geometry = self.snapshot.geometry();
        let (group, dim) = (geometry.group(), geometry.head_dim as usize);
        let query = HeadQuery {
            queries: Queries::new(
                &self.queries[head.index() * group * dim..][..group * dim],
                group,
                dim,
            )?,
            scale: geometry.scale,
            visible: self.visible,
        };
        let heads = self.segments().map(|segment| segment.head(head));
        let heads = heads
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        Ok(Survey::new(self.snapshot.fixed.kernels, query, heads)?)
    }

    fn rank(&self, head: KvHead, limit: usize) -> Result<HeadRanking, Error> {
        let survey = self.survey(head)?;
        let segments: Vec<&Segment> = self.segments().collect();
        let shares = survey.mass_shares();
        let mut places: Vec<Place> = survey.places(Zone::Estimation).collect();
        places.sort_by(|a, b| shares[survey.ordinal(*b)].total_cmp(&shares[survey.ordinal(*a)]));
        places.truncate(limit);
        let ranked = places.into_iter().map(|place| {
            let cluster = ClusterId(place.cluster as u32);
            let address = ClusterAddress {
                segment: segments[place.segment].id(),
                head,
                cluster,
            };
            let scores = (0..survey.group()).map(|row| survey.score(row, place));
            let (segment, rows) = self.snapshot.cluster(address)?;
            Ok(Ranked {
                resident: segment.is_resident(head, rows),
                address,
                score: scores.fold(f32::NEG_INFINITY, f32::max),
                tokens: survey.tokens_at(place),
                mass: shares[survey.ordinal(place)],
                payload: None,
            })
        });
        ranked.collect()
    }

    /// The visible tokens that no ranked or estimated cluster has.
    fn steady(&self) -> Vec<TokenRange> {
        let cut = self.snapshot.segment_ranges().into_iter();
        let cut = cut.filter(|range| !self.visible.covers(*range));
        let ranges = self.snapshot.steady_ranges().into_iter().chain(cut);
        let mut ranges: Vec<TokenRange> = ranges
            .map(|range| range.intersection(self.visible))
            .collect();
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    fn check_present(&self, retrieved: &[ClusterAddress]) -> Result<(), Error> {
        for address in retrieved {
            self.snapshot.cluster(*address)?;
        }
        Ok(())
    }

    fn estimate(
        &self,
        head: KvHead,
        retrieved: &HashSet<ClusterAddress>,
        partial: &mut Partial,
    ) -> Result<(), Error> {
        let mut survey = self.survey(head)?;
        let ids: Vec<_> = self.segments().map(Segment::id).collect();
        survey.retrieve(|place| {
            let cluster = ClusterId(place.cluster as u32);
            retrieved.contains(&ClusterAddress {
                segment: ids[place.segment],
                head,
                cluster,
            })
        });
        let dim = self.snapshot.geometry().value_dim as usize;
        let mut sums = Accumulator::new(survey.group(), dim);
        survey.estimate(&mut sums)?;
        let first = partial.out.len();
        partial.out.resize(first + survey.group() * dim, 0.0);
        for (row, out) in partial.out[first..].chunks_exact_mut(dim).enumerate() {
            partial.lse.push(sums.write_row(row, out)?);
        }
        Ok(())
    }
}
