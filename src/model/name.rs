//! What a collection is called.

use std::fmt;

use crate::model::{Invalid, limits};

/// A namespace and a name, both checked. Ordered by namespace, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionName {
    namespace: String,
    name: String,
}

/// The namespace of a caller who names none.
pub const DEFAULT_NAMESPACE: &str = "default";

impl CollectionName {
    /// A checked name; an empty namespace means [`DEFAULT_NAMESPACE`].
    ///
    /// # Errors
    /// [`Invalid`] when either is too long, empty or has a character outside `A-Z a-z 0-9 . _ : / -`.
    pub fn new(namespace: &str, name: &str) -> Result<Self, Invalid> {
        let namespace = Self::checked_namespace(namespace)?;
        check("name", name)?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// A namespace that a collection may have; an empty one means [`DEFAULT_NAMESPACE`].
    ///
    /// # Errors
    /// As [`CollectionName::new`].
    pub fn checked_namespace(namespace: &str) -> Result<&str, Invalid> {
        if namespace.is_empty() {
            return Ok(DEFAULT_NAMESPACE);
        }
        check("namespace", namespace)?;
        Ok(namespace)
    }

    /// The namespace; never empty.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn check(field: &str, value: &str) -> Result<(), Invalid> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".:_/-".contains(c);
    if limits::NAME_CHARS.contains(&value.len()) && value.chars().all(allowed) {
        return Ok(());
    }
    // A hostile name must not fill the log or the answer, nor may its escapes.
    let shown: String = value.escape_debug().take(80).collect();
    Err(Invalid::new(
        field,
        format!("\"{shown}\""),
        format!(
            "{} to {} characters of A-Z a-z 0-9 . _ : / -",
            limits::NAME_CHARS.start(),
            limits::NAME_CHARS.end()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_default_their_namespace() {
        let name = CollectionName::new("", "a/b:c-1.2_3").unwrap();
        assert_eq!(name.to_string(), "default/a/b:c-1.2_3");
        for bad in ["", "a b", "ü", "a\n", &"x".repeat(129)] {
            let refused = CollectionName::new("", bad).unwrap_err();
            assert_eq!(refused.field, "name", "{bad:?}");
            assert!(CollectionName::new(if bad.is_empty() { "!" } else { bad }, "a").is_err());
        }
    }
}
