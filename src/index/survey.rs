//! A query meets the meta index: scores, variances and masses of every cluster of one KV head, for every query head of
//! the group. One scan serves the whole group.

use std::ops::Range;

use wavekv_kernels::{Kernels, LogMass, Queries, Queries8, Scan, ShapeError, Spreads};

use crate::index::error_estimate::Doubt;
use crate::index::segment::HeadIndex;
use crate::index::zones::{self, Place, Zone};
use crate::model::TokenRange;

/// The query heads of one group at one query token.
#[derive(Clone, Copy, Debug)]
pub struct HeadQuery<'a> {
    /// `[group, head_dim]`, not scaled.
    pub queries: Queries<'a>,
    /// Scores are `scale * q.k`.
    pub scale: f32,
    /// The positions that the query token sees.
    pub visible: TokenRange,
}

/// What the scan found. Arrays over clusters run segment after segment; arrays of the group are, within a segment,
/// `[group, clusters]`.
#[derive(Debug)]
pub struct Survey<'a> {
    pub(super) kernels: Kernels,
    pub(super) query: HeadQuery<'a>,
    pub(super) group: usize,
    pub(super) segments: Vec<HeadIndex<'a>>,
    /// First cluster of each segment, and the end of the last.
    starts: Vec<usize>,
    /// Of each cluster.
    pub(super) zones: Vec<Zone>,
    /// `scale * q . centroid`.
    pub(super) scores: Vec<f32>,
    /// `[segments, group]`: what the key spread of a cluster is multiplied with to give the variance of `scale * q.k`
    /// within it.
    pub(super) row_spreads: Vec<f32>,
    /// Logarithm of the estimated `sum exp(scale * q.k)` of the tokens of the cluster that are not read exactly; minus
    /// infinity where the cluster is not of the estimation or the coded zone.
    pub(super) log_mass: Vec<f32>,
    /// A cluster of the estimation zone that has less than this share of the mass for every query head is estimated
    /// with the mean value of its segment, which costs no bytes.
    pub(super) light_share: f32,
    /// What the answer will not have read, once that is decided by gains.
    pub(super) doubt: Option<Doubt>,
}

impl<'a> Survey<'a> {
    /// Scans the meta index of one head of every segment.
    ///
    /// # Errors
    /// [`ShapeError`] when the queries are not of the segments' dimension.
    pub fn new(
        kernels: Kernels,
        query: HeadQuery<'a>,
        segments: Vec<HeadIndex<'a>>,
    ) -> Result<Self, ShapeError> {
        let group = query.queries.rows();
        let mut starts = vec![0];
        starts.extend(segments.iter().scan(0, |end, segment| {
            *end += segment.clusters();
            Some(*end)
        }));
        let clusters = starts.last().copied().unwrap_or(0);
        let mut survey = Self {
            kernels,
            query,
            group,
            row_spreads: Vec::with_capacity(segments.len() * group),
            segments,
            starts,
            zones: Vec::with_capacity(clusters),
            scores: vec![0.0; clusters * group],
            log_mass: vec![f32::NEG_INFINITY; clusters * group],
            light_share: 0.0,
            doubt: None,
        };
        let queries = Queries8::new(query.queries, query.scale);
        for segment in 0..survey.segments.len() {
            zones::classify(&survey.segments[segment], query.visible, &mut survey.zones);
            survey.scan(segment, &queries)?;
        }
        Ok(survey)
    }

    fn scan(&mut self, segment: usize, queries: &Queries8) -> Result<(), ShapeError> {
        let head = self.segments[segment];
        let block = self.block(segment);
        let rows = (0..self.group).map(|row| self.query.queries.row(row));
        let spreads = rows
            .clone()
            .map(|query| square_under(query, head.key_profile, self.query.scale));
        self.row_spreads.extend(spreads);
        let clusters = self.clusters(segment);
        if !self.zones[clusters].contains(&Zone::Estimation) {
            return Ok(());
        }
        let offsets: Vec<f32> = rows
            .map(|query| self.query.scale * product(query, head.centroids.base()))
            .collect();
        let scores = &mut self.scores[block.clone()];
        self.kernels
            .scan(Scan::new(queries, &offsets, head.centroids, scores)?);
        let log_mass = &mut self.log_mass[block.clone()];
        log_mass.copy_from_slice(&self.scores[block]);
        let spreads = Spreads {
            of_clusters: head.key_spreads,
            of_rows: &self.row_spreads[segment * self.group..][..self.group],
        };
        self.kernels.log_mass(LogMass::new(
            self.group,
            log_mass,
            head.counts,
            Some(spreads),
        )?);
        self.hide(segment);
        Ok(())
    }

    /// Takes the mass of the clusters of a segment that are not of the estimation zone.
    fn hide(&mut self, segment: usize) {
        let (clusters, block) = (self.clusters(segment), self.block(segment));
        let zones = &self.zones[clusters];
        if zones.iter().all(|zone| *zone == Zone::Estimation) {
            return;
        }
        for row in self.log_mass[block].chunks_exact_mut(zones.len()) {
            for (mass, zone) in row.iter_mut().zip(zones) {
                if *zone != Zone::Estimation {
                    *mass = f32::NEG_INFINITY;
                }
            }
        }
    }

