//! Rejected tokens never come back: what was inserted on trial, truncated and replaced is in no answer, however much of
//! it was being clustered at that moment.

use tokio::task::JoinSet;
use wavekv_client::Client;

use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

const SEQUENCES: u64 = 4;
const STEPS: usize = 30;
/// Accepted a step; as many again are tried.
const TOKENS: usize = 17;

#[tokio::test(flavor = "multi_thread")]
async fn rejected_tokens_never_come_back() {
    let daemon = Daemon::start();
    let mut tasks = JoinSet::new();
    for seed in 0..SEQUENCES {
        tasks.spawn(decode(daemon.client().await, seed));
    }
    tasks.join_all().await;
}

async fn decode(client: Client, seed: u64) {
    let shape = Shape::default();
    let collection = Collection::create(&client, shape).await;
    let accepted = Sequence::random(shape, (STEPS + 8) * TOKENS, seed);
    let tried = Sequence::random(shape, (STEPS + 8) * TOKENS, seed + SEQUENCES);
    for step in 0..STEPS {
        let stored = step * TOKENS;
        // Far enough that clusters are made of tokens on trial, and are in the making when these are rejected.
        let trial = stored..stored + (1 + step % 8) * TOKENS;
        collection.insert(&tried, trial).await;
        let clustering = tokio::spawn({
            let collection = collection.clone();
            async move { collection.cluster().await }
        });
        let rejected = client.truncate(collection.name.clone(), stored as u32);
        assert_eq!(rejected.await.unwrap().layer_lengths, [stored as u32]);
        let end = stored + TOKENS;
        collection.insert(&accepted, stored..end).await;
        check(&collection, &accepted, end).await;
        clustering.await.unwrap();
        check(&collection, &accepted, end).await;
    }
}

async fn check(collection: &Collection, accepted: &Sequence, end: usize) {
    let fetched = collection.fetch(0..end as u32).await.unwrap();
    assert!(accepted.equals(0..end, &fetched));
    let last = [end as u32 - 1];
    let answer = collection.attend(accepted, &last, mode::exact()).await;
    let errors = accepted.errors(&last, &answer);
    assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
}
