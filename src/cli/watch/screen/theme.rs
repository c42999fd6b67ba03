//! The styles of the screen, on dark and on light terminals.
//!
//! The background is the terminal's own. Only colours that are readable on black and on white are used. Their
//! meaning is also in the text, or in bold, dim and reversed cells, so that nothing depends on a colour.

use ratatui_core::style::{Color, Modifier, Style};

/// The styles of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    colours: bool,
}

impl Theme {
    /// With colours or without.
    pub fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// Reads the environment: `NO_COLOR` set to anything disables colours.
    pub fn of_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|wish| wish.is_empty()))
    }

    fn coloured(self, style: Style, colour: Color) -> Style {
        if self.colours {
            style.fg(colour)
        } else {
            style
        }
    }

    /// The first line.
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The names of columns and of parts of the screen.
    pub fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// Less important text.
    pub fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Ordinary text.
    pub fn normal(self) -> Style {
        Style::new()
    }

    /// A recent change.
    pub fn fresh(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Green)
    }

    /// Something that deserves attention.
    pub fn odd(self) -> Style {
        self.coloured(Style::new(), Color::Magenta)
    }

    /// A fault.
    pub fn bad(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.colours {
            style.fg(Color::Red)
        } else {
            style.add_modifier(Modifier::REVERSED)
        }
    }

    /// The selected row.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(theme: Theme) -> [Style; 8] {
        [
            theme.title(),
            theme.heading(),
            theme.faint(),
            theme.normal(),
            theme.fresh(),
            theme.odd(),
            theme.bad(),
            theme.selected(),
        ]
    }

    #[test]
    fn every_look_can_be_read_on_black_and_on_white() {
        for style in all(Theme::new(true)) {
            assert_eq!(style.bg, None, "{style:?}");
            let readable = [Color::Red, Color::Green, Color::Magenta];
            assert!(
                style.fg.is_none_or(|colour| readable.contains(&colour)),
                "{style:?}"
            );
        }
    }

    #[test]
    fn without_colours_there_are_none() {
        for style in all(Theme::new(false)) {
            assert_eq!((style.fg, style.bg), (None, None), "{style:?}");
        }
    }
}
