//! The news of a watch as lines: changes on standard output, everything else on standard error.

use crate::proto::pb::snapshot_begin::Cause;

use super::{
    super::{failure::Failure, output},
    follower::{Link, News},
    resource::Watched,
};

/// Prints the news of a follower.
#[derive(Debug)]
pub struct Lines {
    json: bool,
    notes: Notes,
}

impl Lines {
    /// Prints text for people, or messages of the contract.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            notes: Notes::default(),
        }
    }

    /// Prints one piece of news.
    pub fn print<W: Watched>(&mut self, news: News<W::Change>) -> Result<(), Failure> {
        match news {
            News::Change {
                change,
                label,
                standing,
            } => {
                let text = match self.json {
                    true => output::json(&change)?,
                    false => W::lines(&change, &label, standing),
                };
                output::print(&text)?;
            }
            News::Gone { name, label } => note(&format!("{label} ({name}) is gone")),
            News::Begin(Cause::EpochChanged) => {
                note("the store was replaced; its state is shown from the beginning");
            }
            News::Begin(Cause::TokenExpired) => {
                note("the server has no history since the last message; its state now follows");
            }
            News::Begin(Cause::Unspecified | Cause::Initial | Cause::FilterChanged) => {}
            News::Whole | News::Forget => {}
            News::Link(link) => self.notes.link(&link),
        }
        Ok(())
    }
}

/// Reports the loss of a connection once, and its return only after a reported loss.
#[derive(Debug, Default)]
pub struct Notes {
    reported: bool,
}

impl Notes {
    /// Prints a change of the connection, if it is to be reported.
    pub fn link(&mut self, link: &Link) {
        match link {
            Link::Lost { why, announced } => {
                if !self.reported && !announced {
                    note(&format!("the stream ended ({why}); trying again"));
                    self.reported = true;
                }
            }
            Link::Back => {
                if std::mem::take(&mut self.reported) {
                    note("connected again");
                }
            }
        }
    }
}

/// Prints a note on standard error.
fn note(text: &str) {
    eprintln!("clientela: {}", output::plain(text));
}
