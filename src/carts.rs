//! Carts: what shoppers put into them, and what it costs.

pub mod edit;
pub mod model;
pub mod price;
