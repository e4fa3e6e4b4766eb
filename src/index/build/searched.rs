//! A segment that is searched: payload in order of position, and for each KV head what searches its keys.

use std::sync::Arc;

use wavekv_kernels::{Dtype, Matrix};
use wavekv_storage::segment::{Columns, SegmentBuilder};
use wavekv_storage::{Buffer, Bytes, Patience};

use super::encode::mean;
use super::{BuildError, Builder, Built, HeadTokens, fill_u32, numbers};
use crate::index::kinds::{self, HeadKeys};
use crate::index::schema;
use crate::index::segment::{HeadSearch, ReadError, Searches};
use crate::model::TokenRange;

impl Builder {
    pub(super) fn build_searched(
        &self,
        range: TokenRange,
        heads: &[HeadTokens<'_>],
    ) -> Result<Built, BuildError> {
        let columns = Arc::new(self.put_in_order(range, heads)?);
        let searches = Some(self.searches(range, heads)?);
        Ok(Built { columns, searches })
    }

    fn searches(
        &self,
        range: TokenRange,
        heads: &[HeadTokens<'_>],
    ) -> Result<Searches, BuildError> {
        let footprint = |tokens: &HeadTokens<'_>| {
            let (rows, dim) = (tokens.keys.rows(), tokens.keys.cols());
            kinds::footprint(self.parameters.kind, rows, dim)
        };
        let reservation = self
            .budget
            .reserve(Bytes(heads.iter().map(footprint).sum()))?;
        let heads = heads.iter().enumerate();
        let heads = heads.map(|(head, tokens)| self.index(range, head, tokens));
        Ok(Searches {
            heads: heads.collect::<Result<_, _>>()?,
            reservation,
        })
    }

    /// A segment from its columns: what searches is built again, which gives the same.
    ///
    /// # Errors
    /// [`BuildError`] when the budget has no room for what searches, the disk does not give K and V, or the columns are not
    /// those of the range.
    pub fn reopen(
        &self,
        range: TokenRange,
        dtype: Dtype,
        columns: Arc<Columns>,
    ) -> Result<Built, BuildError> {
        if self.parameters.kind.has_clusters() {
            let searches = None;
            return Ok(Built { columns, searches });
        }
        let searches = Some(self.searches_of(range, dtype, &columns)?);
        Ok(Built { columns, searches })
    }

    fn searches_of(
        &self,
        range: TokenRange,
        dtype: Dtype,
        columns: &Columns,
    ) -> Result<Searches, BuildError> {
        let tokens = range.tokens() as usize;
        let rows = columns.rows(schema::POSITIONS) as usize;
        let heads = rows / tokens.max(1);
        let all = [schema::KEYS, schema::VALUES].map(|column| (column, 0..rows));
        let _held = columns
            .hold(all, Patience::Stand)
            .map_err(ReadError::from)?;
        let matrix = |column| {
            let dim = self
                .schema
                .get(column)
                .map_or(0, |column| column.row_elements);
            let bytes = columns.column(column).as_bytes();
            Matrix::new(bytes, dtype, heads * tokens, dim as usize)
        };
        let keys = matrix(schema::KEYS)?;
        let values = matrix(schema::VALUES)?;
        let views = (0..heads).map(|head| {
            let rows = head * tokens..(head + 1) * tokens;
            Ok(HeadTokens {
                keys: keys.slice_rows(rows.clone())?,
                values: values.slice_rows(rows)?,
            })
        });
        let views = views.collect::<Result<Vec<_>, BuildError>>()?;
        self.searches(range, &views)
    }

    fn put_in_order(
        &self,
        range: TokenRange,
        heads: &[HeadTokens<'_>],
    ) -> Result<Columns, BuildError> {
        let mut columns = SegmentBuilder::new(Arc::clone(&self.schema));
        let rows = range.tokens() * heads.len() as u32;
        let keys = columns.allocate(schema::KEYS, rows, &self.budget)?;
        copy(keys, heads.iter().map(|head| head.keys));
        let values = columns.allocate(schema::VALUES, rows, &self.budget)?;
        copy(values, heads.iter().map(|head| head.values));
        let positions = columns.allocate(schema::POSITIONS, rows, &self.budget)?;
        fill_u32(positions, heads.iter().flat_map(|_| range.start..range.end));
        Ok(columns.seal()?)
    }

    fn index(
        &self,
        range: TokenRange,
        head: usize,
        tokens: &HeadTokens<'_>,
    ) -> Result<HeadSearch, BuildError> {
        let keys = numbers(tokens.keys)?;
        let of_head = HeadKeys {
            keys: &keys,
            dim: tokens.keys.cols(),
            seed: self.seed(range, head),
        };
        Ok(HeadSearch {
            keys: kinds::build(self.kernels, &self.parameters, of_head)?,
            value_mean_norm: mean_norm(&numbers(tokens.values)?, tokens.values.cols()),
        })
    }
}

/// Copies matrices one after the other.
fn copy<'a>(into: &mut Buffer, matrices: impl Iterator<Item = Matrix<'a>>) {
    let mut rest = into.as_bytes_mut();
    for matrix in matrices {
        let (bytes, after) = rest.split_at_mut(matrix.bytes().len());
        bytes.copy_from_slice(matrix.bytes());
        rest = after;
    }
}

/// Length of the mean row.
fn mean_norm(rows: &[f32], dim: usize) -> f32 {
    let square: f64 = mean(rows, dim).map(|x| x * x).sum();
    square.sqrt() as f32
}
