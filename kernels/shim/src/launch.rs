//! One launch of a kernel.

use bytemuck::NoUninit;

use crate::ffi;
use crate::memory::Memory;

/// A kernel and the shape of its launch.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Its name in the source.
    pub kernel: &'a str,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
}

/// What a launch asked for of each buffer, all threads together, before any cache.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Name, bytes read, bytes written; of a GPU nobody knows.
    pub(crate) buffers: Option<Vec<(String, u64, u64)>>,
}

impl Traffic {
    /// Bytes read of the buffers of this name; `None` where nobody counted, on a GPU.
    pub fn read(&self, name: &str) -> Option<u64> {
        let of_name = self
            .buffers
            .as_ref()?
            .iter()
            .filter(|buffer| buffer.0 == name);
        Some(of_name.map(|buffer| buffer.1).sum())
    }

    /// Bytes written to them.
    pub fn written(&self, name: &str) -> Option<u64> {
        let of_name = self
            .buffers
            .as_ref()?
            .iter()
            .filter(|buffer| buffer.0 == name);
        Some(of_name.map(|buffer| buffer.2).sum())
    }
}

impl Launch<'_> {
    /// Runs the kernel with `params` over the buffers of `memory`.
    ///
    /// # Errors
    /// A sentence, where there is no such kernel, its parameters have another size, or it makes a mistake: an access outside of
    /// every buffer, one that is not aligned, memory that nobody has written, a race, a barrier that not all threads reach.
    pub fn run<P: NoUninit>(self, params: &P, memory: &mut Memory) -> Result<Traffic, String> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &memory.gpu {
            return gpu.launch(self, params).map(|()| Traffic { buffers: None });
        }
        ffi::launch(self, bytemuck::bytes_of(params), memory)
    }
}

/// Every kernel there is, with the most threads that its blocks may have.
pub fn kernels() -> Vec<(String, u32)> {
    ffi::kernels()
}
