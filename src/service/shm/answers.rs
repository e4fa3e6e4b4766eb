//! From the engine's answers to the answer's region: numbers are written where they stay, once.

use wavekv_shm::body::{self, Field};
use wavekv_shm::writer::{WriteError, Writer};

use crate::collection::{Attended, Collection, Fetched, Inserted, Ranked, Ranking};
use crate::engine::batch::{Answer, Answers, Clustered};
use crate::model::{Audit, Dtype, Error, Geometry, Partial, TokenRange};
use crate::service::room::ENTRY_BYTES;
use crate::service::status::entry_error;

/// Of a sentence; with it, a failure takes less than the room has for an entry.
const SENTENCE_BYTES: usize = ENTRY_BYTES - 64;

/// Puts the answers of a batch into the region, tensors first; answers the body that names them.
pub(super) fn batch<A, T: Field>(
    answers: Answers<A>,
    writer: &mut Writer,
    mut put: impl FnMut(A, &Collection, &mut Writer) -> Result<T, WriteError>,
) -> Result<Vec<u8>, WriteError> {
    let answers = answers.into_iter().map(|answer| match answer {
        Ok(Answer { collection, what }) => Ok(Ok(put(what, &collection, writer)?)),
        Err(error) => Ok(Err(failure(&error))),
    });
    let answers: body::Answers<T> = answers.collect::<Result<_, WriteError>>()?;
    Ok(body::encode(&answers))
}

/// Why an entry or a call has no outcome, with the code and the sentence that it has over gRPC.
pub(super) fn failure(error: &Error) -> body::Failure {
    let said = entry_error(error);
    let mut message = said.message;
    message.truncate(message.floor_char_boundary(SENTENCE_BYTES));
    body::Failure {
        code: said.code.cast_unsigned(),
        message,
    }
}

pub(super) fn dtype(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::Bf16 => 1,
        Dtype::F16 => 2,
        Dtype::F32 => 3,
    }
}

fn tensor(
    of: Dtype,
    shape: Vec<u32>,
    bytes: &[u8],
    writer: &mut Writer,
) -> Result<body::Tensor, WriteError> {
    Ok(body::Tensor {
        dtype: dtype(of),
        shape,
        data: writer.put(bytes)?,
    })
}

/// Of a little-endian machine: the numbers as they stand.
fn bytes(values: &[f32]) -> &[u8] {
    const { assert!(cfg!(target_endian = "little")) };
    bytemuck::cast_slice(values)
}

/// `out` and `lse` of a partial of some query tokens.
fn partial(
    partial: &Partial,
    geometry: &Geometry,
    writer: &mut Writer,
) -> Result<[body::Tensor; 2], WriteError> {
    let tokens = partial.lse.len() as u32 / geometry.q_heads;
    let out = vec![tokens, geometry.q_heads, geometry.value_dim];
    let lse = vec![tokens, geometry.q_heads];
    Ok([
        tensor(Dtype::F32, out, bytes(&partial.out), writer)?,
        tensor(Dtype::F32, lse, bytes(&partial.lse), writer)?,
    ])
}

fn ranges(ranges: &[TokenRange]) -> Vec<body::Range> {
    let range = |range: &TokenRange| body::Range {
        start: range.start,
        end: range.end,
    };
    ranges.iter().map(range).collect()
}

pub(super) fn inserted(inserted: Inserted, collection: &Collection) -> body::Inserted {
    body::Inserted {
        generation: collection.generation().0,
        length: inserted.length,
        already_stored: inserted.already_stored,
    }
}

pub(super) fn clustered(clustered: &Clustered, collection: &Collection) -> body::Clustered {
    body::Clustered {
        generation: collection.generation().0,
        segments: clustered.segments as u32,
        clusters: clustered.clusters as u32,
        steady: ranges(&clustered.steady),
    }
}

pub(super) fn attended(
    attended: Attended,
    collection: &Collection,
    writer: &mut Writer,
) -> Result<body::Attended, WriteError> {
    let [out, lse] = partial(&attended.partial, collection.geometry(), writer)?;
    let report = attended.report;
    let cost = report.cost;
    Ok(body::Attended {
        generation: collection.generation().0,
        length: attended.length,
        out,
        lse,
        report: body::Report {
            exact_mass: writer.put(bytes(&report.exact_mass))?,
            error_estimate: writer.put(bytes(&report.error_estimate))?,
            visible_tokens: cost.visible_tokens(),
            steady_tokens: cost.steady_tokens,
            retrieved_tokens: cost.retrieved_tokens,
            coded_tokens: cost.coded_tokens,
            estimated_tokens: cost.estimated_tokens,
            ignored_tokens: cost.ignored_tokens,
            bytes_read: cost.bytes_read,
            full_bytes: cost.full_bytes,
            audit: report.audit.map(audit),
        },
    })
}

fn audit(audit: Audit) -> body::Audit {
    let [low, high] = audit.interval();
    body::Audit {
        error: audit.error() as f32,
        error_low: low as f32,
        error_high: high as f32,
        drawn_clusters: audit.clusters,
        computed_tokens: audit.tokens,
        bytes_read: audit.bytes_read,
    }
}

pub(super) fn estimated(
    estimated: &Partial,
    collection: &Collection,
    writer: &mut Writer,
) -> Result<body::Estimated, WriteError> {
    let [out, lse] = partial(estimated, collection.geometry(), writer)?;
    Ok(body::Estimated {
        generation: collection.generation().0,
        out,
        lse,
    })
}

pub(super) fn ranking(
    ranking: Ranking,
    collection: &Collection,
    writer: &mut Writer,
) -> Result<body::Ranked, WriteError> {
    let geometry = collection.geometry();
    let heads = ranking.heads.into_iter().enumerate();
    let heads = heads.map(|(head, clusters)| {
        let clusters = clusters.into_iter();
        let clusters = clusters.map(|ranked| cluster(ranked, writer));
        Ok(body::RankedHead {
            kv_head: head as u32,
            clusters: clusters.collect::<Result<_, WriteError>>()?,
        })
    });
    Ok(body::Ranked {
        generation: collection.generation().0,
        dtype: dtype(geometry.dtype),
        head_dim: geometry.head_dim,
        value_dim: geometry.value_dim,
        heads: heads.collect::<Result<_, WriteError>>()?,
        steady: ranges(&ranking.steady),
    })
}

fn cluster(ranked: Ranked, writer: &mut Writer) -> Result<body::RankedCluster, WriteError> {
    let payload = ranked.payload.map(|fetched| {
        Ok::<_, WriteError>(body::Payload {
            k: writer.put(&fetched.keys)?,
            v: writer.put(&fetched.values)?,
            positions: fetched.positions,
        })
    });
    Ok(body::RankedCluster {
        segment: ranked.address.segment.0,
        cluster: ranked.address.cluster.0,
        score: ranked.score,
        tokens: ranked.tokens,
        mass: ranked.mass,
        tier: if ranked.resident { 1 } else { 2 },
        payload: payload.transpose()?,
    })
}

pub(super) fn fetched(
    fetched: Fetched,
    collection: &Collection,
    writer: &mut Writer,
) -> Result<body::Fetched, WriteError> {
    let geometry = collection.geometry();
    let shape = |dim| vec![fetched.positions.len() as u32, fetched.heads, dim];
    let (k, v) = (shape(geometry.head_dim), shape(geometry.value_dim));
    Ok(body::Fetched {
        generation: collection.generation().0,
        k: tensor(geometry.dtype, k, &fetched.keys, writer)?,
        v: tensor(geometry.dtype, v, &fetched.values, writer)?,
        positions: fetched.positions,
    })
}
