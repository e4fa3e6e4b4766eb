//! A sealed segment: a token range of one layer, clustered or searched per KV head, immutable.

use std::ops::Range;
use std::sync::Arc;

use wavekv_kernels::{Codes4, Codes8, Dtype, Matrix, Run, ShapeError};
use wavekv_storage::segment::{ColumnId, Columns};
use wavekv_storage::{Hold, Patience, Reservation, ResidenceError};

use crate::index::build::Built;
use crate::index::kinds::KeySearch;
use crate::index::schema;
use crate::model::{Geometry, KvHead, SegmentId, TokenRange};

/// The columns of a segment with their meaning.
#[derive(Debug)]
pub struct Segment {
    id: SegmentId,
    range: TokenRange,
    dtype: Dtype,
    head_dim: usize,
    value_dim: usize,
    /// First cluster of each head, and the end of the last; of a segment without clusters 0 alone.
    head_starts: Vec<usize>,
    columns: Arc<Columns>,
    searches: Option<Searches>,
}

/// What searches the keys of a segment of a kind without clusters.
#[derive(Debug)]
pub struct Searches {
    /// Of every KV head. Before the reservation, so that their memory is free when its count goes.
    pub heads: Vec<HeadSearch>,
    /// Counts the memory that they allocated.
    pub reservation: Reservation,
}

/// What searches one KV head.
#[derive(Debug)]
pub struct HeadSearch {
    /// Over its keys.
    pub keys: Box<dyn KeySearch>,
    /// Length of the mean value.
    pub value_mean_norm: f32,
}

/// What of a segment is K and V.
const PAYLOAD: [ColumnId; 2] = [schema::KEYS, schema::VALUES];

/// The meta index of one KV head of one segment. Slices have one entry a cluster.
#[derive(Clone, Copy, Debug)]
pub struct HeadIndex<'a> {
    /// The segment's tokens; each is in exactly one cluster.
    pub range: TokenRange,
    /// `[clusters, head_dim]`: mean keys.
    pub centroids: Codes8<'a>,
    /// `[clusters, value_dim]`: mean values.
    pub value_means: Codes8<'a>,
    /// Length of each value mean.
    pub value_mean_norms: &'a [f32],
    /// Tokens.
    pub counts: &'a [u32],
    /// First payload row, counted from the head's first.
    pub first_rows: &'a [u32],
    /// First and last position.
    pub position_bounds: &'a [[u32; 2]],
    /// Factor on what the head's profile says, see [`crate::index::build::encode`].
    pub key_spreads: &'a [f32],
    /// Root mean square distance of values from their mean.
    pub value_spreads: &'a [f32],
    /// `[head_dim]`: standard deviation of each dimension of keys within clusters.
    pub key_profile: &'a [f32],
    /// Root mean square error of the codes of keys and of values, as a share of what they encode.
    pub code_errors: [f32; 2],
}

/// The codes of one KV head of some segments: a row a token, in cluster order; of keys beside the centroids of their clusters,
/// of values beside the mean values.
#[derive(Clone, Debug)]
pub struct HeadCodes<'a> {
    head: KvHead,
    segments: Vec<&'a Segment>,
}

/// Codes of one KV head of one segment, of which the rows that were asked for are in memory.
#[derive(Debug)]
pub struct HeldCodes<'a> {
    /// All of the head.
    pub codes: Codes4<'a>,
    _held: Hold<'a>,
}

/// Why rows of a segment are not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment has no such rows: a bug.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// They cannot be had from the disk.
    #[error(transparent)]
    Residence(#[from] ResidenceError),
}

impl HeadIndex<'_> {
    /// How many clusters.
    pub fn clusters(&self) -> usize {
        self.counts.len()
    }

    /// The payload rows of a cluster, counted from the head's first.
    pub fn rows(&self, cluster: usize) -> Range<usize> {
        let first = self.first_rows[cluster] as usize;
        first..first + self.counts[cluster] as usize
    }

    /// Bytes that a scan reads: of each cluster its centroid, count, two spreads and the value's norm; the profile and
    /// the bases.
    pub fn scan_bytes(&self) -> u64 {
        let cluster = self.centroids.row_bytes() + 4 * size_of::<u32>();
        let bases = 2 * self.centroids.cols() + self.value_means.cols();
        (self.clusters() * cluster + bases * size_of::<f32>()) as u64
    }
}

