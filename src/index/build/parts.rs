//! The finished heads of a segment, put together.

use std::borrow::Cow;
use std::sync::Arc;

use wavekv_kernels::{Codes4, Matrix, ShapeError};
use wavekv_storage::Buffer;
use wavekv_storage::segment::{Column, ColumnId, SegmentBuilder, SegmentError};

use super::encode::Summary;
use super::{BuildError, Builder, Built, HeadBuild, HeadTokens, fill_u32};
use crate::index::schema;
use crate::model::TokenRange;

/// A segment in the making: the heads that are finished. Heads may come in any order; the segment is the same.
#[derive(Debug)]
pub struct Build {
    builder: Builder,
    range: TokenRange,
    keys: Buffer,
    values: Buffer,
    positions: Buffer,
    key_codes: Codes,
    value_codes: Codes,
    heads: Vec<Option<Finished>>,
}

/// Codes of the tokens of all heads.
#[derive(Debug)]
struct Codes {
    codes: Buffer,
    scales: Buffer,
}

/// What is kept of the clusters of a head.
#[derive(Debug)]
struct Finished {
    counts: Vec<u32>,
    first_rows: Vec<u32>,
    position_bounds: Vec<u32>,
    keys: Summary,
    values: Summary,
}

impl Build {
    /// A segment of `heads` heads with none finished yet. Its memory is paid for now, so that nothing is built in vain.
    ///
    /// # Errors
    /// [`BuildError`] when the budget has no room.
    pub fn new(builder: Builder, range: TokenRange, heads: usize) -> Result<Self, BuildError> {
        let rows = range.tokens() * heads as u32;
        let allocate = |id| {
            let column = column(&builder, id)?;
            let buffer = builder.budget.allocate(column.bytes(rows));
            buffer.map_err(|source| SegmentError::NoMemory {
                column: column.name,
                source,
            })
        };
        let codes = |codes, scales| {
            Ok::<_, SegmentError>(Codes {
                codes: allocate(codes)?,
                scales: allocate(scales)?,
            })
        };
        Ok(Self {
            keys: allocate(schema::KEYS)?,
            values: allocate(schema::VALUES)?,
            positions: allocate(schema::POSITIONS)?,
            key_codes: codes(schema::KEY_CODES, schema::KEY_CODE_SCALES)?,
            value_codes: codes(schema::VALUE_CODES, schema::VALUE_CODE_SCALES)?,
            heads: (0..heads).map(|_| None).collect(),
            builder,
            range,
        })
    }

    /// Takes a finished head, of which `tokens` are the tokens; what was kept of its clusters is moved.
    ///
    /// # Errors
    /// [`BuildError::Shape`] when the tokens are not those of the range and the schema.
    pub fn put(
        &mut self,
        head: usize,
        made: &mut HeadBuild,
        tokens: &HeadTokens<'_>,
    ) -> Result<(), BuildError> {
        self.expect_tokens(tokens)?;
        let (count, start) = (self.range.tokens() as usize, self.range.start);
        let rows = head * count..(head + 1) * count;
        let order = made.clusters().rows();
        copy_rows(&mut self.keys, rows.start, tokens.keys, order);
        copy_rows(&mut self.values, rows.start, tokens.values, order);
        let positions = &mut self.positions.as_u32_mut()[rows.clone()];
        for (to, row) in positions.iter_mut().zip(order) {
            *to = start + row;
        }
        for (to, from, dim) in [
            (&mut self.key_codes, &made.keys, tokens.keys.cols()),
            (&mut self.value_codes, &made.values, tokens.values.cols()),
        ] {
            let bytes = Codes4::code_bytes(dim);
            let codes = &mut to.codes.as_bytes_mut()[rows.start * bytes..rows.end * bytes];
            codes.copy_from_slice(&from.codes);
            let scales = &mut to.scales.as_u16_mut()[rows.clone()];
            scales.copy_from_slice(bytemuck::cast_slice(&from.code_scales));
        }
        let ends = |rows: &[u32]| {
            // Rows ascend within a cluster.
            let ends = [rows.first(), rows.last()];
            ends.map(|row| start + row.copied().unwrap_or(0))
        };
        let clusters = made.clusters();
        let finished = Finished {
            counts: clusters.iter().map(|rows| rows.len() as u32).collect(),
            first_rows: clusters.bounds().map(|(first, _)| first).collect(),
            position_bounds: clusters.iter().flat_map(ends).collect(),
            keys: std::mem::take(&mut made.keys.summary),
            values: std::mem::take(&mut made.values.summary),
        };
        self.heads[head] = Some(finished);
        Ok(())
    }

    fn expect_tokens(&self, tokens: &HeadTokens<'_>) -> Result<(), BuildError> {
        for (id, matrix) in [(schema::KEYS, tokens.keys), (schema::VALUES, tokens.values)] {
            let expected = column(&self.builder, id)?.bytes(self.range.tokens());
            if matrix.bytes().len() != expected {
                return Err(BuildError::Shape(ShapeError {
                    what: "bytes of the tokens of a head",
                    given: matrix.bytes().len(),
                    expected,
                }));
            }
        }
        Ok(())
    }

