//! Aligned memory that is counted in a [`Budget`](crate::Budget) for as long as it lives.

use std::alloc::Layout;
use std::fmt;

use bytemuck::{Pod, Zeroable};
use memmap2::{Advice, MmapMut, MmapOptions};

use crate::budget::{Bytes, Reservation};

const LINE_BYTES: usize = 64;

/// One cache line, which is also the widest vector register: a buffer that starts at a line never splits a load.
#[repr(C, align(64))]
#[derive(Clone, Copy, Zeroable, Pod)]
struct Line([u8; LINE_BYTES]);

/// Bytes, zeroed at first, that start at a multiple of 64, on huge pages where they are many, and count in the budget they came from until dropped.
///
/// A clone is a copy of the bytes. It is counted too, but never refused: a writer that must leave its readers' bytes
/// alone copies them first, and cannot fail there. So it may bring a budget over its limit, until one of the two goes.
///
/// The typed views hold the whole elements that fit: a trailing rest is left out of them. Elements have the machine's
/// byte order, which is little-endian wherever WaveKV builds.
pub struct Buffer {
    // Before the reservation, so that the memory is free when its count goes.
    memory: Memory,
    len: usize,
    reservation: Reservation,
}

/// From how many bytes on a buffer has pages of its own.
const MAPPED_BYTES: usize = 16 << 10;
/// Of a huge page. A buffer that fills some, or all but an eighth of one, begins at one and asks for such: the first write to a
/// page costs as much as copying to it, and there are 512 times fewer.
const HUGE_BYTES: usize = 2 << 20;

/// Where the bytes are: an allocator keeps what is freed, so that a process has much more than is counted; pages go back to
/// the system at once.
enum Memory {
    Allocated(Box<[Line]>),
    /// From `start` on.
    Mapped {
        pages: MmapMut,
        start: usize,
    },
}

impl Memory {
    /// Zeroed; `None` when the system has none.
    fn zeroed(len: usize) -> Option<Self> {
        let mapped = match Buffer::footprint_of(len).0 as usize {
            huge if huge >= HUGE_BYTES => Self::on_huge_pages(huge),
            small if small >= MAPPED_BYTES => Self::on_pages(small),
            _ => None,
        };
        // The system allows a process so many mappings and no more.
        mapped.or_else(|| {
            let lines = len.div_ceil(LINE_BYTES);
            let lines = bytemuck::allocation::try_zeroed_slice_box(lines).ok()?;
            Some(Self::Allocated(lines))
        })
    }

    /// Has the system make all pages at once: a page that is made when it is first written costs twice as much.
    fn on_pages(len: usize) -> Option<Self> {
        let pages = MmapOptions::new().len(len).populate().map_anon().ok()?;
        Some(Self::Mapped { pages, start: 0 })
    }

    /// Where there are no huge pages, or none is free, the system takes others.
    fn on_huge_pages(len: usize) -> Option<Self> {
        // Not every system begins a mapping at a huge page; what is never touched is no memory.
        let pages = MmapMut::map_anon(len.checked_add(HUGE_BYTES)?).ok()?;
        let _ = pages.advise(Advice::HugePage);
        let start = pages.as_ptr().align_offset(HUGE_BYTES);
        Some(Self::Mapped { pages, start })
    }

    /// At least the content.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Allocated(lines) => bytemuck::cast_slice(lines),
            Self::Mapped { pages, start } => &pages[*start..],
        }
    }

    /// At least the content.
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Allocated(lines) => bytemuck::cast_slice_mut(lines),
            Self::Mapped { pages, start } => &mut pages[*start..],
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let reservation = self.reservation.again();
        let memory = match Memory::zeroed(self.len) {
            Some(mut memory) => {
                memory.bytes_mut()[..self.len].copy_from_slice(self.as_bytes());
                memory
            }
            None => std::alloc::handle_alloc_error(Layout::for_value(self.memory.bytes())),
        };
        Self {
            memory,
            len: self.len,
            reservation,
        }
    }
}

impl Buffer {
    /// What a buffer of `len` bytes reserves.
    pub(crate) fn footprint_of(len: usize) -> Bytes {
        let up_to = |bytes: usize| Bytes((len.div_ceil(bytes) as u64).saturating_mul(bytes as u64));
        let huge = up_to(HUGE_BYTES);
        if huge.0 - len as u64 <= HUGE_BYTES as u64 / 8 {
            huge
        } else {
            up_to(LINE_BYTES)
        }
    }

    /// `None` when the system has no memory.
    pub(crate) fn zeroed(len: usize, reservation: Reservation) -> Option<Self> {
        Some(Self {
            memory: Memory::zeroed(len)?,
            len,
            reservation,
        })
    }

