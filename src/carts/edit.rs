//! What can be done to the lines of an open cart, and what the feed tells of it.
//!
//! Pure: an edit changes the document in memory and notes its causes, or refuses and the document is
//! dropped. Prices are worked out once, after the last edit.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tonic::Code;

use super::model::{Cart, Line, Price, PriceOverride};
use crate::error::{Error, Result};
use crate::limits::{CART_ITEMS_MAX, CAUSES_MAX, QUANTITY_MAX};
use crate::proto::pb::{ErrorReason, cart_cause::Kind};

/// A line as a caller adds it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLine {
    /// The product in the shop's catalogue.
    pub product: String,
    /// The variant.
    pub variant: String,
    /// What else makes the line a line of its own.
    pub attributes: Map<String, Value>,
    /// What people call it; empty leaves what an existing line has, as with the next two.
    pub display_name: String,
    /// Its picture.
    pub image_uri: String,
    /// The product's categories.
    pub category_ids: Vec<String>,
    /// What it costs.
    pub price: NewPrice,
    /// How many.
    pub quantity: i64,
}

/// A price with the currencies it was sent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrice {
    /// The price.
    pub price: Price,
    /// The currency of the list price.
    pub currency: String,
    /// The currency of a reduction by an amount.
    pub reduction_currency: Option<String>,
}

/// The new price of one product, or of one of its variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductPrice {
    /// The product.
    pub product: String,
    /// The variant; none for all of them.
    pub variant: Option<String>,
    /// The price.
    pub price: NewPrice,
}

/// One thing that happened to a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What.
    pub kind: Kind,
    /// The line's id, if it happened to one.
    pub item: String,
    /// The line's product.
    pub product: String,
    /// The line's quantity before.
    pub before: i64,
    /// The line's quantity after.
    pub after: i64,
    /// The id of the other cart, of a merge or a move.
    pub cart: String,
}

impl Cause {
    /// Something that happened to the cart as a whole.
    pub fn of_cart(kind: Kind) -> Self {
        Self {
            kind,
            item: String::new(),
            product: String::new(),
            before: 0,
            after: 0,
            cart: String::new(),
        }
    }

    /// Whether it is about a member of staff's hold on the cart.
    pub fn is_of_lock(&self) -> bool {
        matches!(self.kind, Kind::Locked | Kind::Unlocked | Kind::LockExpired)
    }

    /// With the other cart that it is about.
    pub fn with_cart(mut self, id: &str) -> Self {
        id.clone_into(&mut self.cart);
        self
    }
}

/// A cart being edited.
#[derive(Debug)]
pub struct Edit<'a> {
    /// The cart.
    pub cart: &'a mut Cart,
    /// The instant of the edit.
    pub now: i64,
    /// Who edits.
    pub actor: &'a str,
    /// What happened so far.
    pub causes: Vec<Cause>,
}

impl<'a> Edit<'a> {
    /// Begins to edit.
    pub fn new(cart: &'a mut Cart, now: i64, actor: &'a str) -> Self {
        Self {
            cart,
            now,
            actor,
            causes: Vec::new(),
        }
    }

    /// Notes something that happened, as long as there is room.
    pub fn note(&mut self, cause: Cause) {
        if self.causes.len() < CAUSES_MAX {
            self.causes.push(cause);
        }
    }

    fn note_line(&mut self, kind: Kind, place: usize, before: i64) {
        let line = &self.cart.lines[place];
        let (item, product, after) = (line.id.clone(), line.product.clone(), line.quantity);
        self.note(Cause {
            kind,
            item,
            product,
            before,
            after,
            cart: String::new(),
        });
    }

