//! What `wavekv bench` measured, as JSON, tables, a page and plots.
//!
//! `report.rs` is the schema; `rivals.rs` compares with other systems; `table.rs`, `page.rs` and `plot/` show it.

mod page;
mod plot;
mod report;
mod rivals;
#[cfg(test)]
pub(crate) mod sample;
mod table;

pub(crate) use page::page;
pub(crate) use plot::plots;
pub(crate) use report::{Build, Context, Daemon, Machine, Point, Report, Zones};
pub(crate) use table::{LEGEND, table};
