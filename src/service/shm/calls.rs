//! What the calls of a client do: every one is a batch, and an entry fails alone.

use std::sync::Arc;

use tokio::runtime::Handle;
use wavekv_shm::body::{self, Request};
use wavekv_shm::{Operation, Submission};

use super::answers;
use super::call::Call;
use super::names::Names;
use super::peer::Peer;
use super::requests::{self, Tensors};
use super::spare::Spare;
use crate::engine::{Engine, Weight, batch};
use crate::model::{Error, Invalid, NewTokens};
use crate::service::entries::{self, Located};
use crate::service::room::{ENTRY_BYTES, Room};
use crate::service::validate;
use crate::telemetry::metrics::{self, Metrics, Transport};
use crate::telemetry::traces;

/// Where the calls of one client are taken.
#[derive(Debug)]
pub(super) struct Desk {
    engine: Arc<Engine>,
    /// Waits for what the background does.
    runtime: Handle,
    peer: Arc<Peer>,
    names: Names,
    /// Of all connections.
    spare: Arc<Spare>,
    metrics: Arc<Metrics>,
}

impl Desk {
    pub(super) fn new(
        engine: Arc<Engine>,
        runtime: Handle,
        peer: Arc<Peer>,
        spare: Arc<Spare>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            engine,
            runtime,
            peer,
            names: Names::default(),
            spare,
            metrics,
        }
    }

    /// Takes a call: makes it, or has it made.
    pub(super) fn take(&mut self, submission: &Submission) {
        let computes = submission.operation != Operation::SegmentCluster;
        let operation = asked(submission.operation);
        let timed = self.metrics.begin(operation, Transport::Shm);
        let span = traces::call(operation);
        let call = Call::begin(&self.peer, submission, computes, (timed, span.clone()));
        let _within = span.enter();
        match self.request(submission) {
            Ok(request) => self.make(call, request),
            Err(error) => call.fail(&error),
        }
    }

    /// The body, copied out of the arena and read.
    fn request(&self, submission: &Submission) -> Result<Request, Error> {
        let wrong = |error: &dyn std::fmt::Display, expected: &str| {
            Error::from(Invalid::new("request", error, expected))
        };
        let body = self.peer.memory.read(submission.request);
        let body = body.map_err(|outside| wrong(&outside, "a region of the arena"))?;
        let request = Request::parse(submission.operation, &body)
            .map_err(|malformed| wrong(&malformed, "a body of its operation"))?;
        let field = if submission.operation == Operation::SegmentCluster {
            "layers"
        } else {
            "entries"
        };
        let entries = request.entries();
        validate::batch(field, entries)?;
        let least = (entries * ENTRY_BYTES) as u64;
        if submission.answer.bytes < least {
            let expected = format!("at least {least}, {ENTRY_BYTES} an entry");
            return Err(Invalid::new("answer.bytes", submission.answer.bytes, expected).into());
        }
        Ok(request)
    }

    fn make(&mut self, call: Call, request: Request) {
        match request {
            Request::Open(entries) => {
                let opened = entries.iter().map(|entry| {
                    let opened = self.names.open(&self.engine, entry);
                    opened.map_err(|error| answers::failure(&error))
                });
                let opened: body::Answers<body::Opened> = opened.collect();
                call.answer(&opened);
            }
            Request::Insert(entries) => self.insert(call, entries),
            Request::SegmentCluster(entries) => self.segment_cluster(call, &entries),
            Request::TopClusters(entries) => self.top_clusters(call, entries),
            Request::Estimate(entries) => self.estimate(call, entries),
            Request::Attend(entries) => self.attend(call, entries),
            Request::Fetch(entries) => self.fetch(call, entries),
        }
    }

    /// Finds the layer of each entry, and makes a message of the rest of it.
    fn located<M, T>(
        &self,
        entries: Vec<T>,
        layer: impl Fn(&T) -> Option<&body::Layer>,
        mut message: impl FnMut(T) -> Result<M, Error>,
    ) -> impl Iterator<Item = Located<M>> {
        entries.into_iter().map(move |entry| {
            let found = self.names.find(&self.engine, layer(&entry))?;
            Ok((found, message(entry)?))
        })
    }

    /// Has a call made that stores so many bytes of new tokens, when clustering has left room for them.
    fn store<T: Send + 'static>(
        &self,
        weight: Weight,
        new_bytes: u64,
        work: impl FnOnce(&Engine) -> T + Send + 'static,
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        if new_bytes == 0 || self.engine.has_room(new_bytes) {
            return self.engine.compute_soon(weight, work, done);
        }
        let engine = Arc::clone(&self.engine);
        self.runtime.spawn(async move {
            engine.wait_for_room(new_bytes).await;
            done(engine.compute(work).await);
        });
    }

    fn insert(&self, call: Call, entries: Vec<body::Insert>) {
        let mut tensors = Tensors::of(&self.peer.memory, &self.spare);
        let located = self.located(
            entries,
            |entry| entry.layer.as_ref(),
            |entry| tensors.insert(entry),
        );
        let entries = entries::insert(located);
        let new = entries.iter().flatten().map(|entry| new_bytes(&entry.what));
        self.store(
            Weight::of_insert(&entries),
            new.sum(),
            move |engine| engine.insert(&entries),
            |inserted| {
                call.finish(inserted, |what, collection, _| {
                    Ok(answers::inserted(what, collection))
                });
            },
        );
    }

    fn segment_cluster(&self, call: Call, entries: &[body::SegmentCluster]) {
        let found = entries
            .iter()
            .map(|entry| self.names.find(&self.engine, entry.layer.as_ref()));
        let found = found.collect();
        let engine = Arc::clone(&self.engine);
        self.runtime.spawn(async move {
            let clustered = engine.segment_cluster(found).await;
            call.finish(Ok(clustered), |what, collection, _| {
                Ok(answers::clustered(&what, collection))
            });
        });
    }

    fn top_clusters(&self, call: Call, entries: Vec<body::TopClusters>) {
        let mut room = Room::of_region(call.room(), entries.len());
        let mut tensors = Tensors::of(&self.peer.memory, &self.spare);
        let located = self.located(
            entries,
            |entry| entry.layer.as_ref(),
            |entry| tensors.top_clusters(entry),
        );
        let entries = entries::top_clusters(located);
        self.engine.compute_soon(
            Weight::of_top_clusters(&entries),
            move |_| {
                batch::top_clusters(entries, |asked, ranking, geometry| {
                    room.ranked(asked, ranking, geometry)
                })
            },
            |ranked| call.finish(ranked, answers::ranking),
        );
    }

    fn estimate(&self, call: Call, entries: Vec<body::Estimate>) {
        let mut room = Room::of_region(call.room(), entries.len());
        let mut tensors = Tensors::of(&self.peer.memory, &self.spare);
        let located = self.located(
            entries,
            |entry| entry.layer.as_ref(),
            |entry| tensors.estimate(entry),
        );
        let entries = entries::estimate(located, &mut room);
        self.engine.compute_soon(
            Weight::of_estimate(&entries),
            move |_| batch::estimate(entries),
            |estimated| {
                call.finish(estimated, |what, collection, writer| {
                    answers::estimated(&what, collection, writer)
                });
            },
        );
    }

    fn attend(&self, call: Call, entries: Vec<body::Attend>) {
        let mut room = Room::of_region(call.room(), entries.len());
        let mut tensors = Tensors::of(&self.peer.memory, &self.spare);
        let located = self.located(
            entries,
            |entry| entry.layer.as_ref(),
            |entry| tensors.attend(entry),
        );
        let entries = entries::attend(located, self.engine.settings().mode, &mut room);
        let inserts = entries.iter().flatten();
        let new = inserts.filter_map(|entry| entry.what.insert.as_ref().map(new_bytes));
        self.store(
            Weight::of_attend(&entries),
            new.sum(),
            move |engine| engine.attend(entries),
            |attended| call.finish(attended, answers::attended),
        );
    }

    fn fetch(&self, call: Call, entries: Vec<body::Fetch>) {
        let mut room = Room::of_region(call.room(), entries.len());
        let located = self.located(
            entries,
            |entry| entry.layer.as_ref(),
            |entry| Ok(requests::fetch(&entry.what)),
        );
        let entries = entries::fetch(located);
        self.engine.compute_soon(
            Weight::of_fetch(&entries),
            move |_| {
                batch::fetch(entries, |what, tokens, geometry| {
                    room.fetched(what, tokens, geometry)
                })
            },
            |fetched| call.finish(fetched, answers::fetched),
        );
    }
}

/// An operation, as metrics say it.
fn asked(operation: Operation) -> metrics::Operation {
    match operation {
        Operation::Open => metrics::Operation::Open,
        Operation::Insert => metrics::Operation::Insert,
        Operation::SegmentCluster => metrics::Operation::SegmentCluster,
        Operation::TopClusters => metrics::Operation::TopClusters,
        Operation::Estimate => metrics::Operation::Estimate,
        Operation::Attend => metrics::Operation::Attend,
        Operation::Fetch => metrics::Operation::Fetch,
    }
}

fn new_bytes(new: &NewTokens) -> u64 {
    (new.keys.len() + new.values.len()) as u64
}
