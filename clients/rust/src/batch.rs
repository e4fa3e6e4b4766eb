//! Answers to a batch, entry by entry.

use crate::{ClientError, wire};

/// The answer to a batch, one result per entry in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<T> {
    /// The outcome of each entry, or [`ClientError::Entry`] with its index.
    pub results: Vec<Result<T, ClientError>>,
    /// Of the daemon that answered; another one means that it was started again.
    pub boot_epoch: u64,
}

impl<T> Batch<T> {
    /// All outcomes.
    ///
    /// # Errors
    /// The first entry that failed.
    pub fn all(self) -> Result<Vec<T>, ClientError> {
        self.results.into_iter().collect()
    }

    /// Checks an answer against the number of entries that were sent.
    pub(crate) fn read<R: EntryResult<Outcome = T>>(
        sent: usize,
        results: Vec<R>,
        boot_epoch: u64,
    ) -> Result<Self, ClientError> {
        if results.len() != sent {
            let what = format!("{} results for {sent} entries", results.len());
            return Err(ClientError::protocol(what));
        }
        let read = |(index, result): (usize, R)| match result.outcome() {
            Some(Ok(outcome)) => Ok(Ok(outcome)),
            Some(Err(error)) => Ok(Err(ClientError::entry(index, error))),
            None => Err(ClientError::protocol(format!(
                "entry {index} has no outcome"
            ))),
        };
        let results = results
            .into_iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            results,
            boot_epoch,
        })
    }

    /// The outcome of a batch of one.
    pub(crate) fn one(self) -> Result<T, ClientError> {
        let only = self.results.into_iter().next();
        only.unwrap_or_else(|| Err(ClientError::protocol("an empty answer")))
    }
}

/// A result message of the contract: an outcome or an error.
pub trait EntryResult {
    /// What it carries when the entry succeeded.
    type Outcome;

    /// The outcome or the error; none when the message carries neither.
    fn outcome(self) -> Option<Result<Self::Outcome, wire::EntryError>>;
}

macro_rules! entry_result {
    ($($result:ident, $module:ident, $outcome:ident;)*) => {$(
        impl EntryResult for wire::$result {
            type Outcome = wire::$outcome;

            fn outcome(self) -> Option<Result<Self::Outcome, wire::EntryError>> {
                self.outcome.map(|outcome| match outcome {
                    wire::$module::Outcome::Ok(outcome) => Ok(outcome),
                    wire::$module::Outcome::Error(error) => Err(error),
                })
            }
        }
    )*};
}

entry_result! {
    InsertResult, insert_result, InsertOutcome;
    SegmentClusterResult, segment_cluster_result, SegmentClusterOutcome;
    TopClustersResult, top_clusters_result, TopClustersOutcome;
    EstimateResult, estimate_result, PartialOutcome;
    AttendResult, attend_result, AttendOutcome;
    FetchResult, fetch_result, FetchOutcome;
}
