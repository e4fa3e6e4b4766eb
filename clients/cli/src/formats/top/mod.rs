//! What `wavekv top` shows: two answers of Activity, one taken from the other, as numbers, as text and as a picture.
//!
//! Nothing here makes a request, reads a key or knows the time: it is all in the two answers. Start reading at [`view`].

mod controls;
mod latency;
mod percentile;
mod rate;
mod rows;
mod screen;
mod text;
mod view;

pub(crate) use controls::Controls;
pub(crate) use screen::draw;
pub(crate) use text::text;
pub(crate) use view::View;

/// Collections that are asked for: as many as the daemon tells of.
pub(crate) const COLLECTIONS: u32 = 100;
