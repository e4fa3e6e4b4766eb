//! How much a batch is to read, roughly: what decides whether it is worth handing over to the compute pool.

use crate::collection::{Layer, What};
use crate::engine::batch::{AttendStep, Checked, Entry, Estimate, TopClusters};
use crate::model::{Mode, NewTokens};

/// Bytes that one thread reads in about as long as it takes to hand a call over, wake the pool and wake up again.
const LIGHT_BYTES: u64 = 512 << 10;
/// Of the bytes of K and V, what the answer of a mode that estimates reads: 1 in so many.
const READ_OF_ATTEND: u64 = 4;
/// Of the bytes of K and V, what the meta index has: 1 in so many.
const READ_OF_META: u64 = 16;

/// Bytes that a batch is expected to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(u64);

impl Weight {
    /// Of inserts.
    pub fn of_insert(entries: &[Checked<NewTokens>]) -> Self {
        sum(entries, |entry| new_bytes(&entry.what))
    }

    /// Of attends.
    pub fn of_attend(entries: &[Checked<AttendStep>]) -> Self {
        sum(entries, |entry| {
            let AttendStep { insert, query } = &entry.what;
            let geometry = entry.collection.geometry();
            let width = geometry.q_heads as usize * geometry.head_dim as usize;
            let tokens = (query.queries.len() / width.max(1)) as u64;
            let read = match query.mode {
                Mode::Exact => layer_bytes(entry),
                Mode::Budget(_) | Mode::Adaptive { .. } => layer_bytes(entry) / READ_OF_ATTEND,
            };
            insert.as_ref().map_or(0, new_bytes) + tokens.saturating_mul(read)
        })
    }

    /// Of rankings.
    pub fn of_top_clusters(entries: &[Checked<TopClusters>]) -> Self {
        sum(entries, |entry| {
            let read = if entry.what.with_payload {
                1
            } else {
                READ_OF_META
            };
            layer_bytes(entry) / read
        })
    }

    /// Of estimates.
    pub fn of_estimate(entries: &[Checked<Estimate>]) -> Self {
        sum(entries, |entry| layer_bytes(entry) / READ_OF_META)
    }

    /// Of fetches.
    pub fn of_fetch(entries: &[Checked<What>]) -> Self {
        sum(entries, |entry| match entry.what {
            What::Range(range) => {
                let geometry = entry.collection.geometry();
                let token =
                    geometry.kv_heads as usize * (geometry.key_bytes() + geometry.value_bytes());
                u64::from(range.tokens()) * token as u64
            }
            What::Cluster(_) => 0,
        })
    }

    /// Whether whoever has such a batch had better make it.
    pub(super) fn is_light(self) -> bool {
        self.0 <= LIGHT_BYTES
    }
}

fn sum<T>(entries: &[Checked<T>], weight: impl Fn(&Entry<T>) -> u64) -> Weight {
    let weights = entries.iter().flatten().map(weight);
    Weight(weights.fold(0, u64::saturating_add))
}

fn new_bytes(new: &NewTokens) -> u64 {
    (new.keys.len() + new.values.len()) as u64
}

/// K and V of the whole layer.
fn layer_bytes<T>(entry: &Entry<T>) -> u64 {
    let geometry = entry.collection.geometry();
    let token = geometry.kv_heads as usize * (geometry.key_bytes() + geometry.value_bytes());
    let layer = entry.collection.layer(entry.layer);
    u64::from(layer.map_or(0, Layer::length)) * token as u64
}
