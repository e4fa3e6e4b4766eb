//! A sealed segment, in memory or in a mapped file: whoever reads it does not notice.

use std::ops::Range;
use std::sync::Arc;

use crate::residence::PagedFile;
use crate::segment::{ColumnId, Schema};
use crate::{Buffer, Bytes, Cells, Hold, Patience, ResidenceError};

/// The columns of one sealed segment. Made by [`SegmentBuilder::seal`](super::SegmentBuilder::seal) or by
/// [`file::open`](super::file::open) or [`file::load`](super::file::load), which have checked every size. What is in memory counts in its budget until this is
/// dropped: all of what was built, and of a mapped file the blocks that are there.
///
/// Of a paged column (see [`Column::paged`](super::Column::paged)), whoever reads rows holds them meanwhile
/// ([`Columns::hold`]): read without, they come as the system pleases, and nobody counts them.
///
/// Columns are read by [`ColumnId`] of the segment's own schema; the methods that take one panic on an id that the schema
/// does not have, as an index out of a slice does.
#[derive(Debug)]
pub struct Columns {
    schema: Arc<Schema>,
    filled: Vec<Filled>,
}

/// One column with its rows.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) rows: u32,
    pub(super) content: Content,
}

/// Where the bytes of a column are. They begin at a multiple of 64.
#[derive(Debug)]
pub(super) enum Content {
    Owned(Buffer),
    /// A part of a file that was read whole.
    Loaded {
        file: Arc<Buffer>,
        range: Range<usize>,
    },
    Mapped {
        file: Arc<PagedFile>,
        range: Range<usize>,
    },
}

impl Content {
    fn cells(&self) -> Cells<'_> {
        Cells::new(match self {
            Self::Owned(buffer) => buffer.as_bytes(),
            Self::Loaded { file, range } => &file.as_bytes()[range.clone()],
            Self::Mapped { file, range } => &file.bytes()[range.clone()],
        })
    }
}

impl Columns {
    pub(super) fn sealed(schema: Arc<Schema>, filled: Vec<Filled>) -> Self {
        Self { schema, filled }
    }

    /// What the columns are.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Rows of one column.
    pub fn rows(&self, id: ColumnId) -> u32 {
        self.filled[id.index()].rows
    }

