//! What earlier builds have written is read by this one, and answers as it did: a data directory and snapshots of every format
//! that there was, as `storage/fixtures` has them.
//!
//! `WAVEKV_UPDATE_FIXTURES=1 cargo test --workspace --test promises formats` writes those of the present formats anew, which
//! is right when a format gets a new number, and wrong when a test fails.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use prost::Message as _;
use wavekv_client::{Client, wire};
use wavekv_trace::{Dtype, compare};

use crate::harness::collection::{SMALL_INDEX, named};
use crate::harness::daemon::{command, refusal};
use crate::harness::sequence::floats;
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

const SHAPE: Shape = Shape {
    kv_heads: 1,
    group: 2,
    head_dim: 16,
    value_dim: 16,
    dtype: Dtype::Bf16,
    window: 0,
};
/// In a file of their own when they are inserted at once.
const LARGE: usize = 1030;
const MOST_BYTES: u64 = 300 << 10;
/// Of an adaptive answer on another CPU, whose scan may choose other clusters.
const ADAPTIVE: f64 = 0.1;
/// What a start of the daemon makes, or needs not.
const TRANSIENT: [&str; 4] = ["LOG", "OPTIONS", "LOCK", "wavekvd.sock"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("storage/fixtures")
}

/// The folders in `storage/fixtures` whose names begin so.
fn all(beginning: &str) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(fixtures()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(beginning)
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no fixtures of {beginning}");
    found
}

/// Copies a folder, for its user alone, and returns its bytes.
fn copy(from: &Path, to: &Path) -> u64 {
    fs_err::create_dir_all(to).unwrap();
    fs_err::set_permissions(to, PermissionsExt::from_mode(0o700)).unwrap();
    let mut bytes = 0;
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let to = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            bytes += copy(&entry.path(), &to);
        } else if !TRANSIENT
            .iter()
            .any(|transient| name.starts_with(transient))
        {
            bytes += fs_err::copy(entry.path(), &to).unwrap();
            fs_err::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    bytes
}

/// What a collection answered when the fixture was made.
struct Golden {
    name: String,
    tokens: u32,
    /// CRC-32C of K and of V.
    sums: [u32; 2],
    question: wire::AttendEntry,
    exact: wire::AttendOutcome,
    adaptive: wire::AttendOutcome,
}

impl Golden {
    async fn of(collection: &Collection, sequence: &Sequence) -> Self {
        let tokens = collection.length().await as u32;
        let question = collection.question(sequence, &[tokens - 1, tokens / 2], mode::exact());
        let ask = async |mode| {
            let question = wire::AttendEntry {
                mode: Some(mode),
                ..question.clone()
            };
            collection.client.attend_one(question).await.unwrap()
        };
        Self {
            name: collection.name.name.clone(),
            tokens,
            sums: sums(&collection.fetch(0..tokens).await.unwrap()),
            exact: ask(mode::exact()).await,
            adaptive: ask(mode::adaptive(0.05)).await,
            question,
        }
    }

    fn write(&self, folder: &Path) {
        fs_err::create_dir_all(folder).unwrap();
        let write = |kind: &str, bytes: Vec<u8>| {
            fs_err::write(folder.join(format!("{}.{kind}", self.name)), bytes).unwrap();
        };
        let [k, v] = self.sums;
        let stored = format!("{} {k:08x} {v:08x}\n", self.tokens);
        write("stored", stored.into_bytes());
        write("question", self.question.encode_to_vec());
        write("exact", self.exact.encode_to_vec());
        write("adaptive", self.adaptive.encode_to_vec());
    }

    fn read(folder: &Path, name: &str) -> Self {
        let read = |kind: &str| fs_err::read(folder.join(format!("{name}.{kind}"))).unwrap();
        let stored = String::from_utf8(read("stored")).unwrap();
        let (tokens, sums) = stored.trim().split_once(' ').unwrap();
        let (k, v) = sums.split_once(' ').unwrap();
        Self {
            name: name.to_owned(),
            tokens: tokens.parse().unwrap(),
            sums: [k, v].map(|sum| u32::from_str_radix(sum, 16).unwrap()),
            question: wire::AttendEntry::decode(&*read("question")).unwrap(),
            exact: wire::AttendOutcome::decode(&*read("exact")).unwrap(),
            adaptive: wire::AttendOutcome::decode(&*read("adaptive")).unwrap(),
        }
    }

