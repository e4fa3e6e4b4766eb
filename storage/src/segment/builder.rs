//! A segment while it is being filled.

use std::sync::Arc;

use crate::segment::columns::{Content, Filled};
use crate::segment::{Column, ColumnId, Columns, Schema};
use crate::{Budget, BudgetExceeded, Buffer};

/// Why a segment was not built. Names the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The bytes are not the rows that they should be.
    #[error(
        "column {column:?} has {got} bytes: expected {expected}, {rows} rows of {row_bytes} bytes"
    )]
    WrongSize {
        /// Name of the column.
        column: &'static str,
        /// Bytes given.
        got: usize,
        /// Bytes that the rows need.
        expected: usize,
        /// Rows announced.
        rows: u32,
        /// Bytes of one row.
        row_bytes: usize,
    },
    /// A column was given twice.
    #[error("column {column:?} is filled already")]
    FilledTwice {
        /// Name of the column.
        column: &'static str,
    },
    /// A column was never given.
    #[error("column {column:?} is missing: expected every column of the schema")]
    Missing {
        /// Name of the column.
        column: &'static str,
    },
    /// The schema has no such column.
    #[error("column {id} does not exist: expected one of {columns} columns")]
    NoSuchColumn {
        /// The id asked for.
        id: u16,
        /// Columns that the schema has.
        columns: usize,
    },
    /// There is no memory for a column.
    #[error("column {column:?}: {source}")]
    NoMemory {
        /// Name of the column.
        column: &'static str,
        /// Asked, used and limit.
        source: BudgetExceeded,
    },
}

/// Collects the columns of a segment, in any order, and seals them.
#[derive(Debug)]
pub struct SegmentBuilder {
    schema: Arc<Schema>,
    filled: Vec<Option<Filling>>,
}

/// Rows of a column, and its content.
type Filling = (u32, Buffer);

impl SegmentBuilder {
    /// A segment of this schema with no column yet.
    pub fn new(schema: Arc<Schema>) -> Self {
        let filled = schema.columns().iter().map(|_| None).collect();
        Self { schema, filled }
    }

    /// Takes `buffer` as the column's `rows` rows.
    ///
    /// # Errors
    /// When the buffer's length is not that of the rows, the column is filled already, or there is no such column.
    pub fn put(&mut self, id: ColumnId, rows: u32, buffer: Buffer) -> Result<(), SegmentError> {
        let (column, slot) = self.slot(id)?;
        let expected = column.bytes(rows);
        if buffer.len() != expected {
            return Err(SegmentError::WrongSize {
                column: column.name,
                got: buffer.len(),
                expected,
                rows,
                row_bytes: column.row_bytes(),
            });
        }
        *slot = Some((rows, buffer));
        Ok(())
    }

    /// Allocates the column's `rows` rows from `budget`, zeroed, and gives them to write.
    ///
    /// # Errors
    /// When the budget has no room, the column is filled already, or there is no such column.
    pub fn allocate(
        &mut self,
        id: ColumnId,
        rows: u32,
        budget: &Budget,
    ) -> Result<&mut Buffer, SegmentError> {
        let (column, slot) = self.slot(id)?;
        let buffer =
            budget
                .allocate(column.bytes(rows))
                .map_err(|source| SegmentError::NoMemory {
                    column: column.name,
                    source,
                })?;
        Ok(&mut slot.insert((rows, buffer)).1)
    }

    /// The segment, from now on immutable.
    ///
    /// # Errors
    /// [`SegmentError::Missing`] when a column was never given.
    pub fn seal(self) -> Result<Columns, SegmentError> {
        let columns = self.schema.columns().iter().zip(self.filled);
        let filled = columns
            .map(|(column, filled)| {
                let column = column.name;
                let (rows, buffer) = filled.ok_or(SegmentError::Missing { column })?;
                let content = Content::Owned(buffer);
                Ok(Filled { rows, content })
            })
            .collect::<Result<_, _>>()?;
        Ok(Columns::sealed(self.schema, filled))
    }

    /// The place of a column that is not filled yet.
    fn slot(&mut self, id: ColumnId) -> Result<(Column, &mut Option<Filling>), SegmentError> {
        let columns = self.schema.columns().len();
        let none = SegmentError::NoSuchColumn { id: id.0, columns };
        let column = *self.schema.get(id).ok_or(none)?;
        match self.filled.get_mut(id.index()).ok_or(none)? {
            Some(_) => Err(SegmentError::FilledTwice {
                column: column.name,
            }),
            slot @ None => Ok((column, slot)),
        }
    }
}
