//! The calls. Each takes a list of entries and returns a list of answers, an exception in the place of an entry that failed;
//! a call that fails as a whole raises. The interpreter's lock is released while it waits.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wavekv_client::{Address, AddressError, ClientError, ConnectOptions, blocking, wire};

use crate::answers::{
    self, Clustered, Description, Inserted, RawAttended, RawPartial, RawRanking, RawTokens,
};
use crate::entries::{self, Attend, Estimate, Fetch, Insert, LayerRef, TopClusters};
use crate::errors::{InvalidArgument, exception};
use crate::tensor::dtype;

/// A connection to a daemon; calls of several threads run side by side.
#[pyclass(frozen, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct Client {
    inner: blocking::Client,
}

/// What a collection is made with, by the names of `wavekv.Geometry` and the arguments of `create`.
#[derive(Debug, FromPyObject)]
struct Create {
    fingerprint: String,
    sliding_windows: Vec<u32>,
    q_heads: u32,
    kv_heads: u32,
    head_dim: u32,
    value_dim: u32,
    dtype: String,
    scale: f32,
    softcap: f32,
    index: Option<String>,
    durability: Option<String>,
    ttl_seconds: u64,
    expendable: bool,
}

/// A collection by namespace, name and generation.
type Named = (String, String, Option<u64>);

fn seconds(field: &str, seconds: Option<f64>) -> PyResult<Option<Duration>> {
    let read = |seconds| {
        Duration::try_from_secs_f64(seconds).map_err(|_| {
            PyValueError::new_err(format!("{field} is {seconds}: expected seconds, 0 or more"))
        })
    };
    seconds.map(read).transpose()
}

fn named((namespace, name, generation): Named) -> wire::CollectionRef {
    entries::collection(namespace, name, generation)
}

/// The value of an enumeration of the contract whose name ends so.
fn chosen<T>(
    field: &str,
    text: Option<&str>,
    prefix: &str,
    from: impl Fn(&str) -> Option<T>,
) -> PyResult<Option<T>> {
    let read = |text: &str| {
        from(&format!("{prefix}{}", text.to_uppercase()))
            .ok_or_else(|| InvalidArgument::new_err(format!("{field} is {text:?}: unknown")))
    };
    text.map(read).transpose()
}