/// K, V and positions of one head, in memory; rows are tokens.
#[derive(Debug)]
pub struct Payload<'a> {
    /// `[tokens, head_dim]`.
    pub keys: Matrix<'a>,
    /// `[tokens, value_dim]`.
    pub values: Matrix<'a>,
    /// Of each row.
    pub positions: &'a [u32],
    _held: Hold<'a>,
}

impl Segment {
    /// Gives columns of [`schema::schema`] their meaning.
    pub fn new(id: SegmentId, range: TokenRange, geometry: &Geometry, built: Built) -> Self {
        let Built { columns, searches } = built;
        let mut head_starts = vec![0];
        if searches.is_none() {
            let per_head = columns.column(schema::HEAD_CLUSTERS).as_u32().iter();
            head_starts.extend(per_head.scan(0, |end, clusters| {
                *end += *clusters as usize;
                Some(*end)
            }));
        }
        Self {
            id,
            range,
            dtype: geometry.dtype,
            head_dim: geometry.head_dim as usize,
            value_dim: geometry.value_dim as usize,
            head_starts,
            columns,
            searches,
        }
    }

    /// Its name.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// Its tokens.
    pub fn range(&self) -> TokenRange {
        self.range
    }

    /// What it is made of.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// Clusters of all heads.
    pub fn clusters(&self) -> usize {
        self.head_starts.last().copied().unwrap_or(0)
    }

    /// Bytes of K and V.
    pub fn payload_bytes(&self) -> u64 {
        self.columns.column_size(schema::KEYS).0 + self.columns.column_size(schema::VALUES).0
    }

    /// Bytes of the codes.
    pub fn code_bytes(&self) -> u64 {
        if self.searches.is_some() {
            return 0;
        }
        let columns = [
            schema::KEY_CODES,
            schema::KEY_CODE_SCALES,
            schema::VALUE_CODES,
            schema::VALUE_CODE_SCALES,
        ];
        columns
            .map(|column| self.columns.column_size(column).0)
            .iter()
            .sum()
    }

    /// Bytes of everything else.
    pub fn meta_bytes(&self) -> u64 {
        self.columns.size().0 - self.payload_bytes() - self.code_bytes() + self.search_bytes()
    }

    /// Bytes of what searches its keys, which no column has.
    pub fn search_bytes(&self) -> u64 {
        let searches = self.searches.as_ref();
        searches.map_or(0, |searches| searches.reservation.size().0)
    }

    /// What searches a head; `None` where it has clusters.
    pub fn search(&self, head: KvHead) -> Option<&HeadSearch> {
        self.searches.as_ref()?.heads.get(head.index())
    }

