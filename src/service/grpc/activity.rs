//! The call of `AdminService` that tells what was done.

use wavekv_proto::v1;

use crate::collection::{Collection, Done};
use crate::engine::Engine;
use crate::model::Error;
use crate::service::grpc::admin;
use crate::service::{validate, wire};
use crate::telemetry::metrics::{CallCounts, Metrics};

/// What was done since the start. It visits every collection and waits for the file system, but not for the compute pool: a daemon
/// that has too much to do is one that somebody wants to see.
///
/// # Errors
/// `InvalidArgument` when the request asks for too much.
pub(super) fn activity(
    engine: &Engine,
    metrics: &Metrics,
    request: v1::ActivityRequest,
) -> Result<v1::ActivityResponse, Error> {
    let busiest = validate::busiest(request.busiest)?;
    let done = engine.activity();
    let sum = |by_kind: &[(&str, u64)]| by_kind.iter().map(|(_, bytes)| bytes).sum();
    let collections = engine.used_last(busiest).into_iter();
    Ok(v1::ActivityResponse {
        stats: Some(admin::stats(engine, None)?),
        bucket_seconds: Metrics::BUCKET_SECONDS.to_vec(),
        calls: metrics.calls().into_iter().map(calls).collect(),
        inserted_tokens: done.inserted_tokens,
        read_bytes: sum(&done.read_bytes),
        full_bytes: sum(&done.full_bytes),
        audits: done.asked_audits + done.unasked_audits,
        blocks: Some(wire::residence(done.blocks, false)),
        collections: collections
            .map(|(collection, done)| of_collection(&collection, done))
            .collect(),
    })
}

fn calls(calls: CallCounts) -> v1::CallActivity {
    v1::CallActivity {
        operation: calls.operation.name().to_owned(),
        transport: calls.transport.name().to_owned(),
        outcome: calls.outcome.name().to_owned(),
        counts: calls.counts,
        seconds: calls.seconds,
    }
}

fn of_collection(collection: &Collection, done: Done) -> v1::CollectionActivity {
    let generation = Some(collection.generation());
    v1::CollectionActivity {
        collection: Some(wire::named(collection.name(), generation)),
        attends: done.attends,
        inserts: done.inserts,
        inserted_tokens: done.inserted_tokens,
        read_bytes: done.read_bytes,
        full_bytes: done.full_bytes,
    }
}