impl Client {
    fn wait<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&blocking::Client) -> Result<T, ClientError> + Send,
    ) -> Result<T, ClientError> {
        py.detach(|| call(&self.inner))
    }

    fn one<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&blocking::Client) -> Result<T, ClientError> + Send,
    ) -> PyResult<T> {
        self.wait(py, call).map_err(|error| exception(&error))
    }
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (address, connect_timeout, deadline))]
    fn new(
        py: Python<'_>,
        address: &str,
        connect_timeout: f64,
        deadline: Option<f64>,
    ) -> PyResult<Self> {
        let address: Address = address
            .parse()
            .map_err(|error: AddressError| InvalidArgument::new_err(error.to_string()))?;
        let otherwise = ConnectOptions::default();
        let options = ConnectOptions {
            connect_timeout: seconds("connect_timeout", Some(connect_timeout))?
                .unwrap_or(otherwise.connect_timeout),
            deadline: seconds("deadline", deadline)?,
            ..otherwise
        };
        let connected = py.detach(|| blocking::Client::connect_with(&address, options));
        let inner = connected.map_err(|error| exception(&error))?;
        Ok(Self { inner })
    }

    fn create(&self, py: Python<'_>, collection: Named, what: Create) -> PyResult<Description> {
        let durability = chosen(
            "durability",
            what.durability.as_deref(),
            "DURABILITY_",
            wire::Durability::from_str_name,
        )?;
        let kind = chosen(
            "index",
            what.index.as_deref(),
            "INDEX_KIND_",
            wire::IndexKind::from_str_name,
        )?;
        let layers = what.sliding_windows.into_iter();
        let request = wire::CreateRequest {
            collection: Some(named(collection)),
            geometry: Some(wire::Geometry {
                fingerprint: what.fingerprint,
                layers: layers
                    .map(|sliding_window| wire::LayerKind { sliding_window })
                    .collect(),
                q_heads: what.q_heads,
                kv_heads: what.kv_heads,
                head_dim: what.head_dim,
                value_dim: what.value_dim,
                dtype: dtype(&what.dtype)?.into(),
                scale: what.scale,
                softcap: what.softcap,
            }),
            index: kind.map(|kind| wire::IndexParameters {
                kind: kind.into(),
                ..Default::default()
            }),
            durability: durability.unwrap_or_default().into(),
            ttl_seconds: what.ttl_seconds,
            expendable: what.expendable,
        };
        self.one(py, |client| client.create(request))
            .map(Description::from)
    }

    fn get(
        &self,
        py: Python<'_>,
        collection: Named,
        fingerprint: Option<&str>,
    ) -> PyResult<Description> {
        let collection = named(collection);
        let described = self.one(py, |client| match fingerprint {
            Some(fingerprint) => client.get_of_model(collection, fingerprint),
            None => client.get(collection),
        });
        described.map(Description::from)
    }

    fn list(&self, py: Python<'_>, namespace: &str, prefix: &str) -> PyResult<Vec<Description>> {
        let all = self.one(py, |client| client.list_all(namespace, prefix))?;
        Ok(all.into_iter().map(Description::from).collect())
    }

    fn delete(&self, py: Python<'_>, collection: Named) -> PyResult<u64> {
        let deleted = self.one(py, |client| client.delete(named(collection)))?;
        Ok(deleted.generation)
    }

    fn truncate(&self, py: Python<'_>, collection: Named, length: u32) -> PyResult<Vec<u32>> {
        let truncated = self.one(py, |client| client.truncate(named(collection), length))?;
        Ok(truncated.layer_lengths)
    }

    fn fork(
        &self,
        py: Python<'_>,
        collection: Named,
        name: String,
        length: Option<u32>,
        durability: Option<&str>,
    ) -> PyResult<Description> {
        let durability = chosen(
            "durability",
            durability,
            "DURABILITY_",
            wire::Durability::from_str_name,
        )?;
        let request = wire::ForkRequest {
            collection: Some(named(collection)),
            name,
            length,
            durability: durability.unwrap_or_default().into(),
        };
        self.one(py, |client| client.fork(request))
            .map(Description::from)
    }

    /// The daemon's boot epoch, version, used and allowed bytes of memory, and layers that wait for clustering.
    fn stats(&self, py: Python<'_>) -> PyResult<(u64, String, u64, u64, u64, u64)> {
        let stats = self.one(py, |client| client.stats(None))?;
        let memory = stats.memory.unwrap_or_default();
        let waiting = stats.clustering.unwrap_or_default().layers_waiting;
        Ok((
            stats.boot_epoch,
            stats.version,
            memory.used_bytes,
            memory.budget_bytes,
            waiting,
            stats.index.unwrap_or_default().shared_bytes,
        ))
    }

    fn insert(&self, py: Python<'_>, entries: Vec<Insert>) -> PyResult<Vec<Py<PyAny>>> {
        let entries = entries
            .into_iter()
            .map(Insert::wire)
            .collect::<PyResult<_>>()?;
        let answer = self.wait(py, |client| client.insert(entries));
        answers::batch(py, answer, |_, outcome| Ok(Inserted::from(outcome)))
    }

    fn segment_cluster(&self, py: Python<'_>, layers: Vec<LayerRef>) -> PyResult<Vec<Py<PyAny>>> {
        let layers = layers.into_iter().map(LayerRef::wire).collect();
        let answer = self.wait(py, |client| client.segment_cluster(layers));
        answers::batch(py, answer, |_, outcome| Ok(Clustered::from(outcome)))
    }

    fn top_clusters(&self, py: Python<'_>, entries: Vec<TopClusters>) -> PyResult<Vec<Py<PyAny>>> {
        let entries = entries
            .into_iter()
            .map(TopClusters::wire)
            .collect::<PyResult<_>>()?;
        let answer = self.wait(py, |client| client.top_clusters(entries));
        answers::batch(py, answer, RawRanking::new)
    }

    fn estimate(&self, py: Python<'_>, entries: Vec<Estimate>) -> PyResult<Vec<Py<PyAny>>> {
        let entries = entries
            .into_iter()
            .map(Estimate::wire)
            .collect::<PyResult<_>>()?;
        let answer = self.wait(py, |client| client.estimate(entries));
        answers::batch(py, answer, RawPartial::new)
    }

    fn attend(&self, py: Python<'_>, entries: Vec<Attend>) -> PyResult<Vec<Py<PyAny>>> {
        let entries = entries
            .into_iter()
            .map(Attend::wire)
            .collect::<PyResult<_>>()?;
        let answer = self.wait(py, |client| client.attend(entries));
        answers::batch(py, answer, RawAttended::new)
    }

    fn fetch(&self, py: Python<'_>, entries: Vec<Fetch>) -> PyResult<Vec<Py<PyAny>>> {
        let entries = entries.into_iter().map(Fetch::wire).collect();
        let answer = self.wait(py, |client| client.fetch(entries));
        answers::batch(py, answer, RawTokens::fetched)
    }
}
