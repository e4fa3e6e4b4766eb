//! The rules, each from a source to its findings, and the proof of each that it can fail.

use std::collections::BTreeSet;
use std::fmt;

use crate::source::{Source, Word};
use crate::{Outside, Room};

/// One breach.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    sentence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.sentence)
    }
}

fn finding(path: &str, line: usize, sentence: String) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        sentence,
    }
}

/// `service/grpc/data` of `src/service/grpc/data.rs`; a folder's `mod.rs` is the folder.
fn place(source: &Source) -> &str {
    let path = source
        .path
        .trim_start_matches("src/")
        .trim_end_matches(".rs");
    path.trim_end_matches("/mod")
}

fn is(words: &[Word], at: usize, text: &str) -> bool {
    words.get(at).is_some_and(|word| word.text == text)
}

fn is_name(word: &Word) -> bool {
    word.text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Rooms named by `crate::…` or by as many `super::` as lead to the root.
pub(crate) fn edges(source: &Source, rooms: &[Room]) -> Vec<Finding> {
    let place = place(source);
    let room = place.split('/').next().unwrap_or(place);
    if room == "lib" || room == "main" {
        return Vec::new();
    }
    let Some(known) = rooms.iter().find(|known| known.name == room) else {
        let sentence = format!("room {room} is not in the table of tests/walls.rs");
        return vec![finding(&source.path, 1, sentence)];
    };
    let named = roots(&source.words, place.split('/').count());
    let forbidden = named.into_iter().filter(|word| {
        word.text != room && word.text != "self" && !known.knows.contains(&word.text.as_str())
    });
    let sentence = |word: &Word| format!("{room} names crate::{}: it must not know it", word.text);
    forbidden
        .map(|word| finding(&source.path, word.line, sentence(word)))
        .collect()
}

/// First names after the root of the crate, in a file whose module is `depth` below it.
fn roots(words: &[Word], depth: usize) -> Vec<&Word> {
    let mut named = Vec::new();
    // Braces, and whether each is an inline module's.
    let mut braces = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match words[at].text.as_str() {
            "{" => braces.push(at > 1 && is(words, at - 2, "mod")),
            "}" => drop(braces.pop()),
            "crate" if is(words, at + 1, "::") => named.extend(first_names(words, at + 2)),
            "super" => {
                let inline = braces.iter().filter(|inline| **inline).count();
                let mut up = 1;
                while is(words, at + 1, "::") && is(words, at + 2, "super") {
                    up += 1;
                    at += 2;
                }
                if up == depth + inline && is(words, at + 1, "::") {
                    named.extend(first_names(words, at + 2));
                }
            }
            _ => {}
        }
        at += 1;
    }
    named
}

