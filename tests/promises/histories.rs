//! Whatever was done to collections, in whatever order and with kills in between: they have the tokens that a list of them
//! would have, and no others.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use wavekv_client::{Client, wire};

use crate::harness::collection::{SMALL_INDEX, named};
use crate::harness::{Collection, Daemon, Sequence, Shape};

/// Of a collection at most.
const TOKENS: usize = 500;
/// Sequences that tokens are taken from. Two are alike up to their half, so that segments of the same content meet.
const SEQUENCES: usize = 3;
/// Names of collections.
const NAMES: usize = 4;

/// A step of a history. Lengths are shares of what there is, so that a step fits whatever came before.
#[derive(Clone, Debug)]
enum Step {
    Create(usize, wire::Durability),
    /// Tokens of a sequence.
    Insert(usize, usize, usize),
    Truncate(usize, f64),
    /// Of a collection under another name, at a share of its length.
    Fork(usize, usize, Option<f64>),
    Delete(usize),
    /// Clusters the tail now.
    Cluster(usize),
    /// Waits until the daemon has clustered what it wants to.
    Settle,
    /// Kills the daemon and starts it again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..NAMES;
    let durability = prop_oneof![
        1 => Just(wire::Durability::None),
        4 => Just(wire::Durability::Process),
        1 => Just(wire::Durability::Power),
    ];
    let tokens = prop_oneof![1..4_usize, 4..60_usize, 60..400_usize];
    let step = prop_oneof![
        3 => (name(), durability).prop_map(|(name, durability)| Step::Create(name, durability)),
        8 => (name(), 0..SEQUENCES, tokens).prop_map(|(name, of, tokens)| Step::Insert(name, of, tokens)),
        3 => (name(), 0.0..1.0).prop_map(|(name, share)| Step::Truncate(name, share)),
        5 => (name(), name(), prop::option::of(0.0..1.0))
            .prop_map(|(from, to, share)| Step::Fork(from, to, share)),
        2 => name().prop_map(Step::Delete),
        2 => name().prop_map(Step::Cluster),
        2 => Just(Step::Settle),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

/// What a collection has: of each token, the sequence that it is of. A token has its place in that too.
#[derive(Clone, Debug)]
struct Model {
    durability: wire::Durability,
    tokens: Vec<usize>,
}

/// The daemon, and what it must have.
struct History {
    daemon: Daemon,
    client: Client,
    sequences: Vec<Sequence>,
    models: BTreeMap<usize, Model>,
}

impl History {
    async fn new() -> Self {
        let daemon = Daemon::start();
        let client = daemon.client().await;
        let shape = Shape::default();
        let mut sequences: Vec<_> = (0..SEQUENCES as u64)
            .map(|seed| Sequence::random(shape, TOKENS, seed))
            .collect();
        let first = sequences[0].clone();
        let halved = |plane: &mut Vec<u8>, like: &[u8]| {
            let half = like.len() / 2;
            plane[..half].copy_from_slice(&like[..half]);
        };
        halved(&mut sequences[1].k, &first.k);
        halved(&mut sequences[1].v, &first.v);
        Self {
            daemon,
            client,
            sequences,
            models: BTreeMap::new(),
        }
    }

    fn collection(&self, name: usize) -> Collection {
        Collection {
            client: self.client.clone(),
            name: named(&format!("history-{name}")),
        }
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Create(name, durability) if !self.models.contains_key(&name) => {
                self.create(name, durability).await;
            }
            Step::Insert(name, of, tokens) => self.insert(name, of, tokens).await,
            Step::Truncate(name, share) => {
                let collection = self.collection(name);
                if let Some(model) = self.models.get_mut(&name) {
                    let length = (model.tokens.len() as f64 * share) as usize;
                    model.tokens.truncate(length);
                    let truncated = self.client.truncate(collection.name, length as u32).await;
                    prop_assert_eq!(truncated.unwrap().layer_lengths, [length as u32]);
                }
            }
            Step::Fork(from, to, share) if !self.models.contains_key(&to) => {
                self.fork(from, to, share).await;
            }
            Step::Delete(name) => {
                if self.models.remove(&name).is_some() {
                    self.collection(name).delete().await;
                }
            }
            Step::Cluster(name) if self.models.contains_key(&name) => {
                self.collection(name).cluster().await;
            }
            Step::Settle => self.collection(0).settle().await,
            Step::Restart => {
                self.daemon.restart();
                self.client = self.daemon.client().await;
                self.models
                    .retain(|_, model| model.durability != wire::Durability::None);
                self.check().await?;
            }
            Step::Create(..) | Step::Fork(..) | Step::Cluster(_) => {}
        }
        Ok(())
    }

    async fn create(&mut self, name: usize, durability: wire::Durability) {
        let request = wire::CreateRequest {
            durability: durability.into(),
            ..self.collection(name).request(Shape::default(), SMALL_INDEX)
        };
        self.client.create(request).await.unwrap();
        let tokens = vec![];
        self.models.insert(name, Model { durability, tokens });
    }

    async fn insert(&mut self, name: usize, of: usize, tokens: usize) {
        let collection = self.collection(name);
        if let Some(model) = self.models.get_mut(&name) {
            let start = model.tokens.len();
            let end = TOKENS.min(start + tokens);
            collection.insert(&self.sequences[of], start..end).await;
            model.tokens.resize(end, of);
        }
    }

    async fn fork(&mut self, from: usize, to: usize, share: Option<f64>) {
        let Some(mut model) = self.models.get(&from).cloned() else {
            return;
        };
        let length = share.map(|share| (model.tokens.len() as f64 * share) as u32);
        model
            .tokens
            .truncate(length.map_or(TOKENS, |length| length as usize));
        let request = wire::ForkRequest {
            collection: Some(self.collection(from).name),
            name: self.collection(to).name.name,
            length,
            ..Default::default()
        };
        self.client.fork(request).await.unwrap();
        self.models.insert(to, model);
    }

    /// Asserts that the collections are those of the model, to the byte.
    async fn check(&self) -> Result<(), TestCaseError> {
        let listed = self.client.list_all("default", "").await.unwrap();
        let found: Vec<(String, usize)> = listed
            .into_iter()
            .map(|found| (found.name, found.length as usize))
            .collect();
        let expected: Vec<(String, usize)> = self
            .models
            .iter()
            .map(|(name, model)| (format!("history-{name}"), model.tokens.len()))
            .collect();
        prop_assert_eq!(found, expected);
        for (name, model) in &self.models {
            if model.tokens.is_empty() {
                continue;
            }
            let collection = self.collection(*name);
            let fetched = collection
                .fetch(0..model.tokens.len() as u32)
                .await
                .unwrap();
            let planes = |of: fn(&Sequence) -> &Vec<u8>| -> Vec<u8> {
                let tokens = model.tokens.iter().enumerate();
                let bytes = tokens.flat_map(|(at, sequence)| {
                    let plane = of(&self.sequences[*sequence]);
                    let row = plane.len() / TOKENS;
                    &plane[at * row..][..row]
                });
                bytes.copied().collect()
            };
            prop_assert!(fetched.k.unwrap().data == planes(|sequence| &sequence.k));
            prop_assert!(fetched.v.unwrap().data == planes(|sequence| &sequence.v));
        }
        Ok(())
    }

    /// Removes everything, which leaves no file.
    async fn end(mut self) -> Result<Self, TestCaseError> {
        self.check().await?;
        for name in std::mem::take(&mut self.models).into_keys() {
            self.collection(name).delete().await;
        }
        self.daemon.restart();
        self.client = self.daemon.client().await;
        prop_assert_eq!(self.daemon.collection_files().len(), 0);
        let disk = self.client.stats(None).await.unwrap().disk.unwrap();
        prop_assert_eq!(disk.used_bytes, 0);
        Ok(self)
    }
}

#[test]
fn every_history_ends_in_the_tokens_that_a_list_would_have() {
    let runtime = Runtime::new().unwrap();
    let history = std::cell::RefCell::new(Some(runtime.block_on(History::new())));
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&steps(), |steps| {
            // One that failed is begun anew: what it left would fail the next.
            let mut now = history
                .borrow_mut()
                .take()
                .unwrap_or_else(|| runtime.block_on(History::new()));
            let ended = runtime.block_on(async {
                for step in &steps {
                    now.take(step).await?;
                }
                now.end().await
            });
            *history.borrow_mut() = Some(ended?);
            Ok(())
        })
        .unwrap();
}
