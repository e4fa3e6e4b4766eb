//! `hnsw`: FAISS's graph of near keys in levels. A search walks from key to nearer key and keeps the best that it sees.
//!
//! How many candidates a search keeps is a field of the graph, and the crate has no type of its own for one, so that it
//! offers a search through `&mut` alone. So the graph of each KV head and segment has a lock, which two queries of one
//! layer at a time would meet; the heads of a query have a graph each.

use faiss::index::IndexImpl;
use faiss::index::autotune::ParameterSpace;
use faiss::{Index as _, MetricType, index_factory};
use parking_lot::Mutex;

use super::nearest::Space;
use super::with_faiss::hits;
use super::{HeadKeys, Hit, KeySearch, SearchError};

/// Neighbours of a key; twice as many on the lowest level.
const M: usize = 32;
/// Candidates while a key is added. 200 took 3 times as long and found no more on two real traces.
const EF_CONSTRUCTION: f64 = 40.0;
/// Candidates of a search beyond the keys that are asked for. With none, a search for 1.8 % of the keys found 99 % of the
/// mass of the best ones; searches for few keys need more.
const EF_BESIDE: usize = 64;
/// Keys that a search looks at for each candidate, while there are many left: 18 to 24 % of all keys where 1.8 % of them
/// are candidates.
const LOOKED_AT: f64 = 12.5;

/// The graph of one head.
#[derive(Debug)]
pub(super) struct Graph {
    space: Space,
    index: Mutex<IndexImpl>,
    tokens: usize,
    dim: usize,
}

/// Bytes: keys with their extra coordinate, the links of all levels, and where each key's begin.
pub(super) fn footprint(tokens: usize, dim: usize) -> u64 {
    let links = (2 * M + 1) * size_of::<i32>();
    let place = 2 * size_of::<usize>() + size_of::<i32>();
    (tokens * ((dim + 1) * size_of::<f32>() + links + place)) as u64
}

impl Graph {
    pub(super) fn build(keys: HeadKeys<'_>) -> Result<Self, SearchError> {
        let (space, points) = Space::of(keys.keys, keys.dim);
        let dim = keys.dim + 1;
        let mut index = index_factory(dim as u32, format!("HNSW{M}"), MetricType::L2)?;
        ParameterSpace::new()?.set_index_parameter(&index, "efConstruction", EF_CONSTRUCTION)?;
        index.add(&points)?;
        Ok(Self {
            space,
            index: Mutex::new(index),
            tokens: points.len() / dim,
            dim,
        })
    }

    fn ef(&self, most: usize) -> usize {
        (most + EF_BESIDE).min(self.tokens)
    }
}

impl KeySearch for Graph {
    fn search(&self, query: &[f32], most: usize) -> Result<Vec<Hit>, SearchError> {
        let (ef, most) = (self.ef(most), most.min(self.tokens));
        let lifted = self.space.lift(query, 1.0);
        let mut index = self.index.lock();
        ParameterSpace::new()?.set_index_parameter(&*index, "efSearch", ef as f64)?;
        let found = index.search(&lifted.point, most)?;
        drop(index);
        Ok(hits(&found, |distance| {
            lifted.product_at(distance, &self.space)
        }))
    }

    fn bytes_read(&self, most: usize) -> u64 {
        let (ef, tokens) = (self.ef(most) as f64, self.tokens as f64);
        let looked_at = tokens * (1.0 - (-LOOKED_AT * ef / tokens).exp());
        let (point, links) = (self.dim * size_of::<f32>(), 2 * M * size_of::<i32>());
        (looked_at * point as f64 + ef * links as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::kinds::recall;

    #[test]
    fn the_footprint_is_what_is_held() {
        let write = |keys: HeadKeys<'_>, file: &str| {
            let graph = Graph::build(keys).unwrap();
            faiss::write_index(&*graph.index.lock(), file)
        };
        recall::assert_footprint(write, footprint);
    }
}
