//! What `wavekv capacity` planned and measured, as JSON, text, a page and plots.
//!
//! `report.rs` is the schema and says what of a plan does not hold; `text.rs`, `page.rs` and `plot.rs` show it.

mod page;
mod plot;
mod report;
#[cfg(test)]
mod sample;
mod text;

pub(crate) use page::page;
pub(crate) use plot::plots;
pub(crate) use report::{Measured, Needles, Report, Step};
pub(crate) use text::{found, planned};
