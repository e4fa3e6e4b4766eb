//! A schema in Arrow's terms.

use arrow_schema::{DataType, Field, Fields, Schema as ArrowSchema};

use super::{FORMAT, Label};
use crate::segment::{Column, Element, Schema};

/// Key of the format's version in the file's metadata.
pub(super) const FORMAT_KEY: &str = "wavekv.format";
/// Key of a column's checksum in its field's metadata: eight hexadecimal digits.
pub(super) const CHECKSUM_KEY: &str = "wavekv.crc32c";
/// Arrow's key for the name of an extension type.
const EXTENSION_KEY: &str = "ARROW:extension:name";
/// The extension type of 16-bit values that are the upper half of a 32-bit floating-point number.
const BFLOAT16: &str = "wavekv.bfloat16";

/// The file's schema: a list for each column, of rows where a row has more than one element.
pub(super) fn arrow_schema(schema: &Schema, label: &Label, checksums: &[u32]) -> ArrowSchema {
    let columns = schema.columns().iter().zip(checksums);
    let fields: Fields = columns
        .map(|(column, checksum)| {
            let checksum = (CHECKSUM_KEY.to_owned(), format!("{checksum:08x}"));
            Field::new(column.name, data_type(column), false).with_metadata([checksum])
        })
        .collect();
    let mut metadata: std::collections::HashMap<_, _> = label
        .entries()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    metadata.insert(FORMAT_KEY.to_owned(), FORMAT.to_string());
    ArrowSchema::new_with_metadata(fields, metadata)
}

/// The type of a column: its one value is the list of its rows.
pub(super) fn data_type(column: &Column) -> DataType {
    let element = element(column.element);
    let row = match i32::try_from(column.row_elements) {
        Ok(1) | Err(_) => element,
        Ok(elements) => {
            let row = DataType::FixedSizeList(element.into(), elements);
            Field::new("row", row, false)
        }
    };
    DataType::LargeList(row.into())
}

/// Whether a row is a list of its own.
pub(super) fn has_lists(column: &Column) -> bool {
    column.row_elements != 1
}

fn element(element: Element) -> Field {
    let of = |data_type| Field::new("element", data_type, false);
    match element {
        Element::U8 => of(DataType::UInt8),
        Element::I8 => of(DataType::Int8),
        Element::F16 => of(DataType::Float16),
        Element::Bf16 => {
            let extension = (EXTENSION_KEY.to_owned(), BFLOAT16.to_owned());
            of(DataType::UInt16).with_metadata([extension])
        }
        Element::U32 => of(DataType::UInt32),
        Element::F32 => of(DataType::Float32),
        Element::U64 => of(DataType::UInt64),
    }
}
