//! Tests the prices of carts: many random lines against an independent exact calculation, and the group whose
//! discount applies.

mod exact;

use std::collections::HashMap;

use clientela::proto::pb::{
    self, CreateCartRequest, ItemInput, ItemPrice, PriceOverride, Reduction, Role, customer::Kind,
    reduction, update_item_prices_request::ProductPrice,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::upkeep::{discounting, member, set_discount};
use super::{Carts, EURO, customer, in_slot, item, money, named, of, total, visitor};
use crate::customers::{self, person};
use crate::harness::Shop;
use crate::on_both_engines;
use exact::{Terms, expected, micros, shown};

/// Currencies of each number of decimal places, with the micros of their smallest unit.
const CURRENCIES: [(&str, i64); 4] = [
    ("EUR", 10_000),
    ("JPY", 1_000_000),
    ("KWD", 1_000),
    ("CLF", 100),
];
const DISCOUNTS: [&str; 7] = ["0", "0.01", "12.5", "33.33", "50", "99.99", "100"];
const TAX_RATES: [&str; 9] = [
    "", "0", "20", "5.5", "19", "2.1", "33.3333", "0.0001", "100",
];
const REDUCTIONS: [&str; 8] = ["0", "0.01", "10", "12.5", "33.33", "50", "99.99", "100"];

/// Lines by product as they were sent, with the prices that staff set by hand.
struct Sent {
    currency: &'static str,
    unit: i64,
    lines: HashMap<String, (ItemPrice, i32)>,
    by_hand: HashMap<String, i64>,
    rng: StdRng,
}

impl Sent {
    fn new(currency: &'static str, unit: i64) -> Self {
        Self {
            currency,
            unit,
            lines: HashMap::new(),
            by_hand: HashMap::new(),
            rng: StdRng::seed_from_u64(unit.cast_unsigned()),
        }
    }

    fn price(&mut self) -> ItemPrice {
        let Self { rng, unit, .. } = self;
        let micros = match rng.random_range(0..4) {
            0 => *unit * rng.random_range(0..200_000),
            1 => rng.random_range(0..10_000_000_000),
            // Halves of the smallest unit have to be rounded.
            2 => *unit / 2 * (2 * rng.random_range(0..10_000) + 1),
            _ => rng.random_range(0..=3 * *unit),
        };
        let reduction = match rng.random_range(0..4) {
            0 => Some(reduction::Reduction::Percent(
                (*REDUCTIONS.choose(rng).unwrap()).into(),
            )),
            1 => {
                let amount = rng.random_range(0..=micros);
                Some(reduction::Reduction::Amount(money(self.currency, amount)))
            }
            _ => None,
        };
        ItemPrice {
            list_price: Some(money(self.currency, micros)),
            price_includes_tax: rng.random(),
            tax_rate: (*TAX_RATES.choose(rng).unwrap()).into(),
            reduction: reduction.map(|reduction| Reduction {
                reduction: Some(reduction),
            }),
            discountable: *[None, Some(true), Some(true), Some(false)]
                .choose(rng)
                .unwrap(),
        }
    }

    fn line(&mut self, product: String) -> ItemInput {
        let (price, quantity) = (self.price(), self.rng.random_range(1..=25));
        self.lines
            .insert(product.clone(), (price.clone(), quantity));
        ItemInput {
            product,
            price: Some(price),
            quantity,
            ..Default::default()
        }
    }

    /// Asserts that each line and the cart have the prices that the contract specifies.
    fn assert_exact(&self, cart: &pb::Cart, discount: &'static str, tax_exempt: bool) {
        let terms = Terms {
            discount,
            tax_exempt,
            unit: self.unit.into(),
        };
        assert_eq!(cart.items.len(), self.lines.len());
        for item in &cart.items {
            let (price, quantity) = &self.lines[&item.product];
            let by_hand = self.by_hand.get(&item.product).copied();
            let expected = expected(price, *quantity, by_hand, terms);
            assert_eq!(
                shown(item),
                expected,
                "{quantity} of {price:?} by hand {by_hand:?}, {terms:?}"
            );
        }
        let sum = |of: fn(&exact::Shown) -> i128| -> i128 {
            cart.items.iter().map(|item| of(&shown(item))).sum()
        };
        assert_eq!(micros(cart.subtotal.as_ref()), sum(|line| line.subtotal));
        assert_eq!(micros(cart.discount.as_ref()), sum(|line| line.discount));
        assert_eq!(micros(cart.tax.as_ref()), sum(|line| line.tax));
        assert_eq!(micros(cart.total.as_ref()), sum(|line| line.total));
    }
}

async fn set_exempt(shop: &Shop, customer: &pb::Customer, tax_exempt: bool) {
    let change = pb::Customer {
        tax_exempt,
        ..customer.clone()
    };
    customers::update(&mut shop.customers(), change, &["tax_exempt"])
        .await
        .unwrap();
}

on_both_engines! {
    async fn every_line_has_the_price_of_the_contract(shop: Shop) {
        let vip = discounting(&shop, "vip", "").await;
        let ada = pb::Customer { etag: String::new(), ..member(&shop, &vip).await };
        let mut carts = Vec::new();
        for (currency, unit) in CURRENCIES {
            let mut sent = Sent::new(currency, unit);
            let items = (0..250).map(|number| sent.line(format!("p{number}"))).collect();
            let owner = Some(in_slot(&customer(&ada.name), &currency.to_lowercase()));
            let request = CreateCartRequest { owner, items, ..Default::default() };
            let cart = shop.carts().create_cart(request).await.unwrap().into_inner();
            assert_eq!(cart.currency_code, currency);
            carts.push((cart.name, sent));
        }

        for discount in DISCOUNTS {
            set_discount(&shop, &vip, discount).await;
            for tax_exempt in [true, false] {
                set_exempt(&shop, &ada, tax_exempt).await;
                for (cart, sent) in &carts {
                    sent.assert_exact(&shop.get(named(cart)).await, discount, tax_exempt);
                }
            }
        }
    }

    async fn later_prices_and_prices_by_hand_replace_earlier_ones(shop: Shop) {
        let vip = discounting(&shop, "vip", "12.5").await;
        let owner = customer(&member(&shop, &vip).await.name);
        let mut sent = Sent::new("EUR", 10_000);
        let items = (0..60).map(|number| sent.line(format!("p{number}"))).collect();
        let request = CreateCartRequest { owner: Some(owner.clone()), items, ..Default::default() };
        let cart = shop.carts().create_cart(request).await.unwrap().into_inner();

        // The same product is added again: the quantity grows, and all pieces have the later price.
        for number in (0..60).step_by(4) {
            let product = format!("p{number}");
            let before = sent.lines[&product].1;
            let line = sent.line(product.clone());
            sent.lines.get_mut(&product).unwrap().1 += before;
            let cart = shop.add(of(&owner), line).await;
            sent.assert_exact(&cart, "12.5", false);
        }
        let mut support = shop.carts_as(&shop.key(&[Role::Support]).await);
        for number in (0..60).step_by(5) {
            let item = &cart.items[number];
            let amount = micros(sent.price().list_price.as_ref());
            let amount = i64::try_from(amount).unwrap();
            sent.by_hand.insert(item.product.clone(), amount);
            let by_hand = PriceOverride {
                amount: Some(money("EUR", amount)),
                reason: "a scratch".into(),
                ..Default::default()
            };
            let request = pb::UpdateItemRequest {
                name: item.name.clone(),
                price_override: Some(by_hand),
                ..Default::default()
            };
            let cart = support.update_item(request).await.unwrap().into_inner();
            sent.assert_exact(&cart, "12.5", false);
        }
        // New prices of the catalogue reach all lines. Lines with a price by hand keep it.
        let prices = (0..60).step_by(2).map(|number| {
            let (product, price) = (format!("p{number}"), sent.price());
            sent.lines.get_mut(&product).unwrap().0 = price.clone();
            ProductPrice { product, price: Some(price), ..Default::default() }
        });
        let prices = prices.collect();
        let request = pb::UpdateItemPricesRequest { target: of(&owner), prices, ..Default::default() };
        let cart = shop.carts().update_item_prices(request).await.unwrap().into_inner();
        sent.assert_exact(&cart, "12.5", false);
        for item in cart.items.iter().filter(|item| item.price_override.is_some()) {
            sent.by_hand.remove(&item.product);
            let request = pb::UpdateItemRequest {
                name: item.name.clone(),
                clear_price_override: true,
                ..Default::default()
            };
            let cart = support.update_item(request).await.unwrap().into_inner();
            sent.assert_exact(&cart, "12.5", false);
        }
        assert!(sent.by_hand.is_empty());
    }

    async fn the_discount_is_that_of_the_owner_s_default_group(shop: Shop) {
        for (group, discount) in [("visitor", "10"), ("guest", "20"), ("customer", "30")] {
            set_discount(&shop, &format!("groups/{group}"), discount).await;
        }
        let vip = discounting(&shop, "vip", "40").await;
        let mut client = shop.customers();
        let guest = pb::Customer { kind: Kind::Guest.into(), ..person("Guest") };
        let guest = customers::create(&mut client, guest).await;
        let ada = customers::create(&mut client, person("Ada")).await;
        // The customer is a member of two groups, and only the default one counts.
        let bob = pb::Customer {
            groups: vec![vip.clone(), "groups/customer".into()],
            default_group: vip,
            ..person("Bob")
        };
        let bob = customers::create(&mut client, bob).await;

        for (owner, group, expected) in [
            (visitor(), "groups/visitor", 9),
            (customer(&guest.name), "groups/guest", 8),
            (customer(&ada.name), "groups/customer", 7),
            (customer(&bob.name), "groups/vip", 6),
        ] {
            let cart = shop.add(of(&owner), item("shirt", 1)).await;
            assert_eq!((cart.pricing_group.as_str(), total(&cart)), (group, expected * EURO));
        }
    }

    /// No discount applies to charges and adjustments.
    async fn a_discount_applies_to_lines_alone(shop: Shop) {
        set_discount(&shop, "groups/visitor", "50").await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let shipping = pb::Charge {
            kind: "shipping".into(),
            amount: Some(money("EUR", 4_990_000)),
            ..Default::default()
        };
        let voucher = pb::Adjustment {
            kind: "voucher".into(),
            amount: Some(money("EUR", -2 * EURO)),
            ..Default::default()
        };
        let change = pb::Cart {
            name: cart.name,
            charges: vec![shipping],
            adjustments: vec![voucher],
            ..Default::default()
        };
        let request = pb::UpdateCartRequest { cart: Some(change), ..Default::default() };

        let cart = shop.carts().update_cart(request).await.unwrap().into_inner();

        assert_eq!(micros(cart.discount.as_ref()), i128::from(5 * EURO));
        assert_eq!(micros(cart.charges_total.as_ref()), 4_990_000);
        assert_eq!(total(&cart), 7_990_000);
    }
}
