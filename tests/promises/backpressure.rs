//! Who inserts faster than the daemon clusters waits for it, and is not refused.

use crate::harness::{Collection, Daemon, Sequence, Shape, mode};
use wavekv_client::wire;

/// A KiB a token.
const SHAPE: Shape = Shape {
    kv_heads: 2,
    group: 2,
    head_dim: 64,
    value_dim: 64,
    dtype: wavekv_trace::Dtype::F32,
    window: 0,
};
const PIECE: usize = 4096;
/// Three times the budget.
const TOKENS: usize = 72 << 10;

const INDEX: wire::IndexParameters = wire::IndexParameters {
    kind: 0,
    sink_tokens: Some(4),
    recent_tokens: Some(64),
    segment_tokens: Some(PIECE as u32),
    decode_segment_tokens: Some(512),
    cluster_tokens: Some(16),
    kmeans_iterations: Some(2),
    seed: None,
};

fn at(start: usize, entry: wire::InsertEntry) -> wire::InsertEntry {
    wire::InsertEntry {
        start_position: start as u32,
        ..entry
    }
}

#[tokio::test]
async fn inserts_that_come_faster_than_tokens_are_clustered_wait_and_are_not_refused() {
    let daemon = Daemon::with(&["memory.budget=24MiB"]);
    let client = daemon.client().await;
    let sequence = Sequence::random(SHAPE, PIECE, 1);
    let [single, streamed] = [Collection::unmade(&client), Collection::unmade(&client)];
    for collection in [&single, &streamed] {
        collection.make(SHAPE, INDEX).await;
    }
    let pieces = (0..TOKENS).step_by(PIECE);
    let entries: Vec<_> = pieces
        .clone()
        .map(|start| at(start, streamed.entry(&sequence, 0..PIECE)))
        .collect();
    let stream = client.insert_stream(tokio_stream::iter(entries), 8 << 20);
    let calls = async {
        for start in pieces {
            let entry = at(start, single.entry(&sequence, 0..PIECE));
            client.insert_one(entry).await.unwrap();
        }
        // And the step of a decode.
        let question = wire::AttendEntry {
            positions: vec![TOKENS as u32],
            insert: Some(at(TOKENS, sequence.entry(0..1))),
            ..single.question(&sequence, &[1], mode::adaptive(0.05))
        };
        client.attend_one(question).await.unwrap();
    };
    let (streaming, ()) = tokio::join!(stream, calls);
    assert_eq!(streaming.unwrap().stored_tokens, TOKENS as u64);
    assert_eq!(single.length().await, TOKENS + 1);

    let last = TOKENS - PIECE;
    for collection in [&single, &streamed] {
        let fetched = collection.fetch(last as u32..TOKENS as u32).await.unwrap();
        assert!(sequence.equals(0..PIECE, &fetched));
    }
}
