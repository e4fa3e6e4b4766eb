//! What a snapshot has: one file with a version and a checksum. `FORMAT.md` has the byte map.

use std::path::Path;

use super::{FORMAT, SnapshotError};
use crate::catalog::rows::{Reader, SegmentRow, put_text};
use crate::store::Durability;

const MAGIC: &[u8; 8] = b"WAVEKVSN";
/// Magic, version, length.
const HEAD_BYTES: usize = 8 + 4 + 8;
const CHECKSUM_BYTES: usize = 4;
/// More than the longest collection of the most layers has.
const MOST_BYTES: u64 = 1 << 30;

/// What the durability of a collection without one is written as; the others are as the catalog has them.
const NONE: u8 = 0;
const SINK: u8 = 0;
const RUN: u8 = 1;

/// A collection as a snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) durability: Option<Durability>,
    /// For people: the record has it too.
    pub(super) name: String,
    pub(super) record: Vec<u8>,
    pub(super) layers: Vec<SavedLayer>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SavedLayer {
    /// In order of position.
    pub(super) segments: Vec<SavedSegment>,
    /// In order of position; they follow each other in the file of tokens, layer by layer.
    pub(super) runs: Vec<SavedRun>,
}

/// A segment of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSegment {
    /// With the number, it is what the file is called.
    pub(super) layer: u32,
    pub(super) number: u64,
    /// Has an origin.
    pub(super) row: SegmentRow,
}

/// Tokens with neighbouring positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedRun {
    /// Whether they are those which no segment ever has.
    pub(super) is_sink: bool,
    pub(super) start: u32,
    pub(super) tokens: u32,
    /// Bytes of a token in each of its planes.
    pub(super) row_bytes: Vec<u32>,
    pub(super) checksum: u32,
}

impl SavedRun {
    pub(super) fn bytes(&self) -> u64 {
        let token: u64 = self.row_bytes.iter().map(|bytes| u64::from(*bytes)).sum();
        token.saturating_mul(u64::from(self.tokens))
    }
}

impl Manifest {
    /// Of the file of tokens.
    pub(super) fn token_bytes(&self) -> u64 {
        let runs = self.layers.iter().flat_map(|layer| &layer.runs);
        runs.fold(0, |bytes, run| bytes.saturating_add(run.bytes()))
    }

    /// Of the files of segments.
    pub(super) fn segment_bytes(&self) -> u64 {
        let segments = self.layers.iter().flat_map(|layer| &layer.segments);
        segments.fold(0, |bytes, segment| {
            bytes.saturating_add(segment.row.seal.bytes)
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut content = vec![self.durability.map_or(NONE, Durability::number)];
        put_text(&mut content, &self.name);
        put_bytes(&mut content, &self.record);
        put_count(&mut content, self.layers.len());
        for layer in &self.layers {
            put_count(&mut content, layer.segments.len());
            for segment in &layer.segments {
                content.extend_from_slice(&segment.number.to_le_bytes());
                put_bytes(&mut content, &segment.row.encode());
            }
            put_count(&mut content, layer.runs.len());
            for run in &layer.runs {
                content.push(if run.is_sink { SINK } else { RUN });
                for number in [run.start, run.tokens, run.checksum] {
                    content.extend_from_slice(&number.to_le_bytes());
                }
                content.push(run.row_bytes.len() as u8);
                for bytes in &run.row_bytes {
                    content.extend_from_slice(&bytes.to_le_bytes());
                }
            }
        }
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&FORMAT.to_le_bytes());
        file.extend_from_slice(&(content.len() as u64).to_le_bytes());
        file.append(&mut content);
        file.extend_from_slice(&crc32c::crc32c(&file).to_le_bytes());
        file
    }

    /// Reads the manifest at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, SnapshotError> {
        let failed = |source| SnapshotError::io(path, source);
        let len = fs_err::metadata(path).map_err(failed)?.len();
        if len > MOST_BYTES {
            let what = format!("{len} bytes: expected at most {MOST_BYTES}");
            return Err(SnapshotError::damaged(path, what));
        }
        let file = fs_err::read(path).map_err(failed)?;
        let damaged = |what: &str| SnapshotError::damaged(path, what);
        let version = file
            .strip_prefix(MAGIC)
            .and_then(|rest| Reader(rest).u32())
            .ok_or_else(|| damaged("it does not begin as the manifest of a snapshot does"))?;
        if version > FORMAT {
            return Err(SnapshotError::Newer {
                path: path.to_owned(),
                got: version,
                expected: FORMAT,
            });
        }
        let content = Self::checked(&file)
            .ok_or_else(|| damaged("its checksum is not that of its content"))?;
        Self::decode(content).ok_or_else(|| damaged("it does not say what a snapshot has"))
    }

    /// The content of a file whose length and checksum are right.
    fn checked(file: &[u8]) -> Option<&[u8]> {
        let (whole, checksum) = file.split_last_chunk::<CHECKSUM_BYTES>()?;
        let (head, content) = whole.split_at_checked(HEAD_BYTES)?;
        let len = Reader(head.get(MAGIC.len() + size_of::<u32>()..)?).u64()?;
        let right = crc32c::crc32c(whole) == u32::from_le_bytes(*checksum);
        (right && len == content.len() as u64).then_some(content)
    }

    fn decode(content: &[u8]) -> Option<Self> {
        let mut reader = Reader(content);
        let durability = match reader.u8()? {
            NONE => None,
            number => Some(Durability::of_number(number)?),
        };
        let name = reader.text()?;
        let record = bytes(&mut reader)?.to_vec();
        let layers = reader.u32()?;
        let layers = (0..layers).map(|layer| SavedLayer::decode(&mut reader, layer));
        let layers = layers.collect::<Option<_>>()?;
        reader.end()?;
        Some(Self {
            durability,
            name,
            record,
            layers,
        })
    }
}

impl SavedLayer {
    fn decode(reader: &mut Reader<'_>, layer: u32) -> Option<Self> {
        let segments = reader.u32()?;
        let segments = (0..segments).map(|_| {
            let number = reader.u64()?;
            let row = SegmentRow::decode(bytes(reader)?)?;
            row.origin
                .is_some()
                .then_some(SavedSegment { layer, number, row })
        });
        let segments = segments.collect::<Option<_>>()?;
        let runs = reader.u32()?;
        let runs = (0..runs).map(|_| SavedRun::decode(reader));
        Some(Self {
            segments,
            runs: runs.collect::<Option<_>>()?,
        })
    }
}

impl SavedRun {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let is_sink = match reader.u8()? {
            SINK => true,
            RUN => false,
            _ => return None,
        };
        let (start, tokens, checksum) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let planes = reader.u8()?;
        let row_bytes = (0..planes).map(|_| reader.u32());
        let row_bytes = row_bytes.collect::<Option<_>>()?;
        start.checked_add(tokens)?;
        (tokens > 0).then_some(Self {
            is_sink,
            start,
            tokens,
            row_bytes,
            checksum,
        })
    }
}

fn put_count(content: &mut Vec<u8>, count: usize) {
    content.extend_from_slice(&(count as u32).to_le_bytes());
}

fn put_bytes(content: &mut Vec<u8>, bytes: &[u8]) {
    put_count(content, bytes.len());
    content.extend_from_slice(bytes);
}

fn bytes<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u32()?;
    reader.bytes(len as usize)
}