    /// Content of one column, row after row.
    pub fn column(&self, id: ColumnId) -> Cells<'_> {
        self.filled[id.index()].content.cells()
    }

    /// Bytes of content of one column.
    pub fn column_size(&self, id: ColumnId) -> Bytes {
        Bytes::from(self.column(id).len())
    }

    /// Bytes of content of all columns.
    pub fn size(&self) -> Bytes {
        self.filled
            .iter()
            .map(|column| Bytes::from(column.content.cells().len()))
            .sum()
    }

    /// Has rows of columns in memory for as long as the answer lives.
    ///
    /// # Errors
    /// [`ResidenceError::Read`] when the device does not give them.
    pub fn hold(
        &self,
        wanted: impl IntoIterator<Item = (ColumnId, Range<usize>)>,
        patience: Patience,
    ) -> Result<Hold<'_>, ResidenceError> {
        match self.file() {
            Some(file) => file.hold(self.places(wanted), patience),
            None => Ok(Hold::of_nothing()),
        }
    }

    /// Says which rows of columns will be held soon, so that the device reads them meanwhile.
    pub fn expect(&self, wanted: impl IntoIterator<Item = (ColumnId, Range<usize>)>) {
        if let Some(file) = self.file() {
            file.expect(self.places(wanted));
        }
    }

    /// Whether all of these rows are in memory.
    pub fn is_resident(&self, wanted: impl IntoIterator<Item = (ColumnId, Range<usize>)>) -> bool {
        self.file()
            .is_none_or(|file| file.is_resident(self.places(wanted)))
    }

    /// Brings all of a mapped file, if there is room.
    ///
    /// # Errors
    /// [`ResidenceError`] when there is none, or the device does not give it.
    pub fn promote(&self) -> Result<(), ResidenceError> {
        self.file().map_or(Ok(()), PagedFile::promote)
    }

    /// Has everything leave that may and that nobody holds.
    pub fn demote(&self) {
        if let Some(file) = self.file() {
            file.demote();
        }
    }

    /// The places of rows in the file.
    fn places(
        &self,
        wanted: impl IntoIterator<Item = (ColumnId, Range<usize>)>,
    ) -> impl Iterator<Item = Range<usize>> {
        wanted.into_iter().filter_map(|(id, rows)| {
            let Content::Mapped { range, .. } = &self.filled[id.index()].content else {
                return None;
            };
            let row = self.schema.columns()[id.index()].row_bytes();
            let end = range.end.min(range.start + rows.end * row);
            Some((range.start + rows.start * row).min(end)..end)
        })
    }

    fn file(&self) -> Option<&PagedFile> {
        self.filled.iter().find_map(|column| match &column.content {
            Content::Owned(_) | Content::Loaded { .. } => None,
            Content::Mapped { file, .. } => Some(&**file),
        })
    }

    /// What is in memory counts in its budget: content and alignment of what was built or loaded, nothing of a mapped file.
    pub fn footprint(&self) -> Bytes {
        let footprint = |column: &Filled| match &column.content {
            Content::Owned(buffer) => buffer.footprint(),
            Content::Loaded { range, .. } => Buffer::footprint_of(range.len()),
            Content::Mapped { .. } => Bytes(0),
        };
        self.filled.iter().map(footprint).sum()
    }

    /// Whether the columns are those of a mapped file.
    pub fn is_mapped(&self) -> bool {
        self.file().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::segment::{Column, ColumnId, Element, Schema, SegmentBuilder, SegmentError};
    use crate::{Budget, Bytes};

    const WIDE: ColumnId = ColumnId(0);
    const NARROW: ColumnId = ColumnId(1);

    fn builder() -> SegmentBuilder {
        let schema = Schema::new(vec![
            Column {
                name: "wide",
                element: Element::U32,
                row_elements: 8,
                paged: false,
            },
            Column {
                name: "narrow",
                element: Element::F16,
                row_elements: 1,
                paged: false,
            },
        ]);
        SegmentBuilder::new(Arc::new(schema.unwrap()))
    }

    #[test]
    fn columns_of_different_rows_are_read_by_id() {
        let budget = Budget::new(Bytes(4096));
        let mut builder = builder();
        builder
            .allocate(NARROW, 3, &budget)
            .unwrap()
            .as_u16_mut()
            .copy_from_slice(&[5, 6, 7]);
        builder
            .put(WIDE, 10, budget.allocate(320).unwrap())
            .unwrap();
        let columns = builder.seal().unwrap();
        assert_eq!((columns.rows(WIDE), columns.rows(NARROW)), (10, 3));
        assert_eq!(columns.column(NARROW).as_u16(), [5, 6, 7]);
        assert_eq!(columns.column_size(WIDE), Bytes(320));
        assert_eq!(columns.size(), Bytes(326));
        assert_eq!(columns.footprint(), Bytes(384));
        assert_eq!(budget.used(), columns.footprint());
        drop(columns);
        assert_eq!(budget.used(), Bytes(0));
    }

    #[test]
    fn a_wrong_size_names_column_got_and_expected() {
        let budget = Budget::new(Bytes(4096));
        let wrong = builder()
            .put(WIDE, 2, budget.allocate(63).unwrap())
            .unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "column \"wide\" has 63 bytes: expected 64, 2 rows of 32 bytes"
        );
        assert_eq!(budget.used(), Bytes(0));
    }

    #[test]
    fn every_column_is_filled_once() {
        let budget = Budget::new(Bytes(4096));
        let mut builder = builder();
        builder.allocate(WIDE, 1, &budget).unwrap();
        let twice = builder.allocate(WIDE, 1, &budget).unwrap_err();
        assert_eq!(twice, SegmentError::FilledTwice { column: "wide" });
        let unknown = builder.allocate(ColumnId(2), 1, &budget).unwrap_err();
        assert_eq!(unknown, SegmentError::NoSuchColumn { id: 2, columns: 2 });
        assert_eq!(
            builder.seal().unwrap_err(),
            SegmentError::Missing { column: "narrow" }
        );
    }

    #[test]
    fn no_memory_names_the_column() {
        let budget = Budget::new(Bytes(64));
        let refused = builder().allocate(WIDE, 3, &budget).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("column \"wide\": 128 bytes of memory were asked for")
        );
    }
}
