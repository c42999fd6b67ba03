//! The terminal: taken over while the screen is open, and restored however the program ends.
//!
//! The screen does not wrap lines. After a character that terminals may measure differently, it sets the
//! cursor position again. So a terminal that disagrees is wrong about one character and not about the rest of
//! the line.

use std::{
    io::{self, BufWriter, Stdout},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor::{Hide, Show},
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
        EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    },
};
use ratatui_core::{
    backend::{Backend, ClearType, WindowSize},
    buffer::{Buffer, Cell},
    layout::{Position, Size},
    terminal::Terminal,
};
use ratatui_crossterm::CrosstermBackend;

/// The buffer of a frame in bytes, so that a frame takes few writes.
const BUFFERED: usize = 64 * 1024;

/// The terminal while the screen uses it.
pub struct Screen {
    terminal: Terminal<Repositioning>,
    // Dropped last, after the pending writes.
    _taken: Taken,
}

impl Screen {
    /// Takes over the terminal.
    pub fn open() -> io::Result<Self> {
        let taken = Taken::take()?;
        let out = BufWriter::with_capacity(BUFFERED, io::stdout());
        let mut terminal = Terminal::new(Repositioning(CrosstermBackend::new(out)))?;
        terminal.clear()?;
        Ok(Self {
            terminal,
            _taken: taken,
        })
    }

    /// Draws a frame. Only the differences from the one before are sent.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        queue!(self.terminal.backend_mut().0, BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| draw(frame.buffer_mut()))?;
        execute!(self.terminal.backend_mut().0, EndSynchronizedUpdate)
    }

    /// Draws everything anew, for example after another program wrote to the terminal.
    pub fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

/// Whether the terminal is taken over, so that it is restored once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Restores the terminal when it is dropped.
struct Taken;

impl Taken {
    fn take() -> io::Result<Self> {
        give_back_in_panic();
        TAKEN.store(true, Ordering::SeqCst);
        // From here on the terminal is restored, even if not all of this works.
        let taken = Self;
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, DisableLineWrap, Hide)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Restores the state of the terminal. Errors are ignored, because there is nobody to report them to.
fn give_back() {
    let mut out = io::stdout();
    // A frame may have been begun, even after the rest was restored.
    let _ = execute!(out, EndSynchronizedUpdate);
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(out, EnableLineWrap, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Restores the terminal before a panic message, which would otherwise go to a screen that is about to
/// vanish.
fn give_back_in_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

/// Writes as crossterm does, but sets the position after each character that is not ASCII.
struct Repositioning(CrosstermBackend<BufWriter<Stdout>>);

impl Backend for Repositioning {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        while content.peek().is_some() {
            let mut ended = false;
            // Each call begins with a position.
            self.0.draw(std::iter::from_fn(|| {
                if ended {
                    return None;
                }
                let next = content.next()?;
                ended = !next.2.symbol().is_ascii();
                Some(next)
            }))?;
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.0.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.0.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Does not ask the terminal, which might not answer.
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.0.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.0.clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        self.0.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.0.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.0)
    }
}
