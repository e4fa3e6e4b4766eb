//! A model of random weights, by way of a GGUF file.

use std::io::{Cursor, Seek as _};

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use wavekv_engine::Model;

/// Tokens that the model knows.
pub(crate) const VOCABULARY: u32 = 64;
const LAYERS: u32 = 3;
const HIDDEN: usize = 128;
const MLP: usize = 96;
const Q_HEADS: u32 = 4;
const KV_HEADS: u32 = 2;
const HEAD_DIM: usize = HIDDEN / Q_HEADS as usize;

/// The same every time.
pub(crate) fn model() -> Model {
    let mut file = Cursor::new(Vec::new());
    let metadata = [
        ("general.architecture", Value::String("llama".to_owned())),
        ("llama.block_count", Value::U32(LAYERS)),
        ("llama.context_length", Value::U32(1024)),
        ("llama.embedding_length", Value::U32(HIDDEN as u32)),
        ("llama.attention.head_count", Value::U32(Q_HEADS)),
        ("llama.attention.head_count_kv", Value::U32(KV_HEADS)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
    ];
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors = tensors();
    let named: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    gguf_file::write(&mut file, &metadata, &named).unwrap();
    file.rewind().unwrap();
    let content = Content::read(&mut file).unwrap();
    Model::read(&content, &mut file).unwrap()
}

fn tensors() -> Vec<(String, QTensor)> {
    let mut random = Pcg64::seed_from_u64(5);
    let mut tensors = Vec::new();
    let mut add = |name: String, dims: &[usize], spread: f32| {
        let numbers = (0..dims.iter().product()).map(|_| {
            let number: f32 = random.sample(StandardNormal);
            number * spread
        });
        let made = Tensor::from_vec(numbers.collect::<Vec<_>>(), dims, &Device::Cpu).unwrap();
        let made = if dims.len() == 1 {
            (made + 1.0).unwrap()
        } else {
            made
        };
        tensors.push((name, QTensor::quantize(&made, GgmlDType::F32).unwrap()));
    };
    let vocabulary = VOCABULARY as usize;
    let kv = KV_HEADS as usize * HEAD_DIM;
    add("token_embd.weight".to_owned(), &[vocabulary, HIDDEN], 1.0);
    add("output_norm.weight".to_owned(), &[HIDDEN], 0.1);
    for layer in 0..LAYERS {
        let mut weight = |name: &str, dims: &[usize], spread: f32| {
            add(format!("blk.{layer}.{name}.weight"), dims, spread);
        };
        weight("attn_norm", &[HIDDEN], 0.1);
        // Sharp enough that not all tokens weigh alike.
        weight("attn_q", &[HIDDEN, HIDDEN], 0.15);
        weight("attn_k", &[kv, HIDDEN], 0.15);
        weight("attn_v", &[kv, HIDDEN], 0.1);
        weight("attn_output", &[HIDDEN, HIDDEN], 0.1);
        weight("ffn_norm", &[HIDDEN], 0.1);
        weight("ffn_gate", &[MLP, HIDDEN], 0.1);
        weight("ffn_up", &[MLP, HIDDEN], 0.1);
        weight("ffn_down", &[HIDDEN, MLP], 0.1);
    }
    tensors
}