    /// How many query heads share the survey.
    pub fn group(&self) -> usize {
        self.group
    }

    /// The zone of every cluster, segment after segment.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The meta index of the segment at a place in the list.
    pub fn segment(&self, segment: usize) -> &HeadIndex<'a> {
        &self.segments[segment]
    }

    /// The clusters of a zone, in order of place: what whoever holds K and V has to read, or the report to count.
    pub fn places(&self, zone: Zone) -> impl Iterator<Item = Place> {
        (0..self.segments.len()).flat_map(move |segment| {
            let zones = self.zones[self.clusters(segment)].iter().enumerate();
            zones
                .filter(move |(_, found)| **found == zone)
                .map(move |(cluster, _)| Place { segment, cluster })
        })
    }

    /// The payload rows of the clusters of a zone, neighbours joined: a segment's place and rows of its head.
    pub fn row_runs(&self, zone: Zone) -> Vec<(usize, Range<usize>)> {
        let mut runs: Vec<(usize, Range<usize>)> = vec![];
        for Place { segment, cluster } in self.places(zone) {
            let rows = self.segments[segment].rows(cluster);
            match runs.last_mut() {
                Some((last, run)) if *last == segment && run.end == rows.start => {
                    run.end = rows.end;
                }
                _ => runs.push((segment, rows)),
            }
        }
        runs
    }

    /// Moves the clusters of the estimation zone that `taken` names to the retrieval zone.
    pub fn retrieve(&mut self, taken: impl Fn(Place) -> bool) {
        let places: Vec<Place> = self
            .places(Zone::Estimation)
            .filter(|place| taken(*place))
            .collect();
        for place in places {
            let ordinal = self.ordinal(place);
            self.zones[ordinal] = Zone::Retrieval;
        }
    }

    /// Tokens in the clusters of a zone.
    pub fn tokens(&self, zone: Zone) -> u64 {
        self.places(zone)
            .map(|place| u64::from(self.tokens_at(place)))
            .sum()
    }

    /// Tokens of one cluster.
    pub fn tokens_at(&self, place: Place) -> u32 {
        self.segments[place.segment].counts[place.cluster]
    }

    /// Bytes of meta index that the scan reads: all of every segment that has an estimable cluster.
    pub fn scan_bytes(&self) -> u64 {
        let visible = |segment: &usize| {
            self.zones[self.clusters(*segment)]
                .iter()
                .any(|zone| !matches!(zone, Zone::Hidden | Zone::Steady))
        };
        let segments = (0..self.segments.len())
            .filter(visible)
            .map(|segment| &self.segments[segment]);
        segments.map(HeadIndex::scan_bytes).sum()
    }

    /// The score of a cluster for a query head of the group.
    pub fn score(&self, row: usize, place: Place) -> f32 {
        self.scores[self.at(row, place)]
    }

    /// The share that each cluster has of the estimated mass of the estimation zone, mean over the group. One entry a
    /// cluster, segment after segment; 0 outside the zone.
    pub fn mass_shares(&self) -> Vec<f32> {
        self.shares_of(&self.log_mass)
    }

    /// Softmax of an array of the group over the clusters of the estimation zone, mean over the group.
    pub(super) fn shares_of(&self, logits: &[f32]) -> Vec<f32> {
        let places: Vec<Place> = self.places(Zone::Estimation).collect();
        let mut shares = vec![0.0; self.zones.len()];
        for row in 0..self.group {
            let of_row = places.iter().map(|place| logits[self.at(row, *place)]);
            let max = of_row.clone().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = of_row.clone().map(|logit| (logit - max).exp()).sum();
            let inverse = (sum * self.group as f32).recip();
            for (place, logit) in places.iter().zip(of_row) {
                shares[self.ordinal(*place)] += (logit - max).exp() * inverse;
            }
        }
        shares
    }

    /// The place of a cluster counted over all segments.
    pub fn ordinal(&self, place: Place) -> usize {
        self.starts[place.segment] + place.cluster
    }

    /// The entry of a cluster in the arrays of the group.
    pub(super) fn at(&self, row: usize, place: Place) -> usize {
        let Range { start, end } = self.clusters(place.segment);
        self.group * start + row * (end - start) + place.cluster
    }

    /// The clusters of a segment, counted over all segments.
    pub(super) fn clusters(&self, segment: usize) -> Range<usize> {
        self.starts[segment]..self.starts[segment + 1]
    }

    /// The entries of a segment in the arrays of the group: `[group, clusters]`.
    pub(super) fn block(&self, segment: usize) -> Range<usize> {
        let Range { start, end } = self.clusters(segment);
        self.group * start..self.group * end
    }
}

/// Sum of the squares of the elements of `scale * query`, each times that of the profile.
fn square_under(query: &[f32], profile: &[f32], scale: f32) -> f32 {
    let scaled = query
        .iter()
        .zip(profile)
        .map(|(q, deviation)| (q * scale * deviation).powi(2));
    scaled.sum()
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
