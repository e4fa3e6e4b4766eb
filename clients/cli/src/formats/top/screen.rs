//! The picture, for a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Stylize as _;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table};

use super::controls::Controls;
use super::rows;
use super::view::View;

const KEYS: &str = "q quit   space pause   ←→ sort   ↑↓ scroll   ? help";

const HELP: [&str; 7] = [
    "q, Esc, Ctrl-C   end",
    "space            keep the picture, or go on",
    "← →              sort the collections by another column",
    "↑ ↓              scroll the collections",
    "?                this, or not",
    "",
    "Percentiles are of calls that were answered.",
];

/// Beside the rows of a table: its frame and its header.
const AROUND: u16 = 3;
/// Most rows of calls: what is below them is wanted too.
const MOST_CALLS: u16 = 9;

/// Draws everything; nothing but the keys before the daemon's first answer.
pub(crate) fn draw(frame: &mut Frame<'_>, view: Option<&View>, controls: &Controls) {
    let area = frame.area();
    if let Some(view) = view {
        draw_view(frame, area, view, controls);
    }
    let keys = Rect {
        y: area.bottom().saturating_sub(1),
        height: area.height.min(1),
        ..area
    };
    frame.render_widget(Line::from(KEYS).dim(), keys);
    if controls.shows_help {
        draw_help(frame, area);
    }
}

fn draw_view(frame: &mut Frame<'_>, area: Rect, view: &View, controls: &Controls) {
    let calls = rows::calls(view);
    let figures = rows::figures(view);
    let rows_of_calls = MOST_CALLS.min(calls.len() as u16);
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(figures.len() as u16 + 1),
        Constraint::Length(rows_of_calls + AROUND),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [title, whole, of_calls, of_collections, _] = areas.areas(area);
    let mut words = vec![Span::from(rows::title(view)).bold()];
    if controls.is_paused {
        words.push(Span::from("   paused").yellow().bold());
    }
    frame.render_widget(Line::from(words), title);
    let lines = figures
        .map(|(what, figures)| Line::from(vec![format!("{what:<12}").cyan(), Span::from(figures)]));
    frame.render_widget(Paragraph::new(lines.to_vec()), whole);
    let table = of(&rows::CALLS, None, calls, [12, 10, 10, 10, 10, 10, 10]);
    frame.render_widget(table.block(Block::bordered().title(" calls ")), of_calls);
    let busy = rows::busy(view, controls.sort);
    let passed = controls.passed.min(busy.len().saturating_sub(1));
    let shown = busy.into_iter().skip(passed).collect();
    let sort = Some(controls.sort.place() + 1);
    let table = of(&rows::BUSY, sort, shown, [24, 10, 10, 10, 12, 9]);
    let block = Block::bordered().title(" collections ");
    frame.render_widget(table.block(block), of_collections);
}

/// A table whose first column has what is left of the width; numbers are at the right. The column that it is sorted by is marked.
fn of<const COLUMNS: usize>(
    header: &[&'static str; COLUMNS],
    sort: Option<usize>,
    rows: Vec<[String; COLUMNS]>,
    widths: [u16; COLUMNS],
) -> Table<'static> {
    let aligned = |column: usize, text: String| {
        let is_number = column > 0;
        let alignment = if is_number {
            Alignment::Right
        } else {
            Alignment::Left
        };
        Cell::from(Line::from(text).alignment(alignment))
    };
    let names = header.iter().enumerate().map(|(column, name)| {
        let is_sorted = sort == Some(column);
        let cell = aligned(
            column,
            format!("{name}{}", if is_sorted { "▼" } else { "" }),
        );
        if is_sorted { cell.bold() } else { cell.dim() }
    });
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate();
        Row::new(cells.map(|(column, text)| aligned(column, text)))
    });
    let columns = widths.into_iter().enumerate();
    let columns = columns.map(|(column, width)| {
        if column == 0 {
            Constraint::Min(width)
        } else {
            Constraint::Length(width)
        }
    });
    Table::new(rows, columns).header(Row::new(names))
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines = HELP.map(Line::from);
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
    let height = HELP.len() as u16 + 2;
    let middle = Rect {
        x: area.x + area.width.saturating_sub(width) / 2,
        y: area.y + area.height.saturating_sub(height) / 2,
        width,
        height,
    };
    let middle = middle.intersection(area);
    frame.render_widget(Clear, middle);
    let help = Paragraph::new(lines.to_vec()).block(Block::bordered().title(" keys "));
    frame.render_widget(help, middle);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::view::tests::activity;
    use super::*;

    fn drawn(width: u16, height: u16, controls: &Controls) -> Terminal<TestBackend> {
        let two = [("small", 1), ("large", 9)];
        let view = View::between(Some(&activity(1, &two)), &activity(3, &two));
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| draw(frame, Some(&view), controls))
            .unwrap();
        terminal
    }

    fn picture(width: u16, height: u16, controls: &Controls) -> String {
        drawn(width, height, controls).backend().to_string()
    }

    #[test]
    fn a_picture_has_figures_calls_collections_and_keys() {
        let picture = picture(100, 30, &Controls::default());
        for words in [
            "wavekvd 1.2, start 3, up 3s, over 2.0 s",
            "10.0 tokens/s inserted",
            "hits 75.0 %",
            "p99.9",
            "attend",
            "read/s▼",
            "default/large",
            "q quit",
        ] {
            assert!(picture.contains(words), "{words} is not in\n{picture}");
        }
        assert!(!picture.contains("paused"), "{picture}");
    }

    #[test]
    fn what_was_chosen_is_seen() {
        let mut controls = Controls {
            is_paused: true,
            ..Controls::default()
        };
        controls.sort_by(-1);
        let sorted = picture(100, 30, &controls);
        assert!(
            sorted.contains("paused") && sorted.contains("tokens/s▼"),
            "{sorted}"
        );
        let place = |name: &str| sorted.find(name).unwrap();
        assert!(place("default/large") < place("default/small"), "{sorted}");
        controls.passed = 1;
        let scrolled = picture(100, 30, &controls);
        assert!(!scrolled.contains("default/large"), "{scrolled}");
        controls.shows_help = true;
        assert!(picture(100, 30, &controls).contains("sort the collections"));
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn_on() {
        let controls = Controls {
            shows_help: true,
            passed: 1000,
            ..Controls::default()
        };
        for (width, height) in [(0, 0), (1, 1), (20, 3), (40, 12), (300, 100)] {
            drawn(width, height, &controls);
        }
        let mut terminal = Terminal::new(TestBackend::new(60, 2)).unwrap();
        terminal.draw(|frame| draw(frame, None, &controls)).unwrap();
    }
}
