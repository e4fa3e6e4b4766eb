//! Attends: how long until the answer is there.

use std::time::Duration;

use wavekv::clock::Clock;
use wavekv::collection;
use wavekv::model::{
    AttendQuery, CollectionName, Dtype, Generation, Geometry, IndexParameters, LayerId, LayerKind,
    Mode, NewTokens,
};
use wavekv_client::{Client, wire};
use wavekv_kernels::Kernels;
use wavekv_storage::{Budget, Bytes};

use crate::SHAPE;
use crate::harness::sequence::floats;
use crate::harness::{Collection, Sequence, mode};
use crate::transports::Daemons;

/// Sequences of a batch.
const BATCHES: [usize; 3] = [1, 8, 64];
/// Tokens that a decode step has in its tail: few, so that the transport shows.
const FEW: usize = 64;
/// Calls of each kind, of which the quantiles are taken.
const CALLS: usize = 20_000;
/// Before they are counted.
const WARM_UP: usize = 200;
/// Calls over many tokens.
const LONG_CALLS: usize = 200;
/// Tokens of one insert.
const PIECE: usize = 8192;

/// Sorted times.
struct Times(Vec<Duration>);

impl Times {
    async fn of(client: &Client, batch: &[wire::AttendEntry], calls: usize, clock: &Clock) -> Self {
        let mut times = Vec::with_capacity(calls);
        for call in 0..WARM_UP.min(calls) + calls {
            let entries = batch.to_vec();
            let began = clock.uptime();
            let answer = client.attend(entries).await;
            let took = clock.uptime().saturating_sub(began);
            assert!(answer.unwrap().results.iter().all(Result::is_ok));
            if call >= WARM_UP.min(calls) {
                times.push(took);
            }
        }
        times.sort_unstable();
        Self(times)
    }

    /// In microseconds.
    fn quantile(&self, share: f64) -> f64 {
        let at = ((self.0.len() - 1) as f64 * share).round() as usize;
        self.0[at].as_secs_f64() * 1e6
    }
}

/// What each transport takes for calls that compute nothing and next to nothing.
pub(crate) async fn print(transports: &[&str], clock: &Clock) {
    let daemons = Daemons::start();
    println!("Round trip of an attend, us\n");
    println!("| sequences | tokens | transport | p50 | p99 | p99.9 | beyond the compute, p50 |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for sequences in BATCHES {
        for tokens in [0, FEW] {
            let sequence = Sequence::random(SHAPE, FEW, 1);
            let computes = sequences as f64 * compute(&sequence, tokens, clock);
            for (name, client) in daemons.clients(transports).await {
                let batch = batch(&client, &sequence, sequences, tokens).await;
                let calls = CALLS / sequences;
                let times = Times::of(&client, &batch, calls.max(1000), clock).await;
                println!(
                    "| {sequences} | {tokens} | {name} | {:.1} | {:.1} | {:.1} | {:.1} |",
                    times.quantile(0.5),
                    times.quantile(0.99),
                    times.quantile(0.999),
                    times.quantile(0.5) - computes,
                );
            }
        }
    }
    println!(
        "\nThe compute is that of the same attends within the benchmark's own process, one after the other on one thread.\n"
    );
}

/// What an attend over many tokens takes, and how much more than over the quickest transport.
pub(crate) async fn print_shares(transports: &[&str], longest: usize, clock: &Clock) {
    let daemons = Daemons::start();
    println!("Attend over a clustered layer, default mode, one sequence\n");
    println!("| tokens | transport | p50, us | of the quickest transport's |");
    println!("| --- | --- | --- | --- |");
    for tokens in [8192, longest] {
        let sequence = Sequence::random(SHAPE, tokens, 1);
        let mut quickest = f64::INFINITY;
        let mut rows = vec![];
        for (name, client) in daemons.clients(transports).await {
            let batch = batch(&client, &sequence, 1, tokens).await;
            let times = Times::of(&client, &batch, LONG_CALLS, clock).await;
            quickest = quickest.min(times.quantile(0.5));
            rows.push((name, times.quantile(0.5)));
            let layer = batch[0].layer.clone().unwrap();
            client.delete(layer.collection.unwrap()).await.unwrap();
        }
        for (name, took) in rows {
            println!("| {tokens} | {name} | {took:.0} | {:.2} |", took / quickest);
        }
    }
    println!();
}

/// A question to each of some collections of so many tokens.
async fn batch(
    client: &Client,
    sequence: &Sequence,
    sequences: usize,
    tokens: usize,
) -> Vec<wire::AttendEntry> {
    let mut batch = vec![];
    for _ in 0..sequences {
        let collection = Collection::unmade(client);
        let index = wire::IndexParameters::default();
        let request = wire::CreateRequest {
            durability: wire::Durability::None.into(),
            ..collection.request(SHAPE, index)
        };
        client.create(request).await.unwrap();
        for start in (0..tokens).step_by(PIECE) {
            collection
                .insert(sequence, start..tokens.min(start + PIECE))
                .await;
        }
        collection.settle().await;
        let mut question = collection.question(sequence, &[0], mode::adaptive(0.05));
        question.positions = vec![];
        batch.push(question);
    }
    batch
}

/// Microseconds of the compute of one attend, on this thread.
fn compute(sequence: &Sequence, tokens: usize, clock: &Clock) -> f64 {
    let geometry = Geometry {
        fingerprint: String::new(),
        layers: vec![LayerKind::Full],
        q_heads: (SHAPE.kv_heads * SHAPE.group) as u32,
        kv_heads: SHAPE.kv_heads as u32,
        head_dim: SHAPE.head_dim as u32,
        value_dim: SHAPE.value_dim as u32,
        dtype: Dtype::Bf16,
        scale: SHAPE.scale(),
        softcap: None,
    };
    let collection = collection::Collection::new(
        CollectionName::new("", "bench").unwrap(),
        Generation(1),
        geometry.checked().unwrap(),
        IndexParameters::DEFAULT,
        Kernels::detect(),
        Budget::new(Bytes(1 << 30)),
        None,
    );
    let collection = collection.unwrap();
    let layer = collection.layer(LayerId(0)).unwrap();
    if tokens > 0 {
        let entry = sequence.entry(0..tokens);
        let new = NewTokens {
            start: 0,
            tokens: tokens as u32,
            keys: entry.k.unwrap().data,
            values: entry.v.unwrap().data,
        };
        layer.insert(&new, u32::MAX).unwrap();
    }
    let queries = floats(Some(&sequence.queries(&[0])));
    let mut times = vec![];
    for _ in 0..CALLS / 10 {
        let query = AttendQuery {
            queries: queries.clone(),
            positions: None,
            mode: Mode::adaptive(0.05).unwrap(),
            audit: false,
        };
        let began = clock.uptime();
        let attend = layer.attend(query, tokens as u32).unwrap();
        let heads: Vec<_> = attend
            .heads()
            .map(|head| attend.head(head).unwrap())
            .collect();
        std::hint::black_box(attend.assemble(&heads));
        times.push(clock.uptime().saturating_sub(began));
    }
    times.sort_unstable();
    Times(times).quantile(0.5)
}
