//! A cache of one's own: all K and V in this process, and every score computed.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops::softmax_last_dim;
use wavekv_engine::{EngineError, KvCache, Shape};

/// K and V of every layer, each `[kv_heads, tokens, head_dim]`, rounded as the daemon stores them.
pub(crate) struct LocalCache {
    stored: Vec<Option<[Tensor; 2]>>,
}

impl LocalCache {
    pub(crate) fn new(shape: &Shape) -> Self {
        Self {
            stored: vec![None; shape.layers],
        }
    }
}

fn rounded(tensor: &Tensor) -> candle_core::Result<Tensor> {
    tensor
        .to_dtype(DType::BF16)?
        .to_dtype(DType::F32)?
        .transpose(0, 1)
}

impl KvCache for LocalCache {
    fn attend(
        &mut self,
        layer: usize,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<Tensor, EngineError> {
        let (tokens, q_heads, dim) = q.dims3()?;
        let [mut k, mut v] = [rounded(k)?, rounded(v)?];
        if let Some([before_k, before_v]) = &self.stored[layer] {
            k = Tensor::cat(&[before_k, &k], 1)?;
            v = Tensor::cat(&[before_v, &v], 1)?;
        }
        let (kv_heads, length, _) = k.dims3()?;
        self.stored[layer] = Some([k.clone(), v.clone()]);

        // Query heads of a group are rows of one product.
        let group = q_heads / kv_heads;
        let q = rounded(q)?.reshape((kv_heads, group * tokens, dim))?;
        let scores = (q.matmul(&k.transpose(1, 2)?.contiguous()?)? / (dim as f64).sqrt())?;
        let seen = |at: usize| {
            let last = length - tokens + at % tokens;
            (0..length).map(move |token| {
                if token <= last {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
        };
        let mask: Vec<f32> = (0..group * tokens).flat_map(seen).collect();
        let mask = Tensor::from_vec(mask, (1, group * tokens, length), &Device::Cpu)?;
        let weights = softmax_last_dim(&scores.broadcast_add(&mask)?)?;
        let out = weights.matmul(&v.contiguous()?)?;
        debug_assert_eq!(out.dim(D::Minus1)?, dim);
        Ok(out
            .reshape((q_heads, tokens, dim))?
            .transpose(0, 1)?
            .contiguous()?)
    }
}
