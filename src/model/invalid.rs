//! The refusal of a value that came from outside.

use std::fmt::Display;

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
