//! Formats of single values: what is a date, an e-mail address, a name of a resource.
//!
//! Pure functions, used by the walk over requests and by the areas that turn text into values. None of
//! them takes empty text; that empty means absent is for the caller to know.

use jiff::{civil, tz::TimeZone};
use unicode_normalization::UnicodeNormalization as _;

use crate::limits::fields::{
    EMAIL_CHARS_MAX, ETAG_CHARS_MAX, LANGUAGE_CHARS_MAX, REQUEST_ID_CHARS_MAX, TIME_ZONE_CHARS_MAX,
};

/// The longest part of a resource name.
pub const ID_BYTES_MAX: usize = 63;
/// The longest number that is said on the telephone.
const NUMBER_BYTES_MAX: usize = 32;
/// The longest part of an e-mail address before the `@`, as mail servers take it.
const MAILBOX_BYTES_MAX: usize = 64;
/// The longest name of a host.
const HOST_BYTES_MAX: usize = 253;

/// The countries of ISO 3166-1, and XK, which carriers and shops use for Kosovo.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ \
    BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE \
    DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR \
    GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP \
    KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
    MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW \
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG \
    TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM \
    ZW";

/// The currencies of ISO 4217 by the decimal places of their smallest unit, and HRK, in which carts of
/// before the euro may still be imported.
const CURRENCIES: [(u32, &str); 4] = [
    (
        0,
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    ),
    (
        2,
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP \
         BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD \
         FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW \
         KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN \
         NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD \
         SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS \
         VED VES WST XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// `[a-z0-9-]`, 1 to 63 characters: one part of a resource name.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= ID_BYTES_MAX
        && bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Whether `text` is a resource name of this pattern, as `customers/{id}`.
pub fn is_name(pattern: &str, text: &str) -> bool {
    let mut parts = text.split('/');
    for expected in pattern.split('/') {
        let Some(part) = parts.next() else {
            return false;
        };
        let fits = if expected == "{id}" {
            is_id(part)
        } else {
            part == expected
        };
        if !fits {
            return false;
        }
    }
    parts.next().is_none()
}

/// The ids in a resource name of this pattern, which has `N` of them; none if it is not one.
pub fn ids<'a, const N: usize>(pattern: &str, text: &'a str) -> Option<[&'a str; N]> {
    if !is_name(pattern, text) {
        return None;
    }
    let mut ids = [""; N];
    let mut found = 0;
    for (expected, part) in pattern.split('/').zip(text.split('/')) {
        if expected == "{id}" {
            *ids.get_mut(found)? = part;
            found += 1;
        }
    }
    (found == N).then_some(ids)
}

/// What is said on the telephone: `[A-Za-z0-9-]`, 1 to 32 characters.
pub fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NUMBER_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The normal form in which e-mail addresses are compared and claimed: trimmed, NFC, lower case, with
/// the domain as the network knows it. None if the text is not an address.
pub fn email_claim(text: &str) -> Option<String> {
    let text = text.trim();
    if text.chars().count() > EMAIL_CHARS_MAX {
        return None;
    }
    let normal: String = text
        .nfc()
        .collect::<String>()
        .to_lowercase()
        .nfc()
        .collect();
    let (mailbox, domain) = normal.rsplit_once('@')?;
    if mailbox.is_empty() || mailbox.len() > MAILBOX_BYTES_MAX || !is_mailbox(mailbox) {
        return None;
    }
    let domain = idna::domain_to_ascii_strict(domain).ok()?;
    // Addresses inside of one machine have no dot, and no shop writes to them.
    (domain.contains('.') && is_host(&domain)).then(|| format!("{mailbox}@{domain}"))
}

/// Whether `text` has the form of an e-mail address; spaces around it are forgiven.
pub fn is_email(text: &str) -> bool {
    email_claim(text).is_some()
}

fn is_mailbox(text: &str) -> bool {
    !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.chars().any(|c| {
            c.is_whitespace()
                || c.is_control()
                || matches!(
                    c,
                    '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '@' | '[' | '\\' | ']'
                )
        })
}

fn is_host(text: &str) -> bool {
    text.len() <= HOST_BYTES_MAX
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= ID_BYTES_MAX
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Whether `text` is an absolute http or https address without a user name in it.
pub fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return false;
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port_fits = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    port_fits && idna::domain_to_ascii_strict(host).is_ok_and(|host| is_host(&host))
}

/// Whether `text` is a well-formed BCP 47 language tag, as `fr`, `pt-BR` or `zh-Hant-TW`.
pub fn is_language(text: &str) -> bool {
    if text.len() > LANGUAGE_CHARS_MAX {
        return false;
    }
    let mut parts = text.split('-').peekable();
    let alphabetic = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let Some(language) = parts.next() else {
        return false;
    };
    if !(2..=8).contains(&language.len()) || !alphabetic(language) {
        return false;
    }
    parts.next_if(|part| part.len() == 4 && alphabetic(part));
    parts.next_if(|part| {
        part.len() == 2 && alphabetic(part)
            || part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit())
    });
    while parts
        .next_if(|part| {
            let starts_with_digit = part.starts_with(|c: char| c.is_ascii_digit());
            alphanumeric(part)
                && ((5..=8).contains(&part.len()) || part.len() == 4 && starts_with_digit)
        })
        .is_some()
    {}
    // Extensions: a letter or digit alone, and then at least one part of its own.
    while let Some(singleton) = parts.next() {
        if singleton.len() != 1 || !alphanumeric(singleton) {
            return false;
        }
        let shortest = if singleton.eq_ignore_ascii_case("x") {
            1
        } else {
            2
        };
        let fits = |part: &&str| (shortest..=8).contains(&part.len()) && alphanumeric(part);
        if parts.next_if(fits).is_none() {
            return false;
        }
        while parts.next_if(fits).is_some() {}
    }
    true
}

