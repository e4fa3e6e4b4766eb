//! What is shown: numbers, of two answers.

use serde::Serialize;
use wavekv_client::wire::{ActivityResponse, CollectionActivity, StatsResponse};

use super::COLLECTIONS;
use super::latency::{Latency, latencies};
use super::rate::{Rate, grown, share};

/// Everything, from one answer to a later one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct View {
    pub(crate) boot_epoch: u64,
    pub(crate) version: String,
    pub(crate) uptime_seconds: f64,
    /// What rates and percentiles are of: the time between the answers, or since the daemon's start.
    pub(crate) over_seconds: f64,
    pub(crate) throughput: Throughput,
    pub(crate) calls: Vec<Latency>,
    pub(crate) tiers: Tiers,
    pub(crate) clustering: Clustering,
    pub(crate) audits: Audits,
    /// The one that was used last first.
    pub(crate) collections: Vec<Busy>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "a unit is in the name, and all of these have the same"
)]
pub(crate) struct Throughput {
    pub(crate) calls_per_second: f64,
    pub(crate) failed_per_second: f64,
    pub(crate) inserted_tokens_per_second: f64,
    pub(crate) read_bytes_per_second: f64,
    /// What exact answers would have read.
    pub(crate) full_bytes_per_second: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Tiers {
    pub(crate) memory_budget_bytes: u64,
    pub(crate) memory_used_bytes: u64,
    /// Of segments on disk, in memory.
    pub(crate) resident_bytes: u64,
    /// None where there is no limit.
    pub(crate) disk_budget_bytes: Option<u64>,
    pub(crate) disk_used_bytes: u64,
    /// Of the blocks that were needed, those that were in memory; none where none was needed.
    pub(crate) hit_ratio: Option<f64>,
    pub(crate) misses_per_second: f64,
    pub(crate) evictions_per_second: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Clustering {
    pub(crate) tokens: u64,
    /// That no segment has.
    pub(crate) unclustered_tokens: u64,
    pub(crate) layers_waiting: u64,
    pub(crate) segments_built_per_second: f64,
    /// Since the daemon's start.
    pub(crate) builds_failed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Audits {
    pub(crate) made_per_second: f64,
    pub(crate) skipped_per_second: f64,
    /// Of the audits that the daemon remembers.
    pub(crate) error: f64,
    pub(crate) worst_error: Option<f64>,
    pub(crate) raised_heads: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Busy {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) generation: u64,
    pub(crate) attends_per_second: f64,
    pub(crate) inserts_per_second: f64,
    pub(crate) inserted_tokens_per_second: f64,
    pub(crate) read_bytes_per_second: f64,
    pub(crate) full_bytes_per_second: f64,
}

impl View {
    /// From an answer to a later one; from the daemon's start where there is none before, or the daemon has started since.
    pub(crate) fn between(before: Option<&ActivityResponse>, now: &ActivityResponse) -> Self {
        let nothing = ActivityResponse::default();
        let stats = now.stats.clone().unwrap_or_default();
        let before = before.filter(|before| {
            let before = before.stats.as_ref();
            before.is_some_and(|before| before.boot_epoch == stats.boot_epoch)
        });
        let before = before.unwrap_or(&nothing);
        let earlier = before.stats.clone().unwrap_or_default();
        let passed = grown(earlier.uptime_ms, stats.uptime_ms);
        let rate = Rate {
            seconds: passed as f64 / 1e3,
        };
        let calls = latencies(before, now, rate);
        Self {
            boot_epoch: stats.boot_epoch,
            uptime_seconds: stats.uptime_ms as f64 / 1e3,
            over_seconds: rate.seconds,
            throughput: throughput(before, now, &calls, rate),
            calls,
            tiers: tiers(before, now, &stats, rate),
            clustering: clustering(&earlier, &stats, rate),
            audits: audits((before, &earlier), (now, &stats), rate),
            collections: busiest(before, now, rate),
            version: stats.version,
        }
    }
}

fn throughput(
    before: &ActivityResponse,
    now: &ActivityResponse,
    calls: &[Latency],
    rate: Rate,
) -> Throughput {
    Throughput {
        calls_per_second: calls.iter().map(|call| call.calls_per_second).sum(),
        failed_per_second: calls.iter().map(|call| call.failed_per_second).sum(),
        inserted_tokens_per_second: rate.of(before.inserted_tokens, now.inserted_tokens),
        read_bytes_per_second: rate.of(before.read_bytes, now.read_bytes),
        full_bytes_per_second: rate.of(before.full_bytes, now.full_bytes),
    }
}

fn tiers(
    before: &ActivityResponse,
    now: &ActivityResponse,
    stats: &StatsResponse,
    rate: Rate,
) -> Tiers {
    let (memory, disk) = (
        stats.memory.unwrap_or_default(),
        stats.disk.unwrap_or_default(),
    );
    let (old, new) = (
        before.blocks.unwrap_or_default(),
        now.blocks.unwrap_or_default(),
    );
    Tiers {
        memory_budget_bytes: memory.budget_bytes,
        memory_used_bytes: memory.used_bytes,
        resident_bytes: new.resident_bytes,
        disk_budget_bytes: (disk.budget_bytes > 0).then_some(disk.budget_bytes),
        disk_used_bytes: disk.used_bytes,
        hit_ratio: share(grown(old.hits, new.hits), grown(old.misses, new.misses)),
        misses_per_second: rate.of(old.misses, new.misses),
        evictions_per_second: rate.of(old.evictions, new.evictions),
    }
}

fn clustering(before: &StatsResponse, now: &StatsResponse, rate: Rate) -> Clustering {
    let index = now.index.unwrap_or_default();
    let (old, new) = (
        before.clustering.unwrap_or_default(),
        now.clustering.unwrap_or_default(),
    );
    Clustering {
        tokens: index.tokens,
        unclustered_tokens: index.tokens.saturating_sub(index.clustered_tokens),
        layers_waiting: new.layers_waiting,
        segments_built_per_second: rate.of(old.segments_built, new.segments_built),
        builds_failed: new.builds_failed,
    }
}

/// Each answer with its sizes.
type Answer<'a> = (&'a ActivityResponse, &'a StatsResponse);

fn audits(before: Answer<'_>, now: Answer<'_>, rate: Rate) -> Audits {
    let [old, new] = [before, now].map(|(_, stats)| stats.audit.clone().unwrap_or_default());
    Audits {
        made_per_second: rate.of(before.0.audits, now.0.audits),
        skipped_per_second: rate.of(old.skipped, new.skipped),
        error: new.error.into(),
        worst_error: new.worst.map(|worst| worst.error.into()),
        raised_heads: new.raised_heads,
    }
}

/// In the order that they are told in: the one used last first.
fn busiest(before: &ActivityResponse, now: &ActivityResponse, rate: Rate) -> Vec<Busy> {
    // What was not told of before had done nothing by then, unless more had than are told of: then nobody knows how much.
    let all_were_told = before.collections.len() < COLLECTIONS as usize;
    let nothing = CollectionActivity::default();
    let busy = now.collections.iter().filter_map(|now| {
        let mut earlier = before.collections.iter();
        let earlier = earlier.find(|earlier| earlier.collection == now.collection);
        let earlier = earlier.or_else(|| all_were_told.then_some(&nothing))?;
        let collection = now.collection.clone().unwrap_or_default();
        Some(Busy {
            namespace: collection.namespace,
            name: collection.name,
            generation: collection.generation.unwrap_or(0),
            attends_per_second: rate.of(earlier.attends, now.attends),
            inserts_per_second: rate.of(earlier.inserts, now.inserts),
            inserted_tokens_per_second: rate.of(earlier.inserted_tokens, now.inserted_tokens),
            read_bytes_per_second: rate.of(earlier.read_bytes, now.read_bytes),
            full_bytes_per_second: rate.of(earlier.full_bytes, now.full_bytes),
        })
    });
    busy.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use wavekv_client::wire::{self, CollectionRef};

    fn collection(name: &str, attends: u64, inserted_tokens: u64) -> CollectionActivity {
        CollectionActivity {
            collection: Some(CollectionRef {
                namespace: "default".into(),
                name: name.into(),
                generation: Some(7),
            }),
            attends,
            inserts: inserted_tokens,
            inserted_tokens,
            read_bytes: attends * 1024,
            full_bytes: attends * 10240,
        }
    }

    /// After so many seconds, in each of which there was one attend and one insert of as many tokens as `busy` says.
    pub(in super::super) fn activity(seconds: u64, busy: &[(&str, u64)]) -> ActivityResponse {
        let collections = busy
            .iter()
            .map(|(name, tokens)| collection(name, seconds, tokens * seconds));
        ActivityResponse {
            stats: Some(StatsResponse {
                boot_epoch: 3,
                version: "1.2".into(),
                uptime_ms: seconds * 1000,
                memory: Some(wire::MemoryStats {
                    budget_bytes: 4 << 30,
                    used_bytes: 1 << 30,
                }),
                index: Some(wire::IndexStats {
                    tokens: 100,
                    clustered_tokens: 60,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            bucket_seconds: vec![0.001, 0.002],
            calls: vec![wire::CallActivity {
                operation: "attend".into(),
                transport: "shm".into(),
                outcome: "ok".into(),
                counts: vec![0, seconds, 0],
                seconds: 0.0,
            }],
            inserted_tokens: busy.iter().map(|(_, tokens)| tokens * seconds).sum(),
            read_bytes: 1024 * seconds,
            full_bytes: 10240 * seconds,
            blocks: Some(wire::ResidenceStats {
                hits: 3 * seconds,
                misses: seconds,
                ..Default::default()
            }),
            collections: collections.collect(),
            ..Default::default()
        }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn everything_is_of_the_time_between_two_answers() {
        let busy = [("a", 5), ("b", 2)];
        let view = View::between(Some(&activity(10, &busy)), &activity(14, &busy));
        near(view.over_seconds, 4.0);
        near(view.uptime_seconds, 14.0);
        near(view.throughput.calls_per_second, 1.0);
        near(view.throughput.inserted_tokens_per_second, 7.0);
        near(view.throughput.read_bytes_per_second, 1024.0);
        near(view.throughput.full_bytes_per_second, 10240.0);
        assert_eq!(view.tiers.hit_ratio, Some(0.75));
        assert_eq!(view.tiers.disk_budget_bytes, None);
        assert_eq!(view.clustering.unclustered_tokens, 40);
        near(view.collections[1].inserted_tokens_per_second, 2.0);
        near(view.collections[1].attends_per_second, 1.0);
    }

    #[test]
    fn without_an_answer_before_or_of_another_start_it_is_since_the_start() {
        let now = activity(4, &[("a", 5)]);
        let alone = View::between(None, &now);
        near(alone.over_seconds, 4.0);
        near(alone.throughput.inserted_tokens_per_second, 5.0);
        let mut other = activity(1000, &[("a", 5)]);
        other.stats.as_mut().unwrap().boot_epoch = 2;
        assert_eq!(View::between(Some(&other), &now), alone);
        // Nothing is divided by no time.
        let same = View::between(Some(&now), &now);
        near(same.throughput.calls_per_second, 0.0);
        assert_eq!(same.tiers.hit_ratio, None);
    }

    #[test]
    fn of_a_collection_that_was_not_told_of_it_is_known_what_it_did_if_all_were() {
        let now = activity(4, &[("a", 1), ("new", 1)]);
        let shown = |before: &ActivityResponse| View::between(Some(before), &now).collections.len();
        assert_eq!(shown(&activity(2, &[("a", 1)])), 2);
        let names: Vec<String> = (0..COLLECTIONS).map(|number| number.to_string()).collect();
        let many: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 1)).collect();
        assert_eq!(shown(&activity(2, &many)), 0);
    }
}
