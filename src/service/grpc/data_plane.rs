//! `DataService`: every call is a batch, and an entry fails alone.

use std::sync::Arc;

use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};
use wavekv_proto::v1;
use wavekv_proto::v1::data_service_server::DataService;

use crate::collection::{Attended, Fetched, Inserted, Ranking};
use crate::engine::Engine;
use crate::engine::batch::{self, Answer, Answers, Entry};
use crate::model::{Error, Partial};
use crate::service::entries::{self, Located};
use crate::service::room::Room;
use crate::service::status::{entry_error, status};
use crate::service::{came_to, validate, wire};
use crate::telemetry::metrics::{Metrics, Operation};

/// Failures of a stream that the answer names.
const NAMED_FAILURES: usize = 100;

/// The service over an engine.
#[derive(Clone, Debug)]
pub struct DataPlane {
    /// That computes.
    pub engine: Arc<Engine>,
    /// Of one message: what an answer must not pass.
    pub max_message_bytes: usize,
    /// That count entries.
    pub metrics: Arc<Metrics>,
}

impl DataPlane {
    /// For the answers to so many entries.
    fn room(&self, entries: usize) -> Room {
        Room::of_message(self.max_message_bytes, entries)
    }

    /// Waits until clustering has left room for new K and V.
    async fn wait_for_room<'a>(&self, tensors: impl Iterator<Item = Option<&'a v1::Tensor>>) {
        let bytes = tensors.flatten().map(|tensor| tensor.data.len() as u64);
        let bytes = bytes.sum();
        if bytes > 0 {
            self.engine.wait_for_room(bytes).await;
        }
    }

    /// Runs a batch on the compute pool, and puts its answers into messages there.
    async fn batch<M: Send + 'static, A, R: Send + 'static>(
        &self,
        operation: Operation,
        entries: Vec<M>,
        work: impl FnOnce(&Engine, Vec<M>) -> Answers<A> + Send + 'static,
        put: impl FnOnce(Answers<A>) -> R + Send + 'static,
    ) -> Result<R, Status> {
        check_length("entries", entries.len())?;
        let metrics = Arc::clone(&self.metrics);
        let results = self.engine.compute(move |engine| {
            let answers = work(engine, entries);
            count_entries(&metrics, operation, &answers);
            put(answers)
        });
        results.await.map_err(|error| status(&error))
    }
}

fn count_entries<A>(metrics: &Metrics, operation: Operation, answers: &Answers<A>) {
    for outcome in came_to::entries(answers) {
        metrics.entry(operation, outcome);
    }
}

fn check_length(field: &str, entries: usize) -> Result<(), Status> {
    validate::batch(field, entries).map_err(|invalid| status(&invalid.into()))
}

/// Finds the layer of an entry.
fn find(engine: &Engine, given: Option<&v1::LayerRef>) -> Result<Entry<()>, Error> {
    let given = validate::present("layer", given)?;
    let (name, generation) = validate::collection(given.collection.as_ref())?;
    entries::find(engine, &name, generation, given.layer)
}

/// Finds the layer of each entry.
fn located<M>(
    engine: &Engine,
    entries: Vec<M>,
    layer: impl Fn(&M) -> Option<&v1::LayerRef>,
) -> impl Iterator<Item = Located<M>> {
    let entries = entries.into_iter();
    entries.map(move |entry| Ok((find(engine, layer(&entry))?, entry)))
}

/// Puts the answers of a batch into messages.
macro_rules! results {
    ($answers:expr, $result:ident, $module:ident, $ok:expr) => {{
        let result = |answer: Result<Answer<_>, Error>| {
            let outcome = match answer {
                Ok(Answer { collection, what }) => v1::$module::Outcome::Ok($ok(what, &collection)),
                Err(error) => v1::$module::Outcome::Error(entry_error(&error)),
            };
            v1::$result {
                outcome: Some(outcome),
            }
        };
        $answers.into_iter().map(result).collect()
    }};
}

