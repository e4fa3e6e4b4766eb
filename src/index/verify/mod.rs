//! What must hold of a sealed segment, whatever its tokens: checked when somebody asks whether it still does.
//!
//! What is asked of numbers allows for all rounding there is, so that a segment that was built is never refused: of means a
//! step of their codes, of codes a step of theirs. This room is handed the rows that it looks at.
//!
//! Start at [`check_rows`], then [`HeadCheck`]; `vectors.rs` has what is asked of numbers.

#[cfg(test)]
mod tests;
mod vectors;

use std::ops::Range;

use wavekv_kernels::{Codes4, Matrix, convert};
use wavekv_storage::segment::ColumnId;

use self::vectors::{NOTHING, ROUNDING, Vectors};
use crate::index::build::largest_cluster;
use crate::index::schema;
use crate::index::segment::{HeadIndex, Payload, Segment};
use crate::model::{IndexKind, IndexParameters, TokenRange};

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column:?}: {what}")]
pub struct Broken {
    /// The first column that is not as it must be beside the others.
    pub column: &'static str,
    /// What it has, and what was expected.
    pub what: String,
}

/// Payload rows that are looked at together, but for a cluster that is larger.
const ROWS: usize = 1024;
const OF_TOKENS: [ColumnId; 3] = [schema::KEYS, schema::VALUES, schema::POSITIONS];
const OF_CODES: [ColumnId; 4] = [
    schema::KEY_CODES,
    schema::KEY_CODE_SCALES,
    schema::VALUE_CODES,
    schema::VALUE_CODE_SCALES,
];
const OF_HEADS: [ColumnId; 6] = [
    schema::HEAD_CLUSTERS,
    schema::KEY_BASES,
    schema::VALUE_BASES,
    schema::KEY_PROFILES,
    schema::VALUE_PROFILES,
    schema::CODE_ERRORS,
];
const OF_CLUSTERS: [ColumnId; 10] = [
    schema::FIRST_ROWS,
    schema::COUNTS,
    schema::POSITION_BOUNDS,
    schema::CENTROIDS,
    schema::CENTROID_SCALES,
    schema::KEY_SPREADS,
    schema::VALUE_MEANS,
    schema::VALUE_MEAN_SCALES,
    schema::VALUE_MEAN_NORMS,
    schema::VALUE_SPREADS,
];

/// That every column of a segment has as many rows as its tokens, heads and clusters are.
///
/// # Errors
/// [`Broken`] naming the first that has not.
pub fn check_rows(segment: &Segment, kind: IndexKind, kv_heads: u32) -> Result<(), Broken> {
    let columns = segment.columns();
    let expect = |ids: &[ColumnId], expected: u64, of: &str| {
        let wrong = ids
            .iter()
            .find(|id| u64::from(columns.rows(**id)) != expected);
        wrong.map_or(Ok(()), |id| {
            let got = columns.rows(*id);
            broken(
                segment,
                *id,
                format!("{got} rows: expected {expected}, one {of}"),
            )
        })
    };
    let tokens = u64::from(segment.range().tokens()) * u64::from(kv_heads);
    expect(&OF_TOKENS, tokens, "a token and KV head")?;
    if !kind.has_clusters() {
        return Ok(());
    }
    expect(&OF_CODES, tokens, "a token and KV head")?;
    expect(&OF_HEADS, u64::from(kv_heads), "a KV head")?;
    let of_heads = columns.column(schema::HEAD_CLUSTERS).as_u32().iter();
    let clusters: u64 = of_heads.map(|clusters| u64::from(*clusters)).sum();
    expect(&OF_CLUSTERS, clusters, "a cluster")?;
    let known = segment.clusters() as u64;
    if clusters != known {
        let what =
            format!("{clusters} clusters: expected {known}, as they were when it was opened");
        return broken(segment, schema::HEAD_CLUSTERS, what);
    }
    Ok(())
}

/// That the rows of a head without clusters are in order of position, and numbers.
///
/// # Errors
/// [`Broken`].
pub fn check_in_order(range: TokenRange, payload: &Payload<'_>) -> Result<(), Broken> {
    if !payload.positions.iter().copied().eq(range.start..range.end) {
        let what = format!("other positions than {range} in order");
        let column = "positions";
        return Err(Broken { column, what });
    }
    check_numbers("keys", payload.keys)?;
    check_numbers("values", payload.values)
}

fn check_numbers(column: &'static str, numbers: Matrix<'_>) -> Result<(), Broken> {
    convert::check_magnitudes(numbers.bytes(), numbers.dtype()).map_err(|bad| Broken {
        column,
        what: format!("{bad}: expected magnitudes below 2^20"),
    })
}

fn broken(segment: &Segment, id: ColumnId, what: String) -> Result<(), Broken> {
    let column = segment.columns().schema().get(id);
    let column = column.map_or("", |column| column.name);
    Err(Broken { column, what })
}

/// One KV head of a segment with clusters, whose rows are shown one run of clusters after the other.
#[derive(Debug)]
pub struct HeadCheck<'a> {
    index: HeadIndex<'a>,
    /// Of each token of the segment, whether a cluster has it.
    seen: Vec<bool>,
}

