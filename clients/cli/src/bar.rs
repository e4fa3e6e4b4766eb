//! How far a call is, in bytes.

use indicatif::{ProgressBar, ProgressStyle};

const BAR: &str = "{wide_bar} {binary_bytes} of {binary_total_bytes} {msg}";

/// A bar that is drawn on a terminal only.
pub(crate) fn of_bytes(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        // The template is ours, and sound.
        Err(_) => bar,
    }
}
