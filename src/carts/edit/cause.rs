//! What happened to a cart, as the feed is told of it.

use crate::{carts::model::Line, proto::pb::cart_cause::Kind};

/// One thing that happened to a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What.
    pub kind: Kind,
    /// The line's id, if it happened to one.
    pub item: String,
    /// The line's product.
    pub product: String,
    /// What the line was called, if it is gone.
    pub display_name: String,
    /// The line's quantity before.
    pub before: i64,
    /// The line's quantity after.
    pub after: i64,
    /// The id of the other cart, of a merge or a move.
    pub cart: String,
}

impl Cause {
    /// Something that happened to the cart as a whole.
    pub fn of_cart(kind: Kind) -> Self {
        Self {
            kind,
            item: String::new(),
            product: String::new(),
            display_name: String::new(),
            before: 0,
            after: 0,
            cart: String::new(),
        }
    }

    /// The cart does not have this line any more.
    pub fn of_gone_line(kind: Kind, line: Line) -> Self {
        Self {
            item: line.id,
            product: line.product,
            display_name: line.display_name,
            before: line.quantity,
            ..Self::of_cart(kind)
        }
    }

    /// Whether it is about a member of staff's hold on the cart.
    pub fn is_of_lock(&self) -> bool {
        matches!(self.kind, Kind::Locked | Kind::Unlocked | Kind::LockExpired)
    }

    /// With the other cart that it is about.
    pub fn with_cart(mut self, id: &str) -> Self {
        id.clone_into(&mut self.cart);
        self
    }
}