fn insert(engine: &Engine, entries: Vec<v1::InsertEntry>) -> Answers<Inserted> {
    let located = located(engine, entries, |entry| entry.layer.as_ref());
    engine.insert(&entries::insert(located))
}

fn attend(engine: &Engine, entries: Vec<v1::AttendEntry>, mut room: Room) -> Answers<Attended> {
    let located = located(engine, entries, |entry| entry.layer.as_ref());
    let otherwise = engine.settings().mode;
    engine.attend(entries::attend(located, otherwise, &mut room))
}

fn top_clusters(
    engine: &Engine,
    entries: Vec<v1::TopClustersEntry>,
    mut room: Room,
) -> Answers<Ranking> {
    let located = located(engine, entries, |entry| entry.layer.as_ref());
    batch::top_clusters(
        entries::top_clusters(located),
        |asked, ranking, geometry| room.ranked(asked, ranking, geometry),
    )
}

fn estimate(engine: &Engine, entries: Vec<v1::EstimateEntry>, mut room: Room) -> Answers<Partial> {
    let located = located(engine, entries, |entry| entry.layer.as_ref());
    batch::estimate(entries::estimate(located, &mut room))
}

fn fetch(engine: &Engine, entries: Vec<v1::FetchEntry>, mut room: Room) -> Answers<Fetched> {
    let located = located(engine, entries, |entry| entry.layer.as_ref());
    batch::fetch(entries::fetch(located), |what, tokens, geometry| {
        room.fetched(what, tokens, geometry)
    })
}

#[tonic::async_trait]
impl DataService for DataPlane {
    async fn insert(
        &self,
        request: Request<v1::InsertRequest>,
    ) -> Result<Response<v1::InsertResponse>, Status> {
        let entries = request.into_inner().entries;
        self.wait_for_room(
            entries
                .iter()
                .flat_map(|entry| [entry.k.as_ref(), entry.v.as_ref()]),
        )
        .await;
        let results = self.batch(Operation::Insert, entries, insert, |answers| {
            results!(answers, InsertResult, insert_result, wire::inserted)
        });
        let (results, boot_epoch) = (results.await?, self.engine.boot_epoch().0);
        Ok(Response::new(v1::InsertResponse {
            results,
            boot_epoch,
        }))
    }

    async fn insert_stream(
        &self,
        request: Request<Streaming<v1::InsertStreamRequest>>,
    ) -> Result<Response<v1::InsertStreamResponse>, Status> {
        let mut messages = request.into_inner();
        let boot_epoch = self.engine.boot_epoch().0;
        let mut response = v1::InsertStreamResponse {
            boot_epoch,
            ..Default::default()
        };
        while let Some(message) = messages.next().await {
            let entries = message?.entries;
            let tokens = entries.iter().map(tokens_of).collect::<Vec<_>>();
            self.wait_for_room(
                entries
                    .iter()
                    .flat_map(|entry| [entry.k.as_ref(), entry.v.as_ref()]),
            )
            .await;
            let answers = self.batch(Operation::InsertStream, entries, insert, |answers| answers);
            for (answer, tokens) in answers.await?.into_iter().zip(tokens) {
                count(&mut response, answer, tokens);
            }
        }
        Ok(Response::new(response))
    }

    async fn segment_cluster(
        &self,
        request: Request<v1::SegmentClusterRequest>,
    ) -> Result<Response<v1::SegmentClusterResponse>, Status> {
        let layers = request.into_inner().layers;
        check_length("layers", layers.len())?;
        let entries = layers
            .iter()
            .map(|layer| find(&self.engine, Some(layer)))
            .collect();
        let answers = self.engine.segment_cluster(entries).await;
        count_entries(&self.metrics, Operation::SegmentCluster, &answers);
        let results = results!(
            answers,
            SegmentClusterResult,
            segment_cluster_result,
            |what, collection| wire::clustered(&what, collection)
        );
        let boot_epoch = self.engine.boot_epoch().0;
        Ok(Response::new(v1::SegmentClusterResponse {
            results,
            boot_epoch,
        }))
    }

