//! What an acknowledgement promises.

use crate::segment::file::Sync;

/// What outlives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What is acknowledged outlives the daemon's process, however it ends.
    Process,
    /// It outlives a loss of power too: the device has it before the acknowledgement.
    Power,
}

const PROCESS: u8 = 1;
const POWER: u8 = 2;

impl Durability {
    pub(super) fn sync(self) -> Sync {
        match self {
            Self::Process => Sync::System,
            Self::Power => Sync::Device,
        }
    }

    /// As the catalog has it.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Process => PROCESS,
            Self::Power => POWER,
        }
    }

    pub(super) fn of_number(number: u8) -> Option<Self> {
        match number {
            PROCESS => Some(Self::Process),
            POWER => Some(Self::Power),
            _ => None,
        }
    }
}
