//! The stored K and V as they were inserted: of a token range, wherever its tokens lie now, or of one cluster.

use std::ops::Range;

use wavekv_storage::Patience;

use crate::collection::layer::Snapshot;
use crate::index::Segment;
use crate::index::segment::ReadError;
use crate::model::{ClusterAddress, Error, ErrorKind, KvHead, TokenRange};

/// What to fetch.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Tokens by position, all KV heads.
    Range(TokenRange),
    /// The tokens of one cluster, one KV head.
    Cluster(ClusterAddress),
}

/// Fetched tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Of each token.
    pub positions: Vec<u32>,
    /// Heads in `keys` and `values`: all of them for a range, 1 for a cluster.
    pub heads: u32,
    /// `[tokens, heads, head_dim]` in the collection's dtype.
    pub keys: Vec<u8>,
    /// `[tokens, heads, value_dim]` in the collection's dtype.
    pub values: Vec<u8>,
}

impl Snapshot {
    /// How many tokens [`Snapshot::fetch`] will answer.
    ///
    /// # Errors
    /// `OutOfRange` when the range ends after the layer; `NotFound` when the cluster is of no present segment.
    pub fn tokens_of(&self, what: What) -> Result<u32, Error> {
        match what {
            What::Range(range) => self.stored(range).map(TokenRange::tokens),
            What::Cluster(address) => Ok(self.cluster(address)?.1.len() as u32),
        }
    }

    /// The stored K and V.
    ///
    /// # Errors
    /// As [`Snapshot::tokens_of`]; `Unavailable` when the disk does not give them.
    pub fn fetch(&self, what: What) -> Result<Fetched, Error> {
        match what {
            What::Range(range) => self.fetch_range(range, Patience::Idle),
            What::Cluster(address) => self.fetch_cluster(address),
        }
    }

    /// A range of stored tokens.
    fn stored(&self, range: TokenRange) -> Result<TokenRange, Error> {
        if range.end > self.length() {
            let message = format!(
                "range.end is {}: expected at most {}, the layer's length",
                range.end,
                self.length()
            );
            return Err(Error::new(ErrorKind::OutOfRange, message));
        }
        Ok(range)
    }

    /// The segment of a cluster, and its rows there.
    ///
    /// # Errors
    /// `NotFound` when it is of no present segment.
    pub(super) fn cluster(
        &self,
        address: ClusterAddress,
    ) -> Result<(&Segment, Range<usize>), Error> {
        let absent = || no_such_cluster(address);
        let segment = self.segment(address.segment).ok_or_else(absent)?;
        let head = segment.head(address.head)?.ok_or_else(absent)?;
        let cluster = address.cluster.0 as usize;
        if cluster >= head.clusters() {
            return Err(absent());
        }
        Ok((segment, head.rows(cluster)))
    }

    /// The tokens of a range, see [`Snapshot::visit`].
    pub(super) fn fetch_range(
        &self,
        range: TokenRange,
        patience: Patience,
    ) -> Result<Fetched, Error> {
        let range = self.stored(range)?;
        let geometry = self.geometry();
        let heads = geometry.kv_heads as usize;
        let (key_bytes, value_bytes) = (geometry.key_bytes(), geometry.value_bytes());
        let tokens = range.tokens() as usize;
        let mut keys = vec![0; tokens * heads * key_bytes];
        let mut values = vec![0; tokens * heads * value_bytes];
        for head in 0..heads {
            self.visit(
                KvHead(head as u32),
                range,
                patience,
                |position, key, value| {
                    let row = (position - range.start) as usize * heads + head;
                    keys[row * key_bytes..][..key_bytes].copy_from_slice(key);
                    values[row * value_bytes..][..value_bytes].copy_from_slice(value);
                },
            )?;
        }
        let positions = (range.start..range.end).collect();
        Ok(Fetched {
            positions,
            heads: geometry.kv_heads,
            keys,
            values,
        })
    }

    fn fetch_cluster(&self, address: ClusterAddress) -> Result<Fetched, Error> {
        let (segment, rows) = self.cluster(address)?;
        let payload = segment.payload(address.head, rows, Patience::Idle)?;
        Ok(Fetched {
            positions: payload.positions.to_vec(),
            heads: 1,
            keys: payload.keys.bytes().to_vec(),
            values: payload.values.bytes().to_vec(),
        })
    }

    /// Shows the K and V bytes of every token of `range` of one head, in no particular order. Whoever has locked something
    /// has [`Patience::Stand`].
    pub(super) fn visit(
        &self,
        head: KvHead,
        range: TokenRange,
        patience: Patience,
        mut see: impl FnMut(u32, &[u8], &[u8]),
    ) -> Result<(), ReadError> {
        let geometry = self.geometry();
        let (key_bytes, value_bytes) = (geometry.key_bytes(), geometry.value_bytes());
        for (block, part) in self.steady.parts(range) {
            let keys = block
                .keys(geometry, head, part)?
                .bytes()
                .chunks_exact(key_bytes);
            let values = block
                .values(geometry, head, part)?
                .bytes()
                .chunks_exact(value_bytes);
            for ((position, key), value) in (part.start..part.end).zip(keys).zip(values) {
                see(position, key, value);
            }
        }
        let met = |segment: &&std::sync::Arc<_>| !overlap(segment, range).is_empty();
        for segment in self.segments.iter().filter(met) {
            let payload = segment.payload(head, segment.all_rows(), patience)?;
            let (keys, values) = (payload.keys.bytes(), payload.values.bytes());
            for (row, position) in payload.positions.iter().enumerate() {
                if range.contains(*position) {
                    let key = &keys[row * key_bytes..][..key_bytes];
                    see(*position, key, &values[row * value_bytes..][..value_bytes]);
                }
            }
        }
        Ok(())
    }
}

fn overlap(segment: &Segment, range: TokenRange) -> TokenRange {
    segment.range().intersection(range)
}

/// A cluster that is not there: never was, or a newer segment has its tokens.
fn no_such_cluster(address: ClusterAddress) -> Error {
    let message = format!(
        "cluster is {address}: expected a cluster of a present segment; rank again, segments are replaced when they are \
         merged or truncated"
    );
    Error::new(ErrorKind::NotFound, message)
}
