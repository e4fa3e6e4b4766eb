//! A page of the collections.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};

use super::asked::Asked;
use super::{answer, words};
use crate::collection::{Collection, Layer, LayerSize};
use crate::engine::Engine;
use crate::model::{CollectionName, Error};
use crate::service::health::Health;
use crate::service::{page, validate};

const FIELDS: [&str; 4] = ["namespace", "prefix", "after", "limit"];

pub(super) async fn collections(State(health): State<Health>, uri: Uri) -> Response {
    answer::computed(&health, move |engine| listed(engine, &uri)).await
}

fn listed(engine: &Engine, uri: &Uri) -> Result<Value, Error> {
    let asked = Asked::of(uri, &FIELDS)?;
    let limit = match asked.text("limit") {
        "" => 0,
        _ => asked.number("limit")?,
    };
    let limit = validate::page_size("limit", limit)?;
    let namespace = match asked.text("namespace") {
        "" => None,
        namespace => Some(CollectionName::checked_namespace(namespace)?),
    };
    let after = page::read("after", asked.text("after"))?;
    let prefix = asked.text("prefix");
    let mut found = engine.list(namespace, prefix, after.as_ref(), limit + 1);
    let next = page::cut(&mut found, limit).map(|last| page::after(last.name()));
    let rows = found.iter().map(|collection| row(engine, collection));
    Ok(json!({
        "collections": rows.collect::<Vec<_>>(),
        "next": next,
    }))
}

fn row(engine: &Engine, collection: &Collection) -> Value {
    let layers = collection.layers();
    let size = layers
        .iter()
        .map(Layer::size)
        .fold(LayerSize::default(), LayerSize::plus);
    json!({
        "namespace": collection.name().namespace(),
        "name": collection.name().name(),
        "kind": collection.parameters().kind.name(),
        "state": words::state(collection),
        "refusal": collection.refusal().map(Error::message),
        "layers": layers.len(),
        // Of the shortest layer, which is how much of the sequence there is.
        "tokens": layers.iter().map(Layer::length).min().unwrap_or(0),
        "bytes": size.payload_bytes + size.code_bytes + size.meta_index_bytes,
        "disk_bytes": collection.disk_bytes(),
        "durability": collection.durability().name(),
        "unused_ms": u64::try_from(engine.unused_for(collection).as_millis()).unwrap_or(u64::MAX),
    })
}
