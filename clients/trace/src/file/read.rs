//! From bytes to a trace: every shape and dtype is compared with the metadata.

use std::str::FromStr;

use bytes::Bytes;
use safetensors::tensor::{Metadata, TensorInfo};

use super::container_dtype;
use super::fault::{Fault, tensor, value};
use crate::{Dtype, Layer, Plane, Planted, Trace};

/// The parts of a file while it is read.
pub(super) struct File<'a> {
    pub(super) data: Bytes,
    pub(super) metadata: &'a Metadata,
}

impl File<'_> {
    pub(super) fn trace(&self) -> Result<Trace, Fault> {
        let tokens: usize = self.number("tokens")?;
        let q_heads: usize = self.number("q_heads")?;
        let kv_heads: usize = self.number("kv_heads")?;
        let head_dim: usize = self.number("head_dim")?;
        let value_dim = if self.text("value_dim").is_ok() {
            self.number("value_dim")?
        } else {
            head_dim
        };
        let positions = self.integers("q_positions", None)?;
        let q_positions = positions
            .iter()
            .map(|&p| u32::try_from(p).map_err(|_| value("q_positions", &p, "at least 0")))
            .collect::<Result<Vec<u32>, Fault>>()?;
        let numbers: Vec<u32> = self.json("layers", "a JSON list of layer numbers")?;
        let dtype = self.dtype(numbers.first().copied())?;
        let layers = numbers
            .into_iter()
            .map(|n| {
                let k_shape = [kv_heads, tokens, head_dim];
                let q_shape = [q_positions.len(), q_heads, head_dim];
                Ok(Layer {
                    number: n,
                    k: self.plane(&format!("L{n}.k"), dtype, k_shape)?,
                    v: self.plane(&format!("L{n}.v"), dtype, [kv_heads, tokens, value_dim])?,
                    q: self
                        .plane(&format!("L{n}.q"), Dtype::F16, q_shape)?
                        .data()
                        .clone(),
                })
            })
            .collect::<Result<Vec<Layer>, Fault>>()?;
        let planted: Vec<(u32, usize)> = if self.text("planted").is_ok() {
            self.json("planted", "a JSON list of [position, query row]")?
        } else {
            Vec::new()
        };
        Ok(Trace {
            model: self.text("model")?.to_owned(),
            text: self.text("text")?.to_owned(),
            tokens,
            q_heads,
            kv_heads,
            head_dim,
            value_dim,
            scale: self.number("scale")?,
            dtype,
            q_positions,
            token_ids: self.integers("token_ids", Some(tokens))?,
            layers,
            needles: self.text("needles")?.to_owned(),
            planted: planted
                .into_iter()
                .map(|(position, query)| Planted { position, query })
                .collect(),
        })
    }

    fn text(&self, key: &'static str) -> Result<&str, Fault> {
        let entries = self.metadata.metadata().as_ref();
        let entry = entries.and_then(|entries| entries.get(key));
        entry.map(String::as_str).ok_or(Fault::MissingMetadata(key))
    }

    fn number<T: FromStr>(&self, key: &'static str) -> Result<T, Fault> {
        let text = self.text(key)?;
        text.parse().map_err(|_| value(key, text, "a number"))
    }

    fn json<T: serde::de::DeserializeOwned>(
        &self,
        key: &'static str,
        expected: &str,
    ) -> Result<T, Fault> {
        let text = self.text(key)?;
        serde_json::from_str(text).map_err(|_| value(key, text, expected))
    }

    /// The element type of all K and V, which that of the first layer's K decides.
    fn dtype(&self, first: Option<u32>) -> Result<Dtype, Fault> {
        let n = first.ok_or_else(|| value("layers", "[]", "at least one layer"))?;
        let name = format!("L{n}.k");
        let found = self.info(&name)?.dtype;
        [Dtype::Bf16, Dtype::F16, Dtype::F32]
            .into_iter()
            .find(|&dtype| container_dtype(dtype) == found)
            .ok_or_else(|| tensor(&name, "dtype", &found, "F16, BF16 or F32"))
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, Fault> {
        self.metadata
            .info(name)
            .ok_or_else(|| Fault::MissingTensor(name.to_owned()))
    }

    /// A tensor's bytes, after its dtype and shape were compared with the expected ones.
    fn bytes(
        &self,
        name: &str,
        dtype: safetensors::Dtype,
        shape: Option<&[usize]>,
    ) -> Result<Bytes, Fault> {
        let info = self.info(name)?;
        if info.dtype != dtype {
            return Err(tensor(name, "dtype", &info.dtype, &format!("{dtype:?}")));
        }
        if let Some(shape) = shape.filter(|&shape| shape != info.shape) {
            return Err(tensor(name, "shape", &info.shape, &format!("{shape:?}")));
        }
        let (start, end) = info.data_offsets;
        if start > end || end > self.data.len() {
            return Err(tensor(
                name,
                "offsets",
                &(start, end),
                &format!("within {}", self.data.len()),
            ));
        }
        Ok(self.data.slice(start..end))
    }

    fn plane(&self, name: &str, dtype: Dtype, shape: [usize; 3]) -> Result<Plane, Fault> {
        let data = self.bytes(name, container_dtype(dtype), Some(&shape))?;
        let found = data.len();
        Plane::new(data, dtype, shape)
            .ok_or_else(|| tensor(name, "bytes", &found, &format!("{shape:?} of {dtype}")))
    }

    fn integers(&self, name: &str, length: Option<usize>) -> Result<Vec<i32>, Fault> {
        let shape = length.map(|length| [length]);
        let data = self.bytes(
            name,
            safetensors::Dtype::I32,
            shape.as_ref().map(<[usize; 1]>::as_slice),
        )?;
        Ok(data
            .chunks_exact(4)
            .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    }
}
