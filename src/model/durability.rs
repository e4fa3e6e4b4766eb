//! What an acknowledgement promises; chosen when a collection is created.

use std::fmt;

/// What stored tokens outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: the collection ends with the daemon.
    None,
    /// The daemon's process, however it ends.
    Process,
    /// A loss of power too.
    Power,
}

impl Durability {
    /// As it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Power => "power",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
