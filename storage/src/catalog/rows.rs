//! Every value of the catalog. A value begins with the version of its encoding; numbers are little-endian.

use crate::segment::file::Seal;

/// Version of every encoding below but that of a segment.
const VERSION: u8 = 1;
/// Version of the encoding of a segment. 1 had neither origin nor digest.
const SEGMENT_VERSION: u8 = 2;

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CollectionRow {
    /// See [`crate::Durability`].
    pub(crate) durability: u8,
    pub(crate) name: String,
    /// Of whoever owns the collection.
    pub(crate) record: Vec<u8>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRow {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Of its columns.
    pub(crate) meaning: u32,
    pub(crate) seal: Seal,
    /// For whom its file was written, when that was another.
    pub(crate) origin: Option<Origin>,
    /// Of its content, when that may be shared.
    pub(crate) digest: Option<Digest>,
}

/// The segment that a file was written for: its label says so for ever, whoever has the file later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) collection: String,
    pub(crate) generation: u64,
    pub(crate) layer: u32,
    pub(crate) segment: u64,
}

/// What segments of the same content have in common.
pub(crate) type Digest = [u8; 32];

/// Tokens that no segment has. Of those that were stored, a truncation may have left the first `tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TailRow<'a> {
    pub(crate) tokens: u32,
    pub(crate) stored: u32,
    /// Bytes of a token in each of its planes.
    pub(crate) row_bytes: Vec<u32>,
    pub(crate) content: TailContent<'a>,
}

/// The tokens themselves, plane after plane, or where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TailContent<'a> {
    Inline(&'a [u8]),
    File { number: u64, checksum: u32 },
}

const HAS_ORIGIN: u8 = 1;
const HAS_DIGEST: u8 = 2;

const INLINE: u8 = 0;
const FILE: u8 = 1;

/// Takes numbers from the front of a value; `None` when there are no more.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// After the version, which must be ours.
    fn of(value: &'a [u8]) -> Option<Self> {
        let (version, reader) = Self::versioned(value)?;
        (version == VERSION).then_some(reader)
    }

    pub(crate) fn versioned(value: &'a [u8]) -> Option<(u8, Self)> {
        let (version, rest) = value.split_first()?;
        Some((*version, Self(rest)))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let len = self.u32()?;
        let text = std::str::from_utf8(self.bytes(len as usize)?).ok()?;
        Some(text.to_owned())
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub(crate) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

impl CollectionRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = vec![VERSION, self.durability];
        put_text(&mut value, &self.name);
        value.extend_from_slice(&self.record);
        value
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::of(value)?;
        let durability = reader.u8()?;
        let name = reader.text()?;
        Some(Self {
            durability,
            name,
            record: reader.0.to_vec(),
        })
    }
}

pub(crate) fn put_text(value: &mut Vec<u8>, text: &str) {
    value.extend_from_slice(&(text.len() as u32).to_le_bytes());
    value.extend_from_slice(text.as_bytes());
}

impl SegmentRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = vec![SEGMENT_VERSION];
        for number in [self.start, self.end, self.meaning, self.seal.checksum] {
            value.extend_from_slice(&number.to_le_bytes());
        }
        value.extend_from_slice(&self.seal.bytes.to_le_bytes());
        let origin = self.origin.as_ref().map_or(0, |_| HAS_ORIGIN);
        value.push(origin | self.digest.map_or(0, |_| HAS_DIGEST));
        if let Some(origin) = &self.origin {
            put_text(&mut value, &origin.collection);
            value.extend_from_slice(&origin.generation.to_le_bytes());
            value.extend_from_slice(&origin.layer.to_le_bytes());
            value.extend_from_slice(&origin.segment.to_le_bytes());
        }
        value.extend_from_slice(self.digest.as_ref().map_or(&[], |digest| digest));
        value
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (version, mut reader) = Reader::versioned(value)?;
        let (start, end, meaning) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let checksum = reader.u32()?;
        let bytes = reader.u64()?;
        let has = match version {
            VERSION => 0,
            SEGMENT_VERSION => reader.u8()?,
            _ => return None,
        };
        let origin = match has & HAS_ORIGIN {
            0 => None,
            _ => Some(Origin {
                collection: reader.text()?,
                generation: reader.u64()?,
                layer: reader.u32()?,
                segment: reader.u64()?,
            }),
        };
        let digest = match has & HAS_DIGEST {
            0 => None,
            _ => Some(reader.bytes(size_of::<Digest>())?.try_into().ok()?),
        };
        reader.end()?;
        (start < end).then_some(Self {
            start,
            end,
            meaning,
            seal: Seal { bytes, checksum },
            origin,
            digest,
        })
    }
}