impl<'a> HeadCheck<'a> {
    /// Begins with what is kept of the clusters, whose columns [`check_rows`] has seen.
    ///
    /// # Errors
    /// [`Broken`] where they do not have every row once, or hold what no cluster can have.
    pub fn begin(index: HeadIndex<'a>, parameters: &IndexParameters) -> Result<Self, Broken> {
        let broken = |column, what| Err(Broken { column, what });
        let (tokens, most) = (index.range.tokens(), largest_cluster(parameters));
        let mut next = 0_u64;
        for (cluster, (first, count)) in index.first_rows.iter().zip(index.counts).enumerate() {
            if *count == 0 || *count as usize > most {
                let what = format!("cluster {cluster} has {count} tokens: expected 1 to {most}");
                return broken("counts", what);
            }
            if u64::from(*first) != next {
                let what = format!("cluster {cluster} begins at row {first}: expected {next}");
                return broken("first_rows", what);
            }
            next += u64::from(*count);
        }
        if next != u64::from(tokens) {
            let what = format!("clusters have {next} tokens: expected {tokens}");
            return broken("counts", what);
        }
        let outside = |[first, last]: &[u32; 2]| {
            !(first <= last && index.range.contains(*first) && index.range.contains(*last))
        };
        if let Some(cluster) = index.position_bounds.iter().position(outside) {
            let [first, last] = index.position_bounds[cluster];
            let (range, what) = (index.range, "expected first and last of");
            let what = format!("cluster {cluster} has {first} and {last}: {what} {range}");
            return broken("position_bounds", what);
        }
        for (column, numbers) in [
            ("centroid_scales", index.centroids.scales()),
            ("value_mean_scales", index.value_means.scales()),
            ("key_spreads", index.key_spreads),
            ("value_spreads", index.value_spreads),
            ("value_mean_norms", index.value_mean_norms),
            ("key_profiles", index.key_profile),
            ("code_errors", &index.code_errors),
        ] {
            if let Some(at) = numbers.iter().position(|x| !(x.is_finite() && *x >= 0.0)) {
                let what = format!("row {at} is {}: expected 0 or more", numbers[at]);
                return broken(column, what);
            }
        }
        let bases = [
            ("key_bases", index.centroids),
            ("value_bases", index.value_means),
        ];
        for (column, means) in bases {
            if let Some(base) = means.base().iter().find(|base| !base.is_finite()) {
                return broken(column, format!("{base}: expected a number"));
            }
        }
        let seen = vec![false; tokens as usize];
        Ok(Self { index, seen })
    }

    /// Runs of clusters that are looked at together; all clusters are in one.
    pub fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = vec![];
        let mut rows = 0;
        for (cluster, count) in self.index.counts.iter().enumerate() {
            rows += *count as usize;
            match runs.last_mut() {
                Some(run) if rows <= ROWS => run.end = cluster + 1,
                _ => {
                    rows = *count as usize;
                    runs.push(cluster..cluster + 1);
                }
            }
        }
        runs
    }

    /// The payload rows of some clusters, counted from the head's first.
    pub fn rows(&self, clusters: &Range<usize>) -> Range<usize> {
        let first = self.index.rows(clusters.start).start;
        first..self.index.rows(clusters.end - 1).end
    }

    /// Looks at some clusters: `payload` has their rows, and `codes` those of keys and of values of the whole head, of which
    /// theirs may be read.
    ///
    /// # Errors
    /// [`Broken`] where positions come twice, or what is kept of a cluster is not that of its tokens.
    pub fn see(
        &mut self,
        clusters: Range<usize>,
        payload: &Payload<'_>,
        codes: [Codes4<'_>; 2],
    ) -> Result<(), Broken> {
        let first = self.rows(&clusters).start;
        let keys = Vectors {
            rows: payload.keys,
            means: self.index.centroids,
            codes: codes[0],
            names: ["keys", "centroids", "key_codes"],
        };
        let values = Vectors {
            rows: payload.values,
            means: self.index.value_means,
            codes: codes[1],
            names: ["values", "value_means", "value_codes"],
        };
        check_numbers("keys", payload.keys)?;
        check_numbers("values", payload.values)?;
        for cluster in clusters {
            let rows = self.index.rows(cluster);
            let local = rows.start - first..rows.end - first;
            self.mark(cluster, &payload.positions[local.clone()])?;
            keys.check(cluster, rows.start, local.clone())?;
            let norm = values.check(cluster, rows.start, local)?;
            let known = self.index.value_mean_norms[cluster];
            if (norm - known).abs() > 10.0 * ROUNDING * norm.max(known) + NOTHING {
                let what = format!("cluster {cluster} has {known}: expected {norm}");
                let column = "value_mean_norms";
                return Err(Broken { column, what });
            }
        }
        Ok(())
    }

    fn mark(&mut self, cluster: usize, positions: &[u32]) -> Result<(), Broken> {
        let broken = |column, what| Err(Broken { column, what });
        let ends = [positions.first(), positions.last()].map(|end| end.copied().unwrap_or(0));
        if ends != self.index.position_bounds[cluster] {
            let [first, last] = self.index.position_bounds[cluster];
            let (low, high) = (ends[0], ends[1]);
            let what =
                format!("cluster {cluster} has {first} and {last}: expected {low} and {high}");
            return broken("position_bounds", what);
        }
        if !positions.is_sorted_by(|a, b| a < b) {
            let what = format!("those of cluster {cluster} do not ascend");
            return broken("positions", what);
        }
        for position in positions {
            let range = self.index.range;
            let place = position.checked_sub(range.start);
            let seen = place.and_then(|place| self.seen.get_mut(place as usize));
            let Some(seen) = seen.filter(|seen| !**seen) else {
                let what = format!(
                    "position {position} in cluster {cluster}: expected each of {range} once"
                );
                return broken("positions", what);
            };
            *seen = true;
        }
        Ok(())
    }

    /// That every position was seen.
    ///
    /// # Errors
    /// [`Broken`] naming the first that was not.
    pub fn finish(self) -> Result<(), Broken> {
        match self.seen.iter().position(|seen| !seen) {
            None => Ok(()),
            Some(missing) => Err(Broken {
                column: "positions",
                what: format!("no cluster has {}", self.index.range.start + missing as u32),
            }),
        }
    }
}
