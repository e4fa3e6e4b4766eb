//! `wavekv snapshots`, and what makes a snapshot or a collection of one.

pub(crate) mod ls;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod take;

use indicatif::ProgressBar;
use wavekv_client::wire;

/// Draws how far a call is.
fn draw(bar: &ProgressBar, progress: wire::Progress) {
    bar.set_length(progress.total_bytes);
    bar.set_position(progress.done_bytes);
}
