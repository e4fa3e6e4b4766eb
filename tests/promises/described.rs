//! A collection is explained as it is: its clusters, what queries read of its heads, where its bytes are, who shares them.

use wavekv_client::Code::NotFound;
use wavekv_client::wire;

use crate::bad_input::assert_refused;
use crate::harness::collection::named;
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

const TOKENS: usize = 600;

async fn described(collection: &Collection) -> wire::DescribeResponse {
    let name = collection.name.clone();
    collection.client.describe(name).await.unwrap()
}

async fn settled(daemon: &Daemon, kind: wire::IndexKind) -> (Collection, Sequence) {
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), TOKENS, 3);
    let collection = Collection::create_as(&client, sequence.shape, kind).await;
    collection.insert(&sequence, 0..TOKENS).await;
    collection.settle().await;
    (collection, sequence)
}

#[tokio::test]
async fn histograms_count_every_cluster_once() {
    let daemon = Daemon::start();
    let (collection, _) = settled(&daemon, wire::IndexKind::Wave).await;
    let stats = collection.client.stats(Some(collection.name.clone()));
    let index = stats.await.unwrap().index.unwrap();
    let told = described(&collection).await;
    let [layer] = &*told.layers else {
        panic!("{told:?}");
    };
    for histogram in [&layer.cluster_sizes, &layer.key_spreads] {
        let histogram = histogram.as_ref().unwrap();
        assert_eq!(histogram.counts.iter().sum::<u64>(), index.clusters);
        assert_eq!(histogram.edges.len(), histogram.counts.len());
    }
    // Every head has all clustered tokens.
    let heads = Shape::default().kv_heads as u64;
    let mean = layer.cluster_sizes.as_ref().unwrap().mean;
    let expected = (index.clustered_tokens * heads) as f64 / index.clusters as f64;
    assert!((mean - expected).abs() < 1e-6, "{mean} {expected}");
    // Beside the mean one they are about 1.
    let spread = layer.key_spreads.as_ref().unwrap().mean;
    assert!((0.1..10.0).contains(&spread), "{spread}");

    let (flat, _) = settled(&daemon, wire::IndexKind::Flat).await;
    let told = described(&flat).await;
    let sizes = told.layers[0].cluster_sizes.clone().unwrap();
    assert!(sizes.counts.iter().all(|count| *count == 0) && sizes.mean == 0.0);
    let unknown = daemon.client().await.describe(named("nobody")).await;
    assert_refused(unknown, NotFound, "collection is default/nobody");
}

#[tokio::test]
async fn what_queries_read_is_told_of_every_head_and_exact_answers_say_nothing() {
    let daemon = Daemon::start();
    let (collection, sequence) = settled(&daemon, wire::IndexKind::Wave).await;
    let last = TOKENS as u32 - 1;
    collection.attend(&sequence, &[last], mode::exact()).await;
    assert!(described(&collection).await.layers[0].heads.is_empty());
    let (mut read, mut bytes) = (0.0, 0.0);
    for token in [last, last - 1, last - 2, last - 3] {
        let answer = collection
            .attend(&sequence, &[token], mode::budget(0.3))
            .await;
        let report = answer.report.unwrap();
        let tokens = report.steady_tokens + report.retrieved_tokens + report.coded_tokens;
        read += tokens as f64 / report.visible_tokens as f64 / 4.0;
        bytes += report.bytes_read as f64 / report.full_bytes as f64 / 4.0;
    }
    let told = described(&collection).await;
    let heads = &told.layers[0].heads;
    assert_eq!(heads.len(), Shape::default().kv_heads);
    assert!(heads.iter().all(|head| head.answers == 4), "{heads:?}");
    // The report is of all heads together, which see as much as each other.
    let mean = |of: fn(&wire::HeadUse) -> f64| heads.iter().map(of).sum::<f64>() / 2.0;
    assert!(
        (mean(|head| head.token_share) - read).abs() < 1e-6,
        "{heads:?} {read}"
    );
    assert!(
        (mean(|head| head.byte_share) - bytes).abs() < 1e-6,
        "{heads:?} {bytes}"
    );
    assert!(
        heads
            .iter()
            .all(|head| (0.0..=1.0).contains(&head.exact_mass))
    );
}

#[tokio::test]
async fn tiers_and_sharers_are_those_of_its_bytes() {
    let daemon = Daemon::start();
    let (collection, _) = settled(&daemon, wire::IndexKind::Wave).await;
    let alone = described(&collection).await;
    assert!(alone.sharers.is_empty() && alone.all_sharers == 0);
    let tiers = alone.tiers.unwrap();
    let disk = collection.client.stats(Some(collection.name.clone()));
    let disk = disk.await.unwrap().disk.unwrap().used_bytes;
    assert_eq!(tiers.disk_bytes, disk);
    assert!(tiers.steady_bytes > 0 && tiers.meta_index_bytes > 0);

    let fork = collection.fork(None).await;
    let small = collection.fork(Some(130)).await;
    let told = described(&collection).await;
    let names: Vec<String> = told
        .sharers
        .iter()
        .map(|sharer| sharer.collection.clone().unwrap().name)
        .collect();
    assert_eq!(names, [fork.name.name.clone(), small.name.name.clone()]);
    assert_eq!(told.all_sharers, 2);
    assert!(told.sharers[0].bytes > told.sharers[1].bytes && told.sharers[1].bytes > 0);
    small.delete().await;
    assert_eq!(described(&fork).await.all_sharers, 1);

    let volatile = Collection::create_lasting(
        &daemon.client().await,
        Shape::default(),
        wire::Durability::None,
    )
    .await;
    let sequence = Sequence::random(Shape::default(), TOKENS, 4);
    volatile.insert(&sequence, 0..TOKENS).await;
    volatile.settle().await;
    let tiers = described(&volatile).await.tiers.unwrap();
    assert!(tiers.disk_bytes == 0 && tiers.block_bytes > 0, "{tiers:?}");
}