    /// All of a fixture that a daemon of this build can open.
    fn all(folder: &Path) -> Vec<Self> {
        let entries = fs_err::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = names.filter_map(|name| Some(name.strip_suffix(".stored")?.to_owned()));
        let built = names.filter(|name| cfg!(feature = "faiss") || name != "ivf");
        let mut all: Vec<Self> = built.map(|name| Self::read(folder, &name)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(all.len() > 2, "{}", folder.display());
        all
    }

    /// Asserts that a collection answers so.
    async fn check(&self, client: &Client, name: &wire::CollectionRef) {
        let (client, name) = (client.clone(), name.clone());
        let collection = Collection { client, name };
        assert_eq!(
            collection.length().await as u32,
            self.tokens,
            "{}",
            self.name
        );
        let fetched = collection.fetch(0..self.tokens).await.unwrap();
        assert_eq!(sums(&fetched), self.sums, "{}", self.name);
        for (mode, golden, most) in [
            (mode::exact(), &self.exact, EXACT),
            (mode::adaptive(0.05), &self.adaptive, ADAPTIVE),
        ] {
            let question = wire::AttendEntry {
                layer: Some(collection.layer()),
                mode: Some(mode),
                ..self.question.clone()
            };
            let answer = collection.client.attend_one(question).await.unwrap();
            let (out, expected) = (floats(answer.out.as_ref()), floats(golden.out.as_ref()));
            let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
            let errors = compare::relative_errors(&out, &expected, SHAPE.value_dim);
            assert!(
                errors.iter().all(|error| *error < most),
                "{}: {errors:?}",
                self.name
            );
        }
    }
}

/// CRC-32C of K and of V.
fn sums(fetched: &wire::FetchOutcome) -> [u32; 2] {
    [fetched.k.as_ref(), fetched.v.as_ref()].map(|tensor| crc32c::crc32c(&tensor.unwrap().data))
}

/// A copy of a fixture's data directory, and a daemon on it.
fn daemon_on(fixture: &Path) -> (tempfile::TempDir, Daemon) {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture.join("data"), &folder.path().join("data"));
    let daemon = Daemon::within(folder.path(), &[]);
    (folder, daemon)
}

/// Makes the fixtures of the present formats.
async fn update() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = folder.path().join("snapshots");
    let setting = format!("storage.snapshot_dir={}", snapshots.display());
    let mut daemon = Daemon::within(folder.path(), &[&setting]);
    let client = daemon.client().await;
    let sequence = Sequence::random(SHAPE, LARGE + 20, 1);
    let create = async |name: &str, kind: wire::IndexKind, durability: wire::Durability| {
        let collection = Collection {
            client: client.clone(),
            name: named(name),
        };
        let index = wire::IndexParameters {
            kind: kind.into(),
            ..SMALL_INDEX
        };
        let request = wire::CreateRequest {
            durability: durability.into(),
            ttl_seconds: 315_360_000,
            ..collection.request(SHAPE, index)
        };
        client.create(request).await.unwrap();
        collection
    };
    let process = wire::Durability::Process;
    let wave = create("wave", wire::IndexKind::Wave, wire::Durability::Power).await;
    wave.insert(&sequence, 0..200).await;
    let flat = create("flat", wire::IndexKind::Flat, process).await;
    flat.insert(&sequence, 0..LARGE).await;
    let ivf = create("ivf", wire::IndexKind::Ivf, process).await;
    ivf.insert(&sequence, 0..200).await;
    wave.settle().await;
    let fork = wire::ForkRequest {
        collection: Some(wave.name.clone()),
        name: "fork".into(),
        length: Some(150),
        durability: 0,
    };
    client.fork(fork).await.unwrap();
    // What is in RocksDB's log goes to its tables at a start; some is to be in the log.
    daemon.restart();
    let client = daemon.client().await;
    flat.on(&client).insert(&sequence, LARGE..LARGE + 5).await;
    let data = tempfile::tempdir().unwrap();
    let goldens = data.path().join("golden");
    for name in ["wave", "flat", "ivf", "fork"] {
        let name = named(name);
        let client = client.clone();
        let collection = Collection { client, name };
        Golden::of(&collection, &sequence).await.write(&goldens);
    }
    let read_format = |file: &str| fs_err::read_to_string(daemon.data_dir().join(file)).unwrap();
    let format = read_format("FORMAT");
    for name in ["wave", "ivf"] {
        let taken = client.snapshot(named(name), name, |_| ()).await;
        taken.unwrap();
    }
    daemon.kill();
    let fixture = fixtures().join(format!("data-{}", format.trim()));
    let _ = fs_err::remove_dir_all(&fixture);
    copy(&daemon.data_dir(), &fixture.join("data"));
    copy(&goldens, &fixture.join("golden"));
    let manifest = fs_err::read(snapshots.join("wave/MANIFEST")).unwrap();
    let fixture = fixtures().join(format!("snapshots-{}", manifest[8]));
    let _ = fs_err::remove_dir_all(&fixture);
    copy(&snapshots, &fixture);
}

