//! Pages of a listing, and where the next one begins: a word that a caller hands back.

use crate::model::{CollectionName, Invalid};

/// Leaves `size` of what was found, of which one more was asked for; the last of these where there are more.
pub(super) fn cut<T>(found: &mut Vec<T>, size: usize) -> Option<&T> {
    let more = found.len() > size;
    found.truncate(size);
    found.last().filter(|_| more)
}

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
    let expected = "one that a listing has answered";
    Err(Invalid::of_text(field, token, expected))
}
