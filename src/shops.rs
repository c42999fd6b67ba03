//! Shops: the scopes in which customers are shared, their settings, and the keys that open them.

mod model;

pub use model::{ApiKeyDoc, NewCustomerState, ReRegistration, Settings, ShopDoc};
