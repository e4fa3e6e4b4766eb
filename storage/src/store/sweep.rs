//! What a start finds: how much every collection has stored, and what a process left behind when it was stopped between a
//! file and its row, which goes. Of a collection with a row that cannot be read, everything stays.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;

use super::collection::{self, folder_of};
use super::layer::segment_path;
use super::run::path_of;
use super::space::FileId;
use super::{Shared, StoreError};
use crate::catalog::keys::{self, Family, Key};
use crate::catalog::rows::{SegmentRow, TailContent, TailRow};
use crate::faults::point;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files, or folders of deleted collections.
    pub removed: u64,
    /// Of the files.
    pub bytes: u64,
}

/// Keeps the names of one collection's files in memory at a time, and who has each file first.
pub(super) fn sweep(shared: &Shared) -> Result<Swept, StoreError> {
    // With the bytes of their rows.
    let mut generations = HashMap::new();
    collection::visit(shared, |generation, row| {
        let bytes = Key::collection(generation).len() + row.map_or(0, <[u8]>::len);
        generations.insert(generation, bytes as u64);
    })?;
    let known: HashSet<OsString> = generations
        .keys()
        .filter_map(|generation| name(&folder_of(&shared.folder, *generation)))
        .collect();
    let mut swept = Swept::default();
    for (path, file_name) in entries(&shared.folder)? {
        let remove = || point("sweep.remove").and_then(|()| fs_err::remove_dir_all(&path));
        if !known.contains(&file_name) && remove().is_ok() {
            swept.removed += 1;
        }
    }
    let mut first_of = HashMap::new();
    for collection in generations {
        sweep_collection(shared, collection, &mut swept, &mut first_of)?;
    }
    Ok(swept)
}

fn sweep_collection(
    shared: &Shared,
    (generation, row_bytes): (u64, u64),
    swept: &mut Swept,
    first_of: &mut HashMap<FileId, u64>,
) -> Result<(), StoreError> {
    let folder = folder_of(&shared.folder, generation);
    let prefix = keys::of_collection(generation);
    let mut named = HashSet::new();
    let mut files: Vec<(FileId, u64)> = vec![];
    let mut stored = row_bytes;
    let mut unread = false;
    let see_segment = |key: &[u8], value: &[u8]| -> Result<(), StoreError> {
        stored += (key.len() + value.len()) as u64;
        let row = keys::segment(key).zip(SegmentRow::decode(value));
        unread |= row.is_none();
        if let Some(((layer, segment), row)) = row {
            named.extend(name(&segment_path(&folder, layer, segment)));
            let file = FileId::of_segment(&row, (generation, layer, segment));
            files.push((file, row.seal.bytes));
            stored += keys::content_bytes(row.digest.as_ref());
        }
        Ok(())
    };
    let segments = shared.catalog.visit(Family::Segments, &prefix, see_segment);
    let see_tail = |key: &[u8], value: &[u8]| -> Result<(), StoreError> {
        stored += (key.len() + value.len()) as u64;
        let row = TailRow::decode(value);
        unread |= row.is_none();
        if let Some(row) = row
            && let TailContent::File { number, .. } = row.content
        {
            files.push((FileId::Tail(number), row.stored_bytes()));
            named.extend(name(&path_of(&folder, number)));
        }
        Ok(())
    };
    let tails = shared.catalog.visit(Family::Tails, &prefix, see_tail);
    unread |= segments.is_err() || tails.is_err();
    stored += files.iter().map(|(_, bytes)| bytes).sum::<u64>();
    for (path, file_name) in entries(&folder)? {
        if named.contains(&file_name) {
            continue;
        }
        let bytes = fs_err::metadata(&path).map_or(0, |found| found.len());
        if unread {
            // It may be that of a row that cannot be read.
            stored += bytes;
            continue;
        }
        let removed = point("sweep.remove").and_then(|()| fs_err::remove_file(&path));
        if removed.is_ok() {
            swept.removed += 1;
            swept.bytes += bytes;
        }
    }
    shared.space.count(generation, stored);
    for (file, bytes) in files {
        let first = *first_of.entry(file).or_insert(generation);
        if first != generation {
            shared.space.found_shared(file, bytes, [first, generation]);
        }
    }
    Ok(())
}

/// Paths and names in a folder; none when there is no such folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<(std::path::PathBuf, OsString)>, StoreError> {
    let failed = |source| StoreError::io(folder, source);
    let found = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        found => found.map_err(failed)?,
    };
    found
        .map(|entry| entry.map(|entry| (entry.path(), entry.file_name())))
        .collect::<Result<_, _>>()
        .map_err(failed)
}

fn name(path: &Path) -> Option<OsString> {
    path.file_name().map(OsString::from)
}
