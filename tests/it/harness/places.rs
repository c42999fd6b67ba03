//! Reads the position in the log from a token. Two tokens of the same position differ as texts.

use clientela::feed::{Kind, Progress, Tokens};
use clientela::revision::Position;
use clientela::store::Store;

/// Opens the tokens of a shop.
pub struct Places {
    tokens: Tokens,
    shop: &'static str,
}

impl Places {
    /// Opens the tokens of a shop in this store.
    pub fn of(store: &Store, shop: &'static str) -> Self {
        let tokens = Tokens::new(*store.meta().secret());
        Self { tokens, shop }
    }

    /// Returns a revision that the store never reaches.
    pub fn never(&self) -> String {
        let position = Position {
            xid: i64::MAX,
            seq: i64::MAX,
            mark: 0,
        };
        self.tokens.seal_revision(position)
    }

    /// Returns the progress in a token of any watch.
    pub fn place(&self, token: &str) -> Progress {
        crate::specimens::watched()
            .find_map(|kind| {
                let kind = Kind::new(kind.log_kind());
                self.tokens.open(self.shop, kind, token).ok()
            })
            .expect("the token is of this shop")
            .progress
    }
}
