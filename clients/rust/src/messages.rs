//! Short ways to write the messages that almost every program needs.

use crate::{
    Error,
    v1::{CartOwner, CartTarget, Money, cart_owner::Owner, cart_target::Target},
};

/// The largest amount of the contract, in millionths.
const MICROS_MAX: i64 = (1 << 53) - 1;
const PLACES: usize = 6;

/// Returns the target of the cart with this name, for example `carts/019a`.
pub fn cart(name: impl Into<String>) -> CartTarget {
    CartTarget {
        target: Some(Target::Cart(name.into())),
    }
}

/// Returns the target of the open cart of a customer, for example `customers/ada`, in the slot `main`.
pub fn customer_cart(customer: impl Into<String>) -> CartTarget {
    owned(Owner::Customer(customer.into()))
}

/// Returns the target of the open cart of a visitor in the slot `main`. The token is the one that the
/// storefront gave to the visitor: 16 to 256 characters.
pub fn visitor_cart(token: impl Into<String>) -> CartTarget {
    owned(Owner::Visitor(token.into()))
}

fn owned(owner: Owner) -> CartTarget {
    CartTarget {
        target: Some(Target::Owner(CartOwner {
            owner: Some(owner),
            ..CartOwner::default()
        })),
    }
}

/// Returns an amount of a currency: `money("EUR", "11.90")` is 11.90 euros.
///
/// # Errors
///
/// If the amount is not a decimal number with at most six places, or is too large for the contract.
pub fn money(currency: impl Into<String>, amount: &str) -> Result<Money, Error> {
    let (sign, digits) = match amount.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, amount),
    };
    let (whole, places) = match digits.split_once('.') {
        Some((whole, places)) if !places.is_empty() => (whole, places),
        Some(_) => ("", ""),
        None => (digits, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(places) || places.len() > PLACES {
        return Err(Error::usage(&format!(
            "amount {amount:?} is not a decimal number with at most six places, for example \"11.90\""
        )));
    }
    format!("{whole}{places:0<PLACES$}")
        .parse::<i64>()
        .ok()
        .filter(|micros| *micros <= MICROS_MAX)
        .map(|micros| Money {
            currency_code: currency.into(),
            micros: sign * micros,
        })
        .ok_or_else(|| {
            Error::usage(&format!(
                "amount {amount:?} is too large: at most 9007199254.740991"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_a_cart_or_its_owner() {
        assert_eq!(cart("carts/a").target, Some(Target::Cart("carts/a".into())));
        let owner = |target: CartTarget| match target.target {
            Some(Target::Owner(owner)) => owner.owner,
            _ => None,
        };
        let customer = owner(customer_cart("customers/ada"));
        assert_eq!(customer, Some(Owner::Customer("customers/ada".into())));
        let visitor = owner(visitor_cart("a-token-of-a-visitor"));
        assert_eq!(visitor, Some(Owner::Visitor("a-token-of-a-visitor".into())));
    }

    #[test]
    fn money_is_exact() {
        for (amount, micros) in [
            ("11.90", 11_900_000),
            ("0", 0),
            ("-0.01", -10_000),
            ("13.445378", 13_445_378),
            ("007", 7_000_000),
            ("9007199254.740991", 9_007_199_254_740_991),
            ("-9007199254.740991", -9_007_199_254_740_991),
        ] {
            let made = money("EUR", amount).map(|money| (money.currency_code, money.micros));
            assert_eq!(made.ok(), Some(("EUR".to_owned(), micros)), "{amount}");
        }
    }

    #[test]
    fn money_that_is_not_a_decimal_number_is_refused() {
        for amount in [
            "",
            "-",
            "11,90",
            "1.2345678",
            "1e3",
            ".5",
            "1.",
            "1.2.3",
            "+1",
            " 1",
            "1\n",
            "٣",
            "9007199254.740992",
            "99999999999999999999999999",
        ] {
            let error = money("EUR", amount).map_err(|error| error.to_string());
            assert!(
                error
                    .as_ref()
                    .is_err_and(|text| text.starts_with("InvalidArgument: amount ")),
                "{amount}: {error:?}"
            );
        }
    }
}
