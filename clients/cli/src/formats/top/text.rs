//! A page, for those who have no terminal.

use super::controls::Column;
use super::rows;
use super::view::View;
use crate::formats::table;

/// Collections on it.
const BUSIEST: usize = 10;

/// Everything, as text.
pub(crate) fn text(view: &View) -> String {
    let figures = rows::figures(view);
    let figures = figures.map(|(what, figures)| format!("{what:<12}{figures}"));
    let mut parts = vec![rows::title(view), figures.join("\n")];
    let mut calls = table(&rows::CALLS, 2, false);
    calls.add_rows(rows::calls(view));
    let mut busy = table(&rows::BUSY, 1, false);
    busy.add_rows(rows::busy(view, Column::Read).into_iter().take(BUSIEST));
    if !view.calls.is_empty() {
        parts.push(calls.to_string());
    }
    if !view.collections.is_empty() {
        parts.push(busy.to_string());
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use wavekv_client::wire::ActivityResponse;

    use super::super::view::tests::activity;
    use super::*;

    #[test]
    fn a_page_has_all_figures_and_the_busiest_collections() {
        let names: Vec<String> = (10..40).map(|number| format!("name-{number}")).collect();
        let busy: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 2)).collect();
        let page = text(&View::between(None, &activity(10, &busy)));
        for words in [
            "wavekvd 1.2, start 3, up 10s, over 10.0 s",
            "60.0 tokens/s inserted",
            "1.0 KiB/s, 10.0 % of the 10.0 KiB/s that exact",
            "1.0 GiB of 4.0 GiB (25.0 %)",
            "hits 75.0 %",
            "0 B, no limit",
            "40 of 100 tokens not clustered",
            "attend",
            "1.5 ms",
        ] {
            assert!(page.contains(words), "{words} is not in\n{page}");
        }
        assert_eq!(page.matches("default/name-").count(), BUSIEST);
    }

    #[test]
    fn a_daemon_that_did_nothing_has_no_tables() {
        let page = text(&View::between(None, &ActivityResponse::default()));
        assert!(page.ends_with("KV heads raised"), "{page}");
    }
}
