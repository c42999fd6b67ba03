//! The causes of a change of a cart, which the feed sends.

use crate::{carts::model::Line, proto::pb::cart_cause::Kind};

/// One event in a change of a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub kind: Kind,
    /// The id of the line, if the event concerns one.
    pub item: String,
    /// The line's product.
    pub product: String,
    /// The former display name of the line, if it is removed.
    pub display_name: String,
    /// The quantity of the line before.
    pub before: i64,
    /// The quantity of the line after.
    pub after: i64,
    /// The id of the other cart of a merge or a move.
    pub cart: String,
}

impl Cause {
    /// An event that concerns the whole cart.
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

    /// An event that changes the quantity of a line; 0 after it means that the line is removed.
    pub fn of_line(kind: Kind, line: &Line, before: i64, after: i64) -> Self {
        let display_name = match after {
            0 => line.display_name.clone(),
            // The cart still has the line, and its name.
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

    /// Whether it concerns a hold of staff on the cart.
    pub fn is_of_lock(&self) -> bool {
        matches!(self.kind, Kind::Locked | Kind::Unlocked | Kind::LockExpired)
    }

    /// Whether the service itself caused it, and the write only included it.
    pub fn is_of_service(&self) -> bool {
        matches!(
            self.kind,
            Kind::Repriced | Kind::CustomerChanged | Kind::LockExpired
        )
    }

    /// Sets the other cart.
    pub fn with_cart(mut self, id: &str) -> Self {
        id.clone_into(&mut self.cart);
        self
    }
}
