//! Which columns a segment has.

use std::collections::BTreeSet;

/// A column of a [`Schema`]: its place in the list that the schema was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u16);

impl ColumnId {
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What one element is: files say it, so that others can read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 8 bits, or a part of a row that has an encoding of its own.
    U8,
    /// 8 bits, signed.
    I8,
    /// A floating-point number of 16 bits (IEEE 754 half precision).
    F16,
    /// A floating-point number of 16 bits, the upper half of an [`Element::F32`].
    Bf16,
    /// 32 bits.
    U32,
    /// A floating-point number of 32 bits.
    F32,
    /// 64 bits.
    U64,
}

impl Element {
    /// The number of bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::F32 => 4,
            Self::U64 => 8,
        }
    }
}

/// One column: rows of elements of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Unique in its schema.
    pub name: &'static str,
    /// What a row is made of.
    pub element: Element,
    /// Elements of one row; at least 1.
    pub row_elements: u32,
    /// Whether its rows leave memory where there is no room for them. Otherwise they stay as long as the segment is there.
    pub paged: bool,
}

impl Column {
    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.row_elements as usize * self.element.bytes()
    }

    /// Bytes of `rows` rows; saturates at a size that no budget has.
    pub fn bytes(&self, rows: u32) -> usize {
        self.row_bytes().saturating_mul(rows as usize)
    }
}

/// Why a list of columns is no schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Two columns bear one name.
    #[error("column {name:?} is in the schema twice")]
    SameName {
        /// Of both.
        name: &'static str,
    },
    /// Rows without elements.
    #[error("column {name:?} has 0 elements a row: expected at least 1")]
    EmptyRow {
        /// Of the column.
        name: &'static str,
    },
    /// More columns than a [`ColumnId`] can name.
    #[error("a schema of {got} columns: expected at most 65536")]
    TooManyColumns {
        /// Columns in the list.
        got: usize,
    },
}

/// The columns of a segment, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    columns: Vec<Column>,
}

impl Schema {
    /// A schema of these columns; the first is `ColumnId(0)`.
    ///
    /// # Errors
    /// [`SchemaError`] when a name comes twice, a row has no elements, or there are more than 65536 columns.
    pub fn new(columns: Vec<Column>) -> Result<Self, SchemaError> {
        if columns.len() > usize::from(u16::MAX) + 1 {
            return Err(SchemaError::TooManyColumns { got: columns.len() });
        }
        let mut names = BTreeSet::new();
        for &Column {
            name, row_elements, ..
        } in &columns
        {
            if row_elements == 0 {
                return Err(SchemaError::EmptyRow { name });
            }
            if !names.insert(name) {
                return Err(SchemaError::SameName { name });
            }
        }
        Ok(Self { columns })
    }

    /// All columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Their ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = ColumnId> + use<> {
        (0..self.columns.len()).map(|id| ColumnId(id as u16))
    }

    /// One column, or `None` when the schema has no such id.
    pub fn get(&self, id: ColumnId) -> Option<&Column> {
        self.columns.get(id.index())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &'static str, row_elements: u32) -> Column {
        Column {
            name,
            element: Element::U32,
            row_elements,
            paged: false,
        }
    }

    #[test]
    fn a_row_has_elements_times_width_bytes() {
        assert_eq!(column("rows", 3).row_bytes(), 12);
        assert_eq!(column("rows", 3).bytes(5), 60);
    }

    #[test]
    fn refuses_same_names_and_empty_rows() {
        let same = Schema::new(vec![column("a", 1), column("a", 2)]);
        assert_eq!(same, Err(SchemaError::SameName { name: "a" }));
        let empty = Schema::new(vec![column("a", 1), column("b", 0)]).unwrap_err();
        assert_eq!(
            empty.to_string(),
            "column \"b\" has 0 elements a row: expected at least 1"
        );
    }

    #[test]
    fn ids_are_places() {
        let schema = Schema::new(vec![column("a", 1), column("b", 2)]).unwrap();
        assert_eq!(schema.get(ColumnId(1)), Some(&column("b", 2)));
        assert_eq!(schema.get(ColumnId(2)), None);
    }
}
