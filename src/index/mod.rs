//! The index: which tokens a query must read exactly, and what the others weigh. The wave index, and in [`kinds`] those
//! that others would take in its place.
//!
//! Pure: no I/O, no clock, no locks (but one, in [`kinds`]), no async, and no thought of where bytes live. It answers a query with a read plan
//! (which clusters, worth how much) and never reads K or V itself; whoever holds them computes and hands back partials.
//! It must not know collections, the engine or the wire.
//!
//! Start reading at [`segment`] (what is known of sealed tokens), then [`survey`] (a query meets the meta index),
//! [`select`] (what is chosen to be read), [`middle`] (what its codes say), [`estimate`] (the estimation zone),
//! [`error_estimate`] (how good that is believed to be) and [`audit`] (how good it is).
//! [`build`] makes segments, [`layout`] says where they begin and end, [`schema`] what their columns mean, and [`verify`]
//! what must hold of them.

pub mod audit;
pub mod build;
pub mod error_estimate;
pub mod estimate;
mod histogram;
pub mod kinds;
mod ladder;
pub mod layout;
pub mod middle;
pub mod projection;
pub mod schema;
pub mod segment;
pub mod select;
mod sharpness;
pub mod survey;
pub mod verify;
pub mod zones;

pub use histogram::Histogram;
pub use layout::Layout;
pub use segment::{HeadIndex, Segment};
pub use survey::{HeadQuery, Survey};
pub use zones::{Place, Zone};
