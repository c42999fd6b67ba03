//! Invented customers: plain names, addresses in no real street, mailboxes that cannot exist.

use crate::proto::pb;

const FIRST_NAMES: [&str; 32] = [
    "Ada", "Bruno", "Clara", "Daniel", "Elena", "Felix", "Greta", "Hugo", "Irina", "Jonas",
    "Karin", "Leo", "Marta", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Samuel", "Tilda",
    "Umberto", "Vera", "Walter", "Xenia", "Yusuf", "Zoe", "Amelie", "Boris", "Chiara", "Dimitri",
    "Edith", "Farid",
];
const LAST_NAMES: [&str; 29] = [
    "Ashford", "Baker", "Carter", "Dupont", "Eriksen", "Fontana", "Garcia", "Hansen", "Ivanova",
    "Jansen", "Keller", "Lemaire", "Moreau", "Novak", "Olsen", "Petit", "Quist", "Rossi",
    "Schmidt", "Tanaka", "Urban", "Varga", "Weber", "Young", "Zeman", "Almeida", "Brandt", "Costa",
    "Dahl",
];
const STREETS: [&str; 8] = [
    "Mill Lane",
    "Station Road",
    "Garden Street",
    "Harbour Walk",
    "Church Hill",
    "Park Avenue",
    "Market Square",
    "River View",
];
const PLACES: [(&str, &str, &str); 8] = [
    ("Northfield", "10115", "DE"),
    ("Belleville-sur-Lac", "75001", "FR"),
    ("Santa Rosa del Mar", "28013", "ES"),
    ("Villanova", "00118", "IT"),
    ("Oosterdam", "1012 AB", "NL"),
    ("Bergheim", "1010", "AT"),
    ("Nova Vila", "1100-038", "PT"),
    ("Östervik", "111 20", "SE"),
];
const LANGUAGES: [&str; 6] = ["en", "fr", "de", "es", "it", "nl"];

/// The id of the demo's customer with this number. It is the same in every run, so that a second run
/// continues with the customers of the first.
pub fn id(number: u32) -> String {
    format!("demo-{}", number + 1)
}

/// The customer with this number.
pub fn customer(number: u32) -> pb::Customer {
    let (first, last) = (pick(&FIRST_NAMES, number), pick(&LAST_NAMES, number));
    let mail = format!("{first}.{last}.{}@example.test", number + 1).to_lowercase();
    let groups: &[&str] = match number % 7 {
        3 => &["groups/customer", "groups/wholesale"],
        _ => &["groups/customer"],
    };
    pb::Customer {
        first_name: (*first).to_owned(),
        last_name: (*last).to_owned(),
        email: mail,
        company: if groups.len() > 1 {
            format!("{last} Trading")
        } else {
            String::new()
        },
        phone: format!("+00 555 {:04}", number % 10_000),
        birth_date: format!(
            "{}-{:02}-{:02}",
            1950 + number % 55,
            1 + number % 12,
            1 + number % 28
        ),
        language_code: (*pick(&LANGUAGES, number)).to_owned(),
        groups: groups.iter().map(|name| (*name).to_owned()).collect(),
        default_group: groups
            .last()
            .map(|name| (*name).to_owned())
            .unwrap_or_default(),
        newsletter: Some(pb::Consent {
            subscribed: number.is_multiple_of(3),
            source: "demo".to_owned(),
            ..pb::Consent::default()
        }),
        storefront: "demo".to_owned(),
        ..pb::Customer::default()
    }
}

/// The addresses of the customer with this number: one or two.
pub fn addresses(number: u32) -> Vec<pb::Address> {
    let address = |label: &str, place: u32| {
        let (city, postal_code, country_code) = *pick(&PLACES, place);
        pb::Address {
            label: label.to_owned(),
            first_name: (*pick(&FIRST_NAMES, number)).to_owned(),
            last_name: (*pick(&LAST_NAMES, number)).to_owned(),
            line1: format!("{} {}", 1 + place % 120, pick(&STREETS, place)),
            city: city.to_owned(),
            postal_code: postal_code.to_owned(),
            country_code: country_code.to_owned(),
            ..pb::Address::default()
        }
    };
    let mut addresses = vec![address("Home", number)];
    if number % 3 == 1 {
        addresses.push(address("Work", number + 5));
    }
    addresses
}

fn pick<T>(list: &[T], number: u32) -> &T {
    &list[usize::try_from(number).unwrap_or_default() % list.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_customers_share_a_name_for_a_long_time() {
        let names: HashSet<String> = (0..900)
            .map(customer)
            .map(|customer| format!("{} {}", customer.first_name, customer.last_name))
            .collect();

        assert_eq!(names.len(), 900);
    }

    #[test]
    fn every_default_group_is_among_the_groups() {
        for customer in (0..20).map(customer) {
            assert!(customer.groups.contains(&customer.default_group));
            assert!(customer.email.is_ascii() && customer.email.ends_with("@example.test"));
        }
    }
}
