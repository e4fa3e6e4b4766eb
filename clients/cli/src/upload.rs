//! From a trace to the requests that store it and ask about it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use wavekv_client::{Mode, wire};
use wavekv_trace::{Dtype, Geometry, Trace};

use crate::arguments::{Durability, IndexKind};

/// Largest message of a stream, short of a larger entry.
pub(crate) const MESSAGE_BYTES: usize = 16 << 20;

/// Names a collection.
pub(crate) fn collection(namespace: &str, name: &str) -> wire::CollectionRef {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    wire::CollectionRef {
        namespace,
        name,
        generation: None,
    }
}

/// Names a layer by its place among the captured ones.
pub(crate) fn layer(collection: &wire::CollectionRef, index: usize) -> wire::LayerRef {
    wire::LayerRef {
        collection: Some(collection.clone()),
        layer: index as u32,
    }
}

/// Names all layers of a trace.
pub(crate) fn layers(collection: &wire::CollectionRef, trace: &Trace) -> Vec<wire::LayerRef> {
    (0..trace.layers.len())
        .map(|index| layer(collection, index))
        .collect()
}

/// A collection of `layers` layers, with an index of a kind where one is given; the rest as the daemon is configured.
pub(crate) fn create(
    collection: wire::CollectionRef,
    fingerprint: String,
    layers: usize,
    geometry: &Geometry,
    index: Option<IndexKind>,
) -> wire::CreateRequest {
    let geometry = wire::Geometry {
        fingerprint,
        layers: vec![wire::LayerKind { sliding_window: 0 }; layers],
        q_heads: geometry.q_heads as u32,
        kv_heads: geometry.kv_heads as u32,
        head_dim: geometry.head_dim as u32,
        value_dim: geometry.value_dim as u32,
        dtype: dtype(geometry.dtype).into(),
        scale: geometry.scale,
        softcap: 0.0,
    };
    wire::CreateRequest {
        collection: Some(collection),
        geometry: Some(geometry),
        index: index.map(|kind| wire::IndexParameters {
            kind: index_kind(kind).into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A collection for the captured layers of a trace, with an index of a kind where one is given.
pub(crate) fn create_for(
    collection: wire::CollectionRef,
    trace: &Trace,
    index: Option<IndexKind>,
) -> wire::CreateRequest {
    let (fingerprint, layers) = (trace.model.clone(), trace.layers.len());
    create(collection, fingerprint, layers, &trace.geometry(), index)
}

fn query(q: &[f32], shape: [usize; 2]) -> wire::Tensor {
    wire::Tensor {
        dtype: wire::Dtype::F32.into(),
        shape: vec![1, shape[0] as u32, shape[1] as u32],
        data: Dtype::F32.encode(q).into(),
    }
}

/// Asks a layer about one query token at a position, in a mode; `shape` = `[q_heads, head_dim]`.
pub(crate) fn question(
    layer: wire::LayerRef,
    q: &[f32],
    shape: [usize; 2],
    position: u32,
    mode: Mode,
) -> wire::AttendEntry {
    wire::AttendEntry {
        layer: Some(layer),
        q: Some(query(q, shape)),
        positions: vec![position],
        mode: Some(mode.wire()),
        insert: None,
        audit: false,
    }
}

/// K and V of the tokens of `range` of one layer. The layer's name is left to the caller.
pub(crate) fn entry(trace: &Trace, index: usize, range: Range<usize>) -> wire::InsertEntry {
    let layer = &trace.layers[index];
    let both = [
        layer.tokens_major_k(range.clone()).into(),
        layer.tokens_major_v(range.clone()).into(),
    ];
    entry_of(&trace.geometry(), range, both)
}

/// The same from the bytes of K and V, `[tokens, kv_heads, dim]`.
pub(crate) fn entry_of(
    geometry: &Geometry,
    range: Range<usize>,
    both: [Bytes; 2],
) -> wire::InsertEntry {
    let tensor = |data, dim: usize| wire::Tensor {
        dtype: dtype(geometry.dtype).into(),
        shape: vec![range.len() as u32, geometry.kv_heads as u32, dim as u32],
        data,
    };
    let [k, v] = both;
    wire::InsertEntry {
        layer: None,
        start_position: range.start as u32,
        k: Some(tensor(k, geometry.head_dim)),
        v: Some(tensor(v, geometry.value_dim)),
    }
}

/// K and V of the tokens of `range` of all layers, at most `tokens` tokens an entry; made when they are asked for.
pub(crate) fn entries(
    trace: Arc<Trace>,
    collection: wire::CollectionRef,
    range: Range<usize>,
    tokens: usize,
) -> impl Iterator<Item = wire::InsertEntry> + Send + Unpin + 'static {
    let layers = trace.layers.len();
    let end = range.end;
    let places = range
        .step_by(tokens)
        .flat_map(move |start| (0..layers).map(move |i| (start, i)));
    places.map(move |(start, index)| wire::InsertEntry {
        layer: Some(layer(&collection, index)),
        ..entry(&trace, index, start..end.min(start + tokens))
    })
}

/// As the contract has it.
pub(crate) fn durability(durability: Durability) -> wire::Durability {
    match durability {
        Durability::None => wire::Durability::None,
        Durability::Process => wire::Durability::Process,
        Durability::Power => wire::Durability::Power,
    }
}

pub(crate) fn index_kind(kind: IndexKind) -> wire::IndexKind {
    match kind {
        IndexKind::Wave => wire::IndexKind::Wave,
        IndexKind::Flat => wire::IndexKind::Flat,
        IndexKind::Ivf => wire::IndexKind::Ivf,
        IndexKind::Hnsw => wire::IndexKind::Hnsw,
    }
}

fn dtype(dtype: Dtype) -> wire::Dtype {
    match dtype {
        Dtype::Bf16 => wire::Dtype::Bf16,
        Dtype::F16 => wire::Dtype::F16,
        Dtype::F32 => wire::Dtype::F32,
    }
}

#[cfg(test)]
mod tests {
    use wavekv_trace::generate::{GenerateParameters, generate};

    use super::*;

    #[test]
    fn entries_cover_every_layer_in_order_with_the_shapes_of_the_contract() {
        let parameters = GenerateParameters {
            tokens: 100,
            layers: 2,
            value_dim: 32,
            ..Default::default()
        };
        let trace = Arc::new(generate(&parameters).unwrap());
        let all: Vec<_> = entries(Arc::clone(&trace), collection("n", "c"), 10..100, 40).collect();
        let places: Vec<(u32, u32)> = all
            .iter()
            .map(|entry| (entry.start_position, entry.layer.as_ref().unwrap().layer))
            .collect();
        assert_eq!(
            places,
            [(10, 0), (10, 1), (50, 0), (50, 1), (90, 0), (90, 1)]
        );
        let last = all[5].v.as_ref().unwrap();
        assert_eq!(last.shape, [10, 2, 32]);
        assert_eq!(last.data, trace.layers[1].tokens_major_v(90..100));
        let created = create_for(collection("n", "c"), &trace, Some(IndexKind::Ivf));
        assert_eq!(created.index.unwrap().kind(), wire::IndexKind::Ivf);
        let geometry = created.geometry.unwrap();
        assert_eq!(
            (geometry.layers.len(), geometry.q_heads, geometry.value_dim),
            (2, 8, 32)
        );
    }
}
