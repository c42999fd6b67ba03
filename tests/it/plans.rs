//! Shops with more rows than one page examines.

pub mod fill;

/// What filters of customers may lead with, alone and together.
pub const CUSTOMER_FILTERS: &[&str] = &[
    "name = customers/c-7",
    "number = c-7",
    "email = \"c-7@example.test\"",
    "email > \"c-7\" AND email < \"c-8\"",
    "email:7@example",
    "external_ids.erp = c-7",
    "last_name = name-7",
    "last_name > name-7",
    "last_name:ame-7",
    "first_name:first",
    "first_name = First",
    "company = Company",
    "groups:groups/customer",
    "default_group = groups/customer",
    "create_time > now - 1h",
    "update_time < now",
    "state = ACTIVE",
    "NOT phone:*",
    "attributes.colour = red",
    "groups:groups/customer AND last_name = name-7",
    "last_name:name AND create_time > now - 1h",
    "state = ACTIVE OR email = \"c-7@example.test\"",
];

/// What filters of carts may lead with.
pub const CART_FILTERS: &[&str] = &[
    "name = carts/c-7",
    "number = c-7",
    "order_reference = c-7",
    "customer = customers/c-7",
    "state = OPEN",
    "state = ORDERED",
    "state = MERGED",
    "state = OPEN AND item_count > 100",
    "state = OPEN AND customer = customers/c-7",
    "create_time > now - 1h",
    "update_time > now - 1h AND state = OPEN",
    "note:nothing",
    "total > \"1000000.00 EUR\"",
];
