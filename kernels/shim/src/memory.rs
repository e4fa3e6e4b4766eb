//! Device memory, on the host.

use bytemuck::AnyBitPattern;
use bytemuck::NoUninit;

/// Buffers that kernels see by their addresses.
#[derive(Debug, Default)]
pub struct Memory {
    pub(crate) buffers: Vec<Buffer>,
}

/// One allocation, aligned as those of a device are.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) name: String,
    pub(crate) bytes: usize,
    pub(crate) writable: bool,
    words: Vec<Line>,
}

/// What an allocation is aligned to.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(256))]
struct Line([u8; 256]);

impl Buffer {
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes]
    }
}

impl Memory {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
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
        let mut buffer = Buffer {
            name: name.to_owned(),
            bytes: bytes.len(),
            writable,
            words: vec![Line([0; 256]); bytes.len().div_ceil(size_of::<Line>()).max(1)],
        };
        buffer.bytes_mut().copy_from_slice(bytes);
        let address = buffer.words.as_ptr() as u64;
        self.buffers.push(buffer);
        address
    }

    /// What a buffer has; nothing where no buffer begins there.
    pub fn read<T: AnyBitPattern>(&self, address: u64) -> Vec<T> {
        let found = self
            .buffers
            .iter()
            .find(|buffer| buffer.words.as_ptr() as u64 == address);
        let Some(buffer) = found else {
            return vec![];
        };
        bytemuck::cast_slice(&bytemuck::cast_slice::<Line, u8>(&buffer.words)[..buffer.bytes])
            .to_vec()
    }
}
