//! The kit: the lists, watches and writes of all resources, so that an area adds only its rules.
//!
//! A [`Table`] has one row for each field that filters and orders may name. From it follow the filter's schema,
//! the field's value in memory, the indexes that lead to rows, the pages of lists and the snapshots of watches.

mod column;
mod describe;
mod examine;
mod leads;
mod list;
mod order;
mod owned;
pub mod page;
mod partition;
mod read;
mod row;
mod stored;
mod table;
pub mod tombstone;
mod watch;
mod write;

pub use column::Column;
pub use leads::{Entries, Index, Pairs};
pub use list::{List, PAGE_BYTES_MAX, Page, Query, list};
pub use page::Pauses;
pub use partition::Partition;
pub use read::get;
pub use row::Row;
pub use stored::{Faults, Head, Resource, load, parse};
pub use table::{Seen, Table};
pub use watch::watch;
pub use write::{
    change, create, create_from, delete, delete_row, existing, insert_row, locks, name_taken,
    update,
};
