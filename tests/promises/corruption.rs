//! A bit that flips anywhere on disk is never an answer: it is found at the start, what it is in is refused by name, and
//! everything else is served as it was.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use wavekv_client::{Client, ClientError, Code, wire};

use crate::harness::daemon::collection_files;
use crate::harness::property::BUILT_KINDS;
use crate::harness::verified::{flip, verified};
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

/// Flips of a run, of each kind of file; `WAVEKV_FLIPS` has another number.
const FLIPS: u32 = 24;
const TOKENS: usize = 400;

fn flips() -> u32 {
    let given = std::env::var_os("WAVEKV_FLIPS");
    given.map_or(FLIPS, |flips| flips.to_str().unwrap().parse().unwrap())
}

/// A collection and what it answers.
struct Known {
    name: wire::CollectionRef,
    sequence: Sequence,
    described: wire::CollectionDescription,
    fetched: wire::FetchOutcome,
    attended: Vec<wire::AttendOutcome>,
}

impl Known {
    async fn of(collection: &Collection, sequence: &Sequence) -> Self {
        let described = collection
            .client
            .get(collection.name.clone())
            .await
            .unwrap();
        let length = described.length;
        Self {
            name: collection.name.clone(),
            fetched: collection.fetch(0..length).await.unwrap(),
            attended: attended(collection, sequence, length).await,
            sequence: sequence.clone(),
            described,
        }
    }

    fn on(&self, client: &Client) -> Collection {
        Collection {
            client: client.clone(),
            name: self.name.clone(),
        }
    }

    /// Asserts that it answers as it did or says that it does not: why not, then.
    async fn refusal(
        &self,
        client: &Client,
        lost: &[wire::CollectionDescription],
    ) -> Option<String> {
        let collection = self.on(client);
        let described = match client.get(self.name.clone()).await {
            Ok(described) => described,
            Err(error) => {
                assert_eq!(error.code(), Some(Code::NotFound), "{error}");
                let generation = self.described.generation;
                let lost = lost.iter().find(|lost| lost.generation == generation);
                return Some(lost.unwrap().refusal.clone());
            }
        };
        if described.refusal.is_empty() {
            assert_eq!(described, self.described);
            let length = described.length;
            assert!(
                collection.fetch(0..length).await.unwrap() == self.fetched,
                "other bytes"
            );
            let attended = attended(&collection, &self.sequence, length).await;
            assert!(attended == self.attended, "other answers");
            return None;
        }
        assert_eq!(described.generation, self.described.generation);
        let question = collection.question(&self.sequence, &[1], mode::exact());
        for answer in [
            collection.fetch(0..1).await.err(),
            client.attend_one(question).await.err(),
        ] {
            let Some(ClientError::Entry { code, message, .. }) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!((code, &message), (Code::DataLoss, &described.refusal));
        }
        Some(described.refusal)
    }
}

async fn attended(
    collection: &Collection,
    sequence: &Sequence,
    length: u32,
) -> Vec<wire::AttendOutcome> {
    let mut answers = vec![];
    for mode in [mode::exact(), mode::adaptive(0.05)] {
        answers.push(
            collection
                .attend(sequence, &[length - 1, length / 2], mode)
                .await,
        );
    }
    answers
}

/// A data directory with everything that one may have: every kind of index, segments, tokens inline and in files, forks, and a
/// catalog with tables and a log.
struct Template {
    folder: tempfile::TempDir,
    known: Vec<Known>,
}

impl Template {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::within(folder.path(), &[]);
        let shape = Shape {
            head_dim: 64,
            value_dim: 64,
            ..Shape::default()
        };
        let mut made = vec![];
        for (kind, seed) in BUILT_KINDS.iter().zip(1..) {
            let sequence = Sequence::random(shape, TOKENS, seed);
            let collection = Collection::create_as(&daemon.client().await, shape, *kind).await;
            collection.insert(&sequence, 0..250).await;
            collection.settle().await;
            // What is in the log goes to tables.
            daemon.restart();
            let collection = collection.on(&daemon.client().await);
            for start in (250..TOKENS).step_by(15) {
                collection.insert(&sequence, start..start + 15).await;
            }
            collection.settle().await;
            let fork = collection.fork(Some(300)).await;
            made.extend([(collection, sequence.clone()), (fork, sequence)]);
        }
        let client = daemon.client().await;
        let mut known = vec![];
        for (collection, sequence) in made {
            known.push(Known::of(&collection.on(&client), &sequence).await);
        }
        daemon.kill();
        Self { folder, known }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The files of the catalog whose names are so.
    fn catalog_files(&self, named: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.data_dir().join("catalog")).unwrap();
        let files = entries.map(|entry| entry.unwrap()).filter(|entry| {
            entry.metadata().unwrap().len() > 0 && named(Path::new(&entry.file_name()))
        });
        files.map(|entry| entry.path()).collect()
    }

    /// Starts a daemon on a copy in which a bit of a file is flipped; what it says where it refuses to start.
    fn start_flipped(&self, file: &Path, bit: u64) -> Result<(Daemon, tempfile::TempDir), String> {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.data_dir(), &copy.path().join("data"));
        let relative = file.strip_prefix(self.folder.path()).unwrap();
        flip(&copy.path().join(relative), bit);
        Ok((Daemon::try_within(copy.path(), &[])?, copy))
    }

    /// Tries a property of flips anywhere in some files.
    fn holds(&self, files: &[PathBuf], property: &impl AsyncFn(&Self, &Path, u64)) {
        let runtime = Runtime::new().unwrap();
        let config = Config {
            cases: flips(),
            failure_persistence: None,
            // The case that fails is as good as any smaller one.
            max_shrink_iters: 0,
            ..Config::default()
        };
        let flip = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
        let tried = TestRunner::new(config).run(&flip, |(file, bit)| {
            let file = file.get(files);
            let bits = fs_err::metadata(file).unwrap().len() * 8;
            runtime.block_on(property(self, file, bit.index(bits as usize) as u64));
            Ok(())
        });
        tried.unwrap();
    }
}

