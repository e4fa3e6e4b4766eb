//! The tables as `ARCHITECTURE.md` prints them.

use std::fmt::Write as _;

use crate::{Outside, Room};

pub(crate) const BEGIN: &str = "<!-- walls:begin -->";
pub(crate) const END: &str = "<!-- walls:end -->";

/// The page with these tables between its markers; `None` when it lacks them.
pub(crate) fn with_tables(page: &str, rooms: &[Room], outside: &[Outside]) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let tables = tables(rooms, outside);
    Some(format!("{before}{BEGIN}\n{tables}{END}{after}"))
}

fn tables(rooms: &[Room], outside: &[Outside]) -> String {
    let mut text = "| room of `src/` | may name |\n| --- | --- |\n".to_owned();
    for room in rooms {
        let _ = writeln!(text, "| `{}` | {} |", room.name, list(room.knows));
    }
    text.push_str("\n| crate | may be named in |\n| --- | --- |\n");
    for wall in outside {
        let _ = writeln!(text, "| {} | {} |", list(wall.crates), list(wall.places));
    }
    text
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn only_what_is_between_the_markers_changes() {
    let rooms = [Room {
        name: "a",
        knows: &["b"],
    }];
    let page = format!("x\n{BEGIN}old{END}\ny\n");
    let Some(new) = with_tables(&page, &rooms, &[]) else {
        panic!("no markers in {page}")
    };
    assert!(new.starts_with(&format!("x\n{BEGIN}\n")) && new.ends_with(&format!("{END}\ny\n")));
    assert!(new.contains("| `a` | `b` |") && !new.contains("old"));
    assert_eq!(with_tables(&new, &rooms, &[]).as_deref(), Some(&*new));
    assert_eq!(with_tables("nothing", &rooms, &[]), None);
}
