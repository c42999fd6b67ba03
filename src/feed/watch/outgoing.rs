//! A change that a stream still has to send.

use std::sync::Arc;

use crate::feed::entry::{Element, Entry};
use crate::feed::resource::Resource;
use crate::revision::Position;

/// How a change is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// The whole change: the resource, or its deletion.
    Whole,
    /// Only that the resource stopped matching.
    Left,
}

pub struct Outgoing {
    pub entry: Arc<Entry>,
    pub sending: Sending,
    /// The stream's position before the first change that this one replaces.
    pub before: Position,
    /// The number of earlier changes that it replaces.
    pub conflated: i32,
}

impl Outgoing {
    pub fn element(&self, resource: &'static dyn Resource) -> Element {
        match self.sending {
            Sending::Whole => self.entry.element(self.conflated),
            Sending::Left => Element::left(resource, &self.entry.id, self.entry.version),
        }
    }
}
