//! Segments of the same content, written once: the catalog knows them by a digest, and whoever seals one that is there
//! already gets another name of its file.
//!
//! The digest is of the columns, their positions and a *scope*, so that contents of two scopes never meet: who shares with
//! whom shows in how long a seal takes and how much disk it needs, and must not tell one tenant what another has. A digest
//! only finds a candidate. Its bytes are compared before it is taken, so that neither a collision nor a file that has decayed
//! is ever taken for what was sealed.

use std::sync::Arc;

use super::assembly::{hold_all, share, sync_file, sync_folder};
use super::layer::StoredLayer;
use super::opened::Wanted;
use super::space::FileId;
use super::{Durability, SegmentName, StoreError};
use crate::catalog::keys::{self, Family, Key};
use crate::catalog::rows::{Digest, Origin, SegmentRow};
use crate::segment::file::{Check, Seal};
use crate::segment::{Columns, Element};

/// Changed with what a digest is made of.
const KIND: &[u8] = b"wavekv segment content 1";

/// A file of the wanted content that has a name in the layer's folder now.
#[derive(Debug)]
pub(super) struct Twin {
    pub(super) written_as: Origin,
    pub(super) seal: Seal,
    /// Whose it is too.
    pub(super) generation: u64,
    pub(super) columns: Arc<Columns>,
}

/// What segments of one content and one scope have in common.
pub(super) fn digest(scope: &str, name: SegmentName, meaning: u32, columns: &Columns) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: &[u8]| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    text(KIND);
    text(scope.as_bytes());
    for number in [name.start, name.end, meaning] {
        text(&number.to_le_bytes());
    }
    let schema = columns.schema();
    for (column, id) in schema.columns().iter().zip(schema.ids()) {
        text(column.name.as_bytes());
        text(&[kind(column.element)]);
        text(&column.row_elements.to_le_bytes());
        text(columns.column(id).as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn kind(element: Element) -> u8 {
    match element {
        Element::U8 => 0,
        Element::I8 => 1,
        Element::F16 => 2,
        Element::Bf16 => 3,
        Element::U32 => 4,
        Element::F32 => 5,
        Element::U64 => 6,
    }
}

impl StoredLayer {
    /// Takes a file of this content that another collection has, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog cannot be read; a candidate that cannot be had is none.
    pub(super) fn twin(
        &self,
        name: SegmentName,
        meaning: u32,
        digest: &Digest,
        columns: &Columns,
    ) -> Result<Option<Twin>, StoreError> {
        let mut candidates = vec![];
        let catalog = &self.collection.shared.catalog;
        catalog.visit(Family::Contents, digest, |key, _| {
            candidates.extend(keys::content(key));
            Ok::<(), StoreError>(())
        })??;
        for (generation, layer, number) in candidates {
            let value = catalog.get(&Key::segment(generation, layer, number))?;
            let row = value.and_then(|value| SegmentRow::decode(&value));
            let Some(row) = row.filter(|row| row.digest.as_ref() == Some(digest)) else {
                continue;
            };
            let place = (generation, layer, number);
            let own = self.collection.generation;
            // A collection has a file once, or its bytes would count twice.
            if generation == own || self.space().has(own, FileId::of_segment(&row, place)) {
                continue;
            }
            match self.linked(name, meaning, place, &row, columns) {
                Ok(Some(twin)) => return Ok(Some(twin)),
                Ok(None) | Err(_) => {
                    // Gone meanwhile, or not what it was: this segment gets a file of its own.
                    let _ = fs_err::remove_file(self.segment_path(name.number));
                }
            }
        }
        Ok(None)
    }

    fn linked(
        &self,
        name: SegmentName,
        meaning: u32,
        (generation, layer, number): (u64, u32, u64),
        row: &SegmentRow,
        columns: &Columns,
    ) -> Result<Option<Twin>, StoreError> {
        let shared = &self.collection.shared;
        let folder = super::collection::folder_of(&shared.folder, generation);
        let from = super::layer::segment_path(&folder, layer, number);
        let path = self.segment_path(name.number);
        share(&from, &path)?;
        let Some(written_as) = row.origin.clone().or_else(|| {
            let collection = shared.collection_name(generation)?;
            Some(Origin {
                collection,
                generation,
                layer,
                segment: number,
            })
        }) else {
            return Ok(None);
        };
        let label = self.label(name, meaning, Some(&written_as));
        let wanted = Wanted {
            label: &label,
            schema: columns.schema(),
            seal: row.seal,
            check: Check::Frame,
        };
        let mapped = shared.opened.open(&path, wanted, self.collection.home())?;
        if !same(&mapped, columns)? {
            return Ok(None);
        }
        if self.collection.durability == Durability::Power {
            sync_file("share.sync", &path)?;
            sync_folder("share.sync", self.collection.folder())?;
        }
        Ok(Some(Twin {
            written_as,
            seal: row.seal,
            generation,
            columns: mapped,
        }))
    }
}

/// Whether all columns have the same bytes.
fn same(mapped: &Columns, columns: &Columns) -> Result<bool, StoreError> {
    let _held = hold_all(mapped)?;
    let mut ids = columns.schema().ids();
    Ok(mapped.schema() == columns.schema()
        && ids.all(|id| mapped.column(id).as_bytes() == columns.column(id).as_bytes()))
}
