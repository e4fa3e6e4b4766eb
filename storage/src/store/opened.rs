//! The files that are mapped: each once, however many collections have it, so that what of it is in memory is there and
//! counted once.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::StoreError;
use crate::Home;
use crate::segment::file::{self, Check, Label, Seal};
use crate::segment::{Columns, Schema};

/// Device and number, which no other file has while this one is mapped.
type Inode = (u64, u64);

/// By file. What nobody has any more is forgotten when there is twice as much as there was after that was done last.
#[derive(Debug, Default)]
pub(super) struct Opened {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    of: HashMap<Inode, Arc<Mutex<Slot>>>,
    most: usize,
}

/// What is known of a file; locked while it is opened, so that it is opened once.
#[derive(Debug, Default)]
struct Slot {
    mapped: Option<(Label, Seal, Weak<Columns>)>,
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) label: &'a Label,
    pub(super) schema: &'a Arc<Schema>,
    pub(super) seal: Seal,
    pub(super) check: Check,
}

impl Opened {
    /// The columns of the file at `path`, mapped now or already: those that are were checked, or written by this process.
    pub(super) fn open(
        &self,
        path: &Path,
        wanted: Wanted<'_>,
        home: &Home,
    ) -> Result<Arc<Columns>, StoreError> {
        let found = fs_err::metadata(path).map_err(|source| StoreError::io(path, source))?;
        let slot = self.slot((found.dev(), found.ino()));
        let mut slot = slot.lock();
        let Wanted {
            label,
            schema,
            seal,
            check,
        } = wanted;
        if let Some((known, sealed, columns)) = &slot.mapped
            && (known, *sealed) == (label, seal)
            && let Some(columns) = columns.upgrade()
            && columns.schema() == schema
        {
            return Ok(columns);
        }
        let columns = Arc::new(file::open(path, label, schema, seal, check, home)?);
        slot.mapped = Some((label.clone(), seal, Arc::downgrade(&columns)));
        Ok(columns)
    }

    fn slot(&self, inode: Inode) -> Arc<Mutex<Slot>> {
        let mut slots = self.slots.lock();
        if slots.of.len() >= 2 * slots.most.max(64) {
            // A slot that somebody has locked is being filled.
            slots.of.retain(|_, slot| {
                let Some(slot) = slot.try_lock() else {
                    return true;
                };
                let columns = slot.mapped.as_ref().map(|(_, _, columns)| columns);
                columns.is_some_and(|columns| columns.strong_count() > 0)
            });
            slots.most = slots.of.len();
        }
        Arc::clone(slots.of.entry(inode).or_default())
    }
}