    /// The meta index of one head; `None` when there is no such head, or no clusters.
    ///
    /// # Errors
    /// [`ShapeError`] when the columns are not those of one segment.
    pub fn head(&self, head: KvHead) -> Result<Option<HeadIndex<'_>>, ShapeError> {
        let Some(clusters) = self.head_clusters(head) else {
            return Ok(None);
        };
        let scalars = |column| &self.columns.column(column).as_f32()[clusters.clone()];
        let of_head =
            |column, dim| &self.columns.column(column).as_f32()[head.index() * dim..][..dim];
        let means = |codes, scales, bases, dim: usize| {
            let codes: &[i8] = bytemuck::cast_slice(self.columns.column(codes).as_bytes());
            let codes = &codes[clusters.start * dim..clusters.end * dim];
            Codes8::new(codes, scalars(scales), of_head(bases, dim))
        };
        let (bounds, _) = self
            .columns
            .column(schema::POSITION_BOUNDS)
            .as_u32()
            .as_chunks();
        let errors = of_head(schema::CODE_ERRORS, 2);
        Ok(Some(HeadIndex {
            range: self.range,
            centroids: means(
                schema::CENTROIDS,
                schema::CENTROID_SCALES,
                schema::KEY_BASES,
                self.head_dim,
            )?,
            value_means: means(
                schema::VALUE_MEANS,
                schema::VALUE_MEAN_SCALES,
                schema::VALUE_BASES,
                self.value_dim,
            )?,
            counts: &self.columns.column(schema::COUNTS).as_u32()[clusters.clone()],
            first_rows: &self.columns.column(schema::FIRST_ROWS).as_u32()[clusters.clone()],
            position_bounds: &bounds[clusters.clone()],
            key_spreads: scalars(schema::KEY_SPREADS),
            value_mean_norms: scalars(schema::VALUE_MEAN_NORMS),
            value_spreads: scalars(schema::VALUE_SPREADS),
            key_profile: of_head(schema::KEY_PROFILES, self.head_dim),
            code_errors: [errors[0], errors[1]],
        }))
    }

    /// K, V and positions of the rows `rows` of a head, see [`HeadIndex::rows`]; in a segment without clusters, rows are
    /// in order of position.
    ///
    /// # Errors
    /// [`ReadError`] when the head has no such rows, or the disk does not give them.
    pub fn payload(
        &self,
        head: KvHead,
        rows: Range<usize>,
        patience: Patience,
    ) -> Result<Payload<'_>, ReadError> {
        let rows = self.rows_of(head, rows);
        let wanted = PAYLOAD.map(|column| (column, rows.clone()));
        self.view(rows, self.columns.hold(wanted, patience)?)
    }

    /// K, V and positions of a head, of which only the rows `rows` are in memory: for those who take single tokens.
    ///
    /// # Errors
    /// As [`Segment::payload`].
    pub fn scattered(&self, head: KvHead, rows: &[u32]) -> Result<Payload<'_>, ReadError> {
        let held = self
            .columns
            .hold(self.tokens(PAYLOAD, head, rows), Patience::Idle)?;
        self.view(self.rows_of(head, self.all_rows()), held)
    }

    /// Has the disk read K and V of some rows of a head, for those who will ask for them.
    pub fn expect(&self, head: KvHead, rows: Range<usize>) {
        let rows = self.rows_of(head, rows);
        self.columns
            .expect(PAYLOAD.map(|column| (column, rows.clone())));
    }

    /// The same of single rows.
    pub fn expect_scattered(&self, head: KvHead, rows: &[u32]) {
        self.columns.expect(self.tokens(PAYLOAD, head, rows));
    }

    /// Whether K and V of some rows of a head are in memory.
    pub fn is_resident(&self, head: KvHead, rows: Range<usize>) -> bool {
        let rows = self.rows_of(head, rows);
        self.columns
            .is_resident(PAYLOAD.map(|column| (column, rows.clone())))
    }

    /// Brings all of it into memory, where it stays until there is no room.
    ///
    /// # Errors
    /// [`ReadError::Residence`] when there is no room, or the disk does not give it.
    pub fn promote(&self) -> Result<(), ReadError> {
        Ok(self.columns.promote()?)
    }

    /// Has K, V and codes leave memory, where a file has them and nobody reads them.
    pub fn demote(&self) {
        self.columns.demote();
    }

    fn view<'a>(&'a self, rows: Range<usize>, held: Hold<'a>) -> Result<Payload<'a>, ReadError> {
        let all = self.columns.rows(schema::POSITIONS) as usize;
        let matrix = |column, cols| {
            let bytes = self.columns.column(column).as_bytes();
            Matrix::new(bytes, self.dtype, all, cols)?.slice_rows(rows.clone())
        };
        Ok(Payload {
            keys: matrix(schema::KEYS, self.head_dim)?,
            values: matrix(schema::VALUES, self.value_dim)?,
            positions: &self.columns.column(schema::POSITIONS).as_u32()[rows.clone()],
            _held: held,
        })
    }

    /// Where single rows of a head are.
    fn tokens<const N: usize>(
        &self,
        columns: [ColumnId; N],
        head: KvHead,
        rows: &[u32],
    ) -> impl Iterator<Item = (ColumnId, Range<usize>)> {
        columns.into_iter().flat_map(move |column| {
            let row = move |row: &u32| self.rows_of(head, *row as usize..*row as usize + 1);
            rows.iter().map(row).map(move |row| (column, row))
        })
    }

    /// Where rows of a head are in columns whose rows are tokens.
    fn rows_of(&self, head: KvHead, rows: Range<usize>) -> Range<usize> {
        let first = head.index() * self.range.tokens() as usize;
        first + rows.start..first + rows.end
    }

    fn codes<'a>(
        &'a self,
        head: KvHead,
        [codes, scales, profiles]: [ColumnId; 3],
        dim: usize,
        held: Hold<'a>,
    ) -> Result<HeldCodes<'a>, ReadError> {
        let rows = self.rows_of(head, self.all_rows());
        let bytes = Codes4::code_bytes(dim);
        let codes = &self.columns.column(codes).as_bytes()[rows.start * bytes..rows.end * bytes];
        let scales = bytemuck::cast_slice(self.columns.column(scales).as_u16());
        let profile = &self.columns.column(profiles).as_f32()[head.index() * dim..][..dim];
        Ok(HeldCodes {
            codes: Codes4::new(codes, &scales[rows], profile)?,
            _held: held,
        })
    }

    /// Every row of a head.
    pub fn all_rows(&self) -> Range<usize> {
        0..self.range.tokens() as usize
    }

    fn head_clusters(&self, head: KvHead) -> Option<Range<usize>> {
        let [start, end] = self.head_starts.get(head.index()..head.index() + 2)? else {
            return None;
        };
        Some(*start..*end)
    }
}

