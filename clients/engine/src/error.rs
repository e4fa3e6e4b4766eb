//! What can go wrong with an engine.

use std::io;

use wavekv_client::ClientError;

/// Why there is no next token.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The weights cannot be read; the sentence names the file.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The weights are not of a model that this engine computes, or a computation failed.
    #[error("{0}")]
    Model(#[from] candle_core::Error),
    /// The daemon is not there, or refused.
    #[error("{0}")]
    Daemon(#[from] ClientError),
    /// The tokenizer of the weights cannot be used, or not for this text.
    #[error("the tokenizer: {0}")]
    Tokens(#[from] tokenizers::Error),
    /// There is nothing to continue.
    #[error("the prompt has 0 tokens, expected at least 1")]
    NoPrompt,
    /// The model knows no position for a token.
    #[error("the prompt and its answer have {tokens} tokens, expected at most the model's {limit}")]
    TooLong {
        /// That were asked for.
        tokens: usize,
        /// Of the model's context.
        limit: usize,
    },
}
