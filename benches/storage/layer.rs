//! The tokens, and the calls that carry them.

use std::path::Path;

use rustix::fs::{Advice, fadvise};
use wavekv_client::wire;

use crate::generated::{self, DIM, GROUP};
use crate::harness::{Collection, Daemon};

/// K and V, `bf16`.
const TOKEN_BYTES: usize = 2 * DIM * 2;
/// Tokens of one insert: 4 MiB.
pub(crate) const PIECE: usize = 8192;

/// One layer of one KV head.
pub(crate) struct Layer {
    scale: f32,
    /// K and V of the tokens of each insert.
    pieces: Vec<[Vec<u8>; 2]>,
    /// `[queries, GROUP, DIM]`.
    queries: Vec<f32>,
}

impl Layer {
    pub(crate) fn generated(mib: usize) -> Self {
        let tokens = (mib << 20) / TOKEN_BYTES;
        let generator = generated::generator(tokens).unwrap();
        let layer = generator.layer(0);
        let pieces = (0..tokens).step_by(PIECE).map(|start| {
            let planes = layer.range(start..start + PIECE);
            planes.map(|plane| plane.data().to_vec())
        });
        Self {
            scale: generator.geometry().scale,
            pieces: pieces.collect(),
            queries: generated::last_queries(&generator, &layer),
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.pieces.len() * PIECE
    }

    pub(crate) fn bytes(&self) -> usize {
        self.tokens() * TOKEN_BYTES
    }

    pub(crate) fn pieces(&self) -> &[[Vec<u8>; 2]] {
        &self.pieces
    }

    /// An empty collection for it, indexed as the daemon is configured.
    pub(crate) async fn collection(
        &self,
        daemon: &Daemon,
        durability: wire::Durability,
    ) -> Collection {
        let collection = Collection::unmade(&daemon.client().await);
        let request = wire::CreateRequest {
            collection: Some(collection.name.clone()),
            geometry: Some(wire::Geometry {
                fingerprint: "generated".to_owned(),
                layers: vec![wire::LayerKind { sliding_window: 0 }],
                q_heads: GROUP as u32,
                kv_heads: 1,
                head_dim: DIM as u32,
                value_dim: DIM as u32,
                dtype: wire::Dtype::Bf16.into(),
                scale: self.scale,
                softcap: 0.0,
            }),
            durability: durability.into(),
            ..Default::default()
        };
        collection.client.create(request).await.unwrap();
        collection
    }

    /// The insert of one piece.
    pub(crate) fn entry(&self, collection: &Collection, piece: usize) -> wire::InsertEntry {
        self.part(collection, piece, 0, PIECE)
    }

    /// Of some tokens of a piece.
    pub(crate) fn part(
        &self,
        collection: &Collection,
        piece: usize,
        first: usize,
        tokens: usize,
    ) -> wire::InsertEntry {
        let row = TOKEN_BYTES / 2;
        let [k, v] = &self.pieces[piece];
        let tensor = |from: &[u8]| wire::Tensor {
            dtype: wire::Dtype::Bf16.into(),
            shape: vec![tokens as u32, 1, DIM as u32],
            data: from[first * row..(first + tokens) * row].to_vec().into(),
        };
        wire::InsertEntry {
            layer: Some(collection.layer()),
            start_position: (piece * PIECE + first) as u32,
            k: Some(tensor(k)),
            v: Some(tensor(v)),
        }
    }

    /// A query at the end of what is stored, another for each number.
    pub(crate) fn question(
        &self,
        collection: &Collection,
        number: usize,
        mode: wire::AttendMode,
    ) -> wire::AttendEntry {
        let mut queries = self.queries.chunks_exact(GROUP * DIM).cycle();
        let query = queries.nth(number).unwrap();
        wire::AttendEntry {
            layer: Some(collection.layer()),
            q: Some(wire::Tensor {
                dtype: wire::Dtype::F32.into(),
                shape: vec![1, GROUP as u32, DIM as u32],
                data: query.iter().flat_map(|x| x.to_le_bytes()).collect(),
            }),
            mode: Some(mode),
            ..Default::default()
        }
    }
}

/// Has the system write what it has of a file, and forget it but for what is mapped.
pub(crate) fn drop_from_cache(path: &Path) {
    let file = fs_err::File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
}
