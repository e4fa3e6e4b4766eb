//! `wavekv ingest`: a trace's K and V into a new collection, which is removed again when that fails.

use std::sync::Arc;

use indicatif::ProgressBar;
use wavekv_client::{Address, Client, wire};
use wavekv_trace::Trace;

use crate::arguments::Ingest;
use crate::failure::Failure;
use crate::stopwatch::Stopwatch;
use crate::{formats, output, upload};

pub(crate) async fn run(address: &Address, ingest: &Ingest, json: bool) -> Result<(), Failure> {
    let trace = Arc::new(Trace::load(&ingest.trace)?);
    let client = Client::connect(address).await?;
    let name = upload::collection(&ingest.namespace, &ingest.name);
    let created = wire::CreateRequest {
        durability: ingest
            .durability
            .map_or(0, |durability| upload::durability(durability).into()),
        // A part of a second is one: 0 would be no end.
        ttl_seconds: ingest
            .ttl
            .map_or(0, |ttl| ttl.as_millis().div_ceil(1000) as u64),
        expendable: ingest.expendable,
        ..upload::create_for(name.clone(), &trace, ingest.index)
    };
    client.create(created).await?;

    let watch = Stopwatch::start();
    let stored = tokio::select! {
        stored = store(&client, &trace, &name, ingest) => stored,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    if let Err(failure) = stored {
        // The first failure is the one to tell; this one is bound to have the same cause.
        let _ = client.delete(name).await;
        return Err(failure);
    }
    let seconds = watch.elapsed().as_secs_f64();

    let described = client.get(name).await?;
    if json {
        output::json(&serde_json::json!({
            "collection": formats::collections::json(&described),
            "payload_bytes": trace.payload_bytes(),
            "seconds": seconds,
        }));
    } else {
        let size = formats::size(trace.payload_bytes());
        let rate = formats::size((trace.payload_bytes() as f64 / seconds) as u64);
        let (tokens, layers) = (described.length, trace.layers.len());
        output::text(&format!(
            "{}: {tokens} tokens in {layers} layers, {size} in {seconds:.2} s ({rate}/s)",
            described.name
        ));
    }
    Ok(())
}

async fn store(
    client: &Client,
    trace: &Arc<Trace>,
    name: &wire::CollectionRef,
    ingest: &Ingest,
) -> Result<(), Failure> {
    let tokens = ingest.tokens_per_insert as usize;
    let inserts = trace.tokens.div_ceil(tokens) * trace.layers.len();
    let bar = ProgressBar::new(inserts as u64); // Draws on a terminal only.
    let ticking = bar.clone();
    let entries = upload::entries(Arc::clone(trace), name.clone(), 0..trace.tokens, tokens)
        .inspect(move |_| ticking.inc(1));
    let stored = client
        .insert_stream_all(tokio_stream::iter(entries), upload::MESSAGE_BYTES)
        .await;
    bar.finish_and_clear();
    stored?;
    if ingest.cluster {
        client
            .segment_cluster(upload::layers(name, trace))
            .await?
            .all()?;
    }
    Ok(())
}
