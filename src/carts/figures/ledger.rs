//! The figures of a set of carts, updated cart by cart.
//!
//! Pure: no clock and no database. Figures that depend on the time are calculated on demand, at the cost of
//! the carts that have become idle since the last time.

use std::collections::{BTreeMap, HashMap};

use super::window::Window;
use crate::carts::model::{Owner, is_for_saved};
use crate::feed::{micros, timestamp};
use crate::limits::MICROS_MAX;
use crate::proto::pb::{self, cart, cart_figures::CurrencyValue};

/// The fields of a cart that its figures need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub owner: Owner,
    /// The storefront where it was opened.
    pub storefront: String,
    pub currency: String,
    /// The total in micros.
    pub total: i64,
    /// The time of the last change by somebody, in microseconds.
    pub activity_time: i64,
    /// Whether it counts as abandoned.
    pub abandoned: bool,
}

impl Counted {
    /// Reads a cart from the feed; None if it does not count.
    pub fn of(cart: &pb::Cart) -> Option<Self> {
        if cart.state() != cart::State::Open || cart.item_count == 0 || is_for_saved(&cart.slot) {
            return None;
        }
        let owner = match cart.customer.as_str() {
            "" => Owner::Visitor(cart.visitor_id.clone()),
            customer => Owner::Customer(customer.to_owned()),
        };
        Some(Self {
            owner,
            storefront: cart.storefront.clone(),
            currency: cart.currency_code.clone(),
            total: cart.total.as_ref().map_or(0, |total| total.micros),
            activity_time: cart.activity_time.as_ref().map_or(0, micros),
            abandoned: cart.abandonment() == cart::Abandonment::Abandoned,
        })
    }
}

/// The counted carts of a shop and their figures: for all of them, and for each storefront.
#[derive(Debug, Default)]
pub struct Ledger {
    carts: HashMap<Box<str>, Counted>,
    all: Tally,
    by_storefront: HashMap<String, Tally>,
}

impl Ledger {
    /// Sets the present state of a cart; None if it does not count any more.
    pub fn put(&mut self, name: &str, cart: Option<Counted>) {
        let old = match &cart {
            Some(cart) => self.carts.insert(name.into(), cart.clone()),
            None => self.carts.remove(name),
        };
        if let Some(old) = old {
            self.all.remove(&old);
            if let Some(tally) = self.by_storefront.get_mut(&old.storefront) {
                tally.remove(&old);
                if tally.open == 0 {
                    self.by_storefront.remove(&old.storefront);
                }
            }
        }
        if let Some(cart) = cart {
            self.all.add(&cart);
            if !cart.storefront.is_empty() {
                let storefront = self.by_storefront.entry(cart.storefront.clone());
                storefront.or_default().add(&cart);
            }
        }
    }

    /// The figures of a storefront, or of all if it is empty, at `now`. A cart is idle after `idle_after`.
    pub fn figures(&mut self, storefront: &str, now: i64, idle_after: i64) -> pb::CartFigures {
        let edge = now.saturating_sub(idle_after);
        let figures = match storefront {
            "" => self.all.figures(edge),
            storefront => match self.by_storefront.get_mut(storefront) {
                Some(tally) => tally.figures(edge),
                None => pb::CartFigures::default(),
            },
        };
        pb::CartFigures {
            time: Some(timestamp(now)),
            ..figures
        }
    }
}

/// The figures of a set of carts.
#[derive(Debug, Default)]
struct Tally {
    open: i64,
    abandoned: i64,
    /// The times of the last changes of carts that are not abandoned.
    alive: Window,
    values: BTreeMap<String, Value>,
    customers: Owners,
    visitors: Owners,
}

#[derive(Debug, Default)]
struct Value {
    carts: i64,
    open: i128,
    at_risk: i128,
}

impl Tally {
    fn add(&mut self, cart: &Counted) {
        self.open += 1;
        let value = self.values.entry(cart.currency.clone()).or_default();
        value.carts += 1;
        value.open += i128::from(cart.total);
        if cart.abandoned {
            self.abandoned += 1;
            value.at_risk += i128::from(cart.total);
        } else {
            self.alive.insert(cart.activity_time);
        }
        let (owners, id) = self.owners(&cart.owner);
        owners.add(id, cart.activity_time);
    }

    fn remove(&mut self, cart: &Counted) {
        self.open -= 1;
        if let Some(value) = self.values.get_mut(&cart.currency) {
            value.carts -= 1;
            value.open -= i128::from(cart.total);
            if cart.abandoned {
                value.at_risk -= i128::from(cart.total);
            }
            if value.carts == 0 {
                self.values.remove(&cart.currency);
            }
        }
        if cart.abandoned {
            self.abandoned -= 1;
        } else {
            self.alive.remove(cart.activity_time);
        }
        let (owners, id) = self.owners(&cart.owner);
        owners.remove(id, cart.activity_time);
    }

    fn owners<'a>(&mut self, owner: &'a Owner) -> (&mut Owners, &'a str) {
        match owner {
            Owner::Customer(id) => (&mut self.customers, id),
            Owner::Visitor(id) => (&mut self.visitors, id),
        }
    }

    fn figures(&mut self, edge: i64) -> pb::CartFigures {
        let filling = self.alive.after(edge);
        pb::CartFigures {
            time: None,
            open_carts: self.open,
            filling_carts: filling,
            idle_carts: self.open - self.abandoned - filling,
            abandoned_carts: self.abandoned,
            values: self
                .values
                .iter()
                .map(|(currency, value)| value.message(currency))
                .collect(),
            customers_online: self.customers.last.after(edge),
            visitors_online: self.visitors.last.after(edge),
        }
    }
}

