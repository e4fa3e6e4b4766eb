//! One client, in a process of its own: it does whatever clients do, until it is killed. It knows what was acknowledged, and ends
//! with an error when that is not there, or when an answer is wrong.

use std::ops::Range;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use wavekv_client::Code;
use wavekv_client::{Address, Client, ClientError, ConnectOptions, ShmOptions, wire};
use wavekv_trace::Dtype;

use crate::harness::collection::SMALL_INDEX;
use crate::harness::{Collection, EXACT, Sequence, Shape, mode};

/// The first argument of a process that is a client.
pub(crate) const WORD: &str = "client";
/// A daemon that was killed is back by then, however busy the machine.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);
/// Of a client at once.
const COLLECTIONS: usize = 3;
/// Of a collection at most.
const TOKENS: usize = 2500;
/// Of an insert at most: K and V of the larger shape are a megabyte then.
const AT_ONCE: usize = 512;

/// Where a client puts what it makes, so that whoever kills it knows what to remove.
pub(crate) fn namespace(seed: u64) -> String {
    format!("soak-{seed}")
}

/// How every client of the soak connects: a daemon that is gone comes back, and the arenas of all of them fit its budget.
pub(crate) fn options() -> ConnectOptions {
    ConnectOptions {
        connect_timeout: PATIENCE,
        wait_for_restart: PATIENCE,
        shm: ShmOptions {
            arena_bytes: 8 << 20,
            ..ShmOptions::default()
        },
        ..ConnectOptions::default()
    }
}

/// Connects, whatever becomes of the daemon meanwhile.
pub(crate) async fn connected(address: &Address) -> Client {
    patiently(async || Client::connect_with(address, options()).await)
        .await
        .unwrap()
}

