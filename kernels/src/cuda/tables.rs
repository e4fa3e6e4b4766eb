//! What kernels are launched with: the structures of `cuda/tables.cuh` and of the sources, byte for byte.
//!
//! Addresses are of the device, or of pinned memory that it sees. Letters: R query rows of a task, D `head_dim`, E `value_dim`,
//! C clusters of a segment, N tokens.

use bytemuck::{Pod, Zeroable};

/// Makes a structure of C layout that is plain bytes.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Pod, Zeroable)]
            #[repr(C)]
            pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
        )*
    };
}

/// Most query rows of a task.
pub const MOST_ROWS: usize = 32;
/// Query rows that share one pass.
pub const BAND: usize = 8;
/// Tokens of a block.
pub const BLOCK_TOKENS: usize = 8;
/// [`Item::kind`]: rows of the task, one after the other.
pub const ITEM_ROWS: u32 = 0;
/// [`Item::kind`]: a part of the task's list of rows.
pub const ITEM_LIST: u32 = 1;
/// [`Item::kind`]: clusters of a segment, estimated.
pub const ITEM_CLUSTERS: u32 = 2;
/// [`Item::kind`]: values of a part of the task's coded rows.
pub const ITEM_CODED: u32 = 3;

tables! {
    /// One KV head of one segment.
    Segment {
        /// `[C, D]`, bytes beside the base.
        centroids: u64,
        /// `[C]`.
        centroid_scales: u64,
        /// `[D]`.
        key_base: u64,
        /// `[D]`.
        key_profile: u64,
        /// `[C]`.
        key_spreads: u64,
        /// `[C]`.
        counts: u64,
        /// `[C]`: rows of the task.
        first_rows: u64,
        /// `[C, 2]`: first and last.
        position_bounds: u64,
        /// `[C, E]`, bytes beside the base.
        value_means: u64,
        /// `[C]`.
        value_mean_scales: u64,
        /// `[E]`.
        value_base: u64,
        /// `[C]`.
        value_mean_norms: u64,
        /// `[C]`.
        value_spreads: u64,
        /// `[N, half bytes]`.
        key_codes: u64,
        /// `[N]`, f16.
        key_code_scales: u64,
        /// `[N, half bytes]`.
        value_codes: u64,
        /// `[N]`, f16.
        value_code_scales: u64,
        /// `[E]`.
        value_profile: u64,
        /// C.
        clusters: u32,
        /// Its first among those of the task.
        first_cluster: u32,
        /// Of its first token among the rows of the task.
        first_row: u32,
        /// Of its tokens.
        first_position: u32,
        /// After its last token.
        end_position: u32,
        /// See [`crate::Codes4`]: the share of what they encode.
        key_code_error: f32,
        /// The same of values.
        value_code_error: f32,
        /// Zero.
        unused: u32,
    }

    /// One KV head of one layer of one sequence, for one query token.
    Task {
        /// `[R, D]`, f32, not scaled.
        queries: u64,
        /// Of each row of the task; 0: all are seen.
        positions: u64,
        /// Of arrays `[R, clusters]`: where this task's begin.
        entries: u64,
        /// Of arrays `[R, capacity]`: where this task's begin.
        weights: u64,
        /// Of arrays `[clusters]`: where this task's begin.
        first_cluster: u32,
        /// Of all its segments.
        clusters: u32,
        /// R.
        rows: u32,
        /// In the table of segments.
        first_segment: u32,
        /// How many.
        segments: u32,
        /// In the table of blocks.
        first_block: u32,
        /// In the items of the scan.
        first_scan: u32,
        /// How many.
        scans: u32,
        /// In the items of attention.
        first_item: u32,
        /// How many.
        items: u32,
        /// Of lists of rows: where this task's begin.
        first_listed: u32,
        /// Of its lists: as many as it has tokens.
        capacity: u32,
        /// Of arrays with an entry a row.
        first_answer: u32,
        /// The first position that the query token sees.
        visible_first: u32,
        /// After the last.
        visible_end: u32,
        /// Of scores.
        scale: f32,
        /// 0: none.
        softcap: f32,
        /// Zero.
        unused: u32,
    }

    /// Where K and V of the tokens of a block are.
    Block {
        /// `[BLOCK_TOKENS, D]`.
        keys: u64,
        /// `[BLOCK_TOKENS, E]`.
        values: u64,
    }

    /// A softmax state of one row, in powers of two.
    Peak {
        /// The largest logarithm.
        largest: f32,
        /// Relative to it.
        sum: f32,
    }

    /// Neighbouring clusters of a segment, to be scanned.
    ScanItem {
        /// Whose.
        task: u32,
        /// In the table of segments.
        segment: u32,
        /// Within the segment.
        first: u32,
        /// After the last.
        end: u32,
    }

    /// Of `scan_*`.
    Scan {
        /// [`Task`]s.
        tasks: u64,
        /// [`Segment`]s.
        segments: u64,
        /// [`ScanItem`]s.
        items: u64,
        /// `[R, clusters]` a task.
        scores: u64,
        /// The same.
        log_mass: u64,
        /// `[items, MOST_ROWS]` of [`Peak`].
        peaks: u64,
        /// `[segments, MOST_ROWS]`: the variance of scores in a cluster is this times its own spread.
        spreads: u64,
        /// D.
        head_dim: u32,
        /// 1: spreads count as zero.
        first_order: u32,
    }

    /// A piece of an answer: a block computes it.
    Item {
        /// Whose.
        task: u32,
        /// `ITEM_*`.
        kind: u32,
        /// A row of the task, or a cluster of the segment.
        first: u32,
        /// After the last.
        end: u32,
        /// In the table of segments.
        segment: u32,
        /// Of a list: which part.
        split: u32,
        /// Of how many.
        splits: u32,
        /// Zero.
        unused: u32,
    }

    /// Of `attend_*` and of what else writes partials.
    Attend {
        /// [`Task`]s.
        tasks: u64,
        /// [`Segment`]s.
        segments: u64,
        /// [`Item`]s.
        items: u64,
        /// [`Block`]s.
        blocks: u64,
        /// Rows of the tasks.
        lists: u64,
        /// One a task.
        list_lengths: u64,
        /// `[R, clusters]` a task.
        log_mass: u64,
        /// Of the scan.
        peaks: u64,
        /// `[items, bands, BAND, E]`, f32.
        outs: u64,
        /// `[items, bands, BAND]` of [`Peak`].
        sums: u64,
        /// D.
        key_dim: u32,
        /// E.
        value_dim: u32,
        /// Bands of the task with most rows.
        bands: u32,
        /// Of K and V for `attend_any`: 0 bf16, 1 f16, 2 f32.
        dtype: u32,
        /// Logarithm, in powers of two, of the share of the heaviest cluster's mass below which one is light.
        light_share: f32,
        /// Zero.
        unused: u32,
    }

    /// Of `merge`.
    Merge {
        /// [`Task`]s.
        tasks: u64,
        /// Of [`Attend`].
        outs: u64,
        /// Of [`Attend`].
        sums: u64,
        /// `[rows, E]`, f32.
        answers: u64,
        /// `[rows]`.
        lse: u64,
        /// `[rows]`.
        norms: u64,
        /// E.
        value_dim: u32,
        /// Of [`Attend`].
        bands: u32,
    }

    /// Of `select_budget`.
    Budget {
        /// [`Task`]s.
        tasks: u64,
        /// [`Segment`]s.
        segments: u64,
        /// `[R, clusters]` a task: what is ranked by.
        logits: u64,
        /// `[R, clusters]` a task; none, afterwards, of a cluster that is not estimated.
        log_mass: u64,
        /// `[clusters]` a task: room.
        shares: u64,
        /// `[clusters]` a task, bytes.
        zones: u64,
        /// Rows of the retrieved clusters.
        lists: u64,
        /// One a task.
        list_lengths: u64,
        /// Of the tokens, or of the clusters.
        retrieve_share: f32,
        /// Of the clusters.
        estimate_share: f32,
        /// 1: a share of the clusters is retrieved.
        by_clusters: u32,
        /// Zero.
        unused: u32,
    }

    /// Of `select_adaptive`.
    Adaptive {
        /// [`Task`]s.
        tasks: u64,
        /// [`Segment`]s.
        segments: u64,
        /// `[R, clusters]` a task.
        log_mass: u64,
        /// Of the scan.
        spreads: u64,
        /// `[rows]`, of an answer that estimates all.
        lse: u64,
        /// `[rows]`.
        norms: u64,
        /// `[clusters]` a task: room.
        worths: u64,
        /// `[clusters]` a task, bytes.
        zones: u64,
        /// `[clusters]` a task: the clusters whose codes are read.
        coded: u64,
        /// `[clusters]` a task: the tokens of those before.
        coded_starts: u64,
        /// `[segments, 2]`: from, to.
        coded_segments: u64,
        /// `[tasks, 2]`: clusters, tokens.
        coded_counts: u64,
        /// One a task: squared error a byte; none: minus one.
        prices: u64,
        /// `[rows]`.
        doubt_squares: u64,
        /// `[rows]`.
        doubt_sums: u64,
        /// Of the answer.
        target_error: f32,
        /// Codes of a key and their scale.
        token_bytes: u32,
    }

    /// A part of the coded clusters of a segment.
    WeighItem {
        /// Whose.
        task: u32,
        /// In the table of segments.
        segment: u32,
        /// Which part.
        split: u32,
        /// Of how many.
        splits: u32,
    }

    /// Of `weigh_codes`.
    Weigh {
        /// [`Task`]s.
        tasks: u64,
        /// [`Segment`]s.
        segments: u64,
        /// [`WeighItem`]s.
        items: u64,
        /// Of [`Adaptive`].
        coded: u64,
        /// Of [`Adaptive`].
        coded_starts: u64,
        /// Of [`Adaptive`].
        coded_segments: u64,
        /// Of the scan.
        scores: u64,
        /// `[rows]`: a weight of 1 is a mass of exp of this.
        lse: u64,
        /// `[R, capacity]` a task.
        weights: u64,
        /// D.
        head_dim: u32,
        /// Zero.
        unused: u32,
    }

    /// Of `judge`.
    Judge {
        /// [`Task`]s.
        tasks: u64,
        /// [`Segment`]s.
        segments: u64,
        /// Of [`Adaptive`].
        coded: u64,
        /// Of [`Adaptive`].
        coded_starts: u64,
        /// Of [`Adaptive`].
        coded_counts: u64,
        /// Of [`Weigh`].
        weights: u64,
        /// Of the scan.
        spreads: u64,
        /// Of [`Weigh`].
        lse: u64,
        /// `[rows]`.
        norms: u64,
        /// One a task; afterwards the one at which tokens are read.
        prices: u64,
        /// `[R, clusters]` a task; afterwards what each coded cluster has left.
        log_mass: u64,
        /// Tokens that must be computed exactly.
        exact_rows: u64,
        /// One a task.
        exact_lengths: u64,
        /// Tokens whose value codes are read.
        value_rows: u64,
        /// Their places among the weights.
        value_tokens: u64,
        /// One a task.
        value_lengths: u64,
        /// `[rows]`: what is not read.
        doubt_squares: u64,
        /// `[rows]`.
        doubt_sums: u64,
        /// Of the answer.
        target_error: f32,
        /// K and V of a token.
        exact_bytes: u32,
        /// Codes of a value and their scale.
        value_bytes: u32,
        /// Zero.
        unused: u32,
    }

    /// Of `add_values_*`.
    AddValues {
        /// What partials are written to; the items are the same.
        attend: Attend,
        /// Of [`Weigh`].
        weights: u64,
        /// Of [`Weigh`].
        lse: u64,
        /// Of [`Judge`].
        value_rows: u64,
        /// Of [`Judge`].
        value_tokens: u64,
        /// Of [`Judge`].
        value_lengths: u64,
    }

    /// One block's way into the cache.
    Move {
        /// In the host's memory.
        from: Block,
        /// In the device's.
        to_keys: u64,
        /// In the device's.
        to_values: u64,
    }

    /// Of `gather_blocks`.
    Gather {
        /// [`Move`]s.
        moves: u64,
        /// How many: one number.
        count: u64,
        /// Of a block; a multiple of 16.
        key_bytes: u32,
        /// The same.
        value_bytes: u32,
    }

    /// Of `cache_want` and `cache_admit`.
    Cache {
        /// [`Task`]s.
        tasks: u64,
        /// Rows that the step reads.
        lists: u64,
        /// One a task.
        list_lengths: u64,
        /// Where each block is read from.
        blocks: u64,
        /// Where each block is in the host's memory.
        homes: u64,
        /// `[blocks]`; all ones: none.
        slot_of: u64,
        /// `[slots]`; all ones: free.
        block_of: u64,
        /// `[slots]`: the step that last read it.
        used: u64,
        /// `[blocks]`: the step that last missed it.
        wanted: u64,
        /// `[blocks]`: room.
        missed: u64,
        /// Three numbers: missed, given a slot, hits.
        counts: u64,
        /// `[slots]`: room.
        given: u64,
        /// `[slots, block bytes]`.
        slots: u64,
        /// `[slots]` of [`Move`].
        moves: u64,
        /// How many tasks.
        tasks_count: u32,
        /// How many blocks.
        blocks_count: u32,
        /// How many slots.
        slots_count: u32,
        /// Counts up from 2.
        step: u32,
        /// Of a block.
        key_bytes: u32,
        /// Of a block.
        value_bytes: u32,
    }

    /// Points of one k-means, as [`crate::Points`] has them.
    Part {
        /// `[points, elements]`, 16-bit integers.
        points: u64,
        /// `[clusters, elements]`.
        centroids: u64,
        /// `[clusters]`: half of each centroid's square, rounded down.
        half_squares: u64,
        /// `[points]`.
        nearest: u64,
        /// `[clusters, elements]`, zeros between rounds.
        sums: u64,
        /// `[clusters]`, zeros between rounds.
        counts: u64,
        /// How many.
        points_count: u32,
        /// How many.
        clusters: u32,
    }

    /// Of `assign_points`, `add_points` and `move_centroids`.
    Assign {
        /// [`Part`]s.
        parts: u64,
        /// Of a row, even.
        elements: u32,
        /// Zero.
        unused: u32,
    }
}
