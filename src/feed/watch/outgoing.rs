//! A change that a stream still has to send.

use std::sync::Arc;

use crate::feed::entry::{Element, Entry};
use crate::feed::resource::Resource;
use crate::revision::Position;

/// How a change is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// As it is: the resource, or that it is gone.
    Whole,
    /// Only that it does not match any more.
    Left,
}

/// A change that is to be sent.
pub struct Outgoing {
    pub entry: Arc<Entry>,
    pub sending: Sending,
    /// The stream's position before the first change that this one stands for.
    pub before: Position,
    /// How many earlier changes it replaces.
    pub conflated: i32,
}

impl Outgoing {
    /// The change as it goes onto the wire.
    pub fn element(&self, resource: &'static dyn Resource) -> Element {
        match self.sending {
            Sending::Whole => self.entry.element(self.conflated),
            Sending::Left => Element::left(resource, &self.entry.id, self.entry.version),
        }
    }
}