impl Value {
    fn message(&self, currency: &str) -> CurrencyValue {
        let money = |sum: i128| pb::Money {
            currency_code: currency.to_owned(),
            micros: i64::try_from(sum).unwrap_or(MICROS_MAX).min(MICROS_MAX),
        };
        CurrencyValue {
            open: Some(money(self.open)),
            at_risk: Some(money(self.at_risk)),
        }
    }
}

/// The owners of carts, and the last activity of each.
#[derive(Debug, Default)]
struct Owners {
    /// The times of the last changes of each owner's carts; mostly it is one cart.
    carts: HashMap<Box<str>, Vec<i64>>,
    last: Window,
}

impl Owners {
    fn add(&mut self, owner: &str, time: i64) {
        let times = self.carts.entry(owner.into()).or_default();
        let before = times.iter().copied().max();
        times.push(time);
        if let Some(before) = before {
            self.last.remove(before);
        }
        self.last
            .insert(before.map_or(time, |before| before.max(time)));
    }

    fn remove(&mut self, owner: &str, time: i64) {
        let Some(times) = self.carts.get_mut(owner) else {
            return;
        };
        let before = times.iter().copied().max();
        if let Some(place) = times.iter().position(|known| *known == time) {
            times.swap_remove(place);
        }
        if let Some(before) = before {
            self.last.remove(before);
        }
        match times.iter().copied().max() {
            Some(after) => self.last.insert(after),
            None => drop(self.carts.remove(owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cart(owner: Owner, activity_time: i64) -> Counted {
        Counted {
            owner,
            storefront: "web".to_owned(),
            currency: "EUR".to_owned(),
            total: 10,
            activity_time,
            abandoned: false,
        }
    }

    fn ada() -> Owner {
        Owner::Customer("customers/ada".to_owned())
    }

    fn somebody() -> Owner {
        Owner::Visitor("ada".to_owned())
    }

    #[test]
    fn time_alone_makes_a_cart_idle_and_a_clock_that_jumps_back_undoes_it() {
        let mut ledger = Ledger::default();
        ledger.put("carts/a", Some(cart(ada(), 100)));
        let mut at = |now| {
            let figures = ledger.figures("", now, 50);
            (
                figures.filling_carts,
                figures.idle_carts,
                figures.customers_online,
            )
        };

        assert_eq!(at(149), (1, 0, 1));
        assert_eq!(at(150), (0, 1, 0));
        assert_eq!(at(149), (1, 0, 1));
    }

    #[test]
    fn an_owner_is_online_once_however_many_carts_there_are() {
        let mut ledger = Ledger::default();
        ledger.put("carts/a", Some(cart(ada(), 100)));
        ledger.put("carts/b", Some(cart(ada(), 120)));
        ledger.put("carts/c", Some(cart(somebody(), 120)));

        let figures = ledger.figures("", 130, 50);
        assert_eq!((figures.customers_online, figures.visitors_online), (1, 1));

        // The younger cart is removed: the owner was last active with the other.
        ledger.put("carts/b", None);
        assert_eq!(ledger.figures("", 149, 50).customers_online, 1);
        assert_eq!(ledger.figures("", 150, 50).customers_online, 0);
    }

    #[test]
    fn an_abandoned_cart_is_at_risk_and_neither_filling_nor_idle() {
        let mut ledger = Ledger::default();
        let abandoned = Counted {
            abandoned: true,
            ..cart(ada(), 100)
        };
        ledger.put("carts/a", Some(abandoned));
        ledger.put("carts/b", Some(cart(somebody(), 100)));

        let figures = ledger.figures("", 100, 50);

        let counts = (
            figures.open_carts,
            figures.filling_carts,
            figures.idle_carts,
            figures.abandoned_carts,
        );
        assert_eq!(counts, (2, 1, 0, 1));
        let value = &figures.values[0];
        assert_eq!(value.open.as_ref().unwrap().micros, 20);
        assert_eq!(value.at_risk.as_ref().unwrap().micros, 10);
    }

    #[test]
    fn a_storefront_has_figures_of_its_own_and_an_unknown_one_has_none() {
        let mut ledger = Ledger::default();
        ledger.put("carts/a", Some(cart(ada(), 100)));
        let other = Counted {
            storefront: "app".to_owned(),
            ..cart(ada(), 100)
        };
        ledger.put("carts/b", Some(other.clone()));

        assert_eq!(ledger.figures("", 100, 50).open_carts, 2);
        assert_eq!(ledger.figures("", 100, 50).customers_online, 1);
        assert_eq!(ledger.figures("app", 100, 50).open_carts, 1);
        assert_eq!(ledger.figures("kiosk", 100, 50).open_carts, 0);

        ledger.put("carts/b", None);
        assert!(!ledger.by_storefront.contains_key("app"));
        assert_eq!(ledger.figures("app", 100, 50).values, []);
    }

    #[test]
    fn sums_do_not_leave_the_range_of_money() {
        let mut ledger = Ledger::default();
        for name in ["carts/a", "carts/b"] {
            let large = Counted {
                total: MICROS_MAX,
                ..cart(ada(), 100)
            };
            ledger.put(name, Some(large));
        }

        let of = |figures: pb::CartFigures| figures.values[0].open.as_ref().unwrap().micros;
        assert_eq!(of(ledger.figures("", 100, 50)), MICROS_MAX);
        ledger.put("carts/b", None);
        ledger.put("carts/a", Some(cart(ada(), 100)));
        assert_eq!(of(ledger.figures("", 100, 50)), 10);
    }
}
