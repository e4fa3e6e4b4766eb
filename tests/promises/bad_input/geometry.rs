//! Create: every field of a geometry and of the index parameters, below its range, above it and against the others.

use wavekv_client::Code::InvalidArgument;
use wavekv_client::wire;

use super::{SHAPE, Wrong, assert_refused};
use crate::harness::collection::named;
use crate::harness::{Collection, Daemon};

const WRONG: [Wrong<wire::CreateRequest>; 44] = [
    (InvalidArgument, "durability is 9", |request| {
        request.durability = 9;
    }),
    (InvalidArgument, "ttl_seconds is 315360001", |request| {
        request.ttl_seconds = 315_360_001;
    }),
    (InvalidArgument, "ttl_seconds is 1844", |request| {
        request.ttl_seconds = u64::MAX;
    }),
    (InvalidArgument, "collection is missing", |request| {
        request.collection = None;
    }),
    (InvalidArgument, "collection.generation", |request| {
        request.collection.as_mut().unwrap().generation = Some(7);
    }),
    (InvalidArgument, "geometry is missing", |request| {
        request.geometry = None;
    }),
    (InvalidArgument, "geometry.fingerprint", |request| {
        geometry(request).fingerprint = "x".repeat(513);
    }),
    (InvalidArgument, "geometry.layers", |request| {
        geometry(request).layers.clear();
    }),
    (InvalidArgument, "geometry.layers", |request| {
        geometry(request).layers = vec![wire::LayerKind::default(); 1025];
    }),
    (InvalidArgument, "geometry.kv_heads", |request| {
        geometry(request).kv_heads = 0;
    }),
    (InvalidArgument, "geometry.kv_heads", |request| {
        geometry(request).kv_heads = 1025;
    }),
    (InvalidArgument, "geometry.q_heads", |request| {
        geometry(request).q_heads = 0;
    }),
    (InvalidArgument, "geometry.q_heads", |request| {
        geometry(request).q_heads = 5;
    }),
    (InvalidArgument, "geometry.q_heads", |request| {
        geometry(request).q_heads = 66;
    }),
    (InvalidArgument, "geometry.q_heads", |request| {
        geometry(request).q_heads = u32::MAX - 1;
    }),
    (InvalidArgument, "geometry.head_dim", |request| {
        geometry(request).head_dim = 15;
    }),
    (InvalidArgument, "geometry.head_dim", |request| {
        geometry(request).head_dim = 577;
    }),
    (InvalidArgument, "geometry.value_dim", |request| {
        geometry(request).value_dim = 0;
    }),
    (InvalidArgument, "geometry.value_dim", |request| {
        geometry(request).value_dim = u32::MAX;
    }),
    (InvalidArgument, "geometry.dtype is 0", |request| {
        geometry(request).dtype = 0;
    }),
    (InvalidArgument, "geometry.dtype is 4", |request| {
        geometry(request).dtype = 4;
    }),
    (InvalidArgument, "geometry.scale is 0", |request| {
        geometry(request).scale = 0.0;
    }),
    (InvalidArgument, "geometry.scale is -1", |request| {
        geometry(request).scale = -1.0;
    }),
    (InvalidArgument, "geometry.scale is 1025", |request| {
        geometry(request).scale = 1025.0;
    }),
    (InvalidArgument, "geometry.scale is NaN", |request| {
        geometry(request).scale = f32::NAN;
    }),
    (InvalidArgument, "geometry.softcap is -1", |request| {
        geometry(request).softcap = -1.0;
    }),
    (InvalidArgument, "geometry.softcap is 65537", |request| {
        geometry(request).softcap = 65537.0;
    }),
    (InvalidArgument, "geometry.scale is inf", |request| {
        geometry(request).scale = f32::INFINITY;
    }),
    (InvalidArgument, "index.sink_tokens", |request| {
        index(request).sink_tokens = Some(1025);
    }),
    // As long as a segment: nothing would be left to cluster in the first.
    (InvalidArgument, "index.sink_tokens", |request| {
        index(request).sink_tokens = Some(64);
        index(request).segment_tokens = Some(64);
        index(request).decode_segment_tokens = Some(64);
    }),
    (InvalidArgument, "index.recent_tokens", |request| {
        index(request).recent_tokens = Some(8193);
    }),
    (InvalidArgument, "index.segment_tokens", |request| {
        index(request).segment_tokens = Some(63);
    }),
    (InvalidArgument, "index.segment_tokens", |request| {
        index(request).segment_tokens = Some(65_537);
    }),
    (InvalidArgument, "index.segment_tokens", |request| {
        index(request).segment_tokens = Some(1000);
        index(request).decode_segment_tokens = Some(300);
    }),
    (InvalidArgument, "index.decode_segment_tokens", |request| {
        index(request).decode_segment_tokens = Some(0);
    }),
    (InvalidArgument, "index.decode_segment_tokens", |request| {
        index(request).decode_segment_tokens = Some(15);
    }),
    (InvalidArgument, "index.decode_segment_tokens", |request| {
        index(request).decode_segment_tokens = Some(8193);
    }),
    (InvalidArgument, "index.cluster_tokens", |request| {
        index(request).cluster_tokens = Some(1);
    }),
    (InvalidArgument, "index.cluster_tokens", |request| {
        index(request).cluster_tokens = Some(65);
    }),
    (InvalidArgument, "index.kmeans_iterations", |request| {
        index(request).kmeans_iterations = Some(0);
    }),
    (InvalidArgument, "index.kmeans_iterations", |request| {
        index(request).kmeans_iterations = Some(65);
    }),
    (InvalidArgument, "index.kind is 5", |request| {
        index(request).kind = 5;
    }),
    (InvalidArgument, "index.kind is -1", |request| {
        index(request).kind = -1;
    }),
    (InvalidArgument, "collection.name", |request| {
        request.collection = Some(named("two words"));
    }),
];

#[tokio::test]
async fn a_wrong_geometry_or_parameter_makes_no_collection() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let right = wire::CreateRequest {
        collection: Some(Collection::unmade(&client).name),
        geometry: Some(SHAPE.geometry(1)),
        index: Some(wire::IndexParameters::default()),
        ..Default::default()
    };
    for (code, named, spoil) in WRONG {
        let mut request = right.clone();
        spoil(&mut request);
        assert_refused(client.create(request).await, code, named);
    }
    assert_eq!(client.list_all("*", "").await.unwrap(), []);
    client.create(right).await.unwrap();
}

fn geometry(request: &mut wire::CreateRequest) -> &mut wire::Geometry {
    request.geometry.as_mut().unwrap()
}

fn index(request: &mut wire::CreateRequest) -> &mut wire::IndexParameters {
    request.index.as_mut().unwrap()
}
