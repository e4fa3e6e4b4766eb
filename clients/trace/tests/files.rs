//! Trace files: what is written is read back, and what is malformed is refused in a sentence.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

use std::collections::HashMap;

use proptest::prelude::*;
use safetensors::tensor::TensorView;
use wavekv_trace::generate::{GenerateParameters, generate};
use wavekv_trace::{Dtype, Trace};

fn small(dtype: Dtype) -> Trace {
    let parameters = GenerateParameters {
        tokens: 200,
        kv_heads: 2,
        group: 3,
        head_dim: 24,
        value_dim: 16,
        layers: 2,
        dtype,
        seed: 9,
        needles: 2,
    };
    generate(&parameters).unwrap()
}

/// A file in parts, to be damaged: metadata, and (dtype, shape, bytes) by name.
type Parts = (
    HashMap<String, String>,
    HashMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>,
);

fn parts() -> Parts {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    small(Dtype::F16).save(&path).unwrap();
    let bytes = fs_err::read(&path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        (
            name,
            (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
        )
    });
    (metadata.metadata().clone().unwrap(), tensors.collect())
}

fn refusal(damage: impl FnOnce(&mut Parts)) -> String {
    let mut parts = parts();
    damage(&mut parts);
    let views = parts.1.iter().map(|(name, (dtype, shape, data))| {
        (
            name.clone(),
            TensorView::new(*dtype, shape.clone(), data).unwrap(),
        )
    });
    let bytes = safetensors::serialize(views, Some(parts.0.clone())).unwrap();
    Trace::from_bytes(&bytes.into()).unwrap_err().to_string()
}

fn set(key: &str, value: &str) -> impl FnOnce(&mut Parts) {
    let (key, value) = (key.to_owned(), value.to_owned());
    move |parts| {
        parts.0.insert(key, value);
    }
}

#[test]
fn a_saved_trace_is_loaded_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F32] {
        let path = folder.path().join(dtype.to_string());
        let trace = small(dtype);
        trace.save(&path).unwrap();
        assert_eq!(Trace::load(&path).unwrap(), trace);
    }
}

#[test]
fn recorded_files_need_neither_value_dim_nor_planted() {
    let mut parts = parts();
    parts.0.remove("value_dim");
    parts.0.remove("planted");
    let sentence = refusal(|damaged| *damaged = parts);
    assert!(
        sentence.contains("L0.v has shape [2, 200, 16], expected [2, 200, 24]"),
        "{sentence}"
    );
}

#[test]
fn metadata_that_make_no_sense_are_named() {
    for (damage, expected) in [
        (
            set("tokens", "many"),
            "tokens is \"many\", expected a number",
        ),
        (set("tokens", "-1"), "expected a number"),
        (
            set("tokens", "18446744073709551615"),
            "expected [2, 18446744073709551615, 24]",
        ),
        (
            set("scale", "NaN"),
            "scale is \"NaN\", expected a finite number above 0",
        ),
        (set("scale", "-0.5"), "expected a finite number above 0"),
        (set("layers", "two"), "layers is \"two\""),
        (set("layers", "[]"), "at least one layer"),
        (set("layers", "[1, 0]"), "ascending numbers"),
        (set("layers", "[0, 7]"), "tensor L7.k is missing"),
        (
            set("q_heads", "5"),
            "tensor L0.q has shape [100, 6, 24], expected [100, 5, 24]",
        ),
        (set("kv_heads", "0"), "expected [0, 200, 24]"),
        (set("planted", "[[200, 0]]"), "planted is \"[200, 0]\""),
    ] {
        let sentence = refusal(damage);
        assert!(
            sentence.contains(expected),
            "{sentence:?} lacks {expected:?}"
        );
    }
    let missing = refusal(|(metadata, _)| drop(metadata.remove("scale")));
    assert_eq!(missing, "metadata scale is missing");
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let missing = refusal(|(_, tensors)| drop(tensors.remove("L1.v")));
    assert_eq!(missing, "tensor L1.v is missing");
    let short = refusal(|(_, tensors)| {
        let k = tensors.get_mut("L1.k").unwrap();
        k.1 = vec![2, 100, 48];
    });
    assert_eq!(
        short,
        "tensor L1.k has shape [2, 100, 48], expected [2, 200, 24]"
    );
    let dtype = refusal(|(_, tensors)| {
        tensors.get_mut("L1.k").unwrap().0 = safetensors::Dtype::BF16;
    });
    assert_eq!(dtype, "tensor L1.k has dtype BF16, expected F16");
    let eight = refusal(|(_, tensors)| {
        let k = tensors.get_mut("L0.k").unwrap();
        (k.0, k.1) = (safetensors::Dtype::U8, vec![k.2.len()]);
    });
    assert_eq!(eight, "tensor L0.k has dtype U8, expected F16, BF16 or F32");
}

#[test]
fn positions_outside_the_text_are_refused() {
    let with_last = |position: i32| {
        move |(_, tensors): &mut Parts| {
            let data = &mut tensors.get_mut("q_positions").unwrap().2;
            let end = data.len();
            data[end - 4..].copy_from_slice(&position.to_le_bytes());
        }
    };
    assert!(refusal(with_last(200)).contains("q_positions is \"200\", expected below 200 tokens"));
    assert!(refusal(with_last(-1)).contains("q_positions is \"-1\", expected at least 0"));
    assert!(refusal(with_last(3)).contains("ascending"));
}

#[test]
fn an_absent_file_is_named() {
    let sentence = Trace::load("/no/such.safetensors".as_ref())
        .unwrap_err()
        .to_string();
    assert!(sentence.contains("/no/such.safetensors"), "{sentence}");
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(at in 0.0..1.0_f64, byte: u8, cut in 0.0..1.0_f64, whole: bool) {
        static FILE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t");
            small(Dtype::F16).save(&path).unwrap();
            fs_err::read(path).unwrap()
        });
        let mut bytes = FILE.clone();
        // The header is where damage matters.
        bytes[(at * 1500.0) as usize] = byte;
        if !whole {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        let _ = Trace::from_bytes(&bytes.into());
    }
}
