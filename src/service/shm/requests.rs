//! From the body of a call to the messages that the door checks. A tensor is copied out of the arena here, once; from then on
//! nothing that the client does changes it.

use std::sync::Arc;

use bytes::Bytes;
use wavekv_proto::v1;
use wavekv_shm::body::{self, mode, what};
use wavekv_shm::{Memory, OutOfArena, Region};

use super::spare::Spare;
use crate::model::{Error, Invalid};

/// Copies the tensors of one call.
#[derive(Debug)]
pub(super) struct Tensors<'a> {
    memory: &'a Memory,
    spare: &'a Arc<Spare>,
    /// Bytes that the rest of the call may have: no more than the arena together, though they may name the same bytes twice.
    left: u64,
}

impl<'a> Tensors<'a> {
    pub(super) fn of(memory: &'a Memory, spare: &'a Arc<Spare>) -> Self {
        let left = memory.layout().arena_bytes();
        Self {
            memory,
            spare,
            left,
        }
    }

    fn copy(&mut self, field: &str, region: Region) -> Result<Bytes, Error> {
        let Some(left) = self.left.checked_sub(region.bytes) else {
            let expected = format!("at most {}, what the call's tensors have left", self.left);
            let field = format!("{field}.data.bytes");
            return Err(Invalid::new(field, region.bytes, expected).into());
        };
        let bytes = OutOfArena::unless_within(self.memory.layout(), region).and_then(|()| {
            let read = |copy: &mut [u8]| self.memory.read_into(region.offset, copy);
            self.spare.filled(region.bytes as usize, read)
        });
        let copy = bytes.map_err(|outside| {
            let value = format!("{} bytes at {}", region.bytes, region.offset);
            let expected = format!("a region of the arena: {outside}");
            Invalid::new(format!("{field}.data"), value, expected)
        })?;
        self.left = left;
        Ok(copy)
    }

    fn tensor(
        &mut self,
        field: &str,
        given: Option<body::Tensor>,
    ) -> Result<Option<v1::Tensor>, Error> {
        let Some(body::Tensor { dtype, shape, data }) = given else {
            return Ok(None);
        };
        Ok(Some(v1::Tensor {
            dtype: dtype.cast_signed(),
            shape,
            data: self.copy(field, data)?,
        }))
    }

    /// The message of an insert; its layer is found already.
    ///
    /// # Errors
    /// `InvalidArgument` when a tensor is not in the arena.
    pub(super) fn insert(&mut self, given: body::Insert) -> Result<v1::InsertEntry, Error> {
        Ok(v1::InsertEntry {
            layer: None,
            start_position: given.start_position,
            k: self.tensor("k", given.k)?,
            v: self.tensor("v", given.v)?,
        })
    }

    /// The message of an attend; its layer is found already.
    ///
    /// # Errors
    /// As [`Tensors::insert`].
    pub(super) fn attend(&mut self, given: body::Attend) -> Result<v1::AttendEntry, Error> {
        let insert = given.insert.map(|insert| {
            // Where it has one, the door says that it must not.
            let layer = insert.layer.as_ref().map(|_| v1::LayerRef::default());
            let message = self
                .insert(insert)
                .map_err(|error| error.within("insert"))?;
            Ok::<_, Error>(v1::InsertEntry { layer, ..message })
        });
        Ok(v1::AttendEntry {
            layer: None,
            insert: insert.transpose()?,
            q: self.tensor("q", given.q)?,
            positions: given.positions,
            mode: attend_mode(&given.mode),
            audit: given.audit,
        })
    }

    /// The message of a ranking; its layer is found already.
    ///
    /// # Errors
    /// As [`Tensors::insert`].
    pub(super) fn top_clusters(
        &mut self,
        given: body::TopClusters,
    ) -> Result<v1::TopClustersEntry, Error> {
        Ok(v1::TopClustersEntry {
            layer: None,
            q: self.tensor("q", given.q)?,
            position: given.position,
            limit: given.limit,
            with_payload: given.with_payload,
        })
    }

    /// The message of an estimate; its layer is found already.
    ///
    /// # Errors
    /// As [`Tensors::insert`].
    pub(super) fn estimate(&mut self, given: body::Estimate) -> Result<v1::EstimateEntry, Error> {
        let retrieved = given.retrieved.iter();
        Ok(v1::EstimateEntry {
            layer: None,
            q: self.tensor("q", given.q)?,
            position: given.position,
            retrieved: retrieved.map(cluster).collect(),
        })
    }
}

/// The message of a fetch; its layer is found already.
pub(super) fn fetch(given: &body::What) -> v1::FetchEntry {
    let what = match given.kind {
        what::RANGE => Some(v1::fetch_entry::What::Range(v1::TokenRange {
            start: given.start,
            end: given.end,
        })),
        what::CLUSTER => Some(v1::fetch_entry::What::Cluster(cluster(&given.cluster))),
        _ => None,
    };
    v1::FetchEntry { layer: None, what }
}

fn cluster(given: &body::Cluster) -> v1::ClusterRef {
    v1::ClusterRef {
        segment: given.segment,
        kv_head: given.kv_head,
        cluster: given.number,
    }
}

/// A kind that there is not is a mode that is not said, as over gRPC.
fn attend_mode(given: &body::Mode) -> Option<v1::AttendMode> {
    use v1::attend_mode::Mode;
    let budget = |estimate_share| {
        Mode::Budget(v1::BudgetMode {
            retrieve_share: given.first,
            estimate_share,
        })
    };
    let mode = match given.kind {
        mode::UNSET => return None,
        mode::EXACT => Some(Mode::Exact(v1::ExactMode {})),
        mode::BUDGET => Some(budget(None)),
        mode::BUDGET_WITH_SHARE => Some(budget(Some(given.second))),
        mode::ADAPTIVE => Some(Mode::Adaptive(v1::AdaptiveMode {
            target_error: given.first,
        })),
        mode::RETROINFER => Some(Mode::Retroinfer(v1::RetroInferPreset {})),
        _ => None,
    };
    Some(v1::AttendMode { mode })
}
