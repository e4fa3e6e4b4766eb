//! NaN, infinities and numbers of 2^20 or more, in every tensor and every dtype that has them.

use wavekv_client::Code::InvalidArgument;
use wavekv_client::wire;
use wavekv_trace::Dtype;

use super::{SHAPE, Victim, assert_refused};
use crate::harness::{Shape, mode};

const LIMIT: f32 = 1_048_576.0;

/// The name and the place of a tensor of an insert.
type Field = (
    &'static str,
    fn(&mut wire::InsertEntry) -> &mut wire::Tensor,
);

const TENSORS: [Field; 2] = [
    ("k", |entry| entry.k.as_mut().unwrap()),
    ("v", |entry| entry.v.as_mut().unwrap()),
];

#[tokio::test]
async fn a_number_that_no_model_makes_is_refused_wherever_it_stands() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        let victim = Victim::new(Shape { dtype, ..SHAPE }).await;
        // Of f16, whose largest number is 65504, the limit itself is infinite.
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, LIMIT, -LIMIT] {
            let number = dtype.encode(&[number]);
            inserted(&victim, &number).await;
            asked(&victim, dtype, &number).await;
        }
        for number in [f32::NAN, LIMIT] {
            asked(&victim, Dtype::F32, &number.to_le_bytes()).await;
        }
        victim.is_unharmed().await;
    }
}

async fn inserted(victim: &Victim, number: &[u8]) {
    for (field, tensor) in TENSORS {
        let mut entry = victim.appended();
        spoil(tensor(&mut entry), number);
        let step = wire::AttendEntry {
            insert: Some(wire::InsertEntry {
                layer: None,
                ..entry.clone()
            }),
            ..victim
                .collection
                .question(&victim.sequence, &[1], mode::exact())
        };
        assert_refused(
            victim.client.insert_one(entry).await,
            InvalidArgument,
            &format!("{field} is"),
        );
        assert_refused(
            victim.client.attend_one(step).await,
            InvalidArgument,
            &format!("insert.{field} is"),
        );
    }
}

async fn asked(victim: &Victim, dtype: Dtype, number: &[u8]) {
    let mut attend = victim
        .collection
        .question(&victim.sequence, &[1], mode::exact());
    let rows = victim.sequence.query_rows(&[1]);
    let mut q = wire::Tensor {
        dtype: crate::harness::sequence::dtype(dtype).into(),
        data: dtype.encode(&rows).into(),
        ..attend.q.take().unwrap()
    };
    spoil(&mut q, number);
    let layer = attend.layer.clone();
    attend.q = Some(q.clone());
    assert_refused(
        victim.client.attend_one(attend).await,
        InvalidArgument,
        "q is",
    );
    let top = wire::TopClustersEntry {
        layer: layer.clone(),
        q: Some(q.clone()),
        limit: 1,
        ..Default::default()
    };
    assert_refused(
        victim.client.top_clusters_one(top).await,
        InvalidArgument,
        "q is",
    );
    let estimate = wire::EstimateEntry {
        layer,
        q: Some(q),
        ..Default::default()
    };
    assert_refused(
        victim.client.estimate_one(estimate).await,
        InvalidArgument,
        "q is",
    );
}

/// Puts a number in the last place of a tensor.
fn spoil(tensor: &mut wire::Tensor, number: &[u8]) {
    let mut bytes = tensor.data.to_vec();
    let last = bytes.len() - number.len();
    bytes[last..].copy_from_slice(number);
    tensor.data = bytes.into();
}
