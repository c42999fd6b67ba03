//! What the tests stand on: servers, databases and the helpers that state only what matters.

pub mod postgres;
