//! Forks, snapshots and restores, and the sweep of a start: the process ends, the disk fails and the power goes where they
//! share files, copy them and remove them. Whatever comes, a snapshot is there whole or not at all, and nothing is left over.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use wavekv_client::{Client, ClientError, Code, wire};

use crate::crash::{nothing_is_left_over, rounds};
use crate::faulty::Faulty;
use crate::harness::collection::named;
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Sequence, Shape};
use crate::power::Synced;

/// In segments, and some that no segment has.
const TOKENS: usize = 400;
const LOSSES: usize = 8;

/// A collection, and what is known of the snapshots and copies that are made of it.
struct Copied {
    source: Collection,
    sequence: Sequence,
    /// Of which the caller was told.
    made: BTreeSet<String>,
    /// That it asked for, or asked to have removed, and was not told.
    asked: Option<String>,
    number: usize,
}

impl Copied {
    async fn create(client: &Client) -> Self {
        let sequence = Sequence::random(Shape::default(), TOKENS, 11);
        // A fork that is to outlive a loss of power has the device take its files.
        let durability = wire::Durability::Process;
        let source = Collection::create_lasting(client, Shape::default(), durability).await;
        source.insert(&sequence, 0..TOKENS).await;
        source.settle().await;
        Self {
            source,
            sequence,
            made: BTreeSet::new(),
            asked: None,
            number: 0,
        }
    }

    /// One of each: a fork, a snapshot, a collection of it, and their end, each until it is done. Refusals go to `see`.
    async fn step(
        &mut self,
        client: &Client,
        mut see: impl FnMut(&ClientError) -> bool,
    ) -> Result<(), ClientError> {
        self.number += 1;
        let name = format!("s{}", self.number);
        let fork = wire::ForkRequest {
            collection: Some(self.source.name.clone()),
            name: format!("fork-{name}"),
            length: Some(TOKENS as u32 - 30),
            durability: wire::Durability::Power.into(),
        };
        insist(&mut see, async || client.fork(fork.clone()).await).await?;
        let forked = named(&fork.name);
        insist(&mut see, async || client.delete(forked.clone()).await).await?;

        self.asked = Some(name.clone());
        let of = &self.source.name;
        insist(&mut see, async || {
            client.snapshot(of.clone(), &name, |_| ()).await
        })
        .await?;
        self.made.extend(self.asked.take());
        let restored = named(&format!("restored-{name}"));
        insist(&mut see, async || {
            let name = Some(restored.clone());
            client
                .restore(&format!("s{}", self.number), name, |_| ())
                .await
        })
        .await?;
        let collection = Collection {
            client: client.clone(),
            name: restored.clone(),
        };
        collection.assert_has(&self.sequence, TOKENS).await;
        insist(&mut see, async || client.delete(restored.clone()).await).await?;
        if let Some(first) = self.made.first().cloned().filter(|_| self.made.len() > 2) {
            self.asked = self.made.take(&first);
            insist(&mut see, async || client.delete_snapshot(&first).await).await?;
            self.asked = None;
        }
        Ok(())
    }

    /// Asserts that every snapshot is there of which that was said, and is whole; and of collections, the source and whole ones.
    async fn check(&mut self, daemon: &Faulty, client: &Client) {
        let listed = client.list_snapshots().await.unwrap();
        let names: BTreeSet<String> = listed
            .iter()
            .map(|listed| listed.snapshot.clone())
            .collect();
        let may_be: BTreeSet<String> = self.made.iter().chain(&self.asked).cloned().collect();
        assert!(
            self.made.is_subset(&names) && names.is_subset(&may_be),
            "{names:?}: {may_be:?}"
        );
        let folders = daemon.snapshot_folders();
        let folders = folders
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap());
        assert_eq!(folders.map(str::to_owned).collect::<BTreeSet<_>>(), names);
        for name in &names {
            let collection = Collection::unmade(client);
            let of = Some(collection.name.clone());
            client.restore(name, of, |_| ()).await.unwrap();
            assert_eq!(collection.length().await, TOKENS);
            collection.assert_has(&self.sequence, TOKENS).await;
            collection.delete().await;
        }
        self.made = names;
        self.asked = None;
        self.source.client = client.clone();
        for described in client.list_all("*", "").await.unwrap() {
            assert_eq!(described.refusal, "");
            if described.name == self.source.name.name {
                continue;
            }
            let collection = Collection {
                client: client.clone(),
                name: named(&described.name),
            };
            assert!(described.length as usize >= TOKENS - 30, "{described:?}");
            collection
                .assert_has(&self.sequence, described.length as usize)
                .await;
            collection.delete().await;
        }
        self.source.assert_has(&self.sequence, TOKENS).await;
    }
}