/// A file with several names becomes several files.
fn copy_folder(from: &Path, to: &Path) {
    let mode = fs_err::metadata(from).unwrap().permissions();
    fs_err::create_dir(to).unwrap();
    fs_err::set_permissions(to, mode).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&from, &to);
        } else if entry.file_type().unwrap().is_file() {
            fs_err::copy(from, to).unwrap();
        }
    }
}

async fn lost(client: &Client) -> Vec<wire::CollectionDescription> {
    client.list_all("lost", "").await.unwrap()
}

/// Segments and tokens of large inserts.
async fn a_flip_in_a_file(template: &Template, file: &Path, bit: u64) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let generation = file
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    let generation = u64::from_str_radix(generation, 16).unwrap();
    let (daemon, _copy) = template.start_flipped(file, bit).unwrap();
    let client = daemon.client().await;
    for known in &template.known {
        let refusal = known.refusal(&client, &[]).await;
        let expected = known.described.generation == generation;
        assert_eq!(
            refusal.is_some(),
            expected,
            "bit {bit} of {}: {refusal:?}",
            file.display()
        );
        if let Some(refusal) = refusal {
            assert!(refusal.contains(name), "{refusal}");
            let found = verified(&client, Some(known.name.clone())).await.unwrap();
            assert_eq!(found.findings[0].message, refusal);
        }
    }
}

/// RocksDB's files.
async fn a_flip_in_the_catalog(template: &Template, file: &Path, bit: u64) {
    let (daemon, _copy) = match template.start_flipped(file, bit) {
        Ok(started) => started,
        Err(said) => {
            assert!(
                said.contains("exit status: 1") && said.contains("catalog "),
                "{said}"
            );
            return;
        }
    };
    let client = daemon.client().await;
    let lost = lost(&client).await;
    let mut refused = 0;
    for known in &template.known {
        let refusal = known.refusal(&client, &lost).await;
        refused += usize::from(refusal.is_some());
    }
    let all = client.list_all("*", "").await.unwrap();
    assert_eq!(all.len(), template.known.len());
    // What is refused can be deleted, and everything else goes on.
    for collection in all.iter().filter(|all| !all.refusal.is_empty()) {
        let name = wire::CollectionRef {
            namespace: collection.namespace.clone(),
            name: collection.name.clone(),
            generation: Some(collection.generation),
        };
        client.delete(name).await.unwrap();
    }
    let left = client.list_all("*", "").await.unwrap();
    assert_eq!(left.len(), template.known.len() - refused);
}

#[test]
fn a_flipped_bit_of_any_file_is_found_and_everything_else_is_served() {
    let template = Runtime::new().unwrap().block_on(Template::new());
    let (segments, runs): (Vec<_>, Vec<_>) = collection_files(&template.data_dir())
        .into_iter()
        .partition(|file| file.extension().is_some());
    template.holds(&segments, &a_flip_in_a_file);
    template.holds(&runs, &a_flip_in_a_file);
}

#[test]
fn a_flipped_bit_of_the_catalog_is_never_a_wrong_answer() {
    let template = Runtime::new().unwrap().block_on(Template::new());
    let kinds: [fn(&Path) -> bool; 4] = [
        |name| name.extension().is_some_and(|extension| extension == "sst"),
        |name| name.extension().is_some_and(|extension| extension == "log"),
        |name| begins(name, &["MANIFEST"]),
        |name| begins(name, &["CURRENT", "IDENTITY", "OPTIONS"]),
    ];
    for named in kinds {
        template.holds(&template.catalog_files(named), &a_flip_in_the_catalog);
    }
}

fn begins(name: &Path, with: &[&str]) -> bool {
    let name = name.to_str().unwrap();
    with.iter().any(|with| name.starts_with(with))
}
