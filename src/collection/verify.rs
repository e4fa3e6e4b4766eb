//! Verify: whether a collection is what it was, asked while it is used.
//!
//! What is on disk is read again from the device and compared with its checksums; the rows of the catalog with one another and
//! with what is in memory; and of every segment, as queries read it, what the index says of its tokens with the tokens
//! themselves. A layer is compared as it is at one moment, for which its inserts wait; files are read afterwards, and one that
//! was replaced meanwhile is nobody's concern.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use wavekv_kernels::Run;
use wavekv_storage::Patience;
use wavekv_storage::segment::Columns;
use wavekv_storage::store::{FoundRun, LayerRows, StoreError, StoredLayer};

use crate::collection::layer::{Layer, Snapshot};
use crate::collection::{Collection, record};
use crate::index::segment::{HeadCodes, ReadError};
use crate::index::verify::{Broken, HeadCheck, check_in_order, check_rows};
use crate::index::{Segment, schema};
use crate::model::{Error, ErrorKind, KvHead, LayerId, SegmentId, TokenRange};

/// Something that is not as it was, or not as it must be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Where, as far as it is in one place.
    pub layer: Option<LayerId>,
    /// The segment.
    pub segment: Option<SegmentId>,
    /// The KV head of it.
    pub kv_head: Option<KvHead>,
    /// The file.
    pub file: Option<PathBuf>,
    /// The column of the segment.
    pub column: Option<&'static str>,
    /// What was found and what was expected.
    pub error: Error,
    /// What others share that have the segment too.
    pub shared: Option<Arc<Columns>>,
}

/// Who hears of a verification.
pub trait Report {
    /// So many bytes were looked at; whether to go on.
    fn looked_at(&mut self, bytes: u64) -> ControlFlow<()>;
    /// Something was found.
    fn found(&mut self, finding: Finding);
}

impl Finding {
    fn of(error: Error) -> Self {
        Self {
            layer: None,
            segment: None,
            kv_head: None,
            file: None,
            column: None,
            error,
            shared: None,
        }
    }

    fn of_store(error: StoreError) -> Self {
        Self {
            file: error.file().map(PathBuf::from),
            column: error.column(),
            ..Self::of(error.into())
        }
    }

    fn of_index(broken: &Broken) -> Self {
        let column = Some(broken.column);
        let message = format!("the index is not that of its tokens: {broken}");
        Self {
            column,
            ..Self::of(Error::new(ErrorKind::DataLoss, message))
        }
    }
}

impl Collection {
    /// Bytes that [`Collection::verify`] will look at, as it is now.
    pub fn verified_bytes(&self) -> u64 {
        let layers = self.layers.iter().map(|layer| {
            let segments = layer.snapshot();
            let segments = segments.segments().iter();
            segments
                .map(|segment| segment.columns().size().0)
                .sum::<u64>()
        });
        layers.sum::<u64>() + self.disk_bytes()
    }

    /// Whether any segment is one of these, which may be another's too.
    pub fn has_columns(&self, columns: &Arc<Columns>) -> bool {
        let mut snapshots = self.layers.iter().map(Layer::snapshot);
        snapshots.any(|snapshot| {
            let mut segments = snapshot.segments().iter();
            segments.any(|segment| Arc::ptr_eq(segment.columns(), columns))
        })
    }

    /// Looks at all of it, and tells what is not as it was; breaks off when it is told to. Call it where it may take long.
    pub fn verify(&self, report: &mut dyn Report) -> ControlFlow<()> {
        if let Some(refusal) = &self.refusal {
            report.found(Finding::of(refusal.clone()));
            return ControlFlow::Continue(());
        }
        if let Err(error) = self.verify_record() {
            report.found(Finding::of(error));
        }
        for (layer, number) in self.layers.iter().zip(0..) {
            let mut of_layer = OfLayer {
                layer: LayerId(number),
                report: &mut *report,
            };
            layer.verify(&mut of_layer)?;
        }
        ControlFlow::Continue(())
    }

    fn verify_record(&self) -> Result<(), Error> {
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        let recorded = match stored.record() {
            Err(StoreError::Catalog(_)) if self.is_deleted() => return Ok(()),
            recorded => recorded?,
        };
        let recorded = record::decode(stored.name(), &recorded, "the catalog")?;
        let same = recorded.name == self.name
            && recorded.geometry == self.fixed.geometry
            && recorded.parameters == self.fixed.parameters
            && recorded.retention == self.retention;
        if same {
            return Ok(());
        }
        let message = format!(
            "the record of collection {} is another than it was opened with",
            self.name
        );
        Err(Error::new(ErrorKind::DataLoss, message))
    }

