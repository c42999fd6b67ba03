//! `clientela watch carts` on a terminal: a table that fills it and changes as the carts do.
//!
//! `model` holds the displayed state, `keys` its changes by keys, `draw` its appearance. This file connects
//! them with the follower and the terminal. News are applied at once and drawn at most ten times a second, so
//! that a busy shop costs little.

mod carts;
mod draw;
mod keys;
mod model;
mod order;
#[cfg(test)]
mod sample;
mod terminal;
mod text;
mod theme;

use std::{cell::RefCell, time::Duration};

use crossterm::event::{Event, EventStream};
use futures::StreamExt as _;
use tokio::time::MissedTickBehavior;

use crate::{
    cli::{connection::Client, failure::Failure},
    clock::Clock,
};

use super::{
    Watch,
    figures::{self, FiguresNews},
    follower::Follower,
    resource::Carts,
};
use keys::Next;
use model::Model;
use terminal::Screen;
use theme::Theme;

/// How often the screen is drawn while something changes.
const FRAME: Duration = Duration::from_millis(100);
/// The number of frames after which it is drawn without changes, because ages change.
const FRAMES_IDLE: u32 = 10;

/// The default filter. A shop keeps ordered carts for years, but a cart that was just ordered should be seen
/// as ordered.
const FILTER: &str = "state = OPEN OR update_time > now - 1m";

/// Shows carts until the reader quits or the server refuses for good.
pub async fn show(client: Client, options: Watch) -> Result<(), Failure> {
    let model = RefCell::new(Model::new(&options.connection.server, &options.filter));
    let filter = match options.filter.is_empty() {
        true => FILTER.to_owned(),
        false => options.filter.clone(),
    };
    let options = Watch { filter, ..options };
    let clock = Clock::system();
    let follower = Follower::<Carts, _>::new(client.clone(), options, |news| {
        model.borrow_mut().apply(news, clock.now());
        Ok(())
    });
    let figures = async {
        let following = figures::follow(client, |news| {
            if let FiguresNews::Figures(figures) = news {
                model.borrow_mut().figures(figures);
            }
            Ok(())
        });
        // Without figures, for example for a key that may not see them, the carts are still shown.
        let _ = following.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = follower.follow() => result,
        () = figures => Ok(()),
        result = run(&model, &clock) => result,
        () = terminated() => Ok(()),
    }
}

/// Draws the model and applies keys to it.
async fn run(model: &RefCell<Model>, clock: &Clock) -> Result<(), Failure> {
    let theme = Theme::of_environment();
    let mut screen = Screen::open()?;
    let mut events = EventStream::new();
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut idle = 0;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) => {
                    if keys::press(&mut model.borrow_mut(), key) == Next::Quit {
                        return Ok(());
                    }
                }
                Some(Ok(Event::Resize(..))) => {
                    screen.clear()?;
                    model.borrow_mut().dirty = true;
                }
                Some(Ok(_)) => {}
                // The terminal is closed.
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            _ = frames.tick() => {
                let mut model = model.borrow_mut();
                let now = clock.now();
                model.tidy(now);
                idle += 1;
                if model.dirty || idle >= FRAMES_IDLE {
                    idle = 0;
                    model.dirty = false;
                    screen.draw(|buffer| draw::draw(buffer, &mut model, theme, now))?;
                }
            }
        }
    }
}

/// Waits until the program is asked to end, so that it restores the terminal first.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut hang_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
