//! From the engine's answers to messages.

use bytes::Bytes;
use wavekv_proto::v1;

use crate::collection::{
    Attended, AuditSize, AuditedHead, Collection, Fetched, Inserted, LayerSize, Ranked, Ranking,
    Traffic,
};
use crate::engine::batch::Clustered;
use crate::engine::snapshots::Snapshot;
use crate::engine::verify::Told;
use crate::model::{
    Audit, ClusterAddress, CollectionName, Dtype, Durability, Generation, Geometry, IndexKind,
    LayerKind, Partial, TokenRange,
};
use crate::service::health::{Reason, Severity};

/// A collection by its full name.
pub(super) fn named(name: &CollectionName, generation: Option<Generation>) -> v1::CollectionRef {
    v1::CollectionRef {
        namespace: name.namespace().to_owned(),
        name: name.name().to_owned(),
        generation: generation.map(|generation| generation.0),
    }
}

/// Why not all is well.
pub(super) fn reason(reason: Reason) -> v1::HealthReason {
    let severity = match reason.severity {
        Severity::Degraded => v1::Severity::Degraded,
        Severity::Unavailable => v1::Severity::Unavailable,
    };
    v1::HealthReason {
        severity: severity.into(),
        code: reason.code.to_owned(),
        sentence: reason.sentence,
    }
}

/// A word of a verification.
pub(super) fn verified(boot_epoch: u64, told: Told) -> v1::VerifyResponse {
    let told = match told {
        Told::Progress(progress) => v1::verify_response::Told::Progress(v1::VerifyProgress {
            collection: progress.collection.map(|name| named(&name, None)),
            collections_done: progress.collections,
            collections: progress.all_collections,
            bytes_done: progress.bytes,
            bytes: progress.all_bytes,
            findings: progress.findings,
        }),
        Told::Found(name, generation, finding) => {
            v1::verify_response::Told::Finding(v1::VerifyFinding {
                collection: Some(named(&name, Some(generation))),
                layer: finding.layer.map(|layer| layer.0),
                segment: finding.segment.map(|segment| segment.0),
                kv_head: finding.kv_head.map(|head| head.0),
                file: finding
                    .file
                    .map_or_else(String::new, |file| file.display().to_string()),
                column: finding.column.unwrap_or_default().to_owned(),
                message: finding.error.message().to_owned(),
            })
        }
    };
    v1::VerifyResponse {
        boot_epoch,
        told: Some(told),
    }
}

pub(super) fn description(collection: &Collection) -> v1::CollectionDescription {
    let geometry = collection.geometry();
    let parameters = collection.parameters();
    let layer_lengths = collection.layer_lengths();
    v1::CollectionDescription {
        namespace: collection.name().namespace().to_owned(),
        name: collection.name().name().to_owned(),
        generation: collection.generation().0,
        geometry: geometry.is_known().then(|| v1::Geometry {
            fingerprint: geometry.fingerprint.clone(),
            layers: geometry
                .layers
                .iter()
                .map(|kind| layer_kind(*kind))
                .collect(),
            q_heads: geometry.q_heads,
            kv_heads: geometry.kv_heads,
            head_dim: geometry.head_dim,
            value_dim: geometry.value_dim,
            dtype: dtype(geometry.dtype).into(),
            scale: geometry.scale,
            softcap: geometry.softcap.unwrap_or(0.0),
        }),
        index: geometry.is_known().then(|| v1::IndexParameters {
            kind: index_kind(parameters.kind).into(),
            sink_tokens: Some(parameters.sink_tokens),
            recent_tokens: Some(parameters.recent_tokens),
            segment_tokens: Some(parameters.segment_tokens),
            decode_segment_tokens: Some(parameters.decode_segment_tokens),
            cluster_tokens: Some(parameters.cluster_tokens),
            kmeans_iterations: Some(parameters.kmeans_iterations),
            seed: Some(parameters.seed),
        }),
        length: layer_lengths.iter().copied().min().unwrap_or(0),
        layer_lengths,
        durability: durability(collection.durability()).into(),
        ttl_seconds: collection.retention().ttl_seconds(),
        expendable: collection.retention().expendable,
        refusal: collection
            .refusal()
            .map_or_else(String::new, ToString::to_string),
    }
}

