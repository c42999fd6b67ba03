//! A channel as a stream holds it.

use std::sync::Arc;

use super::{Hub, Key};
use crate::feed::channel::Channel;

/// A channel that is lent to a stream. Dropping it returns the channel.
pub struct Lease {
    pub(super) hub: Arc<Hub>,
    pub(super) key: Key,
    pub(super) channel: Arc<Channel>,
}

impl std::ops::Deref for Lease {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.hub.give_back(&self.key, &self.channel);
    }
}