    fn is_deleted(&self) -> bool {
        self.stored
            .as_ref()
            .is_some_and(|stored| stored.is_deleted())
    }
}

/// Tells what is found of one layer.
struct OfLayer<'a> {
    layer: LayerId,
    report: &'a mut dyn Report,
}

impl OfLayer<'_> {
    fn found(&mut self, finding: Finding) {
        self.report.found(Finding {
            layer: Some(self.layer),
            ..finding
        });
    }

    fn damaged(&mut self, message: String) {
        self.found(Finding::of(Error::new(ErrorKind::DataLoss, message)));
    }
}

impl Layer {
    fn verify(&self, report: &mut OfLayer<'_>) -> ControlFlow<()> {
        let Some(stored) = &self.stored else {
            let snapshot = self.snapshot();
            for segment in snapshot.segments() {
                self.verify_index(segment, report)?;
            }
            return ControlFlow::Continue(());
        };
        let (snapshot, rows) = {
            let _turn = self.writer();
            (self.snapshot(), stored.rows())
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                report.found(Finding::of_store(error));
                return ControlFlow::Continue(());
            }
        };
        if let Some(message) = self.unlike(&snapshot, &rows) {
            if !stored.is_deleted() {
                report.damaged(message);
            }
            return ControlFlow::Continue(());
        }
        // In order of position, both of them.
        for (found, segment) in rows.segments.iter().zip(snapshot.segments()) {
            let mut see = |bytes| report.report.looked_at(bytes);
            match stored.verify_segment(found, schema::VERSION, &self.fixed.schema, &mut see) {
                Ok(read) => {
                    read?;
                    self.verify_index(segment, report)?;
                }
                Err(error) if self.is_current(|| stored.still_has_segment(found)) => {
                    report.found(Finding {
                        segment: Some(segment.id()),
                        shared: Some(Arc::clone(segment.columns())),
                        ..Finding::of_store(error)
                    });
                }
                Err(_) => {}
            }
        }
        for run in &rows.runs {
            self.verify_run(stored, run, report)?;
        }
        ControlFlow::Continue(())
    }

    fn verify_run(
        &self,
        stored: &StoredLayer,
        run: &FoundRun,
        report: &mut OfLayer<'_>,
    ) -> ControlFlow<()> {
        let mut see = |bytes| report.report.looked_at(bytes);
        match stored.verify_run(run, &mut see) {
            Ok(read) => read?,
            Err(error) if self.is_current(|| stored.still_has_run(run)) => {
                report.found(Finding::of_store(error));
            }
            Err(_) => {}
        }
        ControlFlow::Continue(())
    }

    /// Whether something is still of the layer; what cannot be told is.
    fn is_current(&self, has: impl FnOnce() -> Result<bool, StoreError>) -> bool {
        let _turn = self.writer();
        has().unwrap_or(true)
    }

    /// What of the catalog is not what is in memory.
    fn unlike(&self, snapshot: &Snapshot, rows: &LayerRows) -> Option<String> {
        let named = |id: u64, range: TokenRange| format!("segment {id} of {range}");
        let in_memory = snapshot.segments().iter();
        let in_memory = in_memory.map(|segment| named(segment.id().0, segment.range()));
        let in_catalog = rows.segments.iter().map(|found| {
            let name = found.name;
            named(name.number, TokenRange::new(name.start, name.end))
        });
        let (in_memory, in_catalog): (Vec<_>, Vec<_>) = (in_memory.collect(), in_catalog.collect());
        if in_memory != in_catalog {
            let other = |of: &[String], than: &[String]| {
                let other = of.iter().find(|segment| !than.contains(segment));
                other.cloned().unwrap_or_else(|| "no more".to_owned())
            };
            let (got, expected) = (
                other(&in_catalog, &in_memory),
                other(&in_memory, &in_catalog),
            );
            return Some(format!("the catalog has {got}: expected {expected}"));
        }
        let geometry = &self.fixed.geometry;
        let heads = geometry.kv_heads as usize;
        let expected = [heads * geometry.key_bytes(), heads * geometry.value_bytes()];
        let is_other = |run: &&FoundRun| {
            let bytes = run.row_bytes.iter().map(|bytes| *bytes as usize);
            !bytes.eq(expected)
        };
        if let Some(run) = rows.runs.iter().find(is_other) {
            let (start, got) = (run.start(), &run.row_bytes);
            return Some(format!(
                "the tokens stored from position {start} on have {got:?} bytes of K and V: expected {expected:?}"
            ));
        }
        let length = snapshot.length();
        let ends = rows.runs.iter().map(FoundRun::end);
        let ends = ends.chain(snapshot.segments().last().map(|last| last.range().end));
        if let Some(end) = ends.max().filter(|end| *end > length) {
            return Some(format!(
                "the catalog has tokens before {end}: expected {length} in all"
            ));
        }
        let stored: Vec<TokenRange> = rows
            .runs
            .iter()
            .map(|run| TokenRange::new(run.start(), run.end()))
            .collect();
        let mut steady = snapshot.steady_ranges().into_iter();
        let missing = steady.find_map(|wanted| first_missing(wanted, &stored))?;
        Some(format!(
            "the catalog does not have the token at {missing}: expected all of {length} that no segment has"
        ))
    }

    fn verify_index(&self, segment: &Segment, report: &mut OfLayer<'_>) -> ControlFlow<()> {
        let (kind, heads) = (self.fixed.parameters.kind, self.fixed.geometry.kv_heads);
        let of_segment = |finding| Finding {
            segment: Some(segment.id()),
            shared: Some(Arc::clone(segment.columns())),
            ..finding
        };
        if let Err(broken) = check_rows(segment, kind, heads) {
            report.found(of_segment(Finding::of_index(&broken)));
            return ControlFlow::Continue(());
        }
        for head in (0..heads).map(KvHead) {
            let bytes = segment.columns().size().0 / u64::from(heads);
            report.report.looked_at(bytes)?;
            let checked = if kind.has_clusters() {
                self.verify_clusters(segment, head)
            } else {
                in_order(segment, head)
            };
            let finding = match checked {
                Ok(()) => continue,
                Err(NotSound::Broken(broken)) => Finding::of_index(&broken),
                Err(NotSound::Unread(error)) => Finding::of(error.into()),
            };
            report.found(of_segment(Finding {
                kv_head: Some(head),
                ..finding
            }));
        }
        ControlFlow::Continue(())
    }

    fn verify_clusters(&self, segment: &Segment, head: KvHead) -> Result<(), NotSound> {
        let Some(index) = segment.head(head).map_err(ReadError::from)? else {
            return Ok(());
        };
        let mut check = HeadCheck::begin(index, &self.fixed.parameters)?;
        let codes = HeadCodes::new(head, vec![segment]);
        for clusters in check.runs() {
            let rows = check.rows(&clusters);
            let payload = segment.payload(head, rows.clone(), Patience::Idle)?;
            let run = Run {
                first: rows.start as u32,
                count: rows.len() as u32,
            };
            let each: Vec<u32> = (run.first..run.first + run.count).collect();
            let (keys, values) = (codes.keys(0, &[run])?, codes.values(0, &each)?);
            check.see(clusters, &payload, [keys.codes, values.codes])?;
        }
        Ok(check.finish()?)
    }
}

