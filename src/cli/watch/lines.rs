//! What a watch tells as lines: changes on standard output, everything else beside it.

use crate::proto::pb::snapshot_begin::Cause;

use super::{
    super::{failure::Failure, output},
    follower::{Link, News},
    resource::Watched,
};

/// Prints what a follower tells.
#[derive(Debug)]
pub struct Lines {
    json: bool,
    notes: Notes,
}

impl Lines {
    /// Prints for people, or messages of the contract.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            notes: Notes::default(),
        }
    }

    /// Prints one thing.
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

/// Says once that the connection went, and that it came again if that was said.
#[derive(Debug, Default)]
pub struct Notes {
    told: bool,
}

impl Notes {
    /// Says what happened, if it is to be said.
    pub fn link(&mut self, link: &Link) {
        match link {
            Link::Lost { why, announced } => {
                if !self.told && !announced {
                    note(&format!("the stream ended ({why}); trying again"));
                    self.told = true;
                }
            }
            Link::Back => {
                if std::mem::take(&mut self.told) {
                    note("connected again");
                }
            }
        }
    }
}

/// Says what is not a change, apart from the output.
fn note(text: &str) {
    eprintln!("clientela: {}", output::plain(text));
}
