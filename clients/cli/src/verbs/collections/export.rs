//! `wavekv collections export`: a collection's K and V into one file, fetched a range of tokens at a time.
//!
//! What is stored of a position changes by a truncation alone, so that ranges fetched one after the other are of one moment
//! but for a collection that is cut meanwhile; who cannot rule that out exports a fork. The lengths are those of the beginning.

use std::ops::Range;

use indicatif::ProgressBar;
use wavekv_client::{Client, ClientError, Code, wire};

use crate::arguments::Export;
use crate::failure::Failure;
use crate::formats::export::{Table, Unnamed, Writer};
use crate::{bar, formats, output, suggest, upload};

/// Of K and V that are asked for at once, short of the messages that a daemon takes by default.
const FETCH_BYTES: u64 = 16 << 20;
/// Tokens that one call may ask for.
const FETCH_TOKENS: u64 = 65_536;

pub(crate) async fn run(client: &Client, export: &Export, json: bool) -> Result<(), Failure> {
    let file = Unnamed::beside(&export.out, export.force)?;
    let named = &export.collection;
    let described = client.get(named.reference()).await;
    let described = suggest::collection(client, &named.namespace, &named.name, described).await?;
    if !described.refusal.is_empty() {
        let (code, message) = (Code::DataLoss, described.refusal);
        return Err(ClientError::Refused { code, message }.into());
    }
    let layers = layers(&described, export.layer)?;
    let table = Table::of(&described)?;
    let bytes = layers
        .clone()
        .map(|layer| table.bytes(described.layer_lengths[layer]));
    let bar = bar::of_bytes(bytes.sum());
    let mut writer = file.begin(export.format, &table)?;
    let written = tokio::select! {
        written = fetch(client, &described, layers, &table, &mut writer, &bar) => written,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    bar.finish_and_clear();
    let rows = written?;
    let bytes = writer.finish()?;
    let file = export.out.display();
    if json {
        output::json(&serde_json::json!({
            "file": file.to_string(),
            "rows": rows,
            "bytes": bytes,
            "collection": formats::collections::json(&described),
        }));
    } else {
        let size = formats::size(bytes);
        output::text(&format!("{file}: {rows} rows of K and V, {size}"));
    }
    Ok(())
}

/// The layers that are wanted.
fn layers(
    described: &wire::CollectionDescription,
    layer: Option<u32>,
) -> Result<Range<usize>, Failure> {
    let all = described.layer_lengths.len();
    match layer.map(|layer| layer as usize) {
        None => Ok(0..all),
        Some(layer) if layer < all => Ok(layer..layer + 1),
        Some(layer) => {
            let (last, name) = (all.saturating_sub(1), &described.name);
            let sentence = format!("--layer is {layer}: expected 0 to {last} of collection {name}");
            Err(Failure::Usage(sentence))
        }
    }
}

/// Fetches and writes the tokens that the layers had; how many rows there are.
async fn fetch(
    client: &Client,
    described: &wire::CollectionDescription,
    layers: Range<usize>,
    table: &Table,
    writer: &mut Writer,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let collection = wire::CollectionRef {
        generation: Some(described.generation),
        ..upload::collection(&described.namespace, &described.name)
    };
    let most = (FETCH_BYTES / table.bytes(1).max(1)).clamp(1, FETCH_TOKENS) as u32;
    let mut rows = 0;
    for layer in layers {
        let length = described.layer_lengths[layer];
        for start in (0..length).step_by(most as usize) {
            let end = length.min(start + most);
            let entry = wire::FetchEntry {
                layer: Some(upload::layer(&collection, layer)),
                what: Some(wire::fetch_entry::What::Range(wire::TokenRange {
                    start,
                    end,
                })),
            };
            let fetched = client.fetch_one(entry).await?;
            rows += writer.write(&table.batch(layer as u32, &fetched)?)?;
            bar.inc(table.bytes(end - start));
        }
    }
    Ok(rows)
}
