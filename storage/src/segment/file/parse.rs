//! From the bytes of a file to the places of its columns. The bytes may be anything: nothing here may trust them.

use std::ops::Range;
use std::path::Path;

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{FieldNode, Footer, Message, RecordBatch, root_as_footer, root_as_message};
use arrow_schema::{Field, Schema as ArrowSchema};

use super::frame::{ALIGNMENT, CONTINUATION, MAGIC, OFFSETS_BYTES};
use super::types::{CHECKSUM_KEY, FORMAT_KEY, data_type, has_lists};
use super::{FORMAT, FileError, Label};
use crate::segment::{Column, Schema};

/// One column in the file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) rows: u32,
    /// Its content, counted from the file's beginning; begins at a multiple of 64.
    pub(super) range: Range<usize>,
    /// CRC-32C that the file says it has.
    pub(super) checksum: u32,
}

/// A file that is being read.
struct Parser<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

/// Finds the columns of `schema` in a file that must bear `label`.
pub(super) fn parse(
    path: &Path,
    bytes: &[u8],
    label: &Label,
    schema: &Schema,
) -> Result<Vec<Found>, FileError> {
    let parser = Parser { path, bytes };
    let footer = parser.footer()?;
    let fields = footer
        .schema()
        .ok_or_else(|| parser.damaged("the footer has no schema"))?;
    let fields = try_fb_to_schema(fields).map_err(|error| parser.damaged(error.to_string()))?;
    parser.check_format(&fields)?;
    parser.check_label(&fields, label)?;
    let (batch, body) = parser.batch(&footer)?;
    parser.columns(&fields, schema, batch, body)
}

impl<'a> Parser<'a> {
    fn damaged(&self, what: impl Into<String>) -> FileError {
        FileError::Damaged {
            path: self.path.to_owned(),
            what: what.into(),
        }
    }

