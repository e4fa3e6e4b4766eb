//! What Python asks for: the dataclasses of `wavekv.entries`, read field by field.

use pyo3::prelude::*;
use wavekv_client::{Mode, wire};

use crate::tensor::Lent;

/// A layer of a collection.
#[derive(Debug, FromPyObject)]
pub(crate) struct LayerRef {
    namespace: String,
    name: String,
    generation: Option<u64>,
    layer: u32,
}

/// K and V to store.
#[derive(Debug, FromPyObject)]
pub(crate) struct Insert {
    layer: LayerRef,
    start: u32,
    k: Lent,
    v: Lent,
}

/// K and V of the step of an attend.
#[derive(Debug, FromPyObject)]
pub(crate) struct Step {
    start: u32,
    k: Lent,
    v: Lent,
}

/// A query.
#[derive(Debug, FromPyObject)]
pub(crate) struct Attend {
    layer: LayerRef,
    q: Lent,
    positions: Vec<u32>,
    mode: Option<String>,
    insert: Option<Step>,
    audit: bool,
}

/// A ranking to be made.
#[derive(Debug, FromPyObject)]
pub(crate) struct TopClusters {
    layer: LayerRef,
    q: Lent,
    position: Option<u32>,
    limit: u32,
    with_payload: bool,
}

/// A cluster: segment, KV head, and its number there.
pub(crate) type Cluster = (u64, u32, u32);

/// An estimate to be made.
#[derive(Debug, FromPyObject)]
pub(crate) struct Estimate {
    layer: LayerRef,
    q: Lent,
    position: Option<u32>,
    retrieved: Vec<Cluster>,
}

/// K and V to have back: of a token range, or of a cluster.
#[derive(Debug, FromPyObject)]
pub(crate) struct Fetch {
    layer: LayerRef,
    range: Option<(u32, u32)>,
    cluster: Option<Cluster>,
}

/// Names a collection.
pub(crate) fn collection(
    namespace: String,
    name: String,
    generation: Option<u64>,
) -> wire::CollectionRef {
    wire::CollectionRef {
        namespace,
        name,
        generation,
    }
}

impl LayerRef {
    pub(crate) fn wire(self) -> wire::LayerRef {
        wire::LayerRef {
            collection: Some(collection(self.namespace, self.name, self.generation)),
            layer: self.layer,
        }
    }
}

impl Insert {
    pub(crate) fn wire(self) -> PyResult<wire::InsertEntry> {
        Ok(wire::InsertEntry {
            layer: Some(self.layer.wire()),
            start_position: self.start,
            k: Some(self.k.wire()?),
            v: Some(self.v.wire()?),
        })
    }
}

impl Attend {
    pub(crate) fn wire(self) -> PyResult<wire::AttendEntry> {
        let insert = self.insert.map(|step| {
            Ok::<_, PyErr>(wire::InsertEntry {
                layer: None,
                start_position: step.start,
                k: Some(step.k.wire()?),
                v: Some(step.v.wire()?),
            })
        });
        Ok(wire::AttendEntry {
            layer: Some(self.layer.wire()),
            q: Some(self.q.wire()?),
            positions: self.positions,
            mode: self.mode.map(|mode| self::mode(&mode)).transpose()?,
            insert: insert.transpose()?,
            audit: self.audit,
        })
    }
}

impl TopClusters {
    pub(crate) fn wire(self) -> PyResult<wire::TopClustersEntry> {
        Ok(wire::TopClustersEntry {
            layer: Some(self.layer.wire()),
            q: Some(self.q.wire()?),
            position: self.position,
            limit: self.limit,
            with_payload: self.with_payload,
        })
    }
}

impl Estimate {
    pub(crate) fn wire(self) -> PyResult<wire::EstimateEntry> {
        Ok(wire::EstimateEntry {
            layer: Some(self.layer.wire()),
            q: Some(self.q.wire()?),
            position: self.position,
            retrieved: self.retrieved.into_iter().map(cluster).collect(),
        })
    }
}

impl Fetch {
    pub(crate) fn wire(self) -> wire::FetchEntry {
        use wire::fetch_entry::What;
        let range = self
            .range
            .map(|(start, end)| wire::TokenRange { start, end });
        let cluster = self.cluster.map(cluster);
        wire::FetchEntry {
            layer: Some(self.layer.wire()),
            what: range
                .map(What::Range)
                .or_else(|| cluster.map(What::Cluster)),
        }
    }
}

fn cluster((segment, kv_head, cluster): Cluster) -> wire::ClusterRef {
    wire::ClusterRef {
        segment,
        kv_head,
        cluster,
    }
}

/// A mode as it is written.
fn mode(text: &str) -> PyResult<wire::AttendMode> {
    let mode: Mode = text
        .parse()
        .map_err(|unknown: wavekv_client::UnknownMode| {
            crate::errors::InvalidArgument::new_err(unknown.to_string())
        })?;
    Ok(mode.wire())
}
