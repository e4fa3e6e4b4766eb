//! The arithmetic of WaveKV: slices in, numbers out.
//!
//! This room turns queries, keys and values into scores, attention partials and cluster masses.
//!
//! *Architecture invariants.* It knows no other room: no collection, no segment, no file, no
//! device. A kernel never allocates, never logs and never returns an error, because it runs where
//! neither can be afforded. So every operation is a value ([`Scan`], [`Attend`], [`Estimate`],
//! [`Weigh`], [`Assign`], …) whose constructor checks all shapes once, and which [`Kernels`] then
//! runs: a shape that exists is a shape that fits. What a shape cannot say is the caller's promise:
//! numbers are no NaN and not huge ([`convert::check_magnitudes`] looks), so that scores are finite.
//!
//! ```
//! use wavekv_kernels::{
//!     Accumulator, Attend, AttendInput, Dtype, Kernels, Matrix, Queries, Visibility,
//! };
//!
//! # fn main() -> Result<(), wavekv_kernels::ShapeError> {
//! let (q, k, v) = ([1.0_f32, 0.0], [0_u32; 6], [0_u32; 6]);
//! let input = AttendInput {
//!     queries: Queries::new(&q, 1, 2)?,
//!     keys: Matrix::new(bytemuck::cast_slice(&k), Dtype::F32, 3, 2)?,
//!     values: Matrix::new(bytemuck::cast_slice(&v), Dtype::F32, 3, 2)?,
//!     visible: Visibility::All,
//!     scale: 1.0,
//!     softcap: None,
//! };
//! let mut sums = Accumulator::new(1, 2);
//! Kernels::detect().attend(Attend::new(input, &mut sums)?);
//!
//! let mut out = [f32::NAN; 2];
//! let lse = sums.write_row(0, &mut out)?;
//! assert!((lse - 3.0_f32.ln()).abs() < 1e-6);
//! # Ok(())
//! # }
//! ```
//!
//! Where to start: [`tensor`] for the views, [`mod@reference`] for what each family means, in
//! plain `f64`; then [`cpu`] for how it is computed. A family has the same name in every place:
//! `reference/scan.rs`, `cpu/scan.rs`, `tests/`, `benches/scan.rs`; for a GPU, see [`cuda`].

pub mod accumulator;
pub mod codes4;
pub mod codes8;
pub mod convert;
pub mod cpu;
pub mod cuda;
pub mod dtype;
pub mod points;
pub mod reference;
pub mod tensor;
pub mod visibility;

pub use accumulator::Accumulator;
pub use codes4::{Codes4, Queries4};
pub use codes8::{Codes8, Queries8};
pub use cpu::{
    AddPoints, AddValues, Appraise, Assign, Attend, AttendInput, Clusters, CodeErrors, CodedKeys,
    CodedValues, Encode, Estimate, Gather, Isa, Judge, Judgement, Kernels, LogMass, Mean, Members,
    Prospects, Quantise, Run, Scan, Spreads, Summarise, Weigh, WeighedTokens,
};
pub use dtype::Dtype;
pub use points::{PointBlocks, Points, Sums};
pub use tensor::{Elements, Matrix, Queries, ShapeError};
pub use visibility::{Bounds, Visibility};