#[tokio::test]
async fn formats_of_every_build_are_read() {
    if std::env::var_os("WAVEKV_UPDATE_FIXTURES").is_some() {
        update().await;
    }
    let bytes = copy(&fixtures(), tempfile::tempdir().unwrap().path());
    assert!(bytes < MOST_BYTES, "{bytes} bytes of fixtures");
    data_directories().await;
    snapshots().await;
    what_is_damaged_or_newer().await;
}

/// Each opens, answers as it did, goes on, and answers after another start.
async fn data_directories() {
    for fixture in all("data-") {
        let goldens = Golden::all(&fixture.join("golden"));
        let (_folder, mut daemon) = daemon_on(&fixture);
        for _ in 0..2 {
            let client = daemon.client().await;
            for golden in &goldens {
                golden.check(&client, &named(&golden.name)).await;
            }
            daemon.restart();
        }
        let client = daemon.client().await;
        let sequence = Sequence::random(SHAPE, 2000, 2);
        for golden in &goldens {
            let (client, name) = (client.clone(), named(&golden.name));
            let collection = Collection { client, name };
            let tokens = collection.length().await;
            collection.insert(&sequence, tokens..2000).await;
            collection.settle().await;
            assert_eq!(collection.length().await, 2000);
            let first = collection.fetch(0..tokens as u32).await.unwrap();
            assert_eq!(sums(&first), golden.sums, "{}", golden.name);
            collection.delete().await;
        }
        if cfg!(feature = "faiss") {
            assert_eq!(daemon.collection_files(), [] as [PathBuf; 0]);
        }
    }
}

/// Each is restored, and answers as the collection did.
async fn snapshots() {
    let present = all("data-").pop().unwrap();
    for fixture in all("snapshots-") {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture, folder.path());
        let setting = format!("storage.snapshot_dir={}", folder.path().display());
        let daemon = Daemon::with(&[&setting]);
        let client = daemon.client().await;
        for snapshot in client.list_snapshots().await.unwrap() {
            assert_eq!(snapshot.refusal, "");
            if snapshot.kind() == wire::IndexKind::Ivf && !cfg!(feature = "faiss") {
                continue;
            }
            let restored = client.restore(&snapshot.snapshot, None, |_| ());
            let name = named(&restored.await.unwrap().name);
            let golden = Golden::read(&present.join("golden"), &name.name);
            golden.check(&client, &name).await;
        }
    }
}

/// Damage costs the collection that has it, by name; a newer format is refused before anything is touched.
async fn what_is_damaged_or_newer() {
    let fixture = all("data-").pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    copy(&fixture.join("data"), &data);
    let mut files = crate::harness::daemon::collection_files(&data);
    files.retain(|file| file.extension().is_some_and(|name| name == "arrow"));
    let damaged = files.first().unwrap();
    let mut bytes = fs_err::read(damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(damaged, bytes).unwrap();
    let daemon = Daemon::within(folder.path(), &[]);
    let client = daemon.client().await;
    let mut refused = vec![];
    for golden in Golden::all(&fixture.join("golden")) {
        let described = client.get(named(&golden.name)).await.unwrap();
        if described.refusal.is_empty() {
            golden.check(&client, &named(&golden.name)).await;
        } else {
            refused.push(described.refusal);
        }
    }
    let file = damaged.file_name().unwrap().to_str().unwrap();
    assert!(
        refused.len() == 1 && refused[0].contains(file),
        "{refused:?}"
    );
    drop(daemon);

    let format = fs_err::read_to_string(data.join("FORMAT")).unwrap();
    let newer: u64 = format.trim().parse::<u64>().unwrap() + 1;
    fs_err::write(data.join("FORMAT"), format!("{newer}\n")).unwrap();
    let said = refusal(command().arg("--data-dir").arg(&data)).await;
    assert!(
        said.contains(&format!("format {newer}")) && said.contains("use the build"),
        "{said}"
    );
}