fn in_order(segment: &Segment, head: KvHead) -> Result<(), NotSound> {
    let range = segment.range();
    for part in range.pieces(PIECE_TOKENS) {
        let payload = segment.payload(head, part.rows_from(range.start), Patience::Idle)?;
        check_in_order(part, &payload)?;
    }
    Ok(())
}

/// Tokens of a segment without clusters that are looked at together.
const PIECE_TOKENS: u32 = 1024;

/// Why the index of a head is not what it must be, or why nobody knows.
#[derive(Debug, thiserror::Error)]
enum NotSound {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    Unread(#[from] ReadError),
}

/// The first token of a range that is in none of `stored`, which are in order of their starts but for the first.
fn first_missing(wanted: TokenRange, stored: &[TokenRange]) -> Option<u32> {
    let next = stored.iter().fold(wanted.start, |next, range| {
        if range.contains(next) {
            range.end
        } else {
            next
        }
    });
    (next < wanted.end).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_that_no_row_has_is_found() {
        let range = TokenRange::new;
        let rows = [range(0, 3), range(0, 5), range(4, 9), range(9, 10)];
        assert_eq!(first_missing(range(0, 10), &rows), None);
        assert_eq!(first_missing(range(7, 10), &rows), None);
        assert_eq!(first_missing(range(7, 11), &rows), Some(10));
        assert_eq!(first_missing(range(0, 10), &rows[2..]), Some(0));
        assert_eq!(first_missing(range(2, 10), &rows[..2]), Some(5));
        assert_eq!(first_missing(range(4, 4), &[]), None);
        let gap = [range(0, 3), range(4, 9)];
        assert_eq!(first_missing(range(0, 9), &gap), Some(3));
    }
}
