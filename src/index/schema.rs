//! What the columns of a sealed segment mean: the one place that says so.
//!
//! Rows of payload columns are tokens, KV head after KV head, within a head cluster after cluster. Rows of meta columns
//! are clusters, head after head. Payload has the collection's dtype; the meta index is bf16 and f32.

use std::sync::Arc;

use wavekv_kernels::Dtype;
use wavekv_storage::segment::{Column, ColumnId, ElementWidth, Schema, SchemaError};

use crate::model::Geometry;

/// Payload: one key a row.
pub const KEYS: ColumnId = ColumnId(0);
/// Payload: one value a row.
pub const VALUES: ColumnId = ColumnId(1);
/// Payload: `u32`, the position of the row's token.
pub const POSITIONS: ColumnId = ColumnId(2);
/// Clusters of each head: `u32`, one row a head.
pub const HEAD_CLUSTERS: ColumnId = ColumnId(3);
/// One row a head: `f32`, how the key spread of its clusters is divided among the dimensions.
pub const SPREAD_PROFILES: ColumnId = ColumnId(4);
/// Meta: `u32`, the cluster's first payload row, counted from its head's first.
pub const FIRST_ROWS: ColumnId = ColumnId(5);
/// Meta: `u32`, tokens of the cluster.
pub const COUNTS: ColumnId = ColumnId(6);
/// Meta: two `u32`, the first and the last position of the cluster.
pub const POSITION_BOUNDS: ColumnId = ColumnId(7);
/// Meta: the mean key, in [`META`].
pub const CENTROIDS: ColumnId = ColumnId(8);
/// Meta: `f32`, see [`crate::index::build::statistics`].
pub const KEY_SPREADS: ColumnId = ColumnId(9);
/// Meta: the mean value, in [`META`].
pub const VALUE_MEANS: ColumnId = ColumnId(10);
/// Meta: `f32`, length of the value mean.
pub const VALUE_MEAN_NORMS: ColumnId = ColumnId(11);
/// Meta: `f32`, root mean square distance of the cluster's values from their mean.
pub const VALUE_SPREADS: ColumnId = ColumnId(12);

/// Type of centroids and value means, whatever the collection's: they are estimates, and scanned for every query.
pub const META: Dtype = Dtype::Bf16;

/// The columns of a segment of this geometry.
///
/// # Errors
/// Never for a checked geometry.
pub fn schema(geometry: &Geometry) -> Result<Arc<Schema>, SchemaError> {
    let payload = match geometry.dtype {
        Dtype::Bf16 | Dtype::F16 => ElementWidth::W2,
        Dtype::F32 => ElementWidth::W4,
    };
    let column = |name, width, row_elements| Column {
        name,
        width,
        row_elements,
    };
    let schema = Schema::new(vec![
        column("keys", payload, geometry.head_dim),
        column("values", payload, geometry.value_dim),
        column("positions", ElementWidth::W4, 1),
        column("head_clusters", ElementWidth::W4, 1),
        column("spread_profiles", ElementWidth::W4, geometry.head_dim),
        column("first_rows", ElementWidth::W4, 1),
        column("counts", ElementWidth::W4, 1),
        column("position_bounds", ElementWidth::W4, 2),
        column("centroids", ElementWidth::W2, geometry.head_dim),
        column("key_spreads", ElementWidth::W4, 1),
        column("value_means", ElementWidth::W2, geometry.value_dim),
        column("value_mean_norms", ElementWidth::W4, 1),
        column("value_spreads", ElementWidth::W4, 1),
    ])?;
    Ok(Arc::new(schema))
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
        };
        let schema = schema(&geometry).unwrap();
        let named = [
            (KEYS, "keys", 96),
            (VALUES, "values", 160),
            (POSITIONS, "positions", 4),
            (HEAD_CLUSTERS, "head_clusters", 4),
            (SPREAD_PROFILES, "spread_profiles", 96),
            (FIRST_ROWS, "first_rows", 4),
            (COUNTS, "counts", 4),
            (POSITION_BOUNDS, "position_bounds", 8),
            (CENTROIDS, "centroids", 48),
            (KEY_SPREADS, "key_spreads", 4),
            (VALUE_MEANS, "value_means", 80),
            (VALUE_MEAN_NORMS, "value_mean_norms", 4),
            (VALUE_SPREADS, "value_spreads", 4),
        ];
        assert_eq!(schema.columns().len(), named.len());
        for (id, name, row_bytes) in named {
            let column = schema.get(id).unwrap();
            assert_eq!((column.name, column.row_bytes()), (name, row_bytes));
        }
    }
}