impl<'a> TailRow<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let inline = match self.content {
            TailContent::Inline(bytes) => bytes,
            TailContent::File { .. } => &[],
        };
        let mut value = Vec::with_capacity(32 + inline.len());
        value.push(VERSION);
        value.extend_from_slice(&self.tokens.to_le_bytes());
        value.extend_from_slice(&self.stored.to_le_bytes());
        value.push(self.row_bytes.len() as u8);
        for bytes in &self.row_bytes {
            value.extend_from_slice(&bytes.to_le_bytes());
        }
        match self.content {
            TailContent::Inline(_) => value.push(INLINE),
            TailContent::File { number, checksum } => {
                value.push(FILE);
                value.extend_from_slice(&number.to_le_bytes());
                value.extend_from_slice(&checksum.to_le_bytes());
            }
        }
        value.extend_from_slice(inline);
        value
    }

    pub(crate) fn decode(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::of(value)?;
        let (tokens, stored, planes) = (reader.u32()?, reader.u32()?, reader.u8()?);
        let row_bytes: Vec<u32> = (0..planes).map(|_| reader.u32()).collect::<Option<_>>()?;
        let content = match reader.u8()? {
            INLINE => TailContent::Inline(reader.0),
            FILE => {
                let (number, checksum) = (reader.u64()?, reader.u32()?);
                reader.end()?;
                TailContent::File { number, checksum }
            }
            _ => return None,
        };
        let row = Self {
            tokens,
            stored,
            row_bytes,
            content,
        };
        let whole = match content {
            TailContent::Inline(bytes) => bytes.len() as u64 == row.stored_bytes(),
            TailContent::File { .. } => true,
        };
        (whole && tokens <= stored).then_some(row)
    }

    /// Bytes of all that was stored.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let token: u64 = self.row_bytes.iter().map(|bytes| u64::from(*bytes)).sum();
        token.saturating_mul(u64::from(self.stored))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_give_back_what_was_put_in(
            name in "[a-z/]{0,20}", origin: bool, digest: Option<Digest>, record in prop::collection::vec(any::<u8>(), 0..40), durability: u8,
            start in 0..u32::MAX, more in 1..1000_u32, numbers: (u32, u32, u64, u64),
            tokens in 0..5_u32, cut in 0..5_u32, widths in prop::collection::vec(1..9_u32, 1..3),
        ) {
            let origin = origin.then(|| Origin {
                collection: name.clone(),
                generation: numbers.2,
                layer: numbers.0,
                segment: numbers.3,
            });
            let collection = CollectionRow { durability, name, record };
            prop_assert_eq!(CollectionRow::decode(&collection.encode()), Some(collection));
            let segment = SegmentRow {
                start,
                end: start.saturating_add(more),
                meaning: numbers.0,
                seal: Seal { bytes: numbers.2, checksum: numbers.1 },
                origin,
                digest,
            };
            prop_assert_eq!(SegmentRow::decode(&segment.encode()), Some(segment));
            let stored = tokens + cut;
            let inline = vec![7; (widths.iter().sum::<u32>() * stored) as usize];
            let contents = [
                TailContent::Inline(&inline),
                TailContent::File { number: numbers.3, checksum: numbers.0 },
            ];
            for content in contents {
                let row = TailRow { tokens, stored, row_bytes: widths.clone(), content };
                let value = row.encode();
                prop_assert_eq!(TailRow::decode(&value), Some(row));
            }
        }

        #[test]
        fn no_value_is_more_than_no_row(value in prop::collection::vec(any::<u8>(), 0..64), ours: bool) {
            let mut value = value;
            if let (true, Some(first)) = (ours, value.first_mut()) {
                *first = VERSION + *first % 2;
            }
            // A checksum of RocksDB's stands before this; what it lets through must still not end the process.
            let _ = (CollectionRow::decode(&value), SegmentRow::decode(&value), TailRow::decode(&value));
        }
    }

    const SEGMENT: SegmentRow = SegmentRow {
        start: 1,
        end: 2,
        meaning: 3,
        seal: Seal {
            bytes: 4,
            checksum: 5,
        },
        origin: None,
        digest: None,
    };

    #[test]
    fn the_row_of_a_segment_of_the_version_before_is_read() {
        let value = [
            [1].as_slice(),
            &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0],
            &[4, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(SegmentRow::decode(&value.concat()), Some(SEGMENT));
    }

    #[test]
    fn another_version_is_no_row() {
        let mut value = SEGMENT.encode();
        value[0] = SEGMENT_VERSION + 1;
        assert_eq!(SegmentRow::decode(&value), None);
        value.truncate(5);
        assert_eq!(SegmentRow::decode(&value), None);
    }
}
