//! Wrong input is refused with its documented code and a sentence that names the field; nothing of it is stored, the
//! other entries of the batch are answered, and the daemon lives on. Over shared memory the sentences are the same.
//!
//! Each table says how to spoil a good message, and what to hear for it. Start reading in `inserts.rs`.

mod answers;
mod batches;
mod collections;
mod geometry;
mod inserts;
mod limits;
mod numbers;
mod queries;
mod references;

use wavekv_client::{Batch, Client, ClientError, Code, wire};
use wavekv_trace::Dtype;

use crate::harness::{Collection, Daemon, Sequence, Shape};

/// Stored tokens, so that the last insert of four ends there.
const TOKENS: usize = 200;
const SHAPE: Shape = Shape {
    kv_heads: 2,
    group: 2,
    head_dim: 16,
    value_dim: 24,
    dtype: Dtype::Bf16,
    window: 0,
};

/// The code, how the sentence begins, and what is wrong.
type Wrong<M> = (Code, &'static str, fn(&mut M));

/// A collection that nothing wrong may change, with more tokens of its sequence to insert.
struct Victim {
    _daemon: Daemon,
    client: Client,
    /// The same daemon over shared memory.
    over_shm: Client,
    collection: Collection,
    sequence: Sequence,
    before: (wire::CollectionDescription, wire::FetchOutcome),
}

impl Victim {
    async fn new(shape: Shape) -> Self {
        let daemon = Daemon::start();
        let client = daemon.client().await;
        let collection = Collection::create(&client, shape).await;
        let sequence = Sequence::random(shape, TOKENS + 4, 1);
        collection.insert(&sequence, 0..TOKENS).await;
        collection.cluster().await;
        let before = state(&collection).await;
        Self {
            over_shm: daemon.shm_client().await,
            _daemon: daemon,
            client,
            collection,
            sequence,
            before,
        }
    }

    /// The last tokens once more: accepted, and changes nothing.
    fn repeated(&self) -> wire::InsertEntry {
        self.collection.entry(&self.sequence, TOKENS - 4..TOKENS)
    }

    /// Four more tokens.
    fn appended(&self) -> wire::InsertEntry {
        self.collection.entry(&self.sequence, TOKENS..TOKENS + 4)
    }

    /// Asserts that everything is byte for byte as it was.
    async fn is_unharmed(&self) {
        assert!(state(&self.collection).await == self.before);
    }

    /// Spoils `entry` in every way of the table, and sends it between two that are right.
    async fn refuses<E: Clone, T>(
        &self,
        right: &E,
        entry: &E,
        table: &[Wrong<E>],
        call: impl AsyncFn(&Client, Vec<E>) -> Result<Batch<T>, ClientError>,
    ) {
        for (code, named, spoil) in table {
            let mut wrong = entry.clone();
            spoil(&mut wrong);
            let batch = vec![right.clone(), wrong, right.clone()];
            let mut refusals = vec![];
            for client in [&self.client, &self.over_shm] {
                let mut results = call(client, batch.clone()).await.unwrap().results;
                refusals.push(results.remove(1).map(drop));
                assert!(results.iter().all(Result::is_ok), "beside {named}");
                self.is_unharmed().await;
            }
            assert_eq!(refusals[0], refusals[1]);
            assert_refused(refusals.remove(0), *code, named);
        }
    }
}

/// What the API shows of a collection whatever is clustered meanwhile.
async fn state(collection: &Collection) -> (wire::CollectionDescription, wire::FetchOutcome) {
    let description = collection
        .client
        .get(collection.name.clone())
        .await
        .unwrap();
    let fetched = collection.fetch(0..description.length).await.unwrap();
    (description, fetched)
}

/// Asserts the documented code and a sentence that begins with the field and says what was expected.
pub(crate) fn assert_refused<T>(answer: Result<T, ClientError>, expected: Code, named: &str) {
    let Err(error) = answer else {
        panic!("accepted: expected {expected:?}, {named}");
    };
    let (code, message) = match &error {
        ClientError::Refused { code, message } | ClientError::Entry { code, message, .. } => {
            (*code, message)
        }
        ClientError::Connect { .. } | ClientError::Lost { .. } | ClientError::Protocol { .. } => {
            panic!("{error}: expected {expected:?}, {named}")
        }
    };
    assert_eq!(code, expected, "{named}: {message}");
    assert!(message.starts_with(named), "{named}: {message}");
    assert!(message.contains("expected"), "{message}");
}
