//! Conversion of shops and settings between the contract and the model.

use crate::error::{Error, Result, Violation};
use crate::feed::{self, timestamp};
use crate::format;
use crate::mask;
use crate::proto::pb;

use super::model::{NewCustomerState, ReRegistration, Settings, Shop};

/// The full name of a shop.
pub fn shop_name(id: &str) -> String {
    format!("shops/{id}")
}

/// The full name of a shop's settings.
pub fn settings_name(shop: &str) -> String {
    format!("shops/{shop}/settings")
}

/// The id in a name of the form `{collection}/{id}`, which the access layer has checked.
pub fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

/// Makes the message of a shop.
pub fn shop(shop: &Shop) -> pb::Shop {
    let name = shop_name(&shop.id);
    pb::Shop {
        etag: feed::etag(&name, shop.version),
        name,
        display_name: shop.doc.display_name.clone(),
        create_time: Some(timestamp(shop.create_time)),
        update_time: Some(timestamp(shop.update_time)),
    }
}

/// Makes the message of a shop's settings.
pub fn settings(shop: &Shop) -> pb::ShopSettings {
    let settings = &shop.doc.settings;
    let name = settings_name(&shop.id);
    let group = |id: &String| format!("groups/{id}");
    pb::ShopSettings {
        etag: feed::etag(&name, shop.version),
        name,
        default_currency_code: settings.default_currency.clone(),
        language_codes: settings.languages.clone(),
        time_zone: settings.time_zone.clone(),
        visitor_group: group(&settings.visitor_group),
        guest_group: group(&settings.guest_group),
        customer_group: group(&settings.customer_group),
        guest_checkout: Some(settings.guest_checkout),
        new_customer_state: pb::customer::State::from(settings.new_customer_state).into(),
        re_registration: pb::delete_customer_request::ReRegistration::from(
            settings.re_registration,
        )
        .into(),
        visitor_cart_retention_days: Some(settings.visitor_cart_retention_days),
        customer_cart_retention_days: Some(settings.customer_cart_retention_days),
        empty_cart_retention_hours: Some(settings.empty_cart_retention_hours),
        cart_idle_after_minutes: Some(settings.cart_idle_after_minutes),
        cart_abandoned_after_minutes: Some(settings.cart_abandoned_after_minutes),
        if_open_cart_exists: settings.if_open_cart_exists,
        update_time: Some(timestamp(shop.update_time)),
    }
}

