//! Clientela.
