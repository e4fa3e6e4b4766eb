//! What stands in the rings: a call to be made, and that one was made.

use crate::layout::{LEAST_ANSWER_BYTES, Layout, REGION_ALIGNMENT, Region};
use crate::memory::OutOfArena;
use crate::ring::Descriptor;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Operation {
    /// Names collections by ids: `Vec<body::Open>`.
    Open = 1,
    /// Appends K and V: `Vec<body::Insert>`.
    Insert = 2,
    /// Clusters tails now: `Vec<body::SegmentCluster>`.
    SegmentCluster = 3,
    /// Ranks clusters: `Vec<body::TopClusters>`.
    TopClusters = 4,
    /// The estimation zone: `Vec<body::Estimate>`.
    Estimate = 5,
    /// Attention: `Vec<body::Attend>`.
    Attend = 6,
    /// Stored K and V: `Vec<body::Fetch>`.
    Fetch = 7,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Insert,
        Self::SegmentCluster,
        Self::TopClusters,
        Self::Estimate,
        Self::Attend,
        Self::Fetch,
    ];
}

/// A call, as the client submits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The client's own number of the call, which the completion repeats.
    pub call: u64,
    /// What is to be done.
    pub operation: Operation,
    /// The body.
    pub request: Region,
    /// Where the answer goes: nothing else is written by the daemon.
    pub answer: Region,
}

/// That a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The client's own number of the call.
    pub call: u64,
    /// Of the daemon that made it.
    pub boot_epoch: u64,
    /// Whether the body is the call's failure as a whole, `body::Failure`, and not its answers.
    pub failed: bool,
    /// The body of the answer, within the submission's `answer`.
    pub body: Region,
}

/// A descriptor that says what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDescriptor {
    /// No operation.
    #[error("operation is {0}: expected 1 to 7")]
    Operation(u64),
    /// A request or an answer outside of the arena.
    #[error("{field}: {source}")]
    Region {
        /// Which of the two.
        field: &'static str,
        /// Where it would be.
        source: OutOfArena,
    },
    /// An answer without room for a sentence, or not of whole words.
    #[error("answer.bytes is {0}: expected a multiple of 8 from {least} on", least = LEAST_ANSWER_BYTES)]
    Answer(u64),
    /// Neither answered nor failed.
    #[error("status is {0}: expected 0 or 1")]
    Status(u64),
}

impl Submission {
    /// As it stands in the ring.
    pub fn encode(&self) -> Descriptor {
        [
            self.call,
            self.operation as u64,
            self.request.offset,
            self.request.bytes,
            self.answer.offset,
            self.answer.bytes,
            0,
            0,
        ]
    }

    /// What a copy of a descriptor says, checked against the arena.
    ///
    /// # Errors
    /// [`BadDescriptor`].
    pub fn parse(descriptor: &Descriptor, layout: Layout) -> Result<Self, BadDescriptor> {
        let [
            call,
            operation,
            request,
            request_bytes,
            answer,
            answer_bytes,
            _,
            _,
        ] = *descriptor;
        let operation = Operation::ALL
            .into_iter()
            .find(|known| *known as u64 == operation)
            .ok_or(BadDescriptor::Operation(operation))?;
        let request = within("request", layout, request, request_bytes)?;
        let answer = within("answer", layout, answer, answer_bytes)?;
        if answer.bytes < LEAST_ANSWER_BYTES || !answer.bytes.is_multiple_of(REGION_ALIGNMENT) {
            return Err(BadDescriptor::Answer(answer.bytes));
        }
        Ok(Self {
            call,
            operation,
            request,
            answer,
        })
    }
}

impl Completion {
    /// As it stands in the ring.
    pub fn encode(&self) -> Descriptor {
        [
            self.call,
            self.boot_epoch,
            self.failed.into(),
            self.body.offset,
            self.body.bytes,
            0,
            0,
            0,
        ]
    }

    /// What a copy of a descriptor says, checked against the arena.
    ///
    /// # Errors
    /// [`BadDescriptor`].
    pub fn parse(descriptor: &Descriptor, layout: Layout) -> Result<Self, BadDescriptor> {
        let [call, boot_epoch, status, offset, bytes, _, _, _] = *descriptor;
        let failed = match status {
            0 => false,
            1 => true,
            other => return Err(BadDescriptor::Status(other)),
        };
        Ok(Self {
            call,
            boot_epoch,
            failed,
            body: within("body", layout, offset, bytes)?,
        })
    }
}

fn within(
    field: &'static str,
    layout: Layout,
    offset: u64,
    bytes: u64,
) -> Result<Region, BadDescriptor> {
    let region = Region { offset, bytes };
    match OutOfArena::unless_within(layout, region) {
        Ok(()) => Ok(region),
        Err(source) => Err(BadDescriptor::Region { field, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(2, 65_536).unwrap()
    }

    #[test]
    fn descriptors_are_read_as_they_were_written() {
        let region = |offset, bytes| Region { offset, bytes };
        for operation in Operation::ALL {
            let submission = Submission {
                call: u64::MAX,
                operation,
                request: region(8, 3),
                answer: region(64, 1024),
            };
            assert_eq!(
                Submission::parse(&submission.encode(), layout()),
                Ok(submission)
            );
        }
        for failed in [false, true] {
            let completion = Completion {
                call: 1,
                boot_epoch: 2,
                failed,
                body: region(65_536, 0),
            };
            assert_eq!(
                Completion::parse(&completion.encode(), layout()),
                Ok(completion)
            );
        }
    }

    #[test]
    fn a_descriptor_that_cannot_be_is_refused_by_field() {
        let right = [1, 6, 0, 8, 8, 1024, 0, 0];
        assert!(Submission::parse(&right, layout()).is_ok());
        for (at, value, named) in [
            (1, 0, "operation is 0: "),
            (1, 1 << 32 | 6, "operation is 4294967302: "),
            (2, 4, "request: offset 4 "),
            (2, u64::MAX - 7, "request: offset 18446744073709551608 "),
            (3, 65_537, "request: offset 0 with 65537 bytes: "),
            (4, 65_536, "answer: offset 65536 "),
            (5, u64::MAX, "answer: offset 8 "),
            (5, 1016, "answer.bytes is 1016: "),
            (5, 1025, "answer.bytes is 1025: "),
        ] {
            let mut wrong = right;
            wrong[at] = value;
            let refused = Submission::parse(&wrong, layout()).unwrap_err();
            assert!(refused.to_string().starts_with(named), "{refused}");
        }
        let wrong = [1, 1, 2, 0, 0, 0, 0, 0];
        let refused = Completion::parse(&wrong, layout()).unwrap_err();
        assert_eq!(refused, BadDescriptor::Status(2));
    }
}
