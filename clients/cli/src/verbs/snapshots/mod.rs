//! `wavekv snapshots`, and what makes a snapshot or a collection of one.

pub(crate) mod ls;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod take;

use indicatif::{ProgressBar, ProgressStyle};
use wavekv_client::wire;

/// Of bytes.
const BAR: &str = "{wide_bar} {binary_bytes} of {binary_total_bytes}";

/// A bar that is drawn on a terminal only.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        // The template is ours, and sound.
        Err(_) => bar,
    }
}

/// Draws how far a call is.
fn draw(bar: &ProgressBar, progress: wire::Progress) {
    bar.set_length(progress.total_bytes);
    bar.set_position(progress.done_bytes);
}
