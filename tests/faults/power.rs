//! The power goes: the process is killed, and all that was not synced is taken away.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use tokio::task::JoinSet;
use wavekv_client::{Client, ClientError, Code, wire};

use crate::faulty::Faulty;
use crate::harness::written::Written;

const LOSSES: usize = 12;

/// What the device has.
#[derive(Default)]
pub(crate) struct Synced {
    /// Bytes of files.
    files: HashMap<PathBuf, u64>,
    /// Names in folders.
    entries: HashSet<PathBuf>,
}

impl Synced {
    /// What the daemon has noted; a last line that was cut by its end says nothing.
    pub(crate) fn read(notes: &Path) -> Self {
        let mut synced = Self::default();
        let text = fs_err::read_to_string(notes).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let (verb, rest) = line.split_once(' ').unwrap();
            match verb {
                "file" => {
                    let (bytes, path) = rest.split_once(' ').unwrap();
                    synced.files.insert(path.into(), bytes.parse().unwrap());
                }
                "entry" => drop(synced.entries.insert(rest.into())),
                "renamed" => {
                    let (from, to) = rest.split_once(' ').unwrap();
                    synced.rename(Path::new(from), Path::new(to));
                }
                "linked" => {
                    let (from, to) = rest.split_once(' ').unwrap();
                    let bytes = synced.files.get(Path::new(from)).copied();
                    synced.files.extend(bytes.map(|bytes| (to.into(), bytes)));
                }
                other => panic!("{other}"),
            }
        }
        synced
    }

    /// Of a file, or of all that is in a folder; the new name is not in its own folder there yet.
    fn rename(&mut self, from: &Path, to: &Path) {
        let renamed = |path: &PathBuf| {
            let rest = path.strip_prefix(from).ok()?;
            // A file itself has no rest, and no separator after it.
            Some(to.components().chain(rest.components()).collect())
        };
        let files = std::mem::take(&mut self.files);
        let files = files.into_iter();
        self.files = files
            .map(|(path, bytes)| (renamed(&path).unwrap_or(path), bytes))
            .collect();
        let within: Vec<PathBuf> = self.entries.iter().filter_map(renamed).collect();
        self.entries.retain(|path| !path.starts_with(from));
        self.entries
            .extend(within.into_iter().filter(|path| path != to));
    }

    /// Takes away what the device does not have: of a name that it lacks, the file or folder, or some bytes of the file where
    /// the name happened to get there.
    pub(crate) fn lose(&self, daemon: &Faulty, rng: &mut Pcg64) {
        let paths = [daemon.collection_files(), daemon.snapshot_files()].concat();
        let inode = |path: &PathBuf| fs_err::metadata(path).unwrap().ino();
        // Of a file that has several names, the device has as much as was synced by any of them.
        let mut files: HashMap<u64, u64> = HashMap::new();
        for path in &paths {
            let bytes = self.files.get(path).copied().unwrap_or(0);
            let known = files.entry(inode(path)).or_default();
            *known = bytes.max(*known);
        }
        for path in paths {
            if !self.entries.contains(&path) && rng.random_bool(0.5) {
                fs_err::remove_file(path).unwrap();
            } else {
                cut(&path, files[&inode(&path)]);
            }
        }
        for folder in daemon.snapshot_folders() {
            if !self.entries.contains(&folder) && rng.random_bool(0.5) {
                fs_err::remove_dir_all(folder).unwrap();
            }
        }
        for entry in fs_err::read_dir(daemon.data_dir().join("catalog")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|name| name == "log") {
                cut(&path, self.files.get(&path).copied().unwrap_or(0));
            }
        }
    }
}

fn cut(path: &Path, bytes: u64) {
    let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
    if file.metadata().unwrap().len() > bytes {
        file.set_len(bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_of_power_costs_nothing_that_was_promised_to_outlive_it() {
    let mut rng = Pcg64::seed_from_u64(5);
    let (mut refused, mut shortened) = (0, 0);
    for loss in 0..LOSSES {
        let mut daemon = Faulty::noting();
        let client = daemon.client().await;
        let mut written = vec![];
        for (seed, durability) in [
            (0, wire::Durability::Power),
            (1, wire::Durability::Process),
            (2, wire::Durability::Power),
            (3, wire::Durability::Process),
        ] {
            written.push((
                durability,
                Arc::new(Written::create(&client, durability, seed).await),
            ));
        }
        let mut writers = JoinSet::new();
        for (seed, (_, written)) in written.iter().enumerate() {
            let seed = (loss * 4 + seed) as u64;
            writers.spawn(Arc::clone(written).write(client.clone(), seed));
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..900))).await;
        daemon.kill();
        writers.join_all().await;
        Synced::read(&daemon.folder().join("synced")).lose(&daemon, &mut rng);
        daemon = daemon.start_again();
        let client = daemon.client().await;
        for (durability, mut written) in written {
            let written = Arc::get_mut(&mut written).unwrap();
            if durability == wire::Durability::Power {
                written.check(&client).await;
            } else {
                match served_rightly(written, &client).await {
                    None => refused += 1,
                    Some(length) => {
                        shortened += usize::from(length < written.known.lock().acknowledged);
                    }
                }
            }
        }
    }
    // Else nothing was taken away.
    assert!(refused + shortened > 0);
}

/// The tokens of a collection that was not promised to outlive this: those that are served are those that were stored;
/// none where it is refused by its name.
async fn served_rightly(written: &mut Written, client: &Client) -> Option<usize> {
    let collection = &mut written.collection;
    collection.client = client.clone();
    let described = match client.get(collection.name.clone()).await {
        Ok(described) => described,
        // Its creation was not synced either.
        Err(ClientError::Refused { code, .. }) => {
            assert_eq!(code, Code::NotFound);
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    if described.refusal.is_empty() {
        let length = described.length as usize;
        collection.assert_has(&written.sequence, length).await;
        return Some(length);
    }
    assert!(described.refusal.contains(&collection.name.name));
    let Err(ClientError::Entry { code, .. }) = collection.fetch(0..1).await else {
        panic!("served: {}", described.refusal);
    };
    assert_eq!(code, Code::DataLoss);
    None
}
