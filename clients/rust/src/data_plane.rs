//! The calls of `DataService`.

use tokio_stream::{Stream, StreamExt as _};

use crate::{Batch, Client, ClientError, Packed, wire};

/// Failures of a stream that its answer names.
const NAMED_FAILURES: usize = 100;

macro_rules! batched {
    ($($(#[$doc:meta])* $call:ident, $one:ident, $entry:ident => $outcome:ident, $request:ident { $field:ident };)*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`ClientError::Refused`] when the whole call failed, [`ClientError::Protocol`]; entries fail alone.
            pub async fn $call(
                &self,
                entries: Vec<wire::$entry>,
            ) -> Result<Batch<wire::$outcome>, ClientError> {
                if let Some(shm) = &self.shm {
                    return self.repeated(|| shm.batch(&entries)).await;
                }
                let call = |entries: Vec<wire::$entry>| async move {
                    let sent = entries.len();
                    let request = self.request(wire::$request { $field: entries });
                    let answer = self.answered(self.data.clone().$call(request)).await?;
                    Batch::read(sent, answer.results, answer.boot_epoch)
                };
                if self.options.wait_for_restart.is_zero() {
                    return call(entries).await;
                }
                self.repeated(|| call(entries.clone())).await
            }

            /// The same for one entry.
            ///
            /// # Errors
            /// Also [`ClientError::Entry`], when the entry failed.
            pub async fn $one(&self, entry: wire::$entry) -> Result<wire::$outcome, ClientError> {
                self.$call(vec![entry]).await?.one()
            }
        )*}
    };
}

batched! {
    /// Appends K and V.
    insert, insert_one, InsertEntry => InsertOutcome, InsertRequest { entries };
    /// Clusters the pending tail of layers now, and returns when it is done.
    segment_cluster, segment_cluster_one, LayerRef => SegmentClusterOutcome, SegmentClusterRequest { layers };
    /// Ranks the clusters of every KV head for one query token per entry.
    top_clusters, top_clusters_one, TopClustersEntry => TopClustersOutcome, TopClustersRequest { entries };
    /// The partial of every cluster but those named as retrieved.
    estimate, estimate_one, EstimateEntry => PartialOutcome, EstimateRequest { entries };
    /// Attention, after inserting this step's K and V when they are given.
    attend, attend_one, AttendEntry => AttendOutcome, AttendRequest { entries };
    /// The stored K and V of a token range or a cluster.
    fetch, fetch_one, FetchEntry => FetchOutcome, FetchRequest { entries };
}

impl Client {
    /// Streams K and V, as many entries a message as fit into `message_bytes` (a larger entry travels alone), and
    /// returns what the daemon says at the end; entries that it refused are in it. Entries of one layer must follow
    /// each other in order. An iterator becomes a stream with `tokio_stream::iter`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the whole call failed.
    pub async fn insert_stream<S>(
        &self,
        entries: S,
        message_bytes: usize,
    ) -> Result<wire::InsertStreamResponse, ClientError>
    where
        S: Stream<Item = wire::InsertEntry> + Send + Unpin + 'static,
    {
        if self.shm.is_some() {
            return self
                .insert_in_batches(Packed::new(entries, message_bytes))
                .await;
        }
        let request = self.request(Packed::new(entries, message_bytes));
        self.answered(self.data.clone().insert_stream(request))
            .await
    }

    /// A stream over shared memory: a call a message, each within the deadline, and the answer that a stream has.
    async fn insert_in_batches<S>(
        &self,
        mut messages: Packed<S>,
    ) -> Result<wire::InsertStreamResponse, ClientError>
    where
        S: Stream<Item = wire::InsertEntry> + Send + Unpin + 'static,
    {
        let mut answer = wire::InsertStreamResponse::default();
        while let Some(message) = messages.next().await {
            let entries = message.entries;
            let tokens: Vec<u64> = entries.iter().map(tokens_of).collect();
            let batch = self.insert(entries).await?;
            answer.boot_epoch = batch.boot_epoch;
            for (result, tokens) in batch.results.into_iter().zip(tokens) {
                count(&mut answer, result, tokens)?;
            }
        }
        Ok(answer)
    }

    /// The same, where a refused entry is an error. What was acknowledged before it stays stored.
    ///
    /// # Errors
    /// Also [`ClientError::Entry`], for the first entry that failed.
    pub async fn insert_stream_all<S>(
        &self,
        entries: S,
        message_bytes: usize,
    ) -> Result<wire::InsertStreamResponse, ClientError>
    where
        S: Stream<Item = wire::InsertEntry> + Send + Unpin + 'static,
    {
        let mut answer = self.insert_stream(entries, message_bytes).await?;
        if answer.failed_entries == 0 {
            return Ok(answer);
        }
        let first = (!answer.failures.is_empty()).then(|| answer.failures.swap_remove(0));
        Err(match first.map(|failure| (failure.entry, failure.error)) {
            Some((entry, Some(error))) => ClientError::entry(entry as usize, error),
            Some(_) | None => ClientError::protocol("entries failed and none is named"),
        })
    }
}

/// The tokens that an entry says it has.
fn tokens_of(entry: &wire::InsertEntry) -> u64 {
    let shape = entry.k.as_ref().map(|k| k.shape.as_slice());
    u64::from(shape.and_then(<[u32]>::first).copied().unwrap_or(0))
}

/// Counts one entry of a stream, as the daemon does.
fn count(
    answer: &mut wire::InsertStreamResponse,
    result: Result<wire::InsertOutcome, ClientError>,
    tokens: u64,
) -> Result<(), ClientError> {
    match result {
        Ok(_) => {
            answer.stored_entries += 1;
            answer.stored_tokens += tokens;
        }
        Err(ClientError::Entry { code, message, .. }) => {
            if answer.failures.len() < NAMED_FAILURES {
                let error = wire::EntryError {
                    code: code.into(),
                    message,
                };
                answer.failures.push(wire::StreamFailure {
                    entry: answer.stored_entries + answer.failed_entries,
                    error: Some(error),
                });
            }
            answer.failed_entries += 1;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
