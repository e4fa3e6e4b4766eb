//! Collections.

use std::time::Duration;

use comfy_table::Cell;
use serde_json::{Value, json};
use wavekv_client::wire;

use super::{size, table, wrong};

/// All numbers of a collection.
pub(crate) fn json(collection: &wire::CollectionDescription) -> Value {
    let geometry = collection.geometry.clone().unwrap_or_default();
    let index = collection.index.unwrap_or_default();
    let windows: Vec<u32> = geometry
        .layers
        .iter()
        .map(|layer| layer.sliding_window)
        .collect();
    json!({
        "namespace": collection.namespace,
        "name": collection.name,
        "generation": collection.generation,
        "length": collection.length,
        "layer_lengths": collection.layer_lengths,
        "payload_bytes": payload_bytes(collection),
        "durability": durability(collection.durability()),
        "ttl_seconds": collection.ttl_seconds,
        "expendable": collection.expendable,
        "refusal": collection.refusal,
        "geometry": {
            "fingerprint": geometry.fingerprint,
            "layers": geometry.layers.len(),
            "sliding_windows": windows,
            "q_heads": geometry.q_heads,
            "kv_heads": geometry.kv_heads,
            "head_dim": geometry.head_dim,
            "value_dim": geometry.value_dim,
            "dtype": dtype(&geometry),
            "scale": geometry.scale,
            "softcap": geometry.softcap,
        },
        "index": {
            "kind": kind(index.kind()),
            "sink_tokens": index.sink_tokens,
            "recent_tokens": index.recent_tokens,
            "segment_tokens": index.segment_tokens,
            "decode_segment_tokens": index.decode_segment_tokens,
            "cluster_tokens": index.cluster_tokens,
            "kmeans_iterations": index.kmeans_iterations,
            "seed": index.seed,
        },
    })
}

/// A line per collection.
pub(crate) fn list(collections: &[wire::CollectionDescription]) -> String {
    let header = [
        "namespace",
        "name",
        "state",
        "model",
        "index",
        "dtype",
        "tokens",
        "layers",
        "heads q/kv",
        "dim k/v",
        "K and V",
    ];
    let mut table = table(&header, 6, false);
    for collection in collections {
        let geometry = collection.geometry.clone().unwrap_or_default();
        let state = match collection.refusal.as_str() {
            "" => Cell::new("served"),
            _ => wrong("refused"),
        };
        let mut row = vec![
            Cell::new(&collection.namespace),
            Cell::new(&collection.name),
            state,
        ];
        let rest = [
            geometry.fingerprint.clone(),
            kind(collection.index.unwrap_or_default().kind()).to_owned(),
            dtype(&geometry).to_owned(),
            collection.length.to_string(),
            geometry.layers.len().to_string(),
            format!("{}/{}", geometry.q_heads, geometry.kv_heads),
            format!("{}/{}", geometry.head_dim, geometry.value_dim),
            size(payload_bytes(collection)),
        ];
        row.extend(rest.map(Cell::new));
        table.add_row(row);
    }
    table.trim_fmt()
}

/// All of one collection but its layers.
pub(crate) fn description(collection: &wire::CollectionDescription) -> String {
    let geometry = collection.geometry.clone().unwrap_or_default();
    let index = collection.index.unwrap_or_default();
    let mut table = table(&["collection", &collection.name], 2, false);
    for (field, value) in [
        ("namespace", collection.namespace.clone()),
        ("generation", collection.generation.to_string()),
        ("model", geometry.fingerprint.clone()),
        ("tokens", collection.length.to_string()),
        ("layers", geometry.layers.len().to_string()),
        ("query heads", geometry.q_heads.to_string()),
        ("KV heads", geometry.kv_heads.to_string()),
        ("key dim", geometry.head_dim.to_string()),
        ("value dim", geometry.value_dim.to_string()),
        ("dtype", dtype(&geometry).to_owned()),
        ("scale", geometry.scale.to_string()),
        ("K and V", size(payload_bytes(collection))),
        ("durability", durability(collection.durability()).to_owned()),
        ("kept", kept(collection)),
        ("index", kind(index.kind()).to_owned()),
        ("sink tokens", shown(index.sink_tokens)),
        ("recent tokens", shown(index.recent_tokens)),
        ("segment tokens", shown(index.segment_tokens)),
        ("decode segment tokens", shown(index.decode_segment_tokens)),
        ("cluster tokens", shown(index.cluster_tokens)),
        ("k-means iterations", shown(index.kmeans_iterations)),
        ("seed", shown(index.seed)),
    ] {
        table.add_row([field.to_owned(), value]);
    }
    if !collection.refusal.is_empty() {
        table.add_row([Cell::new("not served"), wrong(&collection.refusal)]);
    }
    table.trim_fmt()
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(super) fn durability(durability: wire::Durability) -> &'static str {
    match durability {
        wire::Durability::Unspecified => "unknown",
        wire::Durability::None => "none",
        wire::Durability::Process => "process",
        wire::Durability::Power => "power",
    }
}

