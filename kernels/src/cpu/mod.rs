//! Kernels on the CPU: every family once, for every instruction set.
//!
//! A family is written once against `Simd` (`lanes.rs`), sixteen `f32` lanes and a dozen operations
//! on them; `portable.rs` and `x86/` give these operations and nothing else. [`Kernels`] picks the
//! level at run time and is the only door.
//!
//! *Architecture invariants.* No family names an instruction set. Sums are taken in one order on
//! every level (see `lanes.rs`; exact attention by `dots.rs` has an order of its own), so that
//! clusters, and with them the bytes of a segment, do not depend on the machine that made them. Code that is generic over `Simd` is `#[inline(always)]`
//! and uses loops where closures would be shorter: a closure is a function of its own, and one that
//! is not inlined into the level's entry is compiled without the level's instructions.
//!
//! Where to start: `attend.rs`; below it `score.rs` (scores), `dots.rs` (scores by products of `bf16`) and `weigh.rs` (softmax, weighted
//! sums). What reads codes: `scan.rs` and `estimate.rs` (a byte an element), `code_keys.rs` and `code_values.rs` (half a byte).

#![expect(
    clippy::inline_always,
    reason = "see the header: inlining decides the instructions"
)]

mod appraise;
mod assign;
mod attend;
mod code_keys;
mod code_values;
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "only x86-64 has the instruction")
)]
mod dots;
mod encode;
mod estimate;
mod exp;
mod gather;
mod isa;
mod judge;
mod lanes;
mod log_mass;
mod points;
mod portable;
mod scan;
mod score;
mod weigh;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use appraise::{Appraise, Clusters, Prospects};
pub use assign::{AddPoints, Assign};
pub use attend::{Attend, AttendInput};
pub use code_keys::{CodedKeys, Run, Weigh};
pub use code_values::{AddValues, CodedValues};
pub use encode::{CodeErrors, Encode, Members, Summarise};
pub use estimate::Estimate;
pub use gather::Gather;
pub use isa::{Isa, Kernels};
pub use judge::{Judge, Judgement, WeighedTokens};
pub use log_mass::{LogMass, Spreads};
pub use points::{Mean, Quantise};
pub use scan::Scan;

pub(crate) use exp::round;
pub(crate) use lanes::{BYTES, LANES, PAIRS};

/// Tokens, centroids or entries that are scored, weighed and summed before the next ones: as many
/// keys and values of 128 `bf16` as a first-level cache holds, and a whole number of vectors.
const TILE: usize = 64;

/// Query rows that share one reading of keys and values: their sums and one vector of keys fill the
/// registers, and this is a usual group of query heads.
const BAND: usize = 4;

/// Scores, then weights, of a band of query rows over a tile of tokens.
type Tile = [[f32; TILE]; BAND];
