//! The parts of a file that are not content: Arrow's messages and its footer. `FORMAT.md` has the byte map.

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::{
    Block, Buffer, FieldNode, FooterBuilder, MessageBuilder, MessageHeader, MetadataVersion,
    RecordBatchBuilder,
};
use arrow_schema::Schema as ArrowSchema;
use flatbuffers::FlatBufferBuilder;

use super::types::has_lists;
use crate::segment::{ColumnId, Columns};

/// Everything that has an address begins at a multiple of this: a cache line, the widest vector register, and what Arrow
/// recommends.
pub(super) const ALIGNMENT: usize = 64;
/// The file begins with these, filled up to [`ALIGNMENT`] by the schema message's own padding, and ends with the first six.
pub(super) const MAGIC: &[u8; 8] = b"ARROW1\0\0";
/// What stands before the length of every message.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];
/// Bytes of a list's two offsets.
pub(super) const OFFSETS_BYTES: usize = 16;

/// The places of one column's bytes in the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offsets: usize,
    pub(super) content: usize,
    pub(super) len: usize,
    pub(super) rows: u32,
}

/// What stands before and after the content, and where the content stands.
#[derive(Debug)]
pub(super) struct Frame {
    /// Up to the body.
    pub(super) head: Vec<u8>,
    /// Of every column, in the body.
    pub(super) places: Vec<Place>,
    /// Bytes of the body.
    pub(super) body: usize,
    /// After the body.
    pub(super) tail: Vec<u8>,
}

impl Frame {
    pub(super) fn of(columns: &Columns, schema: &ArrowSchema) -> Self {
        let (places, body) = places(columns);
        let mut head = MAGIC.to_vec();
        put_message(&mut head, &schema_message(schema));
        let batch = head.len();
        put_message(&mut head, &batch_message(columns, &places, body));
        let block = Block::new(batch as i64, (head.len() - batch) as i32, body as i64);
        Self {
            head,
            places,
            body,
            tail: tail(schema, block),
        }
    }

    /// Of the whole file.
    pub(super) fn bytes(&self) -> u64 {
        (self.head.len() + self.body + self.tail.len()) as u64
    }
}

/// `len` rounded up to where the next thing may begin.
pub(super) fn aligned(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT)
}

fn places(columns: &Columns) -> (Vec<Place>, usize) {
    let mut next = 0;
    let ids = (0..columns.schema().columns().len() as u16).map(ColumnId);
    let places = ids.map(|id| {
        let len = columns.column(id).len();
        let place = Place {
            offsets: next,
            content: next + ALIGNMENT,
            len,
            rows: columns.rows(id),
        };
        next = place.content + aligned(len);
        place
    });
    (places.collect(), next)
}

/// A message with its length, filled up so that what follows is aligned.
fn put_message(into: &mut Vec<u8>, message: &[u8]) {
    let begin = into.len();
    let end = aligned(begin + 2 * size_of::<u32>() + message.len());
    into.extend_from_slice(&CONTINUATION);
    into.extend_from_slice(&((end - begin - 2 * size_of::<u32>()) as u32).to_le_bytes());
    into.extend_from_slice(message);
    into.resize(end, 0);
}

fn schema_message(schema: &ArrowSchema) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let header = IpcSchemaEncoder::new()
        .schema_to_fb_offset(&mut builder, schema)
        .as_union_value();
    finished(builder, MessageHeader::Schema, header, 0)
}

fn batch_message(columns: &Columns, places: &[Place], body: usize) -> Vec<u8> {
    let mut nodes = vec![];
    let mut buffers = vec![];
    for (column, place) in columns.schema().columns().iter().zip(places) {
        // No value is missing, so no bitmap says which are.
        let none = Buffer::new(place.offsets as i64, 0);
        nodes.push(FieldNode::new(1, 0));
        buffers.extend([
            none,
            Buffer::new(place.offsets as i64, OFFSETS_BYTES as i64),
        ]);
        if has_lists(column) {
            nodes.push(FieldNode::new(i64::from(place.rows), 0));
            buffers.push(none);
        }
        let elements = place.len / column.element.bytes();
        nodes.push(FieldNode::new(elements as i64, 0));
        buffers.extend([none, Buffer::new(place.content as i64, place.len as i64)]);
    }
    let mut builder = FlatBufferBuilder::new();
    let nodes = builder.create_vector(&nodes);
    let buffers = builder.create_vector(&buffers);
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(1);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let header = batch.finish().as_union_value();
    finished(builder, MessageHeader::RecordBatch, header, body)
}

fn finished(
    mut builder: FlatBufferBuilder<'_>,
    kind: MessageHeader,
    header: flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>,
    body: usize,
) -> Vec<u8> {
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_bodyLength(body as i64);
    message.add_header(header);
    let message = message.finish();
    builder.finish(message, None);
    builder.finished_data().to_vec()
}

fn tail(schema: &ArrowSchema, block: Block) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut builder, schema);
    let none = builder.create_vector::<Block>(&[]);
    let blocks = builder.create_vector(&[block]);
    let mut footer = FooterBuilder::new(&mut builder);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(none);
    footer.add_recordBatches(blocks);
    let footer = footer.finish();
    builder.finish(footer, None);
    let footer = builder.finished_data();
    // The end of the stream, the footer, its length, the magic again.
    let mut tail = CONTINUATION.to_vec();
    tail.extend_from_slice(&[0; 4]);
    tail.extend_from_slice(footer);
    tail.extend_from_slice(&(footer.len() as u32).to_le_bytes());
    tail.extend_from_slice(&MAGIC[..6]);
    tail
}
