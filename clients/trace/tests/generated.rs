//! Generated traces: the same for a seed, of any geometry, and like a model's.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

use wavekv_trace::generate::{GenerateParameters, Generator, generate};
use wavekv_trace::{Dtype, Trace, exact};

fn weights(trace: &Trace, row: usize, q_head: usize) -> Vec<f64> {
    let layer = &trace.layers[0];
    let q = layer.queries(0..trace.q_positions.len(), trace.q_heads * trace.head_dim);
    let queries = exact::Queries {
        q: &q,
        positions: &trace.q_positions,
        q_heads: trace.q_heads,
        scale: f64::from(trace.scale),
        sliding_window: 0,
    };
    exact::weights(&trace.stored(layer), &queries, row, q_head).unwrap()
}

#[test]
fn a_seed_decides_every_byte() {
    let parameters = GenerateParameters {
        tokens: 1000,
        layers: 2,
        ..Default::default()
    };
    let trace = generate(&parameters).unwrap();
    assert_eq!(generate(&parameters).unwrap(), trace);
    let other = generate(&GenerateParameters {
        seed: 2,
        ..parameters
    })
    .unwrap();
    assert_ne!(other.layers[0].k, trace.layers[0].k);
    assert_ne!(trace.layers[0].k, trace.layers[1].k);
}

#[test]
fn any_range_can_be_made_alone() {
    let parameters = GenerateParameters {
        tokens: 3000,
        layers: 2,
        value_dim: 32,
        ..Default::default()
    };
    let trace = generate(&parameters).unwrap();
    let generator = Generator::new(&parameters).unwrap();
    assert_eq!(generator.geometry(), trace.geometry());
    assert_eq!(generator.q_positions(), trace.q_positions);
    assert_eq!(generator.last_queries(), trace.last_queries());
    for (number, whole) in trace.layers.iter().enumerate() {
        let layer = generator.layer(number);
        assert_eq!(layer.q(), &whole.q);
        for range in [0..3000, 0..1, 1023..1025, 100..2900, 2048..5000, 7..7] {
            let [k, v] = layer.range(range.clone());
            let within = range.start..range.end.min(3000);
            assert_eq!(k.shape(), [2, within.len(), 64]);
            assert_eq!(
                k.tokens_major(0..3000),
                whole.tokens_major_k(within.clone())
            );
            assert_eq!(v.tokens_major(0..3000), whole.tokens_major_v(within));
        }
    }
}

#[test]
fn needles_outweigh_all_other_tokens_for_their_query() {
    for (tokens, head_dim) in [(300, 16), (4000, 64), (4000, 128)] {
        let trace = generate(&GenerateParameters {
            tokens,
            head_dim,
            group: 3,
            needles: 8,
            ..Default::default()
        })
        .unwrap();
        assert_eq!(trace.planted.len(), 8);
        for planted in &trace.planted {
            assert!(trace.last_queries().contains(&planted.query));
            for q_head in [0, 2, 3, 5] {
                let weight = weights(&trace, planted.query, q_head)[planted.position as usize];
                assert!(
                    weight > 0.5,
                    "{tokens} tokens, dim {head_dim}, {planted:?}: {weight}"
                );
            }
        }
    }
}

#[test]
fn every_geometry_is_made_with_finite_numbers() {
    for (tokens, kv_heads, group, head_dim, value_dim, dtype) in [
        (1, 1, 1, 16, 16, Dtype::F16),
        (2, 1, 32, 16, 576, Dtype::F32),
        (63, 3, 2, 20, 33, Dtype::Bf16),
        (129, 1, 4, 576, 512, Dtype::F16),
    ] {
        let trace = generate(&GenerateParameters {
            tokens,
            kv_heads,
            group,
            head_dim,
            value_dim,
            layers: 1,
            dtype,
            seed: 3,
            needles: (tokens / 4).min(64),
        })
        .unwrap();
        let layer = &trace.layers[0];
        let all = [
            dtype.decode(layer.k.data()),
            dtype.decode(layer.v.data()),
            Dtype::F16.decode(&layer.q),
        ];
        assert!(all.iter().flatten().all(|x| x.is_finite()));
        let answer = trace.attend(layer, 0..trace.q_positions.len()).unwrap();
        assert!(answer.out.iter().all(|x| x.is_finite()));
        assert_eq!(trace.q_positions.last(), Some(&(tokens as u32 - 1)));
    }
}

#[test]
fn parameters_outside_their_range_are_named() {
    let refused = |parameters| generate(&parameters).unwrap_err().to_string();
    let usual = GenerateParameters::default;
    assert_eq!(
        refused(GenerateParameters {
            head_dim: 8,
            ..usual()
        }),
        "head_dim is 8, expected 16 to 576"
    );
    assert!(
        refused(GenerateParameters {
            tokens: 0,
            ..usual()
        })
        .starts_with("tokens is 0")
    );
    assert_eq!(
        refused(GenerateParameters {
            tokens: 20,
            ..usual()
        }),
        "needles is 8, expected 0 to 5"
    );
}

/// What was measured on the recorded traces, with some room: see the header of `generate`.
#[test]
fn mass_is_concentrated_as_in_a_model() {
    let trace = generate(&GenerateParameters {
        kv_heads: 4,
        needles: 0,
        ..Default::default()
    })
    .unwrap();
    let rows: Vec<usize> = (0..trace.q_positions.len()).step_by(16).collect();
    let mut best_shares = Vec::new();
    let mut sinks = Vec::new();
    for q_head in 0..trace.q_heads {
        let (mut best, mut sink) = (0.0, 0.0);
        for &row in &rows {
            let mut weights = weights(&trace, row, q_head);
            sink += weights[..4].iter().sum::<f64>();
            weights.sort_by(|a, b| b.total_cmp(a));
            best += weights[..weights.len() * 18 / 1000].iter().sum::<f64>();
        }
        best_shares.push(best / rows.len() as f64);
        sinks.push(sink / rows.len() as f64);
    }
    best_shares.sort_by(f64::total_cmp);
    sinks.sort_by(f64::total_cmp);
    let (flattest, sharpest) = (best_shares[0], best_shares[best_shares.len() - 1]);
    assert!(flattest < 0.7 && sharpest > 0.9, "{best_shares:?}");
    assert!(
        sinks[0] < 0.05 && (0.2..0.9).contains(&sinks[sinks.len() - 1]),
        "{sinks:?}"
    );
}
