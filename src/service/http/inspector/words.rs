//! What the page calls things.

use serde_json::{Value, json};

use crate::collection::{Collection, LayerSize, Traffic};
use crate::index::Zone;
use crate::model::{LayerKind, Mode, Ranking};

pub(super) fn zone(zone: Zone) -> &'static str {
    match zone {
        Zone::Hidden => "hidden",
        Zone::Steady => "steady",
        Zone::Retrieval => "retrieval",
        Zone::Coded => "coded",
        Zone::Estimation => "estimation",
        Zone::Ignored => "ignored",
    }
}

/// As the command line writes it.
pub(super) fn mode(mode: Mode) -> String {
    match mode {
        Mode::Exact => "exact".to_owned(),
        mode if mode == Mode::RETROINFER => "retroinfer".to_owned(),
        Mode::Adaptive { target_error } => format!("adaptive:{target_error}"),
        Mode::Budget(rule) => {
            let (retrieved, estimated) = (rule.retrieve_share, rule.estimate_share);
            match rule.ranking {
                Ranking::Mass => format!("budget:{retrieved}:{estimated}"),
                Ranking::RetroInfer => format!("retroinfer:{retrieved}:{estimated}"),
            }
        }
    }
}

/// The window of a sliding layer; none of one that sees everything.
pub(super) fn window(kind: LayerKind) -> Option<u32> {
    match kind {
        LayerKind::Full => None,
        LayerKind::Sliding { window } => Some(window),
    }
}

/// Whether a collection can be used, and whether the daemon works on it.
pub(super) fn state(collection: &Collection) -> &'static str {
    let layers = collection.layers();
    if collection.refusal().is_some() {
        "refused"
    } else if layers.iter().any(crate::collection::Layer::wants_sealing) {
        "clustering"
    } else {
        "ready"
    }
}

pub(super) fn size(size: LayerSize) -> Value {
    json!({
        "tokens": size.tokens,
        "clustered_tokens": size.clustered_tokens,
        "segments": size.segments,
        "clusters": size.clusters,
        "payload_bytes": size.payload_bytes,
        "code_bytes": size.code_bytes,
        "meta_index_bytes": size.meta_index_bytes,
        "shared_bytes": size.shared_bytes,
    })
}

pub(super) fn traffic(traffic: Traffic) -> Value {
    json!({
        "hits": traffic.hits,
        "misses": traffic.misses,
        "evictions": traffic.evictions,
        "resident_bytes": traffic.resident_bytes,
    })
}
