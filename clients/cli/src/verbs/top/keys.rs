//! What keys do.

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::formats::top::Controls;

/// What is to be done after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Draw,
    End,
}

/// Does what an event of the terminal asks for, with so many collections on the picture.
pub(super) fn obey(event: &Event, controls: &mut Controls, collections: usize) -> Then {
    // Of any other event, the size among them, the picture is drawn anew.
    let Some(key) = event.as_key_event() else {
        return Then::Draw;
    };
    if key.kind == KeyEventKind::Release {
        return Then::Draw;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    // Of a terminal in raw mode, Ctrl-C is a key.
    if matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
        || (is_control && key.code == KeyCode::Char('c'))
    {
        return Then::End;
    }
    if key.code == KeyCode::Char(' ') {
        controls.is_paused = !controls.is_paused;
    } else if key.code == KeyCode::Char('?') {
        controls.shows_help = !controls.shows_help;
    } else if key.code == KeyCode::Left {
        controls.sort_by(-1);
    } else if key.code == KeyCode::Right {
        controls.sort_by(1);
    } else if key.code == KeyCode::Up {
        controls.scroll(-1, collections);
    } else if key.code == KeyCode::Down {
        controls.scroll(1, collections);
    }
    Then::Draw
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    fn pressed(code: KeyCode, controls: &mut Controls) -> Then {
        obey(&Event::Key(KeyEvent::from(code)), controls, 5)
    }

    #[test]
    fn keys_end_pause_sort_scroll_and_help() {
        let mut controls = Controls::default();
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(pressed(code, &mut controls), Then::End);
        }
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let interrupt = Event::Key(interrupt);
        assert_eq!(obey(&interrupt, &mut controls, 5), Then::End);
        assert_eq!(pressed(KeyCode::Char('c'), &mut controls), Then::Draw);
        assert_eq!(obey(&Event::Resize(1, 1), &mut controls, 5), Then::Draw);
        assert_eq!(controls, Controls::default());

        pressed(KeyCode::Char(' '), &mut controls);
        pressed(KeyCode::Char('?'), &mut controls);
        assert!(controls.is_paused && controls.shows_help);
        pressed(KeyCode::Down, &mut controls);
        assert_eq!(controls.passed, 1);
        let sort = controls.sort;
        pressed(KeyCode::Right, &mut controls);
        assert_ne!(controls.sort, sort);
        pressed(KeyCode::Left, &mut controls);
        assert_eq!((controls.sort, controls.passed), (sort, 0));
    }
}