pub(super) fn snapshot(snapshot: Snapshot) -> v1::SnapshotDescription {
    let empty = v1::SnapshotDescription {
        snapshot: snapshot.name,
        made_at: snapshot.made_at,
        ..Default::default()
    };
    match snapshot.described {
        Err(refusal) => v1::SnapshotDescription {
            refusal: refusal.to_string(),
            ..empty
        },
        Ok(described) => v1::SnapshotDescription {
            namespace: described.name.namespace().to_owned(),
            name: described.name.name().to_owned(),
            fingerprint: described.geometry.fingerprint,
            kind: index_kind(described.parameters.kind).into(),
            durability: durability(described.durability).into(),
            layer_lengths: described.layer_lengths,
            bytes: described.bytes,
            ..empty
        },
    }
}

fn durability(durability: Durability) -> v1::Durability {
    match durability {
        Durability::None => v1::Durability::None,
        Durability::Process => v1::Durability::Process,
        Durability::Power => v1::Durability::Power,
    }
}

fn index_kind(kind: IndexKind) -> v1::IndexKind {
    match kind {
        IndexKind::Wave => v1::IndexKind::Wave,
        IndexKind::Flat => v1::IndexKind::Flat,
        IndexKind::Ivf => v1::IndexKind::Ivf,
        IndexKind::Hnsw => v1::IndexKind::Hnsw,
    }
}

fn layer_kind(kind: LayerKind) -> v1::LayerKind {
    let sliding_window = match kind {
        LayerKind::Full => 0,
        LayerKind::Sliding { window } => window,
    };
    v1::LayerKind { sliding_window }
}

pub(super) fn sliding_window(kind: LayerKind) -> u32 {
    layer_kind(kind).sliding_window
}

fn dtype(dtype: Dtype) -> v1::Dtype {
    match dtype {
        Dtype::Bf16 => v1::Dtype::Bf16,
        Dtype::F16 => v1::Dtype::F16,
        Dtype::F32 => v1::Dtype::F32,
    }
}

fn tensor(of: Dtype, shape: Vec<u32>, data: impl Into<Bytes>) -> v1::Tensor {
    v1::Tensor {
        dtype: dtype(of).into(),
        shape,
        data: data.into(),
    }
}

fn f32_tensor(shape: Vec<u32>, values: &[f32]) -> v1::Tensor {
    let data: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    tensor(Dtype::F32, shape, data)
}

fn ranges(ranges: &[TokenRange]) -> Vec<v1::TokenRange> {
    ranges
        .iter()
        .map(|range| v1::TokenRange {
            start: range.start,
            end: range.end,
        })
        .collect()
}

/// `out` and `lse` of a partial of some query tokens.
fn partial(partial: &Partial, geometry: &Geometry) -> (v1::Tensor, v1::Tensor) {
    let tokens = partial.lse.len() as u32 / geometry.q_heads;
    let out = vec![tokens, geometry.q_heads, geometry.value_dim];
    let lse = vec![tokens, geometry.q_heads];
    (f32_tensor(out, &partial.out), f32_tensor(lse, &partial.lse))
}

pub(super) fn inserted(inserted: Inserted, collection: &Collection) -> v1::InsertOutcome {
    v1::InsertOutcome {
        generation: collection.generation().0,
        length: inserted.length,
        already_stored: inserted.already_stored,
    }
}

pub(super) fn clustered(
    clustered: &Clustered,
    collection: &Collection,
) -> v1::SegmentClusterOutcome {
    v1::SegmentClusterOutcome {
        generation: collection.generation().0,
        segments: clustered.segments as u32,
        clusters: clustered.clusters as u32,
        steady: ranges(&clustered.steady),
    }
}

pub(super) fn attended(attended: Attended, collection: &Collection) -> v1::AttendOutcome {
    let (out, lse) = partial(&attended.partial, collection.geometry());
    let cost = attended.report.cost;
    v1::AttendOutcome {
        generation: collection.generation().0,
        out: Some(out),
        lse: Some(lse),
        report: Some(v1::AttendReport {
            exact_mass: attended.report.exact_mass,
            error_estimate: attended.report.error_estimate,
            visible_tokens: cost.visible_tokens(),
            steady_tokens: cost.steady_tokens,
            retrieved_tokens: cost.retrieved_tokens,
            coded_tokens: cost.coded_tokens,
            estimated_tokens: cost.estimated_tokens,
            ignored_tokens: cost.ignored_tokens,
            bytes_read: cost.bytes_read,
            full_bytes: cost.full_bytes,
            audit: attended.report.audit.map(audit),
        }),
        length: attended.length,
    }
}

