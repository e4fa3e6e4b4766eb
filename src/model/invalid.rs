//! The refusal of a value that came from outside.

use std::fmt::Display;

/// Characters of a text that are shown to whoever sent it.
const SHOWN: usize = 64;

/// A value that cannot be accepted: which field, what it was, what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct Invalid {
    /// Path of the field as the caller spelt it, such as `geometry.head_dim`.
    pub field: String,
    /// The value that was given.
    pub value: String,
    /// What would have been accepted.
    pub expected: String,
}

impl Invalid {
    /// A refusal of `value` in `field`.
    pub fn new(field: impl Into<String>, value: impl Display, expected: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// A refusal of text in `field`, [`quoted`].
    pub fn of_text(field: impl Into<String>, text: &str, expected: impl Into<String>) -> Self {
        Self::new(field, quoted(text), expected)
    }

    /// Refuses `value` when it is outside `range`.
    ///
    /// # Errors
    /// [`Invalid`] naming the field and the range.
    pub fn unless_within<T: PartialOrd + Display>(
        field: &str,
        value: T,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<T, Self> {
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(Self::new(
                field,
                value,
                format!("{} to {}", range.start(), range.end()),
            ))
        }
    }

    /// The same refusal with `prefix.` before the field: a struct's field becomes the caller's path to it.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        self.field = format!("{prefix}.{}", self.field);
        self
    }
}

/// Text of somebody else's in a sentence: in quotes, and not more of it than a sentence bears.
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    format!("{shown:?}")
}
