//! `wavekv collections`.

pub(crate) mod ls;
pub(crate) mod rm;
pub(crate) mod show;
