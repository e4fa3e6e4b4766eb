//! The call of `AdminService` that explains a collection.

use wavekv_proto::v1;

use crate::collection::HeadUse;
use crate::engine::Engine;
use crate::engine::describe::LayerDescribed;
use crate::index::Histogram;
use crate::model::Error;
use crate::service::{validate, wire};

pub(super) fn describe(
    engine: &Engine,
    request: &v1::DescribeRequest,
) -> Result<v1::DescribeResponse, Error> {
    let (name, generation) = validate::collection(request.collection.as_ref())?;
    let collection = engine.find(&name, generation)?;
    let described = engine.describe(&collection)?;
    let sharers = described.sharers.into_iter().map(|sharer| v1::Sharer {
        collection: Some(wire::named(&sharer.name, None)),
        bytes: sharer.bytes,
    });
    Ok(v1::DescribeResponse {
        boot_epoch: engine.boot_epoch().0,
        generation: collection.generation().0,
        layers: described.layers.iter().zip(0..).map(layer).collect(),
        tiers: Some(v1::TierBytes {
            steady_bytes: described.tiers.steady_bytes,
            meta_index_bytes: described.tiers.meta_index_bytes,
            block_bytes: described.tiers.block_bytes,
            disk_bytes: described.tiers.disk_bytes,
        }),
        sharers: sharers.collect(),
        all_sharers: described.all_sharers,
    })
}

fn layer((described, layer): (&LayerDescribed, u32)) -> v1::LayerDescription {
    v1::LayerDescription {
        layer,
        cluster_sizes: Some(histogram(&described.shape.cluster_sizes)),
        key_spreads: Some(histogram(&described.shape.key_spreads)),
        heads: described.heads.iter().zip(0..).map(head).collect(),
    }
}

fn histogram(histogram: &Histogram) -> v1::Histogram {
    v1::Histogram {
        edges: histogram.edges().to_vec(),
        counts: histogram.counts().to_vec(),
        mean: histogram.mean(),
    }
}

fn head((used, kv_head): (&HeadUse, u32)) -> v1::HeadUse {
    v1::HeadUse {
        kv_head,
        answers: used.answers,
        token_share: used.token_share,
        byte_share: used.byte_share,
        exact_mass: used.exact_mass,
    }
}
