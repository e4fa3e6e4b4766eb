//! From a file to columns that are used in place.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fs_err::File;

use super::parse::Found;
use super::parse::parse;
use super::verify::checked;
use super::{FileError, Label, Seal};
use crate::Home;
use crate::residence::{Mapping, PagedFile, ResidenceError};
use crate::segment::columns::{Content, Filled};
use crate::segment::{Columns, Schema};

/// Whether [`open`] reads the file to compare its checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// All of it is read once.
    Checksums,
    /// For a file that this process has just written: only its frame is read.
    Frame,
}

/// Maps the segment file at `path`, which must bear `label`, have the columns of `schema` and be the one that `seal` was
/// made of. No copy of it is made; what of it is in memory is counted in `home`.
///
/// # Errors
/// [`FileError`] saying what of it is not as expected.
pub fn open(
    path: &Path,
    label: &Label,
    schema: &Arc<Schema>,
    seal: Seal,
    wanted: Check,
    home: &Home,
) -> Result<Columns, FileError> {
    let mapping = map(path, seal)?;
    let found = match wanted {
        Check::Checksums => checked(path, &mapping, label, schema, seal)?,
        Check::Frame => parse(path, mapping.bytes(), label, schema)?,
    };
    let kept = kept(schema, &found);
    let file = PagedFile::new(path, mapping, &kept, home);
    let file = file.map_err(|error| unread(path, error))?;
    let filled = found.into_iter().map(|found| Filled {
        rows: found.rows,
        content: Content::Mapped {
            file: Arc::clone(&file),
            range: found.range,
        },
    });
    Ok(Columns::sealed(Arc::clone(schema), filled.collect()))
}

/// What of a file stays in memory: the columns that do.
fn kept(schema: &Schema, found: &[Found]) -> Vec<Range<usize>> {
    let columns = schema.columns().iter().zip(found);
    let kept = columns.filter(|(column, _)| !column.paged);
    kept.map(|(_, found)| found.range.clone()).collect()
}

