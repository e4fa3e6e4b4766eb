//! Collections share what is the same in them, and nothing else: a fork is its source up to where it begins, whatever is
//! done with one of the two is not seen in the other, and neither needs the other to live.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use tokio::task::JoinSet;
use wavekv_client::{Client, ClientError, wire};

use crate::harness::collection::SMALL_INDEX;
use crate::harness::property::BUILT_KINDS;
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

const TOKENS: usize = 600;
/// Nothing; in the sink, at its end; in a segment, at its end; in the tail; everything.
const LENGTHS: [u32; 8] = [0, 2, 3, 60, 128, 200, 590, TOKENS as u32];
const DURABILITIES: [wire::Durability; 3] = [
    wire::Durability::None,
    wire::Durability::Process,
    wire::Durability::Power,
];

/// A collection whose segments are all built.
async fn settled(client: &Client, sequence: &Sequence, kind: wire::IndexKind) -> Collection {
    let collection = Collection::create_as(client, sequence.shape, kind).await;
    collection.insert(sequence, 0..sequence.tokens).await;
    collection.settle().await;
    collection
}

/// Everything that a collection of `tokens` tokens answers, to the bit: its K and V too.
async fn answers(
    collection: &Collection,
    sequence: &Sequence,
    tokens: u32,
) -> Vec<wire::AttendOutcome> {
    collection.settle().await;
    assert_has(collection, sequence, tokens as usize).await;
    let mut answers = vec![];
    let Some(last) = tokens.checked_sub(1) else {
        return answers;
    };
    for mode in [mode::exact(), mode::adaptive(0.05), mode::retroinfer()] {
        let mut answer = collection.attend(sequence, &[last, last / 2], mode).await;
        answer.generation = 0;
        answers.push(answer);
    }
    let errors = sequence.errors(&[last, last / 2], &answers[0]);
    assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
    answers
}

/// Asserts that these are the tokens of a collection, and that it has no more.
async fn assert_has(collection: &Collection, sequence: &Sequence, tokens: usize) {
    assert_eq!(collection.length().await, tokens);
    collection.assert_has(sequence, tokens).await;
}

/// The first tokens of one sequence, and then those of another.
fn spliced(first: &Sequence, at: usize, then: &Sequence) -> Sequence {
    let splice = |one: &[u8], other: &[u8]| {
        let at = one.len() / first.tokens * at;
        [&one[..at], &other[at..]].concat()
    };
    Sequence {
        k: splice(&first.k, &then.k),
        v: splice(&first.v, &then.v),
        ..then.clone()
    }
}

#[tokio::test]
async fn a_fork_answers_as_its_source_did_at_that_length() {
    let mut daemon = Daemon::start();
    let sequence = Sequence::random(Shape::default(), TOKENS, 1);
    for kind in BUILT_KINDS {
        let client = daemon.client().await;
        let source = settled(&client, &sequence, *kind).await;
        let whole = answers(&source, &sequence, TOKENS as u32).await;
        let mut forks = vec![];
        for length in LENGTHS {
            let fork = source.fork(Some(length)).await;
            // The same tokens on another way.
            let cut = source.fork(None).await;
            assert_eq!(answers(&cut, &sequence, TOKENS as u32).await, whole);
            client.truncate(cut.name.clone(), length).await.unwrap();
            let expected = answers(&cut, &sequence, length).await;
            assert_eq!(answers(&fork, &sequence, length).await, expected);
            assert_eq!(answers(&source, &sequence, TOKENS as u32).await, whole);
            cut.delete().await;
            forks.push((fork, length, expected));
        }
        daemon.restart();
        let client = daemon.client().await;
        let source = source.on(&client);
        assert_eq!(answers(&source, &sequence, TOKENS as u32).await, whole);
        source.delete().await;
        for (fork, length, expected) in &forks {
            let fork = fork.on(&client);
            assert_eq!(answers(&fork, &sequence, *length).await, *expected);
            fork.insert(&sequence, *length as usize..TOKENS).await;
            assert_eq!(answers(&fork, &sequence, TOKENS as u32).await, whole);
            fork.delete().await;
        }
    }
    assert_eq!(daemon.collection_files().len(), 0);
}

