//! Device memory, on the host.

use bytemuck::{AnyBitPattern, NoUninit};

/// Buffers that kernels see by their addresses.
#[derive(Debug)]
pub struct Memory {
    pub(crate) buffers: Vec<Buffer>,
    /// On which the buffers are, in place of the host.
    #[cfg(feature = "gpu")]
    pub(crate) gpu: Option<crate::gpu::Gpu>,
}

/// One allocation, aligned as those of a device are.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) name: String,
    pub(crate) bytes: usize,
    pub(crate) writable: bool,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Host(Vec<Line>),
    #[cfg(feature = "gpu")]
    Gpu(wavekv_kernels::cuda::device::Allocation),
}

/// What an allocation is aligned to.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(256))]
struct Line([u8; 256]);

impl Buffer {
    /// The bytes, of a buffer on the host.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.place {
            Place::Host(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.bytes],
            #[cfg(feature = "gpu")]
            Place::Gpu(_) => &mut [],
        }
    }

    fn address(&self) -> u64 {
        match &self.place {
            Place::Host(lines) => lines.as_ptr() as u64,
            #[cfg(feature = "gpu")]
            Place::Gpu(allocation) => allocation.address(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Nothing yet. Of the host; or, with the feature `gpu` and `WAVEKV_ON_GPU` set, of the first GPU.
    pub fn new() -> Self {
        Self {
            buffers: vec![],
            #[cfg(feature = "gpu")]
            gpu: crate::gpu::Gpu::asked_for(),
        }
    }

    /// The GPU that memory is of, where it is of one.
    pub fn gpu() -> Option<String> {
        #[cfg(feature = "gpu")]
        return crate::gpu::Gpu::asked_for().map(|gpu| gpu.name());
        #[cfg(not(feature = "gpu"))]
        None
    }

    /// Does some work; the milliseconds that a GPU was at what it launches, where there is one.
    pub fn time(&mut self, work: impl FnOnce(&mut Self)) -> Option<f32> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = self.gpu.clone() {
            return Some(gpu.time(|| work(self)));
        }
        work(self);
        None
    }

    /// A buffer with these numbers that kernels only read; its address.
    pub fn put<T: NoUninit>(&mut self, name: &str, numbers: &[T]) -> u64 {
        self.add(name, bytemuck::cast_slice(numbers), false)
    }

    /// A buffer with these numbers that kernels read and write; its address.
    pub fn put_writable<T: NoUninit>(&mut self, name: &str, numbers: &[T]) -> u64 {
        self.add(name, bytemuck::cast_slice(numbers), true)
    }

    /// A buffer for `count` numbers, filled with bytes of ones: NaN, or indices out of every range.
    pub fn room<T>(&mut self, name: &str, count: usize) -> u64 {
        self.add(name, &vec![0xff; count * size_of::<T>()], true)
    }

    fn add(&mut self, name: &str, bytes: &[u8], writable: bool) -> u64 {
        #[cfg(feature = "gpu")]
        let place = match &self.gpu {
            Some(gpu) => Place::Gpu(gpu.upload(bytes)),
            None => Place::Host(lines_of(bytes)),
        };
        #[cfg(not(feature = "gpu"))]
        let place = Place::Host(lines_of(bytes));
        let buffer = Buffer {
            name: name.to_owned(),
            bytes: bytes.len(),
            writable,
            place,
        };
        let address = buffer.address();
        self.buffers.push(buffer);
        address
    }

    /// What a buffer has; nothing where no buffer begins there.
    pub fn read<T: AnyBitPattern>(&self, address: u64) -> Vec<T> {
        let found = self
            .buffers
            .iter()
            .find(|buffer| buffer.address() == address);
        let Some(buffer) = found else {
            return vec![];
        };
        let numbers = |lines: &[Line]| {
            let bytes = &bytemuck::cast_slice::<Line, u8>(lines)[..buffer.bytes];
            bytemuck::cast_slice(bytes).to_vec()
        };
        match &buffer.place {
            Place::Host(lines) => numbers(lines),
            #[cfg(feature = "gpu")]
            Place::Gpu(allocation) => {
                let gpu = self.gpu.as_ref();
                let bytes = gpu.map(|gpu| gpu.download(allocation, buffer.bytes));
                numbers(&lines_of(&bytes.unwrap_or_default()))
            }
        }
    }
}

/// Bytes at an address that suits any number.
fn lines_of(bytes: &[u8]) -> Vec<Line> {
    let mut lines = vec![Line([0; 256]); bytes.len().div_ceil(size_of::<Line>()).max(1)];
    bytemuck::cast_slice_mut(&mut lines)[..bytes.len()].copy_from_slice(bytes);
    lines
}