/// The name at `at`, or those of the group that opens there.
fn first_names(words: &[Word], at: usize) -> Vec<&Word> {
    if !is(words, at, "{") {
        return words.get(at).into_iter().collect();
    }
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for (here, word) in words.iter().enumerate().skip(at) {
        match word.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1
                && is_name(word)
                && (is(words, here - 1, "{") || is(words, here - 1, ",")) =>
            {
                names.push(word);
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Crates named outside their places.
pub(crate) fn outside(source: &Source, walls: &[Outside]) -> Vec<Finding> {
    let place = place(source);
    let words = &source.words;
    let begins_path = |at: usize| {
        let after_name = at > 1 && is(words, at - 1, "::") && is_name(&words[at - 2]);
        let imported = at > 0 && (is(words, at - 1, "use") || is(words, at - 1, "crate"));
        !after_name && (is(words, at + 1, "::") || imported)
    };
    let mut findings = Vec::new();
    for wall in walls {
        if wall.places.iter().any(|allowed| within(place, allowed)) {
            continue;
        }
        for (at, word) in words.iter().enumerate() {
            if wall.crates.contains(&word.text.as_str()) && begins_path(at) {
                let only = wall.places.join(", ");
                let sentence = format!("names the crate {}: only {only} may", word.text);
                findings.push(finding(&source.path, word.line, sentence));
            }
        }
    }
    findings
}

/// Whether a place is `allowed` or inside it.
fn within(place: &str, allowed: &str) -> bool {
    place
        .strip_prefix(allowed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Calls made outside the one place that may.
pub(crate) fn calls(source: &Source, calls: &[(&[&str], &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (call, only) in calls
        .iter()
        .filter(|(_, only)| !source.path.starts_with(only))
    {
        for (at, word) in source.words.iter().enumerate() {
            if call
                .iter()
                .enumerate()
                .all(|(next, text)| is(&source.words, at + next, text))
            {
                let sentence = format!("calls {}: only {only} may", call.concat());
                findings.push(finding(&source.path, word.line, sentence));
            }
        }
    }
    findings
}

/// `unsafe` outside its rooms.
pub(crate) fn unsafe_code(source: &Source, rooms: &[&str]) -> Vec<Finding> {
    if rooms.iter().any(|room| source.path.starts_with(room)) {
        return Vec::new();
    }
    let found = source.words.iter().filter(|word| word.text == "unsafe");
    let sentence = || format!("unsafe: only {} may", rooms.join(", "));
    found
        .map(|word| finding(&source.path, word.line, sentence()))
        .collect()
}

/// A file of more than `most` lines.
pub(crate) fn too_long(source: &Source, most: usize) -> Option<Finding> {
    let lines = source.text.lines().count();
    (lines > most).then(|| {
        finding(
            &source.path,
            lines,
            format!("{lines} lines: at most {most}"),
        )
    })
}

/// Folders below `rooms` without a header in their `mod.rs` or `lib.rs`, and files directly in them without one.
pub(crate) fn headers(sources: &[Source], rooms: &[&str]) -> Vec<Finding> {
    let inner = |source: &&Source| rooms.iter().any(|room| source.path.starts_with(room));
    let folder_of = |source: &Source| {
        source
            .path
            .rsplit_once('/')
            .map(|(folder, _)| folder.to_owned())
    };
    let folders: BTreeSet<String> = sources.iter().filter(inner).filter_map(folder_of).collect();
    let mut findings = Vec::new();
    for folder in folders {
        let entries = ["mod.rs", "lib.rs"].map(|file| format!("{folder}/{file}"));
        match sources.iter().find(|source| entries.contains(&source.path)) {
            Some(entry) if entry.text.starts_with("//!") => {}
            Some(entry) => {
                let sentence =
                    "no //! header: what the room is for, what it must not know, where to start";
                findings.push(finding(&entry.path, 1, sentence.to_owned()));
            }
            None => findings.push(finding(
                &folder,
                1,
                "a folder without mod.rs or lib.rs".to_owned(),
            )),
        }
    }
    findings
}

/// Marks of unfinished work that do not say, on their line, what for.
pub(crate) fn left_to_do(source: &Source) -> Vec<Finding> {
    const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
    const REASON: usize = 10;
    let lines = source.text.lines().enumerate();
    let unexplained = lines.filter(|(_, line)| {
        let mark = MARKS.iter().find_map(|mark| line.split_once(mark));
        mark.is_some_and(|(_, after)| after.chars().filter(|c| c.is_alphabetic()).count() < REASON)
    });
    let sentence = "unfinished without a reason on the line";
    unexplained
        .map(|(line, _)| finding(&source.path, line + 1, sentence.to_owned()))
        .collect()
}

/// A file name that says nothing.
pub(crate) fn name(source: &Source) -> Option<Finding> {
    const BANNED: [&str; 16] = [
        "util", "utils", "helper", "helpers", "common", "misc", "base", "manager", "handler",
        "impl", "data", "info", "new", "v2", "prelude", "core",
    ];
    let mut steps = source.path.trim_end_matches(".rs").split('/').skip(1);
    let banned = steps.find(|step| BANNED.contains(step))?;
    Some(finding(
        &source.path,
        1,
        format!("the name {banned:?} says nothing: name what is in it"),
    ))
}

/// Crates of the workspace among the dependencies in a manifest.
pub(crate) fn workspace_dependencies(path: &str, manifest: &str) -> Vec<Finding> {
    let mut in_dependencies = false;
    let mut findings = Vec::new();
    for (line, text) in manifest.lines().enumerate() {
        if let Some(table) = text.trim().strip_prefix('[') {
            in_dependencies = table.contains("dependencies");
            if in_dependencies && table.contains(".wavekv") {
                findings.push(finding(
                    path,
                    line + 1,
                    format!("depends on the workspace: {text}"),
                ));
            }
        } else if in_dependencies && (text.trim().starts_with("wavekv") || text.contains("path ="))
        {
            findings.push(finding(
                path,
                line + 1,
                format!("depends on the workspace: {text}"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMS: [Room; 3] = [
        Room {
            name: "upper",
            knows: &["lower"],
        },
        Room {
            name: "lower",
            knows: &[],
        },
        Room {
            name: "side",
            knows: &[],
        },
    ];

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    fn edge_lines(path: &str, text: &str) -> Vec<usize> {
        lines(&edges(&Source::new(path, text), &ROOMS))
    }

    #[test]
    fn a_forbidden_edge_is_found_however_it_is_spelt() {
        let text = "use crate::side::x;\n\
                    use crate::{lower::{side, y}, side};\n\
                    // crate::side\n\
                    fn f() { crate::side::g(\"crate::side\") }\n\
                    use crate::lower::side;\n\
                    use crate::upper::z;";
        assert_eq!(edge_lines("src/upper/file.rs", text), [1, 2, 4]);
        assert_eq!(edge_lines("src/lower.rs", "use crate::upper::a;"), [1]);
        let sentence =
            edges(&Source::new("src/lower.rs", "use crate::upper::a;"), &ROOMS)[0].to_string();
        assert_eq!(
            sentence,
            "src/lower.rs:1: lower names crate::upper: it must not know it"
        );
    }

    #[test]
    fn super_is_followed_to_the_root() {
        assert_eq!(
            edge_lines("src/lower/file.rs", "use super::super::side;"),
            [1]
        );
        assert_eq!(
            edge_lines("src/lower/mod.rs", "use super::{side, upper::x};"),
            [1, 1]
        );
        assert_eq!(edge_lines("src/lower/file.rs", "use super::side;"), []);
        let inline = "mod tests { use super::super::side; }\nuse super::super::side;";
        assert_eq!(edge_lines("src/lower/file.rs", inline), [2]);
    }

    #[test]
    fn a_room_must_be_in_the_table_and_the_entry_points_are_free() {
        assert_eq!(edge_lines("src/attic/mod.rs", ""), [1]);
        assert_eq!(edge_lines("src/main.rs", "use crate::side;"), []);
    }

    #[test]
    fn a_crate_outside_its_places_is_found() {
        let walls = [Outside {
            crates: &["wire"],
            places: &["upper", "lower/door"],
        }];
        let found = |path: &str, text: &str| lines(&outside(&Source::new(path, text), &walls));
        let text =
            "use wire::A;\nuse wire as w;\nlet wire = 1;\ncrate::wire::B\n#[wire::main]\n::wire::C";
        assert_eq!(found("src/lower/file.rs", text), [1, 2, 5, 6]);
        assert_eq!(found("src/lower/doorway.rs", text), [1, 2, 5, 6]);
        assert_eq!(found("src/lower/door.rs", text), []);
        assert_eq!(found("src/upper/deep/mod.rs", text), []);
    }

    #[test]
    fn a_call_outside_its_place_is_found() {
        let table: [(&[&str], &str); 1] = [(&["Instant", "::", "now"], "src/clock.rs")];
        let found = |path: &str| {
            lines(&calls(
                &Source::new(
                    path,
                    "Instant::now()\n// Instant::now()\nstd::time::Instant :: now",
                ),
                &table,
            ))
        };
        assert_eq!(found("src/lower.rs"), [1, 3]);
        assert_eq!(found("src/clock.rs"), []);
    }

    #[test]
    fn unsafe_is_found_outside_its_rooms() {
        let text = "#![forbid(unsafe_code)]\nunsafe { x() }\n// unsafe";
        assert_eq!(
            lines(&unsafe_code(&Source::new("src/a.rs", text), &["deep/"])),
            [2]
        );
        assert!(unsafe_code(&Source::new("deep/a.rs", text), &["deep/"]).is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(too_long(&Source::new("a.rs", &"\n".repeat(801)), 800).is_some());
        assert!(too_long(&Source::new("a.rs", &"\n".repeat(800)), 800).is_none());
    }

    #[test]
    fn a_folder_without_header_is_found() {
        let sources = [
            Source::new("src/good/mod.rs", "//! For good."),
            Source::new("src/bare/mod.rs", "use x;"),
            Source::new("src/lost/file.rs", "//! No entry."),
            Source::new("tests/free/file.rs", ""),
        ];
        let found: Vec<_> = headers(&sources, &["src/"])
            .into_iter()
            .map(|finding| finding.path)
            .collect();
        assert_eq!(found, ["src/bare/mod.rs", "src/lost"]);
    }

    #[test]
    fn unfinished_work_without_a_reason_is_found() {
        let mark = concat!("TO", "DO");
        let text =
            format!("// {mark}\n// {mark}: later\n// {mark}: needs the tier of the next issue\n");
        assert_eq!(lines(&left_to_do(&Source::new("a.rs", &text))), [1, 2]);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        for bad in ["src/a/utils.rs", "src/common/b.rs", "clients/x/src/data.rs"] {
            assert!(name(&Source::new(bad, "")).is_some(), "{bad}");
        }
        assert!(name(&Source::new("storage/src/data_dir/mod.rs", "")).is_none());
    }

    #[test]
    fn a_dependency_on_the_workspace_is_found() {
        let manifest = "[package]\nname = \"wavekv-x\"\n[dependencies]\nserde.workspace = true\n\
                        wavekv-y.workspace = true\n[dev-dependencies]\nz = { path = \"../z\" }\n\
                        [dependencies.wavekv]\n[features]\nwavekv = []";
        assert_eq!(
            lines(&workspace_dependencies("x/Cargo.toml", manifest)),
            [5, 7, 8]
        );
    }
}
