//! Sentences of refusal that more than one operation says, and how the rooms below become errors.

use wavekv_storage::segment::SegmentError;
use wavekv_storage::store::snapshots::SnapshotError;
use wavekv_storage::store::{Remedy, StoreError};
use wavekv_storage::{BudgetExceeded, ResidenceError, Shortage};

use crate::index::build::BuildError;
use crate::index::kinds::SearchError;
use crate::index::segment::ReadError;
use crate::model::{Error, ErrorKind};

impl From<BudgetExceeded> for Error {
    fn from(error: BudgetExceeded) -> Self {
        let BudgetExceeded {
            asked,
            used,
            limit,
            shortage,
        } = error;
        let giver = match shortage {
            Shortage::Budget => "",
            Shortage::System => " from the system, which does not give them,",
        };
        let message = format!(
            "memory.budget is {limit}, {used} of them in use: expected room for {asked} more{giver}; nothing of this \
             request was stored"
        );
        Self::new(ErrorKind::ResourceExhausted, message)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if let StoreError::NoRoom { asked, used, limit } = error {
            let message = format!(
                "disk.budget is {limit}, {used} of them in use: expected room for {asked} more; nothing of this request \
                 was stored"
            );
            return Self::new(ErrorKind::ResourceExhausted, message);
        }
        let (kind, what_of_it) = match error.remedy() {
            Remedy::Space => (
                ErrorKind::ResourceExhausted,
                "; nothing of this request was stored, expected room on the disk",
            ),
            Remedy::Repair => (
                ErrorKind::Unavailable,
                "; nothing of this request was stored, expected the disk to work",
            ),
            Remedy::Restore => (ErrorKind::DataLoss, ""),
            Remedy::Gone => (ErrorKind::NotFound, ""),
        };
        Self::new(kind, format!("data_dir: {error}{what_of_it}"))
    }
}

impl From<SnapshotError> for Error {
    fn from(error: SnapshotError) -> Self {
        let (kind, what_of_it) = match error {
            SnapshotError::Store(error) => return error.into(),
            SnapshotError::NoMemory(error) => return error.into(),
            SnapshotError::Exists { .. } => (ErrorKind::AlreadyExists, ""),
            SnapshotError::Missing { .. } => (ErrorKind::NotFound, ""),
            SnapshotError::Newer { .. } => (ErrorKind::FailedPrecondition, ""),
            SnapshotError::Damaged { .. }
            | SnapshotError::Io { .. }
            | SnapshotError::Segment(_) => match error.remedy() {
                Remedy::Space => (
                    ErrorKind::ResourceExhausted,
                    "; nothing of this request is left, expected room on the disk",
                ),
                Remedy::Repair => (
                    ErrorKind::Unavailable,
                    "; nothing of this request is left, expected the disk to work",
                ),
                Remedy::Restore | Remedy::Gone => (ErrorKind::DataLoss, ""),
            },
        };
        Self::new(kind, format!("snapshot: {error}{what_of_it}"))
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Shape(error) => error.into(),
            ReadError::Residence(ResidenceError::NoRoom(refused)) => refused.into(),
            ReadError::Residence(error @ ResidenceError::Read { .. }) => {
                let message = format!("data_dir: segment {error}; expected the disk to work");
                Self::new(ErrorKind::Unavailable, message)
            }
        }
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Segment(SegmentError::NoMemory { source, .. }) => source.into(),
            BuildError::Segment(
                error @ (SegmentError::WrongSize { .. }
                | SegmentError::FilledTwice { .. }
                | SegmentError::Missing { .. }
                | SegmentError::NoSuchColumn { .. }),
            ) => Self::internal(error),
            BuildError::Shape(error) => error.into(),
            BuildError::Memory(error) => error.into(),
            BuildError::Search(error) => error.into(),
            BuildError::Read(error) => error.into(),
        }
    }
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Self {
        Self::internal(error)
    }
}

/// The position of a query token, when the layer has it.
pub(super) fn checked_position(field: &str, position: u32, length: u32) -> Result<u32, Error> {
    if position < length {
        return Ok(position);
    }
    let message = format!("{field} is {position}: expected less than {length}, the layer's length");
    Err(Error::new(ErrorKind::OutOfRange, message))
}
