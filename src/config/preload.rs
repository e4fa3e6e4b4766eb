//! What libraries read of the environment when they are loaded, before `main`, and nothing safe tells them later. So the
//! daemon puts it there and starts itself once more in its place, with the same arguments and process id.
//!
//! * OpenMP and BLAS, which FAISS brings along, get one thread: parallel is what the compute pool and the background make of
//!   many heads and layers, and a graph that several threads build is another one every time.
//! * The C library gives large allocations (messages, mostly) pages of their own and back to the system when they are freed.
//!   Else it takes to keeping them, in as many places as there are threads: a hundred megabytes that nobody counted, after
//!   inserts of 4 MiB.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const VARIABLES: [(&str, &str); 2] = [
    ("OMP_NUM_THREADS", "1"),
    // Bytes. What queries work with is smaller, but for the longest contexts.
    ("MALLOC_MMAP_THRESHOLD_", "2097152"),
];

/// Returns when the environment is as it must be. To be called before anything else is started.
///
/// # Errors
/// When the daemon's own executable cannot be started.
pub fn preload() -> io::Result<()> {
    let is_set =
        |(name, value): &(&str, &str)| std::env::var_os(name).is_some_and(|is| is == *value);
    if VARIABLES.iter().all(is_set) {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(again.args(arguments).envs(VARIABLES).exec())
}
