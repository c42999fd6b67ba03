//! Customers.
mod model;