    fn footer(&self) -> Result<Footer<'a>, FileError> {
        let end = &MAGIC[..6];
        let inner = self.bytes.strip_prefix(MAGIC);
        let inner = inner.and_then(|inner| inner.strip_suffix(end));
        let Some((inner, len)) = inner.and_then(|inner| inner.split_last_chunk()) else {
            return Err(self.damaged("it does not begin and end as an Arrow file does"));
        };
        let len = u32::from_le_bytes(*len) as usize;
        let start = inner.len().checked_sub(len);
        let footer = start.and_then(|start| inner.get(start..));
        let footer = footer.ok_or_else(|| self.damaged("its footer is longer than the file"))?;
        root_as_footer(footer).map_err(|error| self.damaged(error.to_string()))
    }

    fn check_format(&self, fields: &ArrowSchema) -> Result<(), FileError> {
        let format = fields.metadata().get(FORMAT_KEY);
        let format = format.and_then(|format| format.parse::<u32>().ok());
        match format {
            Some(got) if got > FORMAT => Err(FileError::Newer {
                path: self.path.to_owned(),
                got,
                expected: FORMAT,
            }),
            Some(1..) => Ok(()),
            _ => Err(self.damaged("it does not say its format")),
        }
    }

    fn check_label(&self, fields: &ArrowSchema, label: &Label) -> Result<(), FileError> {
        for (key, expected) in label.entries() {
            let got = fields.metadata().get(key).map_or("", |got| got.as_str());
            if got != expected {
                return Err(FileError::Label {
                    path: self.path.to_owned(),
                    key,
                    got: got.chars().take(256).collect(),
                    expected,
                });
            }
        }
        Ok(())
    }

    /// The one record batch, and where its body is.
    fn batch(&self, footer: &Footer<'a>) -> Result<(RecordBatch<'a>, Range<usize>), FileError> {
        let blocks = footer.recordBatches();
        let block = blocks.filter(|blocks| blocks.len() == 1);
        let block = block.ok_or_else(|| self.damaged("it has not one record batch"))?;
        let block = block.get(0);
        let place = |number: i64| usize::try_from(number).ok();
        let within = || {
            let start = place(block.offset())?;
            let body = start.checked_add(place(block.metaDataLength().into())?)?;
            let end = body.checked_add(place(block.bodyLength())?)?;
            let message = self.bytes.get(start..body)?;
            (end <= self.bytes.len() && body.is_multiple_of(ALIGNMENT))
                .then_some((message, body..end))
        };
        let (message, body) =
            within().ok_or_else(|| self.damaged("its record batch is not within it"))?;
        Ok((self.message(message)?, body))
    }

    fn message(&self, bytes: &'a [u8]) -> Result<RecordBatch<'a>, FileError> {
        let message = bytes.strip_prefix(&CONTINUATION);
        let message = message.and_then(|message| message.get(size_of::<u32>()..));
        let message = message.ok_or_else(|| self.damaged("its record batch has no message"))?;
        let message: Message<'a> =
            root_as_message(message).map_err(|error| self.damaged(error.to_string()))?;
        message
            .header_as_record_batch()
            .filter(|batch| batch.length() == 1 && batch.compression().is_none())
            .ok_or_else(|| self.damaged("its message is no uncompressed record batch of one row"))
    }

    fn columns(
        &self,
        fields: &ArrowSchema,
        schema: &Schema,
        batch: RecordBatch<'a>,
        body: Range<usize>,
    ) -> Result<Vec<Found>, FileError> {
        if fields.fields().len() != schema.columns().len() {
            let (got, expected) = (fields.fields().len(), schema.columns().len());
            return Err(self.damaged(format!("it has {got} columns, expected {expected}")));
        }
        let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else {
            return Err(self.damaged("its record batch has no columns"));
        };
        let mut lengths = nodes.iter().map(FieldNode::length);
        let mut buffers = buffers.iter();
        let columns = schema.columns().iter().zip(fields.fields());
        let found = columns.map(|(column, field)| {
            let checksum = self.checked_field(column, field)?;
            let rows = lengths.by_ref().nth(usize::from(has_lists(column)));
            // Of a column whose rows are elements, the node of its elements.
            let rows = if has_lists(column) {
                lengths.next().and(rows)
            } else {
                lengths.next()
            };
            // Bitmap, offsets; bitmap of the rows; bitmap.
            let offsets = buffers.by_ref().nth(1);
            let content = buffers.by_ref().nth(1 + usize::from(has_lists(column)));
            let places = offsets.zip(content).and_then(|(offsets, content)| {
                let offsets = within(offsets.offset(), offsets.length(), &body)?;
                let content = within(content.offset(), content.length(), &body)?;
                let rows = u32::try_from(rows?).ok()?;
                self.has_rows(column, rows, offsets, &content)
                    .then_some((rows, content))
            });
            let (rows, range) = places.ok_or_else(|| {
                self.damaged(format!(
                    "column {:?} is not within it, or has other rows than it says",
                    column.name
                ))
            })?;
            Ok(Found {
                rows,
                range,
                checksum,
            })
        });
        found.collect()
    }

    /// Whether the offsets are those of one list of `rows` rows, and the content is as long.
    fn has_rows(
        &self,
        column: &Column,
        rows: u32,
        offsets: Range<usize>,
        content: &Range<usize>,
    ) -> bool {
        let mut expected = [0; OFFSETS_BYTES];
        expected[8..].copy_from_slice(&u64::from(rows).to_le_bytes());
        self.bytes.get(offsets) == Some(&expected[..]) && content.len() == column.bytes(rows)
    }

    /// The checksum of a field that is the column's.
    fn checked_field(&self, column: &Column, field: &Field) -> Result<u32, FileError> {
        let expected = data_type(column);
        if field.name() != column.name || *field.data_type() != expected {
            return Err(FileError::Column {
                path: self.path.to_owned(),
                column: column.name,
                got: format!("{:?} of {}", field.name(), field.data_type()),
                expected: format!("of {expected}"),
            });
        }
        let checksum = field.metadata().get(CHECKSUM_KEY);
        checksum
            .and_then(|checksum| u32::from_str_radix(checksum, 16).ok())
            .ok_or_else(|| self.damaged(format!("column {:?} has no checksum", column.name)))
    }
}

/// A buffer of the body in the file, when it is within the body and aligned.
fn within(offset: i64, len: i64, body: &Range<usize>) -> Option<Range<usize>> {
    let start = body.start.checked_add(usize::try_from(offset).ok()?)?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= body.end && start.is_multiple_of(ALIGNMENT)).then_some(start..end)
}
