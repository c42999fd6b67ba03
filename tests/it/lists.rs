//! Tests the pages of every list, read to the end during concurrent writes, and invalid page tokens.

mod large;
mod members;
mod tokens;
mod walk;

use crate::on_both_engines;
use crate::specimens::{Carts, Customers, Groups, SavedFilters, Titles};
use members::Members;
use walk::walk_every_way;

on_both_engines! {
    async fn a_walk_over_carts_returns_each_existing_cart_once(shop: Shop) {
        walk_every_way(&Carts, &shop).await;
    }

    async fn a_walk_over_customers_returns_each_existing_customer_once(shop: Shop) {
        walk_every_way(&Customers, &shop).await;
    }

    async fn a_walk_over_groups_returns_each_existing_group_once(shop: Shop) {
        walk_every_way(&Groups, &shop).await;
    }

    async fn a_walk_over_saved_filters_returns_each_existing_filter_once(shop: Shop) {
        walk_every_way(&SavedFilters, &shop).await;
    }

    async fn a_walk_over_titles_returns_each_existing_title_once(shop: Shop) {
        walk_every_way(&Titles, &shop).await;
    }

    async fn a_walk_over_members_returns_each_existing_member_once(shop: Shop) {
        walk_every_way(&Members, &shop).await;
    }
}
