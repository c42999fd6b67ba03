//! All SQL over customers, their external ids, credentials and visits.

mod account;
mod index;
mod read;
mod write;

pub(super) use account::{
    AccountRow, account, remove_credential, renew_credential, set_credential, visit,
};
pub use index::INDEX_NOTED;
pub(super) use index::reindex;
pub(super) use read::{
    DerivedRow, FoundRow, Holder, Key, derived, documents, external_holder, external_holders, find,
    find_all, get, get_many, holders, ids_after, ids_by_claim, last_visits, model, title_exists,
};
pub(super) use write::{insert, set_external_id, update};
