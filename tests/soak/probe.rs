//! How long calls take on an otherwise idle daemon: the same questions over each transport.

use std::time::Duration;

use wavekv::clock::Clock;
use wavekv_client::Client;

use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

const TOKENS: usize = 2000;
const CALLS: usize = 1000;

/// Of one transport.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) transport: &'static str,
    /// Of 50, 99 and 99.9 of a hundred calls.
    pub(crate) percentiles: [Duration; 3],
}

/// Asks over both transports, and leaves nothing behind.
pub(crate) async fn run(daemon: &Daemon) -> [Latencies; 2] {
    let shape = Shape::default();
    let sequence = Sequence::random(shape, TOKENS, 1);
    let grpc = daemon.client().await;
    let collection = Collection::create(&grpc, shape).await;
    collection.insert(&sequence, 0..TOKENS).await;
    collection.settle().await;
    let shm = daemon.shm_client_with(crate::load::options()).await;
    let latencies = [
        measured("gRPC", &grpc, &collection, &sequence).await,
        measured("shared memory", &shm, &collection, &sequence).await,
    ];
    collection.delete().await;
    latencies
}

async fn measured(
    transport: &'static str,
    client: &Client,
    collection: &Collection,
    sequence: &Sequence,
) -> Latencies {
    let (collection, clock) = (collection.on(client), Clock::start());
    let mut times = Vec::with_capacity(CALLS);
    for call in 0..CALLS {
        let asked = [(TOKENS - 1 - call % 64) as u32];
        let start = clock.uptime();
        collection
            .attend(sequence, &asked, mode::adaptive(0.05))
            .await;
        times.push(clock.uptime().saturating_sub(start));
    }
    times.sort_unstable();
    let at = |share: f64| times[((CALLS - 1) as f64 * share) as usize];
    Latencies {
        transport,
        percentiles: [at(0.5), at(0.99), at(0.999)],
    }
}
