//! How fast this machine reads memory: the yardstick of exact attention, which reads all of K and V once.

use std::hint::black_box;
use std::time::Duration;

use crate::stopwatch::Stopwatch;

/// Much larger than the caches.
pub(super) const BUFFER_BYTES: usize = 512 << 20;
/// For all passes; there are two at least.
const TIME: Duration = Duration::from_secs(1);
/// Sums that run side by side, so that adding never waits.
const LANES: usize = 32;

/// Bytes a second that `threads` threads together sum up, the best of some passes.
pub(super) fn measure(threads: usize) -> f64 {
    let buffer = vec![1_u64; BUFFER_BYTES / size_of::<u64>()];
    let watch = Stopwatch::start();
    let mut best = pass(&buffer, threads);
    loop {
        best = best.min(pass(&buffer, threads));
        if watch.elapsed() > TIME {
            return BUFFER_BYTES as f64 / best;
        }
    }
}

/// Seconds to read the buffer once.
fn pass(buffer: &[u64], threads: usize) -> f64 {
    let watch = Stopwatch::start();
    std::thread::scope(|scope| {
        for part in buffer.chunks(buffer.len().div_ceil(threads.max(1))) {
            scope.spawn(move || black_box(sum(part)));
        }
    });
    watch.elapsed().as_secs_f64()
}

fn sum(part: &[u64]) -> u64 {
    let mut sums = [0_u64; LANES];
    let (rows, rest) = part.as_chunks::<LANES>();
    for row in rows {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_add(*x);
        }
    }
    sums.iter().chain(rest).copied().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read() {
        let numbers: Vec<u64> = (1..=1000).collect();
        assert_eq!(sum(&numbers), 500_500);
        assert!(pass(&numbers, 3) > 0.0);
    }
}
