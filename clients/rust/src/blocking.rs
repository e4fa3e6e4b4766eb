//! The same calls for threads that wait: a [`Client`] with a thread of its own that drives the connection.
//!
//! Whoever is in an async runtime already uses [`crate::Client`]: there, the methods of this one panic, as those of every
//! blocking client do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::{Address, Batch, ClientError, ConnectOptions, wire};

/// A connection to a daemon. Clones share it; calls of several threads run side by side.
#[derive(Clone)]
pub struct Client {
    inner: crate::Client,
    /// Dropped after the connection.
    runtime: Arc<Runtime>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Client {
    /// Connects with the default [`ConnectOptions`].
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(address: &Address) -> Result<Self, ClientError> {
        Self::connect_with(address, ConnectOptions::default())
    }

    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Connect`], also when the system gives no thread.
    pub fn connect_with(address: &Address, options: ConnectOptions) -> Result<Self, ClientError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("wavekv-client")
            .enable_all()
            .build()
            .map_err(|error| ClientError::Connect {
                address: address.clone(),
                reason: format!("no thread for the connection: {error}"),
            })?;
        let inner = runtime.block_on(crate::Client::connect_with(address, options))?;
        Ok(Self {
            inner,
            runtime: Arc::new(runtime),
        })
    }

    /// The same connection with another deadline for each call.
    #[must_use]
    pub fn with_deadline(self, deadline: Option<Duration>) -> Self {
        Self {
            inner: self.inner.with_deadline(deadline),
            ..self
        }
    }

    /// As [`crate::Client::insert_stream`], of an iterator.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the whole call failed.
    pub fn insert_stream<I>(
        &self,
        entries: I,
        message_bytes: usize,
    ) -> Result<wire::InsertStreamResponse, ClientError>
    where
        I: IntoIterator<Item = wire::InsertEntry>,
        I::IntoIter: Send + Unpin + 'static,
    {
        let entries = tokio_stream::iter(entries);
        let call = self.inner.insert_stream(entries, message_bytes);
        self.runtime.block_on(call)
    }

    /// As [`crate::Client::insert_stream_all`], of an iterator.
    ///
    /// # Errors
    /// As there.
    pub fn insert_stream_all<I>(
        &self,
        entries: I,
        message_bytes: usize,
    ) -> Result<wire::InsertStreamResponse, ClientError>
    where
        I: IntoIterator<Item = wire::InsertEntry>,
        I::IntoIter: Send + Unpin + 'static,
    {
        let entries = tokio_stream::iter(entries);
        let call = self.inner.insert_stream_all(entries, message_bytes);
        self.runtime.block_on(call)
    }

    /// As [`crate::Client::snapshot`].
    ///
    /// # Errors
    /// As there.
    pub fn snapshot(
        &self,
        collection: wire::CollectionRef,
        snapshot: &str,
        see: impl FnMut(wire::Progress),
    ) -> Result<wire::SnapshotDescription, ClientError> {
        let call = self.inner.snapshot(collection, snapshot, see);
        self.runtime.block_on(call)
    }

    /// As [`crate::Client::restore`].
    ///
    /// # Errors
    /// As there.
    pub fn restore(
        &self,
        snapshot: &str,
        collection: Option<wire::CollectionRef>,
        see: impl FnMut(wire::Progress),
    ) -> Result<wire::CollectionDescription, ClientError> {
        let call = self.inner.restore(snapshot, collection, see);
        self.runtime.block_on(call)
    }

    /// As [`crate::Client::verify`].
    ///
    /// # Errors
    /// As there.
    pub fn verify(
        &self,
        collection: Option<wire::CollectionRef>,
    ) -> Result<Verification, ClientError> {
        let inner = self.runtime.block_on(self.inner.verify(collection))?;
        Ok(Verification {
            inner,
            runtime: Arc::clone(&self.runtime),
        })
    }

    /// As [`crate::Client::events`].
    ///
    /// # Errors
    /// As there.
    pub fn events(&self, request: wire::EventsRequest) -> Result<Events, ClientError> {
        let inner = self.runtime.block_on(self.inner.events(request))?;
        Ok(Events {
            inner,
            runtime: Arc::clone(&self.runtime),
        })
    }
}

/// What happens in the daemon, one after the other. The call ends with this.
#[derive(Debug)]
pub struct Events {
    inner: crate::Events,
    /// Dropped after the stream.
    runtime: Arc<Runtime>,
}

impl Iterator for Events {
    type Item = Result<wire::EventsResponse, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.inner.next()).transpose()
    }
}

/// A verification in progress: what it tells, one after the other. It ends with this.
#[derive(Debug)]
pub struct Verification {
    inner: crate::Verification,
    /// Dropped after the stream.
    runtime: Arc<Runtime>,
}

impl Iterator for Verification {
    type Item = Result<wire::VerifyResponse, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.inner.next()).transpose()
    }
}

macro_rules! waiting {
    ($($call:ident($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl Client {$(
            #[doc = concat!("As [`crate::Client::", stringify!($call), "`].")]
            ///
            /// # Errors
            /// As there.
            pub fn $call(&self, $($name: $kind),*) -> Result<$answer, ClientError> {
                self.runtime.block_on(self.inner.$call($($name),*))
            }
        )*}
    };
}

waiting! {
    create(request: wire::CreateRequest) -> wire::CollectionDescription;
    get(collection: wire::CollectionRef) -> wire::CollectionDescription;
    get_of_model(collection: wire::CollectionRef, fingerprint: &str) -> wire::CollectionDescription;
    list(request: wire::ListRequest) -> wire::ListResponse;
    list_all(namespace: &str, name_prefix: &str) -> Vec<wire::CollectionDescription>;
    delete(collection: wire::CollectionRef) -> wire::DeleteResponse;
    truncate(collection: wire::CollectionRef, length: u32) -> wire::TruncateResponse;
    fork(request: wire::ForkRequest) -> wire::CollectionDescription;
    health() -> wire::HealthResponse;
    stats(collection: Option<wire::CollectionRef>) -> wire::StatsResponse;
    config() -> wire::ConfigResponse;
    activity(busiest: u32) -> wire::ActivityResponse;
    describe(collection: wire::CollectionRef) -> wire::DescribeResponse;
    place(collection: wire::CollectionRef, placement: wire::Placement) -> wire::PlaceResponse;
    list_snapshots() -> Vec<wire::SnapshotDescription>;
    delete_snapshot(snapshot: &str) -> wire::DeleteSnapshotResponse;
    insert(entries: Vec<wire::InsertEntry>) -> Batch<wire::InsertOutcome>;
    insert_one(entry: wire::InsertEntry) -> wire::InsertOutcome;
    segment_cluster(layers: Vec<wire::LayerRef>) -> Batch<wire::SegmentClusterOutcome>;
    segment_cluster_one(layer: wire::LayerRef) -> wire::SegmentClusterOutcome;
    top_clusters(entries: Vec<wire::TopClustersEntry>) -> Batch<wire::TopClustersOutcome>;
    top_clusters_one(entry: wire::TopClustersEntry) -> wire::TopClustersOutcome;
    estimate(entries: Vec<wire::EstimateEntry>) -> Batch<wire::PartialOutcome>;
    estimate_one(entry: wire::EstimateEntry) -> wire::PartialOutcome;
    attend(entries: Vec<wire::AttendEntry>) -> Batch<wire::AttendOutcome>;
    attend_one(entry: wire::AttendEntry) -> wire::AttendOutcome;
    fetch(entries: Vec<wire::FetchEntry>) -> Batch<wire::FetchOutcome>;
    fetch_one(entry: wire::FetchEntry) -> wire::FetchOutcome;
}