/// Does `call` until it succeeds, or `see` says that its refusal is the last.
async fn insist<T>(
    see: &mut impl FnMut(&ClientError) -> bool,
    mut call: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<(), ClientError> {
    loop {
        match call().await {
            Ok(_) => return Ok(()),
            Err(error) if see(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where files are shared, copied or removed while calls come.
fn points() -> impl Iterator<Item = String> {
    let points = Faulty::points().into_iter();
    points.filter(|point| {
        Faulty::is_of_sharing(point) && point != "sweep.remove" && point != "snapshot.copy"
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_there_whole_or_not_at_all_wherever_the_process_ends() {
    let mut rng = Pcg64::seed_from_u64(12);
    let mut daemon = Faulty::start();
    let client = daemon.client().await;
    let mut copied = Copied::create(&client).await;
    for point in points() {
        for _ in 0..2 * rounds() {
            let client = daemon.client().await;
            let passes = rng.random_range(0..6);
            daemon.set(&point, &format!("{passes}*off->1*return(KILL)"));
            let lost = async {
                loop {
                    if let Err(error) = copied.step(&client, |_| false).await {
                        return error;
                    }
                }
            };
            let lost = tokio::time::timeout(Duration::from_mins(2), lost).await;
            let lost = lost.unwrap_or_else(|_| panic!("nobody comes to {point}"));
            assert!(matches!(lost, ClientError::Lost { .. }), "{point}: {lost}");
            let ended = until(A_MINUTE, async || daemon.has_ended().then_some(())).await;
            assert!(ended.is_some(), "{point}:\n{}", daemon.log());
            daemon = daemon.start_again();
            let client = daemon.client().await;
            copied.check(&daemon, &client).await;
        }
    }
    let client = daemon.client().await;
    for name in copied.made {
        client.delete_snapshot(&name).await.unwrap();
    }
    assert_eq!(daemon.snapshot_folders(), [] as [PathBuf; 0]);
    nothing_is_left_over(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_where_files_are_shared_is_said_leaves_nothing_and_passes() {
    let mut daemon = Faulty::start();
    let mut copied = Copied::create(&daemon.client().await).await;
    for point in points() {
        for (action, code) in [
            ("EIO", Code::Unavailable),
            ("ENOSPC", Code::ResourceExhausted),
        ] {
            for passes in [0, 1, 2, 5] {
                let client = daemon.client().await;
                daemon.set(&point, &format!("{passes}*off->1*return({action})"));
                let mut refusals = vec![];
                // Until somebody has come there, who comes once in a step at least.
                for _ in 0..=passes {
                    if refusals.is_empty() {
                        let see = |error: &ClientError| {
                            refusals.extend(error.code());
                            refusals.len() < 3
                        };
                        copied.step(&client, see).await.unwrap();
                    }
                }
                daemon.set(&point, "off");
                // That something is not removed goes unnoticed until the next start.
                if point == "snapshot.remove" {
                    assert_eq!(refusals, [], "{point}");
                    daemon = daemon.start_again();
                    copied.source.client = daemon.client().await;
                } else {
                    assert_eq!(refusals, [code], "{point} {action}");
                }
                let client = daemon.client().await;
                copied.check(&daemon, &client).await;
            }
        }
    }
    for name in &copied.made {
        let client = daemon.client().await;
        client.delete_snapshot(name).await.unwrap();
    }
    nothing_is_left_over(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_to_another_file_system_that_ends_or_fails_leaves_nothing() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let mut daemon = Faulty::start_with_snapshots(elsewhere.path().join("snapshots"));
    let client = daemon.client().await;
    let mut copied = Copied::create(&client).await;
    for action in ["return(EIO)", "return(ENOSPC)", "return(KILL)"] {
        for passes in 0..4 {
            let client = daemon.client().await;
            daemon.set("snapshot.copy", &format!("{passes}*off->1*{action}"));
            let stepped = copied.step(&client, |_| false).await;
            let error = stepped.unwrap_err();
            if action == "return(KILL)" {
                assert!(matches!(error, ClientError::Lost { .. }), "{error}");
                daemon.ended().await.unwrap();
                daemon = daemon.start_again();
            }
            daemon.set("snapshot.copy", "off");
            let client = daemon.client().await;
            copied.check(&daemon, &client).await;
        }
    }
    nothing_is_left_over(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_ends_or_fails_is_done_by_the_next_start() {
    let mut daemon = Faulty::start();
    let client = daemon.client().await;
    let mut copied = Copied::create(&client).await;
    copied.step(&client, |_| false).await.unwrap();
    let files = daemon.collection_files();
    for action in ["return(EIO)", "return(ENOSPC)", "return(KILL)"] {
        for passes in 0..3 {
            daemon.kill();
            // What a process leaves behind: a file, a collection, a snapshot.
            let own = files.first().unwrap().parent().unwrap();
            fs_err::write(own.join("tail-00000000000000ff"), "left over").unwrap();
            let left = [
                daemon.data_dir().join("collections/00000000000000ff"),
                daemon.snapshot_dir().join(".s9.0.part"),
            ];
            for folder in &left {
                fs_err::create_dir_all(folder).unwrap();
                fs_err::write(folder.join("tokens"), "left over").unwrap();
            }
            daemon = daemon.begin_again();
            daemon.set("sweep.remove", &format!("{passes}*off->{action}"));
            daemon.say("go");
            if action == "return(KILL)" {
                daemon.ended().await.unwrap();
            } else {
                let client = daemon.client().await;
                copied
                    .source
                    .on(&client)
                    .assert_has(&copied.sequence, TOKENS)
                    .await;
                assert_ne!(
                    (daemon.collection_files(), left[1].exists()),
                    (files.clone(), false)
                );
            }
            daemon = daemon.start_again();
            let client = daemon.client().await;
            copied.check(&daemon, &client).await;
            assert_eq!(daemon.collection_files(), files);
            assert!(left.iter().all(|folder| !folder.exists()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_of_power_costs_no_snapshot_of_which_it_was_said_that_it_is_made() {
    let mut rng = Pcg64::seed_from_u64(13);
    let mut kept = 0;
    for _ in 0..LOSSES {
        let mut daemon = Faulty::noting();
        let client = daemon.client().await;
        let mut copied = Copied::create(&client).await;
        let stepping = async { while copied.step(&client, |_| false).await.is_ok() {} };
        let pause = Duration::from_millis(rng.random_range(50..900));
        let _ = tokio::time::timeout(pause, stepping).await;
        daemon.kill();
        Synced::read(&daemon.folder().join("synced")).lose(&daemon, &mut rng);
        daemon = daemon.start_again();
        let client = daemon.client().await;
        let listed = client.list_snapshots().await.unwrap();
        for name in &copied.made {
            let listed = listed.iter().find(|listed| listed.snapshot == *name);
            let listed = listed.unwrap_or_else(|| panic!("{name} is lost"));
            assert_eq!(listed.refusal, "");
            kept += 1;
        }
        for listed in listed {
            let collection = Collection::unmade(&client);
            let of = Some(collection.name.clone());
            let restored = client.restore(&listed.snapshot, of, |_| ()).await;
            assert_eq!(restored.unwrap().length as usize, TOKENS);
            collection.assert_has(&copied.sequence, TOKENS).await;
        }
    }
    assert!(kept > 0);
}
