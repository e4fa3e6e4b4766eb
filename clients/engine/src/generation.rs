//! A sequence and what follows it.

use candle_core::D;

use crate::{EngineError, KvCache, Model};

/// Reads tokens and says which one follows: greedily, the likeliest.
#[derive(Debug)]
pub struct Generation<'a, C> {
    model: &'a Model,
    cache: C,
    /// Tokens that were read.
    length: usize,
    following: Option<u32>,
}

impl<'a, C: KvCache> Generation<'a, C> {
    /// Goes on after `length` tokens that `cache` has.
    pub fn new(model: &'a Model, cache: C, length: usize) -> Self {
        Self {
            model,
            cache,
            length,
            following: None,
        }
    }

    /// The cache.
    pub fn cache(&mut self) -> &mut C {
        &mut self.cache
    }

    /// Gives the cache back.
    pub fn into_cache(self) -> C {
        self.cache
    }

    /// Reads `tokens`, as many a piece as `piece`, telling `read` how many after each.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn read(
        &mut self,
        tokens: &[u32],
        piece: usize,
        mut read: impl FnMut(usize),
    ) -> Result<(), EngineError> {
        for piece in tokens.chunks(piece.max(1)) {
            let logits = self.model.forward(piece, self.length, &mut self.cache)?;
            self.following = Some(logits.argmax(D::Minus1)?.to_scalar()?);
            self.length += piece.len();
            read(piece.len());
        }
        Ok(())
    }

    /// The next token, which is read at once.
    ///
    /// # Errors
    /// [`EngineError`]; [`EngineError::NoPrompt`] when nothing was read yet.
    pub fn next_token(&mut self) -> Result<u32, EngineError> {
        let token = self.following.ok_or(EngineError::NoPrompt)?;
        self.read(&[token], 1, |_| {})?;
        Ok(token)
    }
}