#[tokio::test]
async fn a_fork_of_any_durability_has_the_tokens_of_a_source_of_any() {
    let mut daemon = Daemon::start();
    let shape = Shape::default();
    let (sequence, other) = (
        Sequence::random(shape, TOKENS, 2),
        Sequence::random(shape, TOKENS, 3),
    );
    let mut lasting = vec![];
    for source_durability in DURABILITIES {
        for durability in DURABILITIES {
            for length in LENGTHS {
                let client = daemon.client().await;
                let source = Collection::create_lasting(&client, shape, source_durability).await;
                source.insert(&sequence, 0..TOKENS).await;
                source.settle().await;
                let fork = source.fork_lasting(Some(length), durability).await;
                let described = client.get(fork.name.clone()).await.unwrap();
                assert_eq!(described.durability(), durability);
                // One goes on as it was, the other otherwise; then one goes.
                let at = length as usize;
                let truth = spliced(&sequence, at, &other);
                fork.insert(&truth, at..TOKENS).await;
                assert_has(&source, &sequence, TOKENS).await;
                source.delete().await;
                assert_has(&fork, &truth, TOKENS).await;
                fork.cluster().await;
                lasting.push((fork, truth, durability));
            }
        }
        daemon.restart();
        let client = daemon.client().await;
        for (fork, truth, durability) in lasting.drain(..) {
            let fork = fork.on(&client);
            if durability == wire::Durability::None {
                assert!(client.get(fork.name).await.is_err());
                continue;
            }
            assert_has(&fork, &truth, TOKENS).await;
            let exact = fork.attend(&truth, &[TOKENS as u32 - 1], mode::exact());
            let errors = truth.errors(&[TOKENS as u32 - 1], &exact.await);
            assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
            fork.delete().await;
        }
    }
    assert_eq!(daemon.collection_files().len(), 0);
}

/// Bytes of the files of all collections, however many names each has.
fn bytes_on_disk(daemon: &Daemon) -> u64 {
    let files = daemon.collection_files();
    let files = files.iter().map(|file| fs_err::metadata(file).unwrap());
    let files: HashMap<u64, u64> = files.map(|file| (file.ino(), file.len())).collect();
    files.values().sum()
}

/// What the daemon counts of the disk, of which it has files: the rest is rows of the catalog.
async fn disk_used(daemon: &Daemon) -> [u64; 2] {
    let client = daemon.client().await;
    // What is being built is on disk and comes to be counted.
    Collection::unmade(&client).settle().await;
    let stats = client.stats(None).await.unwrap();
    [stats.disk.unwrap().used_bytes, bytes_on_disk(daemon)]
}

#[tokio::test]
async fn what_forks_share_is_on_disk_once_and_counted_once() {
    let mut daemon = Daemon::start();
    let shape = Shape {
        head_dim: 128,
        value_dim: 128,
        ..Shape::default()
    };
    let sequence = Sequence::random(shape, TOKENS, 5);
    let client = daemon.client().await;
    let source = settled(&client, &sequence, wire::IndexKind::Wave).await;
    let [used, files] = disk_used(&daemon).await;
    let rows = used - files;
    let [first, second] = [source.fork(None).await, source.fork(Some(500)).await];
    let third = second.fork(Some(300)).await;
    // A cut segment's tokens are the only bytes that are there again.
    let [used_by_four, files_of_four] = disk_used(&daemon).await;
    assert!(files_of_four < files + files / 2, "{files} {files_of_four}");
    assert!(used_by_four - files_of_four < 4 * (rows + 2000), "{rows}");
    daemon.restart();
    assert_eq!(disk_used(&daemon).await, [used_by_four, files_of_four]);
    let client = daemon.client().await;
    first.on(&client).delete().await;
    second.on(&client).delete().await;
    third.on(&client).delete().await;
    assert_eq!(disk_used(&daemon).await, [used, files]);
    let source = source.on(&client);
    let last = source.fork(None).await;
    source.delete().await;
    let [used, files] = disk_used(&daemon).await;
    daemon.restart();
    assert_eq!(disk_used(&daemon).await, [used, files]);
    last.on(&daemon.client().await).delete().await;
    assert_eq!(disk_used(&daemon).await, [0, 0]);
}

#[tokio::test]
async fn forks_of_forks_live_when_what_they_came_from_is_gone() {
    let mut daemon = Daemon::start();
    let shape = Shape::default();
    let client = daemon.client().await;
    let mut truth = Sequence::random(shape, TOKENS, 4);
    let mut fork = settled(&client, &truth, wire::IndexKind::Wave).await;
    for generation in 0..6 {
        let at = TOKENS - 90 * (1 + generation);
        let next = fork.fork(Some(at as u32)).await;
        fork.delete().await;
        truth = spliced(
            &truth,
            at,
            &Sequence::random(shape, TOKENS, generation as u64),
        );
        next.insert(&truth, at..TOKENS).await;
        if generation % 2 == 0 {
            next.settle().await;
            daemon.restart();
        }
        fork = next.on(&daemon.client().await);
        assert_has(&fork, &truth, TOKENS).await;
    }
    fork.delete().await;
    assert_eq!(daemon.collection_files().len(), 0);
}