    async fn top_clusters(
        &self,
        request: Request<v1::TopClustersRequest>,
    ) -> Result<Response<v1::TopClustersResponse>, Status> {
        let entries = request.into_inner().entries;
        let room = self.room(entries.len());
        let work = move |engine: &Engine, entries| top_clusters(engine, entries, room);
        let results = self.batch(Operation::TopClusters, entries, work, |answers| {
            results!(
                answers,
                TopClustersResult,
                top_clusters_result,
                wire::ranking
            )
        });
        let (results, boot_epoch) = (results.await?, self.engine.boot_epoch().0);
        Ok(Response::new(v1::TopClustersResponse {
            results,
            boot_epoch,
        }))
    }

    async fn estimate(
        &self,
        request: Request<v1::EstimateRequest>,
    ) -> Result<Response<v1::EstimateResponse>, Status> {
        let entries = request.into_inner().entries;
        let room = self.room(entries.len());
        let work = move |engine: &Engine, entries| estimate(engine, entries, room);
        let results = self.batch(Operation::Estimate, entries, work, |answers| {
            results!(
                answers,
                EstimateResult,
                estimate_result,
                |what, collection| { wire::estimated(&what, collection) }
            )
        });
        let (results, boot_epoch) = (results.await?, self.engine.boot_epoch().0);
        Ok(Response::new(v1::EstimateResponse {
            results,
            boot_epoch,
        }))
    }

    async fn attend(
        &self,
        request: Request<v1::AttendRequest>,
    ) -> Result<Response<v1::AttendResponse>, Status> {
        let entries = request.into_inner().entries;
        let inserts = entries.iter().filter_map(|entry| entry.insert.as_ref());
        self.wait_for_room(inserts.flat_map(|step| [step.k.as_ref(), step.v.as_ref()]))
            .await;
        let room = self.room(entries.len());
        let work = move |engine: &Engine, entries| attend(engine, entries, room);
        let results = self.batch(Operation::Attend, entries, work, |answers| {
            results!(answers, AttendResult, attend_result, wire::attended)
        });
        let (results, boot_epoch) = (results.await?, self.engine.boot_epoch().0);
        Ok(Response::new(v1::AttendResponse {
            results,
            boot_epoch,
        }))
    }

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<v1::FetchResponse>, Status> {
        let entries = request.into_inner().entries;
        let room = self.room(entries.len());
        let work = move |engine: &Engine, entries| fetch(engine, entries, room);
        let results = self.batch(Operation::Fetch, entries, work, |answers| {
            results!(answers, FetchResult, fetch_result, wire::fetched)
        });
        let (results, boot_epoch) = (results.await?, self.engine.boot_epoch().0);
        Ok(Response::new(v1::FetchResponse {
            results,
            boot_epoch,
        }))
    }
}

/// The tokens that an entry says it has.
fn tokens_of(entry: &v1::InsertEntry) -> u64 {
    let shape = entry
        .k
        .as_ref()
        .map(|k| k.shape.as_slice())
        .unwrap_or_default();
    u64::from(shape.first().copied().unwrap_or(0))
}

/// Counts one entry of a stream.
fn count(
    response: &mut v1::InsertStreamResponse,
    answer: Result<Answer<Inserted>, Error>,
    tokens: u64,
) {
    match answer {
        Ok(_) => {
            response.stored_entries += 1;
            response.stored_tokens += tokens;
        }
        Err(error) => {
            if response.failures.len() < NAMED_FAILURES {
                let entry = response.stored_entries + response.failed_entries;
                response.failures.push(v1::StreamFailure {
                    entry,
                    error: Some(entry_error(&error)),
                });
            }
            response.failed_entries += 1;
        }
    }
}
