//! How many streams may be open, in all and per key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::limits;
use crate::proto::pb::ErrorReason;

/// Counts open streams.
#[derive(Clone, Default)]
pub struct Quota(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    by_key: HashMap<Arc<str>, usize>,
}

/// The right to one open stream; given back when dropped.
pub struct Permit {
    quota: Quota,
    key: Arc<str>,
}

impl Quota {
    /// Takes the right to one more stream.
    ///
    /// # Errors
    /// TOO_MANY_STREAMS.
    pub fn take(&self, key: &Arc<str>) -> Result<Permit> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = counts.by_key.get(key).copied().unwrap_or(0);
        if counts.all >= limits::WATCH_STREAMS_MAX {
            return Err(too_many(
                limits::WATCH_STREAMS_MAX,
                "the server has as many open streams as it may",
            ));
        }
        if of_key >= limits::WATCH_STREAMS_PER_KEY_MAX {
            return Err(too_many(
                limits::WATCH_STREAMS_PER_KEY_MAX,
                "the key has as many open streams as it may",
            ));
        }
        counts.all += 1;
        counts.by_key.insert(Arc::clone(key), of_key + 1);
        Ok(Permit {
            quota: self.clone(),
            key: Arc::clone(key),
        })
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

fn too_many(limit: usize, text: &'static str) -> Error {
    Error::exhausted(ErrorReason::TooManyStreams, text).with("limit", limit.to_string())
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.quota.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(of_key) = counts.by_key.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                counts.by_key.remove(&self.key);
            }
        }
    }
}
