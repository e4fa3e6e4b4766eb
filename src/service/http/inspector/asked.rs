//! What a request asks for: the words behind the `?` of its address, checked.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use crate::model::{CollectionName, Invalid, quoted};

/// Fields and their values, each field once.
#[derive(Debug)]
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    /// The fields of an address, which may be of `fields` alone.
    ///
    /// # Errors
    /// [`Invalid`] when one is of no such name, is there twice, or is not UTF-8.
    pub(super) fn of(uri: &Uri, fields: &[&str]) -> Result<Self, Invalid> {
        let pairs = uri.query().unwrap_or_default().split('&');
        let mut asked: Vec<(String, String)> = vec![];
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (field, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (field, value) = (decoded("a field", field)?, decoded(field, value)?);
            if !fields.contains(&field.as_str()) {
                let expected = match fields {
                    [] => "none".to_owned(),
                    fields => fields.join(", "),
                };
                return Err(Invalid::of_text("a field", &field, expected));
            }
            if asked.iter().any(|(before, _)| *before == field) {
                return Err(Invalid::of_text(field, &value, "it once"));
            }
            asked.push((field, value));
        }
        Ok(Self(asked))
    }

    /// The value of a field; empty where there is none.
    pub(super) fn text(&self, field: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == field);
        found.map_or("", |(_, value)| value)
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`Invalid`] when it is missing or none.
    pub(super) fn number(&self, field: &str) -> Result<u32, Invalid> {
        let text = self.text(field);
        let expected = "a whole number from 0 to 4294967295";
        text.parse()
            .map_err(|_| Invalid::of_text(field, text, expected))
    }

    /// The collection of `namespace` and `name`.
    ///
    /// # Errors
    /// [`Invalid`] when these are no names.
    pub(super) fn collection(&self) -> Result<CollectionName, Invalid> {
        CollectionName::new(self.text("namespace"), self.text("name"))
    }
}

fn decoded(field: &str, text: &str) -> Result<String, Invalid> {
    // A form says "+" for a space.
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    let decoded = decoded.map_err(|_| Invalid::of_text(quoted(field), &text, "UTF-8"))?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, String> {
        let uri = format!("/x?{query}").parse().unwrap();
        Asked::of(&uri, &["namespace", "name", "layer"]).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn fields_are_decoded_and_may_be_missing() {
        let fields = asked("name=a%2Fb%3Ac&layer=7&").unwrap();
        assert_eq!(fields.text("name"), "a/b:c");
        assert_eq!(fields.text("namespace"), "");
        assert_eq!(fields.number("layer").unwrap(), 7);
        let name = fields.collection().unwrap();
        assert_eq!(name.to_string(), "default/a/b:c");
        assert_eq!(asked("name=a+b").unwrap().text("name"), "a b");
    }

    #[test]
    fn what_is_not_expected_is_named() {
        for (query, expected) in [
            (
                "nome=x",
                "a field is \"nome\": expected namespace, name, layer",
            ),
            ("name=x&name=y", "name is \"y\": expected it once"),
            ("name=%ff", "\"name\" is \"%ff\": expected UTF-8"),
        ] {
            assert_eq!(asked(query).unwrap_err(), expected, "{query}");
        }
        for bad in ["", "-1", "x", "4294967296", "1.5"] {
            let fields = asked(&format!("layer={bad}")).unwrap();
            let refused = fields.number("layer").unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!("layer is {bad:?}: ")),
                "{refused}"
            );
        }
    }
}
