//! The long text with a fact in it, and the question.

use std::path::PathBuf;

use wavekv_engine::{EngineError, Tokens};

/// What is hidden.
pub(crate) const FACT: &str = "\n\nThe secret access code for the vault in Lisbon is 48213.\n\n";
/// What is asked, and how its answer begins.
pub(crate) const ASKED: &str = "\n\nQuestion: What is the secret access code for the vault in Lisbon?\n\
                                Answer: The secret access code for the vault in Lisbon is";
/// What the answer has to name.
pub(crate) const KEY: &str = "48213";

/// Tokens of a text, the fact among them.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) context: Vec<u32>,
    /// Where the fact begins.
    pub(crate) hidden_at: usize,
    pub(crate) question: Vec<u32>,
}

impl Story {
    /// Makes one of `tokens` tokens, or as many as the files of `text` have, with the fact a third of the way in.
    pub(crate) fn read(
        text: &[PathBuf],
        tokenizer: &Tokens,
        tokens: usize,
    ) -> Result<Self, EngineError> {
        let question = tokenizer.of(ASKED)?;
        let fact = tokenizer.of(FACT)?;
        let mut long = String::new();
        for file in text {
            long.push_str(&fs_err::read_to_string(file)?);
        }
        let mut context = tokenizer.of(&long)?;
        context.truncate(tokens.saturating_sub(fact.len() + question.len()));
        let hidden_at = context.len() / 3;
        context.splice(hidden_at..hidden_at, fact);
        Ok(Self {
            context,
            hidden_at,
            question,
        })
    }
}
