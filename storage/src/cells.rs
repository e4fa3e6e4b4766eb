//! Typed views of bytes that somebody else holds.

use bytemuck::Pod;

/// Bytes as elements, wherever they are: in a [`Buffer`](crate::Buffer) or in a mapped file.
///
/// The views hold the whole elements that fit: a trailing rest is left out of them. Elements have the machine's byte
/// order, which is little-endian wherever WaveKV builds.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    bytes: &'a [u8],
}

impl<'a> Cells<'a> {
    /// `bytes` must begin at a multiple of 64, or be empty: whoever makes a column has checked it.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        debug_assert_eq!(bytes.as_ptr().align_offset(64), 0);
        Self { bytes }
    }

    /// Bytes of content.
    pub fn len(self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no content.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The content.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The content as 16-bit elements.
    pub fn as_u16(self) -> &'a [u16] {
        self.elements()
    }

    /// The content as 32-bit elements.
    pub fn as_u32(self) -> &'a [u32] {
        self.elements()
    }

    /// The content as 64-bit elements.
    pub fn as_u64(self) -> &'a [u64] {
        self.elements()
    }

    /// The content as 32-bit floating-point elements.
    pub fn as_f32(self) -> &'a [f32] {
        self.elements()
    }

    /// Cannot fail: the bytes begin at a multiple of 64 and what is left out of them leaves whole elements.
    fn elements<T: Pod>(self) -> &'a [T] {
        let whole = self.bytes.len() / size_of::<T>() * size_of::<T>();
        bytemuck::cast_slice(&self.bytes[..whole])
    }
}

/// Its size only: the content is as secret as the prompt it came from.
impl std::fmt::Debug for Cells<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cells")
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
