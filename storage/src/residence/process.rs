//! The memory of this process, as the system counts it.

use crate::Bytes;

/// Where Linux says so, in pages: the size of the address space first, then what of it is in memory.
const STATM: &str = "/proc/self/statm";

/// What the process has in memory: its own, and what it has mapped of files and of others' memory. None where the system does
/// not say.
pub(super) fn resident() -> Option<Bytes> {
    let statm = fs_err::read_to_string(STATM).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Bytes(pages * rustix::param::page_size() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_resident() {
        let before = resident().unwrap();
        // Other tests of this process may give back some memory meanwhile, but not so much.
        let touched = vec![1_u8; 256 << 20];
        let after = resident().unwrap();
        assert!(after.0 >= before.0 + (128 << 20), "{before}, {after}");
        drop(std::hint::black_box(touched));
    }
}
