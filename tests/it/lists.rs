//! Pages of every list: walked to the end while rows are written, and tokens that do not fit.

mod carts;
mod customers;
mod groups;
mod large;
mod members;
mod saved_filters;
mod tokens;
mod walk;

use crate::on_both_engines;
use walk::walk_every_way;

on_both_engines! {
    async fn a_walk_over_carts_returns_each_old_one_once(shop: Shop) {
        walk_every_way(&carts::Carts, &shop).await;
    }

    async fn a_walk_over_customers_returns_each_old_one_once(shop: Shop) {
        walk_every_way(&customers::Customers, &shop).await;
    }

    async fn a_walk_over_groups_returns_each_old_one_once(shop: Shop) {
        walk_every_way(&groups::Groups, &shop).await;
    }

    async fn a_walk_over_saved_filters_returns_each_old_one_once(shop: Shop) {
        walk_every_way(&saved_filters::SavedFilters, &shop).await;
    }

    async fn a_walk_over_members_returns_each_old_one_once(shop: Shop) {
        walk_every_way(&members::Members, &shop).await;
    }
}
