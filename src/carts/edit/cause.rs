//! The causes of a change of a cart, as the feed tells them.

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

    /// Something that happened to a line, which had and has so many pieces; with none left it is gone.
    pub fn of_line(kind: Kind, line: &Line, before: i64, after: i64) -> Self {
        let display_name = match after {
            0 => line.display_name.clone(),
            // The cart has the line, and its name.
            _ => String::new(),
        };
        Self {
            item: line.id.clone(),
            product: line.product.clone(),
            display_name,
            before,
            after,
            ..Self::of_cart(kind)
        }
    }

    /// Whether it is about a member of staff's hold on the cart.
    pub fn is_of_lock(&self) -> bool {
        matches!(self.kind, Kind::Locked | Kind::Unlocked | Kind::LockExpired)
    }

    /// Whether the service brought it about by itself, and the write only met it.
    pub fn is_of_service(&self) -> bool {
        matches!(
            self.kind,
            Kind::Repriced | Kind::CustomerChanged | Kind::LockExpired
        )
    }

    /// With the other cart that it is about.
    pub fn with_cart(mut self, id: &str) -> Self {
        id.clone_into(&mut self.cart);
        self
    }
}