/// Makes a call until the daemon is there for it. It may have been done twice then.
async fn patiently<T>(
    mut call: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let mut tries = PATIENCE.as_millis() / PAUSE.as_millis();
    loop {
        let failed = match call().await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let gone = matches!(
            failed,
            ClientError::Connect { .. } | ClientError::Lost { .. }
        ) || failed.code() == Some(Code::Unavailable);
        if !gone || tries == 0 {
            return Err(failed);
        }
        tries -= 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Done, by this call or by an earlier try of it.
pub(crate) fn done<T>(answer: Result<T, ClientError>, already: Code) {
    match answer {
        Ok(_) => {}
        Err(refused) if refused.code() == Some(already) => {}
        Err(refused) => panic!("{refused}"),
    }
}

/// Works until the process is killed.
pub(crate) async fn run(address: Address, seed: u64) {
    let mut load = Load {
        client: connected(&address).await,
        rng: Pcg64::seed_from_u64(seed),
        namespace: namespace(seed),
        made: 0,
        own: vec![],
    };
    loop {
        load.step().await;
    }
}

struct Load {
    client: Client,
    rng: Pcg64,
    namespace: String,
    made: usize,
    own: Vec<Own>,
}

/// A collection, what is inserted into it, and how much of that was acknowledged.
struct Own {
    collection: Collection,
    sequence: Sequence,
    stored: usize,
}

impl Load {
    async fn step(&mut self) {
        if self.own.len() < COLLECTIONS {
            return self.make().await;
        }
        let which = self.rng.random_range(0..self.own.len());
        let full = self.own[which].stored + AT_ONCE > TOKENS;
        match self.rng.random_range(0..100) {
            0..35 if full => self.delete(which).await,
            0..35 => {
                let tokens = self.rng.random_range(1..=AT_ONCE);
                self.own[which].insert(tokens).await;
            }
            35..65 => self.attend(which, true).await,
            65..80 => self.attend(which, false).await,
            80..88 => {
                let part = self.part(which);
                self.own[which].assert_has(part).await;
            }
            88..93 => self.fork(which).await,
            93..97 => self.truncate(which).await,
            97..99 => self.delete(which).await,
            _ => done(
                patiently(async || self.client.stats(None).await).await,
                Code::Unavailable,
            ),
        }
    }

    fn named(&mut self) -> Collection {
        self.made += 1;
        Collection {
            client: self.client.clone(),
            name: wire::CollectionRef {
                namespace: self.namespace.clone(),
                name: format!("c{}", self.made),
                generation: None,
            },
        }
    }

    async fn make(&mut self) {
        let collection = self.named();
        let shape = match self.made % 2 {
            0 => Shape::default(),
            _ => Shape {
                kv_heads: 4,
                group: 2,
                head_dim: 128,
                value_dim: 128,
                dtype: Dtype::Bf16,
                window: 0,
            },
        };
        let sequence = Sequence::random(shape, TOKENS, self.made as u64);
        let request = collection.request(shape, SMALL_INDEX);
        done(
            patiently(async || self.client.create(request.clone()).await).await,
            Code::AlreadyExists,
        );
        self.own.push(Own {
            collection,
            sequence,
            stored: 0,
        });
    }

    /// Asks for a few tokens, of which the last may be inserted by the same call.
    async fn attend(&mut self, which: usize, step: bool) {
        let own = &mut self.own[which];
        if own.stored + 1 >= TOKENS || (own.stored == 0 && !step) {
            return;
        }
        let (mode, exact) = match self.rng.random_range(0..4) {
            0 => (mode::exact(), true),
            1 => (mode::retroinfer(), false),
            _ => (mode::adaptive(0.05), false),
        };
        let stored = own.stored + usize::from(step);
        let asked = [stored as u32 - 1];
        let mut question = own.collection.question(&own.sequence, &asked, mode);
        question.insert = step.then(|| own.sequence.entry(own.stored..stored));
        let answer = own.collection.client.attend_one(question).await.unwrap();
        own.stored = stored;
        assert_eq!(answer.length as usize, stored);
        let errors = own.sequence.errors(&asked, &answer);
        // What is not exact says so itself; that it is near is promised elsewhere. Here it must be an answer.
        let limit = if exact { EXACT } else { 10.0 };
        assert!(
            errors.iter().all(|error| *error <= limit),
            "{errors:?} with {stored} tokens"
        );
    }

    /// Some of the stored tokens.
    fn part(&mut self, which: usize) -> Range<usize> {
        let stored = self.own[which].stored;
        let start = self.rng.random_range(0..=stored);
        start..self.rng.random_range(start..=stored)
    }

    /// A fork has what its source has, and goes again.
    async fn fork(&mut self, which: usize) {
        let fork = self.named();
        let own = &self.own[which];
        let request = wire::ForkRequest {
            collection: Some(own.collection.name.clone()),
            name: fork.name.name.clone(),
            length: None,
            durability: wire::Durability::Unspecified.into(),
        };
        done(
            patiently(async || self.client.fork(request.clone()).await).await,
            Code::AlreadyExists,
        );
        let fork = Own {
            collection: fork,
            sequence: own.sequence.clone(),
            stored: own.stored,
        };
        fork.assert_has(0..fork.stored).await;
        self.remove(&fork).await;
    }

    async fn truncate(&mut self, which: usize) {
        let length = self.part(which).start;
        let own = &mut self.own[which];
        let (client, name) = (&self.client, &own.collection.name);
        patiently(async || client.truncate(name.clone(), length as u32).await)
            .await
            .unwrap();
        own.stored = length;
    }

    async fn delete(&mut self, which: usize) {
        let own = self.own.swap_remove(which);
        own.assert_has(0..own.stored).await;
        self.remove(&own).await;
    }

    async fn remove(&self, own: &Own) {
        let name = &own.collection.name;
        done(
            patiently(async || self.client.delete(name.clone()).await).await,
            Code::NotFound,
        );
    }
}

impl Own {
    async fn insert(&mut self, tokens: usize) {
        let range = self.stored..self.stored + tokens;
        let entry = self.collection.entry(&self.sequence, range.clone());
        self.collection.client.insert_one(entry).await.unwrap();
        self.stored = range.end;
    }

    /// Asserts that a range of what was acknowledged is there, byte for byte.
    async fn assert_has(&self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let fetched = self
            .collection
            .fetch(range.start as u32..range.end as u32)
            .await
            .unwrap();
        assert!(
            self.sequence.equals(range.clone(), &fetched),
            "tokens {range:?} of {} are others",
            self.collection.name.name
        );
    }
}