/// Sets the fields of the settings that an update names. A named field that is not set gets the value of a new shop.
pub fn apply(request: &pb::UpdateShopSettingsRequest, settings: &mut Settings) -> Result<()> {
    let absent = pb::ShopSettings::default();
    let sent = request.settings.as_ref().unwrap_or(&absent);
    let paths = mask::of(request.update_mask.as_ref(), sent)?;
    let first = Settings::default();
    let text = |sent: &String, first: String| if sent.is_empty() { first } else { sent.clone() };
    let group = |sent: &String, first: String| match sent.as_str() {
        "" => first,
        name => id_of(name).to_owned(),
    };
    let mut violations = Vec::new();
    for path in paths {
        match path {
            "default_currency_code" => {
                settings.default_currency =
                    text(&sent.default_currency_code, first.default_currency.clone());
            }
            "language_codes" => match sent.language_codes.as_slice() {
                [] => settings.languages.clone_from(&first.languages),
                languages => {
                    let languages = languages.iter();
                    settings.languages = languages
                        .map(|language| format::canonical_language(language))
                        .collect();
                }
            },
            "time_zone" => {
                settings.time_zone = format::time_zone_name(&sent.time_zone)
                    .unwrap_or_else(|| first.time_zone.clone());
            }
            "visitor_group" => {
                settings.visitor_group = group(&sent.visitor_group, first.visitor_group.clone());
            }
            "guest_group" => {
                settings.guest_group = group(&sent.guest_group, first.guest_group.clone());
            }
            "customer_group" => {
                settings.customer_group = group(&sent.customer_group, first.customer_group.clone());
            }
            "guest_checkout" => {
                settings.guest_checkout = sent.guest_checkout.unwrap_or(first.guest_checkout);
            }
            "new_customer_state" => match new_customer_state(sent) {
                Some(state) => settings.new_customer_state = state,
                None => violations.push(Violation::new(
                    "settings.new_customer_state",
                    "NOT_ALLOWED",
                    "new customers must be STATE_ACTIVE or STATE_PENDING_APPROVAL",
                )),
            },
            "re_registration" => {
                use pb::delete_customer_request::ReRegistration as Sent;
                settings.re_registration = match sent.re_registration() {
                    Sent::Unspecified | Sent::Allow => ReRegistration::Allow,
                    Sent::Forbid => ReRegistration::Forbid,
                };
            }
            "visitor_cart_retention_days" => {
                settings.visitor_cart_retention_days = sent
                    .visitor_cart_retention_days
                    .unwrap_or(first.visitor_cart_retention_days);
            }
            "customer_cart_retention_days" => {
                settings.customer_cart_retention_days = sent
                    .customer_cart_retention_days
                    .unwrap_or(first.customer_cart_retention_days);
            }
            "empty_cart_retention_hours" => {
                settings.empty_cart_retention_hours = sent
                    .empty_cart_retention_hours
                    .unwrap_or(first.empty_cart_retention_hours);
            }
            "cart_idle_after_minutes" => {
                settings.cart_idle_after_minutes = sent
                    .cart_idle_after_minutes
                    .unwrap_or(first.cart_idle_after_minutes);
            }
            "cart_abandoned_after_minutes" => {
                settings.cart_abandoned_after_minutes = sent
                    .cart_abandoned_after_minutes
                    .unwrap_or(first.cart_abandoned_after_minutes);
            }
            "if_open_cart_exists" => {
                settings.if_open_cart_exists = match sent.if_open_cart_exists {
                    0 => first.if_open_cart_exists,
                    number => number,
                };
            }
            other => unreachable!("{other} is no writable field"),
        }
    }
    let mut languages = settings.languages.clone();
    languages.sort();
    languages.dedup();
    if languages.len() < settings.languages.len() {
        let text = "a language is named twice";
        violations.push(Violation::new("settings.language_codes", "DUPLICATE", text));
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(violations))
    }
}

fn new_customer_state(sent: &pb::ShopSettings) -> Option<NewCustomerState> {
    use pb::customer::State;
    match sent.new_customer_state() {
        State::Unspecified | State::Active => Some(NewCustomerState::Active),
        State::PendingApproval => Some(NewCustomerState::PendingApproval),
        State::Disabled | State::Invited => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(paths: &[&str], settings: pb::ShopSettings) -> pb::UpdateShopSettingsRequest {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        pb::UpdateShopSettingsRequest {
            settings: Some(settings),
            update_mask: (!paths.is_empty()).then_some(prost_types::FieldMask { paths }),
            ..pb::UpdateShopSettingsRequest::default()
        }
    }

    #[test]
    fn an_update_without_a_mask_changes_only_the_fields_that_are_set() {
        let sent = pb::ShopSettings {
            time_zone: "Europe/Paris".into(),
            guest_checkout: Some(false),
            ..pb::ShopSettings::default()
        };
        let mut settings = Settings {
            default_currency: "JPY".into(),
            ..Settings::default()
        };

        apply(&request(&[], sent), &mut settings).unwrap();

        assert_eq!(settings.time_zone, "Europe/Paris");
        assert!(!settings.guest_checkout);
        assert_eq!(settings.default_currency, "JPY");
    }

    #[test]
    fn a_named_field_that_is_not_set_gets_the_value_of_a_new_shop() {
        let mut settings = Settings {
            time_zone: "Asia/Tokyo".into(),
            visitor_cart_retention_days: 3,
            ..Settings::default()
        };

        let paths = ["timeZone", "visitor_cart_retention_days"];
        apply(&request(&paths, pb::ShopSettings::default()), &mut settings).unwrap();

        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn a_wrong_state_and_a_repeated_language_are_refused() {
        let sent = pb::ShopSettings {
            new_customer_state: pb::customer::State::Invited.into(),
            language_codes: vec!["fr".into(), "fr".into()],
            ..pb::ShopSettings::default()
        };

        let error = apply(&request(&[], sent), &mut Settings::default()).unwrap_err();

        assert_eq!(error.reason(), pb::ErrorReason::InvalidField);
    }
}
