//! Segments: the columns of one immutable thing.
//!
//! A [`Schema`] names the columns and gives the shape of a row; a [`SegmentBuilder`] is filled and sealed into
//! [`Columns`], which nobody can change. Columns may have different numbers of rows. [`mod@file`] writes them as one Arrow
//! file and maps it back: the same [`Columns`], in place.
//!
//! Must not know: what a column means. The schema is given.
//!
//! Start at [`SegmentBuilder`], then [`mod@file`].

mod builder;
mod columns;
pub mod file;
mod schema;

pub use builder::{SegmentBuilder, SegmentError};
pub use columns::Columns;
pub use schema::{Column, ColumnId, Element, Schema, SchemaError};
