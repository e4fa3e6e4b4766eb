//! Places where a test has the disk fail, the process end, or the power go. Without the feature `failpoints`, which no
//! daemon is released with, all of it is nothing.
//!
//! `point` stands before everything that can fail by the disk. What is to happen there is told on standard input
//! (`control`); what the device has, so that a test can take away the rest, is noted by `syncs`.
//!
//! Must not know: what is stored. Start at [`POINTS`].

#[cfg(feature = "failpoints")]
mod control;
mod syncs;

use std::io;

#[cfg(feature = "failpoints")]
pub use control::obey;
pub(crate) use syncs::{catalog_write, file_synced, folder_synced, linked, renamed};

/// Every place. That something is not removed goes unnoticed until the next start; behind
/// `catalog.committed` nothing can fail, so that only the end of the process is of use there.
pub const POINTS: [&str; 33] = [
    "number.write",
    "number.sync",
    "number.rename",
    "number.folder",
    "collection.make",
    "collection.sync",
    "collection.remove",
    "tail.create",
    "tail.write",
    "tail.sync",
    "tail.folder",
    "tail.remove",
    "segment.create",
    "segment.write",
    "segment.sync",
    "segment.rename",
    "segment.folder",
    "segment.remove",
    "share.link",
    "share.sync",
    "fork.sync",
    "snapshot.make",
    "snapshot.write",
    "snapshot.copy",
    "snapshot.sync",
    "snapshot.rename",
    "snapshot.folder",
    "snapshot.remove",
    "sweep.remove",
    "catalog.commit",
    "catalog.committed",
    "catalog.probe",
    "catalog.open",
];

/// What a test has happen here: nothing, an error of the system, or the end of the process.
///
/// # Errors
/// As the test says.
#[cfg(feature = "failpoints")]
pub(crate) fn point(name: &str) -> io::Result<()> {
    debug_assert!(POINTS.contains(&name), "{name} is in no table");
    fail::eval(name, |action| control::act(action.as_deref())).unwrap_or(Ok(()))
}

/// Nothing.
///
/// # Errors
/// Never.
#[cfg(not(feature = "failpoints"))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
pub(crate) fn point(_: &str) -> io::Result<()> {
    Ok(())
}
