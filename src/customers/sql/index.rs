//! The derived columns for search and order: search texts, folded columns and sort keys.

use crate::collation::sort_key;
use crate::customers::model::Customer;
use crate::error::Result;
use crate::execute;
use crate::filter::fold;
use crate::store::{Engine, Tx, index_text, joined_name};

/// Returns the search text of a customer.
pub(super) fn search_text(customer: &Customer) -> String {
    let fields = [
        &customer.first_name,
        &customer.last_name,
        &customer.email,
        &customer.company,
        &customer.phone,
        &customer.number,
    ];
    // The order of the names depends on the language, and the name may be of any language.
    let (first, last) = (&customer.first_name, &customer.last_name);
    let full_names = [joined_name(last, first), joined_name(first, last)];
    let fields = fields.into_iter().map(String::as_str);
    let ids = customer.external_ids.values().map(String::as_str);
    index_text(
        fields
            .chain(full_names.iter().flatten().map(String::as_str))
            .chain(ids),
    )
}

/// Updates the search index of SQLite. Triggers note each changed row in `customers_search_due`; these
/// statements index the rows and empty the table.
///
/// The service runs them before each commit that changed a search text. A program that writes customers with
/// its own SQL must run them, too. `CROSS JOIN` makes SQLite begin with the noted rows.
pub const INDEX_NOTED: &str = "INSERT INTO customers_search (customers_search, rowid, search_text)
        SELECT 'delete', d.search_id, d.search_text FROM customers_search_due d
        WHERE d.search_text IS NOT NULL;
    INSERT INTO customers_search (rowid, search_text)
        SELECT c.search_id, c.search_text FROM customers_search_due d
        CROSS JOIN customers c ON c.search_id = d.search_id;
    DELETE FROM customers_search_due";

/// Notes that the search text of a customer may have changed.
pub(super) fn search_text_changed(tx: &mut Tx) {
    if tx.engine() == Engine::Sqlite {
        tx.before_commit(INDEX_NOTED);
    }
}

const REINDEX: &str = "UPDATE customers SET
    (email_folded, first_name_folded, last_name_folded, company_folded, search_text, last_name_key)
    = ($3, $4, $5, $6, $7, $8)
    WHERE shop_id = $1 AND id = $2 AND
    (email_folded, first_name_folded, last_name_folded, company_folded, search_text, last_name_key)
    <> ($3, $4, $5, $6, $7, $8)";

/// Rebuilds the derived columns of a customer if they differ from those of this release. The customer itself
/// does not change.
pub(in crate::customers) async fn reindex(
    tx: &mut Tx,
    shop: &str,
    customer: &Customer,
    language: &str,
) -> Result<()> {
    execute!(
        tx,
        sqlx::query(REINDEX)
            .bind(shop)
            .bind(&customer.id)
            .bind(fold(&customer.email))
            .bind(fold(&customer.first_name))
            .bind(fold(&customer.last_name))
            .bind(fold(&customer.company))
            .bind(search_text(customer))
            .bind(sort_key(language, &customer.last_name))
    )?;
    search_text_changed(tx);
    Ok(())
}
