//! The one place that writes to the terminal. A reader that has gone away (`wavekv … | head`) is no error.

use std::io::{self, Write as _};

use console::{Term, style, truncate_str};
use serde::Serialize;

/// Writes text and a line end to standard output.
pub(crate) fn text(text: &str) {
    let _ = line(text);
}

/// The same, for those who write on: they end when nobody reads it any more.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    out.flush()
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
    let error = style("error:").red().bold().for_stderr();
    let _ = writeln!(io::stderr().lock(), "{error} {line}");
}

/// Where pages are shown, one after the other: in the same place on a terminal.
#[derive(Debug)]
pub(crate) struct Screen(Option<Term>);

impl Screen {
    /// Standard output.
    pub(crate) fn new() -> io::Result<Self> {
        let term = Term::buffered_stdout();
        if !term.is_term() {
            return Ok(Self(None));
        }
        term.hide_cursor()?;
        term.clear_screen()?;
        Ok(Self(Some(term)))
    }

    /// Shows a page; of one that is larger than the terminal, its beginning.
    pub(crate) fn show(&self, page: &str) -> io::Result<()> {
        let Some(term) = &self.0 else {
            return line(page);
        };
        let (rows, columns) = term.size();
        term.move_cursor_to(0, 0)?;
        let most = usize::from(rows).saturating_sub(1);
        for line in page.trim_end().lines().take(most) {
            term.write_str(&truncate_str(line, usize::from(columns), "…"))?;
            // What an earlier page had there.
            term.write_str("\x1b[K\n")?;
        }
        term.clear_to_end_of_screen()?;
        term.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(term) = &self.0 {
            // A terminal that has gone away needs no cursor.
            let _ = term.show_cursor().and_then(|()| term.flush());
        }
    }
}
