//! A collection that is written to until its daemon goes, and what it may have afterwards.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use wavekv_client::{Client, ClientError, wire};

use crate::harness::{Collection, Sequence, Shape};

/// At most.
const TOKENS: usize = 1500;

/// What is known of a collection from the answers about it: it has one of these lengths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) acknowledged: usize,
    /// What a call would make of it that was not answered.
    pub(crate) asked: usize,
}

/// A collection that is written to until the daemon goes.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) collection: Collection,
    pub(crate) sequence: Sequence,
    pub(crate) known: Mutex<Known>,
}

impl Written {
    /// An empty one.
    pub(crate) async fn create(client: &Client, durability: wire::Durability, seed: u64) -> Self {
        let shape = Shape::default();
        Self {
            collection: Collection::create_lasting(client, shape, durability).await,
            sequence: Sequence::random(shape, TOKENS, seed),
            known: Mutex::new(Known {
                acknowledged: 0,
                asked: 0,
            }),
        }
    }

    /// Asks for a change of the length, and notes what came of it.
    async fn change<T>(
        &self,
        to: usize,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        self.known.lock().asked = to;
        let answer = call.await?;
        self.known.lock().acknowledged = to;
        Ok(answer)
    }

    /// Inserts in pieces of all sizes, truncates and clusters, until a call fails.
    pub(crate) async fn write(self: Arc<Self>, client: Client, seed: u64) -> ClientError {
        let mut rng = Pcg64::seed_from_u64(seed);
        let collection = self.collection.on(&client);
        loop {
            let length = self.known.lock().acknowledged;
            let failed = if length == TOKENS || rng.random_bool(0.08) {
                let to = rng.random_range(0..=length);
                let call = collection
                    .client
                    .truncate(collection.name.clone(), to as u32);
                self.change(to, call).await.err()
            } else if rng.random_bool(0.1) {
                let call = collection.client.segment_cluster_one(collection.layer());
                call.await.err()
            } else {
                let most = if rng.random_bool(0.3) { 200 } else { 4 };
                let to = TOKENS.min(length + rng.random_range(1..=most));
                let entry = collection.entry(&self.sequence, length..to);
                self.change(to, collection.client.insert_one(entry))
                    .await
                    .err()
            };
            if let Some(error) = failed {
                return error;
            }
        }
    }

    /// Asserts that the collection has a length that it may have, and the tokens before it.
    pub(crate) async fn check(&mut self, client: &Client) {
        self.collection.client = client.clone();
        let Known {
            acknowledged,
            asked,
        } = *self.known.lock();
        let length = self.collection.length().await;
        assert!(
            length == acknowledged || length == asked,
            "{length} tokens: {acknowledged} were acknowledged, {asked} were asked for"
        );
        self.collection.assert_has(&self.sequence, length).await;
        *self.known.lock() = Known {
            acknowledged: length,
            asked: length,
        };
    }
}
