//! The actions of keys on the model.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::Model;

/// The longest search text.
const SEARCH_MAX: usize = 100;

/// The help line of the screen.
pub const HELP: &str =
    "↑↓ select  Enter details  / search  s sort  Space pause  Esc back  ? help  q quit";
/// The help line while the keys are explained.
pub const CLOSE_HELP: &str = "any key goes back  q quit";
/// All keys and their actions.
pub const KEYS: [(&str, &str); 12] = [
    ("↑ ↓, k j", "select the cart above or below"),
    (
        "Page Up, Page Down",
        "select a cart one page above or below",
    ),
    ("Home End, g G", "select the first or the last cart"),
    ("Enter", "show the selected cart whole, or hide it again"),
    (
        "/, f",
        "search names, numbers, products and states; an id by its beginning",
    ),
    (
        "s",
        "sort by the next column: changed, total, pieces, age, who",
    ),
    ("r", "reverse the order"),
    ("Space, p", "pause, or go on with what came meanwhile"),
    (
        "Esc",
        "go back: hide the cart, select none, drop the search",
    ),
    ("?, h", "show these keys"),
    ("q, Ctrl-C", "quit"),
    (
        "",
        "The table shows carts that are open, or were a minute ago, unless --filter says otherwise.",
    ),
];
/// The help line while a search is typed.
pub const SEARCH_HELP: &str = "Enter keep the search  Esc drop it  Ctrl-U empty it";

/// The consequence of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The screen continues.
    Continue,
    /// The reader quits.
    Quit,
}

/// Performs the action of a key.
pub fn press(model: &mut Model, key: KeyEvent) -> Next {
    if key.kind == KeyEventKind::Release {
        return Next::Continue;
    }
    model.dirty = true;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control && matches!(key.code, KeyCode::Char('c')) {
        return Next::Quit;
    }
    if model.typing {
        search(model, key.code, control);
        return Next::Continue;
    }
    if model.help {
        model.help = false;
        return match key.code {
            KeyCode::Char('q') => Next::Quit,
            _ => Next::Continue,
        };
    }
    let page = isize::try_from(model.page).unwrap_or(isize::MAX);
    match key.code {
        KeyCode::Char('q') => return Next::Quit,
        KeyCode::Char('d') if control => return Next::Quit,
        KeyCode::Esc => return back(model),
        KeyCode::Char(' ' | 'p') => model.pause(),
        KeyCode::Char('?' | 'h') => model.help = true,
        KeyCode::Char('s') => model.order = model.order.next(),
        KeyCode::Char('r') => model.order = model.order.reverse(),
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
    Next::Continue
}

/// Goes one step back: from details to the table, from a selection to the top, from a search to all carts.
fn back(model: &mut Model) -> Next {
    if model.details {
        model.details = false;
    } else if model.has_selection() {
        model.deselect();
    } else {
        model.search.clear();
    }
    Next::Continue
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
    use crate::cli::watch::{
        follower::News,
        screen::{
            order::{Key, Order},
            sample,
        },
    };

    fn model() -> Model {
        let mut model = Model::new("here", "");
        for id in ["a", "b", "c"] {
            let news = News::Change {
                change: sample::change(id, 1),
                label: id.into(),
                standing: false,
            };
            model.apply(news, 1);
        }
        model
    }

    fn press(model: &mut Model, code: KeyCode) -> Next {
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

    fn shown(model: &Model) -> Vec<&str> {
        let rows = model.rows();
        rows.iter().map(|row| row.cart.number.as_str()).collect()
    }

    #[test]
    fn a_key_sorts_and_another_reverses() {
        let mut model = Model::new("here", "");
        for (id, who, euros) in [("a", "Cleo", 30), ("b", "Ben", 20), ("c", "Ada", 40)] {
            let mut change = sample::change(id, 1);
            change.cart.as_mut().unwrap().total = sample::euros(euros);
            let news = News::Change {
                change,
                label: who.into(),
                standing: false,
            };
            model.apply(news, 1);
        }
        assert_eq!(shown(&model), ["#c", "#b", "#a"]);

        press(&mut model, KeyCode::Char('s'));
        assert_eq!(shown(&model), ["#c", "#a", "#b"]);
        press(&mut model, KeyCode::Char('r'));
        assert_eq!(shown(&model), ["#b", "#a", "#c"]);
        for _ in 0..3 {
            press(&mut model, KeyCode::Char('s'));
        }
        assert_eq!(model.order.key, Key::Who);
        assert_eq!(shown(&model), ["#c", "#b", "#a"]);
        press(&mut model, KeyCode::Char('s'));
        assert_eq!(model.order, Order::default());
    }

    #[test]
    fn help_is_left_by_any_key_which_does_nothing_else() {
        let mut model = model();
        press(&mut model, KeyCode::Char('?'));
        assert!(model.help);

        press(&mut model, KeyCode::Char(' '));

        assert!(!model.help && model.missed().is_none());
        press(&mut model, KeyCode::Char('?'));
        assert_eq!(press(&mut model, KeyCode::Char('q')), Next::Quit);
    }

    #[test]
    fn keys_typed_into_a_search_are_not_commands() {
        let mut model = model();
        press(&mut model, KeyCode::Char('/'));
        for c in "q p".chars() {
            assert_eq!(press(&mut model, KeyCode::Char(c)), Next::Continue);
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
        assert_eq!(press(&mut model, KeyCode::Char('q')), Next::Quit);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(super::press(&mut model, control_c), Next::Quit);
        press(&mut model, KeyCode::Char('/'));
        assert_eq!(super::press(&mut model, control_c), Next::Quit);
    }
}