    /// Adds a line, or to the line that is the same, whose price it replaces unless the cart is frozen.
    /// `at` is the path of the line in the request.
    ///
    /// # Errors
    /// A foreign currency, too many pieces or too many lines.
    pub fn add(&mut self, new: &NewLine, at: &str) -> Result<()> {
        self.check_price(&new.price, || format!("{at}.price"))?;
        let id = item_id(&new.product, &new.variant, &new.attributes);
        let Some(place) = self.place(&id) else {
            return self.add_line(id, new);
        };
        let line = &mut self.cart.lines[place];
        let before = line.quantity;
        let after = before + new.quantity;
        if after > QUANTITY_MAX {
            return Err(Error::invalid_field(
                format!("{at}.quantity"),
                "OUT_OF_RANGE",
                format!("the line has {before} already and takes at most {QUANTITY_MAX}"),
            ));
        }
        line.quantity = after;
        let repriced = self.cart.freeze.is_none() && line.price != new.price.price;
        if repriced {
            line.price.clone_from(&new.price.price);
        }
        for (old, new) in [
            (&mut line.display_name, &new.display_name),
            (&mut line.image_uri, &new.image_uri),
        ] {
            if !new.is_empty() {
                old.clone_from(new);
            }
        }
        if !new.category_ids.is_empty() {
            line.category_ids.clone_from(&new.category_ids);
        }
        self.note_line(Kind::ItemAdded, place, before);
        if repriced {
            self.note_line(Kind::ItemPriceChanged, place, after);
        }
        Ok(())
    }

    fn add_line(&mut self, id: String, new: &NewLine) -> Result<()> {
        if self.cart.lines.len() >= CART_ITEMS_MAX {
            return Err(Error::new(
                Code::FailedPrecondition,
                ErrorReason::CartTooLarge,
                format!("a cart takes at most {CART_ITEMS_MAX} lines"),
            )
            .with("limit", CART_ITEMS_MAX.to_string()));
        }
        self.cart.lines.push(Line {
            id,
            product: new.product.clone(),
            variant: new.variant.clone(),
            attributes: new.attributes.clone(),
            display_name: new.display_name.clone(),
            image_uri: new.image_uri.clone(),
            category_ids: new.category_ids.clone(),
            price: new.price.price.clone(),
            quantity: new.quantity,
            price_override: None,
            add_time: self.now,
            ..Line::default()
        });
        self.note_line(Kind::ItemAdded, self.cart.lines.len() - 1, 0);
        Ok(())
    }

    /// Sets the quantity of a line.
    ///
    /// # Errors
    /// If there is no such line.
    pub fn set_quantity(&mut self, item: &str, quantity: i64) -> Result<()> {
        let place = self.require(item)?;
        let before = std::mem::replace(&mut self.cart.lines[place].quantity, quantity);
        if before != quantity {
            self.note_line(Kind::ItemQuantityChanged, place, before);
        }
        Ok(())
    }

    /// Gives a line a price by hand, or takes that away.
    ///
    /// # Errors
    /// If there is no such line, or the currency is another.
    pub fn set_override(&mut self, item: &str, by_hand: Option<&OverrideInput>) -> Result<()> {
        let place = self.require(item)?;
        if let Some(by_hand) = by_hand {
            self.check_currency(&by_hand.currency, || {
                "price_override.amount.currency_code".to_owned()
            })?;
        }
        let price_override = by_hand.map(|by_hand| PriceOverride {
            amount: by_hand.amount,
            reason: by_hand.reason.clone(),
            actor: self.actor.to_owned(),
            time: self.now,
        });
        let line = &mut self.cart.lines[place];
        if line.price_override != price_override {
            line.price_override = price_override;
            let quantity = line.quantity;
            self.note_line(Kind::ItemPriceChanged, place, quantity);
        }
        Ok(())
    }

    /// Takes a line out.
    ///
    /// # Errors
    /// If there is no such line.
    pub fn remove(&mut self, item: &str) -> Result<()> {
        let place = self.require(item)?;
        let line = self.cart.lines.remove(place);
        self.note(Cause {
            kind: Kind::ItemRemoved,
            item: line.id,
            product: line.product,
            before: line.quantity,
            after: 0,
            cart: String::new(),
        });
        Ok(())
    }

