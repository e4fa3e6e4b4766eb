//! `wavekv collections`.

pub(crate) mod ls;
pub(crate) mod place;
pub(crate) mod rm;
pub(crate) mod show;
