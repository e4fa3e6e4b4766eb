//! The kernel that fits a shape, and the block that it is launched with.

use crate::cuda::sources::Source;
use crate::dtype::Dtype;

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Where it is written.
    pub source: Source,
    /// Its entry point.
    pub name: &'static str,
    /// Threads of a block.
    pub threads: u32,
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
}

const fn kernel(source: Source, name: &'static str, threads: u32, shared_bytes: u32) -> Kernel {
    Kernel {
        source,
        name,
        threads,
        shared_bytes,
    }
}

/// Threads of a block of the scan and of attention.
const THREADS: u32 = 128;
/// `Rows` of `scan.cu`.
const SCAN_ROWS_BYTES: u32 = 368;
/// `AnyTile` of `any.cuh`.
const ANY_TILE_BYTES: u32 = 2048;

/// Fragments of a band's queries, 64 bytes of an element's row at a time.
const fn fragment_bytes(row_bytes: u32) -> u32 {
    row_bytes.div_ceil(64) * 2 * 32 * 16
}

/// The scan of centroids of a byte an element. Grid: items, bands.
pub const fn scan_int8(head_dim: u32) -> Kernel {
    let name = match head_dim {
        64 => "scan_int8_64",
        128 => "scan_int8_128",
        256 => "scan_int8_256",
        _ => "scan_int8_any",
    };
    let shared = SCAN_ROWS_BYTES + fragment_bytes(head_dim);
    kernel(Source::Scan, name, THREADS, shared)
}

/// The scan of centroids in bf16. Grid: items, bands.
pub const fn scan_bf16(head_dim: u32) -> Kernel {
    let name = match head_dim {
        64 => "scan_bf16_64",
        128 => "scan_bf16_128",
        256 => "scan_bf16_256",
        _ => "scan_bf16_any",
    };
    let shared = SCAN_ROWS_BYTES + fragment_bytes(2 * head_dim);
    kernel(Source::Scan, name, THREADS, shared)
}

/// Attention over K and V of this type. Grid: items, bands.
pub const fn attend(dtype: Dtype, key_dim: u32, value_dim: u32) -> Kernel {
    let same = key_dim == value_dim;
    let name = match (dtype, key_dim) {
        (Dtype::Bf16, 64) if same => "attend_bf16_64",
        (Dtype::Bf16, 128) if same => "attend_bf16_128",
        (Dtype::Bf16, 256) if same => "attend_bf16_256",
        (Dtype::F16, 64) if same => "attend_f16_64",
        (Dtype::F16, 128) if same => "attend_f16_128",
        (Dtype::F16, 256) if same => "attend_f16_256",
        (Dtype::Bf16 | Dtype::F16 | Dtype::F32, _) => {
            return kernel(Source::Attend, "attend_any", THREADS, ANY_TILE_BYTES);
        }
    };
    kernel(Source::Attend, name, THREADS, joined_bytes(value_dim))
}

/// `Joined` of `weigh.cuh`: the sums of four warps; larger than the queries that were there before.
const fn joined_bytes(value_dim: u32) -> u32 {
    4 * 8 * (8 + 4 * value_dim)
}

/// Threads of a block that chooses for a task.
const CHOOSE_THREADS: u32 = 512;
/// `Together` of `block.cuh`.
const TOGETHER_BYTES: u32 = 2 * 16 * 4 + 256 * 4 + 8;
/// `Ladder` of `ladder.cuh`.
const LADDER_BYTES: u32 = 2 * 256 * 8 * 8 + 8;
/// `CodeRows` of `code.cu`.
const CODE_ROWS_BYTES: u32 = 64;

/// The weights of the tokens of coded clusters. Grid: items, bands.
pub const fn weigh_codes(head_dim: u32) -> Kernel {
    let fragments = 2 * fragment_bytes(head_dim.div_ceil(32) * 16);
    kernel(
        Source::Code,
        "weigh_codes",
        THREADS,
        CODE_ROWS_BYTES + fragments,
    )
}

/// The values of coded tokens. Grid: items, bands.
pub const fn add_values(value_dim: u32) -> Kernel {
    let name = match value_dim {
        64 => "add_values_64",
        128 => "add_values_128",
        256 => "add_values_256",
        _ => return kernel(Source::Code, "add_values_any", THREADS, 0),
    };
    kernel(Source::Code, name, THREADS, joined_bytes(value_dim))
}

/// The nearest centroid of each of points of so many elements, an even number. Grid: blocks of [`ASSIGN_POINTS`], parts.
pub const fn assign_points(elements: u32) -> Kernel {
    let shared = 4 * fragment_bytes(2 * elements);
    kernel(Source::Assign, "assign_points", THREADS, shared)
}

/// Points of a block of [`assign_points`].
pub const ASSIGN_POINTS: u32 = 64;
/// Grid: any, parts; a warp a point.
pub const ADD_POINTS: Kernel = kernel(Source::Assign, "add_points", THREADS, 0);
/// Grid: any, parts; a warp a centroid.
pub const MOVE_CENTROIDS: Kernel = kernel(Source::Assign, "move_centroids", THREADS, 0);
/// Grid: tasks.
pub const SELECT_BUDGET: Kernel = kernel(
    Source::Select,
    "select_budget",
    CHOOSE_THREADS,
    TOGETHER_BYTES,
);
/// Grid: tasks.
pub const SELECT_ADAPTIVE: Kernel = kernel(
    Source::Select,
    "select_adaptive",
    CHOOSE_THREADS,
    TOGETHER_BYTES + LADDER_BYTES,
);
/// Grid: tasks.
pub const JUDGE: Kernel = kernel(
    Source::Judge,
    "judge",
    CHOOSE_THREADS,
    TOGETHER_BYTES + LADDER_BYTES + 2 * 32 * 4,
);
/// Grid: as many blocks as the device can have at once.
pub const GATHER_BLOCKS: Kernel = kernel(Source::Gather, "gather_blocks", THREADS, 0);
/// Grid: one block.
pub const CACHE_WANT: Kernel = kernel(Source::Cache, "cache_want", CHOOSE_THREADS, TOGETHER_BYTES);
/// Grid: one block.
pub const CACHE_ADMIT: Kernel = kernel(Source::Cache, "cache_admit", CHOOSE_THREADS, 0);

/// Partials to answers. Grid: tasks, rows of the task with most.
pub const MERGE: Kernel = kernel(Source::Merge, "merge", 128, 16);

/// Every kernel, as it is launched for a dimension that it is tuned for; those for any dimension, for one of 80.
pub fn every() -> Vec<Kernel> {
    let mut every = vec![
        MERGE,
        SELECT_BUDGET,
        SELECT_ADAPTIVE,
        JUDGE,
        GATHER_BLOCKS,
        CACHE_WANT,
        CACHE_ADMIT,
        ADD_POINTS,
        MOVE_CENTROIDS,
        weigh_codes(128),
        assign_points(128),
        attend(Dtype::F32, 80, 80),
    ];
    for dim in [64, 80, 128, 256] {
        every.extend([scan_int8(dim), scan_bf16(dim), add_values(dim)]);
    }
    for dim in [64, 128, 256] {
        every.extend([Dtype::Bf16, Dtype::F16].map(|dtype| attend(dtype, dim, dim)));
    }
    every
}
