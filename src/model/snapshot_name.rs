//! What a snapshot is called.

use std::fmt;

use crate::model::{Invalid, limits};

/// A checked name: of one folder, in no other folder, and not hidden.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName(String);

impl SnapshotName {
    /// A checked name.
    ///
    /// # Errors
    /// [`Invalid`] when it is too long, empty, begins with a dot or has a character outside `A-Z a-z 0-9 . _ -`.
    pub fn new(name: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if limits::NAME_CHARS.contains(&name.len())
            && name.chars().all(allowed)
            && !name.starts_with('.')
        {
            return Ok(Self(name.to_owned()));
        }
        let shown: String = name.escape_debug().take(80).collect();
        Err(Invalid::new(
            "snapshot",
            format!("\"{shown}\""),
            format!(
                "{} to {} characters of A-Z a-z 0-9 . _ - that do not begin with a dot",
                limits::NAME_CHARS.start(),
                limits::NAME_CHARS.end()
            ),
        ))
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_folder_and_not_hidden() {
        for good in ["a", "a.b-c_9", "-", "x..y"] {
            assert_eq!(SnapshotName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "", ".", "..", ".a", "a/b", "../a", "/a", "a\\b", "a b", "a:b", "\u{fc}", "a\0",
        ] {
            let refused = SnapshotName::new(bad).unwrap_err();
            assert_eq!(refused.field, "snapshot", "{bad:?}");
        }
        assert!(SnapshotName::new(&"x".repeat(129)).is_err());
    }
}
