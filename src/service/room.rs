//! The room that the answers of one call share: an answer is one message, which `grpc.max_message_bytes` bounds, or one
//! region of shared memory. An entry whose answer does not fit what is left is refused alone, before it is computed.
//!
//! Sizes are upper bounds on what either takes, so that what was let in is never too large once it is there.

use std::fmt::Display;

use crate::collection::{Ranking, What};
use crate::engine::batch::TopClusters;
use crate::model::{AttendQuery, Geometry, Invalid};

/// Of every entry, whatever it comes to: the frame of its answer (fields, shapes and lengths), or the sentence of its
/// refusal. At most half of the smallest message in the largest batch.
pub(super) const ENTRY_BYTES: usize = 512;
/// Of a KV head of a ranking, with none of its clusters.
const HEAD_BYTES: usize = 12;
/// Of a ranked cluster, without its payload: its name 25, its numbers 18, tag and length.
const CLUSTER_BYTES: usize = 48;
/// Of a cluster's payload, without its tokens: two tensors of 26, and longer lengths around them.
const PAYLOAD_BYTES: usize = 72;
/// Of a token's position, a varint.
const POSITION_BYTES: usize = 5;

/// What is left for the answers of a call.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    most: usize,
    /// Who gives it.
    giver: &'static str,
}

impl Room {
    /// The room of a message of at most `most` bytes that answers so many entries.
    pub(super) fn of_message(most: usize, entries: usize) -> Self {
        Self::new(most, entries, "grpc.max_message_bytes")
    }

    /// The room of a region of `most` bytes of shared memory that answers so many entries.
    pub(super) fn of_region(most: usize, entries: usize) -> Self {
        Self::new(most, entries, "answer.bytes")
    }

    fn new(most: usize, entries: usize, giver: &'static str) -> Self {
        Self {
            left: most.saturating_sub(entries * ENTRY_BYTES),
            most,
            giver,
        }
    }

    /// Takes the answer to an attend: out, lse and two numbers of the report for each query token and head.
    ///
    /// # Errors
    /// As [`Room::take`].
    pub(super) fn attended(
        &mut self,
        query: &AttendQuery,
        geometry: &Geometry,
    ) -> Result<(), Invalid> {
        let rows = query.queries.len() / geometry.head_dim as usize;
        let tokens = rows / geometry.q_heads as usize;
        let bytes = rows * (geometry.value_dim as usize + 3) * size_of::<f32>();
        self.take("q", format_args!("{tokens} tokens"), bytes)
    }

    /// Takes a partial of one query token.
    ///
    /// # Errors
    /// As [`Room::take`].
    pub(super) fn estimated(&mut self, geometry: &Geometry) -> Result<(), Invalid> {
        let row = (geometry.value_dim as usize + 1) * size_of::<f32>();
        self.take("q", "1 token", geometry.q_heads as usize * row)
    }

    /// Takes a ranking, with the payload that was asked for.
    ///
    /// # Errors
    /// As [`Room::take`].
    pub(super) fn ranked(
        &mut self,
        asked: &TopClusters,
        ranking: &Ranking,
        geometry: &Geometry,
    ) -> Result<(), Invalid> {
        let (clusters, tokens) = ranking.clusters_and_tokens();
        let heads = ranking.heads.len() * HEAD_BYTES;
        let bare = heads + clusters * CLUSTER_BYTES;
        let limit = asked.limit;
        if !asked.with_payload {
            return self.take("limit", format_args!("{limit}, {clusters} clusters"), bare);
        }
        let bytes = bare + clusters * PAYLOAD_BYTES + tokens * token_bytes(geometry, 1);
        let value =
            format_args!("{limit}, {clusters} clusters with the payload of {tokens} tokens");
        self.take("limit", value, bytes)
    }

    /// Takes fetched tokens.
    ///
    /// # Errors
    /// As [`Room::take`].
    pub(super) fn fetched(
        &mut self,
        what: &What,
        tokens: u32,
        geometry: &Geometry,
    ) -> Result<(), Invalid> {
        let bytes = |heads| tokens as usize * token_bytes(geometry, heads);
        match what {
            What::Range(range) => self.take("range", range, bytes(geometry.kv_heads)),
            What::Cluster(address) => self.take("cluster", address, bytes(1)),
        }
    }

    /// Takes `bytes`, or nothing.
    ///
    /// # Errors
    /// [`Invalid`] naming the field that asks for them, how many they are, and how many there are.
    fn take(&mut self, field: &str, value: impl Display, bytes: usize) -> Result<(), Invalid> {
        let Self { left, most, giver } = *self;
        if let Some(left) = left.checked_sub(bytes) {
            self.left = left;
            return Ok(());
        }
        let value = format!("{value}, an answer of {bytes} bytes");
        let expected = format!("at most {left} bytes, what is left of {giver} ({most})");
        Err(Invalid::new(field, value, expected))
    }
}

/// K and V of so many heads, and the position.
fn token_bytes(geometry: &Geometry, heads: u32) -> usize {
    (geometry.key_bytes() + geometry.value_bytes()) * heads as usize + POSITION_BYTES
}
