//! What the columns of a sealed segment mean: the one place that says so.
//!
//! Rows of payload and code columns are tokens, KV head after KV head, within a head cluster after cluster. Rows of meta
//! columns are clusters, head after head. A segment of a kind without clusters has payload alone, in order of position. Payload has the collection's dtype. A row of codes is what a key or a value is
//! beside the decoded mean of its cluster, so that it takes up the rounding of that mean too.

use std::sync::Arc;

use wavekv_kernels::{Codes4, Dtype};
use wavekv_storage::segment::{Column, ColumnId, Element, Schema, SchemaError};

use crate::model::{Geometry, IndexKind};

/// Version of what the columns mean: it is stored with every segment, and changes whenever a column comes, goes or means
/// something else.
pub const VERSION: u32 = 1;

/// Payload: one key a row.
pub const KEYS: ColumnId = ColumnId(0);
/// Payload: one value a row.
pub const VALUES: ColumnId = ColumnId(1);
/// Payload: `u32`, the position of the row's token.
pub const POSITIONS: ColumnId = ColumnId(2);
/// Codes: half a byte an element, see [`Codes4`].
pub const KEY_CODES: ColumnId = ColumnId(3);
/// Codes: `f16`, one a row.
pub const KEY_CODE_SCALES: ColumnId = ColumnId(4);
/// Codes: half a byte an element, see [`Codes4`].
pub const VALUE_CODES: ColumnId = ColumnId(5);
/// Codes: `f16`, one a row.
pub const VALUE_CODE_SCALES: ColumnId = ColumnId(6);
/// Clusters of each head: `u32`, one row a head.
pub const HEAD_CLUSTERS: ColumnId = ColumnId(7);
/// One row a head: `f32`, the mean key, which centroids are beside.
pub const KEY_BASES: ColumnId = ColumnId(8);
/// One row a head: `f32`, the mean value, which the mean values of clusters are beside.
pub const VALUE_BASES: ColumnId = ColumnId(9);
/// One row a head: `f32`, the standard deviation of each dimension of keys within clusters.
pub const KEY_PROFILES: ColumnId = ColumnId(10);
/// One row a head: `f32`, the same of values.
pub const VALUE_PROFILES: ColumnId = ColumnId(11);
/// One row a head: two `f32`, the root mean square error of codes as a share of what they encode, of keys and of values.
pub const CODE_ERRORS: ColumnId = ColumnId(12);
/// Meta: `u32`, the cluster's first payload row, counted from its head's first.
pub const FIRST_ROWS: ColumnId = ColumnId(13);
/// Meta: `u32`, tokens of the cluster.
pub const COUNTS: ColumnId = ColumnId(14);
/// Meta: two `u32`, the first and the last position of the cluster.
pub const POSITION_BOUNDS: ColumnId = ColumnId(15);
/// Meta: the mean key, a byte an element, see [`wavekv_kernels::Codes8`].
pub const CENTROIDS: ColumnId = ColumnId(16);
/// Meta: `f32`, scale of the centroid.
pub const CENTROID_SCALES: ColumnId = ColumnId(17);
/// Meta: `f32`, see [`crate::index::build::encode`].
pub const KEY_SPREADS: ColumnId = ColumnId(18);
/// Meta: the mean value, a byte an element.
pub const VALUE_MEANS: ColumnId = ColumnId(19);
/// Meta: `f32`, scale of the mean value.
pub const VALUE_MEAN_SCALES: ColumnId = ColumnId(20);
/// Meta: `f32`, length of the value mean.
pub const VALUE_MEAN_NORMS: ColumnId = ColumnId(21);
/// Meta: `f32`, root mean square distance of the cluster's values from their mean.
pub const VALUE_SPREADS: ColumnId = ColumnId(22);

