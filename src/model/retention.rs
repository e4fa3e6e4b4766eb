//! How long a collection is kept; chosen when it is created.

use std::time::Duration;

use crate::model::{Invalid, limits};

/// When a collection may be deleted that nobody has deleted. By default never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// So long after its last use.
    pub ttl: Option<Duration>,
    /// When the disk is over its budget, and no other such collection was unused for longer.
    pub expendable: bool,
}

impl Retention {
    /// From seconds, 0 for no end.
    ///
    /// # Errors
    /// [`Invalid`] when they are more than [`limits::TTL_SECONDS`] allows.
    pub fn new(ttl_seconds: u64, expendable: bool) -> Result<Self, Invalid> {
        let seconds = Invalid::unless_within("ttl_seconds", ttl_seconds, limits::TTL_SECONDS)?;
        Ok(Self {
            ttl: (seconds > 0).then(|| Duration::from_secs(seconds)),
            expendable,
        })
    }

    /// In whole seconds, 0 for no end.
    pub fn ttl_seconds(&self) -> u64 {
        self.ttl.map_or(0, |ttl| ttl.as_secs())
    }
}
