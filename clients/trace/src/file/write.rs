//! From a trace to the metadata and tensors of a file.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use safetensors::View;

use super::container_dtype;
use crate::{Plane, Trace};

impl Trace {
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let numbers: Vec<u32> = self.layers.iter().map(|layer| layer.number).collect();
        let planted: Vec<(u32, usize)> = self
            .planted
            .iter()
            .map(|planted| (planted.position, planted.query))
            .collect();
        [
            ("model", self.model.clone()),
            ("text", self.text.clone()),
            ("tokens", self.tokens.to_string()),
            ("layers", format!("{numbers:?}")),
            ("q_heads", self.q_heads.to_string()),
            ("kv_heads", self.kv_heads.to_string()),
            ("head_dim", self.head_dim.to_string()),
            ("value_dim", self.value_dim.to_string()),
            ("scale", self.scale.to_string()),
            ("needles", self.needles.clone()),
            ("planted", serde_json::json!(planted).to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    pub(super) fn tensors(&self) -> Vec<(String, Tensor)> {
        let integers = |numbers: &mut dyn Iterator<Item = i32>, count| Tensor {
            dtype: safetensors::Dtype::I32,
            shape: vec![count],
            data: numbers
                .flat_map(i32::to_le_bytes)
                .collect::<Vec<u8>>()
                .into(),
        };
        let queries = self.q_positions.len();
        let mut positions = self.q_positions.iter().map(|&p| p as i32);
        let mut tokens = self.token_ids.iter().copied();
        let mut tensors = vec![
            ("q_positions".to_owned(), integers(&mut positions, queries)),
            (
                "token_ids".to_owned(),
                integers(&mut tokens, self.token_ids.len()),
            ),
        ];
        for layer in &self.layers {
            let n = layer.number;
            tensors.push((format!("L{n}.k"), Tensor::of(&layer.k)));
            tensors.push((format!("L{n}.v"), Tensor::of(&layer.v)));
            let shape = vec![queries, self.q_heads, self.head_dim];
            let q = Tensor {
                dtype: safetensors::Dtype::F16,
                shape,
                data: layer.q.clone(),
            };
            tensors.push((format!("L{n}.q"), q));
        }
        tensors
    }
}

/// A tensor on its way to a file.
pub(super) struct Tensor {
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    data: Bytes,
}

impl Tensor {
    fn of(plane: &Plane) -> Self {
        Self {
            dtype: container_dtype(plane.dtype()),
            shape: plane.shape().to_vec(),
            data: plane.data().clone(),
        }
    }
}

impl View for Tensor {
    fn dtype(&self) -> safetensors::Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}
