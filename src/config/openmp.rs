//! One thread for OpenMP and BLAS, which FAISS brings along: parallel is what the compute pool and the background make of
//! many heads and layers, and a graph that several threads build is another one every time.
//!
//! Both libraries read their environment when they are loaded, before `main`, and nothing safe tells them later. So the
//! daemon puts the variable there and starts itself once more in its place, with the same arguments and process id.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const VARIABLE: &str = "OMP_NUM_THREADS";
const ONE: &str = "1";

/// Returns when there is one thread. To be called before anything else is started.
///
/// # Errors
/// When the daemon's own executable cannot be started.
pub fn single_openmp_thread() -> io::Result<()> {
    if std::env::var_os(VARIABLE).is_some_and(|threads| threads == ONE) {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(again.args(arguments).env(VARIABLE, ONE).exec())
}
