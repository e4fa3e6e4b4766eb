//! An empty collection for tests: one layer of `bf16`, in memory only.

use wavekv_kernels::{Dtype, Kernels};
use wavekv_storage::{Budget, Bytes};

use crate::collection::Collection;
use crate::model::{CollectionName, Generation, Geometry, IndexParameters, LayerKind};

/// With as many query heads as KV heads, and values as long as keys.
pub(crate) fn of_one_layer(heads: u32, dim: u32, parameters: IndexParameters) -> Collection {
    let geometry = Geometry {
        fingerprint: String::new(),
        layers: vec![LayerKind::Full],
        q_heads: heads,
        kv_heads: heads,
        head_dim: dim,
        value_dim: dim,
        dtype: Dtype::Bf16,
        scale: (dim as f32).sqrt().recip(),
        softcap: None,
    };
    let collection = Collection::new(
        CollectionName::new("", "c").unwrap(),
        Generation(1),
        geometry,
        parameters,
        Kernels::detect(),
        Budget::new(Bytes(1 << 30)),
        None,
    );
    collection.unwrap()
}
