//! Sizes of the daemon or of a collection.

use std::time::Duration;

use serde_json::{Value, json};
use wavekv_client::wire;

use super::{error, percent, size};

/// All numbers.
pub(crate) fn json(stats: &wire::StatsResponse) -> Value {
    let memory = stats.memory.unwrap_or_default();
    let disk = stats.disk.unwrap_or_default();
    let clustering = stats.clustering.unwrap_or_default();
    let layers: Vec<Value> = stats
        .layers
        .iter()
        .map(|layer| {
            json!({
                "layer": layer.layer,
                "sliding_window": layer.sliding_window,
                "index": index(&layer.index.unwrap_or_default()),
                "audit": audit(&layer.audit.clone().unwrap_or_default()),
                "raised": layer.raised.iter().map(audited_head).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "boot_epoch": stats.boot_epoch,
        "version": stats.version,
        "isa": stats.isa,
        "uptime_ms": stats.uptime_ms,
        "memory": { "budget_bytes": memory.budget_bytes, "used_bytes": memory.used_bytes },
        "disk": {
            "budget_bytes": disk.budget_bytes,
            "used_bytes": disk.used_bytes,
            "collections_expired": disk.collections_expired,
            "collections_deleted_for_room": disk.collections_deleted_for_room,
        },
        "collections": stats.collections,
        "index": index(&stats.index.unwrap_or_default()),
        "clustering": {
            "segments_built": clustering.segments_built,
            "segments_merged": clustering.segments_merged,
            "builds_discarded": clustering.builds_discarded,
            "builds_failed": clustering.builds_failed,
            "layers_waiting": clustering.layers_waiting,
        },
        "audit": audit(&stats.audit.clone().unwrap_or_default()),
        "residence": residence_json(&stats.residence.unwrap_or_default()),
        "layers": layers,
    })
}

/// What is done with blocks.
pub(crate) fn residence_json(residence: &wire::ResidenceStats) -> Value {
    json!({
        "hits": residence.hits,
        "misses": residence.misses,
        "evictions": residence.evictions,
        "resident_bytes": residence.resident_bytes,
        "pinned": residence.pinned,
    })
}

/// What is in memory of segments on disk.
pub(crate) fn resident(residence: &wire::ResidenceStats) -> String {
    let pinned = if residence.pinned { ", pinned" } else { "" };
    format!("{} in memory{pinned}", size(residence.resident_bytes))
}

/// The same of a collection, with what its queries found there.
pub(crate) fn residence(residence: &wire::ResidenceStats) -> String {
    format!(
        "segments on disk: {}; of the blocks that were needed {} were there, {} were evicted",
        resident(residence),
        hit_ratio(residence),
        residence.evictions
    )
}

/// Blocks that were needed, and those of them that had to be brought.
fn hit_ratio(residence: &wire::ResidenceStats) -> String {
    let needed = residence.hits + residence.misses;
    percent(residence.hits as f64 / needed as f64)
}

fn audit(audit: &wire::AuditStats) -> Value {
    json!({
        "audits": audit.audits,
        "skipped": audit.skipped,
        "error": audit.error,
        "worst": audit.worst.as_ref().map(audited_head),
        "raised_heads": audit.raised_heads,
    })
}

fn audited_head(head: &wire::AuditedHead) -> Value {
    let collection = head.collection.as_ref();
    json!({
        "namespace": collection.map(|collection| &collection.namespace),
        "collection": collection.map(|collection| &collection.name),
        "layer": head.layer,
        "kv_head": head.kv_head,
        "error": head.error,
        "target_factor": head.target_factor,
    })
}

fn index(index: &wire::IndexStats) -> Value {
    json!({
        "tokens": index.tokens,
        "clustered_tokens": index.clustered_tokens,
        "segments": index.segments,
        "clusters": index.clusters,
        "payload_bytes": index.payload_bytes,
        "code_bytes": index.code_bytes,
        "shared_bytes": index.shared_bytes,
        "meta_index_bytes": index.meta_index_bytes,
    })
}

/// The daemon, a line per number.
pub(crate) fn table(stats: &wire::StatsResponse) -> String {
    let memory = stats.memory.unwrap_or_default();
    let index = stats.index.unwrap_or_default();
    let clustering = stats.clustering.unwrap_or_default();
    let audits = stats.audit.clone().unwrap_or_default();
    let residence = stats.residence.unwrap_or_default();
    let uptime = Duration::from_secs(stats.uptime_ms / 1000);
    let mut table = super::table(&["daemon", &stats.version], 2, false);
    for (field, value) in [
        ("instruction set", stats.isa.clone()),
        ("up", format!("{uptime:?}")),
        (
            "memory",
            format!(
                "{} of {}",
                size(memory.used_bytes),
                size(memory.budget_bytes)
            ),
        ),
        ("disk", on_disk(&stats.disk.unwrap_or_default())),
        ("of segments on disk", resident(&residence)),
        ("blocks found in memory", hit_ratio(&residence)),
        ("blocks evicted", residence.evictions.to_string()),
        ("collections", stats.collections.to_string()),
        ("tokens, over layers", index.tokens.to_string()),
        (
            "clustered tokens",
            format!("{} ({})", index.clustered_tokens, clustered(&index)),
        ),
        ("segments", index.segments.to_string()),
        ("clusters", index.clusters.to_string()),
        ("K and V", size(index.payload_bytes)),
        ("codes", size(index.code_bytes)),
        ("shared, counted again", size(index.shared_bytes)),
        ("meta index", size(index.meta_index_bytes)),
        ("segments built", clustering.segments_built.to_string()),
        ("segments merged", clustering.segments_merged.to_string()),
        ("builds discarded", clustering.builds_discarded.to_string()),
        ("builds failed", clustering.builds_failed.to_string()),
        ("layers waiting", clustering.layers_waiting.to_string()),
        ("audits", audits.audits.to_string()),
        ("audits skipped", audits.skipped.to_string()),
        ("audited error", audited_error(&audits)),
        ("worst audited head", worst(&audits)),
        (
            "heads with a raised budget",
            audits.raised_heads.to_string(),
        ),
    ] {
        table.add_row([field.to_owned(), value]);
    }
    table.trim_fmt()
}

/// What is used, of how much, and what was deleted for it.
fn on_disk(disk: &wire::DiskStats) -> String {
    let of = match disk.budget_bytes {
        0 => String::new(),
        budget => format!(" of {}", size(budget)),
    };
    let (expired, for_room) = (disk.collections_expired, disk.collections_deleted_for_room);
    let deleted = match (expired, for_room) {
        (0, 0) => String::new(),
        _ => format!("; {expired} collections expired, {for_room} deleted for room"),
    };
    format!("{}{of}{deleted}", size(disk.used_bytes))
}

/// The layers of a collection, a line each.
pub(crate) fn layers(stats: &wire::StatsResponse) -> String {
    let header = [
        "layer",
        "window",
        "tokens",
        "clustered",
        "segments",
        "clusters",
        "K and V",
        "codes",
        "shared",
        "meta index",
        "audits",
        "audited e",
        "worst head",
        "raised heads",
    ];
    let mut table = super::table(&header, 2, false);
    for layer in &stats.layers {
        let index = layer.index.unwrap_or_default();
        let audits = layer.audit.clone().unwrap_or_default();
        table.add_row([
            layer.layer.to_string(),
            match layer.sliding_window {
                0 => "full".to_owned(),
                window => window.to_string(),
            },
            index.tokens.to_string(),
            clustered(&index),
            index.segments.to_string(),
            index.clusters.to_string(),
            size(index.payload_bytes),
            size(index.code_bytes),
            size(index.shared_bytes),
            size(index.meta_index_bytes),
            audits.audits.to_string(),
            audited_error(&audits),
            worst(&audits),
            raised(&layer.raised),
        ]);
    }
    table.trim_fmt()
}

fn audited_error(audit: &wire::AuditStats) -> String {
    if audit.audits == 0 {
        "-".to_owned()
    } else {
        error(audit.error.into())
    }
}

/// The head and its error: of a layer, or of a layer of a collection.
fn worst(audit: &wire::AuditStats) -> String {
    audit.worst.as_ref().map_or_else(
        || "-".to_owned(),
        |head| {
            let place = head.collection.as_ref().map(|collection| {
                let wire::CollectionRef {
                    namespace, name, ..
                } = collection;
                format!("{namespace}/{name} layer {} ", head.layer)
            });
            let place = place.unwrap_or_default();
            format!("{place}head {}: {}", head.kv_head, error(head.error.into()))
        },
    )
}

/// The heads with a raised budget, each with the factor on its target.
fn raised(heads: &[wire::AuditedHead]) -> String {
    if heads.is_empty() {
        return "-".to_owned();
    }
    let heads = heads
        .iter()
        .map(|head| format!("{}: x{:.2}", head.kv_head, head.target_factor));
    heads.collect::<Vec<_>>().join(", ")
}

fn clustered(index: &wire::IndexStats) -> String {
    percent(index.clustered_tokens as f64 / index.tokens as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> wire::StatsResponse {
        let index = wire::IndexStats {
            tokens: 2000,
            clustered_tokens: 1500,
            segments: 2,
            clusters: 90,
            payload_bytes: 5 << 20,
            code_bytes: 1 << 20,
            shared_bytes: 0,
            meta_index_bytes: 1 << 10,
        };
        let head = wire::AuditedHead {
            collection: None,
            layer: 3,
            kv_head: 5,
            error: 0.0625,
            target_factor: 0.75,
        };
        let audit = wire::AuditStats {
            audits: 17,
            skipped: 2,
            error: 0.03125,
            worst: Some(head.clone()),
            raised_heads: 1,
        };
        wire::StatsResponse {
            version: "0.1.0".into(),
            isa: "avx512".into(),
            uptime_ms: 61_500,
            index: Some(index),
            layers: vec![wire::LayerStats {
                layer: 3,
                sliding_window: 0,
                index: Some(index),
                audit: Some(audit.clone()),
                raised: vec![head.clone()],
            }],
            audit: Some(wire::AuditStats {
                worst: Some(wire::AuditedHead {
                    collection: Some(wire::CollectionRef {
                        namespace: "default".into(),
                        name: "chat-1".into(),
                        generation: None,
                    }),
                    ..head
                }),
                ..audit
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_daemon_and_its_layers_are_shown_with_units() {
        let text = table(&stats());
        assert!(text.contains("avx512") && text.contains("61s") && text.contains("1500 (75.0 %)"));
        let text = layers(&stats());
        let line = text.lines().find(|line| line.contains("full")).unwrap();
        assert!(
            line.contains("5.0 MiB") && line.contains("1.0 KiB"),
            "{text}"
        );
        assert_eq!(json(&stats())["layers"][0]["index"]["clusters"], 90);
    }

    #[test]
    fn audits_are_shown_with_the_heads_that_they_found_wanting() {
        let text = table(&stats());
        assert!(
            text.contains("default/chat-1 layer 3 head 5: 0.0625"),
            "{text}"
        );
        let text = layers(&stats());
        assert!(
            text.contains("0.0312") && text.contains("head 5: 0.0625") && text.contains("5: x0.75"),
            "{text}"
        );
        let json = json(&stats());
        assert_eq!(json["audit"]["worst"]["collection"], "chat-1");
        assert_eq!(json["layers"][0]["raised"][0]["target_factor"], 0.75);
        assert!(
            layers(&wire::StatsResponse {
                layers: vec![wire::LayerStats::default()],
                ..Default::default()
            })
            .contains('-')
        );
    }

    #[test]
    fn the_disk_is_shown_with_its_limit_and_what_went_for_it() {
        let disk = wire::DiskStats {
            budget_bytes: 3 << 20,
            used_bytes: 2 << 20,
            collections_expired: 4,
            collections_deleted_for_room: 5,
        };
        let text = on_disk(&disk);
        assert_eq!(
            text,
            "2.0 MiB of 3.0 MiB; 4 collections expired, 5 deleted for room"
        );
        let stats = wire::StatsResponse {
            disk: Some(disk),
            ..stats()
        };
        assert!(table(&stats).contains(&text));
        assert_eq!(json(&stats)["disk"]["collections_deleted_for_room"], 5);
        assert_eq!(on_disk(&wire::DiskStats::default()), "0 B");
    }

    #[test]
    fn an_empty_daemon_has_no_share_of_clustered_tokens() {
        assert!(table(&wire::StatsResponse::default()).contains("0 (-)"));
    }
}