/// When it goes by itself.
fn kept(collection: &wire::CollectionDescription) -> String {
    let ttl = match collection.ttl_seconds {
        0 => "until it is removed".to_owned(),
        seconds => format!(
            "for {} after its last use",
            humantime::format_duration(Duration::from_secs(seconds))
        ),
    };
    if collection.expendable {
        format!("{ttl}, or until its room is needed")
    } else {
        ttl
    }
}

pub(super) fn kind(kind: wire::IndexKind) -> &'static str {
    match kind {
        wire::IndexKind::Unspecified => "unknown",
        wire::IndexKind::Wave => "wave",
        wire::IndexKind::Flat => "flat",
        wire::IndexKind::Ivf => "ivf",
        wire::IndexKind::Hnsw => "hnsw",
    }
}

fn dtype(geometry: &wire::Geometry) -> &'static str {
    match geometry.dtype() {
        wire::Dtype::Unspecified => "unknown",
        wire::Dtype::Bf16 => "bf16",
        wire::Dtype::F16 => "f16",
        wire::Dtype::F32 => "f32",
    }
}

/// Of K and V of all layers.
pub(crate) fn payload_bytes(collection: &wire::CollectionDescription) -> u64 {
    let geometry = collection.geometry.clone().unwrap_or_default();
    let element = match geometry.dtype() {
        wire::Dtype::Unspecified => 0,
        wire::Dtype::Bf16 | wire::Dtype::F16 => 2,
        wire::Dtype::F32 => 4,
    };
    let dims = u64::from(geometry.head_dim) + u64::from(geometry.value_dim);
    let tokens: u64 = collection
        .layer_lengths
        .iter()
        .copied()
        .map(u64::from)
        .sum();
    tokens * u64::from(geometry.kv_heads) * dims * element
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection() -> wire::CollectionDescription {
        wire::CollectionDescription {
            namespace: "default".into(),
            name: "doc-1".into(),
            generation: 7,
            durability: wire::Durability::Process.into(),
            ttl_seconds: 5400,
            expendable: true,
            refusal: String::new(),
            geometry: Some(wire::Geometry {
                fingerprint: "llama".into(),
                layers: vec![wire::LayerKind::default(); 2],
                q_heads: 32,
                kv_heads: 8,
                head_dim: 128,
                value_dim: 128,
                dtype: wire::Dtype::Bf16.into(),
                scale: 0.125,
                softcap: 0.0,
            }),
            index: Some(wire::IndexParameters {
                kind: wire::IndexKind::Ivf.into(),
                sink_tokens: Some(4),
                ..Default::default()
            }),
            length: 1000,
            layer_lengths: vec![1000, 1024],
        }
    }

    #[test]
    fn a_list_has_a_line_for_each() {
        let text = list(&[collection(), collection()]);
        let line = text.lines().find(|line| line.contains("doc-1")).unwrap();
        for part in [
            "default", "llama", "ivf", "bf16", "1000", "32/8", "128/128", "7.9 MiB",
        ] {
            assert!(line.contains(part), "{text}");
        }
        assert_eq!(text.matches("doc-1").count(), 2);
        let refused = wire::CollectionDescription {
            refusal: "a file is damaged".into(),
            ..collection()
        };
        assert!(list(std::slice::from_ref(&refused)).contains("refused"));
        assert!(description(&refused).contains("a file is damaged"));
    }

    #[test]
    fn a_description_shows_what_holds_and_what_is_not_known() {
        let text = description(&collection());
        assert!(text.contains("sink tokens") && text.contains("recent tokens"));
        let recent = text
            .lines()
            .find(|line| line.contains("recent tokens"))
            .unwrap();
        assert!(recent.trim_end().ends_with('-'), "{recent:?}");
    }

    #[test]
    fn json_has_every_number() {
        let value = json(&collection());
        assert_eq!(value["payload_bytes"], 2024 * 8 * 256 * 2);
        assert_eq!(value["geometry"]["layers"], 2);
        assert_eq!(value["index"]["kind"], "ivf");
        assert_eq!(value["index"]["sink_tokens"], 4);
    }
}
