//! `AdminService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use wavekv_proto::v1::admin_service_server::AdminService;
use wavekv_proto::v1::{
    ActivityRequest, ActivityResponse, AuditStats, AuditedHead, ClusteringStats, CollectionRef,
    ConfigRequest, ConfigResponse, DeleteSnapshotRequest, DeleteSnapshotResponse, DescribeRequest,
    DescribeResponse, DiskStats, EventsRequest, EventsResponse, HealthRequest, HealthResponse,
    LayerStats, ListSnapshotsRequest, ListSnapshotsResponse, MemoryStats, PlaceRequest,
    PlaceResponse, RestoreRequest, RestoreResponse, SnapshotRequest, SnapshotResponse,
    StatsRequest, StatsResponse, VerifyRequest, VerifyResponse,
};

use crate::collection::LayerSize;
use crate::engine::sizes::EngineSize;
use crate::engine::{Engine, sizes};
use crate::model::Error;
use crate::service::about::About;
use crate::service::grpc::snapshots::{self, Answers};
use crate::service::grpc::{activity, describe, events};
use crate::service::health::{self, Health};
use crate::service::status::status;
use crate::service::{validate, wire};
use crate::telemetry::metrics::Metrics;

/// The service over an engine.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Of the collections.
    pub(in crate::service) engine: Arc<Engine>,
    /// What the engine does not know.
    pub(in crate::service) about: Arc<About>,
    /// Whether the daemon is told to stop.
    pub(in crate::service) stopped: watch::Receiver<bool>,
    /// Whether the daemon is well.
    pub(in crate::service) health: Health,
    /// The calls that there were.
    pub(in crate::service) metrics: Arc<Metrics>,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn health(
        &self,
        _request: Request<HealthRequest>,
    ) -> Result<Response<HealthResponse>, Status> {
        let reasons = self.health.reasons().await;
        answer(reasons.map(|reasons| HealthResponse {
            boot_epoch: self.engine.boot_epoch().0,
            ready: health::worst(&reasons) != Some(health::Severity::Unavailable),
            reasons: reasons.into_iter().map(wire::reason).collect(),
        }))
    }

    async fn stats(
        &self,
        request: Request<StatsRequest>,
    ) -> Result<Response<StatsResponse>, Status> {
        let request = request.into_inner();
        let stats = self
            .engine
            .compute(move |engine| stats(engine, request.collection.as_ref()));
        answer(stats.await.and_then(|stats| stats))
    }

    async fn place(
        &self,
        request: Request<PlaceRequest>,
    ) -> Result<Response<PlaceResponse>, Status> {
        let request = request.into_inner();
        let placed = self.engine.compute(move |engine| place(engine, &request));
        answer(placed.await.and_then(|placed| placed))
    }

    type VerifyStream = Pin<Box<dyn Stream<Item = Result<VerifyResponse, Status>> + Send>>;

    async fn verify(
        &self,
        request: Request<VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let collection = request.into_inner().collection;
        let engine = Arc::clone(&self.engine);
        let begun = self.engine.compute(move |_| {
            let named = collection.as_ref();
            let one = named.map(|named| validate::collection(Some(named)));
            engine.verify(one.transpose()?)
        });
        let told = begun.await.and_then(|begun| begun);
        let told = ReceiverStream::new(told.map_err(|error| status(&error))?);
        let boot_epoch = self.engine.boot_epoch().0;
        let answers = told.map(move |told| match told {
            Ok(told) => Ok(wire::verified(boot_epoch, told)),
            Err(error) => Err(status(&error)),
        });
        Ok(Response::new(Box::pin(answers)))
    }

    type SnapshotStream = Answers<SnapshotResponse>;

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        answer(snapshots::take(&self.engine, request.get_ref()))
    }

    type RestoreStream = Answers<RestoreResponse>;

    async fn restore(
        &self,
        request: Request<RestoreRequest>,
    ) -> Result<Response<Self::RestoreStream>, Status> {
        answer(snapshots::restore(&self.engine, request.get_ref()))
    }

    async fn list_snapshots(
        &self,
        request: Request<ListSnapshotsRequest>,
    ) -> Result<Response<ListSnapshotsResponse>, Status> {
        let request = request.into_inner();
        let listed = self
            .engine
            .compute(move |engine| snapshots::list(engine, &request));
        answer(listed.await.and_then(|listed| listed))
    }

    async fn delete_snapshot(
        &self,
        request: Request<DeleteSnapshotRequest>,
    ) -> Result<Response<DeleteSnapshotResponse>, Status> {
        answer(snapshots::delete(&self.engine, request.get_ref()).await)
    }

    async fn config(&self, _: Request<ConfigRequest>) -> Result<Response<ConfigResponse>, Status> {
        Ok(Response::new(ConfigResponse {
            boot_epoch: self.engine.boot_epoch().0,
            toml: self.about.settings.clone(),
            default_toml: self.about.default_settings.clone(),
        }))
    }

    async fn describe(
        &self,
        request: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        let request = request.into_inner();
        let described = self
            .engine
            .compute(move |engine| describe::describe(engine, &request));
        answer(described.await.and_then(|described| described))
    }

    async fn activity(
        &self,
        request: Request<ActivityRequest>,
    ) -> Result<Response<ActivityResponse>, Status> {
        let (engine, metrics) = (Arc::clone(&self.engine), Arc::clone(&self.metrics));
        let request = request.into_inner();
        let told = move || activity::activity(&engine, &metrics, request);
        let told = tokio::task::spawn_blocking(told).await;
        answer(told.map_err(Error::internal).and_then(|told| told))
    }

    type EventsStream = Answers<EventsResponse>;

    async fn events(
        &self,
        request: Request<EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let boot_epoch = self.engine.boot_epoch();
        let log = self.about.events.clone();
        let told = events::told(log, boot_epoch, self.stopped.clone(), request.get_ref());
        answer(told)
    }
}

