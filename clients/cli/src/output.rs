//! The one place that writes to the terminal. A reader that has gone away (`wavekv … | head`) is no error.

use std::io::{self, Write as _};

use serde::Serialize;

/// Writes text and a line end to standard output.
pub(crate) fn text(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
}

/// Writes a value as indented JSON to standard output.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(json) => text(&json),
        Err(refusal) => error(&refusal.to_string()),
    }
}

/// Writes one line that begins with `error:` to standard error.
pub(crate) fn error(sentence: &str) {
    let line = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr().lock(), "error: {line}");
}