    /// Bytes of content.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it counts in its budget: [`len`](Self::len) rounded up to whole lines of 64 bytes, or to whole huge pages where it
    /// fills all but an eighth of the last.
    pub fn footprint(&self) -> Bytes {
        self.reservation.size()
    }

    /// The content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }

    /// The content, to write.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[..self.len]
    }

    /// The content as 16-bit elements.
    pub fn as_u16(&self) -> &[u16] {
        self.elements()
    }

    /// The content as 16-bit elements, to write.
    pub fn as_u16_mut(&mut self) -> &mut [u16] {
        self.elements_mut()
    }

    /// The content as 32-bit elements.
    pub fn as_u32(&self) -> &[u32] {
        self.elements()
    }

    /// The content as 32-bit elements, to write.
    pub fn as_u32_mut(&mut self) -> &mut [u32] {
        self.elements_mut()
    }

    /// The content as 64-bit elements.
    pub fn as_u64(&self) -> &[u64] {
        self.elements()
    }

    /// The content as 64-bit elements, to write.
    pub fn as_u64_mut(&mut self) -> &mut [u64] {
        self.elements_mut()
    }

    /// The content as 32-bit floating-point elements.
    pub fn as_f32(&self) -> &[f32] {
        self.elements()
    }

    /// The content as 32-bit floating-point elements, to write.
    pub fn as_f32_mut(&mut self) -> &mut [f32] {
        self.elements_mut()
    }

    // The casts below cannot fail: lines and pages are aligned to more than any element above, and what is cast has whole
    // elements.

    fn elements<T: Pod>(&self) -> &[T] {
        let whole = self.len / size_of::<T>() * size_of::<T>();
        bytemuck::cast_slice(&self.memory.bytes()[..whole])
    }

    fn elements_mut<T: Pod>(&mut self) -> &mut [T] {
        let whole = self.len / size_of::<T>() * size_of::<T>();
        bytemuck::cast_slice_mut(&mut self.memory.bytes_mut()[..whole])
    }
}

/// Its sizes only: the content is as secret as the prompt it came from.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Budget, Buffer, Bytes};

    fn buffer(len: usize) -> Buffer {
        Budget::new(Bytes(8 << 20)).allocate(len).unwrap()
    }

    #[test]
    fn is_zeroed_aligned_and_as_long_as_asked() {
        for len in [
            0,
            1,
            63,
            64,
            65,
            1000,
            16 << 10,
            100_001,
            2 << 20,
            (4 << 20) - 5,
        ] {
            let buffer = buffer(len);
            assert_eq!(buffer.as_bytes(), vec![0; len]);
            assert_eq!(buffer.as_bytes().as_ptr().align_offset(64), 0);
            assert_eq!((buffer.len(), buffer.is_empty()), (len, len == 0));
        }
    }

    #[test]
    fn what_nearly_fills_a_huge_page_counts_as_all_of_it() {
        let footprint = |len| {
            Budget::new(Bytes(8 << 20))
                .allocate(len)
                .unwrap()
                .footprint()
                .0
        };
        let (huge, eighth) = (2 << 20, (2 << 20) / 8);
        for (len, counted) in [
            (huge - eighth - 1, huge - eighth),
            (huge - eighth, huge),
            (huge, huge),
            (huge + 1, huge + 64),
            (2 * huge - 1, 2 * huge),
        ] {
            assert_eq!(footprint(len), counted as u64, "{len}");
        }
        assert_eq!(Buffer::footprint_of(usize::MAX).0, u64::MAX);
    }

    #[test]
    fn views_show_the_same_bytes() {
        let mut buffer = buffer(8);
        buffer.as_f32_mut().copy_from_slice(&[1.0, -2.0]);
        assert_eq!(buffer.as_u32(), [1.0_f32.to_bits(), (-2.0_f32).to_bits()]);
        assert_eq!(buffer.as_u16().len(), 4);
        buffer.as_u64_mut()[0] = 0;
        assert_eq!(buffer.as_bytes(), [0; 8]);
    }

    #[test]
    fn a_view_leaves_out_a_trailing_rest() {
        assert_eq!(buffer(7).as_u32().len(), 1);
        assert_eq!(buffer(7).as_u64().len(), 0);
    }

    #[test]
    fn a_clone_is_a_copy() {
        let mut first = buffer(4);
        let second = first.clone();
        first.as_u32_mut()[0] = 7;
        assert_eq!((first.as_u32(), second.as_u32()), (&[7][..], &[0][..]));
        for len in [200_000, 3 << 20] {
            let mut large = buffer(len);
            large.as_bytes_mut()[len - 1] = 7;
            assert_eq!(large.clone().as_bytes(), large.as_bytes());
        }
    }
}