fn answer<T>(result: Result<T, Error>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status(&error))
}

fn place(engine: &Engine, request: &PlaceRequest) -> Result<PlaceResponse, Error> {
    let (name, generation) = validate::collection(request.collection.as_ref())?;
    let placement = validate::placement(request.placement)?;
    let collection = engine.find(&name, generation)?;
    collection.place(placement)?;
    Ok(PlaceResponse {
        boot_epoch: engine.boot_epoch().0,
        generation: collection.generation().0,
        residence: Some(wire::residence(
            collection.traffic(),
            collection.is_pinned(),
        )),
    })
}

/// Sizes of the daemon, or of the collection that is named.
pub(super) fn stats(
    engine: &Engine,
    named: Option<&CollectionRef>,
) -> Result<StatsResponse, Error> {
    let whole = engine.size();
    let mut response = StatsResponse {
        boot_epoch: engine.boot_epoch().0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        isa: engine.isa().to_string(),
        uptime_ms: u64::try_from(whole.uptime.as_millis()).unwrap_or(u64::MAX),
        memory: Some(MemoryStats {
            budget_bytes: whole.budget_bytes,
            used_bytes: whole.used_bytes,
        }),
        index: Some(wire::index_stats(whole.total)),
        collections: whole.collections,
        clustering: Some(ClusteringStats {
            segments_built: whole.clustering.built,
            segments_merged: whole.clustering.merged,
            builds_discarded: whole.clustering.discarded,
            builds_failed: whole.clustering.failed,
            layers_waiting: whole.clustering.waiting,
        }),
        layers: vec![],
        residence: Some(wire::residence(whole.traffic, whole.pinned)),
        audit: Some(daemon_audits(&whole)),
        disk: Some(DiskStats {
            budget_bytes: whole.disk.budget_bytes.unwrap_or(0),
            used_bytes: whole.disk.used_bytes,
            collections_expired: whole.disk.expired,
            collections_deleted_for_room: whole.disk.deleted_for_room,
        }),
    };
    if named.is_some() {
        let (name, generation) = validate::collection(named)?;
        let collection = engine.find(&name, generation)?;
        response.audit = Some(wire::audit_stats(&sizes::audits(&collection)));
        let (traffic, pinned) = (collection.traffic(), collection.is_pinned());
        response.residence = Some(wire::residence(traffic, pinned));
        if let Some(disk) = &mut response.disk {
            disk.used_bytes = collection.disk_bytes();
        }
        let layers: Vec<LayerSize> = engine.layer_sizes(&collection);
        response.collections = 1;
        let total = layers
            .iter()
            .copied()
            .fold(LayerSize::default(), LayerSize::plus);
        response.index = Some(wire::index_stats(total));
        let audits = sizes::layer_audits(&collection);
        let kinds = collection.geometry().layers.iter().zip(audits);
        let layers =
            layers
                .into_iter()
                .zip(kinds)
                .enumerate()
                .map(|(layer, (size, (kind, audits)))| LayerStats {
                    layer: layer as u32,
                    sliding_window: wire::sliding_window(*kind),
                    index: Some(wire::index_stats(size)),
                    audit: Some(wire::audit_stats(&audits)),
                    raised: audits.raised.into_iter().map(wire::audited_head).collect(),
                });
        response.layers = layers.collect();
    }
    Ok(response)
}

/// Of all collections; the worst head with the name of its own.
fn daemon_audits(whole: &EngineSize) -> AuditStats {
    let worst = whole.worst.as_ref().map(|(name, head)| AuditedHead {
        collection: Some(wire::named(name, None)),
        ..wire::audited_head(*head)
    });
    AuditStats {
        skipped: whole.skipped_audits,
        worst,
        ..wire::audit_stats(&whole.audits)
    }
}
