//! The tokens of a layer that are not clustered: the sink and the tail, in blocks.
//!
//! Blocks lie on a fixed grid of positions: the sink is one block, then every [`BLOCK_TOKENS`]. A clone is a snapshot; a
//! writer that meets a block which a snapshot still holds copies it first.

use std::collections::VecDeque;
use std::sync::Arc;

use wavekv_storage::BudgetExceeded;

use crate::collection::Fixed;
use crate::collection::block::Block;
use crate::model::{Geometry, NewTokens, TokenRange};

/// Tokens of a block of the tail: what a decode step copies at worst, and what a kernel reads in one go.
const BLOCK_TOKENS: u32 = 64;

/// Sink and tail of one layer.
#[derive(Clone, Debug)]
pub(super) struct Steady {
    sink_end: u32,
    sink: Option<Arc<Block>>,
    /// Contiguous on the grid; together they cover the tail.
    blocks: VecDeque<Arc<Block>>,
    /// The tokens after the sink that no segment has.
    tail: TokenRange,
}

impl Steady {
    pub(super) fn new(sink_end: u32) -> Self {
        Self {
            sink_end,
            sink: None,
            blocks: VecDeque::new(),
            tail: TokenRange::EMPTY,
        }
    }

    /// One past the last token of the sink.
    pub(super) fn sink_end(&self) -> u32 {
        self.sink_end
    }

    /// One past the last token of the layer.
    pub(super) fn length(&self) -> u32 {
        self.tail.end
    }

    /// The sink, then the tail; either may be empty.
    pub(super) fn ranges(&self) -> [TokenRange; 2] {
        let sink = TokenRange::new(0, self.sink_end.min(self.length()));
        [
            sink,
            TokenRange::new(self.tail.start.max(sink.end), self.tail.end),
        ]
    }

    /// Bytes of the blocks.
    pub(super) fn payload_bytes(&self) -> u64 {
        self.all_blocks().map(|block| block.payload_bytes()).sum()
    }

    /// Where each block is, and its bytes.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (usize, u64)> {
        let blocks = self.all_blocks();
        blocks.map(|block| (Arc::as_ptr(block).addr(), block.payload_bytes()))
    }

    /// The blocks that have tokens of `wanted` which no segment has, with those tokens, in order of position.
    pub(super) fn parts(&self, wanted: TokenRange) -> impl Iterator<Item = (&Block, TokenRange)> {
        let [sink, tail] = self.ranges().map(|range| range.intersection(wanted));
        self.all_blocks().filter_map(move |block| {
            let own = if block.range().start < self.sink_end {
                sink
            } else {
                tail
            };
            let part = block.range().intersection(own);
            (!part.is_empty()).then_some((&**block, part))
        })
    }

    fn all_blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.sink.iter().chain(&self.blocks)
    }

    /// The grid cell of a position.
    fn cell(&self, position: u32) -> TokenRange {
        if position < self.sink_end {
            return TokenRange::new(0, self.sink_end);
        }
        let start = position - (position - self.sink_end) % BLOCK_TOKENS;
        TokenRange::new(start, start + BLOCK_TOKENS)
    }

    /// The cells that begin among `new`, which [`Steady::append`] needs blocks for. A cell that was begun before has one.
    pub(super) fn new_cells(&self, new: TokenRange) -> impl Iterator<Item = TokenRange> {
        let first = self.cell(new.start);
        let first = if first.start < new.start {
            self.cell(first.end)
        } else {
            first
        };
        let cells = std::iter::successors(Some(first), |cell| Some(self.cell(cell.end)));
        cells.take_while(move |cell| cell.start < new.end)
    }

    /// Appends `new`, which begins at the length, with the blocks prepared for it.
    pub(super) fn append(
        &mut self,
        geometry: &Geometry,
        new: &NewTokens,
        prepared: Vec<Arc<Block>>,
    ) {
        let begun = self.blocks.back_mut().or(self.sink.as_mut());
        if let Some(block) = begun.filter(|block| block.range().contains(new.start)) {
            write(Arc::make_mut(block), geometry, new);
        }
        for block in prepared {
            if block.range().start < self.sink_end {
                self.sink = Some(block);
            } else {
                self.blocks.push_back(block);
            }
        }
        self.tail.end = new.range().end;
    }

    /// Segments now have every token after the sink and before `sealed_end`.
    pub(super) fn release_before(&mut self, sealed_end: u32) {
        self.tail.start = sealed_end.max(self.tail.start);
        // A cell that is not full yet ends after the tail begins, so the block of the next token stays.
        self.blocks
            .retain(|block| block.range().end > self.tail.start);
    }

    /// Drops the tokens from `length` on, which is in the tail or in the sink.
    pub(super) fn truncate(&mut self, length: u32) {
        self.blocks.retain(|block| block.range().start < length);
        if length == 0 {
            self.sink = None;
        }
        self.tail = TokenRange::new(self.tail.start.min(length), length);
    }

    /// The cells that [`Steady::replace_tail`] needs blocks for: those of `tail`, and the one where the next token goes
    /// when that is begun.
    pub(super) fn tail_cells(&self, tail: TokenRange) -> impl Iterator<Item = TokenRange> {
        let first = self.cell(tail.start);
        (first.start..tail.end)
            .step_by(BLOCK_TOKENS as usize)
            .map(|start| TokenRange::new(start, start + BLOCK_TOKENS))
    }

    /// Makes the layer end after `tail`, whose tokens `blocks` has; every other token after the sink is in segments.
    pub(super) fn replace_tail(&mut self, tail: TokenRange, blocks: Vec<Arc<Block>>) {
        self.blocks = blocks.into();
        self.tail = tail;
    }
}

/// A block for each of `cells`, with the tokens that `new` has of it.
pub(super) fn filled_blocks(
    fixed: &Fixed,
    cells: impl Iterator<Item = TokenRange>,
    new: &NewTokens,
) -> Result<Vec<Arc<Block>>, BudgetExceeded> {
    let filled = cells.map(|cell| {
        let mut block = Block::new(&fixed.geometry, cell, &fixed.budget)?;
        write(&mut block, &fixed.geometry, new);
        Ok(Arc::new(block))
    });
    filled.collect()
}

/// Writes the tokens of `new` that `block` has room for.
fn write(block: &mut Block, geometry: &Geometry, new: &NewTokens) {
    let heads = geometry.kv_heads as usize;
    let (k, v) = (heads * geometry.key_bytes(), heads * geometry.value_bytes());
    let part = block.range().intersection(new.range());
    for position in part.start..part.end {
        let token = (position - new.start) as usize;
        block.write(
            position,
            &new.keys[token * k..][..k],
            &new.values[token * v..][..v],
            heads,
        );
    }
}