impl<'a> HeadCodes<'a> {
    /// Of a head of these segments.
    pub fn new(head: KvHead, segments: Vec<&'a Segment>) -> Self {
        Self { head, segments }
    }

    /// Bytes that reading the codes of a value costs.
    pub fn value_row_bytes(&self) -> usize {
        let dim = self.segments.first().map_or(0, |segment| segment.value_dim);
        Codes4::row_bytes_of(dim)
    }

    /// Bytes that reading the codes of a token costs.
    pub fn row_bytes(&self) -> usize {
        let dim = self.segments.first().map_or(0, |segment| segment.head_dim);
        Codes4::row_bytes_of(dim) + self.value_row_bytes()
    }

    /// Has the disk read the codes of keys that will be asked for.
    pub fn expect_keys(&self, segment: usize, runs: &[Run]) {
        let segment = self.segments[segment];
        segment.columns.expect(self.key_rows(segment, runs));
    }

    /// Has the disk read the codes of values that will be asked for.
    pub fn expect_values(&self, segment: usize, rows: &[u32]) {
        let segment = self.segments[segment];
        segment
            .columns
            .expect(segment.tokens([schema::VALUE_CODES], self.head, rows));
    }

    /// The codes of keys, of which those of `runs` may be read.
    ///
    /// # Errors
    /// [`ReadError`] when the segment has no such rows, or the disk does not give them.
    pub fn keys(&self, segment: usize, runs: &[Run]) -> Result<HeldCodes<'a>, ReadError> {
        let segment = self.segments[segment];
        let held = segment
            .columns
            .hold(self.key_rows(segment, runs), Patience::Idle)?;
        let columns = [
            schema::KEY_CODES,
            schema::KEY_CODE_SCALES,
            schema::KEY_PROFILES,
        ];
        segment.codes(self.head, columns, segment.head_dim, held)
    }

    /// The codes of values, of which those of `rows` may be read.
    ///
    /// # Errors
    /// As [`HeadCodes::keys`].
    pub fn values(&self, segment: usize, rows: &[u32]) -> Result<HeldCodes<'a>, ReadError> {
        let segment = self.segments[segment];
        let rows = segment.tokens([schema::VALUE_CODES], self.head, rows);
        let held = segment.columns.hold(rows, Patience::Idle)?;
        let columns = [
            schema::VALUE_CODES,
            schema::VALUE_CODE_SCALES,
            schema::VALUE_PROFILES,
        ];
        segment.codes(self.head, columns, segment.value_dim, held)
    }

    fn key_rows(
        &self,
        segment: &Segment,
        runs: &[Run],
    ) -> impl Iterator<Item = (ColumnId, Range<usize>)> {
        let head = self.head;
        runs.iter().map(move |run| {
            let rows = run.first as usize..(run.first + run.count) as usize;
            (schema::KEY_CODES, segment.rows_of(head, rows))
        })
    }
}
