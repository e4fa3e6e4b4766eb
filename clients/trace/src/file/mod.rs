//! Trace files: safetensors with the metadata of `Trace`.
//!
//! Byte map (safetensors): u64 length of the header, the header in JSON, then the tensors without gaps.
//! `q_positions` `[queries]` i32; `token_ids` `[tokens]` i32; for each layer n of the metadata `layers`: `L{n}.k`
//! `[kv_heads, tokens, head_dim]`, `L{n}.v` `[kv_heads, tokens, value_dim]`, both f16, bf16 or f32 and all layers the
//! same, and `L{n}.q` `[queries, q_heads, head_dim]` f16. The metadata are strings: model, text, tokens, layers (JSON),
//! `q_heads`, `kv_heads`, `head_dim`, scale, needles (JSON). Two are ours and optional: `value_dim` (`head_dim` when
//! absent) and planted (JSON, `[[position, query row], ...]`).
//!
//! A file comes from outside: every number in it is checked, and nothing here may panic.

mod fault;
mod read;
mod write;

use std::path::Path;

use bytes::Bytes;
use safetensors::SafeTensors;

use fault::value;
pub use fault::{Fault, TraceError};
use read::File;

use crate::{Dtype, Trace};

impl Trace {
    /// Reads a trace file. K, V and Q stay views of the file's bytes.
    ///
    /// # Errors
    /// When the file cannot be read or is not a trace; the sentence names the path and what is wrong.
    pub fn load(path: &Path) -> Result<Self, TraceError> {
        let bytes = fs_err::read(path).map_err(TraceError::Read)?;
        Self::from_bytes(&Bytes::from(bytes)).map_err(|fault| TraceError::Malformed {
            path: path.to_owned(),
            fault,
        })
    }

    /// Reads a trace from the bytes of a file.
    ///
    /// # Errors
    /// When they are not a trace.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, Fault> {
        let (header, metadata) = SafeTensors::read_metadata(bytes)?;
        let file = File {
            data: bytes.slice(8 + header..),
            metadata: &metadata,
        };
        let trace = file.trace()?;
        trace.check()?;
        Ok(trace)
    }

    /// Writes the trace to a file that [`Trace::load`] reads back.
    ///
    /// # Errors
    /// When its numbers do not agree with each other, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TraceError> {
        let malformed = |fault| TraceError::Malformed {
            path: path.to_owned(),
            fault,
        };
        self.check().map_err(malformed)?;
        safetensors::serialize_to_file(self.tensors(), Some(self.metadata()), path).map_err(
            |source| TraceError::Write {
                path: path.to_owned(),
                source,
            },
        )
    }

    /// The relations between the numbers that the shapes of tensors do not show.
    fn check(&self) -> Result<(), Fault> {
        for (field, number) in [
            ("tokens", self.tokens),
            ("q_heads", self.q_heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("value_dim", self.value_dim),
            ("layers", self.layers.len()),
            ("q_positions", self.q_positions.len()),
        ] {
            if number == 0 {
                return Err(value(field, &number, "at least 1"));
            }
        }
        if !self.q_heads.is_multiple_of(self.kv_heads) {
            return Err(value(
                "q_heads",
                &self.q_heads,
                format!("a multiple of {} KV heads", self.kv_heads),
            ));
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(value("scale", &self.scale, "a finite number above 0"));
        }
        if !self.q_positions.is_sorted() {
            return Err(value("q_positions", "unordered", "ascending positions"));
        }
        if let Some(&last) = self
            .q_positions
            .last()
            .filter(|&&last| last as usize >= self.tokens)
        {
            return Err(value(
                "q_positions",
                &last,
                format!("below {} tokens", self.tokens),
            ));
        }
        if !self.layers.is_sorted_by_key(|layer| layer.number) {
            return Err(value("layers", "unordered", "ascending numbers"));
        }
        self.check_shapes()?;
        for planted in &self.planted {
            if planted.position as usize >= self.tokens || planted.query >= self.q_positions.len() {
                let found = format!("[{}, {}]", planted.position, planted.query);
                return Err(value(
                    "planted",
                    &found,
                    "positions of tokens and rows of queries",
                ));
            }
        }
        Ok(())
    }

    /// What a file's reader has checked already, for traces that a program has put together.
    fn check_shapes(&self) -> Result<(), Fault> {
        let q_bytes = self.q_positions.len() * self.q_heads * self.head_dim * Dtype::F16.size();
        for layer in &self.layers {
            let planes = [
                ("k", &layer.k, self.head_dim),
                ("v", &layer.v, self.value_dim),
            ];
            for (field, plane, dim) in planes {
                let expected = [self.kv_heads, self.tokens, dim];
                if plane.shape() != expected || plane.dtype() != self.dtype {
                    let found = format!("{:?} {}", plane.shape(), plane.dtype());
                    return Err(value(field, &found, format!("{expected:?} {}", self.dtype)));
                }
            }
            if layer.q.len() != q_bytes {
                return Err(value("q bytes", &layer.q.len(), q_bytes.to_string()));
            }
        }
        if self.token_ids.len() != self.tokens {
            return Err(value(
                "token_ids",
                &self.token_ids.len(),
                self.tokens.to_string(),
            ));
        }
        Ok(())
    }
}

/// The name that the container has for an element type.
fn container_dtype(dtype: Dtype) -> safetensors::Dtype {
    match dtype {
        Dtype::Bf16 => safetensors::Dtype::BF16,
        Dtype::F16 => safetensors::Dtype::F16,
        Dtype::F32 => safetensors::Dtype::F32,
    }
}