    /// Replaces the prices of lines; later entries win over earlier ones.
    ///
    /// # Errors
    /// If a price that applies to a line is of another currency.
    pub fn set_prices(&mut self, prices: &[ProductPrice]) -> Result<()> {
        // What each line costs in the end, so that a price that is replaced at once is no change.
        let mut last: Vec<Option<&Price>> = vec![None; self.cart.lines.len()];
        for (at, new) in prices.iter().enumerate() {
            let fits = |line: &Line| {
                line.product == new.product
                    && new
                        .variant
                        .as_ref()
                        .is_none_or(|variant| *variant == line.variant)
            };
            if !self.cart.lines.iter().any(fits) {
                continue;
            }
            self.check_price(&new.price, || format!("prices[{at}].price"))?;
            for (line, last) in self.cart.lines.iter().zip(&mut last) {
                if fits(line) {
                    *last = Some(&new.price.price);
                }
            }
        }
        for (place, price) in last.into_iter().enumerate() {
            let line = &mut self.cart.lines[place];
            if let Some(price) = price.filter(|price| **price != line.price) {
                line.price = price.clone();
                let quantity = line.quantity;
                self.note_line(Kind::ItemPriceChanged, place, quantity);
            }
        }
        Ok(())
    }

    /// Takes all lines, charges and adjustments out.
    pub fn clear(&mut self) {
        let cart = &mut *self.cart;
        if cart.lines.is_empty() && cart.charges.is_empty() && cart.adjustments.is_empty() {
            return;
        }
        cart.lines.clear();
        cart.charges.clear();
        cart.adjustments.clear();
        self.note(Cause::of_cart(Kind::Cleared));
    }

    /// Replaces the cart's attributes.
    pub fn set_attributes(&mut self, attributes: &Map<String, Value>) {
        if self.cart.attributes != *attributes {
            self.cart.attributes.clone_from(attributes);
            self.note(Cause::of_cart(Kind::Updated));
        }
    }

    fn place(&self, item: &str) -> Option<usize> {
        self.cart.lines.iter().position(|line| line.id == item)
    }

    fn require(&self, item: &str) -> Result<usize> {
        self.place(item).ok_or_else(|| Error::not_found("item"))
    }

    fn check_price(&self, new: &NewPrice, at: impl Fn() -> String) -> Result<()> {
        self.check_currency(&new.currency, || {
            format!("{}.list_price.currency_code", at())
        })?;
        if let Some(currency) = &new.reduction_currency {
            self.check_currency(currency, || {
                format!("{}.reduction.amount.currency_code", at())
            })?;
        }
        Ok(())
    }

    /// Refuses an amount of another currency. `at` is the path of the currency in the request.
    ///
    /// # Errors
    /// If it is another.
    pub fn check_currency(&self, currency: &str, at: impl FnOnce() -> String) -> Result<()> {
        if currency == self.cart.currency {
            return Ok(());
        }
        let at = at();
        Err(Error::new(
            Code::InvalidArgument,
            ErrorReason::CurrencyMismatch,
            format!("{at}: the cart's currency is {}", self.cart.currency),
        )
        .with("currency_code", self.cart.currency.clone())
        .with("field", at))
    }
}

/// A price that staff gives a line by hand, as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideInput {
    /// The price of one piece.
    pub amount: i64,
    /// In which currency.
    pub currency: String,
    /// Why.
    pub reason: String,
}

/// The id of the line of this product, variant and attributes: the same in every cart, whatever the
/// order of the keys.
pub fn item_id(product: &str, variant: &str, attributes: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    for part in [product, variant] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    if !attributes.is_empty() {
        feed_canonical(&mut hash, &Value::Object(attributes.clone()));
    }
    hash.finalize()[..ITEM_ID_BYTES]
        .iter()
        .fold(String::new(), |mut id, byte| {
            use std::fmt::Write as _;
            let _ = write!(id, "{byte:02x}");
            id
        })
}

