//! A daemon in a thread: the contract as far as the command needs it, all attention exact in f64.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use wavekv_client::wire::admin_service_server::{AdminService, AdminServiceServer};
use wavekv_client::wire::collections_service_server::{
    CollectionsService, CollectionsServiceServer,
};
use wavekv_client::wire::data_service_server::{DataService, DataServiceServer};
use wavekv_client::wire::{self, attend_mode, attend_result, segment_cluster_result};
use wavekv_trace::exact::{Order, Queries, Stored};
use wavekv_trace::{Dtype, exact};

/// Serves until it is dropped.
pub(crate) struct Daemon {
    folder: tempfile::TempDir,
    _runtime: Runtime,
}

impl Daemon {
    /// One that is well.
    pub(crate) fn start() -> Self {
        Self::in_health(wire::HealthResponse {
            ready: true,
            ..Default::default()
        })
    }

    /// One that says so of itself.
    pub(crate) fn in_health(health: wire::HealthResponse) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(folder.path().join("d.sock")).unwrap()
        };
        let state = State(Arc::default(), health, Arc::default());
        let large = 64 << 20;
        let server = Server::builder()
            .add_service(CollectionsServiceServer::new(state.clone()))
            .add_service(DataServiceServer::new(state.clone()).max_decoding_message_size(large))
            .add_service(AdminServiceServer::new(state));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Self {
            folder,
            _runtime: runtime,
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:{}/d.sock", self.folder.path().display())
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// Collections by name, each with its geometry and the K and V of its layers, tokens first.
#[derive(Clone)]
struct State(
    Arc<Mutex<BTreeMap<String, Collection>>>,
    wire::HealthResponse,
    /// How often somebody asked what was done.
    Arc<AtomicU64>,
);

#[derive(Clone)]
struct Collection {
    geometry: wire::Geometry,
    layers: Vec<(Vec<u8>, Vec<u8>)>,
}

fn dtype(dtype: wire::Dtype) -> Dtype {
    match dtype {
        wire::Dtype::Bf16 => Dtype::Bf16,
        wire::Dtype::Unspecified | wire::Dtype::F16 => Dtype::F16,
        wire::Dtype::F32 => Dtype::F32,
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn name(collection: Option<&wire::CollectionRef>) -> Result<String, Status> {
    collection
        .map(|c| c.name.clone())
        .ok_or_else(|| Status::invalid_argument("no name"))
}

impl Collection {
    fn length(&self, layer: usize) -> u32 {
        let element = dtype(self.geometry.dtype()).size() as u32;
        let row = self.geometry.kv_heads * self.geometry.head_dim * element;
        self.layers[layer].0.len() as u32 / row
    }

    fn describe(&self, name: &str) -> wire::CollectionDescription {
        let layer_lengths: Vec<u32> = (0..self.layers.len()).map(|i| self.length(i)).collect();
        wire::CollectionDescription {
            name: name.to_owned(),
            geometry: Some(self.geometry.clone()),
            length: layer_lengths.iter().copied().min().unwrap_or(0),
            layer_lengths,
            ..Default::default()
        }
    }

    fn fetch(&self, layer: usize, range: wire::TokenRange) -> wire::FetchOutcome {
        let geometry = &self.geometry;
        let (k, v) = &self.layers[layer];
        let tensor = |of: &[u8], dim: u32| {
            let row = of.len() / self.length(layer) as usize;
            let rows = range.start as usize * row..range.end as usize * row;
            wire::Tensor {
                dtype: geometry.dtype,
                shape: vec![range.end - range.start, geometry.kv_heads, dim],
                data: of[rows].to_vec().into(),
            }
        };
        wire::FetchOutcome {
            generation: 0,
            positions: (range.start..range.end).collect(),
            k: Some(tensor(k, geometry.head_dim)),
            v: Some(tensor(v, geometry.value_dim)),
        }
    }

    fn end_at(&mut self, length: usize) {
        for layer in 0..self.layers.len() {
            let tokens = self.length(layer) as usize;
            let (k, v) = &mut self.layers[layer];
            k.truncate(k.len() / tokens.max(1) * length);
            v.truncate(v.len() / tokens.max(1) * length);
        }
    }

    fn insert(&mut self, layer: u32, entry: &wire::InsertEntry) -> Result<(), Status> {
        let expected = self.length(layer as usize);
        if entry.start_position != expected {
            let sentence = format!(
                "start_position is {}, expected {expected}",
                entry.start_position
            );
            return Err(Status::out_of_range(sentence));
        }
        let (k, v) = &mut self.layers[layer as usize];
        k.extend_from_slice(&entry.k.as_ref().unwrap().data);
        v.extend_from_slice(&entry.v.as_ref().unwrap().data);
        Ok(())
    }

    fn attend(&self, layer: u32, entry: &wire::AttendEntry) -> wire::AttendOutcome {
        let g = &self.geometry;
        let (k, v) = &self.layers[layer as usize];
        let tokens = self.length(layer as usize);
        let stored = Stored {
            k,
            v,
            dtype: dtype(g.dtype()),
            order: Order::TokensMajor,
            tokens: tokens as usize,
            kv_heads: g.kv_heads as usize,
            head_dim: g.head_dim as usize,
            value_dim: g.value_dim as usize,
        };
        let queries = Queries {
            q: &Dtype::F32.decode(&entry.q.as_ref().unwrap().data),
            positions: &entry.positions,
            q_heads: g.q_heads as usize,
            scale: f64::from(g.scale),
            sliding_window: 0,
        };
        let exact = exact::attend(&stored, &queries).unwrap();
        let tensor = |values: &[f64], shape: Vec<u32>| {
            let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            let data = Dtype::F32.encode(&values).into();
            Some(wire::Tensor {
                dtype: wire::Dtype::F32.into(),
                shape,
                data,
            })
        };
        let report = wire::AttendReport {
            exact_mass: vec![1.0; g.q_heads as usize],
            error_estimate: vec![0.0; g.q_heads as usize],
            visible_tokens: u64::from(tokens),
            steady_tokens: u64::from(tokens),
            bytes_read: 1,
            full_bytes: 1,
            audit: entry.audit.then(wire::Audit::default),
            ..Default::default()
        };
        wire::AttendOutcome {
            out: tensor(&exact.out, vec![1, g.q_heads, g.value_dim]),
            lse: tensor(&exact.lse, vec![1, g.q_heads]),
            report: Some(report),
            length: tokens,
            ..Default::default()
        }
    }
}

impl State {
    fn with<T>(
        &self,
        collection: Option<&wire::CollectionRef>,
        act: impl FnOnce(&mut Collection) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let name = name(collection)?;
        let mut all = self.0.lock().unwrap();
        act(all
            .get_mut(&name)
            .ok_or_else(|| Status::not_found(format!("no {name}")))?)
    }

    fn attend(&self, entry: &wire::AttendEntry) -> Result<wire::AttendOutcome, Status> {
        let mode = entry.mode.and_then(|mode| mode.mode);
        if matches!(mode, Some(attend_mode::Mode::Retroinfer(_))) {
            return Err(Status::invalid_argument(
                "mode retroinfer is beyond this daemon",
            ));
        }
        let layer = entry.layer.as_ref().unwrap();
        self.with(layer.collection.as_ref(), |collection| {
            if let Some(insert) = &entry.insert {
                assert!(insert.layer.is_none());
                collection.insert(layer.layer, insert)?;
            }
            Ok(collection.attend(layer.layer, entry))
        })
    }
}

#[tonic::async_trait]
impl CollectionsService for State {
    async fn create(&self, request: Request<wire::CreateRequest>) -> Answer<wire::CreateResponse> {
        let request = request.into_inner();
        let name = name(request.collection.as_ref())?;
        let geometry = request.geometry.unwrap();
        let layers = vec![(Vec::new(), Vec::new()); geometry.layers.len()];
        let collection = Collection { geometry, layers };
        let described = Some(collection.describe(&name));
        let mut all = self.0.lock().unwrap();
        if all.contains_key(&name) {
            return Err(Status::already_exists(format!("collection {name} exists")));
        }
        all.insert(name, collection);
        Ok(Response::new(wire::CreateResponse {
            collection: described,
            boot_epoch: 1,
        }))
    }

    async fn get(&self, request: Request<wire::GetRequest>) -> Answer<wire::GetResponse> {
        let named = request.get_ref().collection.as_ref();
        let called = name(named)?;
        let collection = Some(self.with(named, |collection| Ok(collection.describe(&called)))?);
        Ok(Response::new(wire::GetResponse {
            collection,
            boot_epoch: 1,
        }))
    }

    async fn list(&self, _: Request<wire::ListRequest>) -> Answer<wire::ListResponse> {
        let all = self.0.lock().unwrap();
        let collections = all
            .iter()
            .map(|(name, collection)| collection.describe(name))
            .collect();
        Ok(Response::new(wire::ListResponse {
            collections,
            ..Default::default()
        }))
    }

    async fn delete(&self, request: Request<wire::DeleteRequest>) -> Answer<wire::DeleteResponse> {
        let name = name(request.get_ref().collection.as_ref())?;
        let removed = self.0.lock().unwrap().remove(&name);
        removed.ok_or_else(|| Status::not_found(format!("no {name}")))?;
        Ok(Response::new(wire::DeleteResponse::default()))
    }

    async fn truncate(&self, _: Request<wire::TruncateRequest>) -> Answer<wire::TruncateResponse> {
        Err(Status::unimplemented("truncate"))
    }

    async fn fork(&self, request: Request<wire::ForkRequest>) -> Answer<wire::ForkResponse> {
        let request = request.into_inner();
        let source = name(request.collection.as_ref())?;
        let mut all = self.0.lock().unwrap();
        let forked = all.get(&source).cloned();
        let mut forked = forked.ok_or_else(|| Status::not_found(format!("no {source}")))?;
        if let Some(length) = request.length {
            forked.end_at(length as usize);
        }
        let described = forked.describe(&request.name);
        all.insert(request.name, forked);
        Ok(Response::new(wire::ForkResponse {
            collection: Some(described),
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl DataService for State {
    async fn insert(&self, _: Request<wire::InsertRequest>) -> Answer<wire::InsertResponse> {
        Err(Status::unimplemented("insert"))
    }

    async fn insert_stream(
        &self,
        request: Request<Streaming<wire::InsertStreamRequest>>,
    ) -> Answer<wire::InsertStreamResponse> {
        let mut answer = wire::InsertStreamResponse::default();
        let mut messages = request.into_inner();
        while let Some(message) = messages.next().await {
            for entry in message?.entries {
                let layer = entry.layer.clone().unwrap();
                self.with(layer.collection.as_ref(), |collection| {
                    collection.insert(layer.layer, &entry)
                })?;
                answer.stored_entries += 1;
            }
        }
        Ok(Response::new(answer))
    }

    async fn segment_cluster(
        &self,
        request: Request<wire::SegmentClusterRequest>,
    ) -> Answer<wire::SegmentClusterResponse> {
        let outcome = segment_cluster_result::Outcome::Ok(wire::SegmentClusterOutcome::default());
        let result = wire::SegmentClusterResult {
            outcome: Some(outcome),
        };
        let results = vec![result; request.get_ref().layers.len()];
        Ok(Response::new(wire::SegmentClusterResponse {
            results,
            boot_epoch: 1,
        }))
    }

    async fn top_clusters(
        &self,
        _: Request<wire::TopClustersRequest>,
    ) -> Answer<wire::TopClustersResponse> {
        Err(Status::unimplemented("top_clusters"))
    }

    async fn estimate(&self, _: Request<wire::EstimateRequest>) -> Answer<wire::EstimateResponse> {
        Err(Status::unimplemented("estimate"))
    }

    async fn attend(&self, request: Request<wire::AttendRequest>) -> Answer<wire::AttendResponse> {
        let entries = request.into_inner().entries;
        let result = |entry: &wire::AttendEntry| match self.attend(entry) {
            Ok(outcome) => attend_result::Outcome::Ok(outcome),
            Err(status) => attend_result::Outcome::Error(wire::EntryError {
                code: status.code() as i32,
                message: status.message().to_owned(),
            }),
        };
        let results = entries
            .iter()
            .map(|entry| wire::AttendResult {
                outcome: Some(result(entry)),
            })
            .collect();
        Ok(Response::new(wire::AttendResponse {
            results,
            boot_epoch: 1,
        }))
    }

    async fn fetch(&self, request: Request<wire::FetchRequest>) -> Answer<wire::FetchResponse> {
        let fetch = |entry: &wire::FetchEntry| {
            let layer = entry.layer.as_ref().unwrap();
            let Some(wire::fetch_entry::What::Range(range)) = entry.what else {
                return Err(Status::unimplemented("clusters"));
            };
            self.with(layer.collection.as_ref(), |collection| {
                Ok(collection.fetch(layer.layer as usize, range))
            })
        };
        let entries = &request.get_ref().entries;
        let results = entries.iter().map(|entry| {
            let outcome = match fetch(entry) {
                Ok(outcome) => wire::fetch_result::Outcome::Ok(outcome),
                Err(status) => wire::fetch_result::Outcome::Error(wire::EntryError {
                    code: status.code().into(),
                    message: status.message().into(),
                }),
            };
            wire::FetchResult {
                outcome: Some(outcome),
            }
        });
        Ok(Response::new(wire::FetchResponse {
            results: results.collect(),
            boot_epoch: 1,
        }))
    }
}

#[tonic::async_trait]
impl AdminService for State {
    async fn health(&self, _: Request<wire::HealthRequest>) -> Answer<wire::HealthResponse> {
        Ok(Response::new(self.1.clone()))
    }

    async fn stats(&self, _: Request<wire::StatsRequest>) -> Answer<wire::StatsResponse> {
        let (version, isa) = ("0".into(), "fake".into());
        let memory = wire::MemoryStats {
            budget_bytes: 64 << 20,
            used_bytes: 0,
        };
        Ok(Response::new(wire::StatsResponse {
            version,
            isa,
            memory: Some(memory),
            ..Default::default()
        }))
    }

    async fn place(&self, _: Request<wire::PlaceRequest>) -> Answer<wire::PlaceResponse> {
        Err(Status::unimplemented("place"))
    }

    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Answer<wire::DescribeResponse> {
        let layers = self.with(request.get_ref().collection.as_ref(), |collection| {
            Ok(collection.layers.len() as u32)
        })?;
        let layers = (0..layers).map(|layer| wire::LayerDescription {
            layer,
            ..Default::default()
        });
        Ok(Response::new(wire::DescribeResponse {
            layers: layers.collect(),
            ..Default::default()
        }))
    }

    async fn config(&self, _: Request<wire::ConfigRequest>) -> Answer<wire::ConfigResponse> {
        Ok(Response::new(wire::ConfigResponse {
            boot_epoch: 1,
            toml: "a = 1\n[t]\nb = 2\nc = 4\n".into(),
            default_toml: "a = 1\n[t]\nb = 2\nc = 3\n".into(),
        }))
    }

    async fn activity(
        &self,
        request: Request<wire::ActivityRequest>,
    ) -> Answer<wire::ActivityResponse> {
        // As if ten attends were done between any two answers, and a second went by.
        let asked = self.2.fetch_add(1, Ordering::Relaxed) + 1;
        let collection = wire::CollectionActivity {
            collection: Some(wire::CollectionRef {
                namespace: "default".into(),
                name: "chat".into(),
                generation: Some(1),
            }),
            attends: 10 * asked,
            read_bytes: 1024 * asked,
            full_bytes: 10240 * asked,
            ..Default::default()
        };
        let call = wire::CallActivity {
            operation: "attend".into(),
            transport: "shm".into(),
            outcome: "ok".into(),
            counts: vec![0, 10 * asked, 0],
            ..Default::default()
        };
        let stats = wire::StatsResponse {
            boot_epoch: 1,
            uptime_ms: 1000 * asked,
            ..self
                .stats(Request::new(wire::StatsRequest::default()))
                .await?
                .into_inner()
        };
        Ok(Response::new(wire::ActivityResponse {
            stats: Some(stats),
            bucket_seconds: vec![0.001, 0.002],
            calls: vec![call],
            read_bytes: 1024 * asked,
            full_bytes: 10240 * asked,
            collections: vec![collection; request.get_ref().busiest.min(1) as usize],
            ..Default::default()
        }))
    }

    type EventsStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<wire::EventsResponse, Status>>>;

    async fn events(&self, request: Request<wire::EventsRequest>) -> Answer<Self::EventsStream> {
        use wire::events_response::Told;
        let request = request.into_inner();
        let events = (1..=3).map(|sequence| wire::Event {
            sequence,
            level: sequence as i32,
            target: "wavekv::engine".into(),
            message: format!("event {sequence}"),
            ..Default::default()
        });
        let wanted = events.filter(|event| {
            event.sequence > request.after_sequence && event.level >= request.min_level
        });
        let told = [Told::Lost(5)].into_iter().chain(wanted.map(Told::Event));
        let told = told.map(|told| {
            Ok(wire::EventsResponse {
                boot_epoch: 1,
                told: Some(told),
            })
        });
        Ok(Response::new(tokio_stream::iter(told.collect::<Vec<_>>())))
    }

    type VerifyStream = tokio_stream::Empty<Result<wire::VerifyResponse, Status>>;

    async fn verify(&self, _: Request<wire::VerifyRequest>) -> Answer<Self::VerifyStream> {
        Err(Status::unimplemented("verify"))
    }

    type SnapshotStream = tokio_stream::Empty<Result<wire::SnapshotResponse, Status>>;

    async fn snapshot(&self, _: Request<wire::SnapshotRequest>) -> Answer<Self::SnapshotStream> {
        Err(Status::unimplemented("snapshot"))
    }

    type RestoreStream = tokio_stream::Empty<Result<wire::RestoreResponse, Status>>;

    async fn restore(&self, _: Request<wire::RestoreRequest>) -> Answer<Self::RestoreStream> {
        Err(Status::unimplemented("restore"))
    }

    async fn list_snapshots(
        &self,
        _: Request<wire::ListSnapshotsRequest>,
    ) -> Answer<wire::ListSnapshotsResponse> {
        Err(Status::unimplemented("list_snapshots"))
    }

    async fn delete_snapshot(
        &self,
        _: Request<wire::DeleteSnapshotRequest>,
    ) -> Answer<wire::DeleteSnapshotResponse> {
        Err(Status::unimplemented("delete_snapshot"))
    }
}
