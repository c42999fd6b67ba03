//! All SQL of carts.

mod due;
mod find;
mod read;
mod write;

pub use due::{
    CartQuery, CountedRow, Kept, counted, left_alone, matching, ran_out, shops, shops_left_alone,
    shops_untouched, untouched,
};
pub use find::{by_number, by_order, exists, open_in, open_of};
pub use read::{Buyer, Found, Key, Priced, Query, parse, read, read_many, read_page};
pub use write::{delete, insert, renew, update};