fn audit(audit: Audit) -> v1::Audit {
    let [low, high] = audit.interval();
    v1::Audit {
        error: audit.error() as f32,
        error_low: low as f32,
        error_high: high as f32,
        drawn_clusters: audit.clusters,
        computed_tokens: audit.tokens,
        bytes_read: audit.bytes_read,
    }
}

pub(super) fn estimated(estimated: &Partial, collection: &Collection) -> v1::PartialOutcome {
    let (out, lse) = partial(estimated, collection.geometry());
    v1::PartialOutcome {
        generation: collection.generation().0,
        out: Some(out),
        lse: Some(lse),
    }
}

pub(super) fn ranking(ranking: Ranking, collection: &Collection) -> v1::TopClustersOutcome {
    let geometry = collection.geometry();
    let heads = ranking
        .heads
        .into_iter()
        .enumerate()
        .map(|(head, clusters)| v1::HeadClusters {
            kv_head: head as u32,
            clusters: clusters
                .into_iter()
                .map(|ranked| cluster(ranked, geometry))
                .collect(),
        });
    v1::TopClustersOutcome {
        generation: collection.generation().0,
        heads: heads.collect(),
        steady: ranges(&ranking.steady),
    }
}

fn cluster(ranked: Ranked, geometry: &Geometry) -> v1::RankedCluster {
    let ClusterAddress {
        segment,
        head,
        cluster,
    } = ranked.address;
    let payload = ranked.payload.map(|fetched| {
        let tokens = fetched.positions.len() as u32;
        v1::ClusterPayload {
            k: Some(tensor(
                geometry.dtype,
                vec![tokens, geometry.head_dim],
                fetched.keys,
            )),
            v: Some(tensor(
                geometry.dtype,
                vec![tokens, geometry.value_dim],
                fetched.values,
            )),
            positions: fetched.positions,
        }
    });
    let tier = if ranked.resident {
        v1::Tier::Ram
    } else {
        v1::Tier::Disk
    };
    v1::RankedCluster {
        cluster: Some(v1::ClusterRef {
            segment: segment.0,
            kv_head: head.0,
            cluster: cluster.0,
        }),
        score: ranked.score,
        tokens: ranked.tokens,
        mass: ranked.mass,
        tier: tier.into(),
        payload,
    }
}

pub(super) fn fetched(fetched: Fetched, collection: &Collection) -> v1::FetchOutcome {
    let geometry = collection.geometry();
    let shape = |dim| vec![fetched.positions.len() as u32, fetched.heads, dim];
    let (k, v) = (shape(geometry.head_dim), shape(geometry.value_dim));
    v1::FetchOutcome {
        generation: collection.generation().0,
        k: Some(tensor(geometry.dtype, k, fetched.keys)),
        v: Some(tensor(geometry.dtype, v, fetched.values)),
        positions: fetched.positions,
    }
}

pub(super) fn index_stats(size: LayerSize) -> v1::IndexStats {
    v1::IndexStats {
        tokens: size.tokens,
        clustered_tokens: size.clustered_tokens,
        segments: size.segments,
        clusters: size.clusters,
        payload_bytes: size.payload_bytes,
        code_bytes: size.code_bytes,
        shared_bytes: size.shared_bytes,
        meta_index_bytes: size.meta_index_bytes,
    }
}

pub(super) fn residence(traffic: Traffic, pinned: bool) -> v1::ResidenceStats {
    v1::ResidenceStats {
        hits: traffic.hits,
        misses: traffic.misses,
        evictions: traffic.evictions,
        resident_bytes: traffic.resident_bytes,
        pinned,
    }
}

pub(super) fn audit_stats(size: &AuditSize) -> v1::AuditStats {
    v1::AuditStats {
        audits: size.audits,
        skipped: 0,
        error: size.error() as f32,
        worst: size.worst.map(audited_head),
        raised_heads: size.raised.len() as u64,
    }
}

pub(super) fn audited_head(head: AuditedHead) -> v1::AuditedHead {
    v1::AuditedHead {
        collection: None,
        layer: head.layer,
        kv_head: head.head.0,
        error: head.error as f32,
        target_factor: head.factor,
    }
}
