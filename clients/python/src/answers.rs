//! What calls return. Numbers are plain attributes; tensors are [`RawTensor`]s, which the package makes arrays of.

use pyo3::prelude::*;
use wavekv_client::{Batch, ClientError, wire};

use crate::entries::Cluster;
use crate::errors::exception;
use crate::tensor::{RawTensor, dtype_name};

/// A collection as it is now.
#[pyclass(frozen, get_all, module = "wavekv")]
#[derive(Debug)]
pub(crate) struct Description {
    namespace: String,
    name: String,
    generation: u64,
    fingerprint: String,
    sliding_windows: Vec<u32>,
    q_heads: u32,
    kv_heads: u32,
    head_dim: u32,
    value_dim: u32,
    dtype: &'static str,
    scale: f32,
    index: String,
    durability: String,
    length: u32,
    layer_lengths: Vec<u32>,
    refusal: String,
}

/// An accepted insert.
#[pyclass(frozen, get_all, module = "wavekv")]
#[derive(Debug)]
pub(crate) struct Inserted {
    generation: u64,
    length: u32,
    already_stored: u32,
}

/// What a layer is clustered into.
#[pyclass(frozen, get_all, module = "wavekv")]
#[derive(Debug)]
pub(crate) struct Clustered {
    generation: u64,
    segments: u32,
    clusters: u32,
    steady: Vec<(u32, u32)>,
}

/// The measured error of an answer.
#[pyclass(frozen, get_all, module = "wavekv")]
#[derive(Debug)]
pub(crate) struct Audit {
    error: f32,
    error_low: f32,
    error_high: f32,
    drawn_clusters: u64,
    computed_tokens: u64,
    bytes_read: u64,
}

/// An answer to a query, and what it cost.
#[pyclass(frozen, get_all, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct RawAttended {
    generation: u64,
    out: Py<RawTensor>,
    lse: Py<RawTensor>,
    length: u32,
    exact_mass: Vec<f32>,
    error_estimate: Vec<f32>,
    visible_tokens: u64,
    steady_tokens: u64,
    retrieved_tokens: u64,
    coded_tokens: u64,
    estimated_tokens: u64,
    ignored_tokens: u64,
    bytes_read: u64,
    full_bytes: u64,
    audit: Option<Py<Audit>>,
}

/// An attention output over some of the tokens.
#[pyclass(frozen, get_all, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct RawPartial {
    generation: u64,
    out: Py<RawTensor>,
    lse: Py<RawTensor>,
}

/// Stored K and V.
#[pyclass(frozen, get_all, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct RawTokens {
    positions: Vec<u32>,
    k: Py<RawTensor>,
    v: Py<RawTensor>,
}

/// A cluster in its place.
#[pyclass(frozen, get_all, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct RawCluster {
    cluster: Cluster,
    score: f32,
    tokens: u32,
    mass: f32,
    tier: &'static str,
    payload: Option<Py<RawTokens>>,
}

/// The best clusters of every KV head.
#[pyclass(frozen, get_all, module = "wavekv._native")]
#[derive(Debug)]
pub(crate) struct RawRanking {
    generation: u64,
    heads: Vec<Vec<Py<RawCluster>>>,
    steady: Vec<(u32, u32)>,
}

/// Makes the classes known to Python.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Description>()?;
    module.add_class::<Inserted>()?;
    module.add_class::<Clustered>()?;
    module.add_class::<Audit>()?;
    module.add_class::<RawTensor>()?;
    module.add_class::<RawAttended>()?;
    module.add_class::<RawPartial>()?;
    module.add_class::<RawTokens>()?;
    module.add_class::<RawCluster>()?;
    module.add_class::<RawRanking>()
}

