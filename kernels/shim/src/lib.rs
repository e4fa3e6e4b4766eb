//! Runs the CUDA kernels of `kernels/cuda` on the CPU, so that their arithmetic and their manners are tested where there is no
//! GPU: a block's threads are fibers that take turns, so that barriers and the operations of a warp truly rendezvous, and every
//! access to memory is looked at before it is made.
//!
//! What it finds: accesses out of bounds or not aligned, reads of shared memory that nobody has written, races within a block
//! and between blocks, threads that wait for others that never come, lanes that part where they must not. Each is an error with
//! a sentence. What it cannot find: what is slow, and what the hardware does otherwise than its manual says.
//!
//! With the feature `gpu`, and `WAVEKV_ON_GPU` set, the same tests run on a GPU.
//!
//! *Architecture invariants.* Only tests know this crate. It knows nothing of attention: a kernel is a name, bytes of parameters
//! and buffers. Matrix products of the tensor cores have twins in `cpp/device_words.hpp`, fragment for fragment as the PTX manual
//! has them; everything else of a kernel is the code that a GPU runs.
//!
//! Where to start: [`Launch::run`], then `cpp/block.cpp` (turns and rendezvous) and `cpp/watch.cpp` (accesses).

mod ffi;
#[cfg(feature = "gpu")]
mod gpu;
mod launch;
mod memory;

pub use launch::{Launch, Traffic, kernels};
pub use memory::Memory;
