//! Verify finds nothing where nothing is wrong, whatever was stored and whatever is done meanwhile; it names what is wrong, and
//! what is found wrong is not served any more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_pcg::Pcg64;
use rustix::process::Signal;
use wavekv_client::{Client, ClientError, Code, wire};

use crate::bad_input::assert_refused;
use crate::harness::collection::{SMALL_INDEX, named};
use crate::harness::property::{self, Asked, asked};
use crate::harness::verified::{flip, verified};
use crate::harness::written::Written;
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

#[test]
fn what_is_sound_is_found_so() {
    let strategy = (asked(), 0.0..1.0, any::<bool>());
    property::holds(48, &strategy, &is_sound);
}

async fn is_sound(
    client: &Client,
    (asked, cut, none): (Asked, f64, bool),
) -> Result<(), TestCaseError> {
    let sequence = Sequence::random(asked.shape, asked.tokens, asked.seed);
    let collection = Collection::unmade(client);
    let durability = if none {
        wire::Durability::None
    } else {
        wire::Durability::Process
    };
    let index = wire::IndexParameters {
        kind: asked.kind.into(),
        ..SMALL_INDEX
    };
    let request = wire::CreateRequest {
        durability: durability.into(),
        ..collection.request(asked.shape, index)
    };
    client.create(request).await.unwrap();
    collection.insert(&sequence, 0..asked.tokens).await;
    collection.settle().await;
    let fork = collection.fork(None).await;
    let length = (asked.tokens as f64 * cut) as u32;
    let truncated = client.truncate(collection.name.clone(), length).await;
    truncated.unwrap();
    for each in [&collection, &fork] {
        let found = verified(client, Some(each.name.clone())).await.unwrap();
        prop_assert!(found.findings.is_empty(), "{:?}", found.findings);
        prop_assert_eq!(found.progress.collections_done, 1);
    }
    collection.delete().await;
    fork.delete().await;
    Ok(())
}

#[tokio::test]
async fn a_truncation_at_the_end_of_any_segment_leaves_nothing_wrong() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 320, 11);
    for length in (0..320).step_by(32) {
        let durable = wire::Durability::Process;
        let collection = Collection::create_lasting(&client, sequence.shape, durable).await;
        collection.insert(&sequence, 0..320).await;
        collection.settle().await;
        let name = collection.name.clone();
        client.truncate(name.clone(), length).await.unwrap();
        let found = verified(&client, Some(name)).await.unwrap();
        assert!(found.findings.is_empty(), "{length}: {:?}", found.findings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_meanwhile_is_not_found_wrong() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let mut writers = tokio::task::JoinSet::new();
    for seed in 0..3 {
        let written = Written::create(&client, wire::Durability::Process, seed).await;
        writers.spawn(Arc::new(written).write(client.clone(), seed));
    }
    for _ in 0..40 {
        let found = verified(&client, None).await.unwrap();
        assert!(found.findings.is_empty(), "{:?}", found.findings);
        assert_eq!(found.progress.collections_done, 3);
    }
    // None of them was refused meanwhile.
    assert!(writers.try_join_next().is_none());
}

/// Of the kinds of file that a collection has, each with a few places.
#[tokio::test]
async fn what_is_damaged_while_it_is_used_is_named_and_not_served() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape {
        head_dim: 128,
        value_dim: 128,
        ..Shape::default()
    };
    let [sequence, other] = [9, 19].map(|seed| Sequence::random(shape, 400, seed));
    let sound = Collection::create(&client, shape).await;
    sound.insert(&other, 0..400).await;
    sound.settle().await;
    let mut rng = Pcg64::seed_from_u64(4);
    for case in 0..24 {
        let before = daemon.collection_files();
        let collection = Collection::create(&client, shape).await;
        collection.insert(&sequence, 0..400).await;
        collection.settle().await;
        let mut files = daemon.collection_files();
        files.retain(|file| !before.contains(file) && is_segment(file) == (case % 2 == 0));
        let file = files.pop().unwrap();
        let bits = fs_err::metadata(&file).unwrap().len() * 8;
        flip(&file, rng.random_range(0..bits));

        let found = verified(&client, None).await.unwrap();
        let [finding] = found.findings.as_slice() else {
            panic!("{:?}", found.findings);
        };
        let named = finding.collection.as_ref().unwrap();
        assert_eq!(named.name, collection.name.name);
        assert_eq!(finding.layer, Some(0));
        assert_eq!(finding.segment.is_some(), is_segment(&file));
        assert_eq!(Path::new(&finding.file), file);
        assert!(
            finding.message.contains("expected") || finding.message.contains("damaged"),
            "{finding:?}"
        );
        assert_not_served(&collection, &sequence).await;
        sound.assert_has(&other, 400).await;
        // It says so again, and can be deleted.
        let found = verified(&client, Some(collection.name.clone())).await;
        let found = found.unwrap().findings;
        assert!(
            found.len() == 1 && found[0].message.contains("is not served"),
            "{found:?}"
        );
        collection.delete().await;
        assert!(verified(&client, None).await.unwrap().findings.is_empty());
    }
}