/// Enough that two lines of a cart share an id only if they are the same.
const ITEM_ID_BYTES: usize = 12;

/// Adds a value so that equal values, and only they, add the same bytes. Numbers are those of a
/// `google.protobuf.Struct`, all of them doubles.
fn feed_canonical(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Number(number) => {
            // Adding nothing makes one zero of both.
            let number = number.as_f64().unwrap_or_default() + 0.0;
            hash.update(b"d");
            hash.update(number.to_bits().to_be_bytes());
        }
        Value::String(text) => {
            hash.update(b"s");
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Value::Array(values) => {
            hash.update(b"a");
            hash.update((values.len() as u64).to_be_bytes());
            for value in values {
                feed_canonical(hash, value);
            }
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            hash.update(b"o");
            hash.update((entries.len() as u64).to_be_bytes());
            for (key, value) in entries {
                hash.update((key.len() as u64).to_be_bytes());
                hash.update(key);
                feed_canonical(hash, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn price(list: i64) -> NewPrice {
        NewPrice {
            price: Price {
                list,
                ..Price::default()
            },
            currency: "EUR".to_owned(),
            reduction_currency: None,
        }
    }

    fn new_line(product: &str, quantity: i64) -> NewLine {
        NewLine {
            product: product.to_owned(),
            variant: String::new(),
            attributes: Map::new(),
            display_name: String::new(),
            image_uri: String::new(),
            category_ids: Vec::new(),
            price: price(1_000_000),
            quantity,
        }
    }

    fn cart() -> Cart {
        Cart {
            currency: "EUR".to_owned(),
            ..Cart::default()
        }
    }

    fn attributes(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => panic!("an object"),
        }
    }

    fn kinds(edit: &Edit<'_>) -> Vec<Kind> {
        edit.causes.iter().map(|cause| cause.kind).collect()
    }

    #[test]
    fn adding_the_same_product_again_grows_its_line() {
        let mut cart = cart();
        let mut edit = Edit::new(&mut cart, 7, "");

        edit.add(&new_line("shirt", 2), "item").unwrap();
        edit.add(&new_line("shirt", 3), "item").unwrap();

        assert_eq!(kinds(&edit), [Kind::ItemAdded, Kind::ItemAdded]);
        assert_eq!((edit.causes[1].before, edit.causes[1].after), (2, 5));
        assert_eq!(cart.lines.len(), 1);
        assert_eq!(cart.lines[0].quantity, 5);
    }

    #[test]
    fn a_later_price_replaces_the_earlier_one_and_is_told() {
        let mut cart = cart();
        let mut edit = Edit::new(&mut cart, 7, "");
        edit.add(&new_line("shirt", 1), "item").unwrap();

        let dearer = NewLine {
            price: price(2_000_000),
            ..new_line("shirt", 1)
        };
        edit.add(&dearer, "item").unwrap();

        assert_eq!(kinds(&edit)[1..], [Kind::ItemAdded, Kind::ItemPriceChanged]);
        assert_eq!(cart.lines[0].price.list, 2_000_000);
    }

    #[test]
    fn an_engraving_makes_a_line_of_its_own_whatever_the_order_of_its_keys() {
        let one = attributes(json!({"text": "Ada", "font": {"size": 12, "bold": true}}));
        let same = attributes(json!({"font": {"bold": true, "size": 12.0}, "text": "Ada"}));
        let other = attributes(json!({"text": "Eva", "font": {"size": 12, "bold": true}}));

        assert_eq!(item_id("ring", "", &one), item_id("ring", "", &same));
        assert_ne!(item_id("ring", "", &one), item_id("ring", "", &other));
        assert_ne!(item_id("ring", "", &one), item_id("ring", "", &Map::new()));
        assert_ne!(
            item_id("ab", "c", &Map::new()),
            item_id("a", "bc", &Map::new())
        );
        let zeros = [json!({"x": 0.0}), json!({"x": -0.0})].map(attributes);
        assert_eq!(
            item_id("ring", "", &zeros[0]),
            item_id("ring", "", &zeros[1])
        );
    }

    #[test]
    fn an_id_is_the_same_in_every_release() {
        let engraving = attributes(json!({"text": "Ada", "size": 12}));

        assert_eq!(
            item_id("ring", "gold", &Map::new()),
            "a36a20ced21b9bceab49d50d"
        );
        assert_eq!(
            item_id("ring", "gold", &engraving),
            "5c4ac92c7896dcd8acbbadbd"
        );
    }

    #[test]
    fn another_currency_is_refused_with_its_place() {
        let mut cart = cart();
        let mut edit = Edit::new(&mut cart, 7, "");
        let mut line = new_line("shirt", 1);
        line.price.currency = "USD".to_owned();

        let refusal = edit.add(&line, "edits[3].add").unwrap_err();

        assert_eq!(refusal.reason(), ErrorReason::CurrencyMismatch);
        assert_eq!(refusal.metadata("currency_code"), Some("EUR"));
        assert_eq!(
            refusal.metadata("field"),
            Some("edits[3].add.price.list_price.currency_code")
        );
    }

    #[test]
    fn a_line_takes_a_million_pieces_and_a_cart_five_hundred_lines() {
        let mut cart = cart();
        let mut edit = Edit::new(&mut cart, 7, "");
        edit.add(&new_line("screw", QUANTITY_MAX), "item").unwrap();

        let refusal = edit.add(&new_line("screw", 1), "item").unwrap_err();
        assert_eq!(refusal.reason(), ErrorReason::InvalidField);

        for number in 1..CART_ITEMS_MAX {
            edit.add(&new_line(&format!("p{number}"), 1), "item")
                .unwrap();
        }
        let refusal = edit.add(&new_line("one more", 1), "item").unwrap_err();
        assert_eq!(refusal.reason(), ErrorReason::CartTooLarge);
        assert_eq!(edit.causes.len(), CAUSES_MAX);
        edit.add(&new_line("p1", 1), "item").unwrap();
    }

    #[test]
    fn prices_reach_the_lines_of_their_product_or_variant() {
        let mut cart = cart();
        let mut edit = Edit::new(&mut cart, 7, "");
        for variant in ["red", "blue"] {
            let line = NewLine {
                variant: variant.to_owned(),
                ..new_line("shirt", 1)
            };
            edit.add(&line, "item").unwrap();
        }
        edit.causes.clear();
        let product = |variant: Option<&str>, list| ProductPrice {
            product: "shirt".to_owned(),
            variant: variant.map(str::to_owned),
            price: price(list),
        };
        let absent = ProductPrice {
            product: "hat".to_owned(),
            ..product(None, 1)
        };

        edit.set_prices(&[product(None, 5), product(Some("blue"), 6), absent])
            .unwrap();

        assert_eq!(
            kinds(&edit),
            [Kind::ItemPriceChanged, Kind::ItemPriceChanged]
        );
        assert_eq!((cart.lines[0].price.list, cart.lines[1].price.list), (5, 6));
    }

    #[test]
    fn what_changes_nothing_causes_nothing() {
        let mut cart = cart();
        let mut edit = Edit::new(&mut cart, 7, "");
        edit.add(&new_line("shirt", 2), "item").unwrap();
        edit.causes.clear();
        let item = edit.cart.lines[0].id.clone();

        edit.set_quantity(&item, 2).unwrap();
        edit.set_override(&item, None).unwrap();
        edit.set_attributes(&Map::new());
        assert!(edit.causes.is_empty());

        edit.clear();
        edit.clear();
        assert_eq!(kinds(&edit), [Kind::Cleared]);
    }
}
