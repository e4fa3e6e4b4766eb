//! A stream of entries, packed into messages of a bounded size.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::Message as _;
use tokio_stream::Stream;

use crate::wire::{InsertEntry, InsertStreamRequest};

/// Entries that the contract allows in one message.
const MESSAGE_ENTRIES: usize = 1024;
/// Beyond an entry itself: its tag and its length.
const FRAME_BYTES: usize = 6;

/// Packs entries, in their order, into messages of at most `message_bytes`; an entry that is larger travels alone.
#[derive(Debug)]
pub struct Packed<S> {
    entries: S,
    message_bytes: usize,
    pending: Vec<InsertEntry>,
    pending_bytes: usize,
}

impl<S> Packed<S> {
    /// Packs `entries`.
    pub fn new(entries: S, message_bytes: usize) -> Self {
        Self {
            entries,
            message_bytes,
            pending: Vec::new(),
            pending_bytes: 0,
        }
    }

    /// Takes an entry; gives the message that it no longer fits into.
    fn push(&mut self, entry: InsertEntry) -> Option<InsertStreamRequest> {
        let bytes = entry.encoded_len() + FRAME_BYTES;
        let full = self.pending_bytes + bytes > self.message_bytes
            || self.pending.len() == MESSAGE_ENTRIES;
        let message = if full { self.flush() } else { None };
        self.pending.push(entry);
        self.pending_bytes += bytes;
        message
    }

    fn flush(&mut self) -> Option<InsertStreamRequest> {
        self.pending_bytes = 0;
        let entries = mem::take(&mut self.pending);
        (!entries.is_empty()).then_some(InsertStreamRequest { entries })
    }
}

impl<S: Stream<Item = InsertEntry> + Unpin> Stream for Packed<S> {
    type Item = InsertStreamRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match Pin::new(&mut self.entries).poll_next(context) {
                Poll::Ready(Some(entry)) => {
                    if let Some(message) = self.push(entry) {
                        return Poll::Ready(Some(message));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(self.flush()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::wire::Tensor;

    fn entry(bytes: usize, start_position: u32) -> InsertEntry {
        let k = Some(Tensor {
            data: vec![1; bytes].into(),
            ..Default::default()
        });
        InsertEntry {
            start_position,
            k,
            ..Default::default()
        }
    }

    async fn packed(entries: Vec<InsertEntry>, message_bytes: usize) -> Vec<InsertStreamRequest> {
        Packed::new(tokio_stream::iter(entries), message_bytes)
            .collect()
            .await
    }

    #[tokio::test]
    async fn messages_are_full_but_not_too_large_and_keep_the_order() {
        let entries: Vec<InsertEntry> = [300, 300, 300, 5000, 10, 10]
            .into_iter()
            .zip(0..)
            .map(|(b, i)| entry(b, i))
            .collect();
        let messages = packed(entries.clone(), 700).await;
        let counts: Vec<usize> = messages
            .iter()
            .map(|message| message.entries.len())
            .collect();
        assert_eq!(counts, [2, 1, 1, 2]);
        for message in &messages {
            assert!(message.encoded_len() <= 700 || message.entries.len() == 1);
        }
        let all: Vec<InsertEntry> = messages.into_iter().flat_map(|m| m.entries).collect();
        assert_eq!(all, entries);
    }

    #[tokio::test]
    async fn no_entries_make_no_message_and_many_small_ones_more_than_one() {
        assert!(packed(Vec::new(), 700).await.is_empty());
        let messages = packed(vec![entry(1, 0); 1025], usize::MAX).await;
        assert_eq!(messages.len(), 2);
    }
}
