//! How things look. Without colours everything is told by the text and by bold, dim and reversed cells.

use ratatui_core::style::{Color, Modifier, Style};

/// The looks of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    colours: bool,
}

impl Theme {
    /// With colours or without.
    pub fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// As the environment wishes: `NO_COLOR` set to anything means none.
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

    /// What names other things.
    pub fn heading(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Cyan)
    }

    /// What matters less.
    pub fn faint(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::DIM), Color::Gray)
    }

    /// What matters as it is.
    pub fn normal(self) -> Style {
        Style::new()
    }

    /// What has changed just now.
    pub fn fresh(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Green)
    }

    /// What somebody should look at.
    pub fn odd(self) -> Style {
        self.coloured(Style::new(), Color::Yellow)
    }

    /// What is wrong.
    pub fn bad(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.colours {
            style.fg(Color::Red)
        } else {
            style.add_modifier(Modifier::REVERSED)
        }
    }

    /// What is selected.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