    /// The segment.
    ///
    /// # Errors
    /// [`BuildError`] when the budget has no room for what is kept of the clusters, or a head is missing.
    pub fn finish(self) -> Result<Built, BuildError> {
        let rows = self.range.tokens() * self.heads.len() as u32;
        let mut columns = SegmentBuilder::new(Arc::clone(&self.builder.schema));
        columns.put(schema::KEYS, rows, self.keys)?;
        columns.put(schema::VALUES, rows, self.values)?;
        columns.put(schema::POSITIONS, rows, self.positions)?;
        columns.put(schema::KEY_CODES, rows, self.key_codes.codes)?;
        columns.put(schema::KEY_CODE_SCALES, rows, self.key_codes.scales)?;
        columns.put(schema::VALUE_CODES, rows, self.value_codes.codes)?;
        columns.put(schema::VALUE_CODE_SCALES, rows, self.value_codes.scales)?;
        let missing = || SegmentError::Missing {
            column: "head_clusters",
        };
        let heads: Option<Vec<Finished>> = self.heads.into_iter().collect();
        let heads = heads.ok_or_else(missing)?;
        put_clusters(&self.builder, &mut columns, &heads)?;
        put_summaries(&self.builder, &mut columns, &heads)?;
        Ok(Built {
            columns: Arc::new(columns.seal()?),
            searches: None,
        })
    }
}

fn column(builder: &Builder, id: ColumnId) -> Result<Column, SegmentError> {
    let columns = builder.schema.columns().len();
    let none = SegmentError::NoSuchColumn { id: id.0, columns };
    builder.schema.get(id).copied().ok_or(none)
}

fn put_clusters(
    builder: &Builder,
    columns: &mut SegmentBuilder,
    heads: &[Finished],
) -> Result<(), BuildError> {
    let budget = &builder.budget;
    let per_head = heads.iter().map(|head| head.counts.len() as u32);
    let all: u32 = per_head.clone().sum();
    let column = columns.allocate(schema::HEAD_CLUSTERS, heads.len() as u32, budget)?;
    fill_u32(column, per_head);
    let mut put = |id: ColumnId, of: fn(&Finished) -> &[u32]| {
        let column = columns.allocate(id, all, budget)?;
        fill_u32(column, heads.iter().flat_map(of).copied());
        Ok::<(), BuildError>(())
    };
    put(schema::COUNTS, |head| &head.counts)?;
    put(schema::FIRST_ROWS, |head| &head.first_rows)?;
    put(schema::POSITION_BOUNDS, |head| &head.position_bounds)
}

fn put_summaries(
    builder: &Builder,
    columns: &mut SegmentBuilder,
    all: &[Finished],
) -> Result<(), BuildError> {
    let heads = all.len() as u32;
    let clusters = all.iter().map(|head| head.counts.len() as u32).sum();
    let mut put = |column: ColumnId, rows, of: fn(&Finished) -> Cow<'_, [u8]>| {
        let into = columns.allocate(column, rows, &builder.budget)?;
        let mut rest = into.as_bytes_mut();
        for head in all {
            let from = of(head);
            let (bytes, after) = rest.split_at_mut(from.len());
            bytes.copy_from_slice(&from);
            rest = after;
        }
        Ok::<(), BuildError>(())
    };
    put(schema::KEY_BASES, heads, |of| bytes(&of.keys.base))?;
    put(schema::VALUE_BASES, heads, |of| bytes(&of.values.base))?;
    put(schema::KEY_PROFILES, heads, |of| bytes(&of.keys.profile))?;
    put(schema::VALUE_PROFILES, heads, |of| {
        bytes(&of.values.profile)
    })?;
    put(schema::CODE_ERRORS, heads, |of| {
        owned(&[of.keys.code_error, of.values.code_error])
    })?;
    put(schema::CENTROIDS, clusters, |of| bytes(&of.keys.means))?;
    put(schema::CENTROID_SCALES, clusters, |of| {
        bytes(&of.keys.mean_scales)
    })?;
    put(schema::KEY_SPREADS, clusters, |of| {
        owned(&relative_spreads(&of.keys))
    })?;
    put(schema::VALUE_MEANS, clusters, |of| bytes(&of.values.means))?;
    put(schema::VALUE_MEAN_SCALES, clusters, |of| {
        bytes(&of.values.mean_scales)
    })?;
    put(schema::VALUE_MEAN_NORMS, clusters, |of| {
        bytes(&of.values.mean_norms)
    })?;
    put(schema::VALUE_SPREADS, clusters, |of| {
        let roots = of.values.spreads.iter().map(|spread| spread.sqrt());
        owned(&roots.collect::<Vec<f32>>())
    })
}

/// Spreads as a share of the profile's: the variance of `a.k` is then `spread sum (a_d profile_d)^2`.
fn relative_spreads(keys: &Summary) -> Vec<f32> {
    let square: f32 = keys.profile.iter().map(|x| x * x).sum();
    // One over a smaller one may be no number.
    let inverse = if square.is_normal() {
        square.recip()
    } else {
        0.0
    };
    keys.spreads.iter().map(|spread| spread * inverse).collect()
}

fn bytes<T: bytemuck::NoUninit>(numbers: &[T]) -> Cow<'_, [u8]> {
    Cow::Borrowed(bytemuck::cast_slice(numbers))
}

fn owned(numbers: &[f32]) -> Cow<'static, [u8]> {
    Cow::Owned(bytemuck::cast_slice(numbers).to_vec())
}

/// Copies the rows of `order` to the rows from `first` on.
fn copy_rows(into: &mut Buffer, first: usize, from: Matrix<'_>, order: &[u32]) {
    let width = from.cols() * from.dtype().size_of();
    let all = from.bytes();
    let into = &mut into.as_bytes_mut()[first * width..(first + order.len()) * width];
    for (to, row) in into.chunks_exact_mut(width).zip(order) {
        to.copy_from_slice(&all[*row as usize * width..][..width]);
    }
}