fn unread(path: &Path, error: ResidenceError) -> FileError {
    let source = match error {
        ResidenceError::Read { source, .. } => source,
        ResidenceError::NoRoom(refused) => std::io::Error::other(refused),
    };
    FileError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Maps a file of the length that it was sealed with: a shorter one would end the daemon where it is read.
pub(super) fn map(path: &Path, seal: Seal) -> Result<Mapping, FileError> {
    let failed = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let got = file.metadata().map_err(failed)?.len();
    if got != seal.bytes {
        return Err(FileError::Length {
            path: path.to_owned(),
            got,
            expected: seal.bytes,
        });
    }
    Mapping::of(&file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::{FORMAT, Sync, verify, write};
    use super::*;
    use crate::segment::{Column, ColumnId, Element, SegmentBuilder};
    use crate::{Budget, Bytes, Residence};

    type Spoil = fn(&mut Label);

    const ROWS: [u32; 3] = [5, 0, 3];

    fn schema() -> Arc<Schema> {
        let column = |name, element, row_elements| Column {
            name,
            element,
            row_elements,
            paged: name == "wide",
        };
        let columns = vec![
            column("wide", Element::Bf16, 24),
            column("none", Element::F32, 2),
            column("narrow", Element::U32, 1),
        ];
        Arc::new(Schema::new(columns).unwrap())
    }

    fn label() -> Label {
        Label {
            collection: "default/chat".into(),
            generation: 7,
            layer: 2,
            segment: 9,
            start: 4,
            end: 9,
            meaning: 1,
        }
    }

    fn columns() -> Columns {
        let budget = Budget::new(Bytes(1 << 20));
        let mut builder = SegmentBuilder::new(schema());
        for (id, rows) in ROWS.into_iter().enumerate() {
            let buffer = builder
                .allocate(ColumnId(id as u16), rows, &budget)
                .unwrap();
            for (at, byte) in buffer.as_bytes_mut().iter_mut().enumerate() {
                *byte = (at * 7 + id) as u8;
            }
        }
        builder.seal().unwrap()
    }

    fn home() -> Home {
        let budget = Budget::new(Bytes(1 << 20));
        Home::new(&Residence::new(&budget, std::thread::yield_now))
    }

    struct Written {
        _folder: tempfile::TempDir,
        path: PathBuf,
        seal: Seal,
    }

    impl Written {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("segment.arrow");
            let seal = write(&path, &label(), &columns(), Sync::Device).unwrap();
            Self {
                _folder: folder,
                path,
                seal,
            }
        }

        fn open(&self) -> Result<Columns, FileError> {
            open(
                &self.path,
                &label(),
                &schema(),
                self.seal,
                Check::Checksums,
                &home(),
            )
        }
    }

    #[test]
    fn what_was_written_is_mapped_in_place() {
        let written = Written::new();
        let (before, after) = (columns(), written.open().unwrap());
        assert!(after.is_mapped() && after.footprint() == Bytes(0));
        for (id, rows) in ROWS.into_iter().enumerate() {
            let id = ColumnId(id as u16);
            assert_eq!(after.rows(id), rows);
            assert_eq!(after.column(id).as_bytes(), before.column(id).as_bytes());
            assert_eq!(after.column(id).as_bytes().as_ptr().align_offset(64), 0);
        }
        assert_eq!(
            after.column(ColumnId(2)).as_u32(),
            before.column(ColumnId(2)).as_u32()
        );
    }

    #[test]
    fn a_file_that_is_verified_is_read_whole_and_named_where_it_differs() {
        let written = Written::new();
        let verified = |stop| {
            let mut read = 0;
            let mut see = |bytes| {
                read += bytes;
                stop
            };
            let end = verify(&written.path, &label(), &schema(), written.seal, &mut see);
            (end, read)
        };
        let go_on = ControlFlow::Continue(());
        let (end, read) = verified(go_on);
        assert!(end.unwrap().is_continue() && read == written.seal.bytes);
        let (end, _) = verified(ControlFlow::Break(()));
        assert!(end.unwrap().is_break());

        let whole = fs_err::read(&written.path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs_err::write(&written.path, bytes).unwrap();
            assert!(verified(go_on).0.is_err(), "byte {at}");
        }
        let wide = columns().column(ColumnId(0)).as_bytes().to_vec();
        let at = whole.windows(wide.len()).position(|part| part == wide);
        let mut bytes = whole.clone();
        bytes[at.unwrap()] ^= 1;
        fs_err::write(&written.path, bytes).unwrap();
        let refused = verified(go_on).0.unwrap_err();
        assert_eq!(refused.column(), Some("wide"), "{refused}");
        fs_err::write(&written.path, &whole[1..]).unwrap();
        let refused = verified(go_on).0.unwrap_err();
        assert!(matches!(refused, FileError::Length { .. }), "{refused}");
    }

    #[test]
    fn a_file_is_its_users_alone_and_leaves_no_temporary_one() {
        let written = Written::new();
        let found = fs_err::metadata(&written.path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        assert_eq!(found.len(), written.seal.bytes);
        let folder = written.path.parent().unwrap();
        assert_eq!(fs_err::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn the_same_columns_give_the_same_bytes() {
        let (one, two) = (Written::new(), Written::new());
        assert_eq!(one.seal, two.seal);
        assert_eq!(
            fs_err::read(&one.path).unwrap(),
            fs_err::read(&two.path).unwrap()
        );
    }

    #[test]
    fn every_byte_that_changes_is_noticed() {
        let written = Written::new();
        let whole = fs_err::read(&written.path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs_err::write(&written.path, bytes).unwrap();
            assert!(written.open().is_err(), "byte {at}");
        }
        let mut bytes = whole.clone();
        let wide = columns().column(ColumnId(0)).as_bytes().to_vec();
        let at = whole
            .windows(wide.len())
            .position(|window| window == wide)
            .unwrap();
        bytes[at + 1] ^= 4;
        fs_err::write(&written.path, bytes).unwrap();
        let refused = written.open().unwrap_err().to_string();
        assert!(refused.contains("checksum of column \"wide\""), "{refused}");
    }

    #[test]
    fn a_file_of_another_length_is_not_mapped() {
        let written = Written::new();
        let whole = fs_err::read(&written.path).unwrap();
        for len in [0, 1, whole.len() / 2, whole.len() - 1, whole.len() + 1] {
            let mut bytes = whole.clone();
            bytes.resize(len, 0);
            fs_err::write(&written.path, bytes).unwrap();
            let refused = written.open().unwrap_err();
            assert!(matches!(refused, FileError::Length { .. }), "{refused}");
        }
        fs_err::remove_file(&written.path).unwrap();
        assert!(matches!(written.open(), Err(FileError::Io { .. })));
    }

    #[test]
    fn a_newer_format_is_refused_by_its_number() {
        let written = Written::new();
        let whole = fs_err::read(&written.path).unwrap();
        let (key, version) = (b"wavekv.format", FORMAT.to_string().into_bytes());
        let mut bytes = whole.clone();
        let places: Vec<usize> = (0..whole.len() - key.len())
            .filter(|at| whole[*at..].starts_with(key))
            .collect();
        // In the schema and in the footer; a key stands after its value's place in the table, the value near it.
        for place in places {
            let near = place.saturating_sub(32)..(place + 64).min(whole.len());
            let value = near.clone().find(|at| {
                bytes[*at..].starts_with(&version) && bytes[at - 4..*at] == [1, 0, 0, 0]
            });
            bytes[value.unwrap()] = b'2';
        }
        fs_err::write(&written.path, bytes).unwrap();
        let refused = written.open().unwrap_err();
        assert!(
            matches!(refused, FileError::Newer { got: 2, .. }),
            "{refused}"
        );
    }

    #[test]
    fn another_segment_in_its_place_is_refused_by_what_differs() {
        let written = Written::new();
        let others: [(&str, Spoil); 7] = [
            ("wavekv.collection", |label| label.collection.push('x')),
            ("wavekv.generation", |label| label.generation += 1),
            ("wavekv.layer", |label| label.layer += 1),
            ("wavekv.segment", |label| label.segment += 1),
            ("wavekv.start", |label| label.start += 1),
            ("wavekv.end", |label| label.end += 1),
            ("wavekv.meaning", |label| label.meaning += 1),
        ];
        for (named, spoil) in others {
            let mut other = label();
            spoil(&mut other);
            let opened = open(
                &written.path,
                &other,
                &schema(),
                written.seal,
                Check::Frame,
                &home(),
            );
            match opened {
                Err(FileError::Label { key, .. }) => assert_eq!(key, named),
                other => panic!("{named}: {other:?}"),
            }
        }
    }

    #[test]
    fn another_schema_is_refused_by_its_column() {
        let written = Written::new();
        let mut others = schema().columns().to_vec();
        others[2].element = Element::F32;
        let other = Arc::new(Schema::new(others).unwrap());
        let refused = open(
            &written.path,
            &label(),
            &other,
            written.seal,
            Check::Frame,
            &home(),
        );
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("column \"narrow\""), "{refused}");
    }

    proptest! {
        #[test]
        fn no_content_of_a_file_is_more_than_a_refusal(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let written = Written::new();
            let whole = fs_err::read(&written.path).unwrap();
            let mut bytes = whole.clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            fs_err::write(&written.path, &bytes).unwrap();
            prop_assert_eq!(written.open().is_ok(), bytes == whole);
            // What a checksum would have refused before must not be trusted either.
            let _ = open(&written.path, &label(), &schema(), written.seal, Check::Frame, &home());
        }
    }
}
