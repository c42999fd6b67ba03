//! The derived fields of a customer, and the fields that are hidden from a caller.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{model, sql::DerivedRow};
use crate::{
    clock,
    error::{Error, Result},
    feed, groups, limits,
    proto::pb,
    shops::ShopDoc,
};

/// The date at `now` in a time zone.
pub(super) fn day(now: i64, zone: TimeZone) -> Date {
    let now = Timestamp::from_microsecond(now).unwrap_or(Timestamp::MAX);
    now.to_zoned(zone).date()
}

/// The values of one customer's derived fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Derived {
    last_visit_time: Option<i64>,
    /// The shop's time zone, if an age depends on it.
    zone: Option<TimeZone>,
    /// The names of the groups that storefronts may see.
    visible: Vec<String>,
}

impl Derived {
    /// Creates it from known values: the last visit, and the shop's time zone.
    pub(super) fn of(last_visit_time: Option<i64>, zone: TimeZone) -> Self {
        Self {
            last_visit_time,
            zone: Some(zone),
            visible: Vec::new(),
        }
    }

    /// Creates it from the rows that were read for the customer with this id.
    pub(super) fn new(row: DerivedRow, id: &str) -> Result<Self> {
        let zone = match row.shop_doc {
            Some(doc) => {
                let shop: ShopDoc = serde_json::from_str(&doc).map_err(|error| {
                    Error::corrupt("shops", &format!("of customer {id}"), error)
                })?;
                Some(shop.settings.zone())
            }
            None => None,
        };
        let visible = row.visible_groups.as_deref().unwrap_or_default();
        let visible = visible
            .split(',')
            .filter(|id| !id.is_empty())
            .map(groups::name)
            .collect();
        Ok(Self {
            last_visit_time: row.last_visit_time,
            zone,
            visible,
        })
    }

    /// Fills in the derived fields as of `now`.
    pub(super) fn fill(&self, customer: &mut pb::Customer, now: i64) {
        customer.last_visit_time = self.last_visit_time.map(feed::timestamp);
        customer.online = self.last_visit_time.is_some_and(|time| {
            now.saturating_sub(time) < clock::micros(limits::ONLINE_AFTER_VISIT)
        });
        customer.age = self
            .zone
            .as_ref()
            .and_then(|zone| model::age(&customer.birth_date, day(now, zone.clone())));
    }

    /// Removes the groups that are not known to be visible: hidden groups, and deleted groups whose members a
    /// job still removes.
    pub(super) fn hide(&self, customer: &mut pb::Customer) {
        customer.groups.retain(|group| self.visible.contains(group));
        if !self.visible.contains(&customer.default_group) {
            customer.default_group.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01T00:30:00Z
    const NOW: i64 = 1_772_325_000_000_000;

    fn row(zone: &str) -> DerivedRow {
        DerivedRow {
            last_visit_time: Some(5_000_000),
            shop_doc: Some(format!(r#"{{"settings":{{"time_zone":"{zone}"}}}}"#)),
            visible_groups: Some("customer,test".to_owned()),
        }
    }

    fn customer() -> pb::Customer {
        pb::Customer {
            birth_date: "2000-03-01".to_owned(),
            default_group: "groups/secret".to_owned(),
            groups: ["groups/customer", "groups/secret"]
                .map(str::to_owned)
                .into(),
            ..pb::Customer::default()
        }
    }

    #[test]
    fn an_age_is_that_of_today_in_the_shop() {
        for (zone, age) in [("UTC", 26), ("Europe/Paris", 26), ("America/New_York", 25)] {
            let mut customer = customer();

            Derived::new(row(zone), "ada")
                .unwrap()
                .fill(&mut customer, NOW);

            assert_eq!(customer.age, Some(age), "{zone}");
            assert_eq!(customer.last_visit_time, Some(feed::timestamp(5_000_000)));
        }
    }

    #[test]
    fn a_customer_with_a_recent_visit_is_online() {
        let online = |after: i64| {
            let mut customer = customer();
            Derived::of(Some(NOW), TimeZone::UTC).fill(&mut customer, NOW + after);
            customer.online
        };
        let minutes = 60_000_000;

        assert!(online(0) && online(5 * minutes - 1));
        assert!(!online(5 * minutes));
        // A replica whose clock is ahead noted the visit.
        assert!(online(-minutes));
        let mut never = customer();
        Derived::of(None, TimeZone::UTC).fill(&mut never, NOW);
        assert!(!never.online);
    }

    #[test]
    fn groups_that_are_not_known_to_be_visible_are_taken_out_also_as_the_default() {
        let mut customer = customer();

        Derived::new(row("UTC"), "ada").unwrap().hide(&mut customer);

        assert_eq!(customer.groups, ["groups/customer"]);
        assert_eq!(customer.default_group, "");
    }
}
