//! The places in the log that tokens say: two tokens of one place do not look alike.

use clientela::feed::{Kind, Progress, Tokens};
use clientela::revision::Position;
use clientela::store::Store;

/// Reads the tokens of a shop.
pub struct Places {
    tokens: Tokens,
    shop: &'static str,
}

impl Places {
    /// Those of a shop in this store.
    pub fn of(store: &Store, shop: &'static str) -> Self {
        let tokens = Tokens::new(*store.meta().secret());
        Self { tokens, shop }
    }

    /// A revision that the store never reaches.
    pub fn never(&self) -> String {
        let position = Position {
            xid: i64::MAX,
            seq: i64::MAX,
            mark: 0,
        };
        self.tokens.seal_revision(position)
    }

    /// How far the reader is to whom this token was sent, whatever it watches.
    pub fn place(&self, token: &str) -> Progress {
        crate::specimens::watched()
            .find_map(|kind| {
                let kind = Kind::new(kind.log_kind());
                self.tokens.open(self.shop, kind, token).ok()
            })
            .expect("a token of this shop")
            .progress
    }
}
