//! Answers as tables, sentences and JSON. Nothing here makes a request or writes to the terminal.

pub(crate) mod bench;
pub(crate) mod capacity;
pub(crate) mod collections;
pub(crate) mod describe;
pub(crate) mod eval;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod health;
mod plot;
pub(crate) mod settings;
pub(crate) mod snapshots;
pub(crate) mod stats;
pub(crate) mod top;
pub(crate) mod trace;
pub(crate) mod verify;

use bytesize::ByteSize;
use comfy_table::{Attribute, Cell, CellAlignment, Color, LineStyle, Table, presets};

/// Bytes with a binary unit.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    if share.is_nan() {
        "-".into()
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

/// Without what a terminal would obey, or take for the end of the line.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A relative error: four decimals, or an exponent where those would say nothing.
pub(crate) fn error(error: f64) -> String {
    if error.is_nan() {
        "NaN".into()
    } else if error == 0.0 || error >= 0.001 {
        format!("{error:.4}")
    } else {
        format!("{error:.1e}")
    }
}

/// The command line as one would type it.
pub(crate) fn command(arguments: impl Iterator<Item = String>) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%".contains(c);
    let quoted = arguments.skip(1).map(|argument| {
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    });
    std::iter::once("wavekv".to_owned())
        .chain(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A table with a header; all columns but the first `text_columns` hold numbers, aligned to the right.
pub(crate) fn table(header: &[&str], text_columns: usize, markdown: bool) -> Table {
    let mut table = Table::new();
    let under_header = LineStyle::none().fill('─').junction('─');
    let style = if markdown {
        presets::ASCII_MARKDOWN
    } else {
        presets::NOTHING.header_separator(under_header)
    };
    table.load_style(style).force_no_tty();
    if !markdown && console::colors_enabled() {
        table.enforce_styling();
    }
    let header = header.iter().copied();
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for column in table.column_iter_mut().skip(text_columns) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Something that is not as it should be, for a table.
pub(crate) fn wrong(what: impl ToString) -> Cell {
    Cell::new(what).fg(Color::Red)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(size(3 << 20), "3.0 MiB");
        assert_eq!(
            (percent(0.0184), percent(f64::NAN)),
            ("1.8 %".into(), "-".into())
        );
        let errors = [0.0834, 0.00012, 0.0, f64::NAN].map(error);
        assert_eq!(errors, ["0.0834", "1.2e-4", "0.0000", "NaN"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        assert_eq!(plain("a\x1b[2J\nb"), "a [2J b");
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let arguments = ["/usr/bin/wavekv", "eval", "my trace", "it's"].map(String::from);
        assert_eq!(
            command(arguments.into_iter()),
            r"wavekv eval 'my trace' 'it'\''s'"
        );
    }
}