/// Whether `text` is a country of ISO 3166-1, in capital letters.
pub fn is_country(text: &str) -> bool {
    is_one_of(text, 2, COUNTRIES)
}

/// Whether `text` is a currency of ISO 4217, in capital letters.
pub fn is_currency(text: &str) -> bool {
    currency_places(text).is_some()
}

/// How many decimal places the currency's smallest unit has: 2 for EUR, 0 for JPY.
pub fn currency_places(text: &str) -> Option<u32> {
    CURRENCIES
        .iter()
        .find(|(_, codes)| is_one_of(text, 3, codes))
        .map(|(places, _)| *places)
}

fn is_one_of(text: &str, length: usize, codes: &str) -> bool {
    text.len() == length && codes.split(' ').any(|code| code == text)
}

/// The value of a decimal with at most `places` places and no sign, in units of the last of them:
/// `12.5` with two places is 1250. None if it is none, or is larger than nine digits before the point.
pub fn decimal(text: &str, places: u32) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leads_with_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || whole.len() > 9 || leads_with_zero {
        return None;
    }
    let fraction = match fraction {
        Some(fraction) if digits(fraction) => fraction,
        Some(_) => return None,
        None => "",
    };
    let missing = places.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    whole
        .checked_mul(10_i64.checked_pow(places)?)?
        .checked_add(fraction.checked_mul(10_i64.checked_pow(missing)?)?)
}

/// A percentage from 0 to 100 with at most `places` places, in units of the last of them.
pub fn percent(text: &str, places: u32) -> Option<i64> {
    decimal(text, places).filter(|value| *value <= 100 * 10_i64.pow(places))
}

/// The day that `YYYY-MM-DD` means, if there is such a day.
pub fn date(text: &str) -> Option<civil::Date> {
    let bytes = text.as_bytes();
    let well_formed = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !well_formed {
        return None;
    }
    let year = text.get(..4)?.parse().ok().filter(|year| *year > 0)?;
    civil::Date::new(
        year,
        text.get(5..7)?.parse().ok()?,
        text.get(8..)?.parse().ok()?,
    )
    .ok()
}

/// The time zone of this IANA name.
pub fn time_zone(text: &str) -> Option<TimeZone> {
    if text.len() > TIME_ZONE_CHARS_MAX {
        return None;
    }
    TimeZone::get(text)
        .ok()
        .filter(|zone| zone.iana_name().is_some())
}

/// 1 to 128 printable ASCII characters.
pub fn is_request_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= REQUEST_ID_CHARS_MAX && is_printable_ascii(text)
}

/// What may have been given out as an etag.
pub fn is_etag(text: &str) -> bool {
    !text.is_empty() && text.len() <= ETAG_CHARS_MAX && is_printable_ascii(text)
}

