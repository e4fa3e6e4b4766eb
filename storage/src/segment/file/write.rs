//! From columns in memory to a file that is whole or not there.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::frame::{ALIGNMENT, Frame, aligned};
use super::types::arrow_schema;
use super::{FileError, Label, Seal, Sync};
use crate::faults::{file_synced, folder_synced, point, renamed};
use crate::segment::Columns;

/// Writes `columns` to `path`, first under the same name with `.tmp` after it, and returns what the file is known by.
///
/// # Errors
/// [`FileError::Io`]; nothing is at `path` then, and the temporary file is removed where the system lets it be.
pub fn write(path: &Path, label: &Label, columns: &Columns, sync: Sync) -> Result<Seal, FileError> {
    let temporary = temporary(path);
    let failed = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let written = write_to(&temporary, label, columns, sync).and_then(|seal| {
        point("segment.rename")?;
        fs_err::rename(&temporary, path)?;
        renamed(&temporary, path);
        Ok(seal)
    });
    let seal = written.map_err(|source| {
        // It may not have been made; a start of the daemon removes what is left.
        let _ = fs_err::remove_file(&temporary);
        failed(source)
    })?;
    if sync == Sync::Device {
        sync_folder(path).map_err(|source| {
            // It has its name already.
            let _ = fs_err::remove_file(path);
            failed(source)
        })?;
    }
    Ok(seal)
}

/// How many bytes the file of these columns has.
pub fn length(label: &Label, columns: &Columns) -> u64 {
    // Every checksum is written in as many digits.
    let checksums = vec![0; columns.schema().columns().len()];
    Frame::of(columns, &arrow_schema(columns.schema(), label, &checksums)).bytes()
}

/// The name of a file while it is written.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Makes the names in the folder of `path` outlive a loss of power.
fn sync_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    point("segment.folder")?;
    File::open(folder)?.sync_all()?;
    folder_synced(folder);
    Ok(())
}

fn write_to(path: &Path, label: &Label, columns: &Columns, sync: Sync) -> io::Result<Seal> {
    let schema = columns.schema();
    let checksums: Vec<u32> = schema
        .ids()
        .map(|id| crc32c::crc32c(columns.column(id).as_bytes()))
        .collect();
    let frame = Frame::of(columns, &arrow_schema(schema, label, &checksums));
    point("segment.create")?;
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&frame.head)?;
    let mut whole = crc32c::crc32c(&frame.head);
    for ((id, place), checksum) in schema.ids().zip(&frame.places).zip(checksums) {
        let mut offsets = [0; ALIGNMENT];
        offsets[8..16].copy_from_slice(&u64::from(place.rows).to_le_bytes());
        point("segment.write")?;
        file.write_all(&offsets)?;
        file.write_all(columns.column(id).as_bytes())?;
        let padding = &[0; ALIGNMENT][..aligned(place.len) - place.len];
        file.write_all(padding)?;
        whole = crc32c::crc32c_append(whole, &offsets);
        whole = crc32c::crc32c_combine(whole, checksum, place.len);
        whole = crc32c::crc32c_append(whole, padding);
    }
    file.write_all(&frame.tail)?;
    if sync == Sync::Device {
        point("segment.sync")?;
        file.sync_all()?;
        file_synced(path);
    }
    Ok(Seal {
        bytes: frame.bytes(),
        checksum: crc32c::crc32c_append(whole, &frame.tail),
    })
}