fn is_segment(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "arrow")
}

async fn assert_not_served(collection: &Collection, sequence: &Sequence) {
    let client = &collection.client;
    let described = client.get(collection.name.clone()).await.unwrap();
    assert!(described.refusal.contains("is not served"), "{described:?}");
    let attend = collection.question(sequence, &[1], mode::exact());
    let insert = collection.entry(sequence, 0..1);
    for answer in [
        collection.fetch(0..1).await.err(),
        client.attend_one(attend).await.err(),
        client.insert_one(insert).await.err(),
        client.truncate(collection.name.clone(), 0).await.err(),
    ] {
        assert_eq!(
            answer.as_ref().and_then(ClientError::code),
            Some(Code::DataLoss),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn whoever_shares_what_is_damaged_is_refused_with_it() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 400, 3);
    let source = Collection::create(&client, shape).await;
    source.insert(&sequence, 0..400).await;
    source.settle().await;
    // One that shares the first segments, and one that has none of them.
    let fork = source.fork(None).await;
    let short = source.fork(Some(20)).await;
    let first = daemon
        .collection_files()
        .into_iter()
        .find(|file| is_segment(file));
    flip(&first.unwrap(), 8000);
    let found = verified(&client, Some(source.name.clone())).await.unwrap();
    assert_eq!(found.findings.len(), 1);
    assert_not_served(&source, &sequence).await;
    assert_not_served(&fork, &sequence).await;
    short.assert_has(&sequence, 20).await;
    assert!(
        verified(&client, Some(short.name.clone()))
            .await
            .unwrap()
            .findings
            .is_empty()
    );
}

/// Changes a file that the daemon has mapped.
type Damage = fn(&PathBuf);

#[tokio::test]
async fn a_file_that_is_gone_or_cut_is_named() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 400, 3);
    let damages: [Damage; 2] = [
        |file| fs_err::remove_file(file).unwrap(),
        |file| {
            // Under another name first: the daemon has it mapped, and a file that is cut ends who reads it.
            let bytes = fs_err::read(file).unwrap();
            let other = file.with_extension("other");
            fs_err::write(&other, &bytes[..bytes.len() - 1]).unwrap();
            fs_err::rename(other, file).unwrap();
        },
    ];
    for damage in damages {
        let collection = Collection::create(&client, shape).await;
        collection.insert(&sequence, 0..400).await;
        collection.settle().await;
        let files = daemon.collection_files();
        let segment = files.iter().find(|file| is_segment(file)).unwrap();
        damage(segment);
        let found = verified(&client, None).await.unwrap().findings;
        assert!(
            found.len() == 1 && Path::new(&found[0].file) == segment,
            "{found:?}"
        );
        assert_not_served(&collection, &sequence).await;
        collection.delete().await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_verified() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let nothing = client.verify(Some(named("nothing"))).await.map(drop);
    assert_refused(nothing, Code::NotFound, "collection is");
    let bad = client.verify(Some(named("no such name"))).await.map(drop);
    assert_refused(bad, Code::InvalidArgument, "collection.name is");
    let found = verified(&client, None).await.unwrap();
    assert_eq!(found.progress.collections, 0);
    let collection = Collection::create(&client, Shape::default()).await;
    let other = wire::CollectionRef {
        generation: Some(1),
        ..collection.name
    };
    let other = client.verify(Some(other)).await.map(drop);
    assert_refused(other, Code::FailedPrecondition, "generation is 1");
}

/// Whoever does not listen holds nobody up: neither those who ask next for long, nor a stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_ends_with_its_caller_and_with_the_daemon() {
    let mut daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 600, 3);
    for _ in 0..20 {
        let collection = Collection::create(&client, shape).await;
        collection.insert(&sequence, 0..600).await;
    }
    for _ in 0..20 {
        loop {
            match client.verify(None).await {
                Ok(words) => break drop(words),
                Err(refused) => {
                    assert_eq!(refused.code(), Some(Code::ResourceExhausted), "{refused}");
                }
            }
        }
    }
    let silent = client.verify(None).await;
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().await.success());
    drop(silent);
}
