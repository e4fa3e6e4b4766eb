//! Sizes of the daemon or of a collection.

use std::time::Duration;

use serde_json::{Value, json};
use wavekv_client::wire;

use super::{percent, size};

/// All numbers.
pub(crate) fn json(stats: &wire::StatsResponse) -> Value {
    let memory = stats.memory.unwrap_or_default();
    let clustering = stats.clustering.unwrap_or_default();
    let layers: Vec<Value> = stats
        .layers
        .iter()
        .map(|layer| {
            json!({
                "layer": layer.layer,
                "sliding_window": layer.sliding_window,
                "index": index(&layer.index.unwrap_or_default()),
            })
        })
        .collect();
    json!({
        "boot_epoch": stats.boot_epoch,
        "version": stats.version,
        "isa": stats.isa,
        "uptime_ms": stats.uptime_ms,
        "memory": { "budget_bytes": memory.budget_bytes, "used_bytes": memory.used_bytes },
        "collections": stats.collections,
        "index": index(&stats.index.unwrap_or_default()),
        "clustering": {
            "segments_built": clustering.segments_built,
            "segments_merged": clustering.segments_merged,
            "builds_discarded": clustering.builds_discarded,
            "builds_failed": clustering.builds_failed,
            "layers_waiting": clustering.layers_waiting,
        },
        "layers": layers,
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
        "meta_index_bytes": index.meta_index_bytes,
    })
}

/// The daemon, a line per number.
pub(crate) fn table(stats: &wire::StatsResponse) -> String {
    let memory = stats.memory.unwrap_or_default();
    let index = stats.index.unwrap_or_default();
    let clustering = stats.clustering.unwrap_or_default();
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
        ("meta index", size(index.meta_index_bytes)),
        ("segments built", clustering.segments_built.to_string()),
        ("segments merged", clustering.segments_merged.to_string()),
        ("builds discarded", clustering.builds_discarded.to_string()),
        ("builds failed", clustering.builds_failed.to_string()),
        ("layers waiting", clustering.layers_waiting.to_string()),
    ] {
        table.add_row([field.to_owned(), value]);
    }
    table.trim_fmt()
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
        "meta index",
    ];
    let mut table = super::table(&header, 2, false);
    for layer in &stats.layers {
        let index = layer.index.unwrap_or_default();
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
            size(index.meta_index_bytes),
        ]);
    }
    table.trim_fmt()
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
            meta_index_bytes: 1 << 10,
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
            }],
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
    fn an_empty_daemon_has_no_share_of_clustered_tokens() {
        assert!(table(&wire::StatsResponse::default()).contains("0 (-)"));
    }
}
