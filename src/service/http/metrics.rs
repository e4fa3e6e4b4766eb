//! `/metrics`: every figure that there is, read when it is asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use crate::engine::Engine;
use crate::engine::activity::{Activity, Tried};
use crate::engine::health::Trouble;
use crate::engine::sizes::EngineSize;
use crate::service::health::Health;
use crate::telemetry::metrics::declared as is;
use crate::telemetry::metrics::{self, Metrics, Page};

pub(super) async fn scraped(
    State(health): State<Health>,
    State(metrics): State<Arc<Metrics>>,
) -> Response {
    // It visits every collection and waits for the file system, but not for the compute pool: a daemon that has too much to
    // do, or is opening its collections, is one that somebody wants to see.
    let page = tokio::task::spawn_blocking(move || page(&health, &metrics).text());
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "metrics were not read: a bug in the daemon");
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
    };
    match page.await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn page(health: &Health, metrics: &Metrics) -> Page {
    let engine = health.engine();
    let mut page = Page::of(metrics);
    put_state(&mut page, health);
    put_sizes(&mut page, &engine.size());
    let activity = engine.activity();
    put_work(&mut page, &activity);
    put_storage(&mut page, &activity);
    page
}

fn put_state(page: &mut Page, health: &Health) {
    let engine: &Engine = health.engine();
    let isa = engine.isa().to_string();
    page.put_labels(&is::BUILD_INFO, &[env!("CARGO_PKG_VERSION"), &isa]);
    page.put(&is::BOOT_EPOCH, engine.boot_epoch().0);
    page.put(&is::READY, health.unavailable().is_none().into());
    let troubles = engine.troubles();
    let has = |code| troubles.iter().any(|trouble| trouble.code() == code);
    let codes = Trouble::CODES.into_iter();
    page.put_by(&is::TROUBLE, codes.map(|code| (code, has(code).into())));
}

fn put_sizes(page: &mut Page, size: &EngineSize) {
    let total = size.total;
    page.put_ratio(&is::UPTIME, size.uptime.as_secs_f64());
    for (metric, value) in [
        (is::COLLECTIONS, size.collections),
        (is::COLLECTIONS_EXPIRED, size.disk.expired),
        (is::COLLECTIONS_DELETED_FOR_ROOM, size.disk.deleted_for_room),
        (is::TOKENS, total.tokens),
        (
            is::UNCLUSTERED_TOKENS,
            total.tokens.saturating_sub(total.clustered_tokens),
        ),
        (is::SEGMENTS, total.segments),
        (is::CLUSTERS, total.clusters),
        (is::PAYLOAD_BYTES, total.payload_bytes),
        (is::CODE_BYTES, total.code_bytes),
        (is::META_INDEX_BYTES, total.meta_index_bytes),
        (is::SHARED_BYTES, total.shared_bytes),
        (is::SEGMENTS_BUILT, size.clustering.built),
        (is::SEGMENTS_MERGED, size.clustering.merged),
        (is::BUILDS_DISCARDED, size.clustering.discarded),
        (is::BUILDS_FAILED, size.clustering.failed),
        (is::LAYERS_WAITING, size.clustering.waiting),
        (is::AUDITS_SKIPPED, size.skipped_audits),
        (is::AUDIT_RAISED, size.audits.raised.len() as u64),
        (is::MEMORY_BUDGET, size.budget_bytes),
        (is::MEMORY_USED, size.used_bytes),
        (is::DISK_BUDGET, size.disk.budget_bytes.unwrap_or(0)),
        (is::DISK_USED, size.disk.used_bytes),
    ] {
        page.put(&metric, value);
    }
    page.put_ratio(&is::AUDIT_ERROR, size.audits.error());
    let worst = size.worst.as_ref().map_or(0.0, |(_, head)| head.error);
    page.put_ratio(&is::AUDIT_WORST, worst);
}

fn put_work(page: &mut Page, activity: &Activity) {
    let compute = activity.compute;
    page.put(&is::COLLECTIONS_REFUSED, activity.refused);
    page.put(&is::INSERTED_TOKENS, activity.inserted_tokens);
    page.put_by(&is::ATTEND_READ_BYTES, activity.read_bytes);
    page.put_by(&is::ATTEND_FULL_BYTES, activity.full_bytes);
    page.put_by(&is::ATTEND_TOKENS, activity.zones);
    page.put(&is::COMPUTE_THREADS, compute.threads as u64);
    page.put(&is::COMPUTE_BUSY, compute.busy as u64);
    page.put(&is::COMPUTE_WAITING, compute.waiting as u64);
    let asked = [
        ("yes", activity.asked_audits),
        ("no", activity.unasked_audits),
    ];
    page.put_by(&is::AUDITS, asked);
    let tried = |tried: Tried| [("ok", tried.done), ("failed", tried.failed)];
    page.put_by(&is::SNAPSHOTS, tried(activity.snapshots));
    page.put_by(&is::RESTORES, tried(activity.restores));
}

/// What is not known now is not said.
fn put_storage(page: &mut Page, activity: &Activity) {
    let blocks = activity.blocks;
    page.put(&is::BLOCK_HITS, blocks.hits);
    page.put(&is::BLOCK_MISSES, blocks.misses);
    page.put(&is::BLOCK_EVICTIONS, blocks.evictions);
    let tiers = [
        ("ram", blocks.resident_bytes),
        ("disk", activity.stored_bytes),
    ];
    page.put_by(&is::TIER_BYTES, tiers);
    if let Some(device) = activity.device {
        page.put(&is::FILE_SYSTEM_BYTES, device.total.0);
        page.put(&is::FILE_SYSTEM_FREE, device.free.0);
    }
    let Some(catalog) = activity.catalog else {
        return;
    };
    for (metric, value) in [
        (is::CATALOG_UNWRITTEN, catalog.unwritten_bytes),
        (is::CATALOG_TABLES, catalog.table_bytes),
        (is::CATALOG_LOG, catalog.log_bytes),
        (is::CATALOG_TO_COMPACT, catalog.to_compact_bytes),
        (is::CATALOG_CACHE, catalog.cache_bytes),
        (is::CATALOG_READERS, catalog.readers_bytes),
        (is::CATALOG_COMPACTIONS, catalog.compactions),
        (is::CATALOG_FLUSHES, catalog.flushes),
        (is::CATALOG_ERRORS, catalog.errors),
        (is::CATALOG_HEALS, catalog.heals),
    ] {
        page.put(&metric, value);
    }
}