/// The columns of a segment of this geometry and kind.
///
/// # Errors
/// Never for a checked geometry.
pub fn schema(geometry: &Geometry, kind: IndexKind) -> Result<Arc<Schema>, SchemaError> {
    let payload = match geometry.dtype {
        Dtype::Bf16 => Element::Bf16,
        Dtype::F16 => Element::F16,
        Dtype::F32 => Element::F32,
    };
    let (head_dim, value_dim) = (geometry.head_dim, geometry.value_dim);
    let codes = |dim: u32| Codes4::code_bytes(dim as usize) as u32;
    // What a query reads of every cluster stays in memory; what it reads of a few may leave.
    let of = |paged| {
        move |name, element, row_elements| Column {
            name,
            element,
            row_elements,
            paged,
        }
    };
    let (column, paged) = (of(false), of(true));
    let mut columns = vec![
        paged("keys", payload, head_dim),
        paged("values", payload, value_dim),
        column("positions", Element::U32, 1),
    ];
    if !kind.has_clusters() {
        return Ok(Arc::new(Schema::new(columns)?));
    }
    columns.extend([
        paged("key_codes", Element::U8, codes(head_dim)),
        column("key_code_scales", Element::F16, 1),
        paged("value_codes", Element::U8, codes(value_dim)),
        column("value_code_scales", Element::F16, 1),
        column("head_clusters", Element::U32, 1),
        column("key_bases", Element::F32, head_dim),
        column("value_bases", Element::F32, value_dim),
        column("key_profiles", Element::F32, head_dim),
        column("value_profiles", Element::F32, value_dim),
        column("code_errors", Element::F32, 2),
        column("first_rows", Element::U32, 1),
        column("counts", Element::U32, 1),
        column("position_bounds", Element::U32, 2),
        column("centroids", Element::I8, head_dim),
        column("centroid_scales", Element::F32, 1),
        column("key_spreads", Element::F32, 1),
        column("value_means", Element::I8, value_dim),
        column("value_mean_scales", Element::F32, 1),
        column("value_mean_norms", Element::F32, 1),
        column("value_spreads", Element::F32, 1),
    ]);
    Ok(Arc::new(Schema::new(columns)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LayerKind;

    #[test]
    fn every_constant_names_its_column() {
        let geometry = Geometry {
            fingerprint: String::new(),
            layers: vec![LayerKind::Full],
            q_heads: 4,
            kv_heads: 2,
            head_dim: 24,
            value_dim: 40,
            dtype: Dtype::F32,
            scale: 1.0,
            softcap: None,
        };
        let payload = schema(&geometry, IndexKind::Ivf).unwrap();
        let schema = schema(&geometry, IndexKind::Wave).unwrap();
        let named = [
            (KEYS, "keys", 96),
            (VALUES, "values", 160),
            (POSITIONS, "positions", 4),
            (KEY_CODES, "key_codes", 16),
            (KEY_CODE_SCALES, "key_code_scales", 2),
            (VALUE_CODES, "value_codes", 32),
            (VALUE_CODE_SCALES, "value_code_scales", 2),
            (HEAD_CLUSTERS, "head_clusters", 4),
            (KEY_BASES, "key_bases", 96),
            (VALUE_BASES, "value_bases", 160),
            (KEY_PROFILES, "key_profiles", 96),
            (VALUE_PROFILES, "value_profiles", 160),
            (CODE_ERRORS, "code_errors", 8),
            (FIRST_ROWS, "first_rows", 4),
            (COUNTS, "counts", 4),
            (POSITION_BOUNDS, "position_bounds", 8),
            (CENTROIDS, "centroids", 24),
            (CENTROID_SCALES, "centroid_scales", 4),
            (KEY_SPREADS, "key_spreads", 4),
            (VALUE_MEANS, "value_means", 40),
            (VALUE_MEAN_SCALES, "value_mean_scales", 4),
            (VALUE_MEAN_NORMS, "value_mean_norms", 4),
            (VALUE_SPREADS, "value_spreads", 4),
        ];
        assert_eq!(schema.columns().len(), named.len());
        for (id, name, row_bytes) in named {
            let column = schema.get(id).unwrap();
            assert_eq!((column.name, column.row_bytes()), (name, row_bytes));
        }
        assert_eq!(payload.columns(), &schema.columns()[..3]);
    }
}
