//! Conversion of groups between the contract and their rows, and the rules for writing them.
//!
//! The access layer has checked the formats and limits of single fields. Here are the rules for the group as
//! a whole.

use tonic::Code;

use super::fields::TABLE;
use super::memberships::sql as memberships_sql;
use super::model::{Audience, Group, PriceDisplay, State};
use super::reprice;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed;
use crate::format;
use crate::head;
use crate::proto::pb::{self, ErrorReason};
use crate::resource::{self, Faults, Resource, Table};
use crate::store::{Bind, LockKey, Tx};

/// The largest discount, in hundredths of a percent.
const DISCOUNT_MAX: i64 = 10_000;

impl Resource for Group {
    type Message = pb::Group;

    const NOUN: &'static str = "group";

    head!();

    fn table() -> &'static Table<pb::Group> {
        &TABLE
    }

    fn message(&self) -> pb::Group {
        let name = self.name();
        pb::Group {
            etag: feed::etag(&name, self.version),
            name,
            display_names: self.display_names.clone().into_iter().collect(),
            display_name: String::new(),
            discount_percent: percent(self.discount_hundredths),
            price_display: self.price_display.message().into(),
            show_prices: Some(self.show_prices),
            state: self.state.message().into(),
            audience: self.audience.message().into(),
            special_kinds: self.special.message().into_iter().map(i32::from).collect(),
            priority: i32::try_from(self.priority).unwrap_or(i32::MAX),
            member_count: 0,
            create_time: Some(feed::timestamp(self.create_time)),
            update_time: Some(feed::timestamp(self.update_time)),
        }
    }

    fn etag_in(sent: &pb::Group) -> &str {
        &sent.etag
    }

    fn set(&mut self, sent: &pb::Group, path: &str, faults: &mut Faults) {
        match path {
            "display_names" if sent.display_names.is_empty() => {
                let text = "a name in at least one language is required";
                faults.refuse(path, "REQUIRED", text);
            }
            "display_names" => match format::by_language(&sent.display_names) {
                Ok(names) => self.display_names = names,
                Err(twice) => {
                    faults.refuse(path, "DUPLICATE", format!("`{twice}` is named twice"));
                }
            },
            "discount_percent" => match hundredths(&sent.discount_percent) {
                Some(hundredths) => self.discount_hundredths = hundredths,
                None => {
                    let text = "a decimal from 0 to 100 with at most two places";
                    faults.refuse(path, "INVALID", text);
                }
            },
            "price_display" => match pb::group::PriceDisplay::try_from(sent.price_display) {
                Ok(pb::group::PriceDisplay::TaxExcluded) => {
                    self.price_display = PriceDisplay::TaxExcluded;
                }
                Ok(_) => self.price_display = PriceDisplay::TaxIncluded,
                Err(_) => faults.refuse(path, "INVALID", "no such value"),
            },
            "show_prices" => self.show_prices = sent.show_prices.unwrap_or(true),
            "state" => match pb::group::State::try_from(sent.state) {
                Ok(pb::group::State::Disabled) => self.state = State::Disabled,
                Ok(pb::group::State::Hidden) => self.state = State::Hidden,
                Ok(_) => self.state = State::Active,
                Err(_) => faults.refuse(path, "INVALID", "no such value"),
            },
            "audience" => match audience(sent) {
                Some(audience) if self.version == 0 => self.audience = audience,
                Some(audience) if audience != self.audience => {
                    faults.refuse(path, "IMMUTABLE", "the audience of a group never changes");
                }
                Some(_) => {}
                None if sent.audience == 0 => {}
                None => faults.refuse(path, "INVALID", "no such value"),
            },
            _ => self.priority = i64::from(sent.priority),
        }
    }

    fn columns(&self) -> Vec<(&'static str, Bind)> {
        vec![
            ("special", self.special.bits().into()),
            ("pricing_revision", self.pricing_revision.into()),
        ]
    }

    fn lock(shop: &str, id: &str) -> LockKey {
        super::lock(shop, id)
    }

    async fn check(
        tx: &mut Tx,
        caller: &Caller,
        before: Option<&Self>,
        after: &mut Self,
    ) -> Result<()> {
        let version = after.version;
        let Some(before) = before else {
            after.pricing_revision = version;
            return free(tx, caller, &after.id).await;
        };
        if after.state == State::Disabled && !after.special.is_none() {
            return Err(special(after, "a special group cannot be disabled"));
        }
        if after.effective_discount() != before.effective_discount() {
            after.pricing_revision = version + 1;
        }
        Ok(())
    }

    fn may_be_deleted(&self) -> Result<()> {
        if self.special.is_none() {
            Ok(())
        } else {
            Err(special(self, "a special group cannot be deleted"))
        }
    }

    async fn written(
        tx: &mut Tx,
        caller: &Caller,
        before: Option<&Self>,
        after: Option<&Self>,
        now: i64,
    ) -> Result<()> {
        match (before, after) {
            (Some(before), Some(after)) if before.pricing_revision != after.pricing_revision => {
                reprice(tx, caller, &after.id, now).await
            }
            _ => Ok(()),
        }
    }
}

/// A deleted group keeps its name until its last member is removed. Otherwise the job that removes them would
/// find members of a new group of that name.
async fn free(tx: &mut Tx, caller: &Caller, id: &str) -> Result<()> {
    let granted = memberships_sql::granted(tx, &caller.shop, id, i64::MAX, 1);
    if granted.await?.is_empty() {
        Ok(())
    } else {
        Err(resource::name_taken::<Group>(id))
    }
}

fn special(group: &Group, text: &'static str) -> Error {
    Error::new(Code::FailedPrecondition, ErrorReason::GroupSpecial, text)
        .with("special", group.special.text())
}

fn audience(message: &pb::Group) -> Option<Audience> {
    match pb::group::Audience::try_from(message.audience) {
        Ok(pb::group::Audience::Customer) => Some(Audience::Customer),
        Ok(pb::group::Audience::Staff) => Some(Audience::Staff),
        Ok(pb::group::Audience::Unspecified) | Err(_) => None,
    }
}

fn hundredths(percent: &str) -> Option<i64> {
    if percent.is_empty() {
        return Some(0);
    }
    format::decimal(percent, 2).filter(|hundredths| *hundredths <= DISCOUNT_MAX)
}

/// A percentage with two decimals.
fn percent(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
