//! The oracle against five naive lines.
#![forbid(unsafe_code)]

use proptest::prelude::*;
use wavekv_trace::exact::{Exact, Order, Pieces, Queries, Stored, attend, weights};
use wavekv_trace::{Dtype, Plane};

/// One query and head, `k` and `v` as `[tokens][dim]`.
fn naive(q: &[f32], k: &[&[f32]], v: &[&[f32]], scale: f64) -> (Vec<f64>, f64) {
    let dot = |a: &[f32]| {
        a.iter()
            .zip(q)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum::<f64>()
    };
    let mass: Vec<f64> = k.iter().map(|key| (scale * dot(key)).exp()).collect();
    let total: f64 = mass.iter().sum();
    let element = |d: usize| {
        v.iter()
            .zip(&mass)
            .map(|(v, m)| f64::from(v[d]) * m)
            .sum::<f64>()
    };
    (
        (0..v[0].len()).map(|d| element(d) / total).collect(),
        total.ln(),
    )
}

#[derive(Debug, Clone)]
struct Case {
    shape: [usize; 5],
    dtype: Dtype,
    window: u32,
    k: Vec<f32>,
    v: Vec<f32>,
    q: Vec<f32>,
    positions: Vec<u32>,
}

fn cases() -> impl Strategy<Value = Case> {
    let dtypes = prop_oneof![Just(Dtype::Bf16), Just(Dtype::F16), Just(Dtype::F32)];
    (
        1..150_usize,
        1..3_usize,
        1..4_usize,
        1..20_usize,
        1..12_usize,
        dtypes,
        0..70_u32,
    )
        .prop_flat_map(
            |(tokens, kv_heads, group, head_dim, value_dim, dtype, window)| {
                let numbers = |count| prop::collection::vec(-2.0_f32..2.0, count);
                let positions = prop::collection::vec(0..tokens as u32, 20);
                (
                    numbers(tokens * kv_heads * head_dim),
                    numbers(tokens * kv_heads * value_dim),
                    numbers(20 * kv_heads * group * head_dim),
                    positions,
                )
                    .prop_map(move |(k, v, q, positions)| Case {
                        shape: [tokens, kv_heads, group, head_dim, value_dim],
                        dtype,
                        window,
                        k,
                        v,
                        q,
                        positions,
                    })
            },
        )
}

