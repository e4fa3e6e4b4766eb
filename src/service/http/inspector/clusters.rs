//! The clusters of one KV head in a plane, with what the last query did with each.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};

use super::asked::Asked;
use super::{answer, words};
use crate::collection::look::{ClusterMap, MappedQuery};
use crate::engine::Engine;
use crate::model::{Error, ErrorKind, KvHead, LayerId};
use crate::service::health::Health;

const FIELDS: [&str; 4] = ["namespace", "name", "layer", "head"];
/// Clusters that are shown: of more, every so manieth.
const SHOWN: usize = 4000;

pub(super) async fn clusters(State(health): State<Health>, uri: Uri) -> Response {
    answer::computed(&health, move |engine| found(engine, &uri)).await
}

fn found(engine: &Engine, uri: &Uri) -> Result<Value, Error> {
    let asked = Asked::of(uri, &FIELDS)?;
    let (layer, head) = (asked.number("layer")?, asked.number("head")?);
    let collection = engine.find(&asked.collection()?, None)?;
    let of_layer = collection.layer(LayerId(layer))?;
    let heads = collection.geometry().kv_heads;
    if head >= heads {
        let message = format!(
            "head is {head}: expected 0 to {} of collection {}",
            heads - 1,
            collection.name()
        );
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    let map = of_layer.cluster_map(KvHead(head), SHOWN)?;
    Ok(shown(&map))
}

fn shown(map: &ClusterMap) -> Value {
    let clusters = map.clusters.iter();
    let segments = map.segments.iter().map(|segment| {
        json!({
            "id": segment.id.to_string(),
            "start": segment.range.start,
            "end": segment.range.end,
            "clusters": segment.clusters,
        })
    });
    json!({
        "all": map.all,
        "axes": map.axes,
        "segments": segments.collect::<Vec<_>>(),
        "query": map.query.map(query),
        "x": clusters.clone().map(|cluster| cluster.point[0]).collect::<Vec<_>>(),
        "y": clusters.clone().map(|cluster| cluster.point[1]).collect::<Vec<_>>(),
        "segment": clusters.clone().map(|cluster| cluster.segment).collect::<Vec<_>>(),
        "tokens": clusters.clone().map(|cluster| cluster.tokens).collect::<Vec<_>>(),
        "spread": clusters.clone().map(|cluster| cluster.spread).collect::<Vec<_>>(),
        "zone": clusters.map(|cluster| cluster.zone.map(words::zone)).collect::<Vec<_>>(),
    })
}

fn query(query: MappedQuery) -> Value {
    json!({
        "mode": words::mode(query.mode),
        "first": query.visible.start,
        "end": query.visible.end,
    })
}
