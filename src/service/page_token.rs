//! Where the next page of a listing begins, as a word that a caller hands back.

use crate::model::{CollectionName, Invalid};

/// The word for what comes after `last`.
pub(super) fn after(last: &CollectionName) -> String {
    format!("{}|{}", last.namespace(), last.name())
}

/// The name that a word in `field` stands for; an empty one is the beginning.
///
/// # Errors
/// [`Invalid`] when it is no such word.
pub(super) fn read(field: &str, token: &str) -> Result<Option<CollectionName>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let name = token
        .split_once('|')
        .map(|(namespace, name)| CollectionName::new(namespace, name));
    if let Some(Ok(name)) = name {
        return Ok(Some(name));
    }
    let shown: String = token.chars().take(64).collect();
    Err(Invalid::new(
        field,
        format!("{shown:?}"),
        "one that a listing has answered",
    ))
}
