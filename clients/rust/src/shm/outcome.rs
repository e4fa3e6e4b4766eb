//! From bytes back to messages. Tensors are copied out of the arena, whose block is free afterwards.

use wavekv_shm::{Memory, Region, body};

use super::connection::read;
use crate::{ClientError, wire};

pub(super) fn tensor(given: body::Tensor, memory: &Memory) -> Result<wire::Tensor, ClientError> {
    Ok(wire::Tensor {
        dtype: given.dtype.cast_signed(),
        shape: given.shape,
        data: read(memory, given.data)?.into(),
    })
}

fn numbers(region: Region, memory: &Memory) -> Result<Vec<f32>, ClientError> {
    let bytes = read(memory, region)?;
    let (numbers, _) = bytes.as_chunks();
    Ok(numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

pub(super) fn ranges(given: &[body::Range]) -> Vec<wire::TokenRange> {
    let range = |range: &body::Range| wire::TokenRange {
        start: range.start,
        end: range.end,
    };
    given.iter().map(range).collect()
}

pub(super) fn attended(
    answer: body::Attended,
    memory: &Memory,
) -> Result<wire::AttendOutcome, ClientError> {
    let report = answer.report;
    Ok(wire::AttendOutcome {
        generation: answer.generation,
        out: Some(tensor(answer.out, memory)?),
        lse: Some(tensor(answer.lse, memory)?),
        report: Some(wire::AttendReport {
            exact_mass: numbers(report.exact_mass, memory)?,
            error_estimate: numbers(report.error_estimate, memory)?,
            visible_tokens: report.visible_tokens,
            steady_tokens: report.steady_tokens,
            retrieved_tokens: report.retrieved_tokens,
            coded_tokens: report.coded_tokens,
            estimated_tokens: report.estimated_tokens,
            ignored_tokens: report.ignored_tokens,
            bytes_read: report.bytes_read,
            full_bytes: report.full_bytes,
            audit: report.audit.map(|audit| wire::Audit {
                error: audit.error,
                error_low: audit.error_low,
                error_high: audit.error_high,
                drawn_clusters: audit.drawn_clusters,
                computed_tokens: audit.computed_tokens,
                bytes_read: audit.bytes_read,
            }),
        }),
        length: answer.length,
    })
}

pub(super) fn ranked(
    answer: body::Ranked,
    memory: &Memory,
) -> Result<wire::TopClustersOutcome, ClientError> {
    let dims = Payloads {
        dtype: answer.dtype.cast_signed(),
        head_dim: answer.head_dim,
        value_dim: answer.value_dim,
    };
    let heads = answer.heads.into_iter().map(|head| {
        let clusters = head.clusters.into_iter();
        let clusters = clusters.map(|ranked| dims.cluster(ranked, head.kv_head, memory));
        Ok(wire::HeadClusters {
            kv_head: head.kv_head,
            clusters: clusters.collect::<Result<_, ClientError>>()?,
        })
    });
    Ok(wire::TopClustersOutcome {
        generation: answer.generation,
        heads: heads.collect::<Result<_, ClientError>>()?,
        steady: ranges(&answer.steady),
    })
}

/// What the payloads of a ranking are.
struct Payloads {
    dtype: i32,
    head_dim: u32,
    value_dim: u32,
}

impl Payloads {
    fn cluster(
        &self,
        ranked: body::RankedCluster,
        kv_head: u32,
        memory: &Memory,
    ) -> Result<wire::RankedCluster, ClientError> {
        let tensor = |rows: usize, dim, data| {
            Ok::<_, ClientError>(wire::Tensor {
                dtype: self.dtype,
                shape: vec![rows as u32, dim],
                data: read(memory, data)?.into(),
            })
        };
        let payload = ranked.payload.map(|payload| {
            let tokens = payload.positions.len();
            Ok::<_, ClientError>(wire::ClusterPayload {
                k: Some(tensor(tokens, self.head_dim, payload.k)?),
                v: Some(tensor(tokens, self.value_dim, payload.v)?),
                positions: payload.positions,
            })
        });
        Ok(wire::RankedCluster {
            cluster: Some(wire::ClusterRef {
                segment: ranked.segment,
                kv_head,
                cluster: ranked.cluster,
            }),
            score: ranked.score,
            tokens: ranked.tokens,
            mass: ranked.mass,
            tier: ranked.tier.cast_signed(),
            payload: payload.transpose()?,
        })
    }
}
