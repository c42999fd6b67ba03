//! What keys do to the model.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::Model;

/// How much may be looked for.
const SEARCH_MAX: usize = 100;

/// What the screen says of its keys.
pub const HELP: &str =
    "↑↓ select  Enter details  / search  Space pause  Home first  Esc back  q quit";
/// What it says of them while a search is typed.
pub const SEARCH_HELP: &str = "Enter keep the search  Esc drop it  Ctrl-U empty it";

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The screen goes on.
    GoOn,
    /// The reader has had enough.
    Quit,
}

/// Does what a key asks for.
pub fn press(model: &mut Model, key: KeyEvent) -> Then {
    if key.kind == KeyEventKind::Release {
        return Then::GoOn;
    }
    model.dirty = true;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control && matches!(key.code, KeyCode::Char('c')) {
        return Then::Quit;
    }
    if model.typing {
        search(model, key.code, control);
        return Then::GoOn;
    }
    let page = isize::try_from(model.page).unwrap_or(isize::MAX);
    match key.code {
        KeyCode::Char('q') => return Then::Quit,
        KeyCode::Char('d') if control => return Then::Quit,
        KeyCode::Esc => return back(model),
        KeyCode::Char(' ' | 'p') => model.pause(),
        KeyCode::Char('/' | 'f') => model.typing = true,
        KeyCode::Enter => {
            if !model.has_selection() {
                model.select(0);
            }
            model.details = !model.details;
        }
        KeyCode::Down | KeyCode::Char('j') => model.step(1),
        KeyCode::Up | KeyCode::Char('k') => model.step(-1),
        KeyCode::PageDown => model.step(page),
        KeyCode::PageUp => model.step(-page),
        KeyCode::Home | KeyCode::Char('g') => model.select(0),
        KeyCode::End | KeyCode::Char('G') => model.select(usize::MAX),
        _ => {}
    }
    Then::GoOn
}

/// One step back: from details to the table, from a selection to the top, from a search to all carts.
fn back(model: &mut Model) -> Then {
    if model.details {
        model.details = false;
    } else if model.has_selection() {
        model.deselect();
    } else {
        model.search.clear();
    }
    Then::GoOn
}

fn search(model: &mut Model, code: KeyCode, control: bool) {
    match code {
        KeyCode::Enter => model.typing = false,
        KeyCode::Esc => {
            model.typing = false;
            model.search.clear();
        }
        KeyCode::Backspace => {
            model.search.pop();
        }
        KeyCode::Char('u') if control => model.search.clear(),
        KeyCode::Char(c) if !control && model.search.chars().count() < SEARCH_MAX => {
            model.search.push(c);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::{follower::News, screen::sample};

    fn model() -> Model {
        let mut model = Model::new("here", "");
        for id in ["a", "b", "c"] {
            let news = News::Change {
                change: sample::change(id, 1),
                label: id.into(),
                standing: false,
            };
            model.hear(news, 1);
        }
        model
    }

    fn press(model: &mut Model, code: KeyCode) -> Then {
        super::press(model, KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn number(model: &Model) -> Option<String> {
        model.selected().map(|row| row.cart.number.clone())
    }

    #[test]
    fn keys_move_the_selection() {
        let mut model = model();
        press(&mut model, KeyCode::Up);
        assert_eq!(number(&model), None);
        press(&mut model, KeyCode::Down);
        assert_eq!(number(&model).as_deref(), Some("#c"));
        press(&mut model, KeyCode::Char('j'));
        assert_eq!(number(&model).as_deref(), Some("#b"));
        press(&mut model, KeyCode::End);
        press(&mut model, KeyCode::Down);
        assert_eq!(number(&model).as_deref(), Some("#a"));
        press(&mut model, KeyCode::Home);
        assert_eq!(number(&model).as_deref(), Some("#c"));
    }

    #[test]
    fn what_is_typed_into_a_search_commands_nothing() {
        let mut model = model();
        press(&mut model, KeyCode::Char('/'));
        for c in "q p".chars() {
            assert_eq!(press(&mut model, KeyCode::Char(c)), Then::GoOn);
        }
        press(&mut model, KeyCode::Backspace);
        press(&mut model, KeyCode::Enter);

        assert_eq!(model.search, "q ");
        assert_eq!(model.missed(), None);
        assert!(model.rows().is_empty());
        press(&mut model, KeyCode::Esc);
        assert_eq!(model.rows().len(), 3);
    }

    #[test]
    fn back_is_one_step_at_a_time() {
        let mut model = model();
        press(&mut model, KeyCode::Enter);
        assert!(model.details && model.has_selection());

        press(&mut model, KeyCode::Esc);
        assert!(!model.details && model.has_selection());
        press(&mut model, KeyCode::Esc);
        assert!(!model.has_selection());
    }

    #[test]
    fn the_end_is_asked_for_by_q_or_as_everywhere() {
        let mut model = model();
        assert_eq!(press(&mut model, KeyCode::Char('q')), Then::Quit);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(super::press(&mut model, control_c), Then::Quit);
        press(&mut model, KeyCode::Char('/'));
        assert_eq!(super::press(&mut model, control_c), Then::Quit);
    }
}
