//! Derived columns by which customers are found and ordered: search texts, folded columns and sort keys.

use crate::collation::sort_key;
use crate::customers::model::Customer;
use crate::error::Result;
use crate::execute;
use crate::filter::fold;
use crate::store::{Tx, index_text, joined_name};

/// Returns the text in which a search looks for a customer.
pub(super) fn search_text(customer: &Customer) -> String {
    let fields = [
        &customer.first_name,
        &customer.last_name,
        &customer.email,
        &customer.company,
        &customer.phone,
        &customer.number,
    ];
    // Which of the two is first depends on the language, and the name may be of any.
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

const REINDEX: &str = "UPDATE customers SET
    (email_folded, first_name_folded, last_name_folded, company_folded, search_text, last_name_key)
    = ($3, $4, $5, $6, $7, $8)
    WHERE shop_id = $1 AND id = $2 AND
    (email_folded, first_name_folded, last_name_folded, company_folded, search_text, last_name_key)
    <> ($3, $4, $5, $6, $7, $8)";

/// Rebuilds the derived columns of a customer where they differ from those of this release. The customer
/// itself does not change.
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
    Ok(())
}
