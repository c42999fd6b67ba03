//! The rules of request fields whose kind alone does not decide the allowed values.
//!
//! A field is named by its message without the package, or by `*` where all messages use the name with one
//! meaning; the longer name wins. Booleans, enums, timestamps, durations, masks and single messages need no
//! entry. Output-only fields have none, because they are ignored. A test compares the table with the
//! descriptors, both ways.

use super::{
    ADDRESSES_MAX, ATTRIBUTES_BYTES_MAX, BATCH_MAX, CART_ITEMS_MAX, CHARGES_MAX, EDITS_MAX,
    EXTERNAL_IDS_MAX, FILTER_BYTES_MAX, GROUPS_PER_CUSTOMER_MAX, ITEM_ATTRIBUTES_BYTES_MAX,
    MICROS_MAX, ORDER_BY_BYTES_MAX, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN,
    QUANTITY_MAX, QUERY_CHARS_MAX,
};

/// The allowed values of a field. Empty text counts as absent, except in lists and maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Text on one line, of at most this many characters.
    Text(usize),
    /// Text on several lines, of at most this many characters.
    Lines(usize),
    /// Text on one line for people, of at most this many characters, at least one of them visible.
    Label(usize),
    /// Text on one line that identifies something, of at most this many characters. It has no invisible
    /// characters, so two values that look the same are equal.
    Key(usize),
    /// As [`Rule::Key`], with a minimum and a maximum of characters.
    Token(usize, usize),
    /// A filter or an order, of at most this many bytes.
    Expression(usize),
    /// A password, with a minimum and a maximum of characters, and at most [`PASSWORD_BYTES_MAX`].
    Password(usize, usize),
    /// `[a-z0-9-]`, 1 to 63 characters.
    Id,
    /// A resource name, for example `customers/{id}`.
    Name(&'static str),
    /// A resource name, or only its last segment.
    NameOrId(&'static str),
    /// `customers/{id}` or an e-mail address in any spelling.
    Member,
    /// The number of a customer or cart: `[A-Za-z0-9-]`, 1 to 32 characters.
    Number,
    /// An e-mail address of at most 254 characters.
    Email,
    /// An absolute http or https address of at most this many characters.
    Url(usize),
    /// A BCP 47 language tag.
    Language,
    /// An ISO 3166-1 alpha-2 code.
    Country,
    /// An ISO 4217 code.
    Currency,
    /// A decimal from 0 to 100 with at most so many places.
    Percent(u32),
    /// `YYYY-MM-DD`.
    Date,
    /// An IANA time zone.
    TimeZone,
    /// A version that the service returned.
    Etag,
    /// 1 to 128 printable ASCII characters.
    RequestId,
    /// A whole number in this range.
    Int(i64, i64),
    /// Money that is not negative. It may have fractions of the currency's smallest unit.
    Price,
    /// Money that is paid: not negative, and without fractions of the currency's smallest unit.
    Paid,
    /// Money that is paid or taken off, without fractions of the currency's smallest unit.
    PaidOrTaken,
    /// A free structure of at most this many encoded bytes.
    Attributes(usize),
    /// A list of at most so many messages.
    Messages(usize),
    /// A list of at most so many values.
    List(usize, &'static Rule),
    /// A map with the maximum of its entries, the rule of its keys and that of its values.
    Map(usize, &'static Rule, &'static Rule),
    /// A list of at most so many values of an enum.
    Values(usize),
}

/// The longest etag.
pub const ETAG_CHARS_MAX: usize = 128;
/// The longest page or resume token.
pub const TOKEN_CHARS_MAX: usize = 4_096;
/// The longest request id.
pub const REQUEST_ID_CHARS_MAX: usize = 128;
/// The longest e-mail address.
pub const EMAIL_CHARS_MAX: usize = 254;
/// The longest language tag.
pub const LANGUAGE_CHARS_MAX: usize = 35;
/// The longest time zone.
pub const TIME_ZONE_CHARS_MAX: usize = 64;

const ADDRESS: Rule = Rule::Name("customers/{id}/addresses/{id}");
const API_KEY: Rule = Rule::Name("apiKeys/{id}");
const CART: Rule = Rule::Name("carts/{id}");
const CUSTOMER: Rule = Rule::Name("customers/{id}");
const GROUP: Rule = Rule::Name("groups/{id}");
const ITEM: Rule = Rule::Name("carts/{id}/items/{id}");
const OPERATION: Rule = Rule::Name("operations/{id}");
const SAVED_FILTER: Rule = Rule::Name("savedFilters/{id}");
const SHOP: Rule = Rule::Name("shops/{id}");
const TITLE: Rule = Rule::Name("titles/{id}");

const DAYS: Rule = Rule::Int(0, 3_650);
const QUANTITY: Rule = Rule::Int(1, QUANTITY_MAX);

/// The rules, by field.
pub const FIELDS: &[(&str, Rule)] = &[
    ("*.currency_code", Rule::Currency),
    ("*.etag", Rule::Etag),
    ("*.filter", Rule::Expression(FILTER_BYTES_MAX)),
    ("*.language_code", Rule::Language),
    ("*.order_by", Rule::Expression(ORDER_BY_BYTES_MAX)),
    ("*.page_size", Rule::Int(0, i32::MAX as i64)),
    ("*.page_token", Rule::Token(1, TOKEN_CHARS_MAX)),
    ("*.request_id", Rule::RequestId),
    ("*.storefront", Rule::Id),
    ("AddMembersRequest.group", GROUP),
    (
        "AddMembersRequest.members",
        Rule::List(BATCH_MAX, &Rule::Member),
    ),
    ("AddMembersRequest.reason", Rule::Lines(500)),
    ("Address.city", Rule::Text(128)),
    ("Address.company", Rule::Text(255)),
    ("Address.country_code", Rule::Country),
    ("Address.first_name", Rule::Text(255)),
    ("Address.label", Rule::Text(64)),
    ("Address.last_name", Rule::Text(255)),
    ("Address.line1", Rule::Text(255)),
    ("Address.line2", Rule::Text(255)),
    ("Address.mobile", Rule::Text(32)),
    ("Address.name", ADDRESS),
    ("Address.note", Rule::Lines(1_000)),
    ("Address.phone", Rule::Text(32)),
    ("Address.postal_code", Rule::Text(16)),
    ("Address.region", Rule::Text(128)),
    ("Address.tax_id", Rule::Key(32)),
    ("Address.vat_number", Rule::Key(32)),
    ("Adjustment.amount", Rule::PaidOrTaken),
    ("Adjustment.kind", Rule::Id),
    ("Adjustment.label", Rule::Text(255)),
    ("ApiKey.display_name", Rule::Label(255)),
    ("ApiKey.name", API_KEY),
    ("ApiKey.roles", Rule::Values(6)),
    ("AssignCartRequest.customer", CUSTOMER),
    (
        "BatchGetCustomersRequest.names",
        Rule::List(BATCH_MAX, &CUSTOMER),
    ),
    (
        "BatchLookupCustomersRequest.keys",
        Rule::Messages(BATCH_MAX),
    ),
    ("CancelOperationRequest.name", OPERATION),
    ("Cart.adjustments", Rule::Messages(CHARGES_MAX)),
    ("Cart.attributes", Rule::Attributes(ATTRIBUTES_BYTES_MAX)),
    ("Cart.charges", Rule::Messages(CHARGES_MAX)),
    ("Cart.display_name", Rule::Label(255)),
    ("Cart.name", CART),
    ("Cart.note", Rule::Lines(1_000)),
    ("Cart.number", Rule::Number),
    ("Cart.shipping_method", Rule::Text(128)),
    (
        "CartEdit.SetQuantity.item",
        Rule::NameOrId("carts/{id}/items/{id}"),
    ),
    ("CartEdit.SetQuantity.quantity", QUANTITY),
    ("CartEdit.remove", Rule::NameOrId("carts/{id}/items/{id}")),
    (
        "CartEdit.set_attributes",
        Rule::Attributes(ATTRIBUTES_BYTES_MAX),
    ),
    ("CartOwner.customer", CUSTOMER),
    ("CartOwner.slot", Rule::Id),
    ("CartOwner.visitor", Rule::Token(16, 256)),
    ("CartTarget.cart", CART),
    ("Charge.amount", Rule::Paid),
    ("Charge.kind", Rule::Id),
    ("Charge.label", Rule::Text(255)),
    ("Consent.source", Rule::Text(64)),
    ("CreateAddressRequest.address_id", Rule::Id),
    ("CreateAddressRequest.customer", CUSTOMER),
    ("CreateCartRequest.cart_id", Rule::Id),
    ("CreateCartRequest.items", Rule::Messages(CART_ITEMS_MAX)),
    (
        "CreateCustomerRequest.addresses",
        Rule::Messages(ADDRESSES_MAX),
    ),
    ("CreateCustomerRequest.customer_id", Rule::Id),
    ("CreateCustomerRequest.visitor", Rule::Token(16, 256)),
    ("CreateGroupRequest.group_id", Rule::Id),
    ("CreateSavedFilterRequest.saved_filter_id", Rule::Id),
    ("CreateShopRequest.shop_id", Rule::Id),
    ("CreateTitleRequest.title_id", Rule::Id),
    ("Customer.accounting_number", Rule::Key(64)),
    ("Customer.activity_code", Rule::Key(16)),
    (
        "Customer.attributes",
        Rule::Attributes(ATTRIBUTES_BYTES_MAX),
    ),
    ("Customer.birth_date", Rule::Date),
    ("Customer.company", Rule::Text(255)),
    ("Customer.credit_limit", Rule::Price),
    ("Customer.default_billing_address", ADDRESS),
    ("Customer.default_group", GROUP),
    ("Customer.default_shipping_address", ADDRESS),
    ("Customer.email", Rule::Email),
    ("Customer.external_ids", Rule::Messages(EXTERNAL_IDS_MAX)),
    ("Customer.first_name", Rule::Text(255)),
    (
        "Customer.groups",
        Rule::List(GROUPS_PER_CUSTOMER_MAX, &GROUP),
    ),
    ("Customer.last_name", Rule::Text(255)),
    ("Customer.name", CUSTOMER),
    ("Customer.number", Rule::Number),
    (
        "Customer.password",
        Rule::Password(PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX),
    ),
    ("Customer.payment_days", DAYS),
    ("Customer.phone", Rule::Text(32)),
    ("Customer.registration_number", Rule::Key(64)),
    ("Customer.title", TITLE),
    ("Customer.vat_number", Rule::Key(32)),
    ("Customer.website", Rule::Url(2_048)),
    ("CustomerKey.email", Rule::Text(EMAIL_CHARS_MAX)),
    ("CustomerKey.number", Rule::Number),
    ("DeleteAddressRequest.name", ADDRESS),
    ("DeleteCustomerRequest.name", CUSTOMER),
    ("DeleteGroupRequest.name", GROUP),
    ("DeleteSavedFilterRequest.name", SAVED_FILTER),
    ("DeleteTitleRequest.name", TITLE),
    ("EditCartRequest.edits", Rule::Messages(EDITS_MAX)),
    ("ExternalId.id", Rule::Key(128)),
    ("ExternalId.system", Rule::Id),
    ("GetAddressRequest.name", ADDRESS),
    ("GetCustomerRequest.name", CUSTOMER),
    ("GetGroupRequest.name", GROUP),
    ("GetOperationRequest.name", OPERATION),
    ("GetSavedFilterRequest.name", SAVED_FILTER),
    ("GetShopRequest.name", SHOP),
    ("GetTitleRequest.name", TITLE),
    ("Group.discount_percent", Rule::Percent(2)),
    (
        "Group.display_names",
        Rule::Map(50, &Rule::Language, &Rule::Label(64)),
    ),
    ("Group.name", GROUP),
    ("Group.priority", Rule::Int(0, 1_000_000)),
    (
        "ItemInput.attributes",
        Rule::Attributes(ITEM_ATTRIBUTES_BYTES_MAX),
    ),
    ("ItemInput.category_ids", Rule::List(50, &Rule::Key(128))),
    ("ItemInput.display_name", Rule::Label(255)),
    ("ItemInput.image_uri", Rule::Text(2_048)),
    ("ItemInput.product", Rule::Key(128)),
    ("ItemInput.quantity", QUANTITY),
    ("ItemInput.variant", Rule::Key(128)),
    ("ItemPrice.list_price", Rule::Price),
    ("ItemPrice.tax_rate", Rule::Percent(4)),
    ("ListAddressesRequest.customer", CUSTOMER),
    ("ListCustomersRequest.query", Rule::Text(QUERY_CHARS_MAX)),
    ("ListMembersRequest.group", GROUP),
    ("LockCartRequest.purpose", Rule::Text(255)),
    ("MergeCartsRequest.source_etag", Rule::Etag),
    ("MergeCartsRequest.target_etag", Rule::Etag),
    ("Money.micros", Rule::Int(-MICROS_MAX, MICROS_MAX)),
    (
        "MoveItemsRequest.MovedItem.item",
        Rule::NameOrId("carts/{id}/items/{id}"),
    ),
    ("MoveItemsRequest.MovedItem.quantity", QUANTITY),
    ("MoveItemsRequest.items", Rule::Messages(EDITS_MAX)),
    ("MoveItemsRequest.source_etag", Rule::Etag),
    ("MoveItemsRequest.target_etag", Rule::Etag),
    ("OrderCartRequest.order_reference", Rule::Key(128)),
    ("PriceOverride.amount", Rule::Price),
    ("PriceOverride.reason", Rule::Lines(500)),
    ("RecoverCartRequest.token", Rule::Token(1, 512)),
    ("RecoverCartRequest.visitor", Rule::Token(16, 256)),
    ("Reduction.amount", Rule::Price),
    ("Reduction.percent", Rule::Percent(2)),
    ("RemoveItemRequest.name", ITEM),
    ("RemoveMembersRequest.group", GROUP),
    (
        "RemoveMembersRequest.members",
        Rule::List(BATCH_MAX, &Rule::Member),
    ),
    ("RenewCartLockRequest.name", CART),
    ("ReopenCartRequest.name", CART),
    ("RevokeApiKeyRequest.name", API_KEY),
    ("SavedFilter.display_name", Rule::Label(128)),
    ("SavedFilter.name", SAVED_FILTER),
    ("Shop.display_name", Rule::Label(255)),
    ("Shop.name", SHOP),
    (
        "ShopSettings.cart_abandoned_after_minutes",
        Rule::Int(0, 525_600),
    ),
    ("ShopSettings.cart_idle_after_minutes", Rule::Int(1, 1_440)),
    ("ShopSettings.customer_cart_retention_days", DAYS),
    ("ShopSettings.customer_group", GROUP),
    ("ShopSettings.default_currency_code", Rule::Currency),
    (
        "ShopSettings.empty_cart_retention_hours",
        Rule::Int(0, 87_600),
    ),
    ("ShopSettings.guest_group", GROUP),
    (
        "ShopSettings.language_codes",
        Rule::List(50, &Rule::Language),
    ),
    ("ShopSettings.time_zone", Rule::TimeZone),
    ("ShopSettings.visitor_cart_retention_days", DAYS),
    ("ShopSettings.visitor_group", GROUP),
    (
        "Title.display_names",
        Rule::Map(50, &Rule::Language, &Rule::Label(32)),
    ),
    ("Title.name", TITLE),
    ("UndeleteCustomerRequest.name", CUSTOMER),
    ("UnlockCartRequest.name", CART),
    (
        "UpdateItemPricesRequest.ProductPrice.product",
        Rule::Key(128),
    ),
    (
        "UpdateItemPricesRequest.ProductPrice.variant",
        Rule::Key(128),
    ),
    (
        "UpdateItemPricesRequest.prices",
        Rule::Messages(CART_ITEMS_MAX),
    ),
    ("UpdateItemRequest.name", ITEM),
    ("UpdateItemRequest.quantity", QUANTITY),
    ("VerifyPasswordRequest.email", Rule::Text(EMAIL_CHARS_MAX)),
    (
        "VerifyPasswordRequest.password",
        Rule::Password(1, PASSWORD_CHARS_MAX),
    ),
    ("WatchCartsRequest.names", Rule::List(BATCH_MAX, &CART)),
    (
        "WatchCustomersRequest.names",
        Rule::List(BATCH_MAX, &CUSTOMER),
    ),
    ("WatchGroupsRequest.names", Rule::List(BATCH_MAX, &GROUP)),
    ("WatchOperationRequest.name", OPERATION),
    (
        "WatchSavedFiltersRequest.names",
        Rule::List(BATCH_MAX, &SAVED_FILTER),
    ),
    ("WatchOptions.resume_token", Rule::Token(1, TOKEN_CHARS_MAX)),
];

impl Rule {
    /// The rule of a field, by its message without the package and its own name.
    pub fn of(message: &str, field: &str) -> Option<Rule> {
        let find = |owner: &str| {
            FIELDS
                .iter()
                .find(|(path, _)| path.rsplit_once('.') == Some((owner, field)))
                .map(|(_, rule)| *rule)
        };
        find(message).or_else(|| find("*"))
    }

    /// Whether it is a rule of an amount of money.
    pub const fn is_of_money(&self) -> bool {
        matches!(self, Self::Price | Self::Paid | Self::PaidOrTaken)
    }

    /// The rule for people.
    pub fn text(&self) -> String {
        match *self {
            Self::Text(max) => format!("at most {max} characters"),
            Self::Label(max) => format!("at most {max} characters, one of which can be seen"),
            Self::Key(max) | Self::Token(1, max) => {
                format!("at most {max} characters, none of them invisible")
            }
            Self::Lines(max) => format!("at most {max} characters, several lines"),
            Self::Token(min, max) => {
                format!("{min} to {max} characters, none of them invisible")
            }
            Self::Expression(max) => format!("at most {max} bytes"),
            Self::Password(min, max) => {
                format!("{min} to {max} characters, at most {PASSWORD_BYTES_MAX} bytes")
            }
            Self::Id => "[a-z0-9-], 1 to 63 characters".to_owned(),
            Self::Name(pattern) => pattern.to_owned(),
            Self::NameOrId(pattern) => format!("{pattern} or its last part"),
            Self::Member => "customers/{id} or an e-mail address".to_owned(),
            Self::Number => "[A-Za-z0-9-], 1 to 32 characters".to_owned(),
            Self::Email => format!("an e-mail address, at most {EMAIL_CHARS_MAX} characters"),
            Self::Url(max) => format!("an http or https address, at most {max} characters"),
            Self::Language => "a BCP 47 language tag".to_owned(),
            Self::Country => "an ISO 3166-1 alpha-2 code".to_owned(),
            Self::Currency => "an ISO 4217 code".to_owned(),
            Self::Percent(places) => format!("a decimal from 0 to 100, at most {places} places"),
            Self::Date => "YYYY-MM-DD".to_owned(),
            Self::TimeZone => "an IANA time zone".to_owned(),
            Self::Etag => "an etag as received".to_owned(),
            Self::RequestId => {
                format!("1 to {REQUEST_ID_CHARS_MAX} printable ASCII characters")
            }
            Self::Int(min, max) => format!("{min} to {max}"),
            Self::Price => "not negative".to_owned(),
            Self::Paid => "not negative, in whole smallest units of the currency".to_owned(),
            Self::PaidOrTaken => "in whole smallest units of the currency".to_owned(),
            Self::Attributes(max) => format!("at most {max} bytes"),
            Self::Messages(max) | Self::Values(max) => format!("at most {max} entries"),
            Self::List(max, each) => format!("at most {max} entries, each {}", each.text()),
            Self::Map(max, key, value) => {
                format!("at most {max} entries, {}: {}", key.text(), value.text())
            }
        }
    }
}