fn queries(case: &Case) -> Queries<'_> {
    let [_, kv_heads, group, ..] = case.shape;
    Queries {
        q: &case.q,
        positions: &case.positions,
        q_heads: kv_heads * group,
        scale: 0.3,
        sliding_window: case.window,
    }
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn attend_equals_the_naive_sum_in_both_orders(case in cases()) {
        let [tokens, kv_heads, group, head_dim, value_dim] = case.shape;
        let (k_bytes, v_bytes) = (case.dtype.encode(&case.k), case.dtype.encode(&case.v));
        let by_head = |order, k, v| Stored {
            k, v, dtype: case.dtype, order, tokens, kv_heads, head_dim, value_dim,
        };
        let stored = by_head(Order::HeadsMajor, &k_bytes, &v_bytes);
        let exact = attend(&stored, &queries(&case)).unwrap();

        let turned = |bytes: &Vec<u8>, dim| {
            let plane = Plane::new(bytes.clone().into(), case.dtype, [kv_heads, tokens, dim]).unwrap();
            plane.tokens_major(0..tokens)
        };
        let (k_turned, v_turned) = (turned(&k_bytes, head_dim), turned(&v_bytes, value_dim));
        let stored_turned = by_head(Order::TokensMajor, &k_turned, &v_turned);
        prop_assert_eq!(&attend(&stored_turned, &queries(&case)).unwrap(), &exact);

        let mut pieces = Pieces::new(queries(&case), [kv_heads, head_dim, value_dim]).unwrap();
        for range in [0..tokens / 3, tokens / 3..tokens] {
            let cut = |bytes: &Vec<u8>, dim| {
                let row = kv_heads * dim * case.dtype.size();
                bytes[range.start * row..range.end * row].to_vec()
            };
            let (k, v) = (cut(&k_turned, head_dim), cut(&v_turned, value_dim));
            pieces.add(&Stored { k: &k, v: &v, tokens: range.len(), ..stored_turned }).unwrap();
        }
        prop_assert_eq!(&pieces.finish().unwrap(), &exact);

        let (k, v) = (case.dtype.decode(&k_bytes), case.dtype.decode(&v_bytes));
        for (row, &position) in case.positions.iter().enumerate() {
            for head in 0..kv_heads * group {
                let end = position as usize + 1;
                let first = if case.window == 0 { 0 } else { end.saturating_sub(case.window as usize) };
                let rows = |data: &[f32], dim: usize| -> Vec<Vec<f32>> {
                    let start = head / group * tokens;
                    (first..end).map(|t| data[(start + t) * dim..(start + t + 1) * dim].to_vec()).collect()
                };
                let (keys, values) = (rows(&k, head_dim), rows(&v, value_dim));
                let keys: Vec<&[f32]> = keys.iter().map(Vec::as_slice).collect();
                let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
                let at = row * kv_heads * group + head;
                let q = &case.q[at * head_dim..(at + 1) * head_dim];
                let (out, lse) = naive(q, &keys, &values, 0.3);
                prop_assert!(close(&exact.out[at * value_dim..(at + 1) * value_dim], &out));
                prop_assert!(close(&[exact.lse[at]], &[lse]));
            }
        }
        let weights = weights(&stored, &queries(&case), 0, 0).unwrap();
        prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn scores_far_beyond_exp_are_no_trouble() {
    let (k, v) = (
        Dtype::F32.encode(&[900.0, -900.0, 899.0]),
        Dtype::F32.encode(&[1.0, 2.0, 3.0]),
    );
    let stored = Stored {
        k: &k,
        v: &v,
        dtype: Dtype::F32,
        order: Order::TokensMajor,
        tokens: 3,
        kv_heads: 1,
        head_dim: 1,
        value_dim: 1,
    };
    let q = Queries {
        q: &[1.0],
        positions: &[2],
        q_heads: 1,
        scale: 1.0,
        sliding_window: 0,
    };
    let Exact { out, lse } = attend(&stored, &q).unwrap();
    let e = 1.0_f64.exp();
    assert!(close(&out, &[(e + 3.0) / (e + 1.0)]) && close(&lse, &[900.0 + (1.0 / e).ln_1p()]));
}

#[test]
fn shapes_that_do_not_fit_are_refused_in_a_sentence() {
    let bytes = vec![0; 8];
    let stored = Stored {
        k: &bytes,
        v: &bytes,
        dtype: Dtype::F32,
        order: Order::TokensMajor,
        tokens: 2,
        kv_heads: 1,
        head_dim: 1,
        value_dim: 1,
    };
    let q = Queries {
        q: &[1.0],
        positions: &[0],
        q_heads: 1,
        scale: 1.0,
        sliding_window: 0,
    };
    assert!(attend(&stored, &q).is_ok());
    let sentence =
        |stored: &Stored<'_>, q: &Queries<'_>| attend(stored, q).unwrap_err().to_string();
    assert_eq!(
        sentence(
            &stored,
            &Queries {
                positions: &[2],
                ..q
            }
        ),
        "position is 2, expected below 2"
    );
    assert_eq!(
        sentence(&stored, &Queries { q: &[], ..q }),
        "q elements is 0, expected 1 * 1 * 1"
    );
    assert!(
        sentence(
            &Stored {
                head_dim: usize::MAX,
                ..stored
            },
            &q
        )
        .starts_with("k bytes is 8")
    );
    assert!(
        sentence(
            &Stored {
                kv_heads: 0,
                ..stored
            },
            &q
        )
        .starts_with("kv_heads is 0")
    );
    let mut pieces = Pieces::new(q, [1, 1, 1]).unwrap();
    let sentence = pieces.clone().finish().unwrap_err().to_string();
    assert_eq!(sentence, "position is 0, expected below 0");
    let wide = Stored {
        value_dim: 2,
        ..stored
    };
    let sentence = pieces.add(&wide).unwrap_err().to_string();
    assert_eq!(sentence, "value_dim is 2, expected 1");
    assert!(
        weights(&stored, &q, 0, 1)
            .unwrap_err()
            .to_string()
            .starts_with("q_head is 1")
    );
}
