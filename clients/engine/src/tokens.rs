//! Text and the tokens that a model reads.

use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::tokenizer::TokenizerFromGguf as _;
use tokenizers::Tokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use crate::EngineError;

/// The tokenizer that a GGUF file carries.
#[derive(Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    /// After which nothing follows.
    pub end: Option<u32>,
}

impl Tokens {
    /// Reads it from the header of the file.
    ///
    /// # Errors
    /// [`EngineError::Model`] when there is none, or none of byte pairs.
    pub fn read(content: &Content) -> Result<Self, EngineError> {
        let mut tokenizer = Tokenizer::from_gguf(content)?;
        let of = |key: &str| content.metadata.get(key);
        let split = of("tokenizer.ggml.pre").and_then(|value| value.to_string().ok());
        if split.is_some_and(|split| split == "smollm") {
            // Each digit is a token, and nothing is put before the first word; candle reads it as GPT-2's.
            let parts = vec![
                Digits::new(true).into(),
                ByteLevel::new(false, true, true).into(),
            ];
            tokenizer.with_pre_tokenizer(Some(Sequence::new(parts)));
        }
        let end = of("tokenizer.ggml.eos_token_id").and_then(|value| value.to_u32().ok());
        Ok(Self { tokenizer, end })
    }

    /// The tokens of a text, none added.
    ///
    /// # Errors
    /// [`EngineError::Tokens`].
    pub fn of(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let encoding = self.tokenizer.encode_fast(text, false)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens. One that ends within a character has it replaced.
    ///
    /// # Errors
    /// [`EngineError::Tokens`].
    pub fn text(&self, tokens: &[u32]) -> Result<String, EngineError> {
        Ok(self.tokenizer.decode(tokens, false)?)
    }
}
