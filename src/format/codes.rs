//! Codes of languages, countries and currencies.

use std::collections::BTreeMap;

use oxilangtag::LanguageTag;

use crate::limits::fields::LANGUAGE_CHARS_MAX;

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

/// The currencies of ISO 4217 by the decimal places of their smallest unit. HRK is included for imports of
/// carts from before the euro.
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

/// The canonical spelling of a well-formed BCP 47 language tag, for example `fr`, `pt-BR` or `zh-Hant-TW`;
/// None if the text is not one. The order of extensions is kept.
pub fn language(text: &str) -> Option<String> {
    if text.len() > LANGUAGE_CHARS_MAX {
        return None;
    }
    let tag = LanguageTag::parse_and_normalize(text).ok()?;
    Some(tag.into_inner())
}

/// The canonical spelling of a language tag that was checked before. Other text, for example an empty one, is
/// returned unchanged.
pub fn canonical_language(text: &str) -> String {
    language(text).unwrap_or_else(|| text.to_owned())
}

/// Texts by the canonical spellings of their languages. The error is a language that is named more than once.
pub fn by_language(
    texts: &BTreeMap<String, String>,
) -> std::result::Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (language, text) in texts {
        let language = canonical_language(language);
        if found.insert(language.clone(), text.clone()).is_some() {
            return Err(language);
        }
    }
    Ok(found)
}

/// Whether `text` is a country of ISO 3166-1, in capital letters.
pub fn is_country(text: &str) -> bool {
    is_one_of(text, 2, COUNTRIES)
}

/// Whether `text` is a currency of ISO 4217, in capital letters.
pub fn is_currency(text: &str) -> bool {
    currency_places(text).is_some()
}

/// The number of decimal places of the currency's smallest unit: 2 for EUR, 0 for JPY.
pub fn currency_places(text: &str) -> Option<u32> {
    CURRENCIES
        .iter()
        .find(|(_, codes)| is_one_of(text, 3, codes))
        .map(|(places, _)| *places)
}

fn is_one_of(text: &str, length: usize, codes: &str) -> bool {
    text.len() == length && codes.split(' ').any(|code| code == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_have_one_spelling() {
        for (text, canonical) in [
            ("fr", "fr"),
            ("FR", "fr"),
            ("PT-br", "pt-BR"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-ch-1996", "de-CH-1996"),
            ("sl-ROZAJ-biske", "sl-rozaj-biske"),
            ("EN-u-CA-Gregory", "en-u-ca-gregory"),
            ("en-X-A", "en-x-a"),
            ("yue", "yue"),
            ("ZH-Yue-hk", "zh-yue-HK"),
            ("x-Our-Own", "x-our-own"),
            ("I-Klingon", "i-klingon"),
        ] {
            assert_eq!(language(text).as_deref(), Some(canonical));
        }
    }

    #[test]
    fn a_language_has_one_text_however_it_is_spelled() {
        let texts = |pairs: [(&str, &str); 2]| {
            let pairs = pairs.map(|(tag, text)| (tag.to_owned(), text.to_owned()));
            by_language(&pairs.into())
        };

        let found = texts([("PT-br", "a"), ("pt", "b")]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["pt", "pt-BR"]);
        assert_eq!(texts([("FR", "a"), ("fr", "b")]), Err("fr".to_owned()));
    }

    #[test]
    fn a_malformed_language_tag_has_no_spelling() {
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
            "x",
            "en-x-abcdefgh-abcdefgh-abcdefgh-abcd",
        ] {
            assert_eq!(language(text), None, "{text}");
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
}
