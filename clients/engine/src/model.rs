//! A Llama-like network: its weights, and all of a step but attention.

use std::io::{Read, Seek};

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor, bail};
use candle_nn::ops::{rms_norm, silu};
use candle_nn::rotary_emb::rope_i;

use crate::EngineError;

/// Where the keys and values of earlier tokens are.
pub trait KvCache {
    /// Attention of one layer's new tokens, which are stored after those before them.
    ///
    /// `q` is `[tokens, q_heads, head_dim]`, `k` and `v` are `[tokens, kv_heads, head_dim]`, all f32 with their positions
    /// applied; the answer is like `q`. Token i sees itself and all before it; scores are scaled by `1 / sqrt(head_dim)`.
    ///
    /// # Errors
    /// [`EngineError`].
    fn attend(
        &mut self,
        layer: usize,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<Tensor, EngineError>;
}

/// Sizes of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// What the weights call themselves.
    pub name: String,
    /// Layers.
    pub layers: usize,
    /// Query heads of a layer.
    pub q_heads: usize,
    /// KV heads of a layer.
    pub kv_heads: usize,
    /// Elements of a query, a key and a value.
    pub head_dim: usize,
    /// Tokens that the model was made for.
    pub context: usize,
    /// Base of the rotary positions.
    pub rope_base: f32,
    /// Added to the mean square under a norm's root.
    norm_epsilon: f32,
}

/// Weights in f32, and the sizes that they have.
#[derive(Debug)]
pub struct Model {
    shape: Shape,
    /// `[vocabulary, hidden]`.
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: Tensor,
    /// `[vocabulary, hidden]`; the embedding itself where the weights have no other.
    head: Tensor,
    /// Of every position, `[context, head_dim / 2]`.
    cos: Tensor,
    sin: Tensor,
}

#[derive(Debug)]
struct Block {
    attention_norm: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attended: Tensor,
    mlp_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

impl Model {
    /// Reads the weights of a GGUF file, whose header is `content`, and makes f32 of them.
    ///
    /// # Errors
    /// [`EngineError::Model`] when it is not of the architecture `llama`, or something is missing.
    pub fn read<R: Read + Seek>(content: &Content, file: &mut R) -> Result<Self, EngineError> {
        let shape = Shape::read(content)?;
        let mut weights = Weights { content, file };
        let embedding = weights.take("token_embd.weight")?;
        let head = if content.tensor_infos.contains_key("output.weight") {
            weights.take("output.weight")?
        } else {
            embedding.clone()
        };
        let blocks = (0..shape.layers)
            .map(|layer| Block::read(layer, &mut weights))
            .collect::<Result<_, _>>()?;
        let (cos, sin) = positions(&shape)?;
        Ok(Self {
            embedding,
            blocks,
            norm: weights.take("output_norm.weight")?,
            head,
            cos,
            sin,
            shape,
        })
    }

    /// Its sizes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Computes `ids`, the first of which is at `position`, and gives the logits `[vocabulary]` of what follows the last.
    ///
    /// # Errors
    /// [`EngineError`]; what `cache` stored of earlier layers stays there.
    pub fn forward(
        &self,
        ids: &[u32],
        position: usize,
        cache: &mut impl KvCache,
    ) -> Result<Tensor, EngineError> {
        let tokens = ids.len();
        if tokens == 0 {
            return Err(EngineError::NoPrompt);
        }
        if position + tokens > self.shape.context {
            return Err(EngineError::TooLong {
                tokens: position + tokens,
                limit: self.shape.context,
            });
        }
        let epsilon = self.shape.norm_epsilon;
        let cos = self.cos.narrow(0, position, tokens)?;
        let sin = self.sin.narrow(0, position, tokens)?;
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let mut hidden = self.embedding.index_select(&ids, 0)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let normed = rms_norm(&hidden, &block.attention_norm, epsilon)?;
            let q = rotated(&self.heads(&normed, &block.q)?, &cos, &sin)?;
            let k = rotated(&self.heads(&normed, &block.k)?, &cos, &sin)?;
            let v = self.heads(&normed, &block.v)?;
            let attended = cache.attend(layer, &q, &k, &v)?.flatten_from(1)?;
            hidden = (hidden + linear(&attended, &block.attended)?)?;

            let normed = rms_norm(&hidden, &block.mlp_norm, epsilon)?;
            let gated = (silu(&linear(&normed, &block.gate)?)? * linear(&normed, &block.up)?)?;
            hidden = (hidden + linear(&gated, &block.down)?)?;
        }
        let last = hidden.narrow(0, tokens - 1, 1)?;
        let last = rms_norm(&last, &self.norm, epsilon)?;
        Ok(linear(&last, &self.head)?.squeeze(0)?)
    }

