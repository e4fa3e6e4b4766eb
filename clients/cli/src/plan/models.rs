//! Models that planners ask about: what of their attention decides how large a KV cache is.
//!
//! Each is what the `config.json` of the named repository says; a layer that attends to a chunk of its context counts as one
//! with a window of that length.

use serde::Serialize;

/// A model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Model {
    /// As `wavekv capacity` takes it.
    pub(crate) name: &'static str,
    /// Where the numbers stand.
    pub(crate) source: &'static str,
    #[serde(flatten)]
    pub(crate) attention: Attention,
    /// The longest context that it was made for, tokens.
    pub(crate) context: usize,
}

/// What of attention decides how large a KV cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Attention {
    /// That store K and V.
    pub(crate) layers: usize,
    /// Of the layers, those that see the last `window` tokens only.
    pub(crate) windowed_layers: usize,
    /// Tokens; 0 where no layer has one.
    pub(crate) window: usize,
    pub(crate) kv_heads: usize,
    /// Query heads of a KV head.
    pub(crate) group: usize,
    /// Elements of a key.
    pub(crate) head_dim: usize,
    /// Elements of a value.
    pub(crate) value_dim: usize,
}

/// A model whose layers all see everything, with keys and values of one length.
const fn full(
    name: &'static str,
    source: &'static str,
    [layers, kv_heads, group, head_dim]: [usize; 4],
    context: usize,
) -> Model {
    Model {
        name,
        source,
        attention: Attention {
            layers,
            windowed_layers: 0,
            window: 0,
            kv_heads,
            group,
            head_dim,
            value_dim: head_dim,
        },
        context,
    }
}

/// The same with so many layers that see a window only.
const fn windowed(model: Model, windowed_layers: usize, window: usize) -> Model {
    Model {
        attention: Attention {
            windowed_layers,
            window,
            ..model.attention
        },
        ..model
    }
}

/// All there are, by name.
pub(crate) const MODELS: [Model; 16] = [
    // Multi-head latent attention: one KV head, whose key is the latent of 512 and 64 elements of position, and whose value is
    // the latent (arXiv 2412.19437, section 2.1.1).
    Model {
        name: "deepseek-v3",
        source: "deepseek-ai/DeepSeek-V3",
        attention: Attention {
            layers: 61,
            windowed_layers: 0,
            window: 0,
            kv_heads: 1,
            group: 128,
            head_dim: 576,
            value_dim: 512,
        },
        context: 163_840,
    },
    windowed(
        full(
            "gemma-3-270m",
            "google/gemma-3-270m",
            [18, 1, 4, 256],
            32_768,
        ),
        15,
        512,
    ),
    windowed(
        full(
            "gemma-3-4b",
            "google/gemma-3-4b-it",
            [34, 4, 2, 256],
            131_072,
        ),
        29,
        1024,
    ),
    windowed(
        full(
            "gemma-3-12b",
            "google/gemma-3-12b-it",
            [48, 8, 2, 256],
            131_072,
        ),
        40,
        1024,
    ),
    windowed(
        full(
            "gemma-3-27b",
            "google/gemma-3-27b-it",
            [62, 16, 2, 128],
            131_072,
        ),
        52,
        1024,
    ),
    full(
        "llama-3.1-8b",
        "meta-llama/Llama-3.1-8B",
        [32, 8, 4, 128],
        131_072,
    ),
    full(
        "llama-3.1-70b",
        "meta-llama/Llama-3.1-70B",
        [80, 8, 8, 128],
        131_072,
    ),
    full(
        "llama-3.1-405b",
        "meta-llama/Llama-3.1-405B",
        [126, 8, 16, 128],
        131_072,
    ),
    full(
        "llama-3.2-1b",
        "meta-llama/Llama-3.2-1B",
        [16, 8, 4, 64],
        131_072,
    ),
    windowed(
        full(
            "llama-4-scout",
            "meta-llama/Llama-4-Scout-17B-16E",
            [48, 8, 5, 128],
            10_485_760,
        ),
        36,
        8192,
    ),
    full(
        "mistral-7b-v0.3",
        "mistralai/Mistral-7B-v0.3",
        [32, 8, 4, 128],
        32_768,
    ),
    full("qwen2.5-7b", "Qwen/Qwen2.5-7B", [28, 4, 7, 128], 131_072),
    full(
        "qwen2.5-7b-1m",
        "Qwen/Qwen2.5-7B-Instruct-1M",
        [28, 4, 7, 128],
        1_010_000,
    ),
    full("qwen2.5-72b", "Qwen/Qwen2.5-72B", [80, 8, 8, 128], 131_072),
    full("qwen3-8b", "Qwen/Qwen3-8B", [36, 8, 4, 128], 40_960),
    full(
        "smollm2-135m",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        [30, 3, 3, 64],
        8192,
    ),
];

/// The model of a name.
pub(crate) fn named(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_shapes_are_whole() {
        for (index, model) in MODELS.iter().enumerate() {
            assert_eq!(named(model.name), Some(model));
            assert!(MODELS[..index].iter().all(|other| other.name != model.name));
            let Attention {
                layers,
                windowed_layers,
                window,
                ..
            } = model.attention;
            assert!(windowed_layers < layers, "{}", model.name);
            assert_eq!(windowed_layers == 0, window == 0);
            assert!(model.source.contains('/') && model.context >= 8192);
        }
        assert!(named("llama").is_none());
    }
}
