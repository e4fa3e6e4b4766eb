//! The limits of the API, in one place; proto/wavekv/v1 documents the same numbers.

use std::ops::RangeInclusive;

pub use wavekv_kernels::convert::MAGNITUDE_LIMIT;

/// What every number of K, V and Q must be: below [`MAGNITUDE_LIMIT`].
pub const MAGNITUDE: &str = "numbers of magnitude below 1048576";
/// Of a geometry, and above 0.
pub const LARGEST_SCALE: f32 = 1024.0;
/// Of a geometry that has one.
pub const SOFTCAP: RangeInclusive<f32> = 1.0..=65536.0;

/// Dimension of K and of V. 576 is MLA's latent plus its rotary part.
pub const HEAD_DIM: RangeInclusive<u32> = 16..=576;
/// Query heads that share one KV head.
pub const GROUP: RangeInclusive<u32> = 1..=32;
/// KV heads of a layer.
pub const KV_HEADS: RangeInclusive<u32> = 1..=1024;
/// Layers of a collection.
pub const LAYERS: RangeInclusive<usize> = 1..=1024;
/// Bytes of a model fingerprint.
pub const FINGERPRINT_BYTES: usize = 512;
/// Characters of a namespace or a name.
pub const NAME_CHARS: RangeInclusive<usize> = 1..=128;
/// Entries of one call.
pub const BATCH_ENTRIES: RangeInclusive<usize> = 1..=1024;
/// Tokens of one insert entry.
pub const INSERT_TOKENS: RangeInclusive<u32> = 1..=65_536;
/// Query tokens of one attend entry.
pub const QUERY_TOKENS: RangeInclusive<u32> = 1..=1024;
/// Tokens of one fetch entry.
pub const FETCH_TOKENS: RangeInclusive<u32> = 1..=65_536;
/// Clusters a KV head that one `TopClusters` entry may ask for.
pub const TOP_CLUSTERS: RangeInclusive<u32> = 1..=4096;
/// Seconds that a collection is kept after its last use; 0 for no end. At most ten years.
pub const TTL_SECONDS: RangeInclusive<u64> = 0..=315_360_000;
/// Collections of one page of a listing.
pub const PAGE_SIZE: RangeInclusive<u32> = 1..=1000;
