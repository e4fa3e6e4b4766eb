//! The kernels of `kernels/cuda`, as the host knows them: their sources, what they are launched with, and (with the feature
//! `cuda`) their compilation by NVRTC, and a GPU to run them on.
//!
//! *Architecture invariants.* A kernel gets one structure of parameters, of device addresses and plain numbers; `tables.rs` has
//! the same structures as `cuda/tables.cuh` and the sources, byte for byte, and the tests that run the kernels on the CPU
//! (`kernels/shim`) compare their sizes. Nothing here needs a GPU or a library of CUDA's to be built; what loads one asks first
//! whether it is there.
//!
//! Where to start: `cuda/README.md`, then [`launch`] for the kernel that fits a shape.

#[cfg(feature = "cuda")]
pub mod compile;
#[cfg(feature = "cuda")]
pub mod device;
pub mod launch;
pub mod sources;
pub mod tables;
