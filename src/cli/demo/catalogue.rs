//! The products of the demo's shop. The service holds no catalogue: a line brings its price and tax.

use crate::proto::pb;

/// A product of the demo.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// The price in euro cents, with tax.
    cents: i64,
    tax_rate: &'static str,
    category: &'static str,
    variants: &'static [&'static str],
    /// The product's own reduction in percent, if any.
    reduction: &'static str,
    discountable: bool,
}

const SIZES: &[&str] = &["s", "m", "l", "xl"];
const SHOES: &[&str] = &["38", "40", "42", "44"];
const ONE: &[&str] = &[""];

const fn product(
    id: &'static str,
    name: &'static str,
    cents: i64,
    category: &'static str,
    variants: &'static [&'static str],
) -> Product {
    Product {
        id,
        name,
        cents,
        tax_rate: "20",
        category,
        variants,
        reduction: "",
        discountable: true,
    }
}

/// All products.
pub const PRODUCTS: [Product; 30] = [
    product("linen-shirt", "Linen shirt", 5_990, "clothes", SIZES),
    product("striped-tee", "Striped T-shirt", 2_490, "clothes", SIZES),
    product("wool-jumper", "Wool jumper", 8_900, "clothes", SIZES),
    product("rain-jacket", "Rain jacket", 12_950, "clothes", SIZES),
    Product {
        reduction: "20",
        ..product("summer-dress", "Summer dress", 6_990, "clothes", SIZES)
    },
    product("chino-trousers", "Chino trousers", 7_450, "clothes", SIZES),
    Product {
        reduction: "10",
        ..product("denim-skirt", "Denim skirt", 4_995, "clothes", SIZES)
    },
    product(
        "merino-socks",
        "Merino socks",
        1_290,
        "clothes",
        &["s", "l"],
    ),
    product("canvas-sneakers", "Canvas sneakers", 6_400, "shoes", SHOES),
    product("leather-boots", "Leather boots", 15_900, "shoes", SHOES),
    product("house-slippers", "House slippers", 2_990, "shoes", SHOES),
    product("straw-hat", "Straw hat", 3_450, "accessories", ONE),
    product(
        "silk-scarf",
        "Silk scarf",
        4_200,
        "accessories",
        &["blue", "rust"],
    ),
    product("canvas-tote", "Canvas tote bag", 1_990, "accessories", ONE),
    product(
        "leather-belt",
        "Leather belt",
        3_990,
        "accessories",
        &["85", "95", "105"],
    ),
    product(
        "enamel-mug",
        "Enamel mug",
        1_250,
        "home",
        &["white", "green"],
    ),
    product("stoneware-bowl", "Stoneware bowl", 1_890, "home", ONE),
    product("oak-board", "Oak cutting board", 3_800, "home", ONE),
    product("linen-towel", "Linen tea towel", 1_150, "home", ONE),
    product(
        "wool-blanket",
        "Wool blanket",
        9_900,
        "home",
        &["grey", "ochre"],
    ),
    product("beeswax-candle", "Beeswax candle", 950, "home", ONE),
    product(
        "cotton-cushion",
        "Cotton cushion",
        2_690,
        "home",
        &["sand", "navy"],
    ),
    product("brass-lamp", "Brass reading lamp", 11_900, "home", ONE),
    Product {
        reduction: "15",
        ..product("rattan-basket", "Rattan basket", 3_290, "home", ONE)
    },
    product("letter-set", "Letter paper set", 1_490, "stationery", ONE),
    product(
        "pocket-notebook",
        "Pocket notebook",
        690,
        "stationery",
        &["plain", "dotted"],
    ),
    product("map-poster", "Old map poster", 2_900, "stationery", ONE),
    Product {
        tax_rate: "5.5",
        ..product("cook-book", "Cook book", 2_450, "books", ONE)
    },
    Product {
        tax_rate: "5.5",
        ..product("garden-book", "Garden book", 1_980, "books", ONE)
    },
    Product {
        discountable: false,
        ..product("gift-card", "Gift card", 2_500, "gifts", ONE)
    },
];

impl Product {
    /// A line of a cart with this product.
    pub fn item(&self, variant: usize, quantity: i32) -> pb::ItemInput {
        let reduction = (!self.reduction.is_empty()).then(|| pb::Reduction {
            reduction: Some(pb::reduction::Reduction::Percent(self.reduction.to_owned())),
        });
        pb::ItemInput {
            product: self.id.to_owned(),
            variant: self.variants[variant % self.variants.len()].to_owned(),
            display_name: self.name.to_owned(),
            category_ids: vec![self.category.to_owned()],
            price: Some(pb::ItemPrice {
                list_price: Some(pb::Money {
                    currency_code: "EUR".to_owned(),
                    micros: self.cents * 10_000,
                }),
                price_includes_tax: true,
                tax_rate: self.tax_rate.to_owned(),
                reduction,
                discountable: Some(self.discountable),
            }),
            quantity,
            ..pb::ItemInput::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_product_is_there_once_and_costs_something() {
        let ids: HashSet<&str> = PRODUCTS.iter().map(|product| product.id).collect();

        assert_eq!(ids.len(), PRODUCTS.len());
        assert!(
            PRODUCTS
                .iter()
                .all(|product| product.cents > 0 && !product.variants.is_empty())
        );
    }
}
