//! Exact attention over K and V that come piece by piece: an online softmax per query row and head.

use std::ops::Range;

use rayon::prelude::*;

use super::shape::{self, ShapeError};
use super::vectors::{decode, dot, query};
use super::{Exact, Queries, Stored, visible};

/// Tokens decoded at a time: K and V of a block stay in the nearest caches.
const BLOCK_TOKENS: usize = 32;
/// Queries that share one pass over K and V.
const QUERY_ROWS: usize = 8;

/// Attention in progress. Pieces are added in order of position, without gaps.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    queries: Queries<'a>,
    /// `[kv_heads, head_dim, value_dim]`.
    dims: [usize; 3],
    /// Taken in so far.
    tokens: usize,
    units: Vec<Unit>,
}

impl<'a> Pieces<'a> {
    /// Nothing attended to yet. `dims` is `[kv_heads, head_dim, value_dim]`.
    ///
    /// # Errors
    /// When the queries do not fit the shape.
    pub fn new(queries: Queries<'a>, dims: [usize; 3]) -> Result<Self, ShapeError> {
        shape::check_heads(&queries, dims)?;
        shape::check_queries(&queries, dims[1])?;
        let rows = (0..queries.positions.len()).step_by(QUERY_ROWS);
        let units = rows
            .flat_map(|row| (0..dims[0]).map(move |kv_head| (row, kv_head)))
            .map(|(row, kv_head)| Unit::new(&queries, dims, row, kv_head))
            .collect();
        Ok(Self {
            queries,
            dims,
            tokens: 0,
            units,
        })
    }

    /// Attends to the next tokens, on all cores. The first of them has the position that follows the piece before.
    ///
    /// # Errors
    /// When a length does not fit the shapes.
    pub fn add(&mut self, piece: &Stored<'_>) -> Result<(), ShapeError> {
        for (field, found, expected) in [
            ("kv_heads", piece.kv_heads, self.dims[0]),
            ("head_dim", piece.head_dim, self.dims[1]),
            ("value_dim", piece.value_dim, self.dims[2]),
        ] {
            if found != expected {
                return Err(ShapeError {
                    field,
                    found: found as u64,
                    expected: expected.to_string(),
                });
            }
        }
        shape::check_stored(piece)?;
        let (scale, first) = (self.queries.scale, self.tokens);
        self.units
            .par_iter_mut()
            .for_each(|unit| unit.add(piece, first, scale));
        self.tokens += piece.tokens;
        Ok(())
    }

    /// The answer.
    ///
    /// # Errors
    /// When a query's position is not among the tokens that were added.
    pub fn finish(self) -> Result<Exact, ShapeError> {
        shape::check_positions(&self.queries, self.tokens)?;
        let (rows, q_heads) = (self.queries.positions.len(), self.queries.q_heads);
        let [kv_heads, _, value_dim] = self.dims;
        let group = q_heads / kv_heads;
        let mut exact = Exact {
            out: vec![0.0; rows * q_heads * value_dim],
            lse: vec![f64::NEG_INFINITY; rows * q_heads],
        };
        for unit in self.units {
            for (index, softmax) in unit.softmaxes.into_iter().enumerate() {
                let row = unit.first_row + index / group;
                let at = row * q_heads + unit.kv_head * group + index % group;
                exact.lse[at] = softmax.max + softmax.sum.ln();
                let out = &mut exact.out[at * value_dim..(at + 1) * value_dim];
                for (out, weighted) in out.iter_mut().zip(softmax.weighted) {
                    *out = weighted / softmax.sum;
                }
            }
        }
        Ok(exact)
    }
}

/// Some query rows of the heads of one group, which share one pass over K and V.
#[derive(Debug, Clone)]
struct Unit {
    first_row: usize,
    kv_head: usize,
    /// One per row: the positions that it sees.
    sees: Vec<Range<usize>>,
    /// One per row and head of the group.
    asked: Vec<Vec<f64>>,
    softmaxes: Vec<Softmax>,
}

impl Unit {
    fn new(queries: &Queries<'_>, dims: [usize; 3], first_row: usize, kv_head: usize) -> Self {
        let [kv_heads, head_dim, value_dim] = dims;
        let group = queries.q_heads / kv_heads;
        let rows = first_row..queries.positions.len().min(first_row + QUERY_ROWS);
        let asked: Vec<Vec<f64>> = rows
            .clone()
            .flat_map(|row| (0..group).map(move |g| (row, kv_head * group + g)))
            .map(|(row, q_head)| query(queries, head_dim, row, q_head))
            .collect();
        Self {
            first_row,
            kv_head,
            sees: rows.map(|row| visible(queries, row)).collect(),
            softmaxes: vec![Softmax::empty(value_dim); asked.len()],
            asked,
        }
    }

    /// Attends to a piece that begins at position `first`.
    fn add(&mut self, piece: &Stored<'_>, first: usize, scale: f64) {
        let group = self.asked.len() / self.sees.len().max(1);
        let start = self.sees.iter().map(|sees| sees.start).min().unwrap_or(0);
        let end = self.sees.iter().map(|sees| sees.end).max().unwrap_or(0);
        // In tokens of the piece.
        let within = start.saturating_sub(first)..end.saturating_sub(first).min(piece.tokens);
        for start in within.clone().step_by(BLOCK_TOKENS) {
            let block = start..within.end.min(start + BLOCK_TOKENS);
            let keys = decode(piece.k, piece, self.kv_head, block.clone(), piece.head_dim);
            let values = decode(piece.v, piece, self.kv_head, block.clone(), piece.value_dim);
            let softmaxes = self.asked.iter().zip(&mut self.softmaxes).enumerate();
            for (index, (q, softmax)) in softmaxes {
                let sees = &self.sees[index / group];
                let rows = keys
                    .chunks_exact(piece.head_dim)
                    .zip(values.chunks_exact(piece.value_dim));
                for (token, (key, value)) in block.clone().zip(rows) {
                    if sees.contains(&(first + token)) {
                        softmax.add(scale * dot(q, key), value);
                    }
                }
            }
        }
    }
}

/// A running softmax-weighted sum of values.
#[derive(Debug, Clone)]
struct Softmax {
    max: f64,
    sum: f64,
    weighted: Vec<f64>,
}

impl Softmax {
    fn empty(value_dim: usize) -> Self {
        Self {
            max: f64::NEG_INFINITY,
            sum: 0.0,
            weighted: vec![0.0; value_dim],
        }
    }

    /// Adds one value with its score.
    fn add(&mut self, score: f64, value: &[f64]) {
        if score > self.max {
            let shrink = (self.max - score).exp();
            self.sum *= shrink;
            for x in &mut self.weighted {
                *x *= shrink;
            }
            self.max = score;
        }
        let weight = (score - self.max).exp();
        self.sum += weight;
        for (sum, x) in self.weighted.iter_mut().zip(value) {
            *sum += weight * x;
        }
    }
}
