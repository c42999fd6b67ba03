//! The keys and their actions, in place of the table.

use ratatui_core::{buffer::Buffer, layout::Rect};

use crate::cli::watch::screen::{keys, text::put, theme::Theme};

/// The width of the column of keys.
const KEYS_WIDTH: u16 = 20;

/// Draws a line for each key.
pub fn draw(buffer: &mut Buffer, area: Rect, theme: Theme) {
    let lines = area.y..area.bottom();
    for (y, (key, does)) in lines.zip(keys::KEYS) {
        let taken = match key {
            "" => 0,
            key => {
                put(buffer, (area.x, y), area.width, key, theme.title());
                KEYS_WIDTH.min(area.width)
            }
        };
        let room = area.width - taken;
        put(buffer, (area.x + taken, y), room, does, theme.normal());
    }
}
