//! Source files, as far as the walls need them: which words stand in them, where.

use std::path::Path;
use std::{fs, io};

/// One `.rs` file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Neither comments nor strings.
    pub(crate) words: Vec<Word>,
}

/// An identifier, a number, `::`, or any other single character.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            words: words(&blank(text)),
        }
    }
}

/// All `.rs` files below these folders of `root`.
pub(crate) fn read(root: &Path, folders: &[&str]) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut open: Vec<String> = folders.iter().map(|folder| (*folder).to_owned()).collect();
    while let Some(folder) = open.pop() {
        if !root.join(&folder).is_dir() {
            continue;
        }
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            if entry.file_type()?.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if Path::new(&name)
                .extension()
                .is_some_and(|kind| kind == "rs")
            {
                sources.push(Source::new(&path, &fs::read_to_string(entry.path())?));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

/// The text with spaces for comments, strings and characters; lines stay lines.
fn blank(text: &str) -> String {
    let mut rest = text;
    let mut blanked = String::with_capacity(text.len());
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let skipped = if is_word(before) {
            0
        } else {
            prefixed_string(rest)
        };
        let skipped = if skipped > 0 {
            skipped
        } else {
            comment_or_literal(rest)
        };
        let (piece, tail) = rest.split_at(if skipped > 0 {
            skipped
        } else {
            first.len_utf8()
        });
        if skipped > 0 {
            blanked.extend(piece.chars().map(|c| if c == '\n' { c } else { ' ' }));
            before = ' ';
        } else {
            blanked.push(first);
            before = first;
        }
        rest = tail;
    }
    blanked
}

/// Bytes of the comment, string or character that begins here; 0 if none does.
fn comment_or_literal(rest: &str) -> usize {
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment(rest)
    } else if rest.starts_with('"') {
        quoted(rest, '"')
    } else if let Some(tail) = rest.strip_prefix('\'') {
        let mut next = tail.chars();
        let is_character = matches!(
            (next.next(), next.next()),
            (Some('\\'), _) | (Some(_), Some('\''))
        );
        if is_character { quoted(rest, '\'') } else { 0 }
    } else {
        0
    }
}

/// Bytes of `r"…"`, `r#"…"#`, `b"…"`, `br"…"` and the like, where no identifier ends before.
fn prefixed_string(rest: &str) -> usize {
    let prefix = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let hashes = rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len();
    let open = prefix + hashes;
    if prefix == 0 || prefix > 2 || !rest[open..].starts_with('"') {
        0
    } else if rest[..prefix].ends_with('r') {
        let close = format!("\"{}", "#".repeat(hashes));
        let end = rest[open + 1..].find(&close);
        end.map_or(rest.len(), |end| open + 1 + end + close.len())
    } else {
        prefix + quoted(&rest[prefix..], '"')
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(code: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            words.push(Word {
                text: rest[..length].to_owned(),
                line: line + 1,
            });
            rest = rest[length..].trim_start();
        }
    }
    words
}

#[test]
fn comments_strings_and_characters_are_no_words() {
    let text = r###"
        // one "two
        /* three /* four */ five */ let a = "six \" // seven"; // eight
        let b = (r#"nine " ten"#, b"eleven", br##"twelve"# "##, '"', '\'', b'\\', "é//");
        fn c<'d>(e: &'d str) -> r#type { 'f: loop {} }
        let number = bar"thirteen";
    "###;
    let source = Source::new("x.rs", text);
    let words: Vec<&str> = source.words.iter().map(|word| word.text.as_str()).collect();
    let letters: Vec<&str> = words
        .into_iter()
        .filter(|word| word.chars().all(is_word))
        .collect();
    let expected = "let a let b b fn c d e d str r type f loop let number bar";
    assert_eq!(letters.join(" "), expected);
    assert_eq!(source.words.iter().map(|word| word.line).max(), Some(6));
}