/// A collection of several layers, whose forks are taken while it grows.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_beside_inserts_and_clustering_has_every_layer_at_one_length() {
    const LAYERS: u32 = 3;
    let mut daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape::default();
    let source = Collection::unmade(&client);
    let request = wire::CreateRequest {
        collection: Some(source.name.clone()),
        geometry: Some(shape.geometry(LAYERS as usize)),
        index: Some(SMALL_INDEX),
        ..Default::default()
    };
    client.create(request).await.unwrap();
    let layers: Vec<_> = (0..u64::from(LAYERS))
        .map(|layer| Sequence::random(shape, TOKENS, layer))
        .collect();
    let layers = Arc::new(layers);
    let mut writers = JoinSet::new();
    for layer in 0..LAYERS {
        let (source, layers) = (source.clone(), Arc::clone(&layers));
        writers.spawn(async move {
            for start in (0..TOKENS).step_by(5) {
                let mut entry = source.entry(&layers[layer as usize], start..start + 5);
                entry.layer.as_mut().unwrap().layer = layer;
                source.client.insert_one(entry).await.unwrap();
            }
        });
    }
    let mut forks = vec![];
    while !writers.is_empty() {
        while writers.try_join_next().is_some() {}
        let fork = source.fork(None).await;
        let described = client.get(fork.name.clone()).await.unwrap();
        assert_eq!(described.layer_lengths, [described.length; LAYERS as usize]);
        if forks.len() < 30 {
            forks.push((fork, described.length));
        } else {
            fork.delete().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    daemon.restart();
    let client = daemon.client().await;
    for (fork, length) in forks.iter().filter(|(_, length)| *length > 0) {
        for layer in 0..LAYERS {
            let entry = wire::FetchEntry {
                layer: Some(wire::LayerRef {
                    collection: Some(fork.name.clone()),
                    layer,
                }),
                what: Some(wire::fetch_entry::What::Range(wire::TokenRange {
                    start: 0,
                    end: *length,
                })),
            };
            let fetched = client.fetch_one(entry).await.unwrap();
            assert!(layers[layer as usize].equals(0..*length as usize, &fetched));
        }
    }
}

/// Forks, and deletes what it forked before, until the daemon goes.
async fn fork_on(source: Collection, alive: Arc<Mutex<Vec<Collection>>>, seed: u64) {
    let mut rng = Pcg64::seed_from_u64(seed);
    loop {
        let length = rng.random_range(0..=TOKENS as u32);
        let fork = Collection::unmade(&source.client);
        let asked = fork_request(&source, &fork, Some(length));
        if !answered(source.client.fork(asked).await) {
            return;
        }
        alive.lock().push(fork);
        if rng.random_bool(0.4) {
            let gone = {
                let mut alive = alive.lock();
                let at = rng.random_range(0..alive.len());
                alive.swap_remove(at)
            };
            if !answered(source.client.delete(gone.name.clone()).await) {
                return;
            }
        }
    }
}

/// Whether the daemon lived to answer.
fn answered<T>(answer: Result<T, ClientError>) -> bool {
    match answer {
        Ok(_) => true,
        Err(ClientError::Lost { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn fork_request(source: &Collection, fork: &Collection, length: Option<u32>) -> wire::ForkRequest {
    wire::ForkRequest {
        collection: Some(source.name.clone()),
        name: fork.name.name.clone(),
        length,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_among_many_forks_leaves_each_whole_and_no_file_that_nobody_names() {
    const KILLS: usize = 6;
    let mut daemon = Daemon::start();
    let sequence = Sequence::random(Shape::default(), TOKENS, 6);
    let source = settled(&daemon.client().await, &sequence, wire::IndexKind::Wave).await;
    let mut rng = Pcg64::seed_from_u64(6);
    for kill in 0..KILLS {
        let client = daemon.client().await;
        let alive = Arc::new(Mutex::new(vec![]));
        let mut tasks = JoinSet::new();
        for task in 0..3 {
            let source = source.on(&client);
            tasks.spawn(fork_on(
                source,
                Arc::clone(&alive),
                (kill * 3 + task) as u64,
            ));
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(5..300))).await;
        daemon.kill();
        tasks.join_all().await;
        daemon.start_again();
        let client = daemon.client().await;
        let listed = client.list_all("default", "").await.unwrap();
        for fork in alive.lock().iter() {
            let named = |found: &&wire::CollectionDescription| found.name == fork.name.name;
            assert!(listed.iter().any(|found| named(&found)), "{:?}", fork.name);
        }
        for found in listed.iter().filter(|found| found.name != source.name.name) {
            assert_eq!(found.refusal, "");
            let fork = Collection {
                client: client.clone(),
                name: crate::harness::collection::named(&found.name),
            };
            assert_has(&fork, &sequence, found.length as usize).await;
            fork.delete().await;
        }
        assert_has(&source.on(&client), &sequence, TOKENS).await;
    }
    source.on(&daemon.client().await).delete().await;
    daemon.restart();
    assert_eq!(daemon.collection_files().len(), 0);
}

/// Named `name` in `namespace`, with these tokens, all clustered.
async fn loaded(client: &Client, namespace: &str, name: &str, sequence: &Sequence) -> Collection {
    let collection = Collection {
        client: client.clone(),
        name: wire::CollectionRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            generation: None,
        },
    };
    collection.make(sequence.shape, SMALL_INDEX).await;
    for start in (0..sequence.tokens).step_by(50) {
        collection.insert(sequence, start..start + 50).await;
    }
    collection.settle().await;
    collection
}

/// Bytes of all segments of a collection, and of those that others have too.
async fn shared(collection: &Collection) -> [u64; 2] {
    let name = Some(collection.name.clone());
    let stats = collection.client.stats(name).await.unwrap();
    let index = stats.index.unwrap();
    let all = index.payload_bytes + index.code_bytes + index.meta_index_bytes;
    [all, index.shared_bytes]
}

#[tokio::test]
async fn the_same_prefix_is_on_disk_once_within_a_namespace_and_again_in_another() {
    let mut daemon = Daemon::start();
    let shape = Shape {
        head_dim: 128,
        value_dim: 128,
        ..Shape::default()
    };
    let sequence = Sequence::random(shape, TOKENS, 8);
    let other = Sequence::random(shape, TOKENS, 9);
    let client = daemon.client().await;
    let one = loaded(&client, "ours", "one", &sequence).await;
    let alone = bytes_on_disk(&daemon);
    assert_eq!(shared(&one).await[1], 0);
    let same = loaded(&client, "ours", "same", &sequence).await;
    let twice = bytes_on_disk(&daemon);
    // The same up to its third segment.
    let half = loaded(&client, "ours", "half", &spliced(&sequence, 300, &other)).await;
    let thrice = bytes_on_disk(&daemon);
    let theirs = loaded(&client, "theirs", "one", &sequence).await;
    let apart = bytes_on_disk(&daemon);
    // Tails are each one's own: 2 KiB a token, of which there are fewer than 60, and the others of the insert that they
    // came with.
    let tail = (60 + 50) * 2048;
    assert!(twice - alone < tail, "{alone} {twice}");
    assert!(thrice - twice < alone * 2 / 3 + tail, "{thrice} {twice}");
    assert!(apart - thrice > alone - tail, "{apart} {thrice} {alone}");
    let told =
        async |one: &Collection, same: &Collection, half: &Collection, theirs: &Collection| {
            let [all, of_one] = shared(one).await;
            assert!(of_one > all * 4 / 5, "{of_one} of {all}");
            assert_eq!(shared(same).await, [all, of_one]);
            let of_half = shared(half).await[1];
            assert!(of_half > all / 3 && of_half < of_one, "{of_half} of {all}");
            assert_eq!(shared(theirs).await[1], 0);
            of_one + of_half
        };
    let before = told(&one, &same, &half, &theirs).await;
    let whole = client.stats(None).await.unwrap();
    assert_eq!(whole.index.unwrap().shared_bytes, before);
    let used = disk_used(&daemon).await;

    daemon.restart();
    assert_eq!(disk_used(&daemon).await, used);
    let client = daemon.client().await;
    let [one, same, half, theirs] = [one, same, half, theirs].map(|one| one.on(&client));
    assert_eq!(told(&one, &same, &half, &theirs).await, before);
    // Whoever wrote a file first goes first.
    one.delete().await;
    daemon.restart();
    let client = daemon.client().await;
    assert_has(&same.on(&client), &sequence, TOKENS).await;
    assert_has(&half.on(&client), &spliced(&sequence, 300, &other), TOKENS).await;
    assert!(shared(&same.on(&client)).await[1] > 0);
    half.on(&client).delete().await;
    assert_eq!(shared(&same.on(&client)).await[1], 0);
    // And what is left is found by its content.
    let again = loaded(&client, "ours", "again", &sequence).await;
    assert!(shared(&again).await[1] > 0);
    for gone in [&same.on(&client), &theirs.on(&client), &again] {
        gone.delete().await;
    }
    assert_eq!(disk_used(&daemon).await, [0, 0]);
}