/// The outcomes of a batch, with the exception in the place of an entry that failed.
pub(crate) fn batch<T, P>(
    py: Python<'_>,
    answer: Result<Batch<T>, ClientError>,
    made: impl Fn(Python<'_>, T) -> PyResult<P>,
) -> PyResult<Vec<Py<PyAny>>>
where
    P: pyo3::PyClass + Into<PyClassInitializer<P>>,
{
    let answer = answer.map_err(|error| exception(&error))?;
    let results = answer.results.into_iter().map(|result| match result {
        Ok(outcome) => Ok(Py::new(py, made(py, outcome)?)?.into_any()),
        Err(error) => Ok(exception(&error).into_value(py).into_any()),
    });
    results.collect()
}

fn steady(ranges: &[wire::TokenRange]) -> Vec<(u32, u32)> {
    ranges
        .iter()
        .map(|range| (range.start, range.end))
        .collect()
}

impl From<wire::CollectionDescription> for Description {
    fn from(described: wire::CollectionDescription) -> Self {
        let durability = described.durability().as_str_name();
        let durability = durability.trim_start_matches("DURABILITY_").to_lowercase();
        let geometry = described.geometry.unwrap_or_default();
        let kind = described.index.unwrap_or_default().kind();
        let index = kind.as_str_name().trim_start_matches("INDEX_KIND_");
        Self {
            namespace: described.namespace,
            name: described.name,
            generation: described.generation,
            sliding_windows: geometry
                .layers
                .iter()
                .map(|layer| layer.sliding_window)
                .collect(),
            q_heads: geometry.q_heads,
            kv_heads: geometry.kv_heads,
            head_dim: geometry.head_dim,
            value_dim: geometry.value_dim,
            dtype: dtype_name(geometry.dtype()),
            scale: geometry.scale,
            fingerprint: geometry.fingerprint,
            index: index.to_lowercase(),
            durability,
            length: described.length,
            layer_lengths: described.layer_lengths,
            refusal: described.refusal,
        }
    }
}

impl From<wire::InsertOutcome> for Inserted {
    fn from(inserted: wire::InsertOutcome) -> Self {
        let wire::InsertOutcome {
            generation,
            length,
            already_stored,
        } = inserted;
        Self {
            generation,
            length,
            already_stored,
        }
    }
}

impl From<wire::SegmentClusterOutcome> for Clustered {
    fn from(clustered: wire::SegmentClusterOutcome) -> Self {
        Self {
            generation: clustered.generation,
            segments: clustered.segments,
            clusters: clustered.clusters,
            steady: steady(&clustered.steady),
        }
    }
}

impl From<wire::Audit> for Audit {
    fn from(audit: wire::Audit) -> Self {
        Self {
            error: audit.error,
            error_low: audit.error_low,
            error_high: audit.error_high,
            drawn_clusters: audit.drawn_clusters,
            computed_tokens: audit.computed_tokens,
            bytes_read: audit.bytes_read,
        }
    }
}

fn tensor(py: Python<'_>, tensor: Option<wire::Tensor>) -> PyResult<Py<RawTensor>> {
    Py::new(py, RawTensor::new(py, tensor)?)
}

impl RawAttended {
    pub(crate) fn new(py: Python<'_>, attended: wire::AttendOutcome) -> PyResult<Self> {
        let report = attended.report.unwrap_or_default();
        let audit = report.audit.map(|audit| Py::new(py, Audit::from(audit)));
        Ok(Self {
            generation: attended.generation,
            out: tensor(py, attended.out)?,
            lse: tensor(py, attended.lse)?,
            length: attended.length,
            exact_mass: report.exact_mass,
            error_estimate: report.error_estimate,
            visible_tokens: report.visible_tokens,
            steady_tokens: report.steady_tokens,
            retrieved_tokens: report.retrieved_tokens,
            coded_tokens: report.coded_tokens,
            estimated_tokens: report.estimated_tokens,
            ignored_tokens: report.ignored_tokens,
            bytes_read: report.bytes_read,
            full_bytes: report.full_bytes,
            audit: audit.transpose()?,
        })
    }
}

impl RawPartial {
    pub(crate) fn new(py: Python<'_>, partial: wire::PartialOutcome) -> PyResult<Self> {
        Ok(Self {
            generation: partial.generation,
            out: tensor(py, partial.out)?,
            lse: tensor(py, partial.lse)?,
        })
    }
}

impl RawTokens {
    pub(crate) fn fetched(py: Python<'_>, fetched: wire::FetchOutcome) -> PyResult<Self> {
        Ok(Self {
            positions: fetched.positions,
            k: tensor(py, fetched.k)?,
            v: tensor(py, fetched.v)?,
        })
    }

    fn payload(py: Python<'_>, payload: wire::ClusterPayload) -> PyResult<Self> {
        Ok(Self {
            positions: payload.positions,
            k: tensor(py, payload.k)?,
            v: tensor(py, payload.v)?,
        })
    }
}

impl RawCluster {
    fn new(py: Python<'_>, ranked: wire::RankedCluster) -> PyResult<Self> {
        let tier = match ranked.tier() {
            wire::Tier::Ram => "ram",
            wire::Tier::Disk => "disk",
            wire::Tier::Unspecified => "unspecified",
        };
        let named = ranked.cluster.unwrap_or_default();
        let payload = ranked.payload.map(|payload| {
            let payload = RawTokens::payload(py, payload)?;
            Py::new(py, payload)
        });
        Ok(Self {
            cluster: (named.segment, named.kv_head, named.cluster),
            score: ranked.score,
            tokens: ranked.tokens,
            mass: ranked.mass,
            tier,
            payload: payload.transpose()?,
        })
    }
}

impl RawRanking {
    pub(crate) fn new(py: Python<'_>, ranking: wire::TopClustersOutcome) -> PyResult<Self> {
        let heads = ranking.heads.into_iter().map(|head| {
            let clusters = head.clusters.into_iter();
            clusters
                .map(|ranked| Py::new(py, RawCluster::new(py, ranked)?))
                .collect::<PyResult<Vec<_>>>()
        });
        Ok(Self {
            generation: ranking.generation,
            heads: heads.collect::<PyResult<_>>()?,
            steady: steady(&ranking.steady),
        })
    }
}