    /// `[tokens, heads, head_dim]`.
    fn heads(&self, x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        linear(x, weight)?.reshape((x.dim(0)?, (), self.shape.head_dim))
    }
}

impl Shape {
    fn read(content: &Content) -> Result<Self, EngineError> {
        let of = |key: &str| match content.metadata.get(key) {
            Some(value) => Ok(value),
            None => bail!("the weights have no {key}"),
        };
        let architecture = of("general.architecture")?.to_string()?;
        if architecture != "llama" {
            return Err(candle_core::Error::Msg(format!(
                "general.architecture is {architecture:?}, expected \"llama\""
            ))
            .into());
        }
        let count = |key: &str| of(key)?.to_u32().map(|count| count as usize);
        let q_heads = count("llama.attention.head_count")?;
        let hidden = count("llama.embedding_length")?;
        if q_heads == 0 || hidden % (2 * q_heads) != 0 {
            return Err(candle_core::Error::Msg(format!(
                "llama.embedding_length is {hidden}, expected a multiple of twice the {q_heads} heads"
            ))
            .into());
        }
        let name = content.metadata.get("general.name");
        Ok(Self {
            name: name.and_then(named).unwrap_or("a model").to_owned(),
            layers: count("llama.block_count")?,
            q_heads,
            kv_heads: count("llama.attention.head_count_kv")?,
            head_dim: hidden / q_heads,
            context: count("llama.context_length")?,
            rope_base: match content.metadata.get("llama.rope.freq_base") {
                Some(base) => base.to_f32()?,
                None => 10_000.0,
            },
            norm_epsilon: of("llama.attention.layer_norm_rms_epsilon")?.to_f32()?,
        })
    }

    /// Bytes of K and V of one token in all layers, of elements of `element_bytes`.
    pub fn kv_bytes(&self, element_bytes: usize) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim * element_bytes
    }
}

fn named(value: &Value) -> Option<&str> {
    value.to_string().ok().map(String::as_str)
}

struct Weights<'a, R> {
    content: &'a Content,
    file: &'a mut R,
}

impl<R: Read + Seek> Weights<'_, R> {
    fn take(&mut self, name: &str) -> candle_core::Result<Tensor> {
        let quantized = self.content.tensor(self.file, name, &Device::Cpu)?;
        quantized.dequantize(&Device::Cpu)
    }
}

impl Block {
    fn read<R: Read + Seek>(
        layer: usize,
        weights: &mut Weights<'_, R>,
    ) -> candle_core::Result<Self> {
        let mut take = |name: &str| weights.take(&format!("blk.{layer}.{name}.weight"));
        Ok(Self {
            attention_norm: take("attn_norm")?,
            q: take("attn_q")?,
            k: take("attn_k")?,
            v: take("attn_v")?,
            attended: take("attn_output")?,
            mlp_norm: take("ffn_norm")?,
            gate: take("ffn_gate")?,
            up: take("ffn_up")?,
            down: take("ffn_down")?,
        })
    }
}

/// `x` is `[tokens, in]`, `weight` `[out, in]`.
fn linear(x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
    x.matmul(&weight.t()?)
}

/// Turns neighbouring pairs of elements: the order in which GGUF stores the q and k weights of a Llama.
fn rotated(x: &Tensor, cos: &Tensor, sin: &Tensor) -> candle_core::Result<Tensor> {
    let heads_first = x.transpose(0, 1)?.unsqueeze(0)?.contiguous()?;
    let turned = rope_i(&heads_first, cos, sin)?;
    turned.squeeze(0)?.transpose(0, 1)?.contiguous()
}

/// Cosines and sines of every position, `[context, head_dim / 2]` each.
fn positions(shape: &Shape) -> candle_core::Result<(Tensor, Tensor)> {
    let pairs = shape.head_dim / 2;
    let turn = |pair: usize| {
        shape
            .rope_base
            .powf(-2.0 * pair as f32 / shape.head_dim as f32)
    };
    let turns: Vec<f32> = (0..pairs).map(turn).collect();
    let turns = Tensor::from_vec(turns, (1, pairs), &Device::Cpu)?;
    let all: Vec<f32> = (0..shape.context).map(|position| position as f32).collect();
    let all = Tensor::from_vec(all, (shape.context, 1), &Device::Cpu)?;
    let angles = all.matmul(&turns)?;
    Ok((angles.cos()?, angles.sin()?))
}
