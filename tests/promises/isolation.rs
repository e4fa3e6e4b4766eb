//! Sequences never answer with each other's tokens: not side by side in a batch, not under the same name in another
//! namespace, and not after one another under the same name.

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use tokio::task::JoinSet;
use wavekv_client::{Client, Code, wire};

use crate::harness::collection::SMALL_INDEX;
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

/// Engines at once, and the sequences that each has in its batches.
const ENGINES: u64 = 4;
const SEQUENCES: u64 = 8;
const STEPS: usize = 40;

/// A sequence being decoded.
struct Decoding {
    collection: Collection,
    generation: u64,
    sequence: Sequence,
    stored: usize,
}

impl Decoding {
    /// Every second one has the name of another, in another namespace.
    async fn start(client: &Client, engine: u64, number: u64) -> Self {
        let name = wire::CollectionRef {
            namespace: format!("engine-{engine}-{}", number % 2),
            name: format!("sequence-{}", number / 2),
            generation: None,
        };
        let collection = Collection {
            client: client.clone(),
            name,
        };
        let shape = Shape::default();
        let generation = collection.make(shape, SMALL_INDEX).await.generation;
        let tokens = 4 * STEPS;
        Self {
            collection,
            generation,
            sequence: Sequence::random(shape, tokens, engine * SEQUENCES + number),
            stored: 0,
        }
    }

    /// Inserts the next tokens and asks with the last of them.
    fn step(&mut self, tokens: usize) -> wire::AttendEntry {
        let insert = self.sequence.entry(self.stored..self.stored + tokens);
        self.stored += tokens;
        let last = self.stored as u32 - 1;
        wire::AttendEntry {
            positions: vec![],
            insert: Some(insert),
            ..self
                .collection
                .question(&self.sequence, &[last], mode::exact())
        }
    }

    fn check(&self, answer: &wire::AttendOutcome) {
        assert_eq!(answer.generation, self.generation);
        assert_eq!(answer.length as usize, self.stored);
        let errors = self.sequence.errors(&[self.stored as u32 - 1], answer);
        assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sequences_at_once_never_answer_with_each_others() {
    let daemon = Daemon::start();
    let mut engines = JoinSet::new();
    for engine in 0..ENGINES {
        engines.spawn(decode(daemon.client().await, engine));
    }
    engines.join_all().await;
}

/// Continuous batching: each step is one call for all sequences, in any order, by a few tokens each.
async fn decode(client: Client, engine: u64) {
    let mut rng = Pcg64::seed_from_u64(engine);
    let mut sequences = vec![];
    for number in 0..SEQUENCES {
        sequences.push(Decoding::start(&client, engine, number).await);
    }
    for _ in 0..STEPS {
        sequences.shuffle(&mut rng);
        let entries = sequences
            .iter_mut()
            .map(|sequence| sequence.step(rng.random_range(1..=4)));
        let answers = client.attend(entries.collect()).await.unwrap();
        for (sequence, answer) in sequences.iter().zip(answers.all().unwrap()) {
            sequence.check(&answer);
        }
    }
}

#[tokio::test]
async fn a_name_that_is_taken_again_is_another_collection() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape::default();
    let [before, after] = [1, 2].map(|seed| Sequence::random(shape, 200, seed));
    let mut old = Collection::unmade(&client);
    let new = old.clone();
    old.name.generation = Some(old.make(shape, SMALL_INDEX).await.generation);
    old.insert(&before, 0..200).await;
    old.cluster().await;
    old.delete().await;

    let made = new.make(shape, SMALL_INDEX).await;
    assert_ne!(Some(made.generation), old.name.generation);
    assert_eq!(made.length, 0);
    new.insert(&after, 0..200).await;
    let late = client.insert_one(old.entry(&before, 0..200)).await;
    let late = late.map(drop).unwrap_err();
    assert_eq!(late.code(), Some(Code::FailedPrecondition), "{late}");
    let question = old.question(&before, &[199], mode::exact());
    let refused = client.attend_one(question).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), Some(Code::FailedPrecondition), "{refused}");
    let refused = client.delete(old.name).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::FailedPrecondition), "{refused}");

    let fetched = new.fetch(0..200).await.unwrap();
    assert!(after.equals(0..200, &fetched));
    assert_eq!(fetched.generation, made.generation);
    let alone = client.list_all("default", "").await.unwrap();
    assert_eq!(alone, [client.get(new.name).await.unwrap()]);
}