/// Whether `text` consists of the ASCII characters that print, the space among them.
pub fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether `text` has a control character; the ends of lines and tabs are none where `lines` are
/// allowed.
pub fn has_control_character(text: &str, lines: bool) -> bool {
    let refused = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'));
    if text.is_ascii() {
        text.bytes().any(|byte| refused(char::from(byte)))
    } else {
        text.chars().any(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_pattern_and_nothing_else() {
        assert!(is_name("customers/{id}", "customers/ada-1"));
        assert!(is_name(
            "customers/{id}/addresses/{id}",
            "customers/a/addresses/b"
        ));
        for text in [
            "",
            "customers",
            "customers/",
            "customers/Ada",
            "groups/ada",
            "customers/a/b",
            "customers/a/",
            "/customers/a",
            "customers/a%00",
            "customers/ä",
        ] {
            assert!(!is_name("customers/{id}", text), "{text}");
        }
        assert!(is_id(&"a".repeat(63)));
        assert!(!is_id(&"a".repeat(64)));
    }

    #[test]
    fn the_ids_of_a_name_come_in_their_order() {
        let pattern = "customers/{id}/addresses/{id}";

        assert_eq!(ids(pattern, "customers/a/addresses/b"), Some(["a", "b"]));
        assert_eq!(ids::<1>(pattern, "customers/a/addresses/b"), None);
        assert_eq!(ids::<2>(pattern, "customers/a"), None);
    }

    #[test]
    fn addresses_in_different_spellings_claim_the_same() {
        let claim = |text| email_claim(text).unwrap();

        assert_eq!(claim(" Ada@Example.TEST "), "ada@example.test");
        assert_eq!(claim("ada@BÜCHER.test"), "ada@xn--bcher-kva.test");
        assert_eq!(claim("e\u{301}va@example.test"), claim("ÉVA@example.test"));
        assert_eq!(
            claim("o'neil+shop@mail.example.test"),
            "o'neil+shop@mail.example.test"
        );
    }

    #[test]
    fn what_is_not_an_address_claims_nothing() {
        for text in [
            "ada",
            "ada@",
            "@example.test",
            "ada@localhost",
            "a b@example.test",
            "a@b@example.test",
            "ada@example..test",
            ".ada@example.test",
            "a..b@example.test",
            "ada@-example.test",
            "ada@exa_mple.test",
            "ada@example.test.",
            "<ada@example.test>",
            "a\0@example.test",
            "ada@exam ple.test",
            "a,b@example.test",
        ] {
            assert_eq!(email_claim(text), None, "{text}");
        }
        let longest = format!(
            "{}@{}.test",
            "a".repeat(64),
            ["b".repeat(61).as_str(); 3].join(".")
        );
        assert_eq!(longest.len(), 255);
        assert!(!is_email(&longest));
        assert!(is_email(&longest.replacen('b', "", 1)));
        assert!(!is_email(&format!("{}@example.test", "a".repeat(65))));
    }

    #[test]
    fn web_addresses_are_absolute_and_http() {
        for text in [
            "https://example.test",
            "HTTP://example.test:8080/a?b=c#d",
            "https://bücher.test/ä",
            "http://localhost/",
            "http://127.0.0.1/x",
        ] {
            assert!(is_url(text), "{text}");
        }
        for text in [
            "example.test",
            "//example.test",
            "ftp://example.test",
            "javascript:alert(1)",
            "https://",
            "https:///path",
            "https://user@example.test",
            "https://exa mple.test",
            "https://example.test:99999",
            "https://example.test:",
            "https://example.test/\n",
        ] {
            assert!(!is_url(text), "{text}");
        }
    }

    #[test]
    fn language_tags_are_well_formed() {
        for text in [
            "fr",
            "pt-BR",
            "zh-Hant-TW",
            "es-419",
            "de-CH-1996",
            "sl-rozaj-biske",
            "en-u-ca-gregory",
            "en-x-a",
            "FR",
            "yue",
        ] {
            assert!(is_language(text), "{text}");
        }
        for text in [
            "",
            "f",
            "fr_FR",
            "fr-",
            "-fr",
            "fr--FR",
            "frenchlanguage",
            "fr-FRANCEISLARGE",
            "en-x",
            "en-u-c",
            "12",
            "fr-FR-é",
            "en u",
        ] {
            assert!(!is_language(text), "{text}");
        }
    }

    #[test]
    fn countries_and_currencies_are_real_ones() {
        assert_eq!(COUNTRIES.split(' ').count(), 250);
        assert!(is_country("FR") && is_country("AD") && is_country("ZW"));
        assert!(!is_country("XX") && !is_country("fr") && !is_country("FRA") && !is_country("D D"));
        assert_eq!(currency_places("EUR"), Some(2));
        assert_eq!(currency_places("JPY"), Some(0));
        assert_eq!(currency_places("TND"), Some(3));
        assert!(!is_currency("XXX") && !is_currency("eur") && !is_currency("EURO"));
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("12.5", 2), Some(1_250));
        assert_eq!(decimal("0", 2), Some(0));
        assert_eq!(decimal("5.5", 4), Some(55_000));
        assert_eq!(percent("100.00", 2), Some(10_000));
        assert_eq!(percent("100.01", 2), None);
        for text in [
            "", "-1", "+1", "1.", ".5", "1.234", "1e2", "01", "1,5", "NaN", " 1", "١",
        ] {
            assert_eq!(decimal(text, 2), None, "{text}");
        }
    }

    #[test]
    fn dates_are_days_of_the_calendar() {
        assert_eq!(date("2024-02-29").unwrap().to_string(), "2024-02-29");
        for text in [
            "",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-1-1",
            "24-01-01",
            "0000-01-01",
            "2024-01-01T",
            "2024/01/01",
            "-024-01-01",
            "+024-01-01",
            "٢٠٢٤-٠١",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn time_zones_are_known_ones() {
        assert!(time_zone("Europe/Paris").is_some());
        assert!(time_zone("UTC").is_some());
        for text in ["", "Europe/Nowhere", "+02:00", "../etc/passwd"] {
            assert!(time_zone(text).is_none(), "{text}");
        }
    }

    #[test]
    fn control_characters_are_found_in_any_script() {
        assert!(has_control_character("a\0", true));
        assert!(has_control_character("ä\u{85}", true));
        assert!(has_control_character("a\nb", false));
        assert!(!has_control_character("a\r\n\tb", true));
        assert!(!has_control_character("Žluťoučký 🐎", false));
    }
}
